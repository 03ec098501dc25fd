"""Short range: a pair term for distances that no training data has, added to the network by every engine and taken from the labels before training."""

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from . import _check, _core
from .potential import Potential
from .symmetry import _exact, species


@dataclass(frozen=True)
class ZBL:
    """The universal repulsion of nuclei, taken smoothly to zero between `inner` and `outer` (angstrom).

        phi(r) = Z_i Z_j e^2 / (4 pi eps0 r) sum_k c_k exp(-d_k r / a) + S(r),    a = 0.46850 / (Z_i^0.23 + Z_j^0.23) angstrom

    S as in LAMMPS's pair_style zbl: energy, slope and curvature are zero at `outer`.
    Raises ValueError unless 0 <= inner < outer.
    Source: J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Matter (1985).
    """

    inner: float
    outer: float

    def __post_init__(self):
        object.__setattr__(self, "inner", _check.number("inner", self.inner, "angstrom", at_least=0))
        object.__setattr__(self, "outer", _check.number("outer", self.outer, "angstrom (inner)", above=self.inner))

    def lines(self, a, b):
        return [f"pair {a} {b} zbl {_exact(self.inner)} {_exact(self.outer)}"]


class PairTable:
    """A repulsion of your own, from values and slopes on equidistant distances, interpolated by cubic polynomials.

    start, outer : angstrom, the first and last distance; below, a straight line goes on, beyond, all is zero
    energies, slopes : (n,) eV and eV/angstrom; the last of both must be 0
    Raises ValueError for other shapes, numbers that are not finite, an end that is not 0.
    """

    def __init__(self, start, outer, energies, slopes):
        self.start = _check.number("start", start, "angstrom", at_least=0)
        self.outer = _check.number("outer", outer, "angstrom", above=self.start)
        rows = [np.asarray(energies, float), np.asarray(slopes, float)]
        if rows[0].ndim != 1 or rows[0].shape != rows[1].shape or len(rows[0]) < 2:
            raise ValueError(f"energies and slopes: expected two (n,) arrays of at least 2 rows, got {rows[0].shape} and {rows[1].shape}")
        self.rows = np.column_stack(rows)
        if not np.isfinite(self.rows).all():
            raise ValueError("energies and slopes: expected finite numbers; start further out")
        if self.rows[-1].any():
            raise ValueError(f"energies and slopes: the last must be 0, or the energy would jump at {self.outer:g} angstrom, got {self.rows[-1, 0]:g} and {self.rows[-1, 1]:g}")

    @classmethod
    def of(cls, function, start, outer, n=1000):
        """The table of function(r) -> (energy, dE/dr), shifted to end with energy and slope zero at `outer`: phi(r) - phi(outer) - (r - outer) phi'(outer)."""
        r = np.linspace(_check.number("start", start, "angstrom", at_least=0), _check.number("outer", outer, "angstrom", above=float(start)), _check.whole("n", n, 2))
        energies, slopes = np.array([function(float(x)) for x in r], float).T
        end, slope = energies[-1], slopes[-1]
        return cls(r[0], r[-1], energies - end - (r - r[-1]) * slope, slopes - slope)

    def lines(self, a, b):
        return [f"pair {a} {b} table {len(self.rows)} {_exact(self.start)} {_exact(self.outer)}", *(f"{_exact(e)} {_exact(s)}" for e, s in self.rows)]


class Repulsion(Potential):
    """Pair terms by elements.

        E = sum over pairs of phi_ab(r_ij), half of each term to either atom

    terms    : {("Si", "O"): ZBL or PairTable}, each pair of elements once
    elements : all that structures may have; by default those that have a term
    units    : as in NNPotential: those of the numbers in `terms`
    A potential of its own, and what NNPotential takes as `repulsion`.
    Raises ValueError for what is no element, no term, or a pair given twice.
    """

    def __init__(self, terms, elements=None, units=("angstrom", 1.0, "eV", 1.0), threads=0):
        if not isinstance(terms, dict) or not terms:
            raise ValueError(f'terms: expected {{("Si", "Si"): fastmd.ZBL(1.0, 2.0), ...}}, got {terms!r}')
        self.terms, self.units, self.threads = {}, tuple(units), threads
        for key, term in terms.items():
            pair = tuple(key) if not isinstance(key, str) else ()
            if len(pair) != 2 or not set(pair) <= set(atomic_numbers):
                raise ValueError(f'terms: a key must be two elements such as ("Si", "O"), got {key!r}')
            if not isinstance(term, (ZBL, PairTable)):
                raise ValueError(f"terms[{key!r}]: expected a fastmd.ZBL or a fastmd.PairTable, got {type(term).__name__}")
            pair = tuple(sorted(pair, key=atomic_numbers.get))
            if pair in self.terms:
                raise ValueError(f"terms: {pair[0]}-{pair[1]} is given twice")
            self.terms[pair] = term
        used = sorted({e for pair in self.terms for e in pair}, key=atomic_numbers.get)
        self.elements = tuple(elements or used)
        if missing := set(used) - set(self.elements):
            raise ValueError(f"terms: {', '.join(sorted(missing))} is not among the elements {', '.join(self.elements)}")
        length, angstrom, energy, ev = self.units
        text = ["fastmd-potential 1", f"unit length {length} {_exact(angstrom)}", f"unit energy {energy} {_exact(ev)}", *(f"element {e} offset 0" for e in self.elements), *self.lines(), "end", ""]
        self._core = _core.Core("\n".join(text).encode(), "repulsion")
        self.cutoff = self._core.cutoff

    def lines(self):
        return [line for (a, b), term in self.terms.items() for line in term.lines(a, b)]

    def species(self, symbols):
        return species(symbols, self.elements)

    def evaluate(self, species, positions, cell, pairs):
        n = len(positions)
        energies, forces, virial = np.empty(n), np.empty((n, 3)), np.empty((3, 3))
        system = _core.System(species, pairs.first, pairs.j, pairs.shift, positions, np.ascontiguousarray(cell, float), threads=self.threads)
        return self._core.compute(system, energies, forces, virial), energies, forces, virial

    def __repr__(self):
        return f"<Repulsion: {', '.join(f'{a}-{b} below {t.outer:g}' for (a, b), t in self.terms.items())} {self.units[0]}>"

    def __reduce__(self):
        return Repulsion, (self.terms, self.elements, self.units, self.threads)


def from_core(core, elements, units):
    """What the parser found in a potential file, or None."""
    terms = {}
    for a, b, kind, start, outer, rows in core.pair_terms():
        terms[elements[a], elements[b]] = ZBL(start, outer) if kind == "zbl" else PairTable(start, outer, *rows.T)
    return Repulsion(terms, elements, units) if terms else None


def around(shortest):
    """{pair: ZBL}, a wall that begins where a training set's knowledge ends: from half of each shortest distance (angstrom, inf where a pair is not met) to all of it.

    It does not reach into the data: a network that has learnt to cancel a repulsion there goes on to cancel it below, and the wall has holes.
    """
    return {pair: ZBL(0.5 * r, r) for pair, r in shortest.items() if np.isfinite(r)}
