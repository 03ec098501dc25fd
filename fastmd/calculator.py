"""The ASE calculator."""

import copy

from ase import Atoms
from ase.calculators.calculator import Calculator as _Base
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.outputs import Properties, all_outputs

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
    precision, threads : as of NNPotential, for this calculator alone; None leaves the potential's
    force_spread : of a committee, the spread of forces too, as in NNPotential.compute
    energy, free_energy, energies, forces; stress where the structure is periodic in three directions. Of a committee also energy_spread,
    energies_spread and, if asked, forces_spread, as in Result: atoms.calc.results["energy_spread"]. It can be pickled.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(self, potential, skin=0.5, extrapolation="warn", precision=None, threads=None, force_spread=False, **kwargs):
        super().__init__(**kwargs)
        self.potential = _of(potential if isinstance(potential, Potential) else NNPotential.load(potential), precision, threads)
        self.force_spread = force_spread
        if isinstance(self.potential, NNPotential):
            if self.potential.spread(force_spread):
                self.implemented_properties = [*self.implemented_properties, "energy_spread", "energies_spread", *(["forces_spread"] if force_spread else [])]
        elif force_spread:
            raise ValueError(f"force_spread: only a committee has it, got {type(self.potential).__name__}; leave it out")
        self.watched = Watched(self.potential, extrapolation)
        self._verlet = Verlet(self.potential.cutoff, skin)

    def export_properties(self):
        return Properties({name: value for name, value in self.results.items() if name in all_outputs})  # ASE knows no spreads

    # What ASE does at each call, a copy of the Atoms and two looks at what has changed, takes longer than the forces of ten atoms.

    @property
    def atoms(self):
        """The structure last calculated, as far as energy and forces depend on it; None where there is none"""
        return None if self._last is None else Atoms(**self._last)

    @atoms.setter
    def atoms(self, atoms):
        self._last = None if atoms is None else {name: array.copy() for name, array in _state(atoms).items()}

    def check_state(self, atoms, tol=0):
        """What of the structure is not as it was when last calculated, to the bit."""
        if self._last is None:
            return list(all_changes)
        return [name for name, array in _state(atoms).items() if not _check.equal(self._last[name], array)]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        atoms = self.atoms if atoms is None else atoms
        numbers, x, cell, pbc = _check.atoms(atoms)
        self.atoms = atoms
        kinds = self.potential._kinds(numbers)
        spread = self.potential.spread(self.force_spread) if isinstance(self.potential, NNPotential) else None
        energy, energies, forces, virial = self.watched.evaluate(kinds, x, cell, self._verlet.pairs(x, cell, pbc), **({"spread": spread} if spread else {}))
        self.results = {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces, **(spread.results if spread else {})}
        s = stress(virial, cell, pbc)
        if s is not None:
            self.results["stress"] = s
        elif "stress" in properties:
            raise PropertyNotImplementedError("stress needs a structure that is periodic in three directions")


def _of(potential, precision, threads):
    """The potential, or a copy with settings of its own."""
    if precision is None and threads is None:
        return potential
    if not isinstance(potential, NNPotential):
        raise ValueError(f"precision and threads: only an NNPotential has them, got {type(potential).__name__}; leave them out")
    potential = copy.copy(potential)
    potential.precision = potential.precision if precision is None else precision
    potential.threads = potential.threads if threads is None else _check.whole("threads", threads, 0)
    return potential


def _state(atoms):
    return {"positions": atoms.positions, "numbers": atoms.numbers, "cell": atoms.cell.array, "pbc": atoms.pbc}
