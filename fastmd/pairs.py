"""Neighbours: a full list in compressed rows, and a Verlet list that is rebuilt only when an atom has moved far enough."""

import numpy as np

from . import _check, _core


class Pairs:
    """Full neighbour list in compressed rows: the neighbours of atom i are entries first[i]:first[i+1].

        d = positions[j] - positions[i] + shift @ cell,    r = |d| < cutoff

    first : (n+1,) int64;  j : (m,) int32;  shift : (m, 3) int32, in lattice vectors
    d : (m, 3) and r : (m,) in angstrom, of the positions the list was made for; computed with the list if asked for, else when first looked at
    i : (m,) int32, the atom each pair belongs to
    start : (structures + 1,) int64, the first atom of each structure where there are several; (0, n) for one
    Each periodic image within reach is a pair of its own; both (i, j) and (j, i) are there. The topology is never changed. Inside a row the order is that
    of the search's cells, not that of j: always the same for the same structure, but another once atoms have moved.
    """

    def __init__(self, first, j, shift, cutoff, positions, cell, pbc, d=None, r=None, start=None):
        self.first, self.j, self._shift, self.cutoff = first, j, shift, cutoff
        self._positions, self._cell, self._pbc = positions, cell, pbc
        self._d, self._r, self._start = d, r, start

    def __len__(self):
        return len(self.j)

    def __repr__(self):
        return f"<Pairs: {len(self.first) - 1} atoms, {len(self.j)} pairs within {self.cutoff:g} angstrom>"

    def check(self, positions, cell, pbc, cutoff):
        """Raises ValueError unless the list was made for these positions and this cell, with at least this cutoff."""
        if self._start is not None:
            raise ValueError(f"pairs: made for {len(self._start) - 1} structures end to end; make those of one with find_pairs(atoms, cutoff)")
        if len(self.first) != len(positions) + 1:
            raise ValueError(f"pairs: made for {len(self.first) - 1} atoms, the structure has {len(positions)}")
        if self.cutoff < cutoff:
            raise ValueError(f"pairs: their cutoff of {self.cutoff:g} angstrom is below the {cutoff:g} that is needed")
        if not (_check.equal(self._positions, positions) and _vectors(self._cell, self._pbc) == _vectors(cell, pbc)):
            raise ValueError("pairs: made for other positions or another cell; make them anew with find_pairs")

    @property
    def start(self):
        return np.array([0, len(self.first) - 1]) if self._start is None else self._start

    @property
    def shift(self):
        if self._shift is None:
            raise ValueError("pairs: made with shift=False, so that shift is not there; leave that out of find_pairs")
        return self._shift

    @property
    def i(self):
        return np.repeat(np.arange(len(self.first) - 1, dtype=np.int32), np.diff(self.first))

    @property
    def d(self):
        if self._d is None:
            x, i = self._positions, self.i
            if self._start is None:
                image = self.shift @ self._cell
            else:
                of = np.searchsorted(self._start, i, "right") - 1
                image = np.einsum("mk,mka->ma", self.shift, self._cell.reshape(-1, 3, 3)[of])
            self._d = x[self.j] - x[i] + image
        return self._d

    @property
    def r(self):
        if self._r is None:
            self._r = np.sqrt(np.einsum("ma,ma->m", self.d, self.d))
        return self._r


def find_pairs(atoms, cutoff=6.0, shift=True, d=False, r=False):
    """All pairs of atoms within a cutoff, by cell list, in time proportional to the number of atoms.

    atoms  : ase.Atoms; any cell (skewed, smaller than the cutoff), periodic in any directions, atoms outside of it too. Or a list of them, of which the
             pairs are found in one call and lie end to end, the atoms numbered through: for many small structures, where calls take longer than pairs
    cutoff : angstrom
    shift  : False leaves it out
    d, r   : True computes them with the list, which takes half the time of doing it later
    Returns Pairs. Raises ValueError for a cutoff below 1e-6, positions that are not finite or more than 5e7 cutoffs from the origin, in a skewed cell less
    (float64 no longer tells distances there), a singular cell, more pairs than there is memory for.
    Source: D. Frenkel, B. Smit, Understanding Molecular Simulation, appendix F.
    """
    cutoff = _check.number("cutoff", cutoff, "angstrom", above=0)
    if isinstance(atoms, (list, tuple)):
        return _many(atoms, cutoff, shift, d, r)
    _, x, cell, pbc = _check.atoms(atoms)
    return _pairs(x, cell, pbc, cutoff, shift, d, r)


_OPEN = [0.0, 0.0, 0.0]


def _vectors(cell, pbc):
    """The lattice vectors, as lists; open directions have none, whatever was given."""
    return [vector if periodic else _OPEN for vector, periodic in zip(np.asarray(cell).tolist(), np.asarray(pbc).tolist())]


def _pairs(positions, cell, pbc, cutoff, shift=True, d=False, r=False):
    """find_pairs of checked arrays, which the list keeps copies of"""
    x, cell, pbc = np.array(positions, float), np.array(cell, float), np.array(pbc, np.int32)
    if not pbc.all():
        cell[pbc == 0] = 0
    first, j, shift, d, r = _core.find_pairs(x, cell, pbc, cutoff, shift, d, r)
    return Pairs(first, j, shift, cutoff, x, cell, pbc, d, r)


