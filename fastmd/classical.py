"""Classical potentials: Lennard-Jones, Stillinger-Weber, and your own pair potential.

They are references to test against, start-up potentials for molecular dynamics, and the place where a user writes a
potential of his own.  The loops are compiled with numba, which is imported when it is first needed.

Every loop runs over the rows of a full neighbour list, computes d = x[j] - x[i] + shift @ cell on the fly, skips
r >= cutoff (so a list with a skin will do) and yields energy, per-atom energies, forces and virial in one pass, O(n).
"""
import inspect
import itertools
import math
import numbers
import os
from functools import cache
from typing import NamedTuple

import numpy as np
from ase.data import atomic_numbers

from . import _check
from .potential import Potential

__all__ = ["LennardJones", "PairPotential", "StillingerWeber", "Triplet"]


class _Classical(Potential):
    """What the classical potentials share: elements to species, and the call of a kernel."""

    elements = None

    def species(self, symbols):
        """Index of each symbol in `elements`, (n,) int32.  Raises ValueError for an element the potential lacks."""
        index = {element: k for k, element in enumerate(self.elements)}
        missing = sorted(set(symbols) - set(index))
        if missing:
            raise ValueError(f"no parameters for {', '.join(missing)}: this potential has {', '.join(self.elements)}")
        return np.fromiter((index[s] for s in symbols), np.int32, len(symbols))

    def _run(self, kernel, tables, species, positions, cell, pairs):
        if not len(pairs.first) - 1 == len(positions) == len(species):
            raise ValueError(f"expected as many positions and species as rows of pairs, got {len(positions)}, {len(species)} and {len(pairs.first) - 1}")
        energies = np.zeros(len(positions))
        forces = np.zeros((len(positions), 3))
        virial = np.zeros((3, 3))
        bad = kernel(*tables, species, positions, cell, pairs.first, pairs.j, pairs.shift, energies, forces, virial)
        if bad >= 0:
            i = int(np.searchsorted(pairs.first, bad, side="right")) - 1
            j = int(pairs.j[bad])
            r = np.linalg.norm(positions[j] - positions[i] + pairs.shift[bad] @ cell)
            raise ValueError(f"atoms {i} and {j}, {r:.3g} angstrom apart, have no finite energy: "
                             "they lie on top of each other (move them apart), or the potential is wrong there")
        return float(energies.sum()), energies, forces, virial


# ---------------------------------------------------------------------------------------------------- pair potentials

class LennardJones(_Classical):
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
        self.elements = None if elements is None else _elements(elements)
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
        return self._run(_compiled(_pair_rows), (None, self._tables, self.cutoff), species, positions, cell, pairs)


class PairPotential(_Classical):
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
        self.elements = None if elements is None else _elements(elements)
        self.cutoff = _check.number("cutoff", cutoff, "angstrom", above=0)
        self._phi = _compiled_function(function)

    def species(self, symbols):
        if self.elements is None:
            return np.array([atomic_numbers[s] for s in symbols], np.int32)
        return super().species(symbols)

    def evaluate(self, species, positions, cell, pairs):
        """Energy, energies (n,), forces (n, 3) and virial (3, 3) from plain arrays; see Potential."""
        kernel = _compiled(_pair_rows, cache=False)  # numba cannot find a kernel again that was built on a user's function
        return self._run(kernel, (self._phi, np.empty((0, 0, 0)), self.cutoff), species, positions, cell, pairs)


