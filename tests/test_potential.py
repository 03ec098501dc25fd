"""NNPotential: energy against the plain formulas, forces and virial against differences, symmetries, bits, threads, processes, files."""

import itertools
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_stress
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import fastmd
import oracle
import structures
from fastmd import G1, Network, NNPotential, _core
from fastmd.network import ACTIVATIONS
from structures import SYMBOLS, random_potential, random_structure

SCALINGS = ("none", "minmax", "center", "center-minmax", "sigma")
BOHR = ("bohr", 0.5291772105638411, "Ha", 27.211386024367243)
HARD = [(k, name) for k in (1, 2, 3) for name in structures.hard(k)]
IDS = [f"{k}-{name.replace(' ', '_')}" for k, name in HARD]
TESTS = Path(__file__).parent


def case(k, name):
    """A potential for k elements and a hard structure; every scaling and both unit systems come round"""
    n = HARD.index((k, name))
    rng = np.random.default_rng(100 + n)
    return random_potential(rng, SYMBOLS[:k], SCALINGS[n % 5], units=BOHR if n % 3 == 0 else ("angstrom", 1.0, "eV", 1.0)), structures.hard(k)[name]


def same_bits(a, b):
    for name in ("energy", "energies", "forces", "virial", "stress"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None)
        assert x is None or np.asarray(x).tobytes() == np.asarray(y).tobytes(), name


def close(got, want, tolerance, floor=1e-3):
    deviation = np.abs(np.asarray(got) - want).max(initial=0) / max(np.abs(want).max(initial=0), floor)
    assert deviation < tolerance, deviation
    return deviation


# ---- the physics

@pytest.mark.parametrize("k, name", HARD, ids=IDS)
def test_energies_are_those_of_the_formulas(k, name):
    p, atoms = case(k, name)
    r = p.compute(atoms)
    close(r.energies, oracle.energies(p, atoms), 1e-12)
    assert abs(r.energy - r.energies.sum()) <= 1e-12 * np.abs(r.energies).sum()


@pytest.mark.parametrize("k, name", HARD, ids=IDS)
def test_forces_and_virial_are_minus_the_gradients_of_the_energy(k, name, record_property):
    p, atoms = case(k, name)
    r = p.compute(atoms)
    def energy(a):
        return p.compute(a).energy
    floor = max(np.abs(r.virial).max(), 1e-3)  # by symmetry all forces may vanish
    worst = close(r.forces, oracle.forces(energy, atoms), 1e-7, floor)
    record_property("worst", max(worst, close(r.virial, oracle.virial(energy, atoms), 1e-7)))
    np.testing.assert_allclose(r.virial, r.virial.T, atol=1e-11 * floor)
    np.testing.assert_allclose(r.forces.sum(axis=0), 0, atol=1e-11 * floor)
    if atoms.pbc.all():
        np.testing.assert_allclose(r.stress, -r.virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / atoms.get_volume(), atol=1e-11 * floor)
    else:
        assert r.stress is None


@pytest.mark.parametrize("activation, scaling, units", list(itertools.product(ACTIVATIONS, SCALINGS, [BOHR, ("angstrom", 1.0, "eV", 1.0)])))
def test_each_activation_with_each_scaling_and_unit_gives_the_energy_and_its_gradient(activation, scaling, units):
    rng = np.random.default_rng(11)
    p = random_potential(rng, ("H", "O"), scaling, activation, units)
    atoms = structures.hard()["molecule"]
    r = p.compute(atoms)
    close(r.energies, oracle.energies(p, atoms), 1e-12)
    close(r.forces, oracle.forces(lambda a: p.compute(a).energy, atoms), 1e-7)


def test_units_of_the_file_change_nothing_but_the_units():
    ev = random_potential(np.random.default_rng(3), ("H", "O"), "none")
    factor = BOHR[1]

    def native(f):
        return replace(f, cutoff=f.cutoff / factor, eta=f.eta * factor**2, rs=f.rs / factor, kappa=f.kappa * factor, left=f.left / factor)

    bohr = NNPotential({e: [native(f) for f in fs] for e, fs in ev.functions.items()}, ev.networks, offsets=ev.offsets, units=BOHR)
    assert abs(bohr.cutoff - ev.cutoff) < 1e-12
    for atoms in structures.hard().values():
        a, b = ev.compute(atoms), bohr.compute(atoms)
        close(b.energies, a.energies * BOHR[3], 1e-12)
        close(b.forces, a.forces * BOHR[3], 1e-11)
        close(b.virial, a.virial * BOHR[3], 1e-11)