def _many(structures, cutoff, shift, d, r):
    start = np.zeros(len(structures) + 1, np.int64)
    try:  # all at once: a look at each takes as long as some hundred of its pairs
        x, cell, pbc = _joined([(a.positions, a.cell.array, a.pbc) for a in structures])
        well = x.dtype == cell.dtype == float and len(x) == sum(map(len, structures)) and len(cell) == len(pbc) == 3 * len(structures) and _check.finite(x) and _check.finite(cell)
    except (AttributeError, TypeError, ValueError):
        well = False
    if not well:
        found = []
        for k, a in enumerate(structures):
            try:
                found.append(_check.atoms(a)[1:])
            except ValueError as e:
                raise ValueError(f"structure {k}: {e}") from None
        x, cell, pbc = _joined(found)
    np.cumsum([len(a.positions) for a in structures], out=start[1:])
    pbc = pbc.astype(np.int32)
    cell[pbc == 0] = 0
    first, j, shift, d, r = _core.find_pairs(x, cell, pbc, cutoff, shift, d, r, start)
    return Pairs(first, j, shift, cutoff, x, cell, pbc, d, r, start)


def _joined(parts):
    """Positions, cells and flags, end to end"""
    none = np.empty((0, 3)), np.empty((0, 3)), np.empty(0, bool)
    return [np.concatenate([empty, *arrays]) for empty, arrays in zip(none, zip(*parts) if parts else [()] * 3)]


_SKINS = np.array([0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0])
_FIRST = 6  # of them
# What a search takes for each pair, for each atom and in any case, in units of what a force call takes for a pair beyond the cutoff (some 3 ns)
_PER_PAIR, _PER_ATOM, _PER_CALL = 3.0, 130.0, 7000.0


class Verlet:
    """A neighbour list with a skin, for many steps.

    The list holds all pairs within cutoff + skin. As long as no atom has moved by more than skin / 2 since it was made, every pair within
    the cutoff is in it; then it is made anew. Positions must be continuous (not wrapped back into the cell) or it is made more often.
    cutoff, skin : angstrom. skin None: chosen anew each time the list is made, so that what a step costs is least, with k steps between two searches

            pairs in the list * (1 + search / k)  ~  (1 + skin / cutoff)^3 (1 + search / k(skin))

    k(skin) is when the farthest atom had moved by skin / 2 the last time; for longer skins than there was, when it would have come so far by diffusion, in a
    time that goes with the square. That is too long for atoms in free flight, which is then seen the next time; too short a guess would never be put to the test.
    It depends on the positions asked for and on no clock: equal runs stay equal.
    Raises ValueError for a cutoff <= 0, a skin < 0; and `pairs` for what find_pairs refuses.
    Source: L. Verlet, Phys. Rev. 159, 98 (1967).
    """

    def __init__(self, cutoff, skin=0.5):
        self.cutoff = _check.number("cutoff", cutoff, "angstrom", above=0)
        self._automatic = skin is None
        self.skin = float(_SKINS[_FIRST]) if skin is None else _check.number("skin", skin, "angstrom", at_least=0)
        self.rebuilds = 0
        self._list = None
        self._forget()

    def _forget(self):
        self._asked, self._moved, self._after = 0, 0.0, []  # times; the largest squared distance so far; times until half of each of _SKINS was passed

    def pairs(self, positions, cell, pbc):
        """Pairs that hold every pair with r < cutoff of these positions, and some beyond; d and r are those of the last rebuild."""
        box = np.asarray(cell).tolist(), np.asarray(pbc).tolist()
        if self._list is None or box != self._box or not self.holds(positions):
            cell, pbc = _check.floats("cell", cell), np.asarray(pbc, bool)
            if cell.shape != (3, 3) or pbc.shape != (3,) or np.shape(positions)[1:] != (3,):
                raise ValueError(f"expected positions (n, 3), cell (3, 3) and pbc (3,), got {np.shape(positions)}, {cell.shape} and {pbc.shape}")
            if self._automatic and self._moved > 0:
                self.skin = self._best()
            self._list, self._box = _pairs(_check.positions(positions), cell, pbc, self.cutoff + self.skin), box
            self.rebuilds += 1
            self._forget()
        return self._list

    @property
    def positions(self):
        """(n, 3) angstrom, at which the list was made"""
        return self._list._positions.copy()

    def holds(self, positions):
        """Whether the list is good for these positions, (n, 3), in the cell it was made for. (Never for NaN, of which the search then says where.)"""
        x, old = np.ascontiguousarray(positions, float), self._list._positions
        if x.shape != old.shape:
            return False
        moved = _core.farthest(x, old)
        if self._automatic:
            self._asked += 1
            if moved > self._moved:
                self._moved = moved
                while len(self._after) < len(_SKINS) and moved > (_SKINS[len(self._after)] / 2) ** 2:
                    self._after.append(self._asked)
        return moved <= (self.skin / 2) ** 2

    def _best(self):
        """The skin of least cost; one longer than the last, or than the atoms came, at most, for what is longer is a guess"""
        seen = len(self._after)
        k = np.maximum(1, np.append(self._after[:len(_SKINS)], self._asked * (_SKINS[seen:] / 2) ** 2 / self._moved))
        longest = max(np.searchsorted(_SKINS, self.skin), seen - 1) + 2
        search = _PER_PAIR + (_PER_ATOM * len(self._list._positions) + _PER_CALL) / max(1, len(self._list))
        return float(_SKINS[((1 + _SKINS / self.cutoff) ** 3 * (1 + search / k))[:longest].argmin()])

    # What it takes to go on as if never stopped

    @property
    def history(self):
        """[skin, times asked, largest squared distance, times until half of each skin was passed ...], of the list there is"""
        return np.array([self.skin, self._asked, self._moved, *self._after], float)

    @history.setter
    def history(self, history):
        skin, asked, moved, *after = history.tolist()
        self.skin, self._asked, self._moved, self._after = skin, int(asked), moved, [int(k) for k in after]
