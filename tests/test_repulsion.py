"""Short range: ZBL against its formula, tables against their function, both as parts of a network potential, in its file and in bad company."""

import pickle

import numpy as np
import pytest
from ase import Atoms, units
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmd
from fastmd import NNPotential, PairTable, Repulsion, ZBL
from structures import random_structure
from structures import random_potential


def plain_zbl(za, zb, r):
    """The unswitched formula, eV"""
    a = 0.46850 / (za**0.23 + zb**0.23)
    phi = sum(c * np.exp(-d * r / a) for c, d in zip((0.18175, 0.50986, 0.28022, 0.02817), (3.19980, 0.94229, 0.40290, 0.20162)))
    return units.Hartree * units.Bohr * za * zb / r * phi


def pair(r, symbols="SiO"):
    return Atoms(symbols, positions=[[0, 0, 0], [r, 0, 0]])


def test_below_inner_zbl_is_the_formula_shifted_by_a_constant():
    p = Repulsion({("Si", "O"): ZBL(1.0, 2.0)})
    shift = p.compute(pair(0.3)).energy - plain_zbl(14, 8, 0.3)
    for r in (0.05, 0.5, 0.99):
        assert p.compute(pair(r)).energy == pytest.approx(plain_zbl(14, 8, r) + shift, rel=1e-13)
    assert p.cutoff == 2.0


@pytest.mark.parametrize("term", [ZBL(0.9, 2.1), PairTable.of(lambda r: (3 * np.exp(-2 * r), -6 * np.exp(-2 * r)), 0.4, 2.1)], ids=["zbl", "table"])
def test_energy_slope_and_force_are_smooth_at_every_joint(term):
    p = Repulsion({("Si", "O"): term})
    for joint in (0.4, 0.9, 2.1):
        left, right = p.compute(pair(joint - 1e-7)), p.compute(pair(joint + 1e-7))
        force = np.abs(left.forces).max()
        assert abs(left.energy - right.energy) <= 2.1e-7 * force + 1e-14 and np.abs(left.forces - right.forces).max() <= 1e-5 * force + 1e-6
    end = p.compute(pair(2.1 - 1e-5))
    assert 0 <= end.energy < 1e-8 and np.abs(end.forces).max() < 1e-4
    assert p.compute(pair(2.1)).energy == 0
    for r in (0.2, 0.7, 1.3, 1.9):
        h = 1e-5
        slope = (p.compute(pair(r + h)).energy - p.compute(pair(r - h)).energy) / (2 * h)
        assert p.compute(pair(r)).forces[0, 0] == pytest.approx(slope, rel=1e-7)


def test_a_table_is_its_function_less_the_line_that_ends_it_at_zero():
    f = lambda r: (2 / r**3, -6 / r**4)  # noqa: E731
    p = Repulsion({("C", "C"): PairTable.of(f, 0.5, 2.0, n=2000)})
    for r in (0.5, 0.777, 1.2345, 1.99):
        want = f(r)[0] - f(2.0)[0] - (r - 2.0) * f(2.0)[1]
        assert p.compute(pair(r, "CC")).energy == pytest.approx(want, rel=1e-9, abs=1e-12)
        assert p.compute(pair(r, "CC")).forces[1, 0] == pytest.approx(-(f(r)[1] - f(2.0)[1]), rel=1e-6)
    below = p.compute(pair(0.3, "CC"))
    at = p.compute(pair(0.5, "CC"))
    assert below.energy == pytest.approx(at.energy + 0.2 * at.forces[1, 0], rel=1e-12)


def with_repulsion(p, terms, **more):
    return NNPotential(p.functions, p.networks, p.scaling, p.statistics, p.offsets, p.notes, p.units, repulsion=Repulsion(terms, p.elements, p.units), **more)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_a_potential_with_a_repulsion_is_the_sum_of_both(seed):
    rng = np.random.default_rng(seed)
    p = random_potential(rng)
    a, b = p.elements[0], p.elements[-1]
    terms = {(a, b): ZBL(1.0, 3.0), (a, a): PairTable.of(lambda r: (np.exp(-r), -np.exp(-r)), 0.5, 2.5)} if a != b else {(a, b): ZBL(1.0, 3.0)}
    both, alone = with_repulsion(p, terms), Repulsion(terms, p.elements)
    atoms = random_structure(rng, 30)
    r, one, other = both.compute(atoms), p.compute(atoms), alone.compute(atoms)
    scale = 1 + np.abs(other.forces).max() + np.abs(one.forces).max()
    assert abs(r.energy - one.energy - other.energy) < 1e-11 * (1 + abs(one.energy) + abs(other.energy))
    np.testing.assert_allclose(r.energies, one.energies + other.energies, atol=1e-11 * scale)
    np.testing.assert_allclose(r.forces, one.forces + other.forces, atol=1e-11 * scale)
    np.testing.assert_allclose(r.virial, one.virial + other.virial, atol=1e-10 * scale)


