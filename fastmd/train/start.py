"""Where a training begins: random networks on a new set of functions, or a potential that is there (a warm start)."""

import hashlib
import os
from dataclasses import dataclass, field

import numpy as np

from ..network import Network
from ..potential import NNPotential
from ..repulsion import ZBL, PairTable, Repulsion
from ..sets import distances, health, in_angstrom


@dataclass
class Start:
    """All that makes an NNPotential, in eV and angstrom"""

    functions: dict
    networks: dict
    scaling: tuple
    statistics: dict | None
    offsets: dict
    repulsion: Repulsion | None = None
    shortest: dict = field(default_factory=dict)

    def potential(self, networks, notes=None, threads=0):
        return NNPotential(self.functions, networks, self.scaling, self.statistics, self.offsets, notes, threads=threads, repulsion=self.repulsion, shortest=self.shortest)

    def digest(self):
        """A hash of it all"""
        return hashlib.sha256(self.potential(self.networks).text().encode()).hexdigest()[:16]


def new(functions, structures, settings, offsets, repulsion):
    """Random networks; functions that do not vary over the data are left out: they carry nothing, and their scale would be 1 / 0"""
    found = health(functions, [s.atoms for s in structures], least_range=0.0, most_correlation=None)
    kept, rng = found.prune(), np.random.default_rng(settings.seed)
    statistics = {e: found.statistics[e][found.kept(e)] for e in kept}
    networks = {e: Network.random(len(fs), settings.hidden, settings.activation, rng) for e, fs in kept.items()}
    return Start(kept, networks, ("sigma", 0.0, 1.0), statistics, offsets, repulsion)


def warm(start):
    """Functions, networks, scaling and offsets of an NNPotential or of the file of one, brought to eV and angstrom."""
    if isinstance(start, (str, os.PathLike)):
        start = NNPotential.load(start)
    if not isinstance(start, NNPotential):
        raise ValueError(f"start must be an NNPotential or the name of a potential file, got {type(start).__name__}")
    if start.n_members > 1:
        raise ValueError(f"start: a committee of {start.n_members} networks per element, of which one is trained at a time; start from one of its members")
    _, angstrom, _, ev = start.units
    functions, networks, offsets = start.functions, start.networks, start.offsets
    functions = in_angstrom(functions, angstrom)
    if ev != 1:
        for e, network in networks.items():
            if network.layers[-1][2] != "identity":
                raise ValueError(f"start: its energies are in units of {ev:g} eV, and the network of {e} ends in {network.layers[-1][2]}: "
                                 "its numbers cannot be brought to eV. Start from a network whose last layer is linear (identity)")
        networks = {e: Network((*n.layers[:-1], (ev * n.layers[-1][0], ev * n.layers[-1][1], "identity"))) for e, n in networks.items()}
        offsets = {e: ev * x for e, x in offsets.items()}
    repulsion = start.repulsion and Repulsion({pair: _in_angstrom(t, angstrom, ev) for pair, t in start.repulsion.terms.items()}, start.elements)
    return Start(functions, networks, start.scaling, start.statistics, dict(offsets), repulsion, {pair: r * angstrom for pair, r in start.shortest.items()})


def _in_angstrom(term, angstrom, ev):
    if isinstance(term, ZBL):
        return ZBL(term.inner * angstrom, term.outer * angstrom)
    return PairTable(term.start * angstrom, term.outer * angstrom, term.rows[:, 0] * ev, term.rows[:, 1] * (ev / angstrom))


def nearest(structures, cutoff, before):
    """{(a, b): angstrom}: the shortest distances in the training data, and in that of the potential it began with"""
    found = {pair: r for pair, r in distances([s.atoms for s in structures], cutoff).items() if np.isfinite(r)}
    for (a, b), r in before.items():
        pair = (b, a) if (b, a) in found else (a, b)
        found[pair] = min(r, found.get(pair, np.inf))
    return found
