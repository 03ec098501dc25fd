"""The network in torch: the same parameters as fastmd.Network, and energies, forces and stresses of a batch that can be differentiated by weights."""

import numpy as np
import torch
from torch import nn

from .. import autograd
from ..network import Network



def _module(function):
    """A module class of its own: `from_torch` tells activations by class."""
    return type("Activation", (nn.Module,), {"forward": lambda self, x: function(x)})


_ACTIVATIONS = {
    "identity": nn.Identity, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "softplus": nn.Softplus,
    "gaussian": _module(lambda x: torch.exp(-0.5 * x * x)), "cos": _module(torch.cos), "revlogistic": _module(lambda x: torch.sigmoid(-x)),
    "exp": _module(lambda x: torch.exp(-x)), "harmonic": _module(lambda x: x * x),
}


def to_torch(network):
    """fastmd.Network -> torch.nn.Sequential, float64"""
    layers = []
    for w, b, activation in network.layers:
        linear = nn.Linear(w.shape[1], w.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def from_torch(module):
    """The way back."""
    names = {v: k for k, v in _ACTIVATIONS.items()}
    pairs = zip(module[::2], module[1::2])
    return Network(tuple((m.weight.detach().numpy(), m.bias.detach().numpy(), names[type(a)]) for m, a in pairs))


class Model(nn.Module):
    """E_s = sum over the atoms of structure s of network_e((G - shift) * factor), without offsets.

    networks : {element: Network};  shift, factor : {element: (functions,)}
    """

    def __init__(self, networks, shift, factor):
        super().__init__()
        self.elements = tuple(networks)
        self.networks = nn.ModuleDict({e: to_torch(n) for e, n in networks.items()})
        self.shift = {e: torch.as_tensor(np.asarray(shift[e], float)) for e in networks}
        self.factor = {e: torch.as_tensor(np.asarray(factor[e], float)) for e in networks}

    def forward(self, batch, G, derivatives=True):
        """(energies (structures,), forces (n, 3) or None, stress (structures, 3, 3) or None: NaN where there is no volume)

        G : batch's flat values (they do not change, so they are computed once)
        Under torch.no_grad() the graph that derivatives by weights need is not kept.
        """
        by_weights = torch.is_grad_enabled()
        with torch.set_grad_enabled(by_weights or derivatives):
            energies, blocks = self._energies(batch, G, derivatives)
            if not derivatives:
                return energies, None, None
            g = torch.autograd.grad(energies.sum(), blocks, create_graph=by_weights, allow_unused=True, materialize_grads=True)
        x, h = autograd.vjp(torch.cat([q.reshape(-1) for q in g]), batch)
        # Divided by 1 where there is no volume: NaN there would come back in the gradients, even of what is masked.
        periodic = torch.isfinite(batch.volume)[:, None, None]
        stress = h / torch.where(periodic, batch.volume[:, None, None], 1.0)
        return (energies if by_weights else energies.detach()), -x, torch.where(periodic, stress, torch.nan)

    def _energies(self, batch, G, derivatives):
        # One leaf per element: cutting one flat leaf into blocks would copy it in every backward pass.
        blocks = [b.detach().requires_grad_(derivatives) for b in batch.layout.blocks(G)]
        atomic = torch.zeros(batch.n, dtype=torch.float64)
        for e, atoms, x in zip(self.elements, batch.layout.atoms, blocks):
            if len(atoms):
                atomic = atomic.index_copy(0, torch.from_numpy(atoms), self.networks[e]((x - self.shift[e]) * self.factor[e]).squeeze(1))
        energies = torch.zeros(batch.n_structures, dtype=torch.float64).index_add(0, batch.structure, atomic)
        return energies, blocks
