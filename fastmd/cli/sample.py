"""fastmd sample"""

import os

import click

from ._common import is_potential, load_potential, may_write, read_structure


_OF_THE_SCRIPT = ("start", "crystal", "repeat", "temperature", "stretch", "starts", "rattle", "melt", "melt_steps", "radius", "trajectories", "equilibrate",
                  "timestep", "friction", "resume")


def _list(option, text, one, example):
    """What stands between commas, each made by `one`."""
    try:
        return tuple(one(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} must look like {example}, got {text!r}") from None


def _ramp(text):
    """300 or 300:2500"""
    first, _, last = text.partition(":")
    return float(first), float(last or first)


@click.command("sample")
@click.argument("potential", type=click.Path(dir_okay=False))
@click.argument("start", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--crystal", help="Build the start instead: an element in its own crystal structure, e.g. Si.")
@click.option("--repeat", default=2, show_default=True, type=click.IntRange(1, 100), help="Cells of the built crystal in each direction.")
@click.option("-T", "--temperature", default="300", show_default=True, help="Kelvin; 300:2500 goes from one to the other over the steps; 300,900,300:2500 is three states.")
@click.option("--stretch", default="1", show_default=True, help="Densities, as factors of all lengths: 0.98,1,1.02.")
@click.option("--from", "starts", default="given", show_default=True, help="Starts, any of given,rattled,molten,cluster.")
@click.option("--rattle", default=0.3, show_default=True, help="Angstrom, the largest displacement of a rattled start.")
@click.option("--melt", default=4000.0, show_default=True, help="Kelvin, of a molten start before it is quenched.")
@click.option("--melt-steps", default=2000, show_default=True, help="Steps at that temperature.")
@click.option("--radius", default=8.0, show_default=True, help="Angstrom, of a cluster cut out about an atom drawn by lot.")
@click.option("--trajectories", default=1, show_default=True, help="Independent ones of each temperature, density and start.")
@click.option("--steps", default=5000, show_default=True, help="That are sampled, of each trajectory.")
@click.option("--equilibrate", default=500, show_default=True, help="Steps before them, for the starts given and cluster.")
@click.option("--timestep", default=1.0, show_default=True, help="fs")
@click.option("--friction", default=0.01, show_default=True, help="1/fs, of the Langevin thermostat.")
@click.option("--rule", default="force", show_default=True, type=click.Choice(["force", "equal", "random"]),
              help="Interval from the force, equal intervals, or each step with probability 1 / every.")
@click.option("--alpha", default=300.0, show_default=True, help="eV/angstrom: a force F is sampled each floor(alpha / F) steps.")
@click.option("--tau-max", default=200, show_default=True, help="Steps: the longest interval, and how often it is found anew.")
@click.option("--every", default=100, show_default=True, help="Steps, of the rules equal and random.")
@click.option("--atoms", help="Indices such as 0,5: sample the environments of these atoms, each by the force on it, instead of whole structures.")
@click.option("--cutoff", type=float, help="Angstrom, how far environments reach.")
@click.option("-o", "--output", default="pool.extxyz", show_default=True, type=click.Path(dir_okay=False), help="Extended XYZ, all frames.")
@click.option("--picture", type=click.Path(dir_okay=False), help="PNG: the forces that came by, and those that were sampled.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped, with the same options; the file becomes what it would have been.")
@click.option("--seed", default=1, show_default=True, help="Of everything; equal seeds give equal files.")
@click.option("--lammps", metavar="ELEMENTS", help="POTENTIAL is a LAMMPS script that sets up a run; these are its atom types 1, 2, ...: Si,O.")
@click.option("--var", "variables", type=(str, str), multiple=True, metavar="NAME VALUE", help="A variable of the LAMMPS script; as often as needed.")
@click.pass_context
def command(context, potential, start, crystal, repeat, temperature, stretch, starts, rule, alpha, tau_max, every, atoms, cutoff, output, picture, resume, lammps, variables, **plan):
    """Sample training data from molecular dynamics with POTENTIAL (a .nnp file, LAMMPS's .sw or .vashishta, sw for Stillinger-Weber silicon, vashishta
    for silica), beginning at the structure in START or a built crystal. Or with any potential of LAMMPS: then POTENTIAL is a script that does all but
    the steps to sample.

    Each frame has energy, forces and stress, and says which trajectory it is from, so that training can hold out whole ones.

    \b
    Silicon, crystal and quenched melt, three densities, heated from 300 to 2500 K, three times each:
      fastmd sample sw --crystal Si -T 300:2500 --stretch 0.98,1,1.02 --from given,molten --trajectories 3 --picture forces.png
    Environments of two atoms at 1000 K:
      fastmd sample sw --crystal Si -T 1000 --atoms 0,9 --cutoff 4.2 --alpha 3 --tau-max 10
    Quartz by LAMMPS (no START, -T and the like: the script has them; its variable T is set):
      fastmd sample quartz.in --lammps Si,O --var T 1000 --steps 20000 --alpha 300
    """
    from ..sample import EqualInterval, Interval, RandomChoice, SamplingPlan, sample_pool

    if lammps is not None:
        _only_with(context, "not with --lammps; the script sets up the run, which always begins anew", _OF_THE_SCRIPT + (() if rule == "random" else ("seed",)))
    else:
        _only_with(context, "that is of LAMMPS scripts; say which atom types 1, 2, ... there are with --lammps", ("variables",))
    if lammps is None and (start is None) == (crystal is None):
        script = "" if is_potential(potential) or start else f"; if {potential} is a LAMMPS script: its elements, say --lammps Si"
        raise ValueError(f"what to start from: give either a file START or --crystal, say --crystal Si{script}")
    for path in (output, picture):
        if path:
            may_write(path, start, potential)
    if picture and os.path.realpath(picture) == os.path.realpath(output):
        raise ValueError(f"--picture {picture} is also the output; choose another name")
    rules = {"force": lambda: Interval(alpha, tau_max), "equal": lambda: EqualInterval(every), "random": lambda: RandomChoice(every, plan["seed"])}
    temperatures = _list("-T", temperature, _ramp, "300 or 300:2500 or 300,600,300:2500")
    chosen = _list("--atoms", atoms, int, "0,5") if atoms else None
    if lammps is not None:
        return _by_lammps(potential, lammps, variables, rules[rule](), plan["steps"], chosen, cutoff, output, picture)
    plan = SamplingPlan(temperatures=temperatures, stretches=_list("--stretch", stretch, float, "0.98,1,1.02"), starts=_list("--from", starts, str, "given,molten"), **plan)
    structure = _crystal(crystal, repeat) if start is None else read_structure(start)
    pool = sample_pool(output, structure, load_potential(potential), rules[rule](), plan, chosen, cutoff, resume)
    _say(pool, len(plan), chosen, output, picture)


def _say(pool, runs, chosen, output, picture):
    for name, why in pool.ended:
        click.echo(f"{name} ended early: {why}", err=True)
    if not pool.frames:
        raise RuntimeError(f"{output}: no frames; " + ("all trajectories ended early" if len(pool.ended) == runs else "take more --steps, or a shorter interval (--tau-max, --every)"))
    share = pool.frames / int(pool.histogram.seen.sum())
    click.echo(f"{output}: {pool.frames} frames from {runs} trajector{'y' if runs == 1 else 'ies'}; {share:.1%} of what came by")
    if picture:
        pool.histogram.picture(picture, "force on a chosen atom" if chosen else "largest force in the structure")
        click.echo(picture)


def _by_lammps(script, elements, variables, rule, steps, chosen, cutoff, output, picture):
    from pathlib import Path

    from ..lammps_md import LammpsMD
    from ..sample import sample_lammps

    trajectory = "-".join([Path(script).stem, *(f"{name}{value}" for name, value in variables)])
    with LammpsMD(script, [e.strip() for e in elements.split(",")], dict(variables), energies=chosen is not None) as md:
        pool = sample_lammps(output, md, rule, steps, trajectory, chosen, cutoff)
    _say(pool, 1, chosen, output, picture)


def _only_with(context, why, names):
    """Options given that mean nothing here are refused, not passed over."""
    given = [p for p in context.command.params if p.name in names and context.get_parameter_source(p.name) is not click.core.ParameterSource.DEFAULT]
    if given:
        raise ValueError(f"{', '.join(p.opts[0] if p.opts[0].startswith('-') else p.name.upper() for p in given)}: {why}")


def _crystal(element, repeat):
    """Its conventional cell where there is a cubic one, else the primitive, repeated"""
    from ase.build import bulk

    try:
        try:
            cell = bulk(element, cubic=True)
        except (RuntimeError, ValueError):
            cell = bulk(element)
    except (KeyError, RuntimeError, ValueError) as e:
        raise ValueError(f"--crystal must be an element whose crystal structure ASE knows, got {element!r} ({e}); give a file instead") from None
    return cell * (repeat, repeat, repeat)
