"""Neighbours: all that brute force finds and no other; the Verlet list holds them until an atom has moved half the skin."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import fastmd
import oracle
import structures

FRACTION = st.one_of(st.sampled_from([0.0, 1.0, 0.5, -1e-17, 1e-17, 1 - 1e-16, -0.5]), st.floats(-1, 2, allow_nan=False))
MASKS = list(itertools.product((False, True), repeat=3))


@st.composite
def cells(draw):
    """from thin to long, from square to very skewed"""
    size = st.floats(0.9, 7)
    off = st.one_of(st.just(0.0), st.floats(-6, 6))
    cell = np.array([[draw(size), 0, 0], [draw(off), draw(size), 0], [draw(off), draw(off), draw(size)]])
    return cell[list(draw(st.permutations(range(3))))][:, list(draw(st.permutations(range(3))))]


@st.composite
def crystals(draw):
    cell, mask = draw(cells()), draw(st.sampled_from(MASKS))
    n = draw(st.integers(0, 5))
    f = np.array([[draw(FRACTION) for _ in range(3)] for _ in range(n)]).reshape(n, 3)
    x = f @ cell
    if draw(st.booleans()):
        x = x + np.array([[draw(st.integers(-30, 30)) for _ in range(3)] for _ in range(n)]).reshape(n, 3) @ cell
    if draw(st.booleans()):
        cell = np.where(np.array(mask)[:, None], cell, 0.0)
    return Atoms("H" * n, positions=x, cell=cell, pbc=mask)


def check(atoms, cutoff):
    pairs = fastmd.find_pairs(atoms, cutoff)
    assert len(pairs.first) == len(atoms) + 1 and pairs.first[0] == 0 and pairs.first[-1] == len(pairs)
    found = {(int(i), int(j), tuple(map(int, s))): d for i, j, s, d in zip(pairs.i, pairs.j, pairs.shift, pairs.d)}
    assert len(found) == len(pairs), "a pair stands twice"
    tie = 1e-10 * (1 + np.abs(atoms.positions).max(initial=0))  # at the cutoff itself rounding decides
    wide = {(i, j, s): d for i, j, s, d in oracle.neighbours(atoms.positions, atoms.cell, atoms.pbc, cutoff + tie)}
    must = {k for k, d in wide.items() if np.linalg.norm(d) < cutoff - tie}
    assert must <= set(found), "a pair is missing"
    assert set(found) <= set(wide), "a pair too many"
    for k, d in found.items():
        np.testing.assert_allclose(d, wide[k], atol=tie)
    np.testing.assert_allclose(pairs.r, np.linalg.norm(pairs.d, axis=1), rtol=1e-15)
    return pairs


@settings(max_examples=300, deadline=None)
@given(crystals(), st.floats(0.3, 4.5))
@example(Atoms("H", positions=[[0, 0, 0]], cell=[[2, 0, 0], [5.9, 1, 0], [0, 5.9, 1]], pbc=True), 3.0)
@example(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0]]), 1.0)
def test_every_pair_of_brute_force_is_found_and_no_other(atoms, cutoff):
    volume = abs(np.linalg.det(np.where(atoms.pbc[:, None], atoms.cell, np.eye(3) * 3)))
    assume(len(atoms) ** 2 * cutoff**3 / max(volume, 1e-3) < 8000)
    check(atoms, cutoff)


@pytest.mark.parametrize("name", structures.hard())
@pytest.mark.parametrize("cutoff", [1.0, 3.9, 7.3])
def test_every_pair_of_brute_force_is_found_in_a_hard_structure(name, cutoff):
    check(structures.hard()[name], cutoff)


@pytest.mark.parametrize("mask", MASKS)
def test_every_pair_of_brute_force_is_found_in_a_system_of_many_cells(mask):
    rng = np.random.default_rng(1)
    cell = np.array([[13.0, 0, 0], [4, 12, 0], [-3, 2, 14.0]])
    x = rng.uniform(-0.6, 1.7, (150, 3)) @ cell
    assert len(check(Atoms("H150", positions=x, cell=cell, pbc=mask), 2.5)) > 40


def test_the_list_is_full_and_its_rows_are_those_of_the_transposed_pairs():
    atoms = structures.hard()["skewed cell"]
    pairs = fastmd.find_pairs(atoms, 5.0)
    there = {(int(i), int(j), tuple(s)) for i, j, s in zip(pairs.i, pairs.j, pairs.shift.tolist())}
    assert {(j, i, tuple(-k for k in s)) for i, j, s in there} == there


def test_an_open_direction_has_no_images_whatever_lattice_vector_it_was_given():
    x = [[0, 0, 0], [1.1, 0.2, 0.3]]
    with_vector = fastmd.find_pairs(Atoms("H2", positions=x, cell=[1, 2, 3], pbc=[False, True, False]), 4.5)
    without = fastmd.find_pairs(Atoms("H2", positions=x, cell=np.diag([0, 2.0, 0]), pbc=[False, True, False]), 4.5)
    np.testing.assert_array_equal(with_vector.d, without.d)
    assert not with_vector.shift[:, [0, 2]].any() and with_vector.shift[:, 1].any()


def test_a_lone_atom_has_no_neighbours_and_an_empty_structure_no_atoms():
    assert len(fastmd.find_pairs(Atoms("H"), 5.0)) == 0
    empty = fastmd.find_pairs(Atoms(), 5.0)
    assert len(empty) == 0 and empty.first.tolist() == [0] and empty.d.shape == (0, 3) and empty.r.shape == (0,)
    assert len(fastmd.find_pairs(Atoms(cell=[2, 2, 2], pbc=True), 5.0)) == 0


def test_dtypes_are_those_that_are_promised():
    p = fastmd.find_pairs(structures.hard()["skewed cell"], 4.0)
    assert (p.first.dtype, p.j.dtype, p.shift.dtype, p.d.dtype, p.r.dtype, p.i.dtype) == (np.int64, np.int32, np.int32, float, float, np.int32)
    assert p.shift.shape == (len(p), 3) and "pairs within 4 angstrom" in repr(p)


def test_atoms_far_apart_need_no_cells_between_them():
    two = Atoms("H2", positions=[[0, 0, 0], [1e9, 1e9, 1e9]])
    assert len(fastmd.find_pairs(two, 1.0)) == 0


# ---- Verlet

@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1.0), st.sampled_from(MASKS))
def test_the_verlet_list_holds_every_pair_within_the_cutoff_after_random_moves(seed, skin, mask):
    rng = np.random.default_rng(seed)
    cell = np.array([[5.0, 0, 0], [1, 4.5, 0], [0.3, -1, 5]])
    x = rng.random((6, 3)) @ cell
    verlet = fastmd.Verlet(3.0, skin)
    for _ in range(8):
        pairs = verlet.pairs(x, cell, mask)
        held = set(zip(pairs.i.tolist(), pairs.j.tolist(), map(tuple, pairs.shift.tolist())))
        assert {(i, j, s) for i, j, s, d in oracle.neighbours(x, cell, mask, 3.0 - 1e-9)} <= held
        x = x + rng.normal(0, 0.15 * max(skin, 0.1), x.shape)


def test_the_verlet_list_is_kept_below_half_the_skin_and_made_anew_beyond():
    x, cell = np.array([[0.0, 0, 0], [2, 0, 0]]), np.zeros((3, 3))
    verlet = fastmd.Verlet(3.0, 0.5)
    first = verlet.pairs(x, cell, [False] * 3)
    assert first.cutoff == 3.5
    assert verlet.pairs(x + [0, 0.2499, 0], cell, [False] * 3) is first and verlet.rebuilds == 1
    assert verlet.pairs(x, cell, [False] * 3) is first
    moved = x.copy()
    moved[1, 2] += 0.2501
    assert verlet.pairs(moved, cell, [False] * 3) is not first and verlet.rebuilds == 2


def test_the_verlet_list_is_made_anew_when_cell_boundaries_or_atoms_change():
    x, cell = np.array([[0.0, 0, 0], [2, 0, 0]]), np.eye(3) * 5
    verlet = fastmd.Verlet(3.0)
    verlet.pairs(x, cell, [True] * 3)
    verlet.pairs(x, cell * 1.000001, [True] * 3)
    assert verlet.rebuilds == 2
    verlet.pairs(x, cell * 1.000001, [True, True, False])
    assert verlet.rebuilds == 3
    assert len(verlet.pairs(x[:1], cell * 1.000001, [True, True, False]).first) == 2
    assert verlet.rebuilds == 4


def test_the_verlet_list_does_not_change_when_the_callers_arrays_do():
    x, cell = np.array([[0.0, 0, 0], [2, 0, 0]]), np.eye(3) * 5
    verlet = fastmd.Verlet(3.0, 0.5)
    verlet.pairs(x, cell, [True] * 3)
    x += 1  # in place: the list was made for other positions than these now
    verlet.pairs(x, cell, [True] * 3)
    cell *= 1.1
    verlet.pairs(x, cell, [True] * 3)
    assert verlet.rebuilds == 3


def test_positions_that_turn_nan_are_refused_by_the_verlet_list():
    verlet = fastmd.Verlet(3.0)
    x = np.array([[0.0, 0, 0], [2, 0, 0]])
    verlet.pairs(x, np.zeros((3, 3)), [False] * 3)
    with pytest.raises(ValueError, match="positions"):
        verlet.pairs(x * np.nan, np.zeros((3, 3)), [False] * 3)


# ---- errors

@pytest.mark.parametrize("cutoff", [0, -1.0, np.nan, np.inf, "wide", None])
def test_a_cutoff_that_is_none_is_refused_by_name(cutoff):
    with pytest.raises(ValueError, match="cutoff must be > 0 angstrom"):
        fastmd.find_pairs(Atoms("H"), cutoff)
    with pytest.raises(ValueError, match="cutoff must be > 0 angstrom"):
        fastmd.Verlet(cutoff)


def test_a_negative_skin_is_refused():
    with pytest.raises(ValueError, match="skin must be >= 0 angstrom"):
        fastmd.Verlet(3.0, -0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_position_that_is_not_finite_is_refused_and_its_atom_named(bad):
    atoms = Atoms("H3", positions=np.zeros((3, 3)))
    atoms.positions[2, 1] = bad
    with pytest.raises(ValueError, match="positions: expected finite numbers, atom 2"):
        fastmd.find_pairs(atoms, 3.0)


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), [[1, 0, 0], [2, 0, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [1, 1, 0]], np.full((3, 3), np.nan),
                                  [[1, 0, 0], [0, 1, 0], [1, 1, 1e-14]]])
def test_a_singular_cell_is_refused(cell):
    atoms = Atoms("H", positions=[[0, 0, 0]])
    atoms.set_cell(cell)
    atoms.pbc = True
    with pytest.raises(ValueError, match="cell"):
        fastmd.find_pairs(atoms, 3.0)


def test_a_list_that_cannot_fit_into_memory_is_a_clear_error_and_no_crash():
    with pytest.raises(ValueError):
        fastmd.find_pairs(Atoms("H", positions=[[0, 0, 0]], cell=np.eye(3) * 1e-3, pbc=True), 1e3)


def test_what_is_no_atoms_object_is_refused():
    with pytest.raises(ValueError, match="expected an ase.Atoms, got ndarray"):
        fastmd.find_pairs(np.zeros((2, 3)), 3.0)