def test_a_lone_atom_feels_no_force_and_an_empty_structure_has_no_energy():
    p = random_potential(np.random.default_rng(2))
    r = p.compute(Atoms("O", positions=[[1, 2, 3]]))
    assert (r.forces == 0).all() and (r.virial == 0).all() and r.stress is None
    close(r.energies, oracle.energies(p, Atoms("O")), 1e-13)
    for empty in (Atoms(), Atoms(cell=[3, 3, 3], pbc=True)):
        r = p.compute(empty)
        assert r.energy == 0 and r.forces.shape == (0, 3) and r.energies.shape == (0,) and (r.virial == 0).all()


@pytest.mark.parametrize("k", range(25))
def test_a_random_structure_has_the_energy_of_the_formulas(k):
    rng = np.random.default_rng(1000 + k)
    n = 1 + k % 3
    p = random_potential(rng, SYMBOLS[:n], SCALINGS[k % 5], units=BOHR if k % 2 else ("angstrom", 1.0, "eV", 1.0), cutoff=3.2)
    atoms = random_structure(rng, int(rng.integers(1, 12)), n, pbc=rng.random(3) < 0.6)
    close(p.compute(atoms).energies, oracle.energies(p, atoms), 1e-12)


POTENTIALS = [random_potential(np.random.default_rng(k), SYMBOLS[:k], SCALINGS[k], "tanh") for k in (1, 2, 3)]


@st.composite
def matter(draw):
    k = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 10**9)))
    pbc = draw(st.sampled_from(list(itertools.product((False, True), repeat=3))))
    return POTENTIALS[k - 1], random_structure(rng, draw(st.integers(1, 14)), k, pbc), rng


@settings(max_examples=30, deadline=None)
@given(matter())
def test_rotation_rotates_forces_and_virial_and_leaves_the_energy(m):
    p, atoms, rng = m
    R = Rotation.random(rng=rng).as_matrix() * rng.choice([-1, 1])  # improper ones too
    turned = Atoms(atoms.symbols, positions=atoms.positions @ R.T, cell=np.array(atoms.cell) @ R.T, pbc=atoms.pbc)
    a, b = p.compute(atoms), p.compute(turned)
    close(b.energies, a.energies, 1e-11)
    close(b.forces, a.forces @ R.T, 1e-10, 0.1)
    close(b.virial, R @ a.virial @ R.T, 1e-10, 0.1)


@settings(max_examples=30, deadline=None)
@given(matter(), st.lists(st.floats(-30, 30), min_size=3, max_size=3))
def test_translation_changes_nothing(m, by):
    p, atoms, _ = m
    moved = atoms.copy()
    moved.positions += by
    a, b = p.compute(atoms), p.compute(moved)
    close(b.energies, a.energies, 1e-11)
    close(b.forces, a.forces, 1e-10, 0.1)
    close(b.virial, a.virial, 1e-10, 0.1)


@settings(max_examples=30, deadline=None)
@given(matter())
def test_the_order_of_the_atoms_does_not_matter(m):
    p, atoms, rng = m
    order = rng.permutation(len(atoms))
    a, b = p.compute(atoms), p.compute(atoms[order])
    close(b.energies, a.energies[order], 1e-11)
    close(b.forces, a.forces[order], 1e-10, 0.1)
    close(b.virial, a.virial, 1e-10, 0.1)


@settings(max_examples=30, deadline=None)
@given(matter())
def test_whole_lattice_shifts_of_single_atoms_change_nothing(m):
    p, atoms, rng = m
    moved = atoms.copy()
    moved.positions += (rng.integers(-9, 10, (len(atoms), 3)) * atoms.pbc) @ np.array(atoms.cell)
    a, b = p.compute(atoms), p.compute(moved)
    close(b.energies, a.energies, 1e-10)
    close(b.forces, a.forces, 1e-9, 0.1)
    close(b.virial, a.virial, 1e-9, 0.1)


@pytest.mark.parametrize("repeat", [(2, 1, 1), (1, 3, 2)])
def test_a_repeated_crystal_has_the_same_energy_and_forces_per_atom_and_the_same_stress(repeat):
    p = POTENTIALS[1]
    atoms = structures.hard()["skewed cell"]
    a, b = p.compute(atoms), p.compute(atoms.repeat(repeat))
    n = int(np.prod(repeat))
    close(b.energies, np.tile(a.energies, n), 1e-12)
    close(b.forces, np.tile(a.forces, (n, 1)), 1e-11)
    close(b.stress, a.stress, 1e-11)


