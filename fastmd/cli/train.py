"""fastmd train"""

import time
from pathlib import Path

import click

from ._common import may_write, summary


def _pairs_of(text):
    """Si=-4.6,O=-432 -> {"Si": -4.6, "O": -432.0}"""
    try:
        return {k.strip(): float(v) for k, v in (part.split("=") for part in text.split(","))} if text else {}
    except ValueError:
        raise ValueError(f"--e0 must look like Si=-0.8,O=-1.9 (eV of the free atoms), got {text!r}") from None


@click.command("train")
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
def command(data, test, output, folder, hidden, group, e0, **options):
    """Train a potential on DATA: any file that ASE reads, with energies and forces (and stresses).

    Labels are found under the usual keys (energy, forces, stress, virial; REF_energy and the like win); structures may lack some of them.
    Symmetry functions are made from the cutoff and the shortest distance in the data. The best epoch on the validation data is kept.
    """
    from rich.console import Console

    from ..train import dataset, report
    from ..train.loop import Settings
    from ..train.loop import train as run

    began = time.monotonic()
    console = Console(stderr=True, highlight=False)
    try:
        hidden = tuple(int(n) for n in hidden.split(","))
    except ValueError:
        raise ValueError(f"--hidden must look like 24,24, got {hidden!r}") from None
    settings = Settings(hidden=hidden, offsets=_pairs_of(e0), **options)
    structures = dataset.read(data, group)
    tests = dataset.read(test, None) if test else []
    may_write(output, data, test)
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
        console.print(f"{name:5s} " + summary(e.numbers()))
    if folder:
        report.write_json(Path(folder, "report.json"), numbers)
        report.picture(Path(folder, "report.png"), history, errors.get("test", errors["train"]))
        console.print(f"{folder}: report.json, report.png")


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
