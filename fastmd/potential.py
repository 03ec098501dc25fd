"""What users hold: a potential that computes energy, forces and stress of a structure, and the neural-network one with its file."""

import os
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from . import _check, _core
from .committee import Spread, join, notes_of_members
from .network import Network
from .pairs import Pairs, _pairs
from .symmetry import _exact, file_lines, functions_of, species


MOST_MEMBERS = 1000  # as in nnp.hpp
PRECISIONS = ("float64", "mixed", "float32")  # as numbered in fastmd.h


@dataclass(frozen=True)
class Result:
    """energy : eV;  energies : (n,) eV;  forces : (n, 3) eV/angstrom
    virial : (3, 3) eV, minus the derivative of the energy with respect to strain
    stress : (6,) eV/angstrom^3, xx yy zz yz xz xy, tension positive, -virial / volume; None unless periodic in three directions

    Of a committee all of these are means over its members, and there is how far these are apart, else None:
    energy_spread : eV, the standard deviation of the energy over the members, sqrt(mean (E_m - E)^2);  energies_spread : (n,) eV, the same of each atom's
    forces_spread : (n,) eV/angstrom, sqrt(mean |F_m - F|^2), where it was asked for
    """

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    stress: np.ndarray | None
    energy_spread: float | None = None
    energies_spread: np.ndarray | None = None
    forces_spread: np.ndarray | None = None


class Potential:
    """The base of every potential. A subclass has `cutoff` (angstrom) and implements `species` and `evaluate`."""

    cutoff: float

    def species(self, symbols):
        """(n,) int32 that stand for the symbols in `evaluate`. Raises ValueError for an element the potential does not know."""
        raise NotImplementedError

    def _kinds(self, numbers):
        """`species` from the atomic numbers of an ase.Atoms."""
        return self.species([chemical_symbols[z] for z in numbers])

    def evaluate(self, species, positions, cell, pairs):
        """(energy, energies, forces, virial) from plain arrays; pairs may hold some beyond the cutoff."""
        raise NotImplementedError

    def compute(self, atoms, pairs=None):
        """Energy, per-atom energies, forces, virial and stress of a structure.

        atoms : ase.Atoms;  pairs : from find_pairs with at least this potential's cutoff, made here if not given
        Raises ValueError for unknown elements, bad positions or cells, pairs of too short a cutoff or of other atoms, atoms on top of each other.
        """
        return self._compute(atoms, pairs)

    def _compute(self, atoms, pairs, spread=None):
        numbers, x, cell, pbc = _check.atoms(atoms)
        kinds = self._kinds(numbers)
        if pairs is None:
            pairs = _pairs(x, cell, pbc, self.cutoff)
        elif isinstance(pairs, Pairs):
            pairs.check(x, cell, pbc, self.cutoff)
        else:
            raise ValueError(f"pairs: expected fastmd.Pairs from find_pairs, got {type(pairs).__name__}")
        if spread is None:
            energy, energies, forces, virial = self.evaluate(kinds, x, cell, pairs)
            return Result(energy, energies, forces, virial, stress(virial, cell, pbc))
        energy, energies, forces, virial = self.evaluate(kinds, x, cell, pairs, spread=spread)
        return Result(energy, energies, forces, virial, stress(virial, cell, pbc), **spread.results)


def stress(virial, cell, pbc):
    """-virial / volume in ASE's Voigt order, or None where the volume is not one of matter."""
    if not all(np.asarray(pbc).tolist()):
        return None
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = cell.tolist()  # numbers of Python's: for nine of them arrays take ten times as long
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = virial.tolist()
    f = -1 / abs(ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx))
    return np.array([f * xx, f * yy, f * zz, f * (yz + zy) / 2, f * (xz + zx) / 2, f * (xy + yx) / 2])


