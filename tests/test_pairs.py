"""Neighbours: all that brute force finds and no other; the Verlet list holds them until an atom has moved half the skin."""

import ctypes
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import fastmd
import oracle
import structures
from fastmd import _core
from test_potential import child

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
    two = Atoms("H2", positions=[[0, 0, 0], [4e7, 4e7, 4e7]])
    assert len(fastmd.find_pairs(two, 1.0)) == 0


def brute(atoms, cutoff):
    """first, j, shift, all sorted, and how near to the cutoff any pair comes: every image that could be within reach, one array for each"""
    x, pbc = atoms.positions, atoms.pbc
    vectors = atoms.cell.array[pbc]
    inverse = np.linalg.pinv(vectors) if len(vectors) else np.zeros((3, 0))
    spread = np.ptp(x @ inverse, axis=0) if len(x) else 0
    reach = np.ceil(cutoff * np.linalg.norm(inverse, axis=0) + spread).astype(int)
    found, nearest = set(), np.inf
    for s in itertools.product(*(range(-k, k + 1) for k in reach)):
        r = np.linalg.norm(x[None] - x[:, None] + np.array(s, float) @ vectors, axis=2)
        full = np.zeros(3, int)
        full[pbc] = s
        if not any(s):
            np.fill_diagonal(r, np.inf)
        nearest = min(nearest, np.abs(r - cutoff).min(initial=np.inf))
        found |= {(int(i), int(j), *map(int, full)) for i, j in zip(*np.nonzero(r < cutoff))}
    return found, nearest


def trial(rng):
    """A structure of a random kind of those that a cell list could lose pairs of, and a cutoff"""
    kind, n = rng.integers(6), int(rng.integers(1, 20))
    cell = np.diag(rng.uniform(3, 9, 3)) + rng.uniform(-2, 2, (3, 3)) * (rng.random() < 0.7)
    pbc, cutoff = rng.random(3) < 0.7, rng.uniform(1, 4)
    f = rng.uniform(-0.3, 1.3, (n, 3))
    if kind == 0:  # thinner than the cutoff, skewed
        cell, n, pbc = np.diag(rng.uniform(1, 3, 3)) + np.tril(rng.uniform(-4, 4, (3, 3)), -1), min(n, 3), rng.random(3) < 0.9
    elif kind == 1:  # one atom
        n, cutoff = 1, rng.uniform(1, 9)
    elif kind == 2:  # on faces, edges and corners, on both sides of them, and in several cells
        f = rng.integers(-2, 4, (n, 3)) / 2 + rng.choice([0, 1e-17, -1e-17, 1e-12], (n, 3))
        pbc = np.ones(3, bool)
    elif kind == 3:  # open and far apart, in twos: a million cells of a cutoff
        pbc, cell = np.zeros(3, bool), np.zeros((3, 3))
    elif kind == 4:  # left-handed, far from the origin
        cell = cell[[1, 0, 2]]
    if abs(np.linalg.det(cell)) < 1:
        cell = cell + 6 * np.eye(3) * (kind != 3)
    x = f[:n] @ cell
    if kind == 3:
        x = np.repeat(rng.uniform(0, 100 * cutoff, (n, 3)), 2, axis=0)
        x[1::2] += rng.normal(0, cutoff / 2, (n, 3))
    return Atoms("H" * len(x), positions=x, cell=cell, pbc=pbc), cutoff


def agrees_with_brute_force(numbers):
    checked = 0
    for k in numbers:
        atoms, cutoff = trial(np.random.default_rng(k))
        wanted, nearest = brute(atoms, cutoff)
        if nearest < 1e-9:
            continue  # on the cutoff itself rounding decides
        p = fastmd.find_pairs(atoms, cutoff)
        found = list(zip(p.i.tolist(), p.j.tolist(), *p.shift.T.tolist()))
        assert len(set(found)) == len(found) and set(found) == wanted, f"structure {k}"
        checked += 1
    return checked


def test_hundreds_of_random_structures_have_the_pairs_of_brute_force():
    assert agrees_with_brute_force(range(400)) > 380


@pytest.mark.slow
def test_ten_thousand_random_structures_have_the_pairs_of_brute_force():
    assert agrees_with_brute_force(range(1000, 11000)) > 9500


