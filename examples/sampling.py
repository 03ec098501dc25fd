"""Does force-dependent sampling make a better training set? Three ways of choosing structures from the same molecular dynamics, compared.

    python examples/sampling.py [FOLDER] [--quick]     # sampling/ by default; under ten minutes on one core, --quick half a minute

Stillinger-Weber silicon is heated from 300 to 2500 K: as a crystal, from random displacements and from a quenched melt, at three densities.
From these trajectories, structures are chosen by the force-dependent interval, at equal intervals and at random, as many each time; a network
is trained on each set, with three seeds that change the choice and the first weights, and tested on trajectories of other seeds.
Writes FOLDER/sampling.json, sampling.png and the sets.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
from ase.build import bulk
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

import fastmd
from fastmd.train import dataset, loop, report

PLAN = fastmd.SamplingPlan(temperatures=((300, 2500),), stretches=(0.98, 1.0, 1.02), starts=("given", "rattled", "molten"), steps=3000, friction=0.02, seed=1)
RULES = {"force-dependent": fastmd.Interval(alpha=550, tau_max=250), "equal intervals": fastmd.EqualInterval(125), "random": fastmd.RandomChoice(125)}
STRUCTURES, SEEDS = 60, 3          # to train on, of the 216 or so that each rule finds; repetitions
TEST = fastmd.EqualInterval(100)
SETTINGS = loop.Settings(cutoff=4.2, hidden=(16, 16), epochs=20, patience=20, max_seconds=100)
EDGES = (0, 1, 2, 3, 4, 5, np.inf)  # eV/angstrom

console = Console(highlight=False)


def thinned(frames, n, seed):
    """n of the frames, evenly over their order, which keeps their distribution; each seed has others"""
    return [frames[int((k + seed / SEEDS) * len(frames) / n)] for k in range(n)]


def binned(potential, tests):
    """(force RMSE in meV/angstrom by size of the reference force, energy RMSE in meV/atom, force RMSE in meV/angstrom)"""
    errors = report.evaluate(potential, tests)
    reference, got = errors.force.reshape(-1, 3, 2).transpose(2, 0, 1)
    square = ((got - reference) ** 2).mean(1)
    size = np.linalg.norm(reference, axis=1)
    rows = [square[(size >= a) & (size < b)] for a, b in zip(EDGES, EDGES[1:])]
    numbers = errors.numbers()
    return [1e3 * float(np.sqrt(r.mean())) if len(r) else np.nan for r in rows], numbers["energy_rmse_mev_per_atom"], numbers["force_rmse_mev_per_angstrom"]


def forces_of(structures):
    """(atoms,) eV/angstrom"""
    return np.concatenate([np.linalg.norm(s.forces, axis=1) for s in structures])


def main(folder, quick=False):
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    plan, structures, seeds, settings = PLAN, STRUCTURES, SEEDS, SETTINGS
    if quick:
        plan, structures, seeds, settings = replace(plan, stretches=(1.0,), steps=600, melt_steps=500), 8, 2, replace(settings, hidden=(6,), epochs=2)
    start, reference = bulk("Si", a=5.431, cubic=True) * (2, 2, 2), fastmd.StillingerWeber()
    console.print(f"[bold]1. Sampling[/] {len(plan)} trajectories of {plan.steps} steps, once for each rule and once for the test")
    frames = {}
    for name, rule in RULES.items():
        file = folder / f"{name.replace(' ', '-')}.extxyz"
        fastmd.sample_pool(file, start, reference, rule, plan)
        frames[name] = ase.io.read(file, ":")
    fastmd.sample_pool(folder / "test.extxyz", start, reference, TEST, replace(plan, seed=plan.seed + 1))
    tests = dataset.read(folder / "test.extxyz")
    sizes = forces_of(tests)
    counts = [int(((sizes >= a) & (sizes < b)).sum()) for a, b in zip(EDGES, EDGES[1:])]
    found = ", ".join(f"{name} {len(f)}" for name, f in frames.items())
    console.print(f"   found: {found}; {structures} of each to train on; {len(tests)} to test with ({time.monotonic() - began:.0f} s)")

    console.print(f"[bold]2. Training[/] {seeds} networks on each kind of set")
    results, training = {name: [] for name in RULES}, {name: [] for name in RULES}
    for seed in track(range(seeds), "training", console=console, transient=True):
        for name in RULES:
            file = folder / f"{name.replace(' ', '-')}-{seed}.extxyz"
            ase.io.write(file, thinned(frames[name], structures, seed))
            data = dataset.read(file)
            potential, _ = loop.train(data, replace(settings, seed=seed))
            results[name].append(binned(potential, tests))
            training[name].append(forces_of(data))

    table = Table(title="Test force RMSE (meV/Å) by size of the force", caption=f"mean ± standard deviation of {seeds} sets of {structures} structures")
    table.add_column("force (eV/Å)")
    table.add_column("atoms", justify="right")
    for name in RULES:
        table.add_column(name, justify="right")
    rows = {name: np.array([r[0] for r in found]) for name, found in results.items()}
    spread = lambda x: f"{np.mean(x):.1f} ± {np.std(x, ddof=1):.1f}"  # noqa: E731
    for k, (a, b) in enumerate(zip(EDGES, EDGES[1:])):
        table.add_row(f"{a} - {b}" if np.isfinite(b) else f"over {a}", str(counts[k]), *(spread(rows[name][:, k]) if counts[k] else "-" for name in RULES))
    table.add_row("all forces", str(len(sizes)), *(spread([r[2] for r in found]) for found in results.values()), style="bold")
    table.add_row("energy (meV/atom)", "", *(spread([r[1] for r in found]) for found in results.values()), style="bold")
    console.print(table)

    report.write_json(folder / "sampling.json", {
        "structures": structures, "seeds": seeds, "test_structures": len(tests), "force_edges_ev_per_angstrom": list(EDGES[:-1]), "test_atoms": counts,
        "rules": {name: {"rule": repr(RULES[name]), "found": len(frames[name]), "mean_training_force_ev_per_angstrom": float(np.concatenate(training[name]).mean()),
                         "force_rmse_mev_per_angstrom": [r[2] for r in found], "energy_rmse_mev_per_atom": [r[1] for r in found],
                         "force_rmse_by_force": [[x if np.isfinite(x) else None for x in r[0]] for r in found]} for name, found in results.items()},
        "wall_seconds": time.monotonic() - began})
    draw(folder / "sampling.png", training, results, counts)
    console.print(f"Look at {folder}/sampling.png ({time.monotonic() - began:.0f} s)")


def draw(path, training, results, counts):
    figure = Figure(figsize=(13, 4), layout="constrained")
    a, b, c = figure.subplots(1, 3, width_ratios=(3, 4, 2))
    a.set_title("Forces in the training sets")
    edges = np.linspace(0, max(f.max() for sets in training.values() for f in sets), 41)
    for name, sets in training.items():
        a.stairs(np.histogram(np.concatenate(sets), edges, density=True)[0], edges, label=name)
    a.set_xlabel("force on an atom (eV/Å)")
    a.set_ylabel("probability density (Å/eV)")
    a.set_yscale("log")
    a.legend()
    b.set_title("Test error by size of the force")
    there = [k for k, n in enumerate(counts) if n]
    x = np.arange(len(there))
    for k, (name, found) in enumerate(results.items()):
        rows = np.array([r[0] for r in found])[:, there]
        b.errorbar(x + 0.15 * (k - 1), rows.mean(0), rows.std(0, ddof=1), fmt="o", ms=4, capsize=3, label=name)
    b.set_xticks(x, [f"{EDGES[k]}-{EDGES[k + 1]}\n{counts[k]}" if np.isfinite(EDGES[k + 1]) else f"> {EDGES[k]}\n{counts[k]}" for k in there])
    b.set_xlabel("force (eV/Å), and how many atoms of the test have it")
    b.set_ylabel("force RMSE (meV/Å)")
    b.set_ylim(bottom=0)
    b.legend()
    c.set_title("Test error of the energy")
    for k, (name, found) in enumerate(results.items()):
        energy = [r[1] for r in found]
        c.errorbar(k, np.mean(energy), np.std(energy, ddof=1), fmt="o", ms=4, capsize=3, color=f"C{k}")
        c.plot([k] * len(energy), energy, "x", color=f"C{k}", alpha=0.6)
    c.set_xticks(range(len(results)), [name.replace(" ", "\n").replace("-", "-\n") for name in results])
    c.set_xlim(-0.5, len(results) - 0.5)
    c.set_ylabel("energy RMSE (meV/atom)")
    c.set_ylim(0, 1.1 * max(r[1] for found in results.values() for r in found))
    report.save(figure, path)


if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if a != "--quick"]
    main(Path(names[0] if names else "sampling"), quick="--quick" in sys.argv)
