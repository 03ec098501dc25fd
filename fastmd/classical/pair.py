"""Pair potentials: Lennard-Jones, and one of your own."""

import inspect
import math

import numpy as np
from ase.data import atomic_numbers

from .. import _check
from ._base import Classical, checked_elements


class LennardJones(Classical):
    """Lennard-Jones potential, truncated at the cutoff.

        E = sum_{i<j} 4 epsilon [ (sigma/r)^12 - (sigma/r)^6 ] - shift,    r < cutoff

    epsilon : float in eV, or a dict (see below)
    sigma   : float in angstrom, or a dict
    cutoff  : float in angstrom, or a dict that has every pair
    shift   : True subtracts the energy at the cutoff, so that the energy is continuous (the force is not)
    elements: the elements, in order; None with plain numbers means any element, all alike

    A dict is keyed by an element (a pair of equals) or by a pair of elements in either order.  Unlike pairs that
    are not given are mixed from the equal ones (Lorentz-Berthelot): epsilon_ab = sqrt(epsilon_a epsilon_b),
    sigma_ab = (sigma_a + sigma_b) / 2.  Half of each pair's energy goes to each of its atoms.

        LennardJones(0.0104, 3.40, 8.5)                                                                     # argon
        LennardJones({"Ar": 0.0104, "Kr": 0.0140}, {"Ar": 3.40, "Kr": 3.65}, 8.5, elements=("Ar", "Kr"))

    Raises ValueError for parameters that are missing, not finite, or not positive (epsilon may be zero).
    Source: J. E. Jones, Proc. R. Soc. Lond. A 106, 463 (1924).
    """

    def __init__(self, epsilon, sigma, cutoff, shift=False, elements=None):
        self.elements = None if elements is None else checked_elements(elements)
        names = self.elements or ("any element",)
        eps = _pair_table("epsilon", epsilon, names, "eV", at_least=0, mix=lambda a, b: math.sqrt(a * b))
        sig = _pair_table("sigma", sigma, names, "angstrom", above=0, mix=lambda a, b: (a + b) / 2)
        cut = _pair_table("cutoff", cutoff, names, "angstrom", above=0)
        with np.errstate(all="ignore"):
            s6 = (sig / cut) ** 6
            self._tables = np.stack([cut**2, 4 * eps, sig**2, 4 * eps * (s6**2 - s6) * bool(shift)])
        if not np.isfinite(self._tables).all():
            raise ValueError(f"epsilon, sigma and cutoff: expected sizes of atoms, in eV and angstrom, got {epsilon!r}, {sigma!r} and {cutoff!r}: too far from 1 to compute with")
        self.cutoff = float(cut.max())

    def species(self, symbols):
        return np.zeros(len(symbols), np.int32) if self.elements is None else super().species(symbols)

    def evaluate(self, species, positions, cell, pairs):
        """Energy, energies (n,), forces (n, 3) and virial (3, 3) from plain arrays; see Potential."""
        from .loops import pair_rows
        return self._run(pair_rows, (None, np.arange(len(self._tables[0])), self._tables), species, positions, cell, pairs)