def same_list(a, b):
    for name in ("first", "j", "shift", "d", "r"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


def crowd(n=3000, seed=3):
    rng = np.random.default_rng(seed)
    box = (n * 15.0) ** (1 / 3)
    return Atoms("H" * n, positions=rng.uniform(-0.5, 1.5, (n, 3)) * box, cell=np.eye(3) * box + [[0, 1, 2], [0, 0, -3], [1, 0, 0]], pbc=[1, 1, 0])


def test_a_list_has_the_same_bits_for_any_number_of_threads(monkeypatch):
    lists = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("FASTMD_THREADS", threads)
        lists.append(fastmd.find_pairs(crowd(), 5.0, d=True, r=True))
    assert len(lists[0]) > 20000
    same_list(lists[0], lists[1])
    same_list(lists[0], lists[2])


def test_every_instruction_set_gives_the_same_list():
    code = """
import hashlib, fastmd, test_pairs, structures
h = hashlib.sha256()
for atoms in (test_pairs.crowd(), *structures.hard().values()):
    p = fastmd.find_pairs(atoms, 4.7)
    for x in (p.first, p.j, p.shift):
        h.update(x.tobytes())
print(h.hexdigest())
"""
    runs = [child(code, FASTMD_ISA=isa) for isa in _core.isas()]
    assert len({run.stdout for run in runs}) == 1 and runs[0].stdout, runs[0].stderr


def test_rows_are_in_the_order_of_the_atoms_and_repeat_but_are_not_sorted_by_neighbour():
    atoms = crowd()
    p, again = fastmd.find_pairs(atoms, 5.0), fastmd.find_pairs(atoms, 5.0)
    same_list(p, again)
    assert (np.diff(p.i) >= 0).all()
    assert any((np.diff(p.j[a:b]) < 0).any() for a, b in zip(p.first, p.first[1:]))


def test_what_is_asked_for_is_that_which_is_computed_later():
    for atoms in (crowd(), *structures.hard().values()):
        later, now = fastmd.find_pairs(atoms, 4.0), fastmd.find_pairs(atoms, 4.0, shift=False, d=True, r=True)
        assert now.j.tobytes() == later.j.tobytes()
        np.testing.assert_allclose(now.d, later.d, rtol=0, atol=1e-12)
        np.testing.assert_allclose(now.r, later.r, rtol=0, atol=1e-12)
        with pytest.raises(ValueError, match="made with shift=False"):
            now.shift


def test_structures_end_to_end_have_the_pairs_of_each():
    many = [*structures.hard().values(), Atoms(), Atoms("H"), crowd(700)]
    for d in (False, True):
        p = fastmd.find_pairs(many, 4.0, d=d)
        assert p.start.tolist() == [0, *np.cumsum([len(a) for a in many])]
        for k, a in enumerate(many):
            one = fastmd.find_pairs(a, 4.0, d=d)
            rows = p.first[p.start[k]:p.start[k + 1] + 1]
            part = slice(rows[0], rows[-1])
            assert np.array_equal(rows - rows[0], one.first) and np.array_equal(p.j[part] - p.start[k], one.j) and np.array_equal(p.shift[part], one.shift)
            np.testing.assert_allclose(p.d[part], one.d, rtol=0, atol=1e-12)
    none = fastmd.find_pairs([], 4.0)
    assert len(none) == 0 and none.start.tolist() == [0] and none.d.shape == (0, 3)


def test_what_is_wrong_with_one_of_many_structures_is_said_with_its_number():
    good, bad, flat = Atoms("H"), Atoms("H", positions=[[0, np.nan, 0]]), Atoms("H", pbc=True)
    with pytest.raises(ValueError, match="structure 1: positions: expected finite numbers, atom 0"):
        fastmd.find_pairs([good, bad], 3.0)
    with pytest.raises(ValueError, match="structure 1: cell: lattice vector 0 is zero"):
        fastmd.find_pairs([good, flat], 3.0)
    with pytest.raises(ValueError, match="structure 1: atoms: expected an ase.Atoms, got int"):
        fastmd.find_pairs([good, 7], 3.0)
    with pytest.raises(ValueError, match="made for 2 structures end to end"):
        fastmd.find_pairs([good, good], 3.0).check(good.positions, np.zeros((3, 3)), [0, 0, 0], 3.0)


def test_a_list_keeps_its_memory_while_it_is_looked_at_and_leaves_it_to_the_next():
    atoms = crowd()
    p = fastmd.find_pairs(atoms, 5.0, d=True)
    j, kept, where = p.j, p.j.copy(), p.d.ctypes.data
    others = [fastmd.find_pairs(crowd(seed=k), 5.0, d=True) for k in range(4)]
    del p
    others.append(fastmd.find_pairs(crowd(seed=9), 5.0, d=True))
    assert np.array_equal(j, kept) and all(o.d.ctypes.data != where for o in others)
    del j, others
    first = fastmd.find_pairs(atoms, 5.0, d=True)
    where = first.d.ctypes.data
    del first
    assert fastmd.find_pairs(atoms, 5.0, d=True).d.ctypes.data == where


def test_atoms_scattered_over_a_million_cells_take_memory_for_the_atoms_only():
    run = child("""
import resource, numpy as np, fastmd
from ase import Atoms
fastmd.find_pairs(Atoms("H"), 3.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
x = np.random.default_rng(1).uniform(0, 300, (2000, 3))
x[1::2] = x[::2] + 1
assert len(fastmd.find_pairs(Atoms("H2000", positions=x), 3.0)) >= 2000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
""")
    assert int(run.stdout) < 8000, run.stderr  # kB


# ---- far from the origin, where float64 has few digits left

@pytest.mark.parametrize("pbc", [False, True, (True, False, True)])
@pytest.mark.parametrize("cells", [400, 40_000, 900_000])
def test_pairs_far_from_the_origin_are_those_of_the_same_numbers_near_it(pbc, cells):
    rng = np.random.default_rng(cells)
    away = np.array([cells, -cells, cells // 2]) * 32.0
    x = rng.uniform(0, 32, (400, 3))
    direction = rng.normal(size=(200, 3))
    x[1::2] = x[::2] + 3 * direction / np.linalg.norm(direction, axis=1)[:, None] * (1 + rng.normal(0, 1e-6, (200, 1)))  # pairs at the cutoff, about
    x += away
    far, near = (Atoms("H400", positions=y, cell=[32, 32, 32], pbc=pbc) for y in (x, x - away))  # no rounding: powers of two
    p, wanted = fastmd.find_pairs(far, 3.0, r=True), fastmd.find_pairs(near, 3.0, r=True)
    assert len(p) > 500 and (p.r < 3).all()
    assert sorted(zip(p.i, p.j, *p.shift.T, p.r)) == sorted(zip(wanted.i, wanted.j, *wanted.shift.T, wanted.r))


def test_no_pair_is_lost_far_from_the_origin_where_bins_are_hardly_wider_than_the_cutoff():
    found = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        long = 600 * (1 + 2e-9)  # 400 bins
        cell = np.diag([4.5, 4.5, long]) @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
        fraction = np.column_stack([rng.random((1000, 2)), rng.integers(1, 150, 1000) / 200 + rng.normal(0, 1e-11, 1000)])
        x = (fraction + rng.integers(-900, 900, 3) * [1000, 1000, 100]) @ cell
        y = x + 3 * (1 - 4e-9 * rng.random((1000, 1))) * cell[2] / long
        within = np.flatnonzero(np.linalg.norm(y - x, axis=1) < 3 - 1e-12)
        p = fastmd.find_pairs(Atoms("H2000", positions=np.concatenate([x, y]), cell=cell, pbc=True), 3.0)
        assert set((within * 2001 + 1000).tolist()) <= set((p.i.astype(int) * 2000 + p.j).tolist()), seed
        found += len(within)
    assert found > 10000


@pytest.mark.parametrize("offset, pbc", [(1e14, False), (1e9, (True, False, True)), (2.5e7, True)])
def test_atoms_so_far_from_the_origin_that_distances_are_lost_are_refused(offset, pbc):
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, -offset, 0]], cell=[32, 32, 2], pbc=pbc)
    wanted = r"positions: atom 1 is [\d.e+]+ angstrom from the origin, .* at most 2e\+07 .* cutoff of 0.4 angstrom.*: move the atoms nearer to the origin"
    with pytest.raises(ValueError, match="^" + wanted):
        fastmd.find_pairs(atoms, 0.4)
    with pytest.raises(ValueError, match="^structure 2: " + wanted):
        fastmd.find_pairs([Atoms("H"), Atoms("H"), atoms], 0.4)
    with pytest.raises(ValueError, match="^" + wanted):
        fastmd.Verlet(0.3, 0.1).pairs(atoms.positions, atoms.cell.array, atoms.pbc)


