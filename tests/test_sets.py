"""Sets of symmetry functions: the rule that makes them, their health on data against numpy, their file, their picture, `fastmd inspect`."""

import io
import itertools
import json
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, GPa
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmd
import oracle
import structures
from fastmd import G1, G2, G3, G4, G5, sets
from fastmd.cli import main
from fastmd.sets import Moments, distances, health, load_set, make_set, prune, save_set
from fastmd.symmetry import Descriptor


def random_frames(n=6, seed=0):
    return [structures.random_structure(np.random.default_rng(seed + k), 20) for k in range(n)]


# ---- by rule

def test_make_set_makes_what_it_says():
    functions = make_set(["O", "H", "O"], cutoff=5.0, shortest=0.9, n_radial=6, n_widths=2, zetas=(1, 4))
    assert list(functions) == ["H", "O"] and functions["H"] == functions["O"]
    fs = functions["H"]
    assert len(set(fs)) == len(fs) == 2 * 6 + 3 * 2 * 2 * 2
    assert {f.kind for f in fs} == {2, 5} and {f.cutoff for f in fs} == {5.0}
    radial = [f for f in fs if f.kind == 2 and f.elements == ("H",)]
    assert radial[0].rs == 0.9 and np.allclose(np.diff([f.rs for f in radial]), (5 - 0.9) / 6, rtol=1e-3) and max(f.rs for f in radial) < 5
    assert {(f.lambda_, f.zeta) for f in fs if f.kind == 5} == {(1, 1), (1, 4), (-1, 1), (-1, 4)}
    G = Descriptor(functions).describe(structures.random_structure(np.random.default_rng(0), 30))
    for block in G.values():
        assert (block.std(axis=0) > 0).all()


def test_the_default_set_is_that_of_the_published_numbers():
    # half the cutoff; their geometric mean; half of the shortest, but at least 0.15 of the cutoff
    etas = [float(f"{0.5 / w**2:.4g}") for w in (3.0, (3.0 * 0.9) ** 0.5, 0.9)]
    expected = [G2("Si", 6.0, 1.58, rs) for rs in (1.5, 2.062, 2.625, 3.188, 3.75, 4.312, 4.875, 5.438)]
    expected += [G5("Si", "Si", 6.0, eta, lambda_, zeta) for eta in etas for lambda_ in (1, -1) for zeta in (1, 2, 4, 16)]
    assert make_set(["Si"]) == {"Si": expected} == make_set("Si", size=32)


