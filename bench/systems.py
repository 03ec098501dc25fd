"""The systems that bench/ times, all made by code from fixed seeds; silicon of any size is `silicon` of yardstick.py."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

import fastmd

MOLECULE = np.array([[0, 0, 0], [0.9572, 0, 0], [-0.2400, 0.9266, 0]])  # O, H, H


def water(repeat):
    """Molecules of water on a jittered lattice, each turned its own way, at 1 g/cm^3: as many neighbours as the liquid has, and no structure"""
    rng = np.random.default_rng(4)
    spacing = 3.1042
    sites = np.stack(np.meshgrid(*map(np.arange, repeat), indexing="ij"), -1).reshape(-1, 3) * spacing
    turns = Rotation.random(len(sites), random_state=4).as_matrix()
    positions = (sites + rng.uniform(-0.25, 0.25, sites.shape))[:, None] + np.einsum("mab,kb->mka", turns, MOLECULE)
    return Atoms(["O", "H", "H"] * len(sites), positions.reshape(-1, 3), cell=spacing * np.array(repeat), pbc=True)


def rattled(atoms, by):
    atoms.positions += np.random.default_rng(1).normal(0, by, atoms.positions.shape)
    return atoms


def fcc(cells, a, symbol="Cu"):
    """4 cells^3 atoms"""
    return rattled(bulk(symbol, "fcc", a=a, cubic=True) * (cells, cells, cells), 0.05)


def cristobalite(cells):
    """24 cells^3 atoms of beta-cristobalite: silicon as in diamond, an oxygen in the middle of each bond"""
    a = 7.16
    atoms = bulk("Si", "diamond", a=a, cubic=True)
    bonds = a / 8 * np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    return rattled((atoms + Atoms("O16", (atoms.positions[::2, None] + bonds).reshape(-1, 3))) * (cells, cells, cells), 0.05)


def triclinic():
    """216 atoms of silicon in a skewed cell"""
    atoms = bulk("Si", "diamond", a=5.431, cubic=True) * (3, 3, 3)
    atoms.set_cell(np.array(atoms.cell) @ np.array([[1, 0, 0], [0.25, 1, 0], [-0.3, 0.2, 1]]), scale_atoms=True)
    return rattled(atoms, 0.05)


def water_potential():
    """About the size of published potentials for water: 16 G2 and 15 (hydrogen: 10) G4, 25-25 nodes, random weights"""
    cutoff = 6.35
    radial = [(0.003, 0), (0.05, 0), (0.11, 0), (0.25, 0), (0.5, 0), (0.1, 2), (0.2, 3), (0.5, 1.5)]
    pairs = {"H": [("H", "O"), ("O", "O")], "O": [("H", "H"), ("H", "O"), ("O", "O")]}
    narrow = [(0.01, -1, 4), (0.01, 1, 4), (0.03, -1, 1), (0.03, 1, 1), (0.1, 1, 1)]
    functions = {e: [fastmd.G2(other, cutoff, eta, rs, "tanh3") for other in ("H", "O") for eta, rs in radial]
                 + [fastmd.G4(a, b, cutoff, *p, "tanh3") for a, b in pairs[e] for p in narrow] for e in pairs}
    values = fastmd.Descriptor(functions).describe(water((3, 3, 3)))
    statistics = {e: np.column_stack([G.min(0), G.max(0), G.mean(0), G.std(0)]) for e, G in values.items()}
    networks = {e: fastmd.Network.random(len(functions[e]), (25, 25), rng=3) for e in functions}
    return fastmd.NNPotential(functions, networks, ("center-minmax", 0, 1), statistics, threads=1)
