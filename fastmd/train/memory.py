"""Memory of a training: what it will take, said before it begins, and how many Jacobian rows may be kept within a bound."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .. import _check

_UNITS = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_EDGE = 28  # bytes: j and d
_ATOM = 92  # first, species, structure (twice), row, place, position, force and mask
_PIECE = 12_000  # of a piece that holds nothing
_PER_FUNCTION, _PER_NODE = 6, 10  # numbers that torch holds per atom of a piece; measured


def size(name, x):
    """Bytes from a number or text such as 500MB, 2 GB, 1.5GiB. Raises ValueError for what is none."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([a-z]*)\s*", str(x).lower())
    try:
        return int(_check.number(name, float(found[1]) * _UNITS[found[2]], above=0))
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"{name} must be bytes > 0 or text such as 500MB, 2GB or 1.5GiB, got {x!r}") from None


def text(n):
    """1.23 GB"""
    return f"{n / 1e9:.2f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


def resident():
    """Bytes of this process in memory now"""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux: the most it ever had
        import resource
        import sys

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available():
    """Bytes that can still be had: of the machine, or of the group of processes this one is in, whichever is less"""
    found = []
    try:
        found.append(1024 * int(re.search(r"MemAvailable:\s*(\d+)", Path("/proc/meminfo").read_text())[1]))
    except (OSError, TypeError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    try:
        group = Path("/sys/fs/cgroup")
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no group, or one without a bound ("max")
        pass
    return max(0, min(found))


@dataclass
class Estimate:
    """Bytes: of the process before, and what comes on top of it; rows of the first `cached` of `pieces` pieces are kept"""

    process: int
    neighbours: int
    values: int
    rows: int
    temporaries: int
    optimizer: int
    cached: int
    pieces: int
    limit: int

    @property
    def peak(self):
        return self.process + self.neighbours + self.values + self.rows + self.temporaries + self.optimizer

    def __str__(self):
        kept = f"of {self.cached} of {self.pieces} pieces, the rest is recomputed" if self.cached < self.pieces else "all"
        return (f"memory: process {text(self.process)}, neighbours and labels {text(self.neighbours)}, symmetry functions {text(self.values)}, "
                f"Jacobian rows {text(self.rows)} ({kept}), temporaries {text(self.temporaries)}, optimiser {text(self.optimizer)}; "
                f"peak about {text(self.peak)}, limit {text(self.limit)}")


def estimate(training, validation, model, settings, derivatives, workers, cached=None):
    """The Estimate of a training, and with it how many pieces of the training data get their Jacobian rows kept: the first ones, while there is room.

    training, validation : [[Size]] per piece;  derivatives : of the energy are trained on;  workers : pieces that are worked on at once
    cached : so many, as the run that is resumed had, if there is room for them
    Raises ValueError where the bound is too low even without any rows.
    """
    process = resident()
    limit = process + available() // 2 if settings.memory_limit is None else size("memory_limit", settings.memory_limit)
    both = [*training, *validation]
    atoms, edges = (sum(getattr(s, what) for p in both for s in p) for what in ("atoms", "edges"))
    at_once = sum(sorted(sum(s.atoms for s in p) for p in both)[-workers:])  # each worker has one piece in hand
    functions = max(len(x) for x in model.shift.values())
    nodes = max(sum(layer.out_features for layer in network[::2]) for network in model.networks.values())
    parameters = sum(p.numel() for p in model.parameters())
    e = Estimate(process, neighbours=_EDGE * edges + _ATOM * atoms + _PIECE * len(both), values=8 * functions * atoms, rows=0,
                 temporaries=8 * at_once * (_PER_FUNCTION * functions + _PER_NODE * nodes), optimizer=8 * parameters * (90 if settings.optimizer == "lbfgs" else 10),
                 cached=0, pieces=len(training), limit=limit)
    if e.peak > limit:
        raise ValueError(f"memory_limit of {text(limit)} is too low: this training takes {text(e.peak)} even if no Jacobian rows are kept; raise it, or train on less data")
    for piece in training if derivatives else ():
        rows = sum(s.rows for s in piece)
        if e.peak + rows > limit or e.cached == cached:
            break
        e.rows, e.cached = e.rows + rows, e.cached + 1
    return e
