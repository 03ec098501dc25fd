"""Times of the classical potentials: energy, per-atom energies, forces and virial on one thread, with the list given. Each case is right before it is timed.

The list is one with the skin that LAMMPS takes, 2 angstrom, so that the times stand beside those of its Pair line.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import fastmd

SKIN = 2.0


def rattled(atoms):
    atoms.positions += np.random.default_rng(1).normal(0, 0.08, atoms.positions.shape)
    return atoms


def argon():
    """4000 atoms"""
    return rattled(bulk("Ar", "fcc", a=5.3, cubic=True) * (10, 10, 10))


def silicon():
    """4096 atoms"""
    return rattled(bulk("Si", "diamond", a=5.431, cubic=True) * (8, 8, 8))


def silica():
    """Beta-cristobalite, 3000 atoms: silicon as in diamond, an oxygen in the middle of each bond"""
    atoms = bulk("Si", "diamond", a=7.16, cubic=True)
    bonds = 7.16 / 8 * np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    return rattled((atoms + Atoms("O16", (atoms.positions[::2, None] + bonds).reshape(-1, 3))) * (5, 5, 5))


def own(r):
    s6 = (3.4 / r) ** 6
    return 0.0416 * (s6 * s6 - s6), 0.0416 * (6 * s6 - 12 * s6 * s6) / r


@pytest.mark.parametrize("make, potential", [
    pytest.param(argon, lambda: fastmd.LennardJones(0.0104, 3.4, 5.0), id="lj-5"),
    pytest.param(argon, lambda: fastmd.LennardJones(0.0104, 3.4, 8.5), id="lj-8.5"),
    pytest.param(argon, lambda: fastmd.PairPotential(own, 8.5), id="own-8.5"),
    pytest.param(silicon, fastmd.StillingerWeber, id="sw"),
    pytest.param(silica, fastmd.Vashishta.silica, id="vashishta-1990"),
    pytest.param(silica, lambda: fastmd.Vashishta.silica(1994), id="vashishta-1994")])
def test_classical(benchmark, make, potential):
    atoms, p = make(), potential()
    kinds, x, cell, pairs = p.species(atoms.get_chemical_symbols()), atoms.positions, np.array(atoms.cell), fastmd.find_pairs(atoms, p.cutoff + SKIN)

    def energy(step):
        moved = x.copy()
        moved[7, 1] += step
        return p.evaluate(kinds, moved, cell, pairs)[0]

    force = p.evaluate(kinds, x, cell, pairs)[2][7, 1]
    assert force == pytest.approx(-(8 * (energy(1e-4) - energy(-1e-4)) - (energy(2e-4) - energy(-2e-4))) / 12e-4, rel=1e-4)
    benchmark(p.evaluate, kinds, x, cell, pairs)
