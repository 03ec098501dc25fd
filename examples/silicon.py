"""The whole road in one program: sample Stillinger-Weber silicon, train a neural-network potential on it, run molecular dynamics with that.

    python examples/silicon.py [FOLDER]        # demo/ by default; about two minutes on two cores

Writes FOLDER/silicon.nnp, train.extxyz, test.extxyz, nve.extxyz, report.json and report.png.
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
from ase.calculators.singlepoint import SinglePointCalculator
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

import fastmd
from fastmd import _core
from fastmd.train import dataset, loop, report

LATTICE = 5.431                      # angstrom, Stillinger-Weber silicon
STATES = [("solid", 300), ("solid", 600), ("solid", 1000), ("solid", 1400), ("melt", 1700), ("melt", 2000)]
STRETCH = (0.98, 1.0, 1.02)          # of the lattice constant: three densities
TRAJECTORIES = 3                     # independent ones of each state and density; the last is for the test only
FRAMES, APART = 8, 100               # of each, and steps between two
FRICTION = 0.02                      # 1/fs

console = Console(highlight=False)


def sample(potential, state, temperature, stretch, seed):
    """Frames of one Langevin trajectory of 64 atoms, labelled by the potential that drives it."""
    atoms = bulk("Si", a=LATTICE * stretch, cubic=True) * (2, 2, 2)
    rng = np.random.default_rng(seed)
    if state == "melt":
        fastmd.maxwell_boltzmann(atoms, 7000, rng)
        fastmd.MD(atoms, potential, timestep=1, temperature=4000, friction=FRICTION, seed=rng).run(1500, every=1500)
    fastmd.maxwell_boltzmann(atoms, temperature, rng)
    md = fastmd.MD(atoms, potential, timestep=1.5, temperature=temperature, friction=FRICTION, seed=rng)
    md.run(1000, every=1000)
    frames = []
    for _ in range(FRAMES):
        md.run(APART, every=APART)
        frame = md.atoms.copy()
        frame.set_momenta(None)
        frame.info.update(trajectory=f"{state}-{temperature}K-{stretch}-{seed}", group=f"{temperature} K")
        r = potential.compute(frame)
        frame.calc = SinglePointCalculator(frame, energy=r.energy, forces=r.forces, stress=r.stress)
        frames.append(frame)
    return frames


def sample_all(potential):
    """(training frames, test frames): whole trajectories on either side"""
    jobs = [(state, t, s, k) for state, t in STATES for s in STRETCH for k in range(TRAJECTORIES)]
    training, test = [], []
    for seed, (state, t, s, k) in enumerate(track(jobs, "sampling", console=console, transient=True)):
        (test if k == TRAJECTORIES - 1 else training).extend(sample(potential, state, t, s, seed))
    return training, test


def crystal_at(potential, temperature, frames=None):
    """10 ps at constant energy after 2 ps of thermostat, 216 atoms, 1 fs: (Thermo, frames for the RDF)"""
    atoms = bulk("Si", a=LATTICE, cubic=True) * (3, 3, 3)
    fastmd.maxwell_boltzmann(atoms, 2 * temperature, 1)  # half of it goes into the springs
    fastmd.MD(atoms, potential, temperature=temperature, friction=FRICTION, seed=1).run(2000, every=2000)
    seen = []
    thermo = fastmd.MD(atoms, potential).run(10000, every=20, trajectory=frames, observers=[(lambda md: seen.append(md.atoms.copy()), 100)])
    return thermo, seen


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    reference = fastmd.StillingerWeber()
    console.print("[bold]1. Sampling[/] Stillinger-Weber silicon by molecular dynamics: solid and melt, 300-2000 K, three densities")
    training, test = sample_all(reference)
    ase.io.write(folder / "train.extxyz", training)
    ase.io.write(folder / "test.extxyz", test)
    console.print(f"   {len(training)} structures to train on, {len(test)} from other trajectories to test with ({time.monotonic() - began:.0f} s)")

    console.print("[bold]2. Training[/] on energies, forces and stress")
    train_began = time.monotonic()
    settings = loop.Settings(cutoff=4.2, hidden=(20, 20), max_seconds=80, epochs=100)  # the reference reaches 3.8 angstrom
    def line(h):
        if h["epoch"] % 3 == 1:
            console.print(f"   epoch {h['epoch']:3d}   validation: energy {h['validation_energy_rmse']:6.2f} meV/atom, forces {h['validation_force_rmse']:6.1f} meV/Å   {h['seconds']:4.0f} s")
    potential, history = loop.train(dataset.read(folder / "train.extxyz"), settings, report=line)
    potential.save(folder / "silicon.nnp")
    train_seconds = time.monotonic() - train_began
    errors = report.evaluate(potential, dataset.read(folder / "test.extxyz", group="group"))
    numbers = errors.numbers("test_")
    console.print(f"   {potential}, {potential.n_parameters} parameters ({train_seconds:.0f} s)")
    for name, (e, f) in by_temperature(errors):
        console.print(f"   {name:>8s}   energy {e:5.2f} meV/atom   forces {f:6.1f} meV/Å")

    console.print("[bold]3. Molecular dynamics[/] with it: 216 atoms at 600 K, 10 ps at constant energy")
    potential = fastmd.NNPotential.load(folder / "silicon.nnp")
    thermo, frames = crystal_at(potential, 600, folder / "nve.extxyz")
    _, expected = crystal_at(reference, 600)
    drift = fastmd.energy_drift(thermo.times, thermo.total, 216)
    r, g = fastmd.rdf(frames, 6.0, 120)
    _, g_reference = fastmd.rdf(expected, 6.0, 120)

    numbers |= {
        "nve_drift_mev_per_atom_per_ps": drift,
        "rdf_max_abs_difference": float(np.abs(g - g_reference).max()),
        "per_temperature": {k: {"energy_rmse_mev_per_atom": e, "force_rmse_mev_per_angstrom": f} for k, (e, f) in errors.per_group().items()},
        "training_structures": len(training), "test_structures": len(test), "n_parameters": potential.n_parameters,
        "train_seconds": train_seconds, "wall_seconds": time.monotonic() - began,
        "versions": {"fastmd": fastmd.__version__, "python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__,
                     "ase": ase.__version__, "matplotlib": matplotlib.__version__, "instruction_set": _core.isa(), "threads": _core.default_threads()},
    }
    draw(folder / "report.png", history, errors, (r, g, g_reference), thermo, drift)
    report.write_json(folder / "report.json", numbers)
    for key, unit in (("test_energy_rmse_mev_per_atom", "meV/atom"), ("test_force_rmse_mev_per_angstrom", "meV/Å"), ("nve_drift_mev_per_atom_per_ps", "meV/atom/ps"), ("rdf_max_abs_difference", ""), ("wall_seconds", "s")):
        console.print(f"   {key:36s} {numbers[key]:9.4g} {unit}")
    console.print(f"\nLook at {folder}/report.png; the potential is {folder}/silicon.nnp: atoms.calc = fastmd.Calculator(\"{folder}/silicon.nnp\")")


def by_temperature(errors):
    return sorted(errors.per_group().items(), key=lambda x: float(x[0].split()[0]))


def draw(path, history, errors, rdfs, thermo, drift):
    figure = Figure(figsize=(13, 8), layout="constrained")
    (a, b, c), (d, e, f) = figure.subplots(2, 3)
    report.learning_curve(a, history)
    report.parities(b, c, errors)
    groups = by_temperature(errors)
    x = np.arange(len(groups))
    d.set_title("Test error per temperature")
    d.bar(x - 0.2, [v[0] for _, v in groups], 0.4, color="C0")
    d.set_ylabel("energy RMSE (meV/atom)", color="C0")
    d.set_xticks(x, [k for k, _ in groups])
    right = d.twinx()
    right.bar(x + 0.2, [v[1] for _, v in groups], 0.4, color="C1")
    right.set_ylabel("force RMSE (meV/Å)", color="C1")
    r, g, g_reference = rdfs
    e.set_title("Radial distribution at 600 K")
    e.plot(r, g_reference, "k-", lw=2.5, alpha=0.35, label="Stillinger-Weber")
    e.plot(r, g, "C0-", lw=1, label="network")
    e.set_xlabel("r (Å)")
    e.set_ylabel("g(r)")
    e.legend()
    f.set_title(f"Total energy drifts {drift:+.1e} meV/atom/ps")
    n = 216  # atoms in crystal_at
    for y, label in ((thermo.total, "total"), (thermo.potential, "potential")):
        f.plot(thermo.times, 1e3 * (y - y[0]) / n, lw=0.8, label=label)
    f.set_xlabel("time (ps)")
    f.set_ylabel("E - E(0) (meV/atom)")
    f.legend()
    report.save(figure, path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