def test_energy_and_forces_are_smooth_as_a_neighbour_crosses_the_cutoff():
    p = POTENTIALS[0]
    def at(r):
        return p.compute(Atoms("HHH", positions=[[0, 0, 0], [0, 1.1, 0.3], [r, 0, 0]]))
    for cutoff in {f.cutoff for f in p.functions["H"]}:
        below, above = at(cutoff - 1e-7), at(cutoff + 1e-7)
        assert abs(below.energy - above.energy) < 1e-6
        assert np.abs(below.forces - above.forces).max() < 1e-5
    assert (at(1.2 * p.cutoff + 1).forces[2] == 0).all()


def test_pairs_beyond_the_cutoff_change_nothing():
    p, atoms = POTENTIALS[1], structures.hard()["skewed cell"]
    a, b = p.compute(atoms), p.compute(atoms, fastmd.find_pairs(atoms, p.cutoff + 2))
    close(b.energies, a.energies, 1e-13)
    close(b.forces, a.forces, 1e-12)


# ---- what must be refused

@pytest.mark.parametrize("gap", [0.0, 1e-9])
def test_atoms_on_top_of_each_other_are_a_clear_error(gap):
    p = POTENTIALS[1]
    with pytest.raises(ValueError, match="atoms . and . are on top of each other"):
        p.compute(Atoms("HOH", positions=[[0, 0, 0], [2, 0, 0], [2 + gap, 0, 0]]))
    with pytest.raises(ValueError, match="on top of each other"):
        p.compute(Atoms("HO", positions=[[0, 0, 0], [4 + gap, 3, 0]], cell=[4, 3, 5], pbc=True))


@settings(max_examples=50, deadline=None)
@given(st.floats(-12, 0))
def test_atoms_almost_on_top_of_each_other_give_finite_numbers_or_a_clear_error(exponent):
    try:
        r = POTENTIALS[1].compute(Atoms("HOH", positions=[[0, 0, 0], [2, 0, 0], [2, 10**exponent, 0]]))
    except ValueError:
        return
    assert np.isfinite(r.forces).all() and np.isfinite(r.virial).all() and np.isfinite(r.energies).all()


def test_huge_weights_are_a_clear_error_and_never_nan():
    p = NNPotential({"H": [G1("H", 3.0)]}, {"H": Network((([[1e300]], [0.0], "identity"), ([[1e300]], [0.0], "identity")))})
    with pytest.raises(ValueError, match="not finite"):
        p.compute(Atoms("H2", positions=[[0, 0, 0], [1, 0, 0]]))


@pytest.mark.parametrize("atoms, message", [
    (Atoms("HC", positions=[[0, 0, 0], [1, 1, 1]]), "no parameters for C: the potential knows H, O only"),
    (Atoms("H", positions=[[np.nan, 0, 0]]), "positions: expected finite numbers, atom 0"),
    (Atoms("HH", positions=[[0, 0, 0], [0, 0, np.inf]]), "positions: expected finite numbers, atom 1"),
    (Atoms("H", cell=[0, 0, 0], pbc=True), "cell"),
    (Atoms("H", cell=[[1, 0, 0], [1, 0, 0], [0, 0, 1]], pbc=True), "cell: .* singular"),
    (Atoms("H", cell=[[1, 0, 0], [0, np.nan, 0], [0, 0, 1]], pbc=True), "cell: expected finite numbers"),
    ("H2O", "atoms: expected an ase.Atoms, got str"), (None, "atoms: expected an ase.Atoms, got NoneType")])
def test_a_bad_structure_is_refused_by_name(atoms, message):
    with pytest.raises(ValueError, match=message):
        POTENTIALS[1].compute(atoms)


class Loose:
    """An Atoms that has not looked at its positions"""

    def __init__(self, positions, cell=None, pbc=False):
        self.numbers, self.positions, self.cell, self.pbc = [1, 1], positions, np.eye(3) if cell is None else cell, pbc


