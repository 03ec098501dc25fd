"""Times of the parts of one energy-and-force call on 1728 atoms of silicon, and of what is built on it. `make bench` runs it on one thread; each case is right
before it is timed.
"""

import itertools

import numpy as np
import pytest
from ase import units
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


@pytest.fixture(scope="module")
def potential(silicon, parts):
    """Network 24-20-20-1"""
    values = parts[3].reshape(len(silicon), -1)
    statistics = {"Si": np.column_stack([values.min(0), values.max(0), values.mean(0), values.std(0)])}
    return fastmd.NNPotential(FUNCTIONS, {"Si": fastmd.Network.random(24, (20, 20), rng=3)}, ("center-minmax", 0, 1), statistics, threads=1)


def test_network(benchmark, silicon, parts, potential):
    """Energies and their gradients, all atoms at once"""
    network = potential.networks["Si"]
    x = np.ascontiguousarray(parts[3].reshape(len(silicon), -1))
    x = (x - x.mean(0)) / (x.max(0) - x.min(0))
    y = x[7]
    for weights, bias, activation in network.layers:
        y = weights @ y + bias
        y = np.tanh(y) if activation == "tanh" else y
    assert network.evaluate(x, threads=1)[0][7] == pytest.approx(float(y[0]), rel=1e-12)
    benchmark(network.evaluate, x, threads=1)


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_energy_and_forces(benchmark, silicon, potential, precision):
    """The fused call, network and virial included; the neighbour list is given."""
    p = fastmd.Calculator(potential, precision=precision, threads=1).potential
    pairs = fastmd.find_pairs(silicon, CUTOFF)
    one = np.zeros_like(silicon.positions)
    one[7, 1] = 1
    assert p.compute(silicon, pairs).forces[7, 1] == pytest.approx(-slope(lambda t: potential.compute(moved(silicon, t * one)).energy, 1e-4), rel=1e-5, abs=1e-5)
    kinds, cell = p.species(silicon.get_chemical_symbols()), np.array(silicon.cell)
    benchmark(p.evaluate, kinds, silicon.positions, cell, pairs)


def test_calculator(benchmark, silicon, potential):
    """The ASE calculator, after atoms have moved a little: the list is kept"""
    atoms, here, there = silicon.copy(), silicon.positions, silicon.positions + 1e-3
    there[0] += 1e-2
    atoms.calc = fastmd.Calculator(potential, threads=1, extrapolation="ignore")
    places = itertools.cycle([here, there])

    def call():
        atoms.set_positions(next(places))
        return atoms.get_forces()
    for _ in range(2):
        np.testing.assert_allclose(call(), potential.compute(atoms).forces, rtol=0, atol=1e-11)
    benchmark(call)


def test_md_step(benchmark, silicon, potential):
    """Velocity Verlet at 300 K, a step of 1 fs; the list is made anew when it has to be"""
    atoms = silicon.copy()
    fastmd.maxwell_boltzmann(atoms, 300, rng=1)
    md = fastmd.MD(atoms, potential, extrapolation="ignore")
    md.run(1)
    x, v, F = md.positions.copy(), md.velocities.copy(), md.forces.copy()
    md.run(1)
    m = atoms.get_masses()[:, None]
    np.testing.assert_allclose(md.positions, x + v + 0.5 * units.fs**2 * F / m, rtol=0, atol=1e-12)
    benchmark(md.run, 1, every=10**9, progress=False)


def test_training_epoch(benchmark):
    """40 structures of 64 atoms, 30 functions, 30-30 nodes, batches of 10, Adam; the loss falls"""
    pytest.importorskip("torch")
    from peers import training

    made = training.structures(40)
    epoch = training.ours(made)
    before, _ = epoch.gradient()
    for _ in range(20):
        epoch()
    assert epoch.gradient()[0] < 0.9 * before
    benchmark(epoch)
