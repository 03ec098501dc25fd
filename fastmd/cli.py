"""The command line: fastmd train, evaluate, md, info."""

import json
import sys
import time
from pathlib import Path

import click

from . import __version__


class _Errors(click.Group):
    """A ValueError is the user's to mend: its message, no traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (ValueError, RuntimeError) as e:
            raise click.ClickException(str(e)) from None
        except MemoryError:
            raise click.ClickException("not enough memory") from None
        except ImportError as e:
            if e.name in ("torch", "matplotlib"):
                raise click.ClickException(f"this command needs {e.name}: pip install 'fastmd[train]'") from None
            raise


@click.group(cls=_Errors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="fastmd")
def main():
    """Behler-Parrinello neural-network potentials, from reference data to molecular dynamics.

    \b
    The road:
      fastmd train data.extxyz -o si.nnp --report out    train; out/report.json and out/report.png say how good it is
      fastmd evaluate si.nnp test.extxyz                 errors on data it has not seen
      fastmd md si.nnp start.xyz -T 600 --steps 10000    molecular dynamics
      fastmd info si.nnp                                 what is in a potential file
    In Python:
      atoms.calc = fastmd.Calculator("si.nnp")           any ASE script runs with it

    Units: eV, angstrom, fs, kelvin. `fastmd COMMAND --help` explains each command.
    """


@main.command()
@click.argument("potential", required=False, type=click.Path(dir_okay=False))
def info(potential):
    """Version, instruction set and threads; with a potential file, what is in it."""
    from . import _core

    if potential is None:
        click.echo(f"fastmd           {__version__}\ninstruction set  {_core.isa()} (this CPU runs {', '.join(_core.isas())}; FASTMD_ISA chooses)")
        click.echo(f"threads          {_core.default_threads()} (FASTMD_THREADS chooses)\npython           {sys.version.split()[0]}")
        return
    from .potential import NNPotential

    p = NNPotential.load(potential)
    click.echo(f"{potential}: {', '.join(p.elements)}, cutoff {p.cutoff:g} angstrom, {p.n_parameters} parameters, units {p.units[0]} and {p.units[2]}")
    for e in p.elements:
        layers = p.networks[e].layers
        click.echo(f"\n{e}: {'-'.join(str(n) for n in [layers[0][0].shape[1], *(len(b) for _, b, _ in layers)])} {layers[0][2]}, offset {p.offsets[e]:.6g}, scaling {p.scaling[0]}")
        for k, f in enumerate(p.functions[e]):
            click.echo(f"  {k:4d}  {f}")
    if p.notes:
        click.echo("")
    for k, v in p.notes.items():
        click.echo(f"{k:16s} {v}")


def _pairs_of(text):
    """Si=-4.6,O=-432 -> {"Si": -4.6, "O": -432.0}"""
    try:
        return {k.strip(): float(v) for k, v in (part.split("=") for part in text.split(","))} if text else {}
    except ValueError:
        raise ValueError(f"--e0 must look like Si=-0.8,O=-1.9 (eV of the free atoms), got {text!r}") from None


@main.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False))
@click.option("--test", type=click.Path(exists=True, dir_okay=False), help="Labelled structures that are never trained on; the report says how well they are met.")
@click.option("-o", "--output", default="potential.nnp", show_default=True, type=click.Path(dir_okay=False), help="The potential file to write.")
@click.option("--report", "folder", type=click.Path(file_okay=False), help="Folder for report.json and report.png.")
@click.option("--cutoff", default=5.0, show_default=True, help="Angstrom; how far an atom sees.")
@click.option("--hidden", default="24,24", show_default=True, help="Nodes in the hidden layers.")
@click.option("--activation", default="tanh", show_default=True, help="tanh, sigmoid, softplus, relu or identity.")
@click.option("--optimizer", default="lbfgs", show_default=True, type=click.Choice(["lbfgs", "adam"]), help="L-BFGS takes all data at once, Adam a few structures.")
@click.option("--epochs", default=60, show_default=True, help="At most; an epoch of L-BFGS is 20 iterations.")
@click.option("--patience", default=12, show_default=True, help="Stop after so many epochs without a better validation error.")
@click.option("--max-seconds", default=600.0, show_default=True, help="Stop after so many seconds.")
@click.option("--batch-size", default=8, show_default=True, help="Structures in a step of Adam.")
@click.option("--learning-rate", default=2e-3, show_default=True, help="Of Adam.")
@click.option("--energy-weight", default=1.0, show_default=True, help="Of the mean squared error of the energy per atom, eV.")
@click.option("--force-weight", default=0.02, show_default=True, help="Of that of the force components, eV/angstrom.")
@click.option("--stress-weight", default=0.5, show_default=True, help="Of that of the stress components, eV/angstrom^3.")
@click.option("--validation", default=0.1, show_default=True, help="Share of the data that decides when to stop.")
@click.option("--group", help="Key in the info line that says what belongs together, e.g. trajectory. [default: found by itself]")
@click.option("--e0", default="", help="Energies of free atoms, e.g. Si=-0.8,O=-1.9. [default: least squares]")
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=0, help="[default: all]")
def train(data, test, output, folder, hidden, group, e0, **options):
    """Train a potential on DATA: any file that ASE reads, with energies and forces (and stresses).

    Labels are found under the usual keys (energy, forces, stress, virial; REF_energy and the like win); structures may lack some of them.
    Symmetry functions are made from the cutoff and the shortest distance in the data. The best epoch on the validation data is kept.
    """
    from rich.console import Console

    from .train import dataset, report
    from .train.loop import Settings
    from .train.loop import train as run

    began = time.monotonic()
    console = Console(stderr=True, highlight=False)
    try:
        hidden = tuple(int(n) for n in hidden.split(","))
    except ValueError:
        raise ValueError(f"--hidden must look like 24,24, got {hidden!r}") from None
    settings = Settings(hidden=hidden, offsets=_pairs_of(e0), **options)
    structures = dataset.read(data, group)
    tests = dataset.read(test, None) if test else []
    _may_write(output, data, test)
    unknown = {e for s in tests for e in s.atoms.get_chemical_symbols()} - {e for s in structures for e in s.atoms.get_chemical_symbols()}
    if unknown:
        raise ValueError(f"{test}: has {', '.join(sorted(unknown))}, which is not in {data}")
    if folder:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ValueError(f"{folder}: cannot be made ({e.strerror})") from None
    console.print(f"{data}: {len(structures)} structures, {sum(len(s.atoms) for s in structures)} atoms; making neighbours and symmetry functions")
    potential, history = run(structures, settings, report=_Table(console, settings))
    potential.save(output)
    console.print(f"{output}: {potential}")
    errors = {"train": report.evaluate(potential, structures)}
    if tests:
        errors["test"] = report.evaluate(potential, tests)
    numbers = {**{k: v for name, e in errors.items() for k, v in e.numbers(f"{name}_").items()}, "wall_seconds": time.monotonic() - began,
               "n_parameters": potential.n_parameters, "optimizer": settings.optimizer, "epochs": len(history), "structures": len(structures)}
    for name, e in errors.items():
        console.print(f"{name:5s} " + _summary(e.numbers()))
    if folder:
        report.write_json(Path(folder, "report.json"), numbers)
        report.picture(Path(folder, "report.png"), history, errors.get("test", errors["train"]))
        console.print(f"{folder}: report.json, report.png")


def _may_write(output, *inputs):
    """Before the work, not after it."""
    import tempfile

    if any(p and Path(p).exists() and Path(output).exists() and Path(output).samefile(p) for p in inputs):
        raise ValueError(f"--output {output} is also an input; choose another name")
    try:
        tempfile.TemporaryFile(dir=Path(output).absolute().parent).close()
    except OSError as e:
        raise ValueError(f"{output}: its folder cannot be written to ({e.strerror}); make it first, or choose another place") from None


class _Table:
    """A line per epoch"""

    def __init__(self, console, settings):
        self.console, self.settings, self.begun = console, settings, False

    def __call__(self, h):
        if not self.begun:
            self.console.print("epoch   energy (meV/atom)      forces (meV/Å)         time\n        train  validation      train  validation      s")
            self.begun = True
        def cell(key):
            return f"{h[key]:8.2f}" if key in h else "       -"
        self.console.print(f"{h['epoch']:5d} {cell('train_energy_rmse')}   {cell('validation_energy_rmse')}   {cell('train_force_rmse')}   {cell('validation_force_rmse')} {h['seconds']:9.1f}")


def _summary(n):
    parts = []
    for name, key, unit in (("energy", "mev_per_atom", "meV/atom"), ("forces", "mev_per_angstrom", "meV/Å"), ("stress", "gpa", "GPa")):
        rmse = n[f"{name.removesuffix('s') if name == 'forces' else name}_rmse_{key}"]
        mae = n[f"{name.removesuffix('s') if name == 'forces' else name}_mae_{key}"]
        if rmse is not None:
            parts.append(f"{name} RMSE {rmse:.3g}, MAE {mae:.3g} {unit}")
    return "; ".join(parts)


@main.command()
@click.argument("potential", type=click.Path(dir_okay=False))
@click.argument("data", type=click.Path(exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def evaluate(potential, data, as_json):
    """Errors of POTENTIAL on the labelled structures in DATA."""
    from .potential import NNPotential
    from .train import dataset, report

    errors = report.evaluate(NNPotential.load(potential), dataset.read(data))
    if as_json:
        click.echo(json.dumps(errors.numbers(), indent=2))
        return
    click.echo(_summary(errors.numbers()))
    groups = errors.per_group()
    if len(groups) > 1:
        for g, (e, f) in groups.items():
            click.echo(f"  {g:20s} " + ("" if e is None else f"energy RMSE {e:.3g} meV/atom  ") + ("" if f is None else f"forces RMSE {f:.3g} meV/Å"))


@main.command()
@click.argument("potential", type=click.Path(dir_okay=False))
@click.argument("start", type=click.Path(exists=True, dir_okay=False))
@click.option("-T", "--temperature", type=float, help="Kelvin; without it, velocities are those in the file and the energy is conserved.")
@click.option("--friction", default=0.01, show_default=True, help="1/fs, of the Langevin thermostat.")
@click.option("--nve", is_flag=True, help="Only start at the temperature, then conserve the energy.")
@click.option("--timestep", default=1.0, show_default=True, help="fs")
@click.option("--steps", default=1000, show_default=True)
@click.option("--every", default=100, show_default=True, help="Steps between lines of the table and frames of the trajectory.")
@click.option("-o", "--output", default="md.extxyz", show_default=True, type=click.Path(dir_okay=False), help="Trajectory.")
@click.option("--seed", default=1, show_default=True)
def md(potential, start, temperature, friction, nve, timestep, steps, every, output, seed):
    """Molecular dynamics of the structure in START with POTENTIAL (a .nnp file, or sw for Stillinger-Weber silicon)."""
    import ase.io
    import numpy as np

    from .classical import StillingerWeber
    from .md import MD, maxwell_boltzmann
    from .potential import NNPotential

    _may_write(output, start, potential)
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed must be from 0 to 2^63 - 1, got {seed}")
    pot = StillingerWeber() if potential == "sw" else NNPotential.load(potential)
    try:
        atoms = ase.io.read(start)
    except Exception as e:  # ASE's readers raise whatever their format trips over
        raise ValueError(f"{start}: ASE cannot read it ({type(e).__name__}: {e})") from None
    if temperature is not None:
        maxwell_boltzmann(atoms, temperature, np.random.default_rng(seed))
    bath = {} if nve or temperature is None else {"temperature": temperature, "friction": friction}
    MD(atoms, pot, timestep=timestep, seed=seed, **bath).run(steps, every=every, trajectory=output, thermo=sys.stdout)


if __name__ == "__main__":
    main()