@pytest.mark.parametrize("atoms, message", [
    (Loose(np.zeros((3, 7))), r"positions: expected \(n, 3\) float64, got \(3, 7\); transpose it\?"),
    (Loose(np.zeros(6)), r"positions: expected \(n, 3\) float64, got \(6,\)"),
    (Loose(np.zeros((2, 4))), r"positions: expected \(n, 3\) float64, got \(2, 4\)"),
    (Loose(np.zeros((2, 3), complex)), "positions: .* got dtype complex128"),
    (Loose([["a", "b", "c"]] * 2), "positions: .* got dtype"),
    (Loose(np.zeros((2, 3), object)), "positions: .* got dtype object"),
    (Loose(np.eye(3)[:2], np.eye(4)), r"cell: expected \(3, 3\), the rows are the lattice vectors, got \(4, 4\)"),
    (Loose(np.eye(3)[:2], pbc=[True, False]), "pbc: expected three flags")])
def test_wrong_shapes_and_dtypes_are_refused_by_name(atoms, message):
    with pytest.raises(ValueError, match=message):
        POTENTIALS[1].compute(atoms)


def test_float32_and_strided_positions_are_taken():
    atoms = structures.hard(1)["molecule"]
    x = atoms.positions[:2].astype(np.float32)
    expected = POTENTIALS[0].compute(Atoms("HH", positions=x))
    same_bits(POTENTIALS[0].compute(Loose(x)), expected)
    same_bits(POTENTIALS[0].compute(Loose(np.asfortranarray(x.astype(float)))), expected)


def test_pairs_of_another_structure_or_too_short_a_cutoff_are_refused():
    p, atoms = POTENTIALS[1], structures.hard()["molecule"]
    with pytest.raises(ValueError, match="pairs: their cutoff of 2 angstrom is below the"):
        p.compute(atoms, fastmd.find_pairs(atoms, 2.0))
    with pytest.raises(ValueError, match="pairs: made for 3 atoms, the structure has 6"):
        p.compute(atoms, fastmd.find_pairs(atoms[:3], 5.0))


@pytest.mark.parametrize("layers, message", [
    ([], "at least one layer"), ([([[1.0]], [0.0], "tanh"), ([[1.0], [1.0]], [0.0, 0.0], "tanh")], "its last layer one output"),
    ([([[1.0]], [0.0], "step")], "activation must be one of"), ([([[np.nan]], [0.0], "tanh")], "must be finite"),
    ([([1.0], [0.0], "tanh")], "expected weights"), ([([[1.0]], [0.0, 1], "tanh")], "expected weights"),
    ([([[1.0]], [0.0], "tanh"), ([[1.0, 2.0]], [0.0], "tanh")], "takes 2 inputs, the layer before gives 1")])
def test_what_is_no_network_is_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        Network(tuple(layers))


def test_networks_that_do_not_fit_the_functions_are_refused():
    n = Network.random(2)
    with pytest.raises(ValueError, match="expected one for each of H, got O"):
        NNPotential({"H": [G1("H", 3.0)] * 2}, {"O": n})
    with pytest.raises(ValueError, match="H has 1 functions, its network takes 2"):
        NNPotential({"H": [G1("H", 3.0)]}, {"H": n})
    with pytest.raises(ValueError, match="scaling needs 'stats'"):
        NNPotential({"H": [G1("H", 3.0)] * 2}, {"H": n}, ("center", 0, 1))
    with pytest.raises(ValueError, match="notes: a key must be one word"):
        NNPotential({"H": [G1("H", 3.0)] * 2}, {"H": n}, notes={"two words": 1})


# ---- activations, through a network of one node and a lone atom: the energy is f(bias)

GRID = {"tanh": np.concatenate([np.linspace(-25, 25, 250), np.geomspace(1e-300, 700, 150), -np.geomspace(1e-300, 700, 150), [0.624999, 0.625, -0.625, 0.0]])}
GRID["sigmoid"] = GRID["softplus"] = GRID["tanh"]
GRID["gaussian"], GRID["exp"], GRID["harmonic"] = (np.concatenate([-x, x]) for x in (np.geomspace(1e-200, 37, 300), np.geomspace(1e-300, 700, 300), np.geomspace(1e-150, 1e150, 300)))
GRID["revlogistic"] = -GRID["tanh"]
EXACT = {"tanh": np.tanh, "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)) / (1 + np.exp(np.minimum(x, 0))), 1 / (1 + np.exp(-np.maximum(x, 0)))),
         "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), "gaussian": lambda x: np.exp(-x * x / 2), "exp": lambda x: np.exp(-x), "harmonic": lambda x: x * x,
         "revlogistic": lambda x: EXACT["sigmoid"](-x)}


