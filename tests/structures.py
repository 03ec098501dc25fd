"""Structures that are hard on a neighbour list or a kernel, and random potentials."""

import itertools

import numpy as np
from ase import Atoms

import fastmd
from fastmd.network import ACTIVATIONS
from fastmd.symmetry import CORE_TYPES, CUTOFF_TYPES

GROWING = ("exp", "harmonic")  # from layer to layer
WINDOWS = ((0, 180), (25, 110), (-70, 70), (100, 260))
SYMBOLS = ("H", "O", "Si")


def scatter(rng, n, box, closest):
    """n points in a box (an array of row vectors), none closer to another (or its image in the box) than `closest`"""
    points = []
    images = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) @ box
    while len(points) < n:
        p = rng.random(3) @ box
        if all(np.linalg.norm(p - q + images, axis=1).min() > closest for q in points):
            points.append(p)
    return np.array(points).reshape(-1, 3)


def hard(n_elements=2):
    """{name: Atoms}; small, so that finite differences stay cheap"""
    rng = np.random.default_rng(20261121)
    kinds = SYMBOLS[:n_elements]

    def name(n):
        return [kinds[k % n_elements] for k in range(n)]

    def make(x, cell=None, pbc=False):
        return Atoms(name(len(x)), positions=x, cell=cell, pbc=pbc)

    skew = np.array([[4.1, 0, 0], [3.2, 3.9, 0], [-2.5, 1.7, 4.4]])
    found = {"skewed cell": make(scatter(rng, 4, skew, 1.3), skew, True)}
    found["left-handed cell"] = make(scatter(rng, 3, skew[[1, 0, 2]], 1.3), skew[[1, 0, 2]], True)
    tiny = np.array([[2.1, 0, 0], [0.9, 2.3, 0], [0.4, -0.7, 2.5]])
    found["one atom in a tiny cell"] = make([[0.3, 0.2, 0.1]], tiny, True)
    found["two atoms in a tiny cell"] = make([[0.3, 0.2, 0.1], [1.5, 1.2, 1.4]], tiny, True)
    box = np.diag([3.7, 4.1, 4.6])
    points = scatter(rng, 4, box, 1.4)
    for mask in itertools.product((False, True), repeat=3):
        cell = np.where(np.array(mask)[:, None], box, 0.0)
        found["periodic " + ("".join(c for c, m in zip("abc", mask) if m) or "nowhere")] = make(points, cell, mask)
    slab = np.array([[3.7, 0, 0], [1.1, 3.9, 0.6], [0, 0, 0]])
    found["skewed slab"] = make(points, slab, [True, True, False])
    found["molecule"] = make(scatter(rng, 6, np.eye(3) * 4, 1.0))
    found["linear chain"] = make([[0, 0, 0], [1.5, 0, 0], [3.0, 0, 0], [-1.25, 0, 0]])
    found["slanted chain"] = make(np.outer([0, 1, 2, -1], [0.9, 0.8, -0.7]))
    found["linear crystal"] = make([[0, 0, 0], [1.9, 0, 0]], np.diag([3.8, 3.8, 3.8]), True)
    found["lone atom"] = make([[0.1, 0.2, 0.3]])
    found["atoms on faces"] = make([[0, 0, 0], [2.1, 2.1, 0], [4.2, 2.1, 2.1], [0, 2.1, 4.2], [2.1, 4.2, 2.1]], np.eye(3) * 4.2, True)
    far = found["skewed cell"].copy()
    far.positions += rng.integers(-60, 60, (len(far), 3)) @ skew
    found["atoms far outside the cell"] = far
    return found


def random_structure(rng, n=24, n_elements=2, pbc=True, volume=14.0, closest=1.4):
    cell = np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3))
    cell *= (n * volume / abs(np.linalg.det(cell))) ** (1 / 3)
    return Atoms(rng.choice(SYMBOLS[:n_elements], n), positions=scatter(rng, n, cell, closest), cell=cell, pbc=pbc)


