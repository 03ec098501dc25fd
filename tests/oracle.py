"""The slow, obvious versions, straight from the formulas. What is fast in fastmd is tested against these; nothing here is shared with it."""

import itertools
import math

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from scipy.special import betainc


def neighbours(x, cell, pbc, cutoff):
    """[(i, j, shift, d), ...] with |d| < cutoff: every image that could be within reach is looked at."""
    x, cell, pbc = np.asarray(x, float), np.asarray(cell, float), np.asarray(pbc, bool)
    vectors = cell[pbc]
    found = []
    inverse = np.linalg.pinv(vectors) if len(vectors) else np.zeros((3, 0))
    reach = cutoff * np.linalg.norm(inverse, axis=0)
    for i in range(len(x)):
        for j in range(len(x)):
            d0 = x[j] - x[i]
            f = d0 @ inverse
            ranges = [range(math.floor(-a - r) - 1, math.ceil(-a + r) + 2) for a, r in zip(f, reach)]
            s = list(itertools.product(*ranges))
            s = np.array(s, int).reshape(len(s), len(vectors))
            d = d0 + s @ vectors
            for k in np.flatnonzero(np.einsum("ma,ma->m", d, d) < cutoff**2):
                if i == j and not s[k].any():
                    continue
                shift = np.zeros(3, int)
                shift[pbc] = s[k]
                found.append((i, j, tuple(map(int, shift)), d[k]))
    return found


def core(kind, x):
    """polyK: 1 at x = 0, 0 at 1, K derivatives zero at both: the regularised incomplete beta function of 1 - x. Or exp(1 - 1 / (1 - x^2))."""
    if x >= 1:
        return 0.0
    if kind in ("exp", "e"):
        return math.exp(1 - 1 / (1 - x * x))
    order = int(kind[-1])
    return float(betainc(order + 1, order + 1, 1 - x))


def fc(kind, r, rc, alpha=0.0):
    if r >= rc:
        return 0.0
    if kind == "hard":
        return 1.0
    if kind in ("tanh3", "tanh3n"):
        return math.tanh(1 - r / rc) ** 3 / (math.tanh(1) ** 3 if kind == "tanh3n" else 1)
    x = max((r - alpha * rc) / (rc - alpha * rc), 0.0)
    return 0.5 * (math.cos(math.pi * x) + 1) if kind == "cosine" else core(kind, x)


def window(kind, x, left, right):
    """The compact function of left..right; kind: p1 ... p4, e, and with an a after it asymmetric"""
    x = abs(x - (left + right) / 2) / ((right - left) / 2)
    if x >= 1:
        return 0.0
    return core(kind.rstrip("a"), (2 - x) * x if kind.endswith("a") else x)


def symmetry_function(f, around):
    """One function of one atom; around: [(symbol, d), ...] of its neighbours."""
    def shape(r):
        if f.kind >= 20:
            return window(f.cutoff_type, r, f.left, f.cutoff)
        return (math.cos(f.kappa * r) if f.kind == 3 else math.exp(-f.eta * (r - f.rs) ** 2)) * fc(f.cutoff_type, r, f.cutoff, f.alpha)

    weighted = f.kind in (12, 13, 23, 24, 25)
    near = [(s, d, math.sqrt(d @ d)) for s, d in around]
    total = 0.0
    if f.kind in (1, 2, 3, 12, 20, 23):
        for s, _, r in near:
            if weighted or s == f.elements[0]:
                total += (atomic_numbers[s] if weighted else 1) * shape(r)
        return total
    near = [n for n in near if n[2] < f.cutoff]
    for (sj, dj, rj), (sk, dk, rk) in itertools.combinations(near, 2):
        if not weighted and sorted((sj, sk)) != sorted(f.elements):
            continue
        cos = dj @ dk / (rj * rk)
        if f.kind >= 20:
            theta = math.degrees(math.acos(min(max(cos, -1), 1)))
            angle = window(f.cutoff_type.rstrip("a"), theta, f.angle_left, f.angle_right)
        else:
            angle = 2 ** (1 - f.zeta) * max(1 + f.lambda_ * cos, 0.0) ** f.zeta
        if weighted:
            angle *= atomic_numbers[sj] * atomic_numbers[sk]
        if f.kind in (4, 13, 21, 24):
            angle *= shape(math.sqrt((dk - dj) @ (dk - dj)))
        total += angle * shape(rj) * shape(rk)
    return total


