"""Symmetry functions: their definitions, and the descriptor that evaluates a set of them.

Mind the names: G4 here has the factors in r_jk (RuNNer and n2p2 call it type 3), G5 has not (their type 9); from G12 on the numbers are
theirs. Angular sums run over unordered pairs j < k; the double sum in Behler's paper is twice that.
"""

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from . import _check, _core

CUTOFF_TYPES = ("hard", "cosine", "tanh3", "tanh3n", "exp", "poly1", "poly2", "poly3", "poly4")  # n2p2's 0..8
CORE_TYPES = ("p1", "p2", "p3", "p4", "e", "p1a", "p2a", "p3a", "p4a", "ea")
# By kind: neighbours and parameters, as in KINDS of fastmd_ext/core/plan.hpp; the file's parser holds the two against each other.
_NEIGHBOURS = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 12: 1, 13: 2, 20: 1, 21: 2, 22: 2, 23: 1, 24: 2, 25: 2}
_POWER, _WINDOW = ("eta", "rs", "lambda_", "zeta"), ("left", "angle_left", "angle_right")
_FIELDS = {1: (), 2: ("eta", "rs"), 3: ("kappa",), 4: _POWER, 5: _POWER, 12: ("eta", "rs"), 13: _POWER,
           20: ("left",), 21: _WINDOW, 22: _WINDOW, 23: ("left",), 24: _WINDOW, 25: _WINDOW}
_WEIGHTED = {12, 13, 23, 24, 25}
_BOUNDS = {"eta": {"at_least": 0}, "zeta": {"at_least": 1}}


