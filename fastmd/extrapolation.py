"""Who is outside the range of the training data, and what is done about it.

A network knows the values of its symmetry functions that it was trained on; the potential file keeps their ranges, and the shortest
distances. Beyond them energy and forces are a guess, however smooth.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from . import _check, _core
from .pairs import find_pairs
from .potential import NNPotential
from .symmetry import layout

POLICIES = ("ignore", "warn", "raise")


class ExtrapolationWarning(UserWarning):
    """Energies and forces are asked for outside the range of the training data."""


class ExtrapolationError(ValueError):
    """The same, where the policy is to stop."""


@dataclass(frozen=True)
class Outside:
    """One value outside: the symmetry function `what` of an atom, or its distance (angstrom) to a neighbour; low and high: the trained range"""

    atom: int
    element: str
    what: str
    value: float
    low: float
    high: float

    def __str__(self):
        return f"atom {self.atom} ({self.element}): {self.what} = {self.value:.6g} is outside the trained range {self.low:.6g} to {self.high:.6g}"


def outside_range(potential, atoms, pairs=None):
    """[Outside, ...]: every symmetry function of every atom that is outside the trained range, and every distance below the shortest one trained on.

    Ranges are those of the potential file, with a slack of a millionth. Raises ValueError for a potential without ranges.
    """
    if not _ranges(potential):
        raise ValueError(f"potential: {potential!r} has no ranges of its training data (no `stats` in its file)")
    numbers, x, cell, pbc = _check.atoms(atoms)
    kinds = potential._kinds(numbers)
    if pairs is None:
        pairs = find_pairs(atoms, potential.cutoff)
    pairs.check(x, cell, pbc, potential.cutoff)
    return _details(potential, kinds, x, cell, pairs)


def _ranges(potential):
    return isinstance(potential, NNPotential) and (potential.statistics is not None or bool(potential.shortest))


def _details(potential, kinds, x, cell, pairs):
    found = []
    if potential.statistics is not None:
        system = _core.System(kinds, pairs.first, pairs.j, pairs.shift, x, np.ascontiguousarray(cell, float), threads=potential.threads)
        where = layout(potential.functions, kinds)
        G = np.zeros(where.size)
        potential._core.value(system, where.row, G)
        for e, atoms, block in zip(potential.elements, where.atoms, where.blocks(G)):
            low, high = potential.statistics[e][:, :2].T
            slack = 1e-6 * (high - low) + 1e-9 * np.maximum(np.abs(low), np.abs(high))  # as in build.hpp
            for i, f in np.argwhere((block < low - slack) | (block > high + slack)):
                found.append(Outside(int(atoms[i]), e, str(potential.functions[e][f]), float(block[i, f]), float(low[f]), float(high[f])))
    if potential.shortest:
        angstrom = potential.units[1]
        nearest = np.zeros((len(potential.elements),) * 2)
        for (a, b), r in potential.shortest.items():
            a, b = potential.elements.index(a), potential.elements.index(b)
            nearest[a, b] = nearest[b, a] = r * angstrom
        d = x[pairs.j] - x[pairs.i] + pairs.shift @ np.where(np.asarray(pairs._pbc, bool)[:, None], cell, 0.0)
        r = np.sqrt(np.einsum("ma,ma->m", d, d))
        limit = nearest[kinds[pairs.i], kinds[pairs.j]]
        for m in np.flatnonzero(r < limit * (1 - 1e-9)):
            i, j = int(pairs.i[m]), int(pairs.j[m])
            found.append(Outside(i, potential.elements[kinds[i]], f"distance to atom {j} ({potential.elements[kinds[j]]})", float(r[m]), float(limit[m]), np.inf))
    return found


class Watched:
    """A potential whose range is looked after from one evaluation to the next.

    policy : ignore; warn: an ExtrapolationWarning for the first atom outside of each function, the rest are counted (`totals`);
             raise: an ExtrapolationError for the first
    Potentials without ranges (classical ones, files without `stats`) are passed through.
    Raises ValueError for another policy, and for `raise` with a potential that has no ranges.
    """

    def __init__(self, potential, policy="warn"):
        if policy not in POLICIES:
            raise ValueError(f"extrapolation must be one of {', '.join(POLICIES)}, got {policy!r}")
        if policy == "raise" and isinstance(potential, NNPotential) and not _ranges(potential):
            raise ValueError("extrapolation='raise': the potential has no ranges of its training data (no `stats` in its file)")
        self.potential, self.policy = potential, policy
        self.active = policy != "ignore" and _ranges(potential)
        self.clear()

    def clear(self):
        """Counts begin anew; what has been warned of once stays so."""
        self.evaluations = self.evaluations_outside = 0
        self.counts = {}  # {(element, function or kind of distance): times}
        self._warned = getattr(self, "_warned", set())

    def evaluate(self, species, positions, cell, pairs, **more):
        if not self.active:
            return self.potential.evaluate(species, positions, cell, pairs, **more)
        outside = np.zeros(len(positions), np.int32)
        result = self.potential.evaluate(species, positions, cell, pairs, outside=outside, **more)
        self.evaluations += 1
        if np.count_nonzero(outside):
            self._report(species, positions, cell, pairs)
        return result

    def _report(self, species, positions, cell, pairs):
        found = _details(self.potential, species, positions, cell, pairs)
        if not found:  # in float64; float32 came out beyond the edge by rounding
            return
        self.evaluations_outside += 1
        for o in found:
            key = o.element, o.what.split(" to atom")[0]
            self.counts[key] = self.counts.get(key, 0) + 1
            if self.policy == "raise":
                raise ExtrapolationError(f"{o}; train on such structures, or choose extrapolation='warn'")
            if key not in self._warned:
                self._warned.add(key)
                warnings.warn(f"{o}; energy and forces are a guess there. Further atoms outside this range are only counted", ExtrapolationWarning, stacklevel=4)

    def totals(self):
        """One sentence, or None where nothing was outside"""
        if not self.counts:
            return None
        (element, what), most = max(self.counts.items(), key=lambda x: x[1])
        return (f"{self.evaluations_outside} of {self.evaluations} evaluations left the range of the training data: {sum(self.counts.values())} values outside, "
                f"of {len(self.counts)} functions; most often ({most}) the {what} of {element}")