@pytest.mark.parametrize("activation", GRID)
def test_activations_are_those_of_numpy_over_their_whole_range(activation, record_property):
    got = []
    for x in GRID[activation]:
        p = NNPotential({"H": [G1("H", 3.0)]}, {"H": Network((([[1.0]], [x], activation),))})
        got.append(p.compute(Atoms("H")).energy)
    want = EXACT[activation](GRID[activation])
    error = np.abs(np.array(got) - want) / np.maximum(np.abs(want), 1e-300)
    record_property("worst", error.max())
    assert error.max() < 1e-14, GRID[activation][error.argmax()]


def test_the_cosine_activation_is_that_of_numpy():
    x = np.concatenate([np.linspace(-20, 20, 300), np.geomspace(1e-9, 1e4, 100)])
    values, slopes = Network((([[1.0]], [0.0], "cos"),)).evaluate(x[:, None])
    np.testing.assert_allclose(values, np.cos(x), rtol=0, atol=1e-15)
    np.testing.assert_allclose(slopes[:, 0], -np.sin(x), rtol=0, atol=1e-15)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("bias", [-1e300, -1e4, -750, 750, 1e4, 1e300])
def test_activations_end_where_they_should(activation, bias):
    p = NNPotential({"H": [G1("H", 3.0)]}, {"H": Network((([[1.0]], [bias], activation),))})
    r = p.compute(Atoms("H2", positions=[[0, 0, 0], [1.5, 0, 0]]))
    ends = {"tanh": (-1, 1), "sigmoid": (0, 1), "softplus": (0, bias)}
    assert r.energies[0] == pytest.approx(ends[activation][bias > 0], rel=1e-3) and np.isfinite(r.forces).all()


# ---- bits: files, pickles, threads, processes, instruction sets

@pytest.mark.parametrize("k, name", HARD[::4], ids=IDS[::4])
def test_a_saved_potential_loads_to_the_last_bit(k, name, tmp_path):
    p, atoms = case(k, name)
    p.save(tmp_path / "p.nnp")
    q = NNPotential.load(tmp_path / "p.nnp")
    assert q.text() == p.text() == (tmp_path / "p.nnp").read_text()
    assert (q.functions, q.scaling, q.units, q.offsets, q.notes) == (p.functions, p.scaling, p.units, p.offsets, p.notes)
    for e in p.elements:
        np.testing.assert_array_equal(q.statistics[e], p.statistics[e])
        for (w, b, a), (v, c, d) in zip(p.networks[e].layers, q.networks[e].layers, strict=True):
            assert w.tobytes() == v.tobytes() and b.tobytes() == c.tobytes() and a == d
    same_bits(p.compute(atoms), q.compute(atoms))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_every_float_reads_back_to_the_same_bits(x):
    p = NNPotential({"H": [G1("H", 3.0)]}, {"H": Network((([[x[0]]], [x[1]], "tanh"), ([[x[2]]], [-0.0], "identity")))}, offsets={"H": x[3]})
    q = NNPotential._parse(p.text().encode(), "there")
    bits = [np.array([n.layers[0][0][0, 0], n.layers[0][1][0], n.layers[1][0][0, 0], n.layers[1][1][0], o]).tobytes()
            for n, o in ((p.networks["H"], p.offsets["H"]), (q.networks["H"], q.offsets["H"]))]
    assert bits[0] == bits[1]


def test_a_pickled_potential_is_the_same_to_the_last_bit():
    p = random_potential(np.random.default_rng(1), threads=3, precision="mixed")
    q = pickle.loads(pickle.dumps(p))
    assert q.text() == p.text() and q.threads == 3 and q.precision == "mixed"
    atoms = structures.hard()["skewed cell"]
    same_bits(p.compute(atoms), q.compute(atoms))


