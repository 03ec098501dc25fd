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


def _number_or_auto(name, text):
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise ValueError(f"--{name.replace('_', '-')} must be a number >= 0 or auto, got {text!r}") from None


@click.command("train")
@click.argument("data", type=click.Path(exists=True, dir_okay=False))
@click.option("--test", type=click.Path(exists=True, dir_okay=False), help="Labelled structures that are never trained on; the report says how well they are met.")
@click.option("-o", "--output", default="potential.nnp", show_default=True, type=click.Path(dir_okay=False), help="The potential file to write.")
@click.option("--report", "folder", type=click.Path(file_okay=False), help="Folder for report.json and report.png.")
@click.option("--cutoff", default=5.0, show_default=True, help="Angstrom; how far an atom sees.")
@click.option("--functions", type=click.Path(exists=True, dir_okay=False), help="A set of symmetry functions, as `fastmd inspect DATA --functions 32 -o set.txt` writes it.  [default: made from the cutoff and the data]")
@click.option("--hidden", default="24,24", show_default=True, help="Nodes in the hidden layers.")
@click.option("--activation", default="tanh", show_default=True, help="tanh, sigmoid, softplus, relu, identity, gaussian, cos, revlogistic, exp or harmonic.")
@click.option("--optimizer", default="lbfgs", show_default=True, type=click.Choice(["sgd", "momentum", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "lbfgs"]),
              help="L-BFGS takes all data in every step and finds its step length itself; momentum is SGD with 0.9; adamw also decays weights (not biases) by 0.01 x learning rate in each step.")
@click.option("--epochs", default=60, show_default=True, help="At most; an epoch of L-BFGS is 20 iterations, of the others once through the data.")
@click.option("--patience", default=12, show_default=True, help="Stop after so many epochs without a better validation error.")
@click.option("--max-seconds", default=600.0, show_default=True, help="Stop after so many seconds.")
@click.option("--batch-size", default=8, show_default=True, help="Structures in a step; 1: online, 0: all. (L-BFGS: always all.)")
@click.option("--learning-rate", type=float, help="Not of L-BFGS. [default: the optimizer's: sgd 0.05, momentum 0.01, adagrad 0.03, adadelta 1, rmsprop 0.002, adam and adamw 0.002]")
@click.option("--schedule", default="cosine", show_default=True, type=click.Choice(["constant", "cosine", "exponential", "step", "plateau"]),
              help="Of the learning rate: cosine falls to 0 in --epochs; exponential and step fall by --decay in --decay-epochs; plateau by --decay after --decay-epochs without a better validation error.")
@click.option("--decay", default=0.5, show_default=True, help="Factor of the schedule.")
@click.option("--decay-epochs", default=10, show_default=True, help="Epochs of the schedule.")
@click.option("--l2", default=0.0, show_default=True, help="This times the sum of squared weights (not biases) is added to the loss.")
@click.option("--energy-weight", default="1.0", show_default=True, help="Of the mean squared error of the energy per atom, eV; auto: 1 / variance of these labels.")
@click.option("--force-weight", default="0.02", show_default=True, help="Of that of the force components, eV/angstrom; or auto.")
@click.option("--stress-weight", default="0.5", show_default=True, help="Of that of the stress components, eV/angstrom^3; or auto.")
@click.option("--validation", default=0.1, show_default=True, help="Share of the data that decides when to stop.")
@click.option("--group", help="Key in the info line that says what belongs together, e.g. trajectory. [default: found by itself]")
@click.option("--e0", default="", help="Energies of free atoms, e.g. Si=-0.8,O=-1.9. [default: least squares]")
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=0, help="[default: all]")
@click.option("--start", type=click.Path(exists=True, dir_okay=False), help="A potential to go on from: its functions, scaling, networks, repulsion and offsets (--e0 wins); --cutoff, --hidden and --activation are then not used.")
@click.option("--repulsion", type=click.Choice(["zbl"]), help="Adds the repulsion of nuclei to the potential for distances that the data lacks: smoothly zero from the shortest distance of each pair in the data on.")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="File for the state of the training, written every few seconds (after an epoch).")
@click.option("--resume", is_flag=True, help="Go on from --checkpoint, to the bits of a run that never stopped.")
@click.option("--memory-limit", help="Of the whole process, e.g. 2GB: Jacobian rows are kept as far as they fit, the rest is recomputed, some five times slower. "
              "[default: half of what is available]")
