"""How good a potential is on labelled structures: numbers, and pictures of them."""

import json
from dataclasses import dataclass

import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import GPa

from .. import _check


@dataclass
class Errors:
    """Labels and predictions side by side: energies per atom in eV, force components in eV/angstrom, stress components in GPa; group of each structure"""

    energy: np.ndarray       # (structures with a label, 2)
    force: np.ndarray        # (components with a label, 2)
    stress: np.ndarray       # (components with a label, 2)
    groups: list             # of the structures with an energy
    force_groups: np.ndarray  # group of each force component

    def numbers(self, prefix=""):
        """{energy,force,stress}_{rmse,mae}_{unit}; null where there is no label"""
        found = {}
        for name, pairs, unit, scale in (("energy", self.energy, "mev_per_atom", 1e3), ("force", self.force, "mev_per_angstrom", 1e3), ("stress", self.stress, "gpa", 1.0)):
            d = scale * (pairs[:, 1] - pairs[:, 0])
            found[f"{prefix}{name}_rmse_{unit}"] = float(np.sqrt(np.mean(d**2))) if len(d) else None
            found[f"{prefix}{name}_mae_{unit}"] = float(np.mean(np.abs(d))) if len(d) else None
        return found

    def per_group(self):
        """{group: (energy RMSE in meV/atom, force RMSE in meV/angstrom)}"""
        found = {}
        for g in sorted({*self.groups, *self.force_groups}):
            e = self.energy[[x == g for x in self.groups]]
            f = self.force[self.force_groups == g]
            found[g] = tuple(1e3 * float(np.sqrt(np.mean((p[:, 1] - p[:, 0]) ** 2))) if len(p) else None for p in (e, f))
        return found


def evaluate(potential, structures):
    """Errors of a potential on labelled structures (from dataset.read). Raises ValueError for an element the potential lacks."""
    energy, force, stress, groups, force_groups = [], [], [], [], []
    for k, s in enumerate(structures):
        try:
            r = potential.compute(s.atoms)
        except ValueError as e:
            raise ValueError(f"structure {k} ({s.atoms.get_chemical_formula()}): {e}") from None
        n = len(s.atoms)
        if n and np.isfinite(s.energy):
            energy.append((s.energy / n, r.energy / n))
            groups.append(s.group)
        yes = np.isfinite(s.forces)
        force.append(np.column_stack([s.forces[yes], r.forces[yes]]))
        force_groups += [s.group] * int(yes.sum())
        if r.stress is not None:
            yes = np.isfinite(s.stress)
            stress.append(np.column_stack([s.stress[yes], voigt_6_to_full_3x3_stress(r.stress)[yes]]) / GPa)
    return Errors(np.array(energy).reshape(-1, 2), np.concatenate([np.zeros((0, 2)), *force]), np.concatenate([np.zeros((0, 2)), *stress]), groups, np.array(force_groups, dtype=object))


def write_json(path, numbers):
    _check.write_text(path, json.dumps(numbers, indent=2) + "\n")


def learning_curve(axes, history):
    axes.set_title("Learning curve")
    for key, style in (("train", "-"), ("validation", "--")):
        for what, color, label in (("energy", "C0", f"energy, {key} (meV/atom)"), ("force", "C1", f"forces, {key} (meV/Å)")):
            if f"{key}_{what}_rmse" in history[0]:
                axes.semilogy([h["epoch"] for h in history], [h[f"{key}_{what}_rmse"] for h in history], style, color=color, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("RMSE")
    axes.legend(fontsize=7)


def parity(axes, pairs, what, unit, error):
    """Prediction against reference"""
    axes.set_title(f"{what}: test RMSE {error}")
    if len(pairs):
        axes.plot(*pairs.T, ".", ms=2, alpha=0.4, rasterized=True)
        ends = [pairs.min(), pairs.max()]
        axes.plot(ends, ends, "k-", lw=0.7)
    axes.set_xlabel(f"reference ({unit})")
    axes.set_ylabel(f"predicted ({unit})")


def picture(path, history, errors):
    """Learning curve, and parity of energies and forces, as a PNG"""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    a, b, c = figure.subplots(1, 3)
    learning_curve(a, history)
    parities(b, c, errors)
    save(figure, path)


def parities(a, b, errors):
    n = errors.numbers()
    show = lambda x, unit: "no labels" if x is None else f"{x:.3g} {unit}"  # noqa: E731
    parity(a, errors.energy, "Energy", "eV/atom", show(n["energy_rmse_mev_per_atom"], "meV/atom"))
    parity(b, errors.force, "Forces", "eV/Å", show(n["force_rmse_mev_per_angstrom"], "meV/Å"))


def save(figure, path):
    try:
        figure.savefig(path, dpi=120)
    except OSError as e:
        raise ValueError(f"{path}: cannot be written ({e.strerror})") from None
