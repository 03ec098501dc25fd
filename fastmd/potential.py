"""What users hold: a potential that computes energy, forces and stress of a structure, and the neural-network one with its file."""

import os
from dataclasses import dataclass

import numpy as np

from . import _check, _core
from .network import Network
from .pairs import Pairs, find_pairs
from .symmetry import _exact, file_lines, functions_of, species


@dataclass(frozen=True)
class Result:
    """energy : eV;  energies : (n,) eV;  forces : (n, 3) eV/angstrom
    virial : (3, 3) eV, minus the derivative of the energy with respect to strain
    stress : (6,) eV/angstrom^3, xx yy zz yz xz xy, tension positive, -virial / volume; None unless periodic in three directions
    """

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    stress: np.ndarray | None


class Potential:
    """The base of every potential. A subclass has `cutoff` (angstrom) and implements `species` and `evaluate`."""

    cutoff: float

    def species(self, symbols):
        """(n,) int32 that stand for the symbols in `evaluate`. Raises ValueError for an element the potential does not know."""
        raise NotImplementedError

    def evaluate(self, species, positions, cell, pairs):
        """(energy, energies, forces, virial) from plain arrays; pairs may hold some beyond the cutoff."""
        raise NotImplementedError

    def compute(self, atoms, pairs=None):
        """Energy, per-atom energies, forces, virial and stress of a structure.

        atoms : ase.Atoms;  pairs : from find_pairs with at least this potential's cutoff, made here if not given
        Raises ValueError for unknown elements, bad positions or cells, pairs of too short a cutoff or of other atoms, atoms on top of each other.
        """
        symbols, x, cell, pbc = _check.atoms(atoms)
        kinds = self.species(symbols)
        if pairs is None:
            pairs = find_pairs(atoms, self.cutoff)
        elif isinstance(pairs, Pairs):
            pairs.check(x, cell, pbc, self.cutoff)
        else:
            raise ValueError(f"pairs: expected fastmd.Pairs from find_pairs, got {type(pairs).__name__}")
        energy, energies, forces, virial = self.evaluate(kinds, x, cell, pairs)
        return Result(energy, energies, forces, virial, stress(virial, cell, pbc))