def _pair_rows(phi, tables, cutoff, species, x, cell, first, j, shift, energies, forces, virial):
    """One pass of a pair potential: Lennard-Jones from its tables where phi is None (numba drops the other branch).

    tables (4, ns, ns): cutoff^2, 4 epsilon, sigma^2, shift.  Returns the first pair without finite energy, or -1.
    """
    vxx = vyy = vzz = vyz = vxz = vxy = 0.0
    for i in range(len(x)):
        e = fx = fy = fz = 0.0
        for p in range(first[i], first[i + 1]):
            k = j[p]
            na, nb, nc = shift[p, 0], shift[p, 1], shift[p, 2]
            dx = x[k, 0] - x[i, 0] + (na * cell[0, 0] + nb * cell[1, 0] + nc * cell[2, 0])
            dy = x[k, 1] - x[i, 1] + (na * cell[0, 1] + nb * cell[1, 1] + nc * cell[2, 1])
            dz = x[k, 2] - x[i, 2] + (na * cell[0, 2] + nb * cell[1, 2] + nc * cell[2, 2])
            r2 = dx * dx + dy * dy + dz * dz
            if r2 >= cutoff * cutoff:
                continue
            a, b = min(species[i], species[k]), max(species[i], species[k])
            if phi is None:
                if r2 >= tables[0, a, b]:
                    continue
                s2 = tables[2, a, b] / r2
                s6 = s2 * s2 * s2
                energy = tables[1, a, b] * (s6 * s6 - s6) - tables[3, a, b]
                g = tables[1, a, b] * (6 * s6 - 12 * s6 * s6) / r2  # (dE/dr) / r
            else:
                r = math.sqrt(r2)
                energy, slope = phi(r, a, b)
                g = slope / r
            if not (math.isfinite(energy) and math.isfinite(g)):  # r = 0 always ends here
                return p
            e += 0.5 * energy
            fx += g * dx  # the whole pair force: the other visit of this pair serves the other atom
            fy += g * dy
            fz += g * dz
            g *= 0.5
            vxx -= g * dx * dx
            vyy -= g * dy * dy
            vzz -= g * dz * dz
            vyz -= g * dy * dz
            vxz -= g * dx * dz
            vxy -= g * dx * dy
        energies[i] = e
        forces[i, 0], forces[i, 1], forces[i, 2] = fx, fy, fz
    virial[0, 0], virial[1, 1], virial[2, 2] = vxx, vyy, vzz
    virial[1, 2] = virial[2, 1] = vyz
    virial[0, 2] = virial[2, 0] = vxz
    virial[0, 1] = virial[1, 0] = vxy
    return -1


# ---------------------------------------------------------------------------------------------------- Stillinger-Weber

class Triplet(NamedTuple):
    """One entry of a Stillinger-Weber potential, named and ordered as in LAMMPS's files (lambda is `lam`)."""

    epsilon: float  # eV
    sigma: float  # angstrom
    a: float
    lam: float
    gamma: float
    costheta0: float
    A: float
    B: float
    p: float
    q: float
    tol: float = 0.0


class StillingerWeber(_Classical):
    """Stillinger-Weber potential; silicon as published unless told otherwise.

        E = sum_{i<j} phi2 + sum_i sum_{j<k} phi3
        phi2 = A epsilon [ B (sigma/r)^p - (sigma/r)^q ] exp( sigma / (r - a sigma) )
        phi3 = lambda epsilon (cos theta_jik - cos theta_0)^2
               exp( gamma_ij sigma_ij / (r_ij - a_ij sigma_ij) ) exp( gamma_ik sigma_ik / (r_ik - a_ik sigma_ik) )

    parameters: {(centre, neighbour, neighbour): Triplet}, every ordered triplet of the elements present.  As LAMMPS
                has it, entry (i, j, j) holds the pair i-j and the leg of a triplet from i to j; entry (i, j, k)
                holds lambda, epsilon and theta_0 of the triplet.

    tol is LAMMPS's licence to cut earlier where the terms are small; it is read and not used, so a file whose tol
    is not zero gives a difference of about tol from LAMMPS.  Half of a pair's energy goes to each of its atoms, a
    third of a triplet's to each of three, as in LAMMPS.

        StillingerWeber()                                                                                 # silicon
        StillingerWeber({("Si",) * 3: StillingerWeber.silicon._replace(lam=31.5)})
        StillingerWeber.read("CdTe.sw", elements=("Cd", "Te"))

    Raises ValueError for entries that are missing, negative, not finite, or that contradict each other.
    Source: F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985); LAMMPS, pair_style sw.
    """

    silicon = Triplet(2.1683, 2.0951, 1.80, 21.0, 1.20, -1 / 3, 7.049556277, 0.6022245584, 4.0, 0.0)

    def __init__(self, parameters=None):
        if parameters is None:
            parameters = {("Si", "Si", "Si"): self.silicon}
        if not isinstance(parameters, dict) or not all(isinstance(key, tuple) and len(key) == 3 for key in parameters):
            raise ValueError(f"parameters: expected {{(centre, neighbour, neighbour): Triplet}}, got {parameters!r}")
        self._set(parameters, _elements(dict.fromkeys(itertools.chain(*parameters))))

    @classmethod
    def read(cls, path, elements=None):
        """Read a LAMMPS .sw file in units metal.

        path    : the file; `#` starts a comment, an entry has 14 words and may span lines
        elements: those to take from the file, in order; None takes all it names

        Raises ValueError, with file and line, for anything that is not such a file.
        """
        entries = _read_sw(path)
        elements = _elements(dict.fromkeys(itertools.chain(*entries)) if elements is None else elements)
        potential = cls.__new__(cls)
        potential._set(entries, elements, f"{path}: ")
        return potential

    def _set(self, entries, elements, source=""):
        for key in itertools.product(elements, repeat=3):
            if key not in entries:
                raise ValueError(f"{source}no Stillinger-Weber entry for {' '.join(key)}: "
                                 f"{', '.join(elements)} need all {len(elements)**3} triplets (choose with elements=)")
        try:
            entries = {key: Triplet(*entries[key]) for key in itertools.product(elements, repeat=3)}
        except TypeError as e:
            raise ValueError(f"{source}parameters: expected a Triplet for each key ({e})") from None
        for key, entry in entries.items():
            _check_triplet(source + " ".join(key), entry)
        self.elements = elements
        ns = len(elements)
        fields = np.array(list(entries.values())).reshape(ns, ns, ns, -1)
        epsilon, sigma, a, lam, gamma, cos0, A, B, p, q, _ = np.moveaxis(fields, -1, 0)
        pair = np.arange(ns)
        self._bonds = np.stack([a * sigma, sigma, gamma * sigma, A * epsilon, B, p, q])[:, :, pair, pair]  # of (i, j, j)
        triplets = np.stack([lam * epsilon, cos0])
        _check_twins(source, elements, self._bonds, triplets)
        self._triplets = (triplets + triplets.swapaxes(2, 3)) / 2  # files have some 7 digits: no order of atoms is preferred
        self.cutoff = float(self._bonds[0].max())
        if not self.cutoff > 0:
            raise ValueError(f"{source}a sigma, the cutoff, is zero for every pair: at least one must be > 0")

    def evaluate(self, species, positions, cell, pairs):
        """Energy, energies (n,), forces (n, 3) and virial (3, 3) from plain arrays; see Potential."""
        return self._run(_compiled(_sw_rows), (self._bonds, self._triplets), species, positions, cell, pairs)