@dataclass(frozen=True)
class SymmetryFunction:
    """One symmetry function; make it with G1 ... G5, G12, G13, G20 ... G25.

    kind : the number in its name
    elements : of the neighbours: one for G1..G3 and G20, two for G4, G5, G21 and G22, none for those that weight all by atomic number
    eta (1/angstrom^2), rs (angstrom), kappa (1/angstrom), lambda_, zeta : what the kind has, 0 otherwise
    cutoff : angstrom
    cutoff_type, with x = (r - alpha cutoff) / (cutoff - alpha cutoff); 1 for x <= 0, 0 for x >= 1 :
        hard    1                          tanh3   tanh^3(1 - r / cutoff)
        cosine  (cos(pi x) + 1) / 2        tanh3n  the same, divided by tanh^3(1)
        exp     exp(1 - 1 / (1 - x^2))     poly1 ... poly4  the polynomial of least degree with 1 ... 4 continuous derivatives
    alpha : 0 <= alpha < 1; no effect on hard, tanh3, tanh3n
    The compact kinds, 20..25, have in place of these
    left : angstrom, where the radial window begins; it ends at cutoff. May be negative: the part below 0 is then cut off
    angle_left, angle_right : degrees, the window of the angle, within 0..180 or symmetric about 0 or about 180
    cutoff_type : the windows' core, of x = distance from the centre / half width: p1 ... p4 and e, as poly1 ... poly4 and exp; with an `a`
        after it asymmetric, of (2 - x) x in place of x in the radial window
    (In a potential file with other units: in that file's units.)
    Source: cutoffs: A. Singraber, J. Behler, C. Dellago, J. Chem. Theory Comput. 15, 1827 (2019), and fastmd_ext/core/cutoff.hpp.
    """

    kind: int
    elements: tuple
    cutoff: float
    eta: float = 0.0
    rs: float = 0.0
    kappa: float = 0.0
    lambda_: float = 0.0
    zeta: float = 0.0
    cutoff_type: str = "poly2"
    alpha: float = 0.0
    left: float = 0.0
    angle_left: float = 0.0
    angle_right: float = 0.0

    def __post_init__(self):
        if self.kind not in _FIELDS:
            raise ValueError(f"kind must be one of {', '.join(map(str, _FIELDS))}, got {self.kind!r}")
        elements = tuple(self.elements)
        if len(elements) != (0 if self.kind in _WEIGHTED else _NEIGHBOURS[self.kind]):
            wanted = "none, its sum is over all" if self.kind in _WEIGHTED else ("one neighbour element", "two neighbour elements")[_NEIGHBOURS[self.kind] - 1]
            raise ValueError(f"elements: G{self.kind} takes {wanted}, got {elements}")
        for e in elements:
            if e not in atomic_numbers:
                raise ValueError(f"elements: {e!r} is no chemical symbol")
        object.__setattr__(self, "elements", elements)
        object.__setattr__(self, "cutoff", _check.number("cutoff", self.cutoff, "angstrom", above=0))
        for name in dict.fromkeys(n for fields in _FIELDS.values() for n in fields):
            if name in _FIELDS[self.kind]:
                object.__setattr__(self, name, _check.number(name, getattr(self, name), **_BOUNDS.get(name, {})))
            elif getattr(self, name) != 0:
                raise ValueError(f"{name}: G{self.kind} has no such parameter")
        types = CORE_TYPES if self.compact else CUTOFF_TYPES
        if self.cutoff_type not in types:
            raise ValueError(f"cutoff_type must be one of {', '.join(types)}{' for a compact function' if self.compact else ''}, got {self.cutoff_type!r}")
        if self.compact:
            self._check_windows()
        elif not (alpha := _check.number("alpha", self.alpha, at_least=0)) < 1:
            raise ValueError(f"alpha must be >= 0 and < 1, got {self.alpha!r}")
        else:
            object.__setattr__(self, "alpha", alpha)

    def _check_windows(self):
        if self.alpha != 0:
            raise ValueError(f"alpha: G{self.kind} has no such parameter")
        if not self.left < self.cutoff:
            raise ValueError(f"left must be below the cutoff of {self.cutoff:g} angstrom, got {self.left!r}")
        a, b = self.angle_left, self.angle_right
        if self.neighbours == 2 and not (a < b and (0 <= a and b <= 180 or a == -b and b <= 180 or a + b == 360 and a >= 0)):
            raise ValueError(f"angle_left and angle_right: expected 0 <= left < right <= 180 degrees, or a window about 0 or about 180, got {a:g} and {b:g}")

    @property
    def neighbours(self):
        """1 for a radial function, 2 for an angular one"""
        return _NEIGHBOURS[self.kind]

    @property
    def compact(self):
        return "left" in _FIELDS[self.kind]

    def __str__(self):
        fields = [f"{name.rstrip('_')} {_exact(getattr(self, name))}" for name in _FIELDS[self.kind]]
        inner = ["alpha", _exact(self.alpha)] if self.alpha else []
        return " ".join([f"G{self.kind}", *self.elements, *fields, "cutoff", _exact(self.cutoff), self.cutoff_type, *inner])


def _exact(x):
    """The shortest text that reads back to the same float64."""
    return repr(float(x))


def G1(element, cutoff, cutoff_type="poly2", alpha=0.0):
    """G1 = sum_j fc(r_ij).  J. Behler, J. Chem. Phys. 134, 074106 (2011), eq. 7."""
    return SymmetryFunction(1, (element,), cutoff, cutoff_type=cutoff_type, alpha=alpha)


def G2(element, cutoff, eta, rs=0.0, cutoff_type="poly2", alpha=0.0):
    """G2 = sum_j exp(-eta (r_ij - rs)^2) fc(r_ij).  The same, eq. 8. eta >= 0 in 1/angstrom^2, rs in angstrom."""
    return SymmetryFunction(2, (element,), cutoff, eta=eta, rs=rs, cutoff_type=cutoff_type, alpha=alpha)


def G3(element, cutoff, kappa, cutoff_type="poly2", alpha=0.0):
    """G3 = sum_j cos(kappa r_ij) fc(r_ij).  The same, eq. 9. kappa in 1/angstrom."""
    return SymmetryFunction(3, (element,), cutoff, kappa=kappa, cutoff_type=cutoff_type, alpha=alpha)