def stress(virial, cell, pbc):
    """-virial / volume in ASE's Voigt order, or None where the volume is not one of matter."""
    if not np.all(pbc):
        return None
    s = -0.5 * (virial + virial.T) / abs(np.linalg.det(cell))
    return s[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


class NNPotential(Potential):
    """A Behler-Parrinello neural-network potential.

        E = sum_i [ network_e(scale(G_i)) + offset_e ],  e the element of atom i

    functions  : {element: [SymmetryFunction, ...]}
    networks   : {element: Network}, as many inputs as the element has functions
    scaling    : (kind, low, high), kind one of
                 none            G
                 minmax          low + (high - low) (G - min) / (max - min)
                 center          G - mean
                 center-minmax   low + (high - low) (G - mean) / (max - min)
                 sigma           low + (high - low) (G - mean) / sigma
    statistics : {element: (functions, 4)}: min, max, mean, sigma over the training data; needed unless scaling is none
    offsets    : {element: eV}
    repulsion  : fastmd.Repulsion, added to the energy; in the same units
    shortest   : {(a, b): distance}: the shortest of the training data, in the unit of length; nearer atoms count as outside
    notes      : {key: text}, kept in the file: where the potential comes from
    units      : (length name, its size in angstrom, energy name, its size in eV): all numbers above are in these
    Source: J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007).
    """

    def __init__(self, functions, networks, scaling=("none", 0.0, 1.0), statistics=None, offsets=None, notes=None, units=("angstrom", 1.0, "eV", 1.0), threads=0, repulsion=None, shortest=None):
        if not isinstance(functions, dict) or not functions or not all(isinstance(fs, (list, tuple)) and len(fs) for fs in functions.values()):
            raise ValueError("functions: expected {element: [SymmetryFunction, ...]} with at least one of each")
        if unknown := set(offsets or {}) - set(functions):
            raise ValueError(f"offsets: {', '.join(sorted(unknown))} is not among the elements {', '.join(functions)}")
        if not isinstance(networks, dict) or not all(isinstance(n, Network) for n in networks.values()):
            raise ValueError(f"networks: expected {{element: fastmd.Network}}, got {networks!r}")
        if set(functions) != set(networks):
            raise ValueError(f"networks: expected one for each of {', '.join(functions)}, got {', '.join(networks)}")
        for name, value, wanted in (("scaling", scaling, "(kind, low, high)"), ("units", units, "(length name, angstrom, energy name, eV)")):
            if not isinstance(value, (list, tuple)) or len(value) != len(wanted.split(",")):
                raise ValueError(f"{name}: expected {wanted}, got {value!r}")
        for e, fs in functions.items():
            if networks[e].n_inputs != len(fs):
                raise ValueError(f"networks: {e} has {len(fs)} functions, its network takes {networks[e].n_inputs}")
        self.functions = {e: list(fs) for e, fs in functions.items()}
        self.networks = dict(networks)
        self.scaling, self.units = tuple(scaling), tuple(units)
        self.statistics = None if statistics is None else {e: np.asarray(statistics[e], float) for e in functions}
        for e, s in (self.statistics or {}).items():
            if s.shape != (len(functions[e]), 4):
                raise ValueError(f"statistics: {e} has {len(functions[e])} functions, expected ({len(functions[e])}, 4), got {s.shape}")
        self.offsets = {e: float((offsets or {}).get(e, 0.0)) for e in functions}
        self.notes = {str(k): " ".join(str(v).split()) for k, v in (notes or {}).items()}
        for key in self.notes:
            if not key or any(c in " \t\r\n" for c in key):
                raise ValueError(f"notes: a key must be one word, got {key!r}")
        self.threads = threads
        self.elements = tuple(self.functions)
        self.repulsion = repulsion
        if repulsion is not None and repulsion.units != self.units:
            raise ValueError(f"repulsion: its numbers are in {repulsion.units[0]} and {repulsion.units[2]}, the potential's in {self.units[0]} and {self.units[2]}")
        self.shortest = {tuple(pair): _check.number(f"shortest[{pair!r}]", r, self.units[0], above=0) for pair, r in (shortest or {}).items()}
        if unknown := {e for pair in (*self.shortest, *(repulsion.terms if repulsion else ())) for e in pair} - set(self.elements):
            raise ValueError(f"repulsion or shortest: {', '.join(sorted(unknown))} is not among the elements {', '.join(self.elements)}")
        self._core = _core.Core(self.text().encode(), "potential")
        self.cutoff = self._core.cutoff

    @classmethod
    def load(cls, path):
        """Reads a potential file (*.nnp). Raises ValueError with file and line for anything that is not right in it."""
        if not isinstance(path, (str, os.PathLike)):
            raise ValueError(f"path: expected the name of a potential file, got {path!r}")
        return cls._parse(_check.read_bytes(path), str(path))

    @classmethod
    def _parse(cls, text, name):
        core = _core.Core(text, name)
        if not core.has_network:
            raise ValueError(f"{name}: holds symmetry functions only, no network")
        elements = core.elements
        functions = functions_of(core)
        networks = {e: Network(tuple(core.layers(k))) for k, e in enumerate(elements)}
        statistics = {e: core.statistics(k) for k, e in enumerate(elements)}
        if any(s is None for s in statistics.values()):
            statistics = None
        offsets = {e: core.offset(k) for k, e in enumerate(elements)}
        shortest = {(a, b): r for k, a in enumerate(elements) for q, b in enumerate(elements[k:], k) if (r := core.shortest(k, q))}
        from .repulsion import from_core  # which is a potential itself

        units = core.unit(0) + core.unit(1)
        return cls(functions, networks, core.scaling(), statistics, offsets, core.notes(), units, repulsion=from_core(core, elements, units), shortest=shortest)

    @classmethod
    def from_runner(cls, folder, length="bohr", energy="hartree"):
        """The potential in a folder of RuNNer or n2p2: input.nn, scaling.data, weights.NNN.data; energies and forces are theirs.

        length, energy : the units of the numbers in the folder, which the files do not say: names (bohr, angstrom, nm; hartree, eV, rydberg,
                         kcal/mol, kJ/mol) or sizes in angstrom and eV; they are written into the potential file
        Symmetry functions of types 2, 3, 9, 12, 13 and 20 to 25; the second generation only, without charges. Keywords of training are passed
        over, unknown ones with a warning.
        Raises ValueError with file and line for whatever is not right, and for what changes energies and cannot be honoured.
        """
        from .runner import read_potential

        return cls(**read_potential(folder, length, energy))

    def to_runner(self, folder):
        """Writes the files of RuNNer and n2p2 (see from_runner) into a folder, in the potential's own units; LAMMPS runs them with ML-HDNNP.

        Functions are sorted as n2p2 sorts them. Notes and shortest distances have no place there and are left out.
        Raises ValueError for what these files cannot hold (a repulsion, G1 and G3, several cutoff types), for a potential without statistics,
        and for a folder with an input.nn that is not of fastmd.
        """
        from .runner import write_potential

        write_potential(self, folder)

    def save(self, path):
        """Writes the potential file, in one piece: a reader sees the old file or the new one. Raises ValueError where that cannot be."""
        _check.write_text(path, self.text())

    def text(self):
        """The potential file. Every number reads back to the same bits."""
        length, angstrom, energy, ev = self.units
        lines = ["fastmd-potential 1",
                 "# Behler-Parrinello neural-network potential; read it with fastmd.NNPotential.load",
                 f"unit length {length} {_exact(angstrom)}", f"unit energy {energy} {_exact(ev)}"]
        lines += [f"element {e} offset {_exact(self.offsets[e])}" for e in self.elements]
        lines.append(f"scaling {self.scaling[0]} {_exact(self.scaling[1])} {_exact(self.scaling[2])}")
        lines += file_lines(self.functions, self.statistics)
        for e, network in self.networks.items():
            lines += network.lines(e)
        lines += self.repulsion.lines() if self.repulsion else []
        lines += [f"shortest {a} {b} {_exact(r)}" for (a, b), r in self.shortest.items()]
        lines += [f"note {k} {v}" for k, v in self.notes.items()]
        return "\n".join([*lines, "end", ""])

    @property
    def n_parameters(self):
        return sum(n.n_parameters for n in self.networks.values())

    def __repr__(self):
        sizes = ", ".join(f"{e} {len(self.functions[e])}-" + "-".join(str(len(b)) for _, b, _ in self.networks[e].layers) for e in self.elements)
        return f"<NNPotential: {sizes}; cutoff {self.cutoff:g} angstrom>"

    def __reduce__(self):
        return _from_text, (self.text(), self.threads)

    def species(self, symbols):
        return species(symbols, self.elements)

    def evaluate(self, species, positions, cell, pairs, outside=None):
        """As every potential's. outside : (n,) int32, is filled with how many functions of each atom are outside the range of the training data,
        plus how many of its neighbours are nearer than any there."""
        n = len(positions)
        energies, forces, virial = np.empty(n), np.empty((n, 3)), np.empty((3, 3))
        system = _core.System(species, pairs.first, pairs.j, pairs.shift, positions, np.ascontiguousarray(cell, float), threads=self.threads)
        energy = self._core.compute(system, energies, forces, virial, outside=outside)
        return energy, energies, forces, virial


def _from_text(text, threads):
    potential = NNPotential._parse(text.encode(), "pickle")
    potential.threads = threads
    return potential
