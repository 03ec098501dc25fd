"""Times of the parts of one energy-and-force call on 1728 atoms of silicon. `make bench` runs it on one thread; each case is right before it is timed."""

import numpy as np
import pytest
from ase.build import bulk

import fastmd
from fastmd.symmetry import Descriptor, species

CUTOFF = 6.0
G2 = zip((0.01, 0.05, 0.1, 0.3, 0.6, 1, 2, 4), (0, 0, 0, 0, 1, 2, 3, 4))
FUNCTIONS = {"Si": [fastmd.G2("Si", CUTOFF, eta, rs, "cosine") for eta, rs in G2]
             + [fastmd.G5("Si", "Si", CUTOFF, eta, lambda_, zeta, "cosine") for eta in (0.01, 0.05) for lambda_ in (1, -1) for zeta in (1, 2, 4, 16)]}


@pytest.fixture(scope="module")
def silicon():
    atoms = bulk("Si", "diamond", a=5.431, cubic=True) * (6, 6, 6)
    atoms.positions += np.random.default_rng(1).normal(0, 0.05, atoms.positions.shape)
    return atoms


@pytest.fixture(scope="module")
def parts(silicon):
    """descriptor, system, layout, G, weights of G, a direction to move in"""
    descriptor = Descriptor(FUNCTIONS)
    kinds = species(silicon.get_chemical_symbols(), descriptor.elements)
    system, layout = descriptor.system(kinds, fastmd.find_pairs(silicon, CUTOFF), threads=1)
    rng = np.random.default_rng(2)
    return descriptor, system, layout, descriptor.value(system, layout), rng.normal(size=layout.size), rng.normal(size=silicon.positions.shape)


def slope(value, step):
    """d value / d step at 0; of second order only, as the second derivative of the cosine cutoff jumps where a neighbour crosses it"""
    return (value(step) - value(-step)) / (2 * step)


def moved(atoms, shift):
    new = atoms.copy()
    new.positions += shift
    return new


def G(atoms):
    return Descriptor(FUNCTIONS).describe(atoms)["Si"].ravel()


def test_neighbours(benchmark, silicon):
    pairs = benchmark(fastmd.find_pairs, silicon, CUTOFF)
    d = silicon.positions - silicon.positions[7]
    box = silicon.cell.lengths()
    d -= box * np.round(d / box)
    assert pairs.first[8] - pairs.first[7] == np.sum(np.linalg.norm(d, axis=1) < CUTOFF) - 1


def test_value(benchmark, silicon, parts):
    descriptor, system, layout, values, _, _ = parts
    d = silicon.positions - silicon.positions[7]
    box = silicon.cell.lengths()
    d -= box * np.round(d / box)
    r = np.linalg.norm(d, axis=1)
    r = r[(r > 0) & (r < CUTOFF)]
    f = FUNCTIONS["Si"][5]
    assert values.reshape(len(silicon), -1)[7, 5] == pytest.approx(np.sum(np.exp(-f.eta * (r - f.rs) ** 2) * 0.5 * (np.cos(np.pi * r / CUTOFF) + 1)), rel=1e-12)
    benchmark(descriptor.value, system, layout)


def test_vjp(benchmark, silicon, parts):
    descriptor, system, layout, _, g, v = parts
    gradient, _ = descriptor.vjp(system, layout, g, len(silicon))
    assert np.vdot(gradient, v) == pytest.approx(slope(lambda t: g @ G(moved(silicon, t * v)), 1e-5), rel=1e-6)
    benchmark(descriptor.vjp, system, layout, g, len(silicon))


def test_jvp(benchmark, silicon, parts):
    descriptor, system, layout, _, _, v = parts
    along = descriptor.jvp(system, layout, v)
    np.testing.assert_allclose(along, slope(lambda t: G(moved(silicon, t * v)), 1e-5), atol=1e-5 * np.abs(along).max())
    benchmark(descriptor.jvp, system, layout, v)


def test_energy_and_forces(benchmark, silicon, parts):
    """The fused call, network 24-20-20-1 and virial included; the neighbour list is given."""
    values = parts[3].reshape(len(silicon), -1)
    statistics = {"Si": np.column_stack([values.min(0), values.max(0), values.mean(0), values.std(0)])}
    p = fastmd.NNPotential(FUNCTIONS, {"Si": fastmd.Network.random(24, (20, 20), rng=3)}, ("center-minmax", 0, 1), statistics, threads=1)
    pairs = fastmd.find_pairs(silicon, CUTOFF)
    one = np.zeros_like(silicon.positions)
    one[7, 1] = 1
    assert p.compute(silicon, pairs).forces[7, 1] == pytest.approx(-slope(lambda t: p.compute(moved(silicon, t * one)).energy, 1e-4), rel=1e-5)
    kinds, cell = p.species(silicon.get_chemical_symbols()), np.array(silicon.cell)
    benchmark(p.evaluate, kinds, silicon.positions, cell, pairs)
