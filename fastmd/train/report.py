"""How good a potential is on labelled structures: numbers, and pictures of them."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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


    def group_numbers(self):
        """The same with names, for report.json"""
        return {g: {"energy_rmse_mev_per_atom": e, "force_rmse_mev_per_angstrom": f} for g, (e, f) in self.per_group().items()}


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


def make_folder(path):
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ValueError(f"{path}: cannot be made ({e.strerror}); choose another place") from None


def write_json(path, numbers):
    _check.write_text(path, json.dumps(numbers, indent=2) + "\n")


@contextmanager
def scalars(folder):
    """A function that writes a line of the history for TensorBoard, or does nothing where folder is None. Raises ValueError if tensorboard is not installed."""
    if folder is None:
        yield lambda line: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard is not installed: pip install tensorboard, or leave --tensorboard out") from None
    make_folder(folder)
    with SummaryWriter(folder) as writer:
        def write(line):
            for key, x in line.items():
                if key not in ("epoch", "seconds"):
                    part, _, what = key.partition("_")
                    writer.add_scalar(f"{what}/{part}" if part in ("train", "validation") else key, x, line["epoch"])
            writer.flush()
        yield write


def learning_curve(axes, history):
    axes.set_title("Learning curve")
    for key, style in (("train", "-"), ("validation", "--")):
        for what, color, label in (("energy", "C0", f"energy, {key} (meV/atom)"), ("force", "C1", f"forces, {key} (meV/Å)"), ("stress", "C2", f"stress, {key} (GPa)")):
            if f"{key}_{what}_rmse" in history[0]:
                axes.semilogy([h["epoch"] for h in history], [h[f"{key}_{what}_rmse"] for h in history], style, color=color, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("RMSE")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.45)  # room for the legend above the curves
    axes.legend(fontsize=6, loc="upper right", ncols=2, columnspacing=1, handlelength=1.5)


def parity(axes, pairs, what, unit, error):
    """Prediction against reference"""
    axes.set_title(f"{what}: RMSE {error}")
    if len(pairs):
        axes.plot(*pairs.T, ".", ms=2 if len(pairs) > 300 else 6, alpha=0.4, rasterized=True)
        ends = [pairs.min(), pairs.max()]
        axes.plot(ends, ends, "k-", lw=0.7, zorder=0)
    axes.set_xlabel(f"reference ({unit})")
    axes.set_ylabel(f"predicted ({unit})")


def picture(path, history, errors):
    """Learning curve (where there is a history), parity of energies, forces and stress, and errors per group (where there are several), as a PNG"""
    from matplotlib.figure import Figure

    groups = errors.per_group()
    panels = ["energy", "force"] + ["stress"] * bool(len(errors.stress)) + ["groups"] * (len(groups) > 1)
    panels = ["curve"] * bool(history) + panels
    rows = 1 if len(panels) <= 3 else 2
    columns = -(-len(panels) // rows)
    panels += panels[-1:] * (rows * columns - len(panels))  # the last is wider
    mosaic = [panels[k * columns:(k + 1) * columns] for k in range(rows)]
    figure = Figure(figsize=(4.4 * columns, 4 * rows), layout="constrained")
    axes = figure.subplot_mosaic(mosaic)
    if history:
        learning_curve(axes["curve"], history)
    parities(axes["energy"], axes["force"], errors)
    if "stress" in axes:
        parity(axes["stress"], errors.stress, "Stress", "GPa", f"{errors.numbers()['stress_rmse_gpa']:.3g} GPa")
    if "groups" in axes:
        bars(axes["groups"], groups)
    save(figure, path)


def bars(axes, groups):
    """Energy and force RMSE of each group, side by side; groups: of Errors.per_group"""
    names = sorted(groups, key=lambda g: -(groups[g][1] or groups[g][0] or 0))
    if len(names) > 24:
        names = names[:24]
        axes.set_title(f"Error per group: the worst 24 of {len(groups)}")
    else:
        axes.set_title("Error per group")
    x = np.arange(len(names))
    right = axes.twinx()
    for a, k, side, color, label in ((axes, 0, -0.2, "C0", "energy RMSE (meV/atom)"), (right, 1, 0.2, "C1", "force RMSE (meV/Å)")):
        a.bar(x + side, [groups[g][k] or 0 for g in names], 0.4, color=color)
        a.set_ylabel(label, color=color)
    axes.set_xticks(x, [g or "(none)" for g in names], rotation=60 if len(names) > 4 else 0, ha="right" if len(names) > 4 else "center", fontsize=7)


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
