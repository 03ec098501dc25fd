"""bench/compare.py: its arithmetic, table and pictures on made-up programs, and a section of it from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import fastmd

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def compare(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import compare

    return compare


@pytest.fixture
def peers(compare):
    import peers

    return peers


def made_up(peers, moods=(1.0, 3.0, 1.5)):
    """One program twice as slow as fastmd and one that gives less, on a machine whose speed changes from round to round"""
    def job(seconds):
        mood = iter(moods)
        return lambda: seconds * next(mood)
    return peers.Contest("a crystal", {"fastmd: all": job(4e-3), "other": job(8e-3), "fastmd: some": job(1e-3), "less": job(3e-3)}, per=1000,
                         over={"fastmd: some": "fastmd: some", "less": "fastmd: some"}, notes={"other": "in no order"}, left_out={"absent": "not installed"})


def test_a_ratio_is_to_what_gives_the_same_and_the_machines_mood_is_not_in_it(compare, peers):
    rows = {r["program"]: r for r in compare.rows_of("neighbours", made_up(peers), 3, lambda: None)}
    assert rows["other"]["figure"] == pytest.approx(12.0) and rows["other"]["unit"] == "µs/atom"  # the median mood is 1.5
    assert rows["other"]["ratio"] == pytest.approx(2) and rows["less"]["ratio"] == pytest.approx(3) and rows["less"]["over"] == "fastmd: some"
    assert rows["other"]["quartiles"] == pytest.approx([2, 2]) and rows["fastmd: all"]["ratio"] == 1
    assert rows["absent"]["left out"] == "not installed"


def test_the_table_and_the_pictures_show_every_program(compare, peers, tmp_path):
    rows = compare.rows_of("neighbours", made_up(peers), 3, lambda: None)
    console = Console(width=120, record=True, file=open(os.devnull, "w"))
    console.print(compare.table(rows))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines() if line.strip()]
    assert lines[2:] == ["a crystal", "fastmd: all 6 µs/atom 1", "other 12 µs/atom 2 in no order", "fastmd: some 1.5 µs/atom 1", "less 4.5 µs/atom 3", "absent not installed"]
    texts = [t.get_text().strip() for t in compare.ratios_picture(rows).axes[0].texts]
    assert texts == ["a crystal", "other  2", "less  3"]
    curves = [{"what": "forces", "x": x, "points": [[1, 2.0], [2, 3.0]]} for x in ("atoms", "threads")]
    figure = compare.scaling_picture(curves)
    assert [a.get_xlabel() for a in figure.axes] == ["atoms", "threads"]
    figure.savefig(tmp_path / "scaling.png")


def test_two_runs_are_held_against_each_other(compare):
    def run(ratio):
        return [{"what": "w", "program": "fastmd", "over": "fastmd", "ratio": 1.0}, {"what": "w", "program": "a", "over": "fastmd", "ratio": ratio},
                {"what": "w", "program": "b", "over": "fastmd", "ratio": 3.0}, {"what": "w", "program": "gone", "left out": "not installed"}]
    largest, where, n, beyond = compare.since(run(2.0), run(2.2))
    assert (largest, where, n, beyond) == (pytest.approx(0.1), ("w", "a"), 2, 0)
    assert compare.since(run(2.0), run(1.6))[3] == 1
    assert compare.since([], run(2.0)) is None


def test_a_wrong_or_absent_or_broken_peer_is_left_out_and_says_why(peers):
    c = peers.Contest("w", {})
    c.add("wrong", lambda: peers.same("values", np.array([1.0, 2.0]), np.array([1.0, 2.1]), 1e-6), "ase")
    c.add("absent", lambda: 1 / 0, "no_such_module")
    c.add("changed", lambda: 1 / 0, "ase")
    assert c.jobs == {} and c.left_out["absent"] == "not installed" and c.left_out["wrong"].startswith("wrong: values off by 4.8e-02")
    assert c.left_out["changed"] == "failed: ZeroDivisionError: division by zero"
    with pytest.raises(ZeroDivisionError):
        c.add("fastmd", lambda: 1 / 0)


def test_arrays_of_another_shape_or_with_nan_are_wrong(peers):
    peers.same("values", np.ones(3), np.ones(3) + 1e-9, 1e-6)
    for found in (np.ones(2), np.array([1, np.nan, 1])):
        with pytest.raises(peers.Wrong):
            peers.same("values", found, np.ones(3), 1e-6)


def test_time_is_that_of_a_call(peers):
    calls = []
    job = peers.clocked(lambda: calls.append(sum(range(20_000))), seconds=1e-3)
    before, found = len(calls), job()
    assert 1e-5 < found < 0.1 and len(calls) - before >= 3


def test_lists_that_differ_in_one_shift_are_told_apart(compare):
    from peers.neighbours import keys

    i, j, S = np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([[0, 0, 0], [1, 0, -1], [0, 0, 0]])
    other = S.copy()
    other[1, 2] = 1
    assert np.array_equal(keys(i, j, S), keys(i[::-1], j[::-1], S[::-1])) and not np.array_equal(keys(i, j, S), keys(i, j, other))


def test_dense_derivatives_are_difference_quotients_and_plain_torch_has_the_loss_of_fastmd(compare):
    pytest.importorskip("torch")
    from peers import training

    made, net = training.structures(training.BATCH), training.model()
    data = training.data(made[:1], net)
    step = 1e-4 * np.random.default_rng(1).normal(size=(64, 3))
    G = [(fastmd.Descriptor(training.FUNCTIONS).describe(moved(made[0].atoms, s * step))["Si"] - net.shift["Si"].numpy()) * net.factor["Si"].numpy() for s in (1, -1)]
    found = data.dG[0].numpy() @ step.ravel()
    assert np.abs(found - (G[0] - G[1]).ravel() / 2).max() < 1e-5 * np.abs(found).max()
    training.plain(made)()  # which compares loss and gradient with fastmd's


def moved(atoms, by):
    new = atoms.copy()
    new.positions += by
    return new


def test_every_program_that_is_installed_has_the_pairs_of_fastmd(compare):
    from peers import neighbours
    from systems import triclinic

    c = neighbours.contest("triclinic Si", triclinic(), 6.0)
    assert set(c.left_out.values()) <= {"not installed"} and {"fastmd: i j S d D", "ASE"} <= set(c.jobs)
    assert all(1e-7 < job() < 10 for job in c.jobs.values())


def test_a_section_from_the_command_line(tmp_path):
    done = subprocess.run([sys.executable, BENCH / "compare.py", "--only", "functions", "--quick", "--rounds", "2", "--out", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "compare.json").read_text())
    assert {r["section"] for r in found["rows"]} == {"functions"} and found["machine"]["versions"]["numpy"] == np.__version__
    assert set(r.get("left out", "not installed") for r in found["rows"]) == {"not installed"}
    assert "values of 8 G2 + 16 G4" in done.stdout and (tmp_path / "ratios.png").exists()