def test_the_same_bits_for_any_number_of_threads():
    p = random_potential(np.random.default_rng(1))
    for n in (5, 40, 300, 1500):
        atoms = random_structure(np.random.default_rng(n), min(n, 75)).repeat((1, 1, max(1, n // 75)))
        atoms.rattle(0.05, seed=1)
        p.threads = 1
        one = p.compute(atoms)
        for p.threads in (2, 3, 7, 0, 50):
            same_bits(p.compute(atoms), one)


def test_the_descriptor_has_the_same_bits_for_any_number_of_threads():
    p = random_potential(np.random.default_rng(1))
    atoms = random_structure(np.random.default_rng(2), 75).repeat((1, 1, 2))
    d = fastmd.Descriptor(p.functions)
    pairs = fastmd.find_pairs(atoms, d.cutoff)
    kinds = p.species(atoms.get_chemical_symbols())
    rng = np.random.default_rng(3)
    layout = d.layout(kinds)
    g, v, h = rng.normal(size=layout.size), rng.normal(size=(len(atoms), 3)), rng.normal(size=(1, 3, 3))
    found = []
    for threads in (1, 2, 3, 7):
        system, _ = d.system(kinds, pairs, threads=threads)
        rows = np.concatenate([r.ravel() for r in d.rows(system, layout, kinds, pairs.first)])
        found.append((d.value(system, layout), *d.vjp(system, layout, g, len(atoms)), d.jvp(system, layout, v, h), rows))
        d.cache(system, layout, kinds, pairs.first)
        found[-1] += (*d.vjp(system, layout, g, len(atoms)), d.jvp(system, layout, v, h))
    for other in found[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(found[0], other))


def test_four_python_threads_at_once_get_the_same_bits():
    p = random_potential(np.random.default_rng(1), threads=2)
    cases = [random_structure(np.random.default_rng(k), 50) for k in range(4)]
    expected = [p.compute(a) for a in cases]
    wrong = []

    def work(k):
        try:
            for n in range(20):
                same_bits(p.compute(cases[(k + n) % 4]), expected[(k + n) % 4])
        except BaseException as e:
            wrong.append(e)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not wrong and not any(t.is_alive() for t in threads)


def _in_child(p, atoms, pipe):
    pipe.send(p.compute(atoms))
    pipe.close()


def test_a_forked_child_computes_the_same_bits_after_a_threaded_call():
    p = random_potential(np.random.default_rng(1), threads=4)
    atoms = random_structure(np.random.default_rng(5), 75).repeat((1, 1, 2))
    expected = p.compute(atoms)
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_in_child, args=(p, atoms, there))
        child.start()
        there.close()
        try:
            assert here.poll(60), "the child hangs"
            same_bits(here.recv(), expected)
            child.join(60)
            assert child.exitcode == 0
        finally:
            child.kill()
    same_bits(p.compute(atoms), expected)


def child(code, **environment):
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))  # the fastmd that is tested here, not another one installed
    env = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    return isa_results("baseline", tmp_path_factory.mktemp("isa"))


def isa_results(isa, folder):
    run = child(f"import numpy as np, fastmd._core as c, structures\nassert c.isa() == '{isa}'\nnp.savez(r'{folder}/{isa}', **structures.reference_results())", FASTMD_ISA=isa)
    assert run.returncode == 0, run.stderr
    return dict(np.load(f"{folder}/{isa}.npz"))


@pytest.mark.parametrize("isa", _core.isas())
def test_each_instruction_set_agrees_with_baseline_to_rounding(isa, baseline, tmp_path, record_property):
    got = isa_results(isa, tmp_path)
    assert got.keys() == baseline.keys() and len(got) > 100
    worst = 0
    for name, want in baseline.items():
        scale = np.abs(baseline[name.replace("forces", "virial")]).max(initial=0)  # by symmetry all forces may vanish
        worst = max(worst, np.abs(got[name] - want).max(initial=0) / max(np.abs(want).max(initial=0), scale, 1e-3))
    record_property("worst", worst)
    assert worst < 1e-12
    if isa == "baseline":
        assert worst == 0  # another process has the same bits


def test_baseline_is_one_of_the_instruction_sets_and_agrees_with_the_formulas(baseline):
    assert _core.isas()[0] == "baseline"
    rng = np.random.default_rng(7)
    p = random_potential(rng, SYMBOLS[:1], "sigma", "tanh")
    for name, atoms in structures.hard(1).items():
        close(baseline[f"1 {name} energies"], oracle.energies(p, atoms), 1e-12)


def test_an_unknown_instruction_set_is_a_clear_error():
    run = child("import fastmd, structures\nfrom ase import Atoms\np = structures.random_potential(__import__('numpy').random.default_rng(0))\n"
                "try:\n    p.compute(Atoms('H'))\nexcept ValueError as e:\n    print(e)", FASTMD_ISA="nonsense")
    assert run.returncode == 0, run.stderr
    assert "FASTMD_ISA=nonsense" in run.stdout and "baseline" in run.stdout


@pytest.mark.parametrize("isa", _core.isas())
def test_subnormal_numbers_survive_import_and_use(isa):
    run = child("import numpy as np\ntiny = np.array([5e-324])\nassert (tiny * 1 != 0).all()\nimport fastmd, structures\nassert (tiny * 1 != 0).all()\n"
                "p = structures.random_potential(np.random.default_rng(0))\np.compute(structures.random_structure(np.random.default_rng(0), 70))\n"
                "assert (tiny * 1 != 0).all() and np.float64(5e-324) * 1 != 0 and tiny[0] / 2 == 0\nprint('well')", FASTMD_ISA=isa)
    assert run.stdout == "well\n", run.stderr


