"""An epoch of training on energies and forces: structures of 64 atoms of silicon, 14 G2 + 16 G4, network 30-30-30-1 (tanh), Adam, batches of 10.

fastmd's step is that of `fastmd train` (float64, Jacobian rows kept); torch's is plain_torch.py (float32, dense dG/dx). Both have the same data and
weights, and the loss and its gradient of the first batch agree before an epoch is timed. Making G and dG/dx is in neither time.
"""

import importlib.util
from functools import lru_cache

import numpy as np
from yardstick import silicon

import fastmd

from . import Contest, clocked, same

BATCH, HIDDEN, WEIGHTS, RATE = 10, (30, 30), (1.0, 0.02), 1e-3
FUNCTIONS = {"Si": [fastmd.G2("Si", 6.0, eta, rs, "cosine") for eta, rs in [(0.01, 0), (0.05, 0), (0.1, 0), (0.3, 0), (0.6, 0), (1, 0), (2, 0)] + [(4, 2 + k / 2) for k in range(7)]]
             + [fastmd.G4("Si", "Si", 6.0, eta, lambda_, zeta, "cosine") for eta in (0.01, 0.05) for lambda_ in (1, -1) for zeta in (1, 2, 4, 16)]}


def contests(quick):
    n = 40 if quick else 500
    c = Contest(f"an epoch, {n} x 64 atoms, 30 functions, energy + forces", {}, 64 * n)
    if importlib.util.find_spec("torch") is None:
        c.left_out["fastmd"] = c.left_out["plain torch"] = "torch is not installed"
        return [c]
    made = structures(n)
    c.add("fastmd", lambda: clocked(ours(made)), note="float64, rows of the Jacobian")
    c.add("plain torch", lambda: clocked(plain(made)), note="float32, dense dG/dx")
    return [c]


@lru_cache(1)
def structures(n):
    """Labelled by Stillinger-Weber, energies from the mean"""
    from fastmd.train.dataset import Structure

    start, reference, rng, found = silicon(2)[0], fastmd.StillingerWeber(), np.random.default_rng(5), []
    for _ in range(n):
        atoms = start.copy()
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        found.append((atoms, reference.compute(atoms)))
    mean = np.mean([r.energy for _, r in found])
    nothing = np.full((3, 3), np.nan)
    return [Structure(atoms, r.energy - mean, r.forces, nothing, "") for atoms, r in found]


def model():
    from fastmd.train.model import Model

    G = fastmd.Descriptor(FUNCTIONS).describe(silicon(2)[0])["Si"]
    return Model({"Si": fastmd.Network.random(30, HIDDEN, rng=3)}, {"Si": G.mean(0)}, {"Si": 1 / (G.max(0) - G.min(0))})


def ours(made):
    """A call: an epoch, as train/loop.py goes through it"""
    import torch
    from fastmd.train.optimise import gradient
    from fastmd.train.pieces import Labelled

    torch.set_num_threads(1)
    net, descriptor = model(), fastmd.Descriptor(FUNCTIONS)
    batches = [[Labelled(descriptor, made[k:k + BATCH], {"Si": 0.0}, 1, cache=True)] for k in range(0, len(made), BATCH)]
    scale = np.array([WEIGHTS[0] / BATCH, WEIGHTS[1] / (BATCH * 64 * 3), 0.0])
    optimizer = torch.optim.Adam(net.parameters(), RATE)

    def epoch():
        for batch in batches:
            optimizer.step(lambda: gradient(net, ["Si"], batch, scale, 0, True))
    epoch.gradient = lambda: (float(gradient(net, ["Si"], batches[0], scale, 0, True)), torch.cat([p.grad.ravel() for p in net.parameters()]).numpy())
    return epoch


def dense(structure, descriptor, net):
    """(scaled G (64, f), their derivatives (64 f, 3 * 64))"""
    n, kinds = len(structure.atoms), np.zeros(len(structure.atoms), np.int32)
    pairs = fastmd.find_pairs(structure.atoms, descriptor.cutoff)
    system, layout = descriptor.system(kinds, pairs, threads=1)
    shift, factor = (np.asarray(x["Si"]) for x in (net.shift, net.factor))
    dG = np.zeros((n, len(shift), n, 3))
    for i, (rows, a, b) in enumerate(zip(descriptor.rows(system, layout, kinds, pairs.first), pairs.first, pairs.first[1:])):
        np.add.at(dG[i].transpose(1, 2, 0), pairs.j[a:b], rows)
        dG[i, :, i] -= rows.sum(0).T
    G = descriptor.value(system, layout).reshape(n, -1)
    return (G - shift) * factor, (dG * factor[:, None, None]).reshape(n * len(shift), 3 * n)


def data(made, net):
    """plain_torch.Data of the structures"""
    import torch
    from plain_torch import Data

    descriptor, f, n = fastmd.Descriptor(FUNCTIONS), 30, 64
    G, dG = torch.empty(len(made), n, f), torch.empty(len(made), n * f, 3 * n)
    for k, s in enumerate(made):
        G[k], dG[k] = map(torch.from_numpy, dense(s, descriptor, net))
    return Data(G, dG, np.array([s.energy for s in made]), np.array([s.forces.ravel() for s in made]))


def plain(made):
    """A call: an epoch of plain_torch.py, from the same weights"""
    import plain_torch
    import torch

    torch.set_num_threads(1)
    start = model()
    net = plain_torch.network(30, HIDDEN)
    with torch.no_grad():
        for mine, theirs in zip(net.parameters(), start.parameters()):
            mine.copy_(theirs)
    everything = data(made, start)
    loss = plain_torch.loss_of(net, everything, torch.arange(BATCH), *WEIGHTS)
    loss.backward()
    wanted = ours(made[:BATCH]).gradient()
    same("loss", np.array([float(loss.detach())]), np.array([wanted[0]]), 1e-4)
    same("gradient of the loss", torch.cat([p.grad.ravel() for p in net.parameters()]).numpy(), wanted[1], 1e-3)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    batches = torch.arange(len(made)).split(BATCH)
    return lambda: plain_torch.epoch(net, optimizer, everything, batches, *WEIGHTS)
