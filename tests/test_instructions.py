"""The guard against slower kernels: instructions of two small calls beside bench/instructions.json, and what it says when they differ."""

import json
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def instructions(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import instructions

    return instructions


@pytest.mark.plain_core
def test_the_kernels_take_the_instructions_they_took(instructions):
    if why := instructions.lacking():
        pytest.skip(f"cannot count instructions: {why}")
    kept = json.loads(instructions.FIGURES.read_text())
    if kept["compiler"] != instructions.compiler():
        pytest.skip(f"built by {instructions.compiler()}, the figures are of {kept['compiler']}")
    if wrong := instructions.verdict(instructions.count(), kept["instructions"]):
        pytest.fail("\n".join(wrong), pytrace=False)


def test_a_change_of_more_than_five_per_cent_is_told_both_ways(instructions):
    figures = {"wide": 1_000_000, "narrow": 2_000_000}
    assert instructions.verdict({"wide": 1_049_000, "narrow": 1_901_000}, figures) == []
    slower, faster = instructions.verdict({"wide": 1_060_000, "narrow": 1_800_000}, figures)
    assert slower.startswith("wide: 1,060,000 instructions, 6.0% more than the 1,000,000") and "commit message" in slower and "--update" in slower
    assert faster.startswith("narrow: 1,800,000 instructions, 10.0% less than the 2,000,000")