def G4(a, b, cutoff, eta, lambda_, zeta, cutoff_type="poly2", rs=0.0, alpha=0.0):
    """G4 = 2^(1-zeta) sum_{j<k} (1 + lambda cos)^zeta exp(-eta (r_ij^2 + r_ik^2 + r_jk^2)) fc(r_ij) fc(r_ik) fc(r_jk); r - rs for each r.

    The angle is at the central atom, j of element a and k of element b. zeta >= 1. The same, eq. 10 (half of it: j < k), where rs = 0.
    """
    return SymmetryFunction(4, (a, b), cutoff, eta=eta, rs=rs, lambda_=lambda_, zeta=zeta, cutoff_type=cutoff_type, alpha=alpha)


def G5(a, b, cutoff, eta, lambda_, zeta, cutoff_type="poly2", rs=0.0, alpha=0.0):
    """G5 = 2^(1-zeta) sum_{j<k} (1 + lambda cos)^zeta exp(-eta (r_ij^2 + r_ik^2)) fc(r_ij) fc(r_ik); r - rs for each r.

    The same, eq. 11 (half of it), where rs = 0.
    """
    return SymmetryFunction(5, (a, b), cutoff, eta=eta, rs=rs, lambda_=lambda_, zeta=zeta, cutoff_type=cutoff_type, alpha=alpha)


def G12(cutoff, eta, rs=0.0, cutoff_type="poly2", alpha=0.0):
    """G12 = sum_j Z_j exp(-eta (r_ij - rs)^2) fc(r_ij) over neighbours of all elements, Z_j their atomic numbers: G2, weighted.

    Source: M. Gastegger et al., J. Chem. Phys. 148, 241709 (2018), eq. 5.
    """
    return SymmetryFunction(12, (), cutoff, eta=eta, rs=rs, cutoff_type=cutoff_type, alpha=alpha)


def G13(cutoff, eta, lambda_, zeta, rs=0.0, cutoff_type="poly2", alpha=0.0):
    """G13 = sum_{j<k} Z_j Z_k times the terms of G4, over neighbours of all elements.  The same, eq. 6."""
    return SymmetryFunction(13, (), cutoff, eta=eta, rs=rs, lambda_=lambda_, zeta=zeta, cutoff_type=cutoff_type, alpha=alpha)


def G20(element, cutoff, left, cutoff_type="p2"):
    """G20 = sum_j C(r_ij),  C(r) = core(|r - c| / w), c and w the centre and half the width of left..cutoff, 0 outside.

    The cores p1 ... p4, e and their asymmetric forms are described at SymmetryFunction.
    Source: M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021).
    """
    return SymmetryFunction(20, (element,), cutoff, left=left, cutoff_type=cutoff_type)


def G21(a, b, cutoff, left, angle_left, angle_right, cutoff_type="p2"):
    """G21 = sum_{j<k} A(theta) C(r_ij) C(r_ik) C(r_jk),  A(theta) = core(|theta - c| / w) of the window angle_left..angle_right, in degrees.

    C as in G20; A is symmetric whatever the core, and where the angle is exactly 0 or 180 degrees its limit. The same source.
    """
    return SymmetryFunction(21, (a, b), cutoff, left=left, angle_left=angle_left, angle_right=angle_right, cutoff_type=cutoff_type)


def G22(a, b, cutoff, left, angle_left, angle_right, cutoff_type="p2"):
    """G22 = sum_{j<k} A(theta) C(r_ij) C(r_ik): G21 without the factor in r_jk.  The same source."""
    return SymmetryFunction(22, (a, b), cutoff, left=left, angle_left=angle_left, angle_right=angle_right, cutoff_type=cutoff_type)


def G23(cutoff, left, cutoff_type="p2"):
    """G23 = sum_j Z_j C(r_ij) over neighbours of all elements: G20, weighted by atomic numbers."""
    return SymmetryFunction(23, (), cutoff, left=left, cutoff_type=cutoff_type)


