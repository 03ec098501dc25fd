"""The ASE calculator."""

from ase.calculators.calculator import Calculator as _Base
from ase.calculators.calculator import PropertyNotImplementedError, all_changes

from . import _check
from .extrapolation import Watched
from .pairs import Verlet
from .potential import NNPotential, Potential, stress


class Calculator(_Base):
    """ASE calculator for any fastmd potential.

        atoms.calc = fastmd.Calculator("si.nnp")

    potential : a path to a .nnp file, or a potential
    skin      : angstrom; the neighbour list is reused until an atom has moved half of it
    extrapolation : what to do outside the range of the training data: ignore, warn (once per function; calculator.watched.totals() says
                the rest) or raise
    energy, free_energy, energies, forces; stress where the structure is periodic in three directions. It can be pickled.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(self, potential, skin=0.5, extrapolation="warn", **kwargs):
        super().__init__(**kwargs)
        self.potential = potential if isinstance(potential, Potential) else NNPotential.load(potential)
        self.watched = Watched(self.potential, extrapolation)
        self._verlet = Verlet(self.potential.cutoff, skin)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        symbols, x, cell, pbc = _check.atoms(self.atoms)
        kinds = self.potential.species(symbols)
        energy, energies, forces, virial = self.watched.evaluate(kinds, x, cell, self._verlet.pairs(x, cell, pbc))
        self.results = {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces}
        s = stress(virial, cell, pbc)
        if s is not None:
            self.results["stress"] = s
        elif "stress" in properties:
            raise PropertyNotImplementedError("stress needs a structure that is periodic in three directions")