class NNPotential(Potential):
    """A Behler-Parrinello neural-network potential.

        E = sum_i [ network_e(scale(G_i)) + offset_e ],  e the element of atom i

    functions  : {element: [SymmetryFunction, ...]}
    networks   : {element: Network}, as many inputs as the element has functions; of a committee {element: [Network, ...]}, see NNPotential.committee
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
    threads    : 0 takes FASTMD_THREADS, or all; the bits are the same for any number
    precision  : of energies and forces: float64; mixed, which computes in float32 but takes differences of positions and sums in float64; float32,
                 as mixed, but forces are summed in float32 too, which saves memory, not time. Descriptors are float64 whatever it says
    threads and precision are attributes that can be set at any time, and no part of the file.
    Source: J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007).
    """

    def __init__(self, functions, networks, scaling=("none", 0.0, 1.0), statistics=None, offsets=None, notes=None, units=("angstrom", 1.0, "eV", 1.0), threads=0, repulsion=None, shortest=None,
                 precision="float64"):
        if not isinstance(functions, dict) or not functions or not all(isinstance(fs, (list, tuple)) and len(fs) for fs in functions.values()):
            raise ValueError("functions: expected {element: [SymmetryFunction, ...]} with at least one of each")
        if unknown := set(offsets or {}) - set(functions):
            raise ValueError(f"offsets: {', '.join(sorted(unknown))} is not among the elements {', '.join(functions)}")
        of_each = {e: tuple(ns) if isinstance(ns, (list, tuple)) else (ns,) for e, ns in networks.items()} if isinstance(networks, dict) else {}
        wrong = [n for ns in of_each.values() for n in ns if not isinstance(n, Network)]
        if wrong or not isinstance(networks, dict):
            raise ValueError(f"networks: expected {{element: fastmd.Network}}, got {(wrong or [networks])[0]!r}; of a committee a list of them for each")
        if set(functions) != set(networks):
            raise ValueError(f"networks: expected one for each of {', '.join(functions)}, got {', '.join(networks)}")
        for name, value, wanted in (("scaling", scaling, "(kind, low, high)"), ("units", units, "(length name, angstrom, energy name, eV)")):
            if not isinstance(value, (list, tuple)) or len(value) != len(wanted.split(",")):
                raise ValueError(f"{name}: expected {wanted}, got {value!r}")
        counts = {e: len(ns) for e, ns in of_each.items()}
        self.n_members = next(iter(counts.values()))
        if set(counts.values()) != {self.n_members} or not 1 <= self.n_members <= MOST_MEMBERS:
            raise ValueError(f"networks: expected as many for each element, 1 to {MOST_MEMBERS}, got {', '.join(f'{e} {n}' for e, n in counts.items())}")
        for e, fs in functions.items():
            for k, network in enumerate(of_each[e], 1):
                if network.n_inputs != len(fs):
                    raise ValueError(f"networks: {e} has {len(fs)} functions, its network takes {network.n_inputs}")
                if network.shape != of_each[e][0].shape:
                    raise ValueError(f"networks: that of member {k} for {e} is {network}, that of the first {of_each[e][0]}; members must be built alike")
        self.functions = {e: list(fs) for e, fs in functions.items()}
        self.networks = {e: ns if self.n_members > 1 else ns[0] for e, ns in of_each.items()}
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
        self.threads, self.precision = threads, precision
        self.elements = tuple(self.functions)
        self.repulsion = repulsion
        if repulsion is not None and repulsion.units != self.units:
            raise ValueError(f"repulsion: its numbers are in {repulsion.units[0]} and {repulsion.units[2]}, the potential's in {self.units[0]} and {self.units[2]}")
        self.shortest = {tuple(pair): _check.number(f"shortest[{pair!r}]", r, self.units[0], above=0) for pair, r in (shortest or {}).items()}
        if unknown := {e for pair in (*self.shortest, *(repulsion.terms if repulsion else ())) for e in pair} - set(self.elements):
            raise ValueError(f"repulsion or shortest: {', '.join(sorted(unknown))} is not among the elements {', '.join(self.elements)}")
        self._core = _core.Core(self.text().encode(), "potential")
        self.cutoff = self._core.cutoff
        self._kind_of = np.full(len(chemical_symbols), -1, np.int32)  # by atomic number
        for k, e in enumerate(self.elements):
            self._kind_of[atomic_numbers[e]] = k

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
        networks = {e: [Network(tuple(core.layers(k, m))) for m in range(core.n_members)] for k, e in enumerate(elements)}
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

    @classmethod
    def committee(cls, potentials):
        """One potential of several with the same functions and networks of the same shape, such as one training gives from different seeds.

            E = mean_m E_m,  F = mean_m F_m

        One pass over the neighbours serves all members, so that K of them cost little more than one. How far they are apart is in the Result: where
        networks that were trained alike disagree, none of them was taught.
        potentials : [NNPotential or file, ...], of which committees bring all their members
        Statistics and offsets may differ, as they do where each training held out other data: the first layers' weights and the last biases make up
        for what they are off common ones, which changes energies by rounding only; where nothing differs all weights stay as they are to the bit.
        The common trained range holds those of all members. Notes that are not the same in all get the member's number: seed.1, seed.2.
        Raises ValueError naming what differs and cannot.
        Source: H. S. Seung, M. Opper, H. Sompolinsky, Query by committee, Proc. 5th Workshop on Computational Learning Theory, 287 (1992);
        N. Artrith, J. Behler, Phys. Rev. B 85, 045439 (2012).
        """
        if isinstance(potentials, (str, bytes, os.PathLike, Potential)):
            raise ValueError(f"potentials: expected a list of several, got {potentials!r}")
        found = []
        for p in potentials:
            p = cls.load(p) if isinstance(p, (str, os.PathLike)) else p
            if not isinstance(p, NNPotential):
                raise ValueError(f"potentials: expected each to be an NNPotential or its file, got {type(p).__name__}")
            found.append(p)
        if not found:
            raise ValueError("potentials: expected at least one, got none")
        return found[0]._with(**join(found))

    @property
    def members(self):
        """(NNPotential, ...): the single potentials of a committee; of a potential that is none, itself alone"""
        if self.n_members == 1:
            return (self,)
        return tuple(self._with(networks={e: ns[k] for e, ns in self.networks.items()}, notes=notes) for k, notes in enumerate(notes_of_members(self)))

    def _with(self, **changed):
        return NNPotential(**{name: getattr(self, name) for name in ("functions", "networks", "scaling", "statistics", "offsets", "notes", "units", "threads", "repulsion", "shortest", "precision")} | changed)

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
        for e in self.networks:
            for k, network in enumerate(self._networks(e), 1):
                lines += network.lines(e, k)
        lines += self.repulsion.lines() if self.repulsion else []
        lines += [f"shortest {a} {b} {_exact(r)}" for (a, b), r in self.shortest.items()]
        lines += [f"note {k} {v}" for k, v in self.notes.items()]
        return "\n".join([*lines, "end", ""])

    @property
    def precision(self):
        return PRECISIONS[self._precision]

    @precision.setter
    def precision(self, precision):
        if not isinstance(precision, str) or precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        self._precision = PRECISIONS.index(precision)

    @property
    def n_parameters(self):
        return sum(n.n_parameters for e in self.networks for n in self._networks(e))

    def _networks(self, element):
        """Of all members"""
        return self.networks[element] if self.n_members > 1 else (self.networks[element],)

    def __repr__(self):
        sizes = ", ".join(f"{e} {'-'.join(map(str, self._networks(e)[0].sizes))}" for e in self.elements)
        return f"<NNPotential: {f'committee of {self.n_members}, ' if self.n_members > 1 else ''}{sizes}; cutoff {self.cutoff:g} angstrom>"

    def __reduce__(self):
        return _from_text, (self.text(), self.threads, self.precision)

    def species(self, symbols):
        return species(symbols, self.elements)

    def _kinds(self, numbers):
        kinds = self._kind_of[numbers]
        return kinds if len(kinds) == 0 or kinds[kinds.argmin()] >= 0 else super()._kinds(numbers)  # which says what is wrong

    def system(self, species, positions, cell, pairs):
        """What `evaluate` makes of these arrays first; for those that evaluate them again and again, with other numbers in the same memory."""
        return _core.System(species, pairs.first, pairs.j, pairs.shift, positions, np.ascontiguousarray(cell, float))

    def compute(self, atoms, pairs=None, force_spread=False):
        """Energy, per-atom energies, forces, virial and stress of a structure; of a committee the means over its members, and how far these are apart.

        atoms : ase.Atoms;  pairs : from find_pairs with at least this potential's cutoff, made here if not given
        force_spread : the spread of forces, too. That of energies is always there and costs nothing; this takes a second pass over the
                       neighbours for each member
        Raises ValueError for unknown elements, bad positions or cells, pairs of too short a cutoff or of other atoms, atoms on top of each other;
        for force_spread without a committee.
        """
        return self._compute(atoms, pairs, self.spread(force_spread))

    def spread(self, forces=False):
        """What `evaluate` takes to say how far the members are apart; None for a potential that is no committee."""
        if self.n_members > 1:
            return Spread(forces)
        if forces:
            raise ValueError("force_spread: the potential is a single one, only a committee has a spread; join several with NNPotential.committee")
        return None

    def evaluate(self, species, positions, cell, pairs, outside=None, system=None, spread=None):
        """As every potential's. outside : (n,) int32, is filled with how many functions of each atom are outside the range of the training data,
        plus how many of its neighbours are nearer than any there. system : made by `system` of these very arrays. spread : made by `spread`, is filled."""
        n = len(positions)
        energies, forces, virial = np.empty(n), np.empty((n, 3)), np.empty((3, 3))
        system = system or self.system(species, positions, cell, pairs)
        system.use(self.threads, self._precision)
        if spread is None:
            energy = self._core.compute(system, energies, forces, virial, outside=outside)
        else:
            of_members = np.empty((n, self.n_members)), np.empty((self.n_members, n, 3)) if spread.forces else None
            energy = self._core.compute(system, energies, forces, virial, None, None, outside, *of_members)
            spread.take(energies, forces, *of_members)
        return energy, energies, forces, virial


def _from_text(text, threads, precision="float64"):
    potential = NNPotential._parse(text.encode(), "pickle")
    potential.threads, potential.precision = threads, precision
    return potential