def G24(cutoff, left, angle_left, angle_right, cutoff_type="p2"):
    """G24 = sum_{j<k} Z_j Z_k A(theta) C(r_ij) C(r_ik) C(r_jk) over neighbours of all elements: G21, weighted."""
    return SymmetryFunction(24, (), cutoff, left=left, angle_left=angle_left, angle_right=angle_right, cutoff_type=cutoff_type)


def G25(cutoff, left, angle_left, angle_right, cutoff_type="p2"):
    """G25 = sum_{j<k} Z_j Z_k A(theta) C(r_ij) C(r_ik) over neighbours of all elements: G22, weighted."""
    return SymmetryFunction(25, (), cutoff, left=left, angle_left=angle_left, angle_right=angle_right, cutoff_type=cutoff_type)


def file_lines(functions, statistics=None):
    """The `functions` sections of a potential file (the format is described in fastmd_ext/core/nnp.hpp)."""
    lines = []
    for e, fs in functions.items():
        lines.append(f"functions {e} {len(fs)}")
        for k, f in enumerate(fs):
            stats = "" if statistics is None else " stats " + " ".join(map(_exact, statistics[e][k]))
            lines.append(str(f) + stats)
    return lines


def functions_of(core):
    """{element: [SymmetryFunction, ...]} of a parsed file, in the file's units."""
    elements, found = core.elements, {}
    for k, e in enumerate(elements):
        rows = [core.function(k, q) for q in range(core.n_functions(k))]
        found[e] = [SymmetryFunction(elements=tuple(elements[x] for x in (f.pop("a"), f.pop("b")) if x >= 0), **f) for f in rows]
    return found


def species(symbols, elements):
    """(n,) int32: the number of each symbol in `elements`. Raises ValueError that names what is missing."""
    index = {e: k for k, e in enumerate(elements)}
    try:
        return np.fromiter((index[s] for s in symbols), np.int32, len(symbols))
    except KeyError:
        missing = ", ".join(sorted(set(symbols) - set(index)))
        raise ValueError(f"no parameters for {missing}: the potential knows {', '.join(elements)} only") from None


@dataclass(frozen=True)
class Layout:
    """Where each atom's functions stand in one flat array: atoms sorted by element, one (atoms, functions) block per element."""

    row: np.ndarray        # (n,) int64: where atom i's functions begin
    size: int              # of the flat array
    atoms: tuple           # per element: indices of its atoms
    start: tuple           # per element: where its block begins
    functions: tuple       # per element: how many functions

    def blocks(self, flat):
        """Per element: its (atoms, functions) view of a flat array (numpy or torch)."""
        return [flat[s:s + len(a) * f].reshape(len(a), f) for a, s, f in zip(self.atoms, self.start, self.functions)]


def layout(functions, species):
    """The Layout of atoms whose species are numbers of the keys of `functions`."""
    n = len(species)
    row, atoms, start, size = np.zeros(max(n, 1), np.int64), [], [], 0
    counts = tuple(len(fs) for fs in functions.values())
    for k, f in enumerate(counts):
        mine = np.flatnonzero(species == k)
        row[mine] = size + f * np.arange(len(mine))
        atoms.append(mine)
        start.append(size)
        size += f * len(mine)
    return Layout(row, size, tuple(atoms), tuple(start), counts)


