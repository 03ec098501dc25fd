"""A committee of four networks in one call, beside one potential and beside four, on the silicon of test_bench.py; medians of calls in turns, one thread."""

import time

import numpy as np
import pytest
from test_bench import CUTOFF, FUNCTIONS, silicon  # noqa: F401

import fastmd

K = 4
ROUNDS = 7


@pytest.fixture(scope="module")
def calls(silicon):  # noqa: F811
    """{name: what is timed}"""
    values = fastmd.Descriptor(FUNCTIONS).describe(silicon)["Si"]
    statistics = {"Si": np.column_stack([values.min(0), values.max(0), values.mean(0), values.std(0)])}
    singles = [fastmd.NNPotential(FUNCTIONS, {"Si": fastmd.Network.random(24, (20, 20), rng=k)}, ("center-minmax", 0, 1), statistics, threads=1) for k in range(K)]
    committee = fastmd.NNPotential.committee(singles)
    pairs = fastmd.find_pairs(silicon, CUTOFF)
    r, each = committee.compute(silicon, pairs, force_spread=True), [p.compute(silicon, pairs) for p in singles]
    forces = np.array([x.forces for x in each])
    np.testing.assert_allclose(r.forces, forces.mean(0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(r.forces_spread, np.sqrt(((forces - forces.mean(0)) ** 2).sum(2).mean(0)), rtol=1e-10)
    assert r.energy_spread == pytest.approx(np.std([x.energy for x in each]), rel=1e-9)
    return {"one": lambda: singles[0].compute(silicon, pairs), "four, one after the other": lambda: [p.compute(silicon, pairs) for p in singles],
            "committee": lambda: committee.compute(silicon, pairs), "with the spread of forces": lambda: committee.compute(silicon, pairs, force_spread=True)}


def test_committee_of_four(benchmark, silicon, calls):  # noqa: F811
    found = np.empty((ROUNDS, len(calls)))
    for row in found:
        for k, call in enumerate(calls.values()):
            start = time.thread_time()
            call()
            row[k] = time.thread_time() - start
    for name, seconds in zip(calls, np.median(found, axis=0)):
        benchmark.extra_info[f"microseconds per atom, {name}"] = 1e6 * seconds / len(silicon)
        benchmark.extra_info[f"over one, {name}"] = float(np.median(found[:, list(calls).index(name)] / found[:, 0]))
    benchmark(calls["committee"])