def _sw_rows(bonds, triplets, species, x, cell, first, j, shift, energies, forces, virial):
    """One pass of Stillinger-Weber: per atom, gather the legs inside the cutoff, then run over their pairs.

    bonds (7, ns, ns): a sigma, sigma, gamma sigma, A epsilon, B, p, q;  triplets (2, ns, ns, ns): lambda epsilon,
    cos theta_0.  A leg's edge p = dE/dd gathers its pair and all its triplets; forces and virial follow from it.
    Returns the first pair without finite energy, or -1.
    """
    most = 0
    for i in range(len(x)):
        most = max(most, first[i + 1] - first[i])
    atom = np.empty(most, np.int64)
    r = np.empty(most)
    u = np.empty((most, 3))  # unit vector
    screen = np.empty(most)  # exp(gamma sigma / (r - a sigma)), and
    slope = np.empty(most)  # the r-derivative of its exponent
    edge = np.empty((most, 3))
    for i in range(len(x)):
        a = species[i]
        n = 0
        for p in range(first[i], first[i + 1]):
            k = j[p]
            b = species[k]
            r2 = 0.0
            for c in range(3):
                u[n, c] = x[k, c] - x[i, c] + (
                    shift[p, 0] * cell[0, c] + shift[p, 1] * cell[1, c] + shift[p, 2] * cell[2, c])
                r2 += u[n, c] * u[n, c]
            rij = math.sqrt(r2)
            inside = rij - bonds[0, a, b]
            if inside >= 0:
                continue
            sigma = bonds[1, a, b]
            repulsion = bonds[4, a, b] * (sigma / rij) ** bonds[5, a, b]
            attraction = (sigma / rij) ** bonds[6, a, b]
            tail = bonds[3, a, b] * math.exp(sigma / inside)
            energy = tail * (repulsion - attraction)
            g = -tail * (bonds[5, a, b] * repulsion - bonds[6, a, b] * attraction) / rij - energy * sigma / inside**2
            if not (math.isfinite(energy) and math.isfinite(g)):  # r = 0 always ends here
                return p
            energies[i] += 0.5 * energy
            atom[n] = k
            r[n] = rij
            screen[n] = math.exp(bonds[2, a, b] / inside)
            slope[n] = -bonds[2, a, b] / inside**2
            for c in range(3):
                u[n, c] /= rij
                edge[n, c] = 0.5 * g * u[n, c]
            n += 1
        for m in range(n):
            for l in range(m):
                b, d = species[atom[m]], species[atom[l]]
                cos = u[m, 0] * u[l, 0] + u[m, 1] * u[l, 1] + u[m, 2] * u[l, 2]
                bend = cos - triplets[1, a, b, d]
                strength = triplets[0, a, b, d] * screen[m] * screen[l]
                energy = strength * bend * bend
                turn = 2 * strength * bend
                third = energy / 3
                energies[i] += third
                energies[atom[m]] += third
                energies[atom[l]] += third
                for c in range(3):
                    edge[m, c] += energy * slope[m] * u[m, c] + turn * (u[l, c] - cos * u[m, c]) / r[m]
                    edge[l, c] += energy * slope[l] * u[l, c] + turn * (u[m, c] - cos * u[l, c]) / r[l]
        for m in range(n):
            for c in range(3):
                forces[i, c] += edge[m, c]
                forces[atom[m], c] -= edge[m, c]
                for d in range(3):
                    virial[d, c] -= r[m] * u[m, d] * edge[m, c]
    return -1


