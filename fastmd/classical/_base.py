"""What the classical potentials share: elements to species, and the call of a loop."""

import numpy as np
from ase.data import atomic_numbers

from .. import symmetry
from ..potential import Potential


class Classical(Potential):
    elements = None

    def species(self, symbols):
        """Index of each symbol in `elements`, (n,) int32.  Raises ValueError for an element the potential lacks."""
        return symmetry.species(symbols, self.elements)

    def _run(self, loop, tables, species, positions, cell, pairs):
        if not len(pairs.first) - 1 == len(positions) == len(species):
            raise ValueError(f"expected as many positions and species as rows of pairs, got {len(positions)}, {len(species)} and {len(pairs.first) - 1}")
        energies = np.zeros(len(positions))
        forces = np.zeros((len(positions), 3))
        virial = np.zeros((3, 3))
        i = loop(*tables, species, positions, cell, pairs.first, pairs.j, pairs.shift, energies, forces, virial)
        if i >= 0:
            row = slice(pairs.first[i], pairs.first[i + 1])
            r = np.linalg.norm(positions[pairs.j[row]] - positions[i] + pairs.shift[row] @ cell, axis=1)
            p = self._culprit(tables, species[i], species[pairs.j[row]], r)
            raise ValueError(f"atoms {i} and {pairs.j[row][p]}, {r[p]:.3g} angstrom apart, have no finite energy: "
                             "they lie on top of each other (move them apart), or the potential is wrong there")
        return float(energies.sum()), energies, forces, virial

    def _culprit(self, tables, a, b, r):
        """Which neighbour, of species b (m,) at distances r (m,), makes the energy of an atom of species a infinite: the nearest."""
        return int(np.argmin(r))


def checked_elements(elements):
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
