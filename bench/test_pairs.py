"""Times of the neighbour search: four systems, many small structures in one call, and two small ones. Each case is right before it is timed."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import fastmd


def shaken(atoms, by=0.03):
    atoms.positions += np.random.default_rng(1).normal(0, by, atoms.positions.shape)
    return atoms


def water(n=2880):
    """Molecules of random orientation near the points of a grid, at 1 g/cm^3"""
    rng = np.random.default_rng(2)
    box, side = (n * 29.9) ** (1 / 3), int(np.ceil(n ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)[rng.permutation(side**3)[:n]]
    oxygen = (grid + 0.5 + rng.uniform(-0.2, 0.2, grid.shape)) * box / side
    bonds = rng.normal(size=(2, n, 3))
    bonds *= 0.96 / np.linalg.norm(bonds, axis=2)[:, :, None]
    return Atoms("OHH" * n, positions=np.stack([oxygen, oxygen + bonds[0], oxygen + bonds[1]], 1).reshape(-1, 3), cell=[box] * 3, pbc=True)


def triclinic():
    atoms = bulk("Si", "diamond", a=5.431) * (6, 6, 3)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + np.random.default_rng(3).uniform(-0.05, 0.05, (3, 3))), scale_atoms=True)
    return shaken(atoms)


SYSTEMS = {"silicon 8000": (lambda: shaken(bulk("Si", "diamond", a=5.431, cubic=True) * 10), 6.0), "water 8640": (water, 6.0),
           "fcc 32000": (lambda: shaken(bulk("Cu", "fcc", a=3.45, cubic=True) * 20), 5.0), "triclinic 216": (triclinic, 6.0),
           "silicon 64": (lambda: shaken(bulk("Si", "diamond", a=5.431, cubic=True) * 2), 6.0), "silicon 8": (lambda: shaken(bulk("Si", "diamond", a=5.431, cubic=True)), 6.0)}


def right(atoms, cutoff, pairs):
    """Atom 7's row is that of a look at all atoms and images."""
    images = np.stack(np.meshgrid(*[(-2, -1, 0, 1, 2)] * 3), -1).reshape(-1, 3) @ atoms.cell.array
    r = np.linalg.norm(atoms.positions[:, None] + images - atoms.positions[7], axis=2)
    assert pairs.first[8] - pairs.first[7] == np.count_nonzero(r < cutoff) - 1
    np.testing.assert_allclose(np.sort(pairs.r[pairs.first[7]:pairs.first[8]]), np.sort(r[r < cutoff])[1:], atol=1e-10)


@pytest.mark.parametrize("wanted", ["j", "j shift", "j shift d r"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_find_pairs(benchmark, name, wanted):
    make, cutoff = SYSTEMS[name]
    atoms = make()
    right(atoms, cutoff, fastmd.find_pairs(atoms, cutoff, d=True, r=True))
    pairs = benchmark(fastmd.find_pairs, atoms, cutoff, shift="shift" in wanted, d="d" in wanted, r="r" in wanted.split())
    benchmark.extra_info["nanoseconds per pair"] = benchmark.stats.stats.median / len(pairs) * 1e9 if benchmark.stats else None


@pytest.mark.parametrize("together", [True, False], ids=["in one call", "one by one"])
def test_many_structures(benchmark, together):
    many = []
    for k in range(500):
        many.append(bulk("Si", "diamond", a=5.4 + 2e-4 * k, cubic=True) * 2)
        many[-1].positions += np.random.default_rng(k).normal(0, 0.05, (64, 3))
    pairs, last = fastmd.find_pairs(many, 6.0, d=True), fastmd.find_pairs(many[-1], 6.0, d=True)
    assert np.array_equal(pairs.d[-len(last):], last.d)
    benchmark((lambda: fastmd.find_pairs(many, 6.0, d=True)) if together else (lambda: [fastmd.find_pairs(a, 6.0, d=True) for a in many]))