_LARGEST_FILE = 1 << 20  # bytes; LAMMPS's largest .sw file has 0.1 MB


def _read_sw(path):
    """The entries {(i, j, k): Triplet} of a .sw file, parsed and nothing more."""
    path = _check.path("path", path)
    try:
        if os.path.getsize(path) > _LARGEST_FILE:
            raise ValueError(f"{path}: larger than {_LARGEST_FILE} bytes, this is no .sw file")
        file = open(path, encoding="utf-8", errors="replace")  # a comment may be in any encoding
    except OSError as e:
        raise ValueError(f"{path}: cannot be read ({e.strerror})") from None
    entries, words, start = {}, [], 0
    with file:
        for number, line in enumerate(file, 1):
            found = line.split("#", 1)[0].split()
            if found and not words:
                start = number
            words += found
            if len(words) < 14:
                continue
            if len(words) > 14:
                raise ValueError(f"{path}, line {number}: an entry has 3 elements and 11 numbers, got {len(words)} words")
            key = tuple(words[:3])
            if key in entries:
                raise ValueError(f"{path}, line {start}: second entry for {' '.join(key)}, keep one")
            try:
                entries[key] = Triplet(*map(float, words[3:]))
            except ValueError as error:
                raise ValueError(f"{path}, line {start}: expected 11 numbers after {' '.join(key)}, {error}") from None
            _check_triplet(f"{path}, line {start}", entries[key])
            words = []
    if words:
        raise ValueError(f"{path}, line {start}: the file ends inside this entry, {len(words)} of 14 words")
    if not entries:
        raise ValueError(f"{path}: no entry, expected lines of 3 elements and 11 numbers")
    return entries


def _check_triplet(source, entry):
    for name, value in entry._asdict().items():
        if not (isinstance(value, numbers.Real) and math.isfinite(value) and (value >= 0 or name == "costheta0")):
            wanted = "finite" if name == "costheta0" else "finite and >= 0"
            raise ValueError(f"{source}: {name} must be {wanted}, got {value}")


def _check_twins(source, elements, bonds, triplets):
    """Entries that describe the same pair or triplet must agree, else the energy hangs on the order of the atoms."""
    for name, table in zip(("a sigma", "sigma", None, "A epsilon", "B", "p", "q"), bonds):  # a leg's gamma has no twin
        for i, j in np.argwhere(~np.isclose(table, table.T, rtol=1e-5, atol=0)):
            if name:
                _disagree(source, name, [elements[x] for x in (i, j, j, j, i, i)], table[i, j], table[j, i])
    for name, table in zip(("lambda epsilon", "costheta0"), triplets):
        for i, j, k in np.argwhere(~np.isclose(table, table.swapaxes(1, 2), rtol=1e-5, atol=0)):
            _disagree(source, name, [elements[x] for x in (i, j, k, i, k, j)], table[i, j, k], table[i, k, j])


def _disagree(source, name, keys, one, other):
    raise ValueError(f"{source}entries {' '.join(keys[:3])} and {' '.join(keys[3:])} must have the same {name}, "
                     f"got {one:g} and {other:g}")


# ------------------------------------------------------------------------------------------------------------- helpers

@cache
def _compiled(kernel, cache=True):
    import numba
    options = {"nogil": True, "error_model": "numpy"}  # numpy: 1/0 is inf, caught as "no finite energy"
    try:
        return numba.njit(cache=cache, **options)(kernel)
    except RuntimeError:  # nowhere to keep it: neither the package's folder nor the user's can be written to
        return numba.njit(**options)(kernel)


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


def _elements(elements):
    try:
        elements = (elements,) if isinstance(elements, str) else tuple(elements)
    except TypeError:
        elements = (elements,)  # the next lines say what is wrong with it
    for element in elements:
        if not isinstance(element, str) or element not in atomic_numbers:
            raise ValueError(f"elements: expected chemical symbols such as Ar, got {element!r}")
    if not elements or len(set(elements)) < len(elements):
        raise ValueError(f"elements: expected each element once, got {elements}")
    return elements


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
