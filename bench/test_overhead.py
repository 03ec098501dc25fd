"""What Python adds to a call of the kernel, on few atoms, in microseconds. `overheads()` gives the rows for yardstick.py.

The kernel is `_core.compute` on a System that is ready. It is timed in turns with what is built on it, in short pieces, and the medians are
subtracted; it is the time of this thread that counts, in which others on the machine have no part. Where only the difference counts the potential is a light one: the difference is the same for any, but beside a slow kernel the
noise of a busy machine is larger. Each case is right before it is timed.
"""

import time
from functools import lru_cache

import numpy as np
import pytest
from ase.build import bulk
from test_bench import CUTOFF, FUNCTIONS

import fastmd
from fastmd import _core

PIECE = 20  # calls, or steps
ROUNDS = 300


def silicon(cells):
    atoms = bulk("Si", "diamond", a=5.431, cubic=True) * (cells, cells, cells)
    atoms.positions += np.random.default_rng(1).normal(0, 0.05, atoms.positions.shape)
    return atoms


@lru_cache(None)
def light():
    """One function, and a network so weak that atoms stay where they are"""
    (weights, bias, activation), (last, _, _) = fastmd.Network.random(1, (2,), rng=3).layers
    network = fastmd.Network(((weights, bias, activation), (1e-6 * last, np.zeros(1), "identity")))
    return fastmd.NNPotential({"Si": [fastmd.G2("Si", 2.6, 0.5)]}, {"Si": network}, ("center", 0, 1), {"Si": np.array([[-9.0, 9, 0, 1]])}, threads=1)


@lru_cache(None)
def whole():
    """That of test_bench.py: 8 G2 + 16 G5 and a network 24-20-20-1"""
    values = fastmd.Descriptor(FUNCTIONS).describe(silicon(3))["Si"]
    statistics = {"Si": np.column_stack([0.5 * values.min(0), 2 * values.max(0), values.mean(0), values.std(0)])}
    return fastmd.NNPotential(FUNCTIONS, {"Si": fastmd.Network.random(24, (20, 20), rng=3)}, ("center-minmax", 0, 1), statistics, threads=1)


def kernel(potential, atoms, pairs):
    """The bare call, and the forces that it fills"""
    n = len(atoms)
    kinds, cell = potential.species(atoms.get_chemical_symbols()), np.array(atoms.cell)
    energies, forces, virial = np.empty(n), np.empty((n, 3)), np.empty((3, 3))
    system = _core.System(kinds, pairs.first, pairs.j, pairs.shift, atoms.positions, cell, threads=1)
    return lambda: potential._core.compute(system, energies, forces, virial), forces


def in_turns(*calls, piece=PIECE):
    """Median microseconds of a call of each"""
    found = np.empty((ROUNDS, len(calls)))
    for row in found:
        for k, call in enumerate(calls):
            start = time.thread_time()
            for _ in range(piece):
                call()
            row[k] = time.thread_time() - start
    return np.median(found, axis=0) / piece * 1e6


def beyond(call, bare):
    both, alone = in_turns(call, bare)
    return float(both - alone)


# ---- the cases: (what is timed, microseconds from a function of it)

def compute(given):
    """pot.compute on 8 atoms, pairs given or not, and the bare kernel"""
    p, atoms = light(), silicon(1)
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    bare, forces = kernel(p, atoms, pairs)
    bare()
    assert np.array_equal(p.compute(atoms, pairs).forces, forces) and np.array_equal(p.compute(atoms).forces, forces)
    return lambda: p.compute(atoms, pairs if given else None), bare


def dynamics(bath):
    """MD of 64 atoms that hardly move; the force call, which is `evaluate` of its arrays, and the bare kernel on its list"""
    p, atoms = light(), silicon(2)
    fastmd.maxwell_boltzmann(atoms, 1e-3, rng=1)
    md = fastmd.MD(atoms, p, seed=1, **({"temperature": 1e-3, "friction": 1e-3} if bath else {}))
    md.run(100)
    atoms, pairs = md.atoms, md._engine._pairs
    bare, forces = kernel(p, atoms, pairs)
    bare()
    assert np.array_equal(md.forces, forces)
    kinds, cell = md._engine._species, np.array(atoms.cell)
    return md, lambda: p.evaluate(kinds, md.positions, cell, pairs), bare


def beyond_a_step(md, force_call, bare):
    """(beyond the force call, beyond the kernel) of a step in MD.run; what a run of no steps takes, to begin and to record, is not counted"""
    def run(steps):
        md.run(steps, every=10**9)

    def pieces(call):
        for _ in range(PIECE):
            call()

    steps, none, forces, alone = in_turns(lambda: run(PIECE), lambda: run(0), lambda: pieces(force_call), lambda: pieces(bare), piece=1)
    return float(steps - none - forces) / PIECE, float(steps - none - alone) / PIECE


def calculator(skin):
    """The ASE calculator on 8 atoms after each has moved; without a skin the pairs are searched each time"""
    p, atoms = whole(), silicon(1)
    here, there = atoms.positions.copy(), atoms.positions + 1e-3
    there[0] += 1e-2
    atoms.calc = fastmd.Calculator(p, skin=skin)

    def call():
        nonlocal here, there
        here, there = there, here
        atoms.set_positions(here)
        return atoms.get_forces()

    for _ in range(2):
        np.testing.assert_allclose(call(), p.compute(atoms).forces, rtol=0, atol=1e-11)
    before = atoms.calc._verlet.rebuilds
    call()
    assert atoms.calc._verlet.rebuilds == before + (skin == 0)
    return call


def overheads():
    """[(name, microseconds, limit)]"""
    rows = [("pot.compute on 8 atoms, pairs given, beyond its kernel", beyond(*compute(True)), 25.0),
            ("the same with the search for pairs", beyond(*compute(False)), None)]
    for name, bath in (("velocity Verlet", False), ("Langevin", True)):
        forces, bare = beyond_a_step(*dynamics(bath))
        rows += [(f"a step of MD on 64 atoms, {name}, beyond the force call", forces, 15.0), ("the same beyond the kernel", bare, None)]
    for name, skin in (("list kept", 0.5), ("list made anew", 0.0)):
        rows.append((f"the ASE calculator on 8 atoms, in all, {name}", float(in_turns(calculator(skin))[0]), 150.0))
    return rows


@pytest.mark.parametrize("given", [True, False], ids=["pairs given", "pairs searched"])
def test_compute(benchmark, given):
    call, bare = compute(given)
    benchmark.extra_info["microseconds beyond the kernel"] = beyond(call, bare)
    benchmark(call)


@pytest.mark.parametrize("bath", [False, True], ids=["velocity Verlet", "Langevin"])
def test_md_step(benchmark, bath):
    md, force_call, bare = dynamics(bath)
    found = beyond_a_step(md, force_call, bare)
    benchmark.extra_info["microseconds beyond the force call"], benchmark.extra_info["microseconds beyond the kernel"] = found
    benchmark(md.run, PIECE, every=10**9)


@pytest.mark.parametrize("skin", [0.5, 0.0], ids=["list kept", "list made anew"])
def test_calculator(benchmark, skin):
    call = calculator(skin)
    benchmark.extra_info["microseconds in all"] = float(in_turns(call)[0])
    benchmark(call)
