"""Outside the range of the training data: who, by how much, and what each policy does."""

import warnings

import numpy as np
import pytest
from ase.build import bulk

import fastmd
from fastmd import G2, G5, Calculator, ExtrapolationError, ExtrapolationWarning, Network, NNPotential, outside_range
from fastmd.extrapolation import Watched


def training_set():
    return [(lambda a: (a.rattle(0.05, seed=k), a)[1])(bulk("Si", a=5.43 * s, cubic=True)) for k, s in enumerate((0.98, 1.0, 1.02))]


FUNCTIONS = {"Si": [G2("Si", 4.5, eta, rs) for eta, rs in ((0.1, 0), (2, 2.4), (4, 3.8))] + [G5("Si", "Si", 4.5, 0.05, 1, 4)]}


def potential(scale=1.0, **more):
    """With the ranges of the training set; scale: of the network's output"""
    descriptor = fastmd.Descriptor(FUNCTIONS)
    G = np.concatenate([descriptor.describe(a)["Si"] for a in training_set()])
    statistics = {"Si": np.stack([G.min(0), G.max(0), G.mean(0), G.std(0)], axis=1)}
    return NNPotential(FUNCTIONS, {"Si": Network.random(4, (5,), rng=1)}, ("sigma", 0.0, 1.0), statistics, **more)


def by_hand(p, atoms):
    G = fastmd.Descriptor(FUNCTIONS).describe(atoms)["Si"]
    low, high = p.statistics["Si"][:, 0], p.statistics["Si"][:, 1]
    return {(i, f) for i, f in np.argwhere((G < low - 1e-6) | (G > high + 1e-6))}


def test_the_training_data_itself_is_inside_to_the_last_bit():
    p = potential()
    for a in training_set():
        assert outside_range(p, a) == []
        calc = Calculator(p, extrapolation="raise")
        a.calc = calc
        a.get_potential_energy()


def test_every_function_outside_is_named_with_value_and_range():
    p = potential()
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.15, seed=9)
    found = outside_range(p, atoms)
    names = [str(f) for f in FUNCTIONS["Si"]]
    assert {(o.atom, names.index(o.what)) for o in found} == by_hand(p, atoms) and found
    for o in found:
        assert o.element == "Si" and not o.low <= o.value <= o.high
        assert str(o).startswith(f"atom {o.atom} (Si): G")


def test_what_float32_puts_beyond_the_edge_by_rounding_is_not_outside(monkeypatch):
    p = potential(precision="mixed")
    atoms = training_set()[0]
    evaluate = p.evaluate

    def rounded(*arguments, outside=None, **more):  # the kernel says that atom 3 is outside; in float64 it is not
        result = evaluate(*arguments, outside=outside, **more)
        if outside is not None:
            outside[3] = 1
        return result
    monkeypatch.setattr(p, "evaluate", rounded)
    md = fastmd.MD(atoms, p, timestep=1e-9, extrapolation="raise")
    md.run(1)
    assert md._engine._watched.evaluations == 2 and md._engine._watched.evaluations_outside == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_the_kernel_s_count_is_that_of_the_list(threads):
    p = potential(shortest={("Si", "Si"): 2.3})
    p.threads = threads
    atoms = bulk("Si", cubic=True) * (3, 2, 2)
    atoms.rattle(0.15, seed=2)
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    outside = np.full(len(atoms), -1, np.int32)
    p.evaluate(p.species(atoms.get_chemical_symbols()), atoms.positions, atoms.cell.array, pairs, outside=outside)
    found = outside_range(p, atoms)
    assert np.array_equal(outside, np.bincount([o.atom for o in found], minlength=len(atoms)))
    near = {(o.atom, int(o.what.split()[3])) for o in found if o.what.startswith("distance")}
    close = pairs.r < 2.3
    assert near == set(zip(pairs.i[close].tolist(), pairs.j[close].tolist())) and near


def test_warn_speaks_once_for_each_function_and_counts_the_rest():
    p = potential()
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.15, seed=9)
    functions = {f for _, f in by_hand(p, atoms)}
    calc = Calculator(p)
    atoms.calc = calc
    with pytest.warns(ExtrapolationWarning) as seen:
        atoms.get_forces()
    assert len(seen) == len(functions)
    first = len(by_hand(p, atoms))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.positions[0] += 1e-7
        atoms.get_forces()
    assert calc.watched.evaluations == calc.watched.evaluations_outside == 2
    assert sum(calc.watched.counts.values()) == first + len(by_hand(p, atoms))
    assert "2 of 2 evaluations left the range of the training data" in calc.watched.totals()


