"""fastmd md"""

import sys
from pathlib import Path

import click

from ._common import load_potential, may_write, read_structure


@click.command("md")
@click.argument("potential", type=click.Path(dir_okay=False))
@click.argument("start", type=click.Path(exists=True, dir_okay=False))
@click.option("-T", "--temperature", metavar="KELVIN", help="300, or 300:2500 to go from one to the other over the steps; without it, velocities are those in the file and the energy is conserved.")
@click.option("--friction", default=0.01, show_default=True, help="1/fs, of the Langevin thermostat.")
@click.option("--nve", is_flag=True, help="Only start at the temperature, then conserve the energy.")
@click.option("--timestep", default=1.0, show_default=True, help="fs")
@click.option("--steps", default=1000, show_default=True, help="Of the whole run, with what --resume finds done.")
@click.option("--every", default=100, show_default=True, help="Steps between lines of the table and frames of the trajectory.")
@click.option("-o", "--output", default="md.extxyz", show_default=True, type=click.Path(dir_okay=False), help="Trajectory.")
@click.option("--table", type=click.Path(dir_okay=False), help="File for the table.  [default: it is printed]")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="File that --resume goes on from.  [default: none is written]")
@click.option("--checkpoint-every", default=1000, show_default=True, help="Steps between checkpoints; there is one at the start and the end too.")
@click.option("--resume", is_flag=True, help="Go on from the --checkpoint; give the same command as before.")
@click.option("--extrapolation", default="warn", show_default=True, type=click.Choice(["ignore", "warn", "raise"]), help="Outside the range of the training data: warn is once for each function, then totals.")
@click.option("--precision", default="float64", show_default=True, type=click.Choice(["float64", "mixed", "float32"]), help="mixed: arithmetic in float32, positions and sums in float64; faster, forces within about 1e-5 eV/angstrom.")
@click.option("--seed", default=1, show_default=True, help="Of the velocities and the thermostat; equal seeds give equal runs.")
def command(potential, start, temperature, friction, nve, timestep, steps, every, output, table, checkpoint, checkpoint_every, resume, extrapolation, precision, seed):
    """Molecular dynamics of the structure in START with POTENTIAL: a .nnp file, LAMMPS's .sw or .vashishta, sw for Stillinger-Weber silicon,
    or vashishta for silica.

    \b
      fastmd md si.nnp start.xyz -T 600 --steps 10000
      fastmd md si.nnp start.xyz -T 300:2500 --steps 100000 --table md.txt --checkpoint md.ckpt
      fastmd md si.nnp start.xyz -T 300:2500 --steps 100000 --table md.txt --checkpoint md.ckpt --resume

    The last goes on after the second was stopped, by whatever: trajectory and table become those of a run that never was. At a temperature
    that stays, a larger --steps makes a finished run longer.
    """
    import numpy as np

    from ..md import MD, maxwell_boltzmann

    for path in filter(None, (output, table, checkpoint)):
        may_write(path, start, potential)
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed must be from 0 to 2^63 - 1, got {seed}")
    if resume and checkpoint is None:
        raise ValueError("--resume needs the --checkpoint to go on from")
    if checkpoint is not None and not resume and Path(checkpoint).exists():
        raise ValueError(f"{checkpoint}: there is one already; go on from it with --resume, or remove it to begin anew")
    pot = load_potential(potential, precision)
    atoms = read_structure(start)
    rng = np.random.default_rng(seed)
    bath = {}
    if temperature is not None:
        first, target = _ramp(temperature, steps, nve)
        maxwell_boltzmann(atoms, first, rng)
        bath = {} if nve else {"temperature": target, "friction": friction}
    md = MD(atoms, pot, timestep=timestep, seed=rng, extrapolation=extrapolation, **bath)
    if resume:
        begun = MD.load(checkpoint, pot)
        _compare(md.state(), begun.state(), checkpoint)
        md = begun
        click.echo(f"{checkpoint}: at step {md.step}" + (", which is all there is to do" if md.step >= steps else ""), err=True)
        if md.step >= steps:
            return
    md.run(steps - md.step, every=every, trajectory=output, thermo=table or sys.stdout, checkpoint=checkpoint, checkpoint_every=checkpoint_every)


def _ramp(text, steps, nve):
    """Where the temperature begins, and what MD makes of it: 300 or 300:2500."""
    try:
        first, *last = [float(x) for x in text.split(":")]
    except ValueError:
        last = [0, 0]
    if len(last) > 1:
        raise ValueError(f"-T must look like 300 or 300:2500, got {text!r}")
    if not last:
        return first, first
    if nve or steps < 1:
        raise ValueError(f"-T {text} needs a thermostat, so no --nve, and --steps > 0 to go over")
    return first, [(0, first), (steps, last[0])]


def _compare(asked, begun, checkpoint):
    """Going on with another run's checkpoint, or in another way, would go unnoticed for long."""
    import numpy as np

    def bath(state, key):
        return state["thermostat"] and state["thermostat"][key]

    for name, a, b in (*(("START", asked[key], begun[key]) for key in ("numbers", "masses", "cell", "pbc")),
                       ("--timestep", asked["timestep"], begun["timestep"]), ("--friction", bath(asked, "friction"), bath(begun, "friction")),
                       ("-T, --nve or --steps", bath(asked, "points"), bath(begun, "points"))):
        if not np.array_equal(a, b):
            raise ValueError(f"{checkpoint}: its run had another {name}; --resume goes with the same command as before")