def test_a_very_skewed_cell_leaves_fewer_digits_and_one_too_long_is_refused():
    x = [[0, 0, 0], [0, 1e6, 0]]
    assert len(fastmd.find_pairs(Atoms("H2", positions=x, cell=[32, 32, 32], pbc=True), 3.0)) == 2
    with pytest.raises(ValueError, match=r"positions: atom 1 is 1e\+06 angstrom from the origin, .* at most 1.5e\+05 "):
        fastmd.find_pairs(Atoms("H2", positions=x, cell=[[32, 0, 0], [0, 32, 0], [0, 32000, 32]], pbc=True), 3.0)
    with pytest.raises(ValueError, match=r"cell: lattice vector 2 is 1e\+11 angstrom long, .* at most 1.5e\+08 .* is the unit right"):
        fastmd.find_pairs(Atoms("H2", positions=np.zeros((2, 3)), cell=[32, 32, 1e11], pbc=True), 3.0)


# ---- more pairs than there is memory for

def limited(structures, cutoff):
    """What is said of a search with 2 GB of memory"""
    run = child(f"""
import resource, numpy as np, fastmd
from ase import Atoms
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
def crowd(n, size, pbc):
    return Atoms(np.ones(n, int), np.random.default_rng(1).random((n, 3)) * size, cell=size, pbc=pbc)
try:
    print(len(fastmd.find_pairs({structures}, {cutoff})))
except ValueError as e:
    print(e)
""", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", FASTMD_THREADS="1")
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.plain_core
@pytest.mark.parametrize("structures, pairs", [
    ("crowd(300, [1, 1, 1], True)", 300**2 * 4 / 3 * np.pi * 60**3), ("crowd(4000, [1, 1, 1], (1, 1, 0))", 4000**2 * np.pi * 60**2),
    ("crowd(30_000, [1, 1, 1], (0, 1, 0))", 30_000**2 * 2 * 60), ("crowd(30_000, [1, 1, 1], False)", 30_000**2)])
def test_more_pairs_than_memory_holds_are_refused_before_they_are_searched(structures, pairs):
    said = limited(structures, 60.0)
    found = re.match(r"cutoff: some (\S+) pairs within 60 angstrom, at 24 bytes each more than the 2.15 GB of memory; is the unit of the cutoff, the cell or the positions right\?$", said)
    assert found and 0.7 < float(found[1]) / pairs < 1.1, said


@pytest.mark.plain_core
def test_structures_that_together_have_more_pairs_than_memory_holds_are_refused():
    assert re.match(r"structure 3: cutoff: some 9.65e\+07 pairs within 60 angstrom", limited("[crowd(300, [15, 15, 15], True)] * 20", 60.0))


@pytest.mark.plain_core
@pytest.mark.parametrize("size, pbc", [([30_000, 0, 0], False), ([30_000, 0, 0], (1, 0, 0)), ([1000, 1000, 0], (1, 1, 0)), ([200, 200, 200], False)])
def test_wires_sheets_and_gases_are_not_taken_for_crowds(size, pbc):
    assert int(limited(f"crowd(30_000, {size}, {pbc})", 4.0)) > 10_000


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


def walk(verlet, steps, speed, n=60):
    """Atoms that go straight on"""
    rng = np.random.default_rng(5)
    start, direction = rng.random((n, 3)) * 12, rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    for k in range(steps):
        verlet.pairs(start + direction * speed * k, np.eye(3) * 12, [True] * 3)
    return verlet


@pytest.mark.parametrize("reach, period", [(0.4, 40), (0.7, 40), (0.3, 10)])
def test_the_automatic_skin_finds_out_of_short_ones_where_atoms_swing_in_step(reach, period):
    """At their turning points atoms hardly move, which speaks for a short skin; how far they come is seen only with a longer one."""
    rng = np.random.default_rng(0)
    x, along = rng.random((250, 3)) * 18, rng.normal(size=(250, 3))
    along /= np.linalg.norm(along, axis=1)[:, None]

    def searches(skin):
        verlet = fastmd.Verlet(3.0, skin)
        for t in range(300):
            verlet.pairs(x + reach * along * np.sin(2 * np.pi * t / period), 18 * np.eye(3), [True] * 3)
        return verlet.rebuilds

    assert searches(None) < 1.6 * searches(0.5)


def test_the_automatic_skin_grows_with_the_speed_of_the_atoms_and_falls_with_it():
    slow, fast = walk(fastmd.Verlet(5.0, None), 3000, 0.002), walk(fastmd.Verlet(5.0, None), 300, 0.05)
    assert slow.skin < 0.5 < fast.skin and fast.rebuilds < walk(fastmd.Verlet(5.0, 0.5), 300, 0.05).rebuilds
    jump = walk(fastmd.Verlet(5.0, None), 3, 5.0)
    assert jump.skin <= 0.7  # no further than a step up at a time
    assert walk(jump, 3000, 0.002).skin == slow.skin


# ---- errors

@pytest.mark.parametrize("cutoff", [0, -1.0, np.nan, np.inf, "wide", None])
def test_a_cutoff_that_is_none_is_refused_by_name(cutoff):
    with pytest.raises(ValueError, match="cutoff must be > 0 angstrom"):
        fastmd.find_pairs(Atoms("H"), cutoff)
    with pytest.raises(ValueError, match="cutoff must be > 0 angstrom"):
        fastmd.Verlet(cutoff)


def test_a_cutoff_below_any_distance_of_atoms_is_refused_and_one_for_atoms_at_the_same_place_is_not():
    twice = Atoms("H3", positions=[[1, 2, 3], [1, 2, 3], [1, 2, 3.001]])
    assert len(fastmd.find_pairs(twice, 1e-5)) == 2
    with pytest.raises(ValueError, match="cutoff must be >= 1e-6 angstrom and finite, got 1e-30; is the unit right"):
        fastmd.find_pairs(twice, 1e-30)


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


# ---- the C functions

class Search(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("structures", ctypes.c_int64), ("start", ctypes.c_void_p), ("x", ctypes.c_void_p), ("cell", ctypes.c_void_p), ("pbc", ctypes.c_void_p),
                ("cutoff", ctypes.c_double), ("fill", ctypes.c_int), ("threads", ctypes.c_int)]


def c_search(**changed):
    """(list or None, error text)"""
    lib = ctypes.CDLL(str(Path(fastmd.__file__).parent / "lib/libfastmd.so"))
    lib.fastmd_search_pairs.restype, lib.fastmd_last_error.restype = ctypes.c_void_p, ctypes.c_char_p
    keep = [np.array([0, 1, 2]), np.array([[0.0, 0, 0], [1, 0, 0]]), np.tile(np.eye(3) * 2, (2, 1)), np.ones(6, np.int32)]
    given = dict(zip(("start", "x", "cell", "pbc"), (a.ctypes.data for a in keep)))
    s = Search(**{"size": ctypes.sizeof(Search), "structures": 2, **given, "cutoff": 2.5, "fill": 7, **changed})
    found = lib.fastmd_search_pairs(ctypes.byref(s))
    return found, lib.fastmd_last_error().decode(), lib


def test_the_c_function_finds_the_pairs_of_many_structures():
    found, _, lib = c_search()
    lib.fastmd_pairs_count.restype = ctypes.c_int64
    assert lib.fastmd_pairs_count(ctypes.c_void_p(found)) == 2 * 6
    lib.fastmd_free_pairs(ctypes.c_void_p(found))


@pytest.mark.parametrize("changed, wanted", [({"size": 8}, "search.size"), ({"structures": -1}, "structures or start"), ({"start": None}, "structures or start"), ({"x": None}, "x is NULL"),
                                             ({"cell": None}, "cell is NULL but pbc is set"), ({"pbc": None}, "pbc is NULL"), ({"cutoff": 0.0}, "cutoff must be >= 1e-6"),
                                             ({"cutoff": np.nan}, "cutoff must be >= 1e-6"), ({"cutoff": 1e-9}, "got 1e-09; is the unit right")])
def test_what_is_missing_is_an_error_of_the_c_function(changed, wanted):
    found, error, _ = c_search(**changed)
    assert found is None and wanted in error