def test_the_file_brings_it_back_to_the_bit(tmp_path):
    rng = np.random.default_rng(3)
    p = random_potential(rng)
    a = p.elements[0]
    both = with_repulsion(p, {(a, a): PairTable.of(lambda r: (1 / r, -1 / r**2), 0.4, 2.3), (a, p.elements[1]): ZBL(0.7, 1.9)}, shortest={(a, a): 2.1})
    both.save(tmp_path / "p.nnp")
    back = NNPotential.load(tmp_path / "p.nnp")
    assert back.text() == both.text() and back.shortest == {(a, a): 2.1}
    atoms = random_structure(rng, 40)
    for q in (back, pickle.loads(pickle.dumps(both))):
        assert q.compute(atoms).forces.tobytes() == both.compute(atoms).forces.tobytes()
    alone = both.repulsion
    assert pickle.loads(pickle.dumps(alone)).lines() == alone.lines()


def test_a_file_in_bohr_and_hartree_has_the_same_zbl():
    bohr, hartree = units.Bohr, units.Hartree
    one = Repulsion({("Si", "Si"): ZBL(1.0, 2.0)})
    other = Repulsion({("Si", "Si"): ZBL(1.0 / bohr, 2.0 / bohr)}, units=("bohr", bohr, "hartree", hartree))
    for r in (0.4, 1.3, 1.9):
        assert other.compute(pair(r, "Si2")).energy == pytest.approx(one.compute(pair(r, "Si2")).energy, rel=1e-12)
    assert other.cutoff == pytest.approx(2.0)


@pytest.mark.parametrize("make, message", [
    (lambda: ZBL(1.0, 0.5), r"outer must be > 1.0 angstrom \(inner\), got 0.5"),
    (lambda: ZBL(-1.0, 0.5), r"inner must be >= 0 angstrom, got -1.0"),
    (lambda: ZBL(0.5, np.nan), r"outer must be > 0.5 .* got nan"),
    (lambda: PairTable(0, 1, [1, 1], [0, 0]), r"the last must be 0, or the energy would jump at 1 angstrom, got 1 and 0"),
    (lambda: PairTable(0, 1, [1, np.inf, 0], [0, 0, 0]), r"expected finite numbers; start further out"),
    (lambda: PairTable(0, 1, [1, 2, 0], [0, 0]), r"expected two \(n,\) arrays"),
    (lambda: PairTable.of(lambda r: (1 / r if r else np.inf, 0), 0.0, 1.0), r"start further out"),
    (lambda: Repulsion({}), r'terms: expected \{\("Si", "Si"\): fastmd.ZBL'),
    (lambda: Repulsion({"Si": ZBL(1, 2)}), r"a key must be two elements"),
    (lambda: Repulsion({("Si", "Qq"): ZBL(1, 2)}), r"a key must be two elements"),
    (lambda: Repulsion({("Si", "O"): 3}), r"expected a fastmd.ZBL or a fastmd.PairTable, got int"),
    (lambda: Repulsion({("Si", "O"): ZBL(1, 2), ("O", "Si"): ZBL(1, 2)}), r"O-Si is given twice"),
    (lambda: Repulsion({("Si", "O"): ZBL(1, 2)}, elements=["Si"]), r"O is not among the elements Si"),
])
def test_messages(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("lines, message", [
    (["pair Si Si zbl 2 1"], r"0 <= inner < outer, got 2 and 1"),
    (["pair Si Si zbl 1"], r"expected outer, the line ends"),
    (["pair Si Ge zbl 1 2"], r"element 'Ge' has no line 'element' above"),
    (["pair Si Si zbl 1 2", "pair Si Si zbl 1 2"], r"the pair Si Si stands twice"),
    (["pair Si Si table 3 1 2", "1 0", "1 0", "1 0"], r"must end with 0 0"),
    (["pair Si Si table 900000 1 2", "1 0"], r"too short for a table of 900000 rows"),
    (["pair Si Si table 1 1 2", "0 0"], r"whole number from 2 to 1000000"),
    (["pair Si Si morse 1 2"], r"expected one of zbl, table"),
    (["shortest Si Si -1"], r"the distance must be > 0"),
    (["shortest Si Si 1", "shortest Si Si 2"], r"stands twice"),
    (["unit length big 1e300", "pair Si Si zbl 1 1e200"], r"not finite in angstrom"),
])
def test_what_is_wrong_in_a_file_is_said_with_its_line(lines, message):
    from fastmd import _core

    text = "\n".join(["fastmd-potential 1", "element Si offset 0", *lines, "end", ""])
    with pytest.raises(ValueError, match=r"t:\d+: .*" + message):
        _core.Core(text.encode(), "t")


def test_a_repulsion_of_other_elements_or_units_is_refused():
    p = random_potential(np.random.default_rng(0))
    with pytest.raises(ValueError, match="Xe is not among the elements"):
        NNPotential(p.functions, p.networks, p.scaling, p.statistics, repulsion=Repulsion({("Xe", "Xe"): ZBL(1, 2)}))
    with pytest.raises(ValueError, match="its numbers are in bohr and eV, the potential's in angstrom and eV"):
        NNPotential(p.functions, p.networks, p.scaling, p.statistics, repulsion=Repulsion({(p.elements[0],) * 2: ZBL(1, 2)}, units=("bohr", 0.5, "eV", 1.0)))
    with pytest.raises(ValueError, match=r"shortest\[.*must be > 0"):
        NNPotential(p.functions, p.networks, p.scaling, p.statistics, shortest={(p.elements[0],) * 2: 0})
    assert fastmd.repulsion.around({("Si", "Si"): 2.0, ("O", "Si"): np.inf}) == {("Si", "Si"): ZBL(1.0, 2.0)}
