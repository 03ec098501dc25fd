"""How fastmd's time per atom goes with the number of atoms, neighbours, functions and threads: energy, forces and virial of silicon, and the list."""

import os
import time
from dataclasses import dataclass, field

import numpy as np
from yardstick import call_of, cells_of, silicon, silicon_potential, with_threads

import fastmd

from . import clocked


@dataclass
class Series:
    """{x: job} of one curve, and {x: atoms}"""

    what: str
    x: str
    jobs: dict = field(default_factory=dict)
    per: dict = field(default_factory=dict)
    all_cpus: bool = False

    def add(self, x, job, atoms):
        self.jobs[x], self.per[x] = job, atoms


def series(quick):
    return [*atoms(10**4 if quick else 10**6), *neighbours(quick), *functions(quick), threads(quick)]


def atoms(largest):
    forces, lists = Series("energy and forces, list given", "atoms"), Series("neighbour list, indices", "atoms")
    for n in (n for n in (10**3, 10**4, 10**5, 10**6) if n <= largest):
        made = silicon.__wrapped__(cells_of(n))  # not kept beyond this
        size = len(made[0])
        forces.add(size, clocked(call_of(silicon_potential(), *made)), size)
        lists.add(size, clocked(lambda made=made: fastmd.find_pairs(made[0], 6.0)), size)
    return forces, lists


def potential(cutoff, radial, angular, make):
    """`radial` G2 and `angular` functions by `make`, spread over the usual parameters"""
    shells = [(4 * (k + 1) / radial, cutoff * k / radial / 1.5) for k in range(radial)]
    triples = [(eta, lambda_, zeta) for eta in (0.01, 0.05, 0.02, 0.1, 0.03, 0.07) for lambda_ in (1, -1) for zeta in (1, 2, 4, 16)][:angular]
    functions = {"Si": [fastmd.G2("Si", cutoff, *p, "cosine") for p in shells] + [make("Si", "Si", cutoff, *p, "cosine") for p in triples]}
    G = fastmd.Descriptor(functions).describe(silicon(3)[0])["Si"]
    statistics = {"Si": np.column_stack([G.min(0), G.max(0), G.mean(0), G.std(0)])}
    return fastmd.NNPotential(functions, {"Si": fastmd.Network.random(radial + angular, (20, 20), rng=3)}, ("center-minmax", 0, 1), statistics, threads=1)


def neighbours(quick):
    start, found = silicon(3 if quick else 6)[0], []
    for make in (fastmd.G5, fastmd.G4):
        s = Series(f"8 G2 + 16 {make.__name__}", "neighbours")
        for cutoff in (4.0, 6.0) if quick else (4.0, 5.0, 6.0, 7.0, 8.0):
            pairs = fastmd.find_pairs(start, cutoff)
            s.add(len(pairs) / len(start), clocked(call_of(potential(cutoff, 8, 16, make), start, pairs)), len(start))
        found.append(s)
    return found


def functions(quick):
    start, found = silicon(3 if quick else 6), []
    for make in (fastmd.G5, fastmd.G4):
        s = Series(f"a third G2, the rest {make.__name__}", "functions")
        for angular in (8, 16) if quick else (8, 16, 32, 48):
            s.add(3 * angular // 2, clocked(call_of(potential(6.0, angular // 2, angular, make), *start)), len(start[0]))
        found.append(s)
    return found


def threads(quick):
    """By the clock on the wall, which is off where others are at work"""
    s, made = Series("energy and forces, list given", "threads", all_cpus=True), silicon(6)
    for n in range(1, len(os.sched_getaffinity(0)) + 1):
        call = with_threads(silicon_potential(), n, call_of(silicon_potential(), *made))

        def job(call=call):
            found = []
            for _ in range(5):
                began = time.perf_counter()
                call()
                found.append(time.perf_counter() - began)
            silicon_potential().threads = 1
            return min(found)
        s.add(n, job, len(made[0]))
    return s