def test_ignore_and_potentials_without_ranges_say_nothing():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.15, seed=9)
    bare = NNPotential(FUNCTIONS, {"Si": Network.random(4, (5,), rng=1)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for calc in (Calculator(potential(), extrapolation="ignore"), Calculator(bare), Calculator(fastmd.StillingerWeber(), extrapolation="raise")):
            atoms.calc = calc
            atoms.get_forces()
            assert calc.watched.totals() is None


def test_raise_stops_at_the_first():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.15, seed=9)
    atoms.calc = Calculator(potential(), extrapolation="raise")
    with pytest.raises(ExtrapolationError, match=r"atom \d \(Si\): G\d Si .* is outside the trained range .*; train on such structures"):
        atoms.get_forces()


def test_atoms_nearer_than_any_in_the_training_data_are_named():
    p = potential(shortest={("Si", "Si"): 2.2})
    atoms = bulk("Si", cubic=True)
    atoms.positions[1] += (atoms.positions[0] - atoms.positions[1]) * 0.2
    near = [o for o in outside_range(p, atoms) if o.what.startswith("distance")]
    assert {(o.atom, o.what) for o in near} == {(0, "distance to atom 1 (Si)"), (1, "distance to atom 0 (Si)")}
    assert near[0].value == pytest.approx(atoms.get_distance(0, 1)) and near[0].low == 2.2


def test_a_file_in_other_units_has_the_same_ranges():
    bohr = 0.529177210903
    p = potential(shortest={("Si", "Si"): 2.3})
    functions = {"Si": [fastmd.SymmetryFunction(f.kind, f.elements, f.cutoff / bohr, f.eta * bohr**2, f.rs / bohr, 0, f.lambda_, f.zeta) for f in FUNCTIONS["Si"]]}
    q = NNPotential(functions, p.networks, p.scaling, p.statistics, units=("bohr", bohr, "eV", 1.0), shortest={("Si", "Si"): 2.3 / bohr})
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.15, seed=9)
    assert [(o.atom, o.element) for o in outside_range(p, atoms)] == [(o.atom, o.element) for o in outside_range(q, atoms)]
    near = [[o for o in outside_range(x, atoms) if o.what.startswith("dist")] for x in (p, q)]
    assert [o.value for o in near[0]] == pytest.approx([o.value for o in near[1]], rel=1e-12)
    assert near[1][0].low == pytest.approx(2.3)


def test_messages():
    bare = NNPotential(FUNCTIONS, {"Si": Network.random(4, (5,), rng=1)})
    with pytest.raises(ValueError, match="extrapolation must be one of ignore, warn, raise, got 'stop'"):
        Watched(bare, "stop")
    with pytest.raises(ValueError, match="extrapolation='raise': the potential has no ranges"):
        Calculator(bare, extrapolation="raise")
    with pytest.raises(ValueError, match="has no ranges of its training data"):
        outside_range(bare, bulk("Si"))


def hot(policy):
    atoms = bulk("Si", cubic=True)
    fastmd.maxwell_boltzmann(atoms, 3000, 1)
    return fastmd.MD(atoms, potential(), extrapolation=policy)


def test_a_run_that_leaves_the_trained_range_says_so_at_its_end():
    md = hot("warn")
    with pytest.warns(ExtrapolationWarning) as seen:
        md.run(40)
    totals = str(seen[-1].message)
    outside, evaluations = (int(x) for x in totals.split(" evaluations")[0].split(" of "))
    assert 0 < outside <= evaluations == 41 and "values outside" in totals
    assert all("is outside the trained range" in str(w.message) for w in seen[:-1])
    with pytest.warns(ExtrapolationWarning) as again:
        md.run(5)
    assert "of 5 evaluations" in str(again[-1].message)


def test_raise_stops_a_run_and_ignore_lets_it_go():
    with pytest.raises(ExtrapolationError, match=r"step \d+: atom \d \(Si\): G.* is outside the trained range"):
        hot("raise").run(40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hot("ignore").run(40)


def test_a_restart_keeps_the_policy():
    md = hot("ignore")
    assert fastmd.MD.resume(md.state(), potential()).state()["extrapolation"] == "ignore"


def test_the_command_line_prints_warnings_as_sentences(tmp_path):
    from ase.io import write
    from click.testing import CliRunner

    from fastmd.cli import main

    potential().save(tmp_path / "si.nnp")
    write(tmp_path / "start.xyz", bulk("Si", cubic=True), format="extxyz")
    run = CliRunner().invoke(main, ["md", str(tmp_path / "si.nnp"), str(tmp_path / "start.xyz"), "-T", "3000", "--steps", "30", "-o", str(tmp_path / "md.extxyz")])
    assert run.exit_code == 0 and "Warning: atom " in run.stderr and "evaluations left the range of the training data" in run.stderr
    run = CliRunner().invoke(main, ["md", str(tmp_path / "si.nnp"), str(tmp_path / "start.xyz"), "-T", "3000", "--steps", "30", "-o", str(tmp_path / "md.extxyz"), "--extrapolation", "raise"])
    assert run.exit_code == 1 and "is outside the trained range" in run.stderr