def values(functions, atoms, length=1.0):
    """[G_i of each atom, (functions of its element,)]; length: the functions' unit in angstrom"""
    symbols, x, cell = atoms.get_chemical_symbols(), atoms.positions / length, np.array(atoms.cell) / length
    reach = max([f.cutoff for fs in functions.values() for f in fs], default=1.0)
    around = [[] for _ in symbols]
    for i, j, _, d in neighbours(x, cell, atoms.pbc, reach):
        around[i].append((symbols[j], d))
    return [np.array([symmetry_function(f, a) for f in functions[s]]) for s, a in zip(symbols, around)]


ACTIVATION = {
    "identity": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "gaussian": lambda x: np.exp(-(x**2) / 2),
    "cos": np.cos,
    "revlogistic": lambda x: 1 - 1 / (1 + np.exp(-x)),
    "exp": lambda x: np.exp(-x),
    "harmonic": lambda x: x**2,
}


def mlp(network, x):
    for weights, bias, activation in network.layers:
        x = ACTIVATION[activation](weights @ x + bias)
    return float(x[0])


def scaled(scaling, G, statistics):
    kind, low, high = scaling
    if kind == "none":
        return G
    least, most, mean, sigma = np.asarray(statistics, float).T
    if kind == "minmax":
        return low + (high - low) * (G - least) / (most - least)
    if kind == "center":
        return G - mean
    if kind == "center-minmax":
        return low + (high - low) * (G - mean) / (most - least)
    return low + (high - low) * (G - mean) / sigma


def energies(p, atoms):
    """Per-atom energies in eV of an NNPotential."""
    out = []
    for s, G in zip(atoms.get_chemical_symbols(), values(p.functions, atoms, p.units[1])):
        x = scaled(p.scaling, G, None if p.statistics is None else p.statistics[s])
        out.append((mlp(p.networks[s], x) + p.offsets[s]) * p.units[3])
    return np.array(out)


# ---- derivatives by central differences, five points: the error goes with step^4

STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


def strained(atoms, h):
    """cell -> cell (1 + h), positions -> positions (1 + h)"""
    m = np.eye(3) + h
    return Atoms(atoms.get_chemical_symbols(), positions=atoms.positions @ m, cell=np.array(atoms.cell) @ m, pbc=atoms.pbc)


def gradient(value, atoms, step=5e-4):
    """d value(atoms) / dx: (n, 3, ...)"""
    rows = []
    for i in range(len(atoms)):
        for a in range(3):
            total = 0
            for k, c in STENCIL:
                moved = atoms.copy()
                moved.positions[i, a] += k * step
                total = total + c / step * value(moved)
            rows.append(total)
    return np.array(rows).reshape(len(atoms), 3, *np.shape(rows[0])) if rows else np.zeros((0, 3))


def strain_gradient(value, atoms, step=2e-4):
    """d value(atoms) / dh: (3, 3, ...)"""
    rows = []
    for a in range(3):
        for b in range(3):
            h = np.zeros((3, 3))
            total = 0
            for k, c in STENCIL:
                h[a, b] = k * step
                total = total + c / step * value(strained(atoms, h))
            rows.append(total)
    return np.array(rows).reshape(3, 3, *np.shape(rows[0]))


def forces(energy, atoms, step=5e-4):
    return -gradient(energy, atoms, step)


def virial(energy, atoms, step=2e-4):
    return -strain_gradient(energy, atoms, step)
