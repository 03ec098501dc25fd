"""Committees: means and spreads are those of the single potentials, whatever computes them; the file; what cannot be joined."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmd
import structures
from fastmd import G2, G4, Network, NNPotential, _core
from structures import SYMBOLS, random_potential, random_structure

BOHR = ("bohr", 0.5291772105638411, "Ha", 27.211386024367243)
SCALINGS = ("none", "minmax", "center", "center-minmax", "sigma")
HARD = [(k, name) for k in (1, 2, 3) for name in structures.hard(k)]


def another(p, rng, by=0.1):
    """The potential with other weights"""
    networks = {e: Network(tuple((w + rng.normal(0, by, w.shape), b + rng.normal(0, by, b.shape), a) for w, b, a in n.layers)) for e, n in p.networks.items()}
    return NNPotential(p.functions, networks, p.scaling, p.statistics, p.offsets, p.notes, p.units, p.threads, p.repulsion, p.shortest, p.precision)


def some(n, seed=0, elements=("H", "O"), scaling="center", units=("angstrom", 1.0, "eV", 1.0), **more):
    rng = np.random.default_rng(seed)
    first = random_potential(rng, elements, scaling, units=units, **more)
    return [first] + [another(first, rng) for _ in range(n - 1)]


def in_precision(potential, precision):
    potential.precision = precision
    return potential


def check(singles, atoms, tolerance=1e-13):
    """Mean and spread as numpy makes them of the single results. Forces against the virial, in which nothing cancels."""
    committee = NNPotential.committee(singles)
    got, each = committee.compute(atoms, force_spread=True), [p.compute(atoms) for p in singles]
    energy, energies, forces, virial = (np.array([getattr(r, name) for r in each]) for name in ("energy", "energies", "forces", "virial"))
    size = max(np.abs(virial).max(), np.abs(forces).max(initial=0), 0.01)
    total = max(np.abs(energies).sum(axis=1).max(), 0.01)
    for x, y, scale in ((got.energy, energy.mean(), total), (got.energies, energies.mean(0), total), (got.forces, forces.mean(0), size), (got.virial, virial.mean(0), size),
                        (got.energy_spread, energy.std(), total), (got.energies_spread, energies.std(0), total),
                        (got.forces_spread, np.sqrt(((forces - forces.mean(0)) ** 2).sum(2).mean(0)), size)):
        assert np.shape(x) == np.shape(y)
        assert np.abs(x - y).max(initial=0) < tolerance * scale
    plain = committee.compute(atoms)
    assert plain.forces_spread is None
    assert bits(plain) == bits(got)  # to ask for the spread of forces changes nothing
    return got


def bits(r):
    return b"".join(np.asarray(x).tobytes() for x in (r.energy, r.energies, r.forces, r.virial, r.energy_spread, r.energies_spread))


# ---- mean and spread

@pytest.mark.parametrize("k, name", HARD, ids=[f"{k}-{name.replace(' ', '_')}" for k, name in HARD])
def test_mean_and_spread_are_those_of_the_single_potentials_in_hard_structures(k, name):
    n = HARD.index((k, name))
    singles = some(2 + n % 3, n, SYMBOLS[:k], SCALINGS[n % 5], BOHR if n % 3 == 0 else ("angstrom", 1.0, "eV", 1.0))
    got = check(singles, structures.hard(k)[name])
    assert got.energy_spread > 0 and (got.energies_spread > 0).all()


@pytest.mark.parametrize("precision", ["mixed", "float32"])
def test_mean_and_spread_are_those_of_the_single_potentials_in_float32(precision):
    singles = [in_precision(p, precision) for p in some(3, 1, scaling="sigma")]
    for atoms in (structures.hard()["skewed cell"], random_structure(np.random.default_rng(2), 60)):
        check(singles, atoms, 3e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 3), st.integers(1, 5), st.sampled_from(SCALINGS), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_mean_and_spread_are_those_of_the_single_potentials_in_any_structure(seed, n, k, members, scaling, pbc):
    singles = some(members, seed, SYMBOLS[:k], scaling)
    atoms = random_structure(np.random.default_rng(seed), n, k, pbc)
    if members == 1:
        assert bits(NNPotential.committee(singles).compute(atoms)) == bits(singles[0].compute(atoms))
    else:
        check(singles, atoms)


def test_triplets_beyond_what_is_kept_between_the_passes_and_a_repulsion():
    rng = np.random.default_rng(3)
    atoms = random_structure(rng, 60, 1, volume=9.0)  # 160 neighbours
    functions = {"H": [G2("H", 7.0, 0.1), *(G4("H", "H", 7.0, eta, lambda_, zeta) for eta in (0.005, 0.02) for lambda_ in (1, -1) for zeta in (1, 4))]}
    G = fastmd.Descriptor(functions).describe(atoms)["H"]
    statistics = {"H": np.column_stack([G.min(0), G.max(0), G.mean(0), G.std(0)])}
    repulsion = fastmd.Repulsion({("H", "H"): fastmd.ZBL(1.0, 2.5)})
    singles = [NNPotential(functions, {"H": Network.random(9, (7,), rng=k)}, ("sigma", 0, 1), statistics, repulsion=repulsion) for k in range(3)]
    assert (check(singles, atoms).forces_spread > 0).all()


def test_members_that_are_the_same_have_no_spread():
    p = some(1)[0]
    atoms = random_structure(np.random.default_rng(4), 30)
    r, single = NNPotential.committee([p] * 4).compute(atoms, force_spread=True), p.compute(atoms)
    assert r.energy_spread == 0 and (r.energies_spread == 0).all()
    assert r.forces_spread.max() < 1e-13 * np.abs(single.virial).max()
    np.testing.assert_allclose(r.forces, single.forces, rtol=0, atol=1e-13 * np.abs(single.virial).max())


@pytest.mark.parametrize("precision", ["float64", "mixed", "float32"])
def test_the_bits_are_the_same_for_any_number_of_threads(precision):
    c = in_precision(NNPotential.committee(some(3)), precision)
    atoms = random_structure(np.random.default_rng(5), 75).repeat((1, 1, 2))
    found = set()
    for c.threads in (1, 2, 3, 7):
        r = c.compute(atoms, force_spread=True)
        found.add(bits(r) + r.forces_spread.tobytes())
    assert len(found) == 1


def test_each_instruction_set_computes_the_spread_of_forces(tmp_path):
    r = NNPotential.committee(some(3)).compute(structures.hard()["skewed cell"], force_spread=True)
    for isa in _core.isas():
        code = ("import numpy as np, structures, test_committee as t\nfrom fastmd import NNPotential, _core\n"
                f"assert _core.isa() == '{isa}'\nnp.save(r'{tmp_path / isa}', NNPotential.committee(t.some(3)).compute(structures.hard()['skewed cell'], force_spread=True).forces_spread)")
        env = os.environ | {"FASTMD_ISA": isa, "PYTHONPATH": os.pathsep.join([str(Path(fastmd.__file__).parents[1]), str(Path(__file__).parent)])}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        np.testing.assert_allclose(np.load(tmp_path / f"{isa}.npy"), r.forces_spread, rtol=1e-10)


def test_a_structure_without_atoms_has_no_spread():
    r = NNPotential.committee(some(2)).compute(Atoms(), force_spread=True)
    assert r.energy_spread == 0 and r.energies_spread.shape == (0,) and r.forces_spread.shape == (0,)


def test_a_single_potential_has_no_spread():
    p, atoms = some(1)[0], structures.hard()["molecule"]
    r = p.compute(atoms)
    assert r.energy_spread is None and r.energies_spread is None and r.forces_spread is None
    with pytest.raises(ValueError, match="force_spread: the potential is a single one, only a committee has a spread; join several with NNPotential.committee"):
        p.compute(atoms, force_spread=True)


def test_who_is_outside_the_trained_range_is_counted_as_for_one():
    singles, atoms = some(2, scaling="sigma"), structures.hard()["molecule"]
    kinds, pairs = singles[0].species(atoms.get_chemical_symbols()), fastmd.find_pairs(atoms, singles[0].cutoff)
    found = []
    for p in (singles[0], NNPotential.committee(singles)):
        found.append(np.zeros(len(atoms), np.int32))
        p.evaluate(kinds, atoms.positions, np.array(atoms.cell), pairs, outside=found[-1])
    assert found[0].any() and np.array_equal(*found)


def test_a_member_whose_energy_is_not_finite_is_an_error():
    big = Network(((np.array([[0.0]]), [1e308], "identity"),))
    minus = Network(((np.array([[0.0]]), [-1e308], "identity"),))
    p = NNPotential({"H": [G2("H", 3.0, 1.0)]}, {"H": [big, minus]}, units=("angstrom", 1.0, "x", 10.0))
    with pytest.raises(ValueError, match="the energy or a force is not finite"):
        p.compute(Atoms("H"))


def test_a_spread_that_is_not_finite_is_an_error():
    p = NNPotential({"H": [G2("H", 3.0, 1.0)]}, {"H": [Network(((np.array([[0.0]]), [x], "identity"),)) for x in (1e200, -1e200)]})
    with pytest.raises(ValueError, match="the spread over the members of the committee is not finite"):
        p.compute(Atoms("H"))


# ---- the arrays of the library

def test_the_library_refuses_member_forces_without_forces_and_arrays_of_another_size():
    c, atoms = NNPotential.committee(some(3)), structures.hard()["molecule"]
    n = len(atoms)
    system = c.system(c.species(atoms.get_chemical_symbols()), atoms.positions, np.array(atoms.cell), fastmd.find_pairs(atoms, c.cutoff))
    with pytest.raises(ValueError, match="member_forces are wanted but forces is NULL: both are needed"):
        c._core.compute(system, member_forces=np.empty((3, n, 3)))
    with pytest.raises(ValueError, match=f"member_forces: expected {9 * n} numbers, got {6 * n}"):
        c._core.compute(system, forces=np.empty((n, 3)), member_forces=np.empty((2, n, 3)))
    with pytest.raises(ValueError, match=f"member_energies: expected {3 * n} numbers, got {n}"):
        c._core.compute(system, member_energies=np.empty(n))
    energies = np.empty((n, 3))
    energy = c._core.compute(system, member_energies=energies)  # without anything else
    assert energies.sum() / 3 == pytest.approx(energy, rel=1e-13)


@pytest.mark.parametrize("precision, tolerance", [(0, 1e-13), (1, 3e-6), (2, 3e-6)], ids=["float64", "mixed", "float32"])
@pytest.mark.parametrize("n", [5, 40])  # one chunk, several
def test_members_act_on_ghosts_and_leave_out_what_is_not_theirs(n, precision, tolerance):
    singles, atoms = some(3), random_structure(np.random.default_rng(12), 50)
    c, pairs = NNPotential.committee(singles), fastmd.find_pairs(atoms, singles[0].cutoff)
    m, kinds = pairs.first[n], singles[0].species(atoms.get_chemical_symbols())
    kinds[[1, 47]] = -1

    def system():
        return _core.System(kinds, pairs.first[:n + 1], pairs.j[:m], pairs.shift[:m], np.array(atoms.positions), np.array(atoms.cell), threads=2, precision=precision)

    each = []
    for p in singles:
        each.append((np.empty(n), np.empty((50, 3))))
        p._core.compute(system(), *each[-1])
    energies, forces, of_members, member_forces = np.empty(n), np.empty((50, 3)), np.empty((n, 3)), np.empty((3, 50, 3))
    c._core.compute(system(), energies, forces, member_energies=of_members, member_forces=member_forces)
    assert forces[n:].any() and energies[1] == 0 and not of_members[1].any() and not member_forces[:, [1, 47]].any()
    np.testing.assert_allclose(of_members.T, [e for e, _ in each], rtol=0, atol=tolerance * np.abs(energies).max())
    np.testing.assert_allclose(member_forces, [f for _, f in each], rtol=0, atol=10 * tolerance * np.abs(forces).max())


def test_a_single_potential_is_its_own_only_member():
    p, atoms = some(1)[0], random_structure(np.random.default_rng(13), 30)
    system = p.system(p.species(atoms.get_chemical_symbols()), atoms.positions, np.array(atoms.cell), fastmd.find_pairs(atoms, p.cutoff))
    energies, forces, of_members, member_forces = np.empty(30), np.empty((30, 3)), np.empty((30, 1)), np.empty((1, 30, 3))
    p._core.compute(system, energies, forces, member_energies=of_members, member_forces=member_forces)
    assert np.array_equal(of_members[:, 0], energies) and np.array_equal(member_forces[0], forces) and np.array_equal(forces, p.compute(atoms).forces)


def test_the_network_alone_gives_the_mean():
    singles = some(3, elements=("H",))
    c, rng = NNPotential.committee(singles), np.random.default_rng(6)
    G = rng.normal(size=(20, len(c.functions["H"])))
    found = []
    for p in (c, *singles):
        E, dG = np.empty(20), np.empty(G.shape)
        p._core.network(0, G, E, dG, 1)
        found.append((E, dG))
    for x, *each in zip(*found):
        np.testing.assert_allclose(x, np.mean(each, axis=0), rtol=0, atol=1e-13 * np.abs(each).max())


# ---- files

def test_a_committee_comes_back_from_its_file_to_the_bit(tmp_path):
    c, atoms = NNPotential.committee(some(4, scaling="sigma", units=BOHR)), structures.hard()["skewed cell"]
    c.save(tmp_path / "c.nnp")
    d = NNPotential.load(tmp_path / "c.nnp")
    assert d.text() == c.text() and d.n_members == 4 and d.n_parameters == c.n_parameters == 4 * c.members[0].n_parameters
    assert repr(d).startswith("<NNPotential: committee of 4, H ")
    for p in (d, pickle.loads(pickle.dumps(c))):
        assert bits(p.compute(atoms)) == bits(c.compute(atoms))


def test_the_members_are_the_potentials_that_went_in(tmp_path):
    singles = some(3)
    for k, p in enumerate(singles):
        p.notes |= {"seed": str(k), "data": "1.2"} | ({"only": "here"} if k == 1 else {})
        p.save(tmp_path / f"{k}.nnp")
    c = NNPotential.committee([tmp_path / "0.nnp", str(tmp_path / "1.nnp"), singles[2]])
    assert c.notes["seed.2"] == "1" and c.notes["only.2"] == "here" and c.notes["data"] == "1.2" and "seed" not in c.notes
    for q in (c, NNPotential._parse(c.text().encode(), "c")):
        for p, m in zip(singles, q.members, strict=True):
            assert m.notes == p.notes and m.networks["H"].lines("H") == p.networks["H"].lines("H") and m.n_members == 1
    assert singles[0].members == (singles[0],)
    again = NNPotential.committee([NNPotential.committee(c.members[:2]), c.members[2]])  # committees bring their members
    assert again.text().replace("note ", "\nnote ").split("\nnote")[0] == c.text().replace("note ", "\nnote ").split("\nnote")[0]
    assert [m.notes for m in again.members] == [p.notes for p in singles]


def test_one_potential_is_a_committee_of_one_and_the_file_of_one():
    p = some(1)[0]
    c = NNPotential.committee([p])
    assert c.text() == p.text() and c.n_members == 1 and isinstance(c.networks["H"], Network)
    assert NNPotential(p.functions, {e: [n] for e, n in p.networks.items()}, p.scaling, p.statistics, p.offsets, p.notes).text() == p.text()


SMALL = """fastmd-potential 1
element H offset -0.5
element Si offset 1
functions H 2
G1 H cutoff 4 poly2
G1 Si cutoff 4 poly2
functions Si 1
G1 Si cutoff 4 poly2
network H 2
layer 1 2 tanh
0.1 0.2 0.3
layer 1 1 identity
1 2
network Si 1
layer 1 1 softplus
1 0
network H 2 member 2
layer 1 2 tanh
0.4 0.5 0.6
layer 1 1 identity
3 4
network Si 1 member 2
layer 1 1 softplus
2 1
end
"""


def parse(text):
    return NNPotential._parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"), "some.nnp")


@pytest.mark.parametrize("old, new, line, message", [
    ("network H 2 member 2", "network H 2", 17, "the network of H stands twice"),
    ("network H 2 member 2", "network H 2 member 1", 17, "member: expected a whole number from 2 to 1000, got '1'"),
    ("network H 2 member 2", "network H 2 member 3", 17, "member 3 of H stands before member 2"),
    ("network H 2 member 2", "network H 2 member 1001", 17, "member: expected a whole number from 2 to 1000, got '1001'"),
    ("network H 2 member 2", "network H 2 member", 17, "expected member, the line ends"),
    ("network H 2 member 2", "network H 2 membre 2", 17, "more on the line than expected: 'membre 2'"),
    ("network H 2 member 2", "network H 1 member 2", 17, "member 2 of H has 1 layers, the first has 2: members are built alike"),
    ("network Si 1\n", "network Si 1 member 2\n", 14, "member 2 of Si stands before member 1"),
    ("network Si 1 member 2\nlayer 1 1 softplus\n2 1\n", "", None, "the committee of H has 2 members, that of Si has 1: all elements need as many"),
    ("network Si 1 member 2", "network H 2 member 2", 22, "member 2 of H stands twice"),
    ("layer 1 2 tanh\n0.4", "layer 2 2 tanh\n0.4", 18, "layer 1 of member 2 of H has 2 outputs through tanh, that of the first 1 through tanh: members are built alike"),
    ("layer 1 2 tanh\n0.4", "layer 1 2 cos\n0.4", 18, "layer 1 of member 2 of H has 1 outputs through cos, that of the first 1 through tanh"),
    ("layer 1 2 tanh\n0.4", "layer 1 3 tanh\n0.4", 18, "layer 1 of H has 3 inputs, what comes before it gives 2")])
def test_a_mistake_in_a_committee_is_named_with_its_line(old, new, line, message):
    assert parse(SMALL).n_members == 2 and SMALL.count(old) == 1
    with pytest.raises(ValueError, match=rf"^some\.nnp:{'' if line is None else f'{line}: '}") as e:
        parse(SMALL.replace(old, new))
    assert message in str(e.value)


def error_or_finite(text):
    try:
        p = parse(text)
    except ValueError as e:
        assert re.match(r"some\.nnp:\d+: \S", str(e)) and "\n" not in str(e), str(e)
        return str(e)
    try:
        r = p.compute(Atoms([p.elements[0], p.elements[-1], p.elements[0]], positions=[[0, 0, 0], [1.1, 0, 0], [0, 1.3, 0.4]]), force_spread=p.n_members > 1)
    except ValueError as e:  # numbers that may stand in a file may make an energy that is infinite
        assert "not finite" in str(e), e
    else:
        assert all(np.isfinite(x).all() for x in (r.energy, r.energies, r.forces, r.virial, *((r.energy_spread, r.energies_spread, r.forces_spread) if p.n_members > 1 else ())))
    assert parse(p.text()).text() == p.text()
    return None


def test_a_committee_truncated_at_each_byte_is_an_error():
    for at in range(len(SMALL) - 1):
        assert error_or_finite(SMALL[:at]) is not None


LINES = SMALL.split("\n")
WORDS = [(m.start(), m.end()) for m in re.finditer(r"\S+", SMALL)]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["swap", "drop", "duplicate"]), st.integers(0, len(LINES) - 1), st.integers(0, len(LINES) - 1))
def test_lines_swapped_dropped_or_duplicated_make_an_error_or_a_potential(how, a, b):
    lines = list(LINES)
    if how == "swap":
        lines[a], lines[b] = lines[b], lines[a]
    elif how == "drop":
        del lines[a]
    else:
        lines.insert(b, lines[a])
    error_or_finite("\n".join(lines))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(WORDS), st.sampled_from(["nan", "1e308", "-1e308", "0", "-1", "1", "2", "3", "1000", "1000000", "99999999999999999999", "member", "member 2", "network", "H", "Si", "", "\n", "end"]))
def test_a_word_replaced_makes_an_error_or_a_potential(where, by):
    error_or_finite(SMALL[:where[0]] + by + SMALL[where[1]:])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SMALL)), st.integers(0, 40), st.binary(max_size=40))
def test_noise_in_a_committee_makes_an_error_or_a_potential(at, cut, noise):
    raw = SMALL.encode()
    error_or_finite(raw[:at] + noise + raw[at + cut:])


# ---- what cannot be joined

def changed(**more):
    p = some(1)[0]
    return NNPotential(**({"functions": p.functions, "networks": p.networks, "scaling": p.scaling, "statistics": p.statistics, "offsets": p.offsets} | more))


@pytest.mark.parametrize("other, message", [
    (lambda p: some(1, elements=("H",))[0], "its elements are H, not H, O"),
    (lambda p: changed(units=BOHR), "its numbers are in bohr and Ha, not in angstrom and eV"),
    (lambda p: changed(functions=p.functions | {"O": [*p.functions["O"][:3], G2("H", 4.0, 0.123), *p.functions["O"][4:]]}), r"its function 3 of O is G2 H eta 0.123 .*, not "),
    (lambda p: changed(functions=p.functions | {"O": p.functions["O"][:1]}, networks=p.networks | {"O": Network.random(1, (2,), rng=1)}, statistics=p.statistics | {"O": p.statistics["O"][:1]}), "it has 1 functions of O, not "),
    (lambda p: changed(networks=p.networks | {"H": Network.random(len(p.functions["H"]), (2, 9), rng=1)}), r"its network of H is \d+-2-9-1 tanh tanh identity, not "),
    (lambda p: changed(scaling=("sigma", -0.5, 1.5)), "its scaling is sigma -0.5 1.5, not center -0.5 1.5"),
    (lambda p: changed(repulsion=fastmd.Repulsion({("H", "O"): fastmd.ZBL(1, 2)})), "its repulsion is another")])
def test_what_differs_is_named(other, message):
    p = some(1)[0]
    with pytest.raises(ValueError, match=f"potentials: number 3 cannot join the first: {message}"):
        NNPotential.committee([p, p, other(p)])


def test_statistics_that_only_some_have_are_named():
    p = some(1, scaling="none")[0]
    bare = NNPotential(p.functions, p.networks, offsets=p.offsets)
    with pytest.raises(ValueError, match="number 2 cannot join the first: it has no statistics of its training data, the first has them"):
        NNPotential.committee([p, bare])
    with pytest.raises(ValueError, match="number 2 cannot join the first: it has the statistics of its training data, the first has none"):
        NNPotential.committee([bare, p])


def test_an_offset_that_the_last_layer_cannot_take_up_is_named():
    p = some(1)[0]
    ends = {e: Network((*n.layers[:-1], (*n.layers[-1][:2], "tanh"))) for e, n in p.networks.items()}
    a, b = changed(networks=ends), changed(networks=ends, offsets={"H": p.offsets["H"], "O": p.offsets["O"] + 1})
    with pytest.raises(ValueError, match="number 1: its network of O ends in tanh, which cannot take up that its offset is another .-0.5 from the mean.; train with the same offsets"):
        NNPotential.committee([a, b])


# ---- what can, though it was trained on other data

@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("units", [("angstrom", 1.0, "eV", 1.0), BOHR], ids=["eV", "hartree"])
def test_statistics_and_offsets_of_other_training_data_are_brought_together(scaling, units):
    rng = np.random.default_rng(9)
    singles = []
    for p in some(3, 9, scaling=scaling, units=units):
        statistics = {}
        for e, s in p.statistics.items():
            width = s[:, 1] - s[:, 0]
            low, high = s[:, 0] + rng.uniform(-0.2, 0.2, len(s)) * width, s[:, 1] + rng.uniform(-0.2, 0.2, len(s)) * width
            statistics[e] = np.column_stack([low, high, low + rng.uniform(0.3, 0.6, len(s)) * (high - low), rng.uniform(0.2, 0.4, len(s)) * (high - low)])
        offsets = {e: x + rng.normal(0, 0.1) for e, x in p.offsets.items()}
        shortest = {("H", "O"): rng.uniform(1, 2), ("O", "O"): rng.uniform(1, 2)} if len(singles) else {("O", "H"): 1.5}
        singles.append(NNPotential(p.functions, p.networks, p.scaling, statistics, offsets, p.notes, units, shortest=shortest))
    for atoms in (structures.hard()["skewed cell"], random_structure(rng, 30)):
        check(singles, atoms, 1e-12)
    c = NNPotential.committee(singles)
    for k, name in enumerate(("min", "max")):
        np.testing.assert_array_equal(c.statistics["O"][:, k], getattr(np.array([p.statistics["O"][:, k] for p in singles]), name)(0))
    assert c.offsets["H"] == pytest.approx(np.mean([p.offsets["H"] for p in singles]), rel=1e-14)
    assert c.shortest == {("O", "H"): min(p.shortest.get(("O", "H"), p.shortest.get(("H", "O"))) for p in singles), ("O", "O"): min(p.shortest[("O", "O")] for p in singles[1:])}
    for p, m in zip(singles, c.members, strict=True):
        assert m.compute(atoms).energy == pytest.approx(p.compute(atoms).energy, rel=1e-12)


def test_trainings_from_different_seeds_make_a_committee():
    loop = pytest.importorskip("fastmd.train.loop")
    from fastmd.train import dataset

    rng, lj, data = np.random.default_rng(10), fastmd.LennardJones(0.1, 2.0, 3.5), []
    for _ in range(8):
        atoms = random_structure(rng, 6, 1, volume=20.0, closest=1.8)
        r = lj.compute(atoms)
        data.append(dataset.Structure(atoms, r.energy, r.forces, np.full((3, 3), np.nan), ""))
    singles = [loop.train(data, loop.Settings(cutoff=3.5, hidden=(3,), epochs=1, validation=0.3, seed=seed, threads=1))[0] for seed in (1, 2)]
    assert not np.array_equal(singles[0].statistics["H"], singles[1].statistics["H"])  # other data was held out
    got = check(singles, data[0].atoms, 1e-11)
    assert got.energy_spread > 0 and NNPotential.committee(singles).notes["seed.2"] == "2"


@pytest.mark.parametrize("potentials, message", [
    ([], "potentials: expected at least one, got none"), ("si.nnp", "potentials: expected a list of several, got 'si.nnp'"),
    ([1], "potentials: expected each to be an NNPotential or its file, got int"), (["missing.nnp"], "missing.nnp")])
def test_what_is_no_list_of_potentials_is_named(potentials, message):
    with pytest.raises(ValueError, match=message):
        NNPotential.committee(potentials)


def test_networks_that_make_no_committee_are_named():
    p = some(1)[0]
    n = len(p.functions["H"])
    for networks, message in (({"H": [p.networks["H"]] * 2, "O": p.networks["O"]}, "networks: expected as many for each element, 1 to 1000, got H 2, O 1"),
                              ({"H": [], "O": []}, "1 to 1000, got H 0, O 0"), ({"H": [p.networks["H"]] * 1001, "O": [p.networks["O"]] * 1001}, "1 to 1000, got H 1001, O 1001"),
                              ({"H": [Network.random(n, (2,), rng=1), Network.random(n, (3,), rng=1)], "O": [p.networks["O"]] * 2},
                               f"networks: that of member 2 for H is {n}-3-1 tanh identity, that of the first {n}-2-1 tanh identity; members must be built alike"),
                              ({"H": [Network.random(n, rng=1), Network.random(n + 1, rng=1)], "O": [p.networks["O"]] * 2}, f"H has {n} functions, its network takes {n + 1}"),
                              ({"H": [1, 2], "O": p.networks["O"]}, "networks: expected {element: fastmd.Network}, got 1; of a committee a list of them for each")):
        with pytest.raises(ValueError, match=message):
            changed(networks=networks)


# ---- through the other doors

def test_the_calculator_gives_the_spreads(tmp_path):
    c, atoms = NNPotential.committee(some(3)), structures.hard()["skewed cell"].copy()
    c.save(tmp_path / "c.nnp")
    r = c.compute(atoms, force_spread=True)
    atoms.calc = fastmd.Calculator(tmp_path / "c.nnp", extrapolation="ignore", force_spread=True)
    assert np.array_equal(atoms.get_forces(), r.forces)
    assert atoms.calc.results["energy_spread"] == r.energy_spread == atoms.calc.get_property("energy_spread", atoms)
    for name in ("energies_spread", "forces_spread"):
        assert np.array_equal(atoms.calc.results[name], getattr(r, name)) and np.array_equal(atoms.calc.get_property(name, atoms), getattr(r, name))
    assert set(atoms.calc.export_properties()) >= {"energy", "forces"}  # ASE knows no spreads
    atoms.calc = fastmd.Calculator(c, extrapolation="ignore")
    assert atoms.get_potential_energy() == r.energy and atoms.calc.results["energy_spread"] == r.energy_spread and "forces_spread" not in atoms.calc.results
    with pytest.raises(PropertyNotImplementedError):
        atoms.calc.get_property("forces_spread", atoms)
    for name in ("warn", "ignore"):  # watched and not
        atoms.calc = pickle.loads(pickle.dumps(fastmd.Calculator(c, extrapolation=name, force_spread=True)))
        with pytest.warns(fastmd.ExtrapolationWarning) if name == "warn" else pytest.MonkeyPatch.context():
            atoms.get_forces()
        assert np.array_equal(atoms.calc.results["forces_spread"], r.forces_spread)


def test_a_calculator_without_a_committee_has_no_spread():
    p, atoms = some(1)[0], structures.hard()["molecule"].copy()
    atoms.calc = fastmd.Calculator(p, extrapolation="ignore")
    atoms.get_potential_energy()
    assert "energy_spread" not in atoms.calc.results and "energy_spread" not in atoms.calc.implemented_properties
    with pytest.raises(ValueError, match="force_spread: the potential is a single one"):
        fastmd.Calculator(p, force_spread=True)
    with pytest.raises(ValueError, match="force_spread: only a committee has it, got LennardJones; leave it out"):
        fastmd.Calculator(fastmd.LennardJones(1.0, 1.0, 3.0), force_spread=True)


def test_dynamics_runs_on_the_mean_forces():
    c, atoms = NNPotential.committee(some(3)), random_structure(np.random.default_rng(8), 20)
    fastmd.maxwell_boltzmann(atoms, 300, rng=1)
    md = fastmd.MD(atoms, c, timestep=0.1, extrapolation="ignore")
    md.run(20)
    np.testing.assert_array_equal(md.forces, c.compute(md.atoms).forces)
    np.testing.assert_allclose(md.forces, np.mean([p.compute(md.atoms).forces for p in c.members], axis=0), rtol=0, atol=1e-10)


def test_what_takes_one_network_says_so(tmp_path):
    c = NNPotential.committee(some(3))
    with pytest.raises(ValueError, match="to_runner: the files of RuNNer and n2p2 hold one network per element, the potential is a committee of 3; write each of its members"):
        c.to_runner(tmp_path / "folder")
    from fastmd.train import start

    with pytest.raises(ValueError, match="start: a committee of 3 networks per element, of which one is trained at a time; start from one of its members"):
        start.warm(c)


def test_inspect_and_info_say_that_it_is_a_committee(tmp_path):
    from fastmd.cli import main

    for n in (1, 3):
        NNPotential.committee(some(n)).save(tmp_path / "c.nnp")
        run = CliRunner().invoke(main, ["inspect", str(tmp_path / "c.nnp")], catch_exceptions=False)
        assert ("; committee of 3" in run.output) == (n == 3), run.output
        run = CliRunner().invoke(main, ["info", str(tmp_path / "c.nnp")], catch_exceptions=False)
        assert f"c.nnp: {'committee of 3; ' if n == 3 else ''}how it is computed" in run.output, run.output
        assert f'"members": {n}' in CliRunner().invoke(main, ["inspect", str(tmp_path / "c.nnp"), "--json"], catch_exceptions=False).output


def test_the_command_joins_files(tmp_path):
    from fastmd.cli import main

    def run(*args):
        return CliRunner().invoke(main, ["committee", *map(str, args)])

    paths, singles = [tmp_path / f"{k}.nnp" for k in range(3)], some(3)
    for path, p in zip(paths, singles):
        p.save(path)
    done = run(*paths, "-o", tmp_path / "c.nnp")
    assert done.exit_code == 0 and "<NNPotential: committee of 3, H " in done.output
    assert NNPotential.load(tmp_path / "c.nnp").text() == NNPotential.committee(singles).text()
    some(1, 5)[0].save(paths[1])
    for args, message in (((paths[0], "-o", paths[0]), "would be written over, but is also an input"), ((*paths, "-o", tmp_path / "d.nnp"), "potentials: number 2 cannot join the first: its function 0 of H is "),
                          (("-o", tmp_path / "d.nnp"), "Missing argument 'POTENTIALS...'")):
        done = run(*args)
        assert done.exit_code in (1, 2) and message in done.output and not (tmp_path / "d.nnp").exists(), done.output