class PairPotential(Classical):
    """Your own pair potential, from a plain Python function that numba can compile.

        E = sum_{i<j} phi(r),    r < cutoff

    function: function(r) or function(r, a, b), returning (phi, dphi/dr) in eV and eV/angstrom.  a <= b tell the two
              atoms' kinds: positions in `elements`, or atomic numbers where `elements` is None.
    cutoff  : angstrom; phi should have died away there, nothing is shifted or smoothed
    elements: the elements the function knows; None means any

        def morse(r):
            x = math.exp(-1.4 * (r - 2.6))
            return 0.35 * (x * x - 2 * x), 0.35 * 1.4 * (2 * x - 2 * x * x)
        potential = PairPotential(morse, cutoff=8.0)

    Raises ValueError if numba cannot compile the function to a pair of numbers.
    """

    def __init__(self, function, cutoff, elements=None):
        self.elements = None if elements is None else checked_elements(elements)
        self.cutoff = _check.number("cutoff", cutoff, "angstrom", above=0)
        self._phi = _compiled_function(function)

    def species(self, symbols):
        if self.elements is None:
            return np.array([atomic_numbers[s] for s in symbols], np.int32)
        return super().species(symbols)

    def evaluate(self, species, positions, cell, pairs):
        """Energy, energies (n,), forces (n, 3) and virial (3, 3) from plain arrays; see Potential."""
        from .loops import own_pair_rows
        names = np.flatnonzero(np.bincount(species))  # those that are there, numbered anew: atomic numbers have gaps
        numbered = np.zeros(np.max(names, initial=0) + 1, np.int32)
        numbered[names] = np.arange(len(names))
        tables = self._phi, names.astype(np.int32), np.full((1, len(names), len(names)), self.cutoff**2)
        return self._run(own_pair_rows, tables, numbered[species], positions, cell, pairs)

    def _culprit(self, tables, a, b, r):
        phi, names, _ = tables
        wrong = [p for p in np.flatnonzero(r < self.cutoff) if not np.isfinite(phi(r[p], *sorted((names[a], names[b[p]])))).all()]
        return wrong[0] if wrong else super()._culprit(tables, a, b, r)


def _compiled_function(function):
    """A user's function as a compiled phi(r, a, b) -> (float, float)."""
    import numba
    if not inspect.isfunction(getattr(function, "py_func", function)):  # py_func: it may be compiled already
        raise ValueError(f"function: expected a Python function(r) or function(r, a, b), got {function!r}")
    count = len(inspect.signature(function).parameters)
    if count not in (1, 3):
        raise ValueError(f"function: expected function(r) or function(r, a, b), got one with {count} arguments")
    inner = numba.njit(getattr(function, "py_func", function), error_model="numpy")
    if count == 1:
        def phi(r, a, b):
            energy, slope = inner(r)
            return energy, slope
    else:
        def phi(r, a, b):
            energy, slope = inner(r, a, b)
            return energy, slope
    try:
        return numba.njit("UniTuple(float64, 2)(float64, int32, int32)", error_model="numpy")(phi)
    except numba.core.errors.NumbaError as error:
        lines = [line for line in str(error).splitlines() if line and not line.startswith("Failed in")]  # what is wrong stands first, pages follow
        raise ValueError("function: expected one that numba can compile and that returns (energy, dE/dr), "
                         f"two numbers; numba says: {lines[0]}") from None


def _pair_table(name, given, names, unit, mix=None, **bound):
    """A symmetric (ns, ns) table from a number or from a dict keyed by element or pair; `mix` fills unlike pairs."""
    if not isinstance(given, dict):
        return np.full((len(names), len(names)), _check.number(name, given, unit, **bound))
    values = {}
    for key, value in given.items():
        pair = frozenset(key if isinstance(key, tuple) else [key])
        if not pair <= set(names):
            raise ValueError(f"{name}: {key!r} is not made of elements=({', '.join(names)})")
        if pair in values:
            raise ValueError(f"{name}: given twice for {key!r}")
        values[pair] = _check.number(f"{name}[{key!r}]", value, unit, **bound)
    table = np.empty((len(names), len(names)))
    for i, a in enumerate(names):
        for k, b in enumerate(names):
            pair = frozenset([a, b])
            if pair not in values and mix and a != b and frozenset([a]) in values and frozenset([b]) in values:
                values[pair] = mix(values[frozenset([a])], values[frozenset([b])])
            if pair not in values:
                raise ValueError(f"{name}: nothing for {'-'.join(sorted(pair))}, give {name}[{a!r}, {b!r}]"
                                 + (f" or {name}[{a!r}] and {name}[{b!r}]" if mix and a != b else ""))
            table[i, k] = values[pair]
    return table
