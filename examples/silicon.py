"""The whole road in one program, the thesis's silicon study: sample Stillinger-Weber silicon, train a potential on it, validate it.

    python examples/silicon.py [FOLDER]        # demo/ by default; about three minutes on two cores

Writes FOLDER/silicon.nnp, train.extxyz, test.extxyz (and solid, melt, hot.extxyz, of which these are made), report.json and report.png.
"""

import platform
import sys
import time
from pathlib import Path

import ase.io
import matplotlib
import numpy as np
import torch
from ase.build import bulk
from matplotlib.figure import Figure
from rich.console import Console

import fastmd
from fastmd import _core
from fastmd.sample import SamplingPlan
from fastmd.train import dataset, loop, report
from fastmd.validate import validate

LATTICE = 5.431                      # angstrom, Stillinger-Weber silicon
SOLID, MELT = (300, 600, 1000, 1400), (1700, 2000, 2500)  # K
HOT = (4000,)                        # to train on only: in the melt atoms come closer now and then than any seen at its own temperature
STRETCH = (0.98, 1.0, 1.02)          # of the lattice constant: three densities
TRAJECTORIES = 3                     # independent ones of each state and density; the last is for the test only
FRAMES, APART = 8, 100               # of each, and steps between two

console = Console(highlight=False)


def sample(folder, potential):
    """(training frames, test frames) from molecular dynamics of 64 atoms: whole trajectories on either side"""
    frames = []
    for name, start, temperatures, trajectories in (("solid", "given", SOLID, TRAJECTORIES), ("melt", "molten", MELT, TRAJECTORIES), ("hot", "molten", HOT, TRAJECTORIES - 1)):
        plan = SamplingPlan(temperatures=[(t, t) for t in temperatures], stretches=STRETCH, starts=(start,), trajectories=trajectories,
                            steps=(FRAMES + 9) * APART, timestep=1.5, friction=0.02, equilibrate=0)
        path = folder / f"{name}.extxyz"
        path.unlink(missing_ok=True)
        fastmd.sample_pool(path, bulk("Si", a=LATTICE, cubic=True) * (2, 2, 2), potential, fastmd.EqualInterval(APART), plan)
        frames += [f for f in ase.io.read(path, ":") if f.info["step"] > 9 * APART]  # what comes before is on its way to equilibrium
    for f in frames:
        f.info["group"] = f"{f.info['temperature']:g} K"
    last = f"-{TRAJECTORIES}"
    training, test = ([f for f in frames if f.info["trajectory"].endswith(last) == held] for held in (False, True))
    ase.io.write(folder / "train.extxyz", training)
    ase.io.write(folder / "test.extxyz", test)
    return training, test


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    reference = fastmd.StillingerWeber()
    console.print(f"[bold]1. Sampling[/] Stillinger-Weber silicon by molecular dynamics: solid and melt, {SOLID[0]}-{MELT[-1]} K, three densities")
    training, test = sample(folder, reference)
    console.print(f"   {len(training)} structures to train on, {len(test)} from other trajectories to test with ({time.monotonic() - began:.0f} s)")

    console.print("[bold]2. Training[/] on energies, forces and stress")
    train_began = time.monotonic()
    settings = loop.Settings(cutoff=4.2, hidden=(20, 20), max_seconds=140, epochs=50)  # the reference reaches 3.8 angstrom
    def line(h):
        if h["epoch"] % 5 == 1:
            console.print(f"   epoch {h['epoch']:3d}   validation: energy {h['validation_energy_rmse']:6.2f} meV/atom, forces {h['validation_force_rmse']:6.1f} meV/Å   {h['seconds']:4.0f} s")
    potential, history = loop.train(dataset.read(folder / "train.extxyz"), settings, report=line, repulsion="zbl")
    potential.save(folder / "silicon.nnp")
    train_seconds = time.monotonic() - train_began
    errors = report.evaluate(potential, dataset.read(folder / "test.extxyz", group="group"))
    console.print(f"   {potential}, {potential.n_parameters} parameters ({train_seconds:.0f} s)")
    for name, (e, f) in by_temperature(errors):
        console.print(f"   {name:>8s}   energy {e:5.2f} meV/atom   forces {f:6.1f} meV/Å")

    console.print("[bold]3. Validation[/] beside the reference: the crystal, 216 atoms of it at 600 K, the melt at 2000 K")
    potential = fastmd.NNPotential.load(folder / "silicon.nnp")
    validation = validate(potential, reference, temperatures=(600,), melts=(2000,), steps=5000, say=lambda text: console.print(f"   {text}"))

    numbers = errors.numbers("test_") | {k: v for k, v in validation.numbers().items() if not k.startswith("energy_volume")} | {
        "per_temperature": {k: {"energy_rmse_mev_per_atom": e, "force_rmse_mev_per_angstrom": f} for k, (e, f) in by_temperature(errors)},
        "training_structures": len(training), "test_structures": len(test), "n_parameters": potential.n_parameters,
        "train_seconds": train_seconds, "wall_seconds": time.monotonic() - began,
        "versions": {"fastmd": fastmd.__version__, "python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__,
                     "ase": ase.__version__, "matplotlib": matplotlib.__version__, "instruction_set": _core.isa(), "threads": _core.default_threads()},
    }
    draw(folder / "report.png", history, errors, validation)
    report.write_json(folder / "report.json", numbers)
    for key, unit in (("test_energy_rmse_mev_per_atom", "meV/atom"), ("test_force_rmse_mev_per_angstrom", "meV/Å"), ("lattice_constant_error_percent", "%"),
                      ("bulk_modulus_error_percent", "%"), ("rdf_max_abs_difference", ""), ("nve_drift_mev_per_atom_per_ps", "meV/atom/ps"), ("wall_seconds", "s")):
        console.print(f"   {key:36s} {numbers[key]:9.4g} {unit}")
    console.print(f"\nLook at {folder}/report.png; the potential is {folder}/silicon.nnp: atoms.calc = fastmd.Calculator(\"{folder}/silicon.nnp\")")


def by_temperature(errors):
    return sorted(errors.per_group().items(), key=lambda x: float(x[0].split()[0]))


def draw(path, history, errors, validation):
    figure = Figure(figsize=(18, 8), layout="constrained")
    (a, b, c, d), (e, f, g, h) = figure.subplots(2, 4)
    report.learning_curve(a, history)
    report.parities(b, c, errors)
    groups = by_temperature(errors)
    x = np.arange(len(groups))
    d.set_title("Test error per temperature")
    d.bar(x - 0.2, [v[0] for _, v in groups], 0.4, color="C0")
    d.set_ylabel("energy RMSE (meV/atom)", color="C0")
    d.set_xticks(x, [k.removesuffix(" K") for k, _ in groups])
    d.set_xlabel("K")
    right = d.twinx()
    right.bar(x + 0.2, [v[1] for _, v in groups], 0.4, color="C1")
    right.set_ylabel("force RMSE (meV/Å)", color="C1")
    validation.draw_curves(e)
    validation.draw_elastic(f)
    validation.draw_rdf(g)
    validation.draw_drift(h)
    report.save(figure, path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
