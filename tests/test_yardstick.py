"""bench/yardstick.py: its arithmetic and its table on made-up numbers, and the parts that need no reference data, in seconds."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("yardstick", ROOT / "bench" / "yardstick.py")
yardstick = importlib.util.module_from_spec(spec)
spec.loader.exec_module(yardstick)
Row = yardstick.Row


def run(*arguments):
    ran = CliRunner().invoke(yardstick.main, [str(a) for a in arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize("row, met", [
    (Row("a", "", 3.0), None), (Row("a", "", 3.0, limit=3), True), (Row("a", "", 3.1, limit=3), False), (Row("a", "", 3.0, limit=4, at_least=True), False),
    (Row("a", "", 9.0, ratio=0.9, limit=1), True), (Row("a", "", 0.9, ratio=1.1, limit=1), False), (Row("a", "", 9.0, ratio=1.9, limit=1.8, at_least=True), True),
    (Row("a", "", None, limit=1), False), (Row("a", "", None, limit=1, at_least=True), False), (Row("a", "", np.nan, limit=1), False)])
def test_a_limit_is_one_of_the_ratio_where_there_is_one_and_no_number_meets_none(row, met):
    assert row.met is met


def test_the_table_has_figure_ratio_limit_and_verdict():
    console = Console(width=120, record=True, file=open(os.devnull, "w"))
    console.print(yardstick.table([Row("programs", "si_limit", 5.301, "µs/atom"), Row("si-wide", "silicon", 5.2, "µs/atom", 0.981, "si_limit", 1.0),
                                   Row("water", "water: wrong", None, limit=1.5), Row("memory", "peak", 0.4, "kB/atom", limit=1.5)]))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines() if line.strip()]
    assert lines[2:] == ["si_limit 5.3 µs/atom", "silicon, over si_limit 5.2 µs/atom 0.981 ≤ 1 yes", "water: wrong ≤ 1.5 NO", "peak 0.4 kB/atom ≤ 1.5 yes"]


def test_jobs_take_turns_and_each_is_first_once():
    order, ticks = [], []
    jobs = {name: (lambda name=name: order.append(name) or len(order)) for name in "abc"}
    times = yardstick.in_turns(jobs, 3, lambda: ticks.append(1))
    assert "".join(order) == "abcbcacab" and len(ticks) == 3
    assert times["b"].tolist() == [2, 4, 9]


def test_a_machine_that_slows_down_does_not_change_a_ratio():
    mood = np.array([1.0, 1.1, 3.0, 2.0, 5.0])
    assert yardstick.compared(8 * mood, 5 * mood) == (pytest.approx(1.6), [pytest.approx(1.6)] * 2)


def test_one_cpu_is_kept_and_given_back():
    before = os.sched_getaffinity(0)
    with pytest.raises(ValueError), yardstick.on_one_cpu():
        assert len(os.sched_getaffinity(0)) == 1
        raise ValueError
    assert os.sched_getaffinity(0) == before


def test_the_time_of_a_program_is_read_and_its_failure_is_told():
    job = yardstick.program("si", [sys.executable, "-c", "print('N=1728 nb=44.44'); print('E=1.0 F0=1 2 3  us/atom=5.301')"])
    assert job() == 5.301 and job.said.startswith("E=1.0")
    assert yardstick.program("water", [sys.executable, "-c", "print('float64: E=1; us/atom best 8.812 median 9.1')"])() == 8.812
    with pytest.raises(click.ClickException, match="water ended with 1:\nnot the set"):
        yardstick.program("water", [sys.executable, "-c", "print('not the set'); raise SystemExit(1)"])()


def test_without_reference_data_one_line_says_so_and_the_other_rows_are_there(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTMD_TEST_DATA", raising=False)
    out = run("--only", "water", "--only", "threads", "--rounds", 1, "--json", tmp_path / "y.json")
    assert "FASTMD_TEST_DATA is not set" in out and "H2O" not in out
    found = json.loads((tmp_path / "y.json").read_text())
    assert found["rounds"] == 1 and found["machine"]["instruction set"] and found["machine"]["processor"]
    assert {row["part"] for row in found["rows"]} == {"threads"}
    bits = [row for row in found["rows"] if "bits" in row["what"]]
    assert len(bits) == 2 and all(row["met"] for row in bits)


def test_a_folder_without_the_programs_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTMD_TEST_DATA", str(tmp_path))
    assert "si_limit.cpp" in run("--only", "si-wide")


def test_memory_is_that_of_a_process_of_its_own():
    held = np.ones(50_000_000)  # 400 MB here, which must not be seen there
    rows = yardstick.memory(lambda n: None, largest=10**4)
    assert len(rows) == 2 and held[-1] == 1
    for row in rows:
        n = row.notes["atoms"]
        assert n == 10648 and row.notes["given"] > n * (24 + 8 + 40 * 16)  # 44 neighbours of 16 bytes each
        assert row.notes["given"] < row.notes["before"] < row.notes["peak"] < 3e8


def test_scaling_compares_sizes_by_their_time_per_atom():
    *sizes, last = yardstick.scaling(1, lambda: None, largest=10**4)
    assert ["1,000" in sizes[0].what, "10,648" in sizes[1].what] == [True, True]
    assert last.figure == pytest.approx(max(r.figure for r in sizes) / min(r.figure for r in sizes))


def test_a_wrong_answer_is_not_timed(test_data, monkeypatch):
    true = yardstick.golden

    def wrong(*arguments):
        p, atoms, energy, forces = true(*arguments)
        return p, atoms, energy * (1 + 1e-9), forces
    assert yardstick.case("cu2s", test_data).atoms == 144
    monkeypatch.setattr(yardstick, "golden", wrong)
    with pytest.raises(yardstick.Wrong, match="energy off by 1.0e-09"):
        yardstick.case("cu2s", test_data)


def test_a_difference_of_slopes_is_found_within_its_error():
    """also where the energy of each run wanders, which makes the line through one run look better known than it is"""
    rng, t, off = np.random.default_rng(0), np.linspace(0, 20, 801), []
    def slopes(true):
        return [np.polyfit(t, true * t + np.cumsum(rng.normal(0, 0.1, len(t))), 1)[0] for _ in range(yardstick.STARTS)]
    for _ in range(200):
        found, error = yardstick.difference(slopes(0.3), slopes(0.5))
        off.append((found - 0.2) / error)
    assert 0.9 < np.std(off) < 1.35 and abs(np.mean(off)) < 0.3  # Student's t with 10 degrees of freedom: 1.12


def test_energies_of_a_run_are_those_of_constant_energy(test_data):
    times, energies = yardstick.energies_of_a_run(test_data, "float64", 1, 0.02)
    np.testing.assert_allclose(times, np.arange(9) * 0.0025, atol=1e-12)
    assert energies[0] == 0 and 0 < np.abs(energies).max() < 5


@pytest.mark.slow
def test_the_programs_run_and_find_the_golden_forces(test_data, tmp_path):
    jobs = yardstick.programs(test_data, tmp_path)
    assert set(jobs) == {f"{name} {precision}" for name in ("si_limit", "water_limit") for precision in ("float64", "float32")}
    for job in jobs.values():
        assert 0.1 < job() < 1000
    assert float(jobs["water_limit float64"].said.split("force error max ")[1].split()[0]) < 1e-9