@pytest.mark.parametrize("order", ["import torch, structures", "import structures, torch"])
def test_torch_imported_first_or_second_changes_no_bit(order):
    pytest.importorskip("torch")
    p = random_potential(np.random.default_rng(1))
    expected = p.compute(random_structure(np.random.default_rng(5), 75))
    run = child(f"{order}\nimport numpy as np\nx = torch.randn(200, 200) @ torch.randn(200, 200)\n"
                "r = structures.random_potential(np.random.default_rng(1)).compute(structures.random_structure(np.random.default_rng(5), 75))\n"
                "print(r.energy.hex(), r.forces.tobytes().hex())")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [expected.energy.hex(), expected.forces.tobytes().hex()]


# ---- precision, what is asked of each call, and what goes around it

def test_precision_is_an_attribute_that_counts_from_the_next_call_on():
    p, atoms = random_potential(np.random.default_rng(1)), structures.hard()["skewed cell"]
    assert p.precision == "float64"
    exact = p.compute(atoms)
    for precision in ("mixed", "float32"):
        p.precision = precision
        rough = p.compute(atoms)
        assert 0 < np.abs(rough.forces - exact.forces).max() < 1e-4 * np.abs(exact.forces).max()
        same_bits(random_potential(np.random.default_rng(1), precision=precision).compute(atoms), rough)
        assert "mixed" not in p.text() and "float32" not in p.text()
    p.precision = "float64"
    same_bits(p.compute(atoms), exact)


@pytest.mark.parametrize("precision", ["single", "double", 32, None, ("mixed",)])
def test_another_precision_is_refused_by_name(precision):
    message = "precision must be one of float64, mixed, float32, got"
    with pytest.raises(ValueError, match=message):
        random_potential(np.random.default_rng(1), precision=precision)
    p = random_potential(np.random.default_rng(1))
    with pytest.raises(ValueError, match=message):
        p.precision = precision
    assert p.precision == "float64"


def test_a_calculator_has_precision_and_threads_of_its_own():
    p, atoms = random_potential(np.random.default_rng(1), threads=2), structures.hard()["skewed cell"].copy()
    calc = fastmd.Calculator(p, precision="mixed", threads=1)
    assert (calc.potential.precision, calc.potential.threads) == ("mixed", 1) and (p.precision, p.threads) == ("float64", 2)
    assert fastmd.Calculator(p, threads=3).potential.precision == "float64" and fastmd.Calculator(p, precision="mixed").potential.threads == 2
    assert fastmd.Calculator(p).potential is p
    atoms.calc = calc
    forces = atoms.get_forces()
    p.precision = "mixed"
    close(forces, p.compute(atoms).forces, 1e-6)
    atoms.calc = pickle.loads(pickle.dumps(calc))
    assert np.array_equal(atoms.get_forces(), forces)


@pytest.mark.parametrize("potential, more, message", [
    (POTENTIALS[0], {"precision": "half"}, "precision must be one of float64, mixed, float32, got 'half'"),
    (POTENTIALS[0], {"threads": -1}, "threads must be a whole number >= 0, got -1"),
    (fastmd.StillingerWeber(), {"precision": "mixed"}, "precision and threads: only an NNPotential has them, got StillingerWeber; leave them out"),
    (fastmd.StillingerWeber(), {"threads": 1}, "precision and threads: only an NNPotential has them")])
def test_settings_that_cannot_be_are_refused_by_the_calculator(potential, more, message):
    with pytest.raises(ValueError, match=message):
        fastmd.Calculator(potential, **more)


def test_a_system_that_is_kept_sees_new_numbers_and_new_settings():
    p, atoms = random_potential(np.random.default_rng(1)), structures.hard()["skewed cell"]
    kinds, x, cell = p.species(atoms.get_chemical_symbols()), atoms.positions.copy(), np.array(atoms.cell)
    pairs = fastmd.find_pairs(atoms, p.cutoff + 0.5)
    system = p.system(kinds, x, cell, pairs)
    for precision in ("float64", "mixed", "float64"):
        p.precision = precision
        x += 0.01 * np.random.default_rng(2).normal(size=x.shape)
        (energy, _, forces, _), (e, _, f, _) = p.evaluate(kinds, x, cell, pairs, system=system), p.evaluate(kinds, x.copy(), cell.copy(), pairs)
        assert energy == e and np.array_equal(forces, f)