class Descriptor:
    """A set of symmetry functions per element, compiled: `value`, its transposed derivative `vjp`, its derivative `jvp`, and `rows`.

    functions : {element: [SymmetryFunction, ...]}; neighbours of elements that are not among the keys are an error.
    All four take a System (from `system`) and its Layout; flat arrays are described there.
    """

    def __init__(self, functions):
        if not isinstance(functions, dict) or not functions or not all(isinstance(fs, (list, tuple)) and len(fs) for fs in functions.values()):
            raise ValueError("functions: expected {element: [SymmetryFunction, ...]} with at least one of each")
        self.functions = {e: list(fs) for e, fs in functions.items()}
        self.elements = tuple(self.functions)
        text = "\n".join(["fastmd-potential 1", *(f"element {e} offset 0" for e in self.elements), *file_lines(self.functions), "end", ""])
        self._core = _core.Core(text.encode(), "functions")
        self.cutoff = self._core.cutoff

    def system(self, species, pairs, positions=None, cell=None, threads=0):
        """Pairs, and positions and cell in place of those the pairs were made for, as the core takes them; the Layout of the result."""
        if pairs.cutoff < self.cutoff:
            raise ValueError(f"pairs: their cutoff of {pairs.cutoff:g} angstrom is below the functions' {self.cutoff:g}")
        species = np.ascontiguousarray(species, np.int32)
        x = pairs._positions if positions is None else positions
        c = pairs._cell if cell is None else cell
        return _core.System(species, pairs.first, pairs.j, pairs.shift, x, np.ascontiguousarray(c), threads=threads), self.layout(species)

    def layout(self, species):
        return layout(self.functions, species)

    def value(self, system, layout):
        """G, flat (layout.size,)"""
        G = np.zeros(layout.size)
        self._core.value(system, layout.row, G)
        return G

    def vjp(self, system, layout, g, n):
        """(g . dG/dx (n, 3), g . dG/dstrain per atom (n, 3, 3)): the strain h acts as d -> d (1 + h), and each atom's functions count for it"""
        minus_gradient, minus_strain = np.zeros((n, 3)), np.zeros((n, 3, 3))
        self._core.vjp(system, layout.row, np.ascontiguousarray(g, float), forces=minus_gradient, virials=minus_strain)
        return np.negative(minus_gradient, out=minus_gradient), np.negative(minus_strain, out=minus_strain)

    def jvp(self, system, layout, v=None, h=None, strain_of=None):
        """dG, flat, along displacements v (n, 3) and strains h (k, 3, 3), of which atom i takes number strain_of[i] (default: number 0)"""
        dG = np.zeros(layout.size)
        v = None if v is None else np.ascontiguousarray(v, float)
        h = None if h is None else np.ascontiguousarray(h, float)
        of = None if strain_of is None else np.ascontiguousarray(strain_of, np.int32)
        self._core.jvp(system, layout.row, v, h, of, dG)
        return dG

    def rows(self, system, layout, species, first):
        """The Jacobian in compressed rows: for atom i an array (neighbours of i, 3, functions of i) of dG_i / dd_ij. Returns the list of them."""
        start = self._edge_rows(layout, species, first)
        flat = np.zeros(3 * start[-1])
        self._core.rows(system, start, flat)
        functions = np.array(layout.functions)[species]
        return [flat[3 * a:3 * b].reshape(-1, 3, f) for a, b, f in zip(start, start[1:], functions)]

    def cache(self, system, layout, species, first):
        """Computes the rows once and leaves them in the system: vjp and jvp then only contract them, several times as fast."""
        start = self._edge_rows(layout, species, first)
        self._core.rows(system, start, np.zeros(3 * start[-1]), keep=True)

    def cache_bytes(self, layout, species, first):
        """What `cache` would take, bytes"""
        return 24 * int(self._edge_rows(layout, species, first)[-1])

    def _edge_rows(self, layout, species, first):
        size = np.array(layout.functions, np.int64)[species] * np.diff(first) if len(species) else []
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(size, dtype=np.int64)])

    def describe(self, atoms, pairs=None):
        """{element: (atoms of it, functions)}: the values of a structure, atoms in their order."""
        from .pairs import find_pairs

        _, x, cell, pbc = _check.atoms(atoms)
        s = species(atoms.get_chemical_symbols(), self.elements)
        if pairs is None:
            pairs = find_pairs(atoms, self.cutoff)
        pairs.check(x, cell, pbc, self.cutoff)
        system, layout = self.system(s, pairs)
        return dict(zip(self.elements, layout.blocks(self.value(system, layout))))
