"""Training on energies and forces as one writes it in torch without fastmd: the derivatives of all functions by all coordinates kept dense, forces by bmm.

    E_s = sum_i network(G_i)        F = - (dE/dG) . (dG/dx)        dE/dG by torch.autograd.grad(create_graph=True)

All structures have the same number of atoms of one element, so that nothing has to be masked or sorted. float32.
"""

import torch
from torch import nn


class Data:
    """G (structures, n, f), dG/dx (structures, n f, 3 n), energy (structures,), forces (structures, 3 n) as float32 tensors"""

    def __init__(self, G, dG, energies, forces):
        self.G, self.dG, self.energies, self.forces = (torch.as_tensor(x, dtype=torch.float32) for x in (G, dG, energies, forces))

    @property
    def bytes(self):
        return sum(x.nbytes for x in (self.G, self.dG, self.energies, self.forces))


def network(functions, hidden):
    """tanh, float32"""
    sizes = [functions, *hidden]
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 1))


def loss_of(model, data, batch, energy_weight, force_weight):
    """w_E mean (dE / n)^2 + w_F mean dF^2 of the structures of a batch"""
    G = data.G[batch].requires_grad_(True)
    energies = model(G).sum((1, 2))
    g, = torch.autograd.grad(energies.sum(), G, create_graph=True)
    forces = -torch.bmm(g.reshape(len(batch), 1, -1), data.dG[batch])[:, 0]
    n = G.shape[1]
    return energy_weight * ((energies - data.energies[batch]) / n).square().mean() + force_weight * (forces - data.forces[batch]).square().mean()


def epoch(model, optimizer, data, batches, energy_weight, force_weight):
    """Once through the batches, each a tensor of numbers of structures"""
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        loss_of(model, data, batch, energy_weight, force_weight).backward()
        optimizer.step()
