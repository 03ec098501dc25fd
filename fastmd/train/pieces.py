"""The data as the loop holds it: pieces of a bounded number of atoms, with labels, symmetry functions and, where there is room, Jacobian rows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase.stress import voigt_6_to_full_3x3_stress

from ..autograd import Batch
from ..pairs import find_pairs
from ..symmetry import species

ATOMS = 1500  # of a piece at most (unless one structure has more): torch's temporaries are small then, and there are pieces for all threads
KINDS = ("energy", "force", "stress")


def bare(structures, repulsion):
    """The structures with the repulsion taken off their labels: what is left is for the networks."""
    if repulsion is None:
        return structures
    found = []
    for s in structures:
        r = repulsion.compute(s.atoms)
        stress = s.stress if r.stress is None else s.stress - voigt_6_to_full_3x3_stress(r.stress)
        found.append(replace(s, energy=s.energy - r.energy, forces=s.forces - r.forces, stress=stress))
    return found


def labels(structures, offsets):
    """(energy without offsets (structures,), forces (n, 3), stress (structures, 3, 3)), NaN where there is no label"""
    energy = [s.energy - sum(offsets[e] for e in s.atoms.get_chemical_symbols()) for s in structures]
    forces = np.concatenate([np.zeros((0, 3)), *(s.forces for s in structures)])
    return np.array(energy), forces, np.array([s.stress for s in structures]).reshape(-1, 3, 3)


def count(structures):
    """How many labels of each kind there are, (3,)"""
    return np.array([sum(int(np.isfinite(x).sum()) for x in kind) for kind in zip(*((s.energy, s.forces, s.stress) for s in structures))])


class Labelled:
    """A batch with its labels; missing ones are masked.

    cache : keep the Jacobian rows of the batch
    """

    def __init__(self, descriptor, structures, offsets, threads=0, cache=False):
        self.batch = Batch(descriptor, [s.atoms for s in structures], threads, cache)
        self.G = self.batch._value()
        self.labels = [torch.from_numpy(x) for x in labels(structures, offsets)]
        self.known = [torch.isfinite(x) for x in self.labels]

    def errors(self, model, derivatives=True):
        """Errors where there is a label: energy per atom, force components, stress components"""
        found = []
        for k, (got, label, known) in enumerate(zip(model(self.batch, self.G, derivatives), self.labels, self.known)):
            e = (got - label)[known] if got is not None else label[known][:0]
            found.append(e / self.batch.count[known] if k == 0 else e)
        return found


def squares(model, pieces, run=map):
    """(sums of squared errors, counts), each per kind of label"""
    def part(piece):
        with torch.no_grad():  # a matter of each thread
            return [(float(e.square().sum()), len(e)) for e in piece.errors(model)]

    found = np.array([np.zeros((3, 2)), *run(part, pieces)])
    return found.sum(0).T


class Workers:
    """Threads that work on pieces side by side, each with torch and the kernels to itself: a piece is too small a thing to be shared,
    and torch's own threads stand in one another's way on a busy machine. With one worker, or outside of `with`, all runs in order.
    """

    def __init__(self, n):
        self.n = n

    def __enter__(self):
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self.n, initializer=torch.set_num_threads, initargs=(1,)) if self.n > 1 else None
        return self

    def __exit__(self, *_):
        if self._pool:
            self._pool.shutdown()
        torch.set_num_threads(self._before)

    def map(self, function, *items):
        return self._pool.map(function, *items) if self._pool else map(function, *items)


@dataclass
class Size:
    """What structures take: atoms, neighbours, and bytes of Jacobian rows"""

    atoms: int
    edges: int
    rows: int


def measure(descriptor, structures):
    """[Size] of each structure"""
    found = []
    for s in structures:
        pairs = find_pairs(s.atoms, descriptor.cutoff, shift=False)
        kinds = species(s.atoms.get_chemical_symbols(), descriptor.elements)
        found.append(Size(len(s.atoms), len(pairs), descriptor.cache_bytes(descriptor.layout(kinds), kinds, pairs.first)))
    return found


def cut(sizes, atoms=ATOMS):
    """[(begin, end)]: consecutive structures of at most so many atoms together"""
    ends, n = [], 0
    for k, s in enumerate(sizes):
        if n and n + s.atoms > atoms:
            ends.append(k)
            n = 0
        n += s.atoms
    return list(zip([0, *ends], [*ends, len(sizes)])) if sizes else []