@click.option("--tensorboard", type=click.Path(file_okay=False), help="Folder for TensorBoard's scalars.")
def command(data, test, output, folder, functions, hidden, group, e0, start, repulsion, checkpoint, resume, tensorboard, **options):
    """Train a potential on DATA: any file that ASE reads, with energies and forces (and stresses).

    Labels are found under the usual keys (energy, forces, stress, virial; REF_energy and the like win); structures may lack some of them.
    Symmetry functions are made from the cutoff and the shortest distance in the data. The best epoch on the validation data is kept.

    \b
    Examples:
      fastmd train data.extxyz --test test.extxyz -o si.nnp --report out
      fastmd train data.extxyz -o si.nnp --checkpoint si.state             # and after a crash the same again with --resume
      fastmd train more.extxyz -o better.nnp --start si.nnp
    """
    from rich.console import Console

    from ..sets import load_set
    from ..train import dataset, report
    from ..train.loop import Settings
    from ..train.loop import train as run

    began = time.monotonic()
    console = Console(stderr=True, highlight=False)
    try:
        hidden = tuple(int(n) for n in hidden.split(","))
    except ValueError:
        raise ValueError(f"--hidden must look like 24,24, got {hidden!r}") from None
    for name in ("energy_weight", "force_weight", "stress_weight"):
        options[name] = _number_or_auto(name, options[name])
    settings = Settings(hidden=hidden, offsets=_pairs_of(e0), **options)
    structures = dataset.read(data, group)
    tests = dataset.read(test, None) if test else []
    may_write(output, data, test)
    if checkpoint:
        may_write(checkpoint, data, test, output, start)
    unknown = {e for s in tests for e in s.atoms.get_chemical_symbols()} - {e for s in structures for e in s.atoms.get_chemical_symbols()}
    if unknown:
        raise ValueError(f"{test}: has {', '.join(sorted(unknown))}, which is not in {data}")
    if folder:
        report.make_folder(folder)
    console.print(f"{data}: {len(structures)} structures, {sum(len(s.atoms) for s in structures)} atoms; making neighbours and symmetry functions")
    table = _Table(console)
    with report.scalars(tensorboard) as write:
        def line(h):
            table(h)
            write(h)
        potential, history = run(structures, settings, functions and load_set(functions), report=line, start=start, repulsion=repulsion, checkpoint=checkpoint, resume=resume, say=console.print)
    potential.save(output)
    console.print(f"{output}: {potential}")
    errors = {"train": report.evaluate(potential, structures)}
    if tests:
        errors["test"] = report.evaluate(potential, tests)
    numbers = {**{k: v for name, e in errors.items() for k, v in e.numbers(f"{name}_").items()}, "wall_seconds": time.monotonic() - began,
               "n_parameters": potential.n_parameters, "optimizer": settings.optimizer, "epochs": history[-1]["epoch"], "structures": len(structures)}
    for name, e in errors.items():
        console.print(f"{name:5s} " + summary(e.numbers()))
    if folder:
        numbers["groups"] = errors.get("test", errors["train"]).group_numbers()
        report.write_json(Path(folder, "report.json"), numbers)
        report.picture(Path(folder, "report.png"), history, errors.get("test", errors["train"]))
        console.print(f"{folder}: report.json, report.png")


class _Table:
    """A line per epoch"""

    def __init__(self, console):
        self.console, self.begun = console, False

    def __call__(self, h):
        if not self.begun:
            self.console.print("epoch   energy (meV/atom)      forces (meV/Å)        stress (GPa)           time\n        train  validation      train  validation      train  validation      s")
            self.begun = True
        cell = lambda key: f"{h[key]:8.2f}" if key in h else "       -"  # noqa: E731
        self.console.print(f"{h['epoch']:5d} " + "   ".join(f"{cell(f'train_{what}_rmse')}   {cell(f'validation_{what}_rmse')}" for what in ("energy", "force", "stress")) + f" {h['seconds']:9.1f}")
