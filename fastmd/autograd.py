"""The descriptor's value, vjp and jvp as torch operators, on a batch of structures.

    G        = value(positions, strain, batch)      backward: vjp
    (x, h)   = vjp(g, batch)                         backward: jvp      x = g . dG/dpositions, h = g . dG/dstrain
    dG       = jvp(v, h, batch)                      backward: vjp

A loss on forces and stress differentiates the vjp with respect to g = dE/dG, and that is the jvp: positions are data while training, so
no second derivative of G exists anywhere, and asking for one is an error.
"""

import numpy as np
import torch

from . import _core
from .pairs import find_pairs
from .symmetry import species


class Batch:
    """Structures laid end to end, as the compiled descriptor takes them.

    descriptor : fastmd.Descriptor;  structures : [ase.Atoms, ...]
    positions (n, 3), strain (structures, 3, 3) all zero, structure (n,): which one an atom is in, count (structures,), volume (structures,)
    (NaN where not periodic in three directions), layout: where the functions stand, species (n,)
    cache : keep the Jacobian rows (descriptor.cache_bytes of memory): vjp and jvp are then products with them, several times as fast
    """

    def __init__(self, descriptor, structures, threads=0, cache=False):
        self.descriptor = descriptor
        structures = list(structures)
        pairs = find_pairs(structures, descriptor.cutoff, shift=False, d=True)
        self.n, self.n_structures = int(pairs.start[-1]), len(structures)
        self.species = np.concatenate([np.zeros(0, np.int32), *(species(a.get_chemical_symbols(), descriptor.elements) for a in structures)])
        self.first = pairs.first
        self.system = _core.System(self.species, self.first, pairs.j, d=pairs.d, threads=threads)
        self.layout = descriptor.layout(self.species)
        if cache:
            descriptor.cache(self.system, self.layout, self.species, self.first)
        counts = np.array([len(a) for a in structures], np.int64)
        self.of = np.repeat(np.arange(self.n_structures, dtype=np.int32), counts)
        self.structure = torch.from_numpy(self.of.astype(np.int64))
        self.count = torch.from_numpy(counts)
        self.volume = torch.tensor([abs(np.linalg.det(np.asarray(a.cell))) if np.all(a.pbc) else np.nan for a in structures], dtype=torch.float64)
        self.positions = torch.from_numpy(np.concatenate([np.zeros((0, 3)), *(a.positions for a in structures)]))
        self.strain = torch.zeros(self.n_structures, 3, 3, dtype=torch.float64)

    def _value(self):
        return torch.from_numpy(self.descriptor.value(self.system, self.layout))

    def _vjp(self, g):
        x, h = self.descriptor.vjp(self.system, self.layout, g.detach().numpy(), self.n)
        per_structure = torch.zeros(self.n_structures, 3, 3, dtype=torch.float64)
        return torch.from_numpy(x), per_structure.index_add_(0, self.structure, torch.from_numpy(h))

    def _jvp(self, v, h):
        return torch.from_numpy(self.descriptor.jvp(self.system, self.layout, v.detach().numpy(), h.detach().numpy(), self.of))


_NO_SECOND = ("fastmd has no second derivatives of symmetry functions: positions and strain are data here. "
              "Differentiate with respect to weights only, with torch.autograd.grad(loss, parameters)")


class _Value(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions, strain, batch):
        ctx.batch = batch
        ctx.save_for_backward(positions, strain)
        return batch._value()

    @staticmethod
    def backward(ctx, g):
        return (*_Vjp.apply(g, *_Guard.apply(*ctx.saved_tensors), ctx.batch), None)


class _Guard(torch.autograd.Function):
    """Nothing, until somebody walks back through it to differentiate a force by a position."""

    @staticmethod
    def forward(ctx, positions, strain):
        return positions.view_as(positions), strain.view_as(strain)

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(_NO_SECOND)


class _Vjp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, g, positions, strain, batch):
        ctx.batch = batch
        return batch._vjp(g)

    @staticmethod
    def backward(ctx, v, h):
        return _Jvp.apply(v, h, ctx.batch), None, None, None


class _Jvp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v, h, batch):
        ctx.batch = batch
        return batch._jvp(v, h)

    @staticmethod
    def backward(ctx, g):
        return (*_Vjp.apply(g, ctx.batch.positions, ctx.batch.strain, ctx.batch), None)


def value(positions, strain, batch):
    """G, flat, float64. positions and strain must be those of the batch: they are where gradients are asked for. Raises ValueError otherwise."""
    if not (torch.equal(positions.detach(), batch.positions) and torch.equal(strain.detach(), batch.strain)):
        raise ValueError("positions and strain must be the batch's own (make a new Batch for other positions)")
    return _Value.apply(positions, strain, batch)


def vjp(g, batch):
    """(g . dG/dpositions (n, 3), g . dG/dstrain (structures, 3, 3)), differentiable with respect to g"""
    return _Vjp.apply(g, batch.positions, batch.strain, batch)


def jvp(v, h, batch):
    """dG along displacements v (n, 3) and strains h (structures, 3, 3), differentiable with respect to both"""
    return _Jvp.apply(v, h, batch)
