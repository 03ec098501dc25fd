"""Neighbours: a full list in compressed rows, and a Verlet list that is rebuilt only when an atom has moved far enough."""

import numpy as np

from . import _check, _core


class Pairs:
    """Full neighbour list in compressed rows: the neighbours of atom i are entries first[i]:first[i+1].

        d = positions[j] - positions[i] + shift @ cell,    r = |d| < cutoff

    first : (n+1,) int64;  j : (m,) int32;  shift : (m, 3) int32, in lattice vectors
    d : (m, 3) and r : (m,) in angstrom, of the positions the list was made for
    Each periodic image within reach is a pair of its own; both (i, j) and (j, i) are there. The topology is never changed.
    """

    def __init__(self, first, j, shift, cutoff, positions, cell, pbc):
        self.first, self.j, self.shift, self.cutoff = first, j, shift, cutoff
        self._positions, self._cell, self._pbc = positions, cell, pbc
        self._d = self._r = None

    def __len__(self):
        return len(self.j)

    def __repr__(self):
        return f"<Pairs: {len(self.first) - 1} atoms, {len(self.j)} pairs within {self.cutoff:g} angstrom>"

    def check(self, positions, cell, pbc, cutoff):
        """Raises ValueError unless the list was made for these positions and this cell, with at least this cutoff."""
        if len(self.first) != len(positions) + 1:
            raise ValueError(f"pairs: made for {len(self.first) - 1} atoms, the structure has {len(positions)}")
        if self.cutoff < cutoff:
            raise ValueError(f"pairs: their cutoff of {self.cutoff:g} angstrom is below the {cutoff:g} that is needed")
        if not (_check.equal(self._positions, positions) and _vectors(self._cell, self._pbc) == _vectors(cell, pbc)):
            raise ValueError("pairs: made for other positions or another cell; make them anew with find_pairs")

    @property
    def i(self):
        """(m,) int32: the atom each pair belongs to"""
        return np.repeat(np.arange(len(self.first) - 1, dtype=np.int32), np.diff(self.first))

    @property
    def d(self):
        if self._d is None:
            x = self._positions
            self._d = x[self.j] - x[self.i] + self.shift @ self._cell
        return self._d

    @property
    def r(self):
        if self._r is None:
            self._r = np.sqrt(np.einsum("ma,ma->m", self.d, self.d))
        return self._r


def find_pairs(atoms, cutoff=6.0):
    """All pairs of atoms within a cutoff, by cell list, in time proportional to the number of atoms.

    atoms  : ase.Atoms; any cell (skewed, smaller than the cutoff), periodic in any directions, atoms anywhere
    cutoff : angstrom
    Returns Pairs. Raises ValueError for a cutoff <= 0, positions that are not finite, a singular cell.
    Source: D. Frenkel, B. Smit, Understanding Molecular Simulation, appendix F.
    """
    _, x, cell, pbc = _check.atoms(atoms)
    return _pairs(x, cell, pbc, _check.number("cutoff", cutoff, "angstrom", above=0))


_OPEN = [0.0, 0.0, 0.0]


def _vectors(cell, pbc):
    """The lattice vectors, as lists; open directions have none, whatever was given."""
    return [vector if periodic else _OPEN for vector, periodic in zip(np.asarray(cell).tolist(), np.asarray(pbc).tolist())]


def _pairs(positions, cell, pbc, cutoff):
    """find_pairs of checked arrays, which the list keeps copies of"""
    x, cell, pbc = np.array(positions, float), np.array(_vectors(cell, pbc)), np.array(pbc, np.int32)
    return Pairs(*_core.find_pairs(x, cell, pbc, cutoff), cutoff, x, cell, pbc)


class Verlet:
    """A neighbour list with a skin, for many steps.

    The list holds all pairs within cutoff + skin. As long as no atom has moved by more than skin / 2 since it was made, every pair within
    the cutoff is in it; then it is made anew. Positions must be continuous (not wrapped back into the cell) or it is made more often.
    cutoff, skin : angstrom
    Source: L. Verlet, Phys. Rev. 159, 98 (1967).
    """

    def __init__(self, cutoff, skin=0.5):
        self.cutoff = _check.number("cutoff", cutoff, "angstrom", above=0)
        self.skin = _check.number("skin", skin, "angstrom", at_least=0)
        self.rebuilds = 0
        self._list = None

    def pairs(self, positions, cell, pbc):
        """Pairs that hold every pair with r < cutoff of these positions, and some beyond; d and r are those of the last rebuild."""
        box = np.asarray(cell).tolist(), np.asarray(pbc).tolist()
        if self._list is None or box != self._box or not self.holds(positions):
            cell, pbc = _check.floats("cell", cell), np.asarray(pbc, bool)
            if cell.shape != (3, 3) or pbc.shape != (3,) or np.shape(positions)[1:] != (3,):
                raise ValueError(f"expected positions (n, 3), cell (3, 3) and pbc (3,), got {np.shape(positions)}, {cell.shape} and {pbc.shape}")
            self._list, self._box = _pairs(positions, cell, pbc, self.cutoff + self.skin), box
            self.rebuilds += 1
        return self._list

    @property
    def positions(self):
        """(n, 3) angstrom, at which the list was made"""
        return self._list._positions.copy()

    def holds(self, positions):
        """Whether the list is good for these positions, (n, 3), in the cell it was made for. (Never for NaN, of which the search then says where.)"""
        x, old = np.ascontiguousarray(positions, float), self._list._positions
        return x.shape == old.shape and _core.farthest(x, old) <= (self.skin / 2) ** 2