# ---- the ASE calculator

def test_the_calculator_gives_what_the_potential_gives():
    p, atoms = POTENTIALS[1], structures.hard()["skewed cell"].copy()
    atoms.calc = fastmd.Calculator(p)
    r = p.compute(atoms)
    close(atoms.get_potential_energy(), r.energy, 1e-13)
    close(atoms.get_potential_energies(), r.energies, 1e-13)
    close(atoms.get_forces(), r.forces, 1e-12)
    close(atoms.get_stress(), r.stress, 1e-12)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()


@pytest.mark.parametrize("name", ["skewed cell", "left-handed cell", "two atoms in a tiny cell", "atoms far outside the cell"])
def test_the_calculators_stress_is_that_of_ases_differences(name):
    atoms = structures.hard()[name].copy()
    atoms.calc = fastmd.Calculator(POTENTIALS[1])
    close(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), 1e-6)


def test_the_calculator_follows_moves_cells_and_elements():
    p, atoms = POTENTIALS[1], structures.hard()["skewed cell"].copy()
    atoms.calc = fastmd.Calculator(p, skin=0.4)
    rng = np.random.default_rng(0)
    for k in range(30):
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        if k % 10 == 4:
            atoms.set_cell(np.array(atoms.cell) * 1.02, scale_atoms=True)
        if k % 10 == 7:
            atoms.symbols[k % 3] = "O" if atoms.symbols[k % 3] == "H" else "H"
        if k == 20:
            del atoms[1]
        r = p.compute(atoms)
        close(atoms.get_potential_energy(), r.energy, 1e-12)
        close(atoms.get_forces(), r.forces, 1e-11)
    assert 1 < atoms.calc._verlet.rebuilds < 30


def test_the_calculator_computes_only_what_has_changed():
    p, atoms = POTENTIALS[1], structures.hard()["skewed cell"].copy()
    calc = atoms.calc = fastmd.Calculator(p, extrapolation="ignore")
    assert calc.atoms is None and calc.check_state(atoms)
    forces, evaluate, calls = atoms.get_forces(), p.evaluate, []
    calc.watched.potential = type("Counted", (), {"evaluate": staticmethod(lambda *a, **k: calls.append(0) or evaluate(*a, **k))})
    atoms.get_potential_energy(), atoms.get_stress(), atoms.set_initial_charges(np.ones(len(atoms))), atoms.get_forces()
    assert not calls and calc.check_state(atoms) == [] and not calc.calculation_required(atoms, ["energy", "forces"])
    forces[:] = 0  # a copy
    assert atoms.get_forces().any()
    for name, change in (("positions", lambda: atoms.positions.__iadd__(1e-15)), ("numbers", lambda: atoms.numbers.__setitem__(0, 9 - atoms.numbers[0])),
                         ("cell", lambda: atoms.cell.__imul__(1.001)), ("pbc", lambda: atoms.pbc.__setitem__(0, not atoms.pbc[0]))):
        change()
        assert calc.check_state(atoms) == [name]
        close(atoms.get_forces(), p.compute(atoms).forces, 1e-11)
    assert len(calls) == 4
    kept = calc.atoms
    assert kept == atoms and np.array_equal(calc.get_forces(kept), atoms.get_forces()) and len(calls) == 4
    atoms.positions[0, 0] = np.nan
    with pytest.raises(ValueError, match="positions: expected finite numbers, atom 0"):
        atoms.get_forces()


def test_a_calculator_can_be_pickled_and_made_from_a_file(tmp_path):
    p, atoms = POTENTIALS[1], structures.hard()["skewed cell"].copy()
    p.save(tmp_path / "p.nnp")
    energies = []
    for calc in (fastmd.Calculator(p), fastmd.Calculator(tmp_path / "p.nnp"), fastmd.Calculator(str(tmp_path / "p.nnp"))):
        atoms.calc = calc
        energies.append(atoms.get_potential_energy())
        atoms.calc = pickle.loads(pickle.dumps(calc))
        energies.append(atoms.get_potential_energy())
    assert len(set(energies)) == 1


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_stress_of_an_open_structure_is_not_implemented_and_its_forces_are(pbc):
    atoms = structures.hard()["skewed cell"].copy()
    atoms.pbc = pbc
    atoms.calc = fastmd.Calculator(POTENTIALS[1])
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError, match="three directions"):
        atoms.get_stress()