@given(n_elements=st.integers(1, 5), each=st.integers(1, 80))
@settings(max_examples=60, deadline=None)
def test_a_set_has_the_size_that_was_asked_for(n_elements, each):
    elements = ["H", "C", "N", "O", "Si"][:n_elements]
    functions = make_set(elements, 5.0, 1.0, size=each * n_elements)
    assert list(functions) == elements
    for fs in functions.values():
        assert len(fs) == len(set(fs)) == each * n_elements
        angular = [f for f in fs if f.kind == 5]
        assert len(angular) <= 0.75 * len(fs)
        assert len(angular) >= 0.5 * len(fs) or each < 4 * (n_elements + 1)  # small sets have few ways to be divided
        assert all(np.log2(f.zeta) % 1 == 0 and f.zeta <= 32 for f in angular)
        zetas, widths = {f.zeta for f in angular}, {f.eta for f in angular}
        assert len(angular) == n_elements * (n_elements + 1) * len(zetas) * len(widths)
        assert not angular or (1 in zetas and len(widths) <= max(len(zetas), each // 8))
        for e in elements:
            assert sum(f.elements == (e,) for f in fs) * n_elements == len(fs) - len(angular)


def test_each_pair_of_elements_begins_at_its_own_shortest_distance():
    near = {("H", "H"): 0.75, ("H", "O"): 0.95, ("O", "O"): np.inf}
    functions = make_set(["H", "O"], 4.0, near, size=16)
    begins = {(e, a): next(f.rs for f in functions[e] if f.elements == (a,)) for e, a in itertools.product("HO", repeat=2)}
    assert begins == {("H", "H"): 0.75, ("H", "O"): 0.95, ("O", "H"): 0.95, ("O", "O"): 0.75}  # O-O is never seen: the least of all
    one = make_set(["H", "O"], 4.0, {("H", "H"): 0.9, ("O", "H"): 0.9, ("O", "O"): 0.9}, size=16)
    assert one == make_set(["H", "O"], 4.0, 0.9, size=16)


def test_angles_are_as_narrow_as_the_nearer_of_the_two_neighbours_asks():
    near = {("Si", "Si"): 2.2, ("O", "Si"): 1.6, ("O", "O"): 2.4}
    functions = make_set(["Si", "O"], 4.0, near, n_radial=4, n_widths=2, zetas=(1,))
    def narrowest(e, *pair):
        return max(f.eta for f in functions[e] if f.elements == pair)
    assert narrowest("Si", "O", "O") == pytest.approx(0.5 / 0.8**2, rel=1e-3) == narrowest("Si", "O", "Si")
    assert narrowest("Si", "Si", "Si") == pytest.approx(0.5 / 1.1**2, rel=1e-3)
    assert narrowest("O", "O", "O") == pytest.approx(0.5 / 1.2**2, rel=1e-3)
    assert narrowest("O", "O", "Si") == pytest.approx(0.5 / 0.8**2, rel=1e-3)


@pytest.mark.parametrize("arguments, message", [
    (dict(cutoff=0), "cutoff must be > 0"), (dict(shortest=-1), "shortest must be > 0"), (dict(shortest=7.0), "shortest must be below the cutoff"),
    (dict(n_radial=0), "n_radial must be a whole number >= 1"), (dict(n_widths=1.5), "n_widths must be a whole number"), (dict(zetas=(0.5,)), "zeta must be >= 1"),
    (dict(elements=["Xx"]), "elements: expected chemical symbols"), (dict(size=0), "size must be a whole number >= 1"), (dict(size=8, n_radial=3), "not both"),
    (dict(elements=["H", "O"], size=33), "multiple of the number of elements, 2, .*got 33; take 32 or 34"), (dict(elements=["H", "O"], size=1), "take 2$"),
    (dict(size=10**9), "at most 5000, got 1000000000; take 5000$"), (dict(shortest={("H", "O"): 1.0}), "has no pair H-H; fastmd.distances"),
    (dict(shortest={("H", "H"): -1.0}), "shortest of H-H must be > 0 angstrom, got -1.0"), (dict(shortest={("H", "H"): np.nan}), "shortest of H-H must be > 0"),
    (dict(shortest={("H", "H"): np.inf}), "below the cutoff of 6 angstrom for some pair, the least is inf"), (dict(shortest={"H": 1.0}), "expected angstroms per pair"),
    (dict(shortest={("H", "H"): "near"}), "expected angstroms per pair")])
def test_make_set_refuses_what_makes_no_set(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_set(**{"elements": ["H"], **arguments})


@pytest.mark.parametrize("n_elements", [1, 2, 3])
def test_distances_are_the_shortest_that_brute_force_finds(n_elements):
    frames, cutoff = list(structures.hard(n_elements).values()), 2.5
    expected = {}
    for a in frames:
        for x, y in itertools.combinations_with_replacement(sorted(set(a.numbers)), 2):
            expected.setdefault((x, y), np.inf)
        for i, j, _, d in oracle.neighbours(a.positions, a.cell, a.pbc, cutoff):
            pair = tuple(sorted((a.numbers[i], a.numbers[j])))
            expected[pair] = min(expected[pair], np.linalg.norm(d))
    found = distances(iter(frames), cutoff)
    assert {tuple(Atoms(pair).numbers): pytest.approx(r, rel=1e-12) for pair, r in found.items()} == expected
    assert list(found) == sorted(found, key=lambda pair: tuple(Atoms(pair).numbers))


def test_a_pair_that_is_never_near_is_infinitely_far():
    assert distances([Atoms("HO", [[0, 0, 0], [5, 0, 0]]), Atoms("Si")], 3.0) == dict.fromkeys(itertools.combinations_with_replacement(("H", "O", "Si"), 2), np.inf)


@pytest.mark.parametrize("call, message", [
    (lambda: distances([]), "structures: there are none"), (lambda: distances([Atoms("H")], -1), "structure 0: cutoff must be > 0"),
    (lambda: distances([Atoms("H"), Atoms("H", [[np.nan, 0, 0]])]), "structure 1: positions: expected finite"),
    (lambda: health({"H": [G1("H", 3.0)]}, []), "structures: there are none"),
    (lambda: health({"H": [G1("H", 3.0)]}, [Atoms("H"), Atoms("HO", [[0, 0, 0], [1, 0, 0]])]), "structure 1: no parameters for O: the potential knows H only")])
def test_a_structure_that_cannot_be_looked_at_is_named_by_its_number(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("terminal, seconds, shown", [(True, 3.0, True), (True, 0.0, False), (False, 3.0, False)])
def test_a_bar_is_shown_on_a_terminal_from_two_seconds_on(terminal, seconds, shown, monkeypatch):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream, clock = Stream(), itertools.count(0, seconds)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("fastmd._progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    frames = random_frames(3)
    assert distances(frames, 3.0) == distances(iter(frames), 3.0)
    assert ("distances" in stream.getvalue()) == shown


# ---- by values

@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 1e6]))
@settings(max_examples=60, deadline=None)
def test_moments_of_pieces_are_those_of_the_whole(sizes, seed, offset):
    rng = np.random.default_rng(seed)
    G = rng.normal(size=(sum(sizes), 4)) @ rng.normal(size=(4, 4)) + offset * rng.normal(size=4)
    m = Moments(4)
    for piece in np.split(G, np.cumsum(sizes)[:-1]):
        m.add(piece)
    assert m.count == len(G)
    if not len(G):
        assert np.isnan(m.statistics).all()
        return
    expected = np.stack([G.min(0), G.max(0), G.mean(0), G.std(0)], axis=1)
    np.testing.assert_allclose(m.statistics, expected, rtol=1e-9, atol=1e-13 * max(offset, 1))
    if len(G) > 2 and offset < 1e6:
        np.testing.assert_allclose(m.correlation, np.corrcoef(G.T), atol=1e-9)


def test_statistics_of_one_piece_are_those_of_numpy_to_the_bit():
    G = np.random.default_rng(1).normal(size=(3001, 5)) ** 3 + 7
    functions = {"H": [G2("H", 3.0, 1.0, k) for k in range(5)]}
    kept, statistics = prune(functions, {"H": G})
    assert kept == functions
    np.testing.assert_array_equal(statistics["H"], np.stack([G.min(0), G.max(0), G.mean(0), G.std(0)], axis=1))


def verdicts(h, e):
    return [f.verdict for f in h.findings if f.element == e]


def test_each_verdict_has_its_reason():
    far, near = Atoms("H2", [[0, 0, 0], [1.0, 0, 0]]), Atoms("H2", [[0, 0, 0], [1.4, 0, 0]])
    functions = {"H": [G1("H", 3.0), G1("O", 3.0), G2("H", 0.9, 1.0), G2("H", 3.0, 12.0, 2.9), G2("H", 3.0, 0.001)], "O": [G1("H", 3.0)]}
    h = health(functions, [far, near], least_range=1e-3)
    assert verdicts(h, "H") == ["correlated", "zero", "zero", "range", "kept"] and verdicts(h, "O") == ["unseen"]
    assert [f.reason for f in h.dropped] == ["correlation 1.00000 with 4, which has a larger range", "0 for all atoms", "0 for all atoms", h.findings[3].reason, "there is no O in the data"]
    assert "below 0.001" in h.findings[3].reason and h.findings[3].max > 0
    assert verdicts(health(functions, [far, far]), "H") == ["constant", "zero", "zero", "constant", "constant"]
    assert str(h).splitlines() == ["H: 1 of 5 functions kept over 4 atoms, 1 correlated, 2 zero, 1 range", "O: 0 of 1 functions kept over 0 atoms, 1 unseen"]
    with pytest.raises(ValueError, match="element O is not in the data"):
        h.prune()
    del functions["O"]
    with pytest.raises(ValueError, match="no line 'element'|element 'O'"):
        health(functions, [far])


def test_findings_hold_the_numbers_of_the_values():
    frames, functions = random_frames(), make_set(["H", "O"], 4.0, 0.8, size=20)
    h = health(functions, frames)
    values = [Descriptor(functions).describe(a) for a in frames]
    for e in functions:
        G = np.concatenate([v[e] for v in values])
        assert h.atoms[e] == len(G)
        np.testing.assert_allclose(h.statistics[e], np.stack([G.min(0), G.max(0), G.mean(0), G.std(0)], axis=1), rtol=1e-11)
        np.testing.assert_allclose(h.correlation[e], np.corrcoef(G.T), atol=1e-11)
        for f in h.findings:
            if f.element == e:
                assert f.function == functions[e][f.number] and [f.min, f.max, f.mean, f.sigma] == h.statistics[e][f.number].tolist()


@pytest.mark.parametrize("most", [0.7, 0.9, 0.99])
def test_no_two_that_are_kept_are_correlated_and_each_that_goes_is_said_by_one_of_larger_range_that_stays(most):
    functions = make_set(["H", "O"], 4.0, 0.8, size=40)
    h = health(functions, random_frames(), least_range=0, most_correlation=most)
    assert any(f.verdict == "correlated" for f in h.findings)
    for e in functions:
        kept, R = h.kept(e), np.abs(h.correlation[e])
        assert (R[np.ix_(kept, kept)] - np.eye(len(kept)) <= most).all()
        width = h.statistics[e][:, 1] - h.statistics[e][:, 0]
        for f in h.findings:
            if f.element == e and f.verdict == "correlated":
                assert any(R[f.number, k] > most and width[k] >= width[f.number] and f" with {k}," in f.reason for k in kept)
    assert h.prune() == {e: [functions[e][k] for k in h.kept(e)] for e in functions}


def test_pruning_twice_is_pruning_once():
    frames = random_frames()
    once = health(make_set(["H", "O"], 4.0, 0.8, size=40), frames, 1e-3, 0.95).prune()
    assert health(once, frames, 1e-3, 0.95).prune() == once


def test_values_that_are_there_give_the_same_as_structures():
    frames, functions = random_frames(), make_set(["H", "O"], 4.0, 0.8, size=40)
    values = [Descriptor(functions).describe(a) for a in frames]
    values = {e: np.concatenate([v[e] for v in values]) for e in functions}
    kept, statistics = prune(functions, values, 1e-3, 0.95)
    h = health(functions, frames, 1e-3, 0.95)
    assert kept == h.prune() != functions
    for e in functions:
        np.testing.assert_allclose(statistics[e], h.statistics[e][h.kept(e)], rtol=1e-11)


def test_by_default_prune_drops_only_what_does_not_vary():
    functions = {"H": [G2("H", 3.0, 1.0, k) for k in range(4)]}
    x = np.random.default_rng(0).random(50)
    G = np.stack([x, 2 * x, np.full(50, 0.1) + 1e-12 * x, 1e-6 * x], axis=1)
    kept, statistics = prune(functions, {"H": G})
    assert kept == {"H": [functions["H"][k] for k in (0, 1, 3)]} and statistics["H"].shape == (3, 4)
    assert health(functions, [Atoms("H2", [[0, 0, 0], [r, 0, 0]]) for r in (1, 1.1)], most_correlation=None).correlation is None


@pytest.mark.parametrize("call, message", [
    (lambda: prune({"H": [G1("H", 3.0)]}, {"H": np.ones((5, 1))}), r"none of those of H is kept \(constant\)"),
    (lambda: prune({"H": [G1("H", 3.0)]}, {"H": np.ones((0, 1))}), "element H is not in the data"),
    (lambda: prune({"H": [G1("H", 3.0)]}, {"H": np.ones((5, 2))}), r"values: expected \(atoms, 1\), got \(5, 2\)"),
    (lambda: prune({"H": [G1("H", 3.0), G1("H", 4.0)]}, {"H": [[1, 2], [3, np.nan]]}), "values: function 1 is not finite"),
    (lambda: prune({"H": [G1("H", 3.0)]}, {"H": [[1.0], [2.0]]}, least_range=-1), "least_range must be >= 0"),
    (lambda: prune({"H": [G1("H", 3.0)]}, {"H": [[1.0], [2.0]]}, most_correlation=0), "most_correlation must be > 0"),
    (lambda: prune({"H": [G1("H", 3.0)] * 5001}, {"H": np.ones((1, 5001))}, most_correlation=0.9), "H has 5001, correlations are for at most 5000")])
def test_values_that_cannot_be_judged_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_pictures_of_health_show_its_numbers():
    functions = make_set(["H", "O"], 4.0, 0.8, size=20)
    h = health(functions, random_frames())
    axes = h.figure().axes
    for e, row in zip(functions, (0, 2)):
        assert axes[row].get_title().startswith(f"{e}: ")
        np.testing.assert_array_equal(axes[row + 1].images[0].get_array(), h.correlation[e])
        marks = {x: y for line in axes[row].lines for x, y in zip(*line.get_data())}
        assert marks == dict(enumerate(h.statistics[e][:, 2]))
    table = h.table("H")
    assert table.row_count == 20 and str(functions["H"][7]) in list(table.columns[1].cells)


# ---- the file

def test_a_set_reads_back_to_the_same_bits(tmp_path):
    rng = np.random.default_rng(9)
    functions = {"O": [G2("H", rng.uniform(3, 9), rng.uniform(), rng.normal()), G1("O", 3.3, "cosine")],
                 "H": [G4("O", "H", 5.0, rng.uniform(), rng.normal(), 1 + rng.uniform(), "tanh3"), G3("O", 4.0, 1 / 3)]}
    save_set(tmp_path / "set.txt", functions)
    assert load_set(tmp_path / "set.txt") == functions and list(load_set(str(tmp_path / "set.txt"))) == ["O", "H"]


def test_the_functions_of_a_potential_in_another_unit_come_in_angstrom_with_the_same_values(tmp_path):
    functions = {"Si": [G2("Si", 8.0, 0.3, 4.4), G3("Si", 8.0, 0.7), G5("Si", "Si", 7.0, 0.02, -1, 4), G1("Si", 6.0)]}
    network = {"Si": fastmd.Network.random(4, (3,), rng=0)}
    fastmd.NNPotential(functions, network, units=("bohr", Bohr, "eV", 1.0)).save(tmp_path / "si.nnp")
    found = load_set(tmp_path / "si.nnp")
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    big = atoms.copy()
    big.set_cell(atoms.cell / Bohr, scale_atoms=True)
    assert found["Si"][0].cutoff == 8.0 * Bohr and found["Si"][1].kappa == pytest.approx(0.7 / Bohr)
    np.testing.assert_allclose(Descriptor(found).describe(atoms)["Si"], Descriptor(functions).describe(big)["Si"], rtol=1e-12)


@pytest.mark.parametrize("text, message", [
    ("hello", "set.txt:1: .*not a fastmd potential file"), ("fastmd-potential 1\nelement H offset 0\nend\n", "set.txt: element H has no functions"),
    ("fastmd-potential 1\nelement H offset 0\nfunctions H 2\nG1 H cutoff 3.0 poly2\nend\n", "set.txt:5: symmetry function: expected one of G1"),
    ("fastmd-potential 1\nelement H offset 0\nfunctions H 1\nG2 H eta -1 rs 0 cutoff 3.0 poly2\nend\n", "set.txt:4: eta must be >= 0"),
    ("fastmd-potential 1\nelement H offset 0\nfunctions H 1\nG1 O cutoff 3.0 poly2\nend\n", "set.txt:4: .*'O'")])
def test_a_set_that_is_not_right_is_refused_with_its_line(text, message, tmp_path):
    (tmp_path / "set.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_set(tmp_path / "set.txt")


def test_a_file_that_is_not_there_or_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ValueError, match="none.txt: cannot be read"):
        load_set(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="set.txt: cannot be written"):
        save_set(tmp_path / "no folder" / "set.txt", {"H": [G1("H", 3.0)]})
    with pytest.raises(ValueError, match="functions: expected"):
        save_set(tmp_path / "set.txt", {})


# ---- the picture

def test_the_picture_shows_the_formulas():
    fs = [G2("O", 4.0, 0.9, 1.5), G5("O", "H", 4.0, 0.1, -1, 4, "cosine"), G5("O", "H", 4.0, 0.1, 1, 2, "cosine")]
    radial, angle, sides = sets.figure({"O": fs, "H": [G1("H", 3.0)]}).axes[:3]
    r, G = radial.lines[0].get_data()
    np.testing.assert_allclose(G, [np.exp(-0.9 * (x - 1.5) ** 2) * oracle.fc("poly2", x, 4.0) for x in r], atol=1e-12)
    labels = [line.get_label() for line in angle.lines]
    assert labels == ["G5 lambda 1, zeta 2", "G5 lambda -1, zeta 4"]  # one line for each, whatever the neighbours
    for line, lambda_, zeta in zip(angle.lines, (1, -1), (2, 4)):
        x, G = line.get_data()
        expected = (1 + lambda_ * np.cos(np.radians(x))) ** zeta
        np.testing.assert_allclose(G, expected / expected.max(), atol=1e-12)
    r, G = sides.lines[0].get_data()
    expected = np.array([np.exp(-0.2 * x**2) * oracle.fc("cosine", x, 4.0) ** 2 for x in r])
    np.testing.assert_allclose(G, expected / expected.max(), atol=1e-12)
    assert len(sides.lines) == 1


def test_the_picture_shows_compact_and_weighted_functions():
    fs = [G2("O", 4.0, 0.9, 1.5), fastmd.G20("O", 4.0, -1.0, "p2a"), fastmd.G12(4.0, 0.5), fastmd.G22("O", "H", 4.0, 1.0, 20, 100), fastmd.G21("O", "H", 4.0, -4.0, -80, 80, "p3"),
          fastmd.G25(4.0, 0.0, 100, 260, "e"), fastmd.G13(4.0, 0.02, -1, 4), G5("O", "H", 4.0, 0.1, 1, 2, rs=2.0)]
    radial, angle, sides = sets.figure({"O": fs}).axes
    assert [line.get_label() for line in radial.lines] == ["G2 eta 0.9, rs 1.5", "G12 eta 0.5, rs 0.0", "G20 left -1.0 to 4, p2a"]
    r, G = radial.lines[2].get_data()
    np.testing.assert_allclose(G, [oracle.window("p2a", x, -1, 4) for x in r], atol=1e-12)
    assert [line.get_label() for line in angle.lines] == ["G5 lambda 1, zeta 2", "G13 lambda -1, zeta 4", "G21 -80 to 80°, p3", "G22 20 to 100°, p2", "G25 100 to 260°, e"]
    x, G = angle.lines[3].get_data()
    expected = np.array([oracle.window("p2", v, 20, 100) for v in x])
    np.testing.assert_allclose(G, expected / expected.max(), atol=1e-12)
    r, G = sides.lines[3].get_data()
    assert sides.lines[3].get_label() == "G22 1 to 4, p2" and sides.lines[0].get_label() == "G5 eta 0.1, rs 2, cutoff 4"
    expected = np.array([oracle.window("p2", v, 1, 4) ** 2 for v in r])
    np.testing.assert_allclose(G, expected / expected.max(), atol=1e-12)
    assert all(np.isfinite(line.get_ydata()).all() and line.get_ydata().max() == 1 for line in [*angle.lines, *sides.lines])


def test_elements_with_the_same_functions_share_a_row():
    assert len(sets.figure(make_set(["H", "O"], size=4)).axes) == 3
    assert len(sets.figure({"H": [G1("H", 3.0)], "O": [G1("O", 4.0)]}).axes) == 6


# ---- fastmd inspect

def run(*args):
    return CliRunner().invoke(main, ["inspect", *map(str, args)], catch_exceptions=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four of sodium chloride with all labels, one molecule with none"""
    rng, frames = np.random.default_rng(0), []
    for k in range(4):
        a = bulk("NaCl", "rocksalt", a=5.6 + 0.1 * k, cubic=True)
        a.positions += rng.normal(0, 0.05, a.positions.shape)
        a.calc = SinglePointCalculator(a, energy=-8.0 - k, forces=rng.normal(size=(8, 3)), stress=np.full(6, 2 * GPa))
        a.info["config_type"] = "warm" if k else "cold"
        frames.append(a)
    frames.append(molecule("Cl2"))
    path = tmp_path_factory.mktemp("inspect") / "data.extxyz"
    ase.io.write(path, frames)
    return path


def test_inspect_says_what_is_in_the_data(data):
    s = json.loads(run(data, "--json").output)
    frames = ase.io.read(data, ":")
    assert (s["kind"], s["structures"], s["atoms"], s["elements"]) == ("data", 5, 34, ["Na", "Cl"])
    assert s["atoms_of"] == {"Na": 16, "Cl": 18} and s["structures_with"] == {"Na": 4, "Cl": 5} and s["labels"] == {"energy": 4, "forces": 4, "stress": 4}
    assert (s["energy"]["min"], s["energy"]["max"], s["energy"]["mean"]) == (-11 / 8, -1.0, pytest.approx(-9.5 / 8))
    F = np.concatenate([a.get_forces() for a in frames[:4]])
    assert s["force_component"]["sigma"] == pytest.approx(F.std()) and s["largest_force"]["max"] == pytest.approx(np.linalg.norm(F, axis=1).max())
    assert s["stress_component"]["min"] == pytest.approx(2) == s["stress_component"]["max"]
    assert s["volume"]["min"] == pytest.approx(5.6**3 / 8) and s["cell_length"]["max"] == pytest.approx(5.9)
    assert s["density"]["max"] == pytest.approx(2.21, abs=0.01)  # g/cm^3, 4 NaCl of 58.44 g/mol in (5.6 angstrom)^3
    assert s["neighbours"]["max"] == max(np.bincount(fastmd.find_pairs(a, 5.0).i).max() for a in frames)
    assert s["periodicity"] == {"periodic in x, y, z": 4, "periodic in no direction": 1}
    assert s["shortest"] == {f"{a}-{b}": pytest.approx(r) for (a, b), r in distances(frames, 5.0).items()}
    assert {g: x["structures"] for g, x in s["groups"].items()} == {"cold": 1, "warm": 3, "": 1} and s["groups"][""]["energy"] is None
    text = run(data).output
    for words in ("5 structures, 34 atoms", "Na 16 (in 4 structures)", "energy of 4", "4 periodic in x, y, z", "eV/atom", "cold", "(none)"):
        assert words in text


def test_inspect_takes_data_without_labels_and_lone_atoms(tmp_path):
    ase.io.write(tmp_path / "a.xyz", [Atoms("Ar"), Atoms("Ar2", [[0, 0, 0], [0, 0, 9]])], format="extxyz")
    r = run(tmp_path / "a.xyz", "--picture", tmp_path / "a.png")
    assert r.exit_code == 0 and "Ar-Ar none within 5 Å" in r.output and "energy of 0" in r.output
    assert json.loads(run(tmp_path / "a.xyz", "--json").output)["shortest"] == {"Ar-Ar": None}


def test_inspect_counts_labels_that_are_wrong(tmp_path):
    a, b = bulk("Cu"), bulk("Cu")
    a.info["energy"], b.info["energy"] = 1.0, "much"
    ase.io.write(tmp_path / "a.xyz", [a, b], format="extxyz")
    r = run(tmp_path / "a.xyz")
    assert r.exit_code == 0 and "wrong labels   1" in r.output and "structure 1: energy" in r.output and "energy of 1" in r.output


def test_inspect_judges_functions_and_writes_those_that_are_kept(data, tmp_path):
    r = run(data, "--functions", 24, "--cutoff", 4.5, "--most-correlation", 0.98, "-o", tmp_path / "set.txt", "--picture", tmp_path / "health.png")
    assert r.exit_code == 0, r.output
    frames = ase.io.read(data, ":")
    functions = make_set(["Na", "Cl"], 4.5, distances(frames, 4.5), size=24)
    h = health(functions, frames, most_correlation=0.98)
    assert load_set(tmp_path / "set.txt") == h.prune() and h.dropped
    assert str(h).splitlines()[0] in r.output and str(functions["Na"][3]) in r.output
    assert all(f.reason in " ".join(r.output.split()) for f in h.dropped)
    assert (tmp_path / "health.png").read_bytes()[:4] == b"\x89PNG"
    again = json.loads(run(data, "--functions", tmp_path / "set.txt", "--most-correlation", 0.98, "--json").output)["functions"]
    assert [f["verdict"] for f in again] == ["kept"] * len(again) and len(again) == sum(map(len, h.prune().values()))
    default = json.loads(run(data, "--functions", "default", "--json").output)["functions"]
    assert [f["function"] for f in default[:88]] == [str(f) for f in make_set(["Na", "Cl"], 5.0, min(distances(frames, 5.0).values()))["Na"]]


def test_inspect_tells_potentials_and_sets_by_their_content(tmp_path):
    functions = make_set(["Si"], 4.0, 2.0, size=8)
    statistics = {"Si": np.tile([0.0, 1.0, 0.5, 0.25], (8, 1))}
    statistics["Si"][3, 1] = 0.125
    path = tmp_path / "no ending"
    fastmd.NNPotential(functions, {"Si": fastmd.Network.random(8, (3,), rng=0)}, ("sigma", 0, 1), statistics).save(path)
    r = run(path, "-o", tmp_path / "set.xyz", "--picture", tmp_path / "functions.png")
    assert r.exit_code == 0 and "8-3-1 tanh" in r.output and "2 radial and 6 angular" in r.output and "from 0.125 (function 3) to 1, sigma from 0.25 to 0.25" in r.output
    assert load_set(tmp_path / "set.xyz") == functions and (tmp_path / "functions.png").stat().st_size > 10000
    assert "Si: 2 radial and 6 angular functions\n     0  G2 Si" in run(tmp_path / "set.xyz").output
    assert json.loads(run(tmp_path / "set.xyz", "--json").output) == {"kind": "set", "elements": ["Si"], "cutoff": 4.0, "functions": {"Si": [str(f) for f in functions["Si"]]}}
    document = json.loads(run(path, "--json").output)
    assert document["kind"] == "potential" and document["ranges"]["Si"]["smallest_range"] == 0.125 and document["ranges"]["Si"]["of_function"] == 3


@pytest.mark.parametrize("args, message", [
    (["--functions", "7"], "size must be a multiple of the number of elements, 2"), (["--functions", "nothing"], "nothing: cannot be read"),
    (["--functions", "default", "--cutoff", "0.5"], "no two atoms are within 0.5 angstrom"), (["-o", "set.txt"], "say which with --functions"),
    (["--cutoff", "-1"], "--cutoff must be > 0 angstrom"), (["--picture", "/nowhere/x.png"], "cannot be written to"), (["--group", "nope"], "has no 'nope'"),
    (["--functions", "8", "--least-range", "1e9", "-o", "set.txt"], "none of those of Na is kept"), (["--functions", "8", "--most-correlation", "0"], "most_correlation must be > 0")])
def test_inspect_says_in_one_line_what_is_wrong(data, args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    r = run(data, *args)
    assert r.exit_code == 1 and message in r.output and "Traceback" not in r.output


def test_inspect_asks_for_data_where_functions_are_to_be_judged_on_a_set(tmp_path):
    save_set(tmp_path / "set.txt", {"H": [G1("H", 3.0)]})
    r = run(tmp_path / "set.txt", "--functions", "default")
    assert r.exit_code == 1 and "name the data first" in r.output


def test_most_of_the_default_set_is_of_use_on_real_silicon(test_data):
    frames = ase.io.read(test_data / "data/mlearn/Si_test.xyz", ":")
    h = health(make_set("Si", 5.0, distances(frames, 5.0)[("Si", "Si")]), frames)
    assert len(h.kept("Si")) >= 28 and {f.verdict for f in h.dropped} <= {"range", "correlated"}
