"""Committees: several potentials made one, and how far its members are apart. The door to it is NNPotential.committee."""

import math

import numpy as np

from .network import Network
from .symmetry import _exact


class Spread:
    """How far the members of a committee are apart: given to `evaluate`, it comes back with `results` {name: as in Result}, those of forces where asked for."""

    def __init__(self, forces=False):
        self.forces, self.results = forces, {}

    def take(self, energies, forces, member_energies, member_forces):
        with np.errstate(over="ignore", invalid="ignore"):
            apart = member_energies - energies[:, None]
            total, k = apart.sum(axis=0), apart.shape[1]
            self.results = {"energy_spread": math.sqrt(total @ total / k), "energies_spread": np.sqrt(np.einsum("im,im->i", apart, apart) / k)}
            if member_forces is not None:
                apart = member_forces - forces
                self.results["forces_spread"] = np.sqrt(np.einsum("mia,mia->i", apart, apart) / k)
        if not all(map(math.isfinite, [x if isinstance(x, float) else x.max(initial=0.0) for x in self.results.values()])):
            raise ValueError("the spread over the members of the committee is not finite: are weights of the potential huge?")


def join(potentials):
    """{argument of NNPotential: what the committee of these has other than the first}. Raises ValueError for those that cannot be brought together."""
    first = potentials[0]
    for k, p in enumerate(potentials[1:], 2):
        if difference := _difference(first, p):
            raise ValueError(f"potentials: number {k} cannot join the first: {difference}")
    statistics, offsets = _common_statistics(potentials), {}
    networks = {e: [] for e in first.elements}
    for e in first.elements:
        each = [p.offsets[e] for p in potentials]
        offsets[e] = each[0] if len(set(each)) == 1 else float(np.mean(each))
    for k, p in enumerate(potentials, 1):
        before, after = (shift_and_factor(first.scaling, s, first.functions) for s in (p.statistics, statistics))
        for e in first.elements:
            for network in p._networks(e):
                networks[e].append(_moved(network, f"potentials: number {k}: its network of {e}", [x[e] for x in before], [x[e] for x in after], p.offsets[e] - offsets[e]))
    shortest = {}
    for (a, b), r in (item for p in potentials for item in p.shortest.items()):
        pair = (b, a) if (b, a) in shortest else (a, b)
        shortest[pair] = min(r, shortest.get(pair, np.inf))
    return {"networks": networks, "statistics": statistics, "offsets": offsets, "shortest": shortest, "notes": _joined([notes for p in potentials for notes in notes_of_members(p)])}


def _difference(a, b):
    """What keeps two potentials from being members of one committee, in words, or None"""
    if set(a.elements) != set(b.elements):
        return f"its elements are {', '.join(b.elements)}, not {', '.join(a.elements)}"
    if a.units[1::2] != b.units[1::2]:
        return f"its numbers are in {b.units[0]} and {b.units[2]}, not in {a.units[0]} and {a.units[2]}"
    for e in a.elements:
        for k, (f, g) in enumerate(zip(a.functions[e], b.functions[e])):
            if f != g:
                return f"its function {k} of {e} is {g}, not {f}"
        if len(a.functions[e]) != len(b.functions[e]):
            return f"it has {len(b.functions[e])} functions of {e}, not {len(a.functions[e])}"
        if a._networks(e)[0].shape != b._networks(e)[0].shape:
            return f"its network of {e} is {b._networks(e)[0]}, not {a._networks(e)[0]}"
    if a.scaling != b.scaling:
        return f"its scaling is {' '.join(map(str, b.scaling))}, not {' '.join(map(str, a.scaling))}"
    if (a.statistics is None) != (b.statistics is None):
        return f"it has {'no' if b.statistics is None else 'the'} statistics of its training data, the first has {'them' if b.statistics is None else 'none'}"
    if (a.repulsion and a.repulsion.lines()) != (b.repulsion and b.repulsion.lines()):
        return "its repulsion is another"
    return None


def _common_statistics(potentials):
    """Ranges that hold all the members', the means of their means and sigmas; or what all have"""
    if potentials[0].statistics is None:
        return None
    found = {}
    for e in potentials[0].elements:
        each = np.array([p.statistics[e] for p in potentials])
        found[e] = each[0] if (each == each[0]).all() else np.column_stack([each[:, :, 0].min(0), each[:, :, 1].max(0), each[:, :, 2].mean(0), each[:, :, 3].mean(0)])
    return found


def _moved(network, who, before, after, offset):
    """The network that makes of functions in another scaling, (G - shift) factor, what this one makes of them in its own, and the offset beside:

        W' = W factor / factor',  b' = b + W factor (shift' - shift);  the last layer, if linear, has the offset in its bias
    """
    if any(not np.array_equal(x, y) for x, y in zip(before, after)):
        (shift, factor), (new_shift, new_factor) = before, after
        w, b, activation = network.layers[0]
        network = Network(((w * (factor / new_factor), b + w @ (factor * (new_shift - shift)), activation), *network.layers[1:]))
    if offset:
        w, b, activation = network.layers[-1]
        if activation != "identity":
            raise ValueError(f"{who} ends in {activation}, which cannot take up that its offset is another ({_exact(offset)} from the mean); train with the same offsets")
        network = Network((*network.layers[:-1], (w, b + offset, activation)))
    return network


def shift_and_factor(scaling, statistics, functions):
    """({element: shift}, {element: factor}) so that (G - shift) * factor is what NNPotential's scaling makes of G"""
    kind, low, high = scaling
    shift, factor = {}, {}
    for e, fs in functions.items():
        if kind == "none":
            shift[e], factor[e] = np.zeros(len(fs)), np.ones(len(fs))
            continue
        least, most, mean, sigma = statistics[e].T
        if kind == "center":
            shift[e], factor[e] = mean, np.ones(len(fs))
            continue
        factor[e] = (high - low) / (sigma if kind == "sigma" else most - least)
        shift[e] = (least if kind == "minmax" else mean) - low / factor[e]
    return shift, factor


def _joined(notes):
    """One set of notes from those of all members"""
    found = {}
    for key in dict.fromkeys(k for n in notes for k in n):
        texts = [n.get(key) for n in notes]
        found |= {key: texts[0]} if len(set(texts)) == 1 else {f"{key}.{k}": text for k, text in enumerate(texts, 1) if text is not None}
    return found


def notes_of_members(potential):
    """[{key: text}, ...]: what `_joined` was made of"""
    if potential.n_members == 1:
        return [potential.notes]
    found = [{} for _ in range(potential.n_members)]
    for key, text in potential.notes.items():
        name, _, number = key.rpartition(".")
        if name and number.isdecimal() and 1 <= int(number) <= len(found):
            found[int(number) - 1][name] = text
        else:
            for notes in found:
                notes[key] = text
    return found