def random_functions(rng, elements, cutoff=4.0, length=1.0):
    """{element: functions of every kind, mixed}, in the unit of length"""
    out = {}
    for e in elements:
        fs = []
        for a in elements:
            kind, core = rng.choice(CUTOFF_TYPES[1:]), rng.choice(CORE_TYPES)
            rc = cutoff * rng.choice([0.8, 1.0])
            fs.append(fastmd.G1(a, rc / length, kind))
            for _ in range(2):
                fs.append(fastmd.G2(a, cutoff / length, rng.uniform(0.1, 2) * length**2, rng.uniform(0, 3) / length, kind))
            fs.append(fastmd.G3(a, rc / length, rng.uniform(0.5, 2) * length, kind, alpha=rng.choice([0, 0.4])))
            fs.append(fastmd.G20(a, rc / length, rng.uniform(-3, 2) / length, core))
        for k, a in enumerate(elements):
            for b in elements[k:]:
                for make in (fastmd.G4, fastmd.G5):
                    for _ in range(2):
                        zeta = rng.choice([1, 2, 3.5, 4, 16])
                        fs.append(make(a, b, rng.choice([0.9, 1.0]) * cutoff / length, rng.uniform(0.0, 0.1) * length**2, rng.choice([-1, 1, 0.5]), zeta, kind))
                for make in (fastmd.G21, fastmd.G22):
                    fs.append(make(a, b, cutoff / length, rng.uniform(-4, 1) / length, *WINDOWS[rng.integers(len(WINDOWS))], core))
        fs += [fastmd.G12(cutoff / length, rng.uniform(0.1, 1) * length**2, 1 / length, kind), fastmd.G23(cutoff / length, -1 / length, core),
               fastmd.G13(cutoff / length, rng.uniform(0.0, 0.1) * length**2, -1, 2, 0.5 / length, kind, 0.2)]
        fs += [make(cutoff / length, rng.uniform(-4, 1) / length, *WINDOWS[rng.integers(len(WINDOWS))], core) for make in (fastmd.G24, fastmd.G25)]
        out[e] = [fs[k] for k in rng.permutation(len(fs))]
    return out


def random_potential(rng, elements=("H", "O"), scaling="center", activation=None, units=("angstrom", 1.0, "eV", 1.0), cutoff=4.0, **kwargs):
    """Each element with a network of its own depth and widths; activation None: mixed"""
    functions = random_functions(rng, elements, cutoff, units[1])
    networks, statistics = {}, {}
    for k, e in enumerate(elements):
        sizes = [len(functions[e]), *rng.integers(1, 14, rng.integers(0, 4)), 1]
        layers = []
        for n_in, n_out in zip(sizes, sizes[1:]):
            kind = activation or rng.choice([a for a in ACTIVATIONS if a not in GROWING])
            layers.append((rng.normal(0, n_in**-0.5, (n_out, n_in)) * (0.2 if kind in GROWING else 1), rng.normal(0, 0.3, n_out), str(kind)))
        # what is weighted with atomic numbers must not drown the rest, nor all of it together saturate the network
        size = np.array([3.0 if f.elements else 3 * 14.0**f.neighbours for f in functions[e]])
        if scaling in ("none", "center"):
            layers[0] = (layers[0][0] / size, *layers[0][1:])
        w, b, _ = layers[-1]
        layers[-1] = (w, b, activation if activation and len(layers) == 1 else "identity")
        networks[e] = fastmd.Network(tuple(layers))
        least = rng.uniform(0, 1, sizes[0])
        most = least + rng.uniform(0.5, 2, sizes[0])
        statistics[e] = np.column_stack([least, most, least + 0.4 * (most - least), 0.3 * (most - least)]) * size[:, None]
    offsets = {e: rng.normal() for e in elements}
    return fastmd.NNPotential(functions, networks, (scaling, -0.5, 1.5) if scaling != "none" else ("none", 0.0, 1.0), statistics, offsets,
                              {"seed": "a note # with a hash"}, units, **kwargs)


def reference_results():
    """What every instruction set must agree on: {name: array}"""
    rng = np.random.default_rng(7)
    out = {}
    for k in (1, 2, 3):
        p = random_potential(rng, SYMBOLS[:k], "sigma", "tanh")
        for name, atoms in {**hard(k), "big": random_structure(rng, 70, k)}.items():
            r = p.compute(atoms)
            out |= {f"{k} {name} energies": r.energies, f"{k} {name} forces": r.forces, f"{k} {name} virial": r.virial}
    return out
