"""Molecular dynamics by LAMMPS, step by step, in the form that sampling takes: any LAMMPS script, any pair style, as the reference.

Interactions with periodic images act on ghost atoms; Newton's third law brings those forces home (reverse communication) after all are computed, and
fixes such as thermostats and walls add theirs only then.  Forces are therefore taken in between: whole, and of the interactions alone.
Source: J. A. Stende, Constructing high-dimensional neural network potentials for molecular dynamics, University of Oslo (2017), sections 5.4 and 7.1.2.
"""

import contextlib
import os
import re
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from . import _check
from .lammps import _UNITS, _start

__all__ = ["LammpsMD"]

_PARTS = "pair bond angle dihedral improper kspace"  # what counts as interaction: no fixes
_FORCES = "fix fastmd_forces all store/force"        # keeps the forces as they are at its place among the fixes
_BEFORE = "property/atom"                            # a fix that may come before there is a box, and touches no force


class LammpsMD:
    """Molecular dynamics that LAMMPS does, for sample_md and sample_lammps.

        md = fastmd.LammpsMD("melt.in", ["Si"], variables={"T": 2000})
        frames = list(fastmd.sample_md(md, fastmd.Interval(alpha=20, tau_max=50), 20000))

    script   : file of LAMMPS commands that sets up all but the steps that are looked at.  It may run or minimize: that is done first, and not sampled
    elements : symbols of atom types 1, 2, ...; several types may be of one element
    variables: {name: value} of the script, as -var on LAMMPS's command line
    energies : keep atomic energies too, which environments then have; not all pair styles know them

    Attributes, each of the present step: step (LAMMPS's own count), energy in eV, forces (n, 3) in eV/angstrom in the order of the atoms' ids, stress (6,)
    in eV/angstrom^3 (None unless periodic in three directions), energies (n,) or None, atoms (ase.Atoms, wrapped as LAMMPS wraps them).
    They are those of the interactions: what fixes add to forces (thermostats, walls, springs) is left out, and so is their energy.

    Units metal, real and electron are converted.  One process, without mpiexec.  Use with `with`, or close it.
    Raises ValueError for what LAMMPS says about the script, other units, elements that do not fit the types, two dimensions, run_style respa, and fixes
    that an included file defines before forces can be kept; RuntimeError for forces at the start that are not finite.
    """

    target = None  # of the thermostat: LAMMPS's own business

    def __init__(self, script, elements, variables=None, energies=False):
        script = Path(_check.path("script", script))
        self._numbers_of = _elements(elements)
        words = [word for name, value in _variables(variables) for word in ("-var", name, value)]
        text = _check.read_bytes(script).decode("utf-8", "replace")
        self._module, self._instance = _start(*words)
        try:
            with _said(ValueError, lambda: script):
                early = self._read(text)
            self._look_over(script)
            with _said(ValueError, lambda: script):
                self._watch(script, early, energies)
                self._go("run 0 post no")
            if energies and abs(self.energies.sum() - self.energy) > 1e-6 * np.abs(self.energies).sum():
                raise ValueError(f"energies: those of the atoms add up to {self.energies.sum():.8g} eV, the energy is {self.energy:.8g}: not all that acts here knows "
                                 "them (a tail correction does not); leave them out, or sample whole structures")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End LAMMPS; nothing of it can be asked for afterwards."""
        if self._instance is not None:
            self._instance.close()
        self._instance = None

    @property
    def _lammps(self):
        if self._instance is None:  # to ask a closed one is a crash
            raise ValueError("this LammpsMD is closed, LAMMPS has ended; sample before that, or make another")
        return self._instance

    # -------------------------------------------------------------------------------------------------------------- set up

    def _read(self, text):
        """Run the script, with the line that keeps forces before its first fix. Names of the fixes that may be before it."""
        early = []
        for line in re.finditer(r"^[ \t]*fix[ \t]+(\S+)[ \t]+\S+[ \t]+(\S+)", text, re.M):
            if line[2] == _BEFORE:
                early.append(line[1])
                continue
            if line[1] != _FORCES.split()[1]:
                text = f"{text[:line.start()]}{_FORCES}\n{text[line.start():]}"
            break
        handle, path = tempfile.mkstemp(suffix=".in")  # a file, since scripts jump about in their file
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as f:
                f.write(text + "\n")
            self._lammps.file(path)
        finally:
            os.unlink(path)
        return early

    def _look_over(self, script):
        """What the script has made must be something there are units, elements and whole forces for."""
        lammps, style = self._lammps, self._lammps.extract_global("units")
        if not lammps.extract_setting("box_exist") or not lammps.get_natoms():
            raise ValueError(f"{script}: makes no atoms; it must set up all that a `run` needs")
        if style not in _UNITS:
            raise ValueError(f"{script}: units {style} are none of {', '.join(_UNITS)}; which energy and length would they be?")
        self._length, self._energy = _UNITS[style]
        types, n = lammps.extract_global("ntypes"), int(lammps.get_natoms())
        if types != len(self._numbers_of):
            raise ValueError(f"elements: {script} has {types} atom types, got {len(self._numbers_of)} elements; name one for each type")
        for there, what in ((lammps.extract_setting("dimension") != 3, "two dimensions"), (lammps.extract_global("respa_levels"), "run_style respa, whose forces come in parts"),
                            (lammps.extract_setting("world_size") != 1, "several MPI ranks")):
            if there:
                raise ValueError(f"{script}: has {what}, which sampling does not know")
        tags = lammps.numpy.extract_atom("id")[:n]
        if tags.min() != 1 or tags.max() != n:
            raise ValueError(f"{script}: atom ids are not 1 to {n}; put `reset_atoms id` at its end")
        self._n = n
        self._numbers = np.empty(n, int)
        self._numbers[tags - 1] = self._numbers_of[lammps.numpy.extract_atom("type")[:n] - 1]

    def _watch(self, script, early, energies):
        name = _FORCES.split()[1]
        if name not in self._lammps.available_ids("fix"):
            self._lammps.command(_FORCES)
        fixes = self._lammps.available_ids("fix")
        if before := [fix for fix in fixes[:fixes.index(name)] if fix not in early]:
            raise ValueError(f"fix {', '.join(before)} comes before forces are kept, which would hold what it adds to them; put the line `{_FORCES}` before it")
        kept = "c_fastmd_energy c_fastmd_pressure[1]"
        self._lammps.commands_list([f"compute fastmd_energy all pe {_PARTS}", f"compute fastmd_pressure all pressure NULL {_PARTS}"])
        self._each = bool(energies)
        if self._each:
            self._lammps.commands_list([f"compute fastmd_each all pe/atom {_PARTS}", "compute fastmd_sum all reduce sum c_fastmd_each"])
            kept += " c_fastmd_sum"
        # Energies and virial are there only at steps for which someone has asked beforehand: an average over each one step does.
        self._lammps.commands_list([f"fix fastmd_ask all ave/time 1 1 1 {kept}", "fix fastmd_look all external pf/callback 1 1"])
        self._lammps.set_fix_external_callback("fastmd_look", self._look, None)

    # ------------------------------------------------------------------------------------------------------------ the steps

    def run(self, steps, observers=()):
        """Go on for `steps` steps; function(md) is called at each step that k divides, for the (function, k) pairs of observers.

        Raises RuntimeError, naming the step, for what LAMMPS says, atoms that are lost, and forces that are not finite.
        """
        steps = _check.whole("steps", steps, 0)
        with _said(RuntimeError, lambda: f"after step {self.step}"):
            if steps:
                self._go(f"run {steps} pre no post no", tuple(observers))

    def _go(self, command, observers=()):
        self._observers, self._failed = observers, None
        try:
            self._lammps.command(command)
        except Exception:
            if self._failed is None:
                raise
        if self._failed is not None:
            raise self._failed

    def _look(self, _, step, n, tags, x, f):
        """Called by LAMMPS once at each step, when all forces are there. What is raised here would not come through LAMMPS."""
        if self._failed is None:
            try:
                self._take(int(step), n, tags)
                for function, k in self._observers:
                    if self.step % k == 0:
                        function(self)
            except BaseException as e:
                self._failed = e
                self._lammps.force_timeout()

    def _take(self, step, n, tags):
        lammps, m = self._lammps, self._module
        self.step = step
        if n != self._n:
            raise RuntimeError(f"step {step}: {self._n - n} of {self._n} atoms are lost; is the timestep too long, or the boundary not one that follows the atoms?")
        self._order = tags.ravel()[:n] - 1
        scale = self._energy / self._length
        self.forces = self._by_id(lammps.numpy.extract_fix("fastmd_forces", m.LMP_STYLE_ATOM, m.LMP_TYPE_ARRAY)) * scale
        self.energy = lammps.extract_compute("fastmd_energy", m.LMP_STYLE_GLOBAL, m.LMP_TYPE_SCALAR) * self._energy
        self.energies = self._by_id(lammps.numpy.extract_compute("fastmd_each", m.LMP_STYLE_ATOM, m.LMP_TYPE_VECTOR)) * self._energy if self._each else None
        if not (np.isfinite(self.energy) and _check.finite(self.forces)):
            bad = ~np.isfinite(self.forces).all(axis=1)
            raise RuntimeError(f"step {step}: {f'the force on atom {np.argmax(bad)}' if bad.any() else 'the energy'} is not finite; is the potential good for this structure?")

    def _by_id(self, values):
        found = np.empty((self._n, *values.shape[1:]))
        found[self._order] = values[:self._n]
        return found

    # ----------------------------------------------------------------------------------------------------------- quantities

    @property
    def stress(self):
        box = self._lammps.extract_box()
        if not all(box[5]):
            return None
        p = np.array(self._lammps.extract_compute("fastmd_pressure", self._module.LMP_STYLE_GLOBAL, self._module.LMP_TYPE_VECTOR)[:6])
        return -p[[0, 1, 2, 5, 4, 3]] / self._lammps.extract_global("nktv2p") * (self._energy / self._length**3)

    @property
    def atoms(self):
        low, high, xy, yz, xz, periodic, _ = self._lammps.extract_box()
        cell = np.diag(np.subtract(high, low))
        cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
        x = self._by_id(self._lammps.numpy.extract_atom("x")) - np.where(periodic, low, 0)
        return Atoms(self._numbers, x * self._length, cell=cell * self._length, pbc=periodic)


@contextlib.contextmanager
def _said(kind, where):
    """What LAMMPS raises is a bare Exception; ours are known by their kind."""
    try:
        yield
    except Exception as e:
        if type(e) is Exception or type(e).__name__ == "MPIAbortException":
            raise kind(f"{where()}: LAMMPS says: {' '.join(str(e).split())}") from None
        raise


def _elements(elements):
    """(types,) atomic numbers"""
    if not isinstance(elements, (list, tuple)) or not elements or not all(isinstance(e, str) and atomic_numbers.get(e) for e in elements):
        raise ValueError(f"elements: expected the symbols of atom types 1, 2, ..., such as ['Si', 'O'], got {elements!r}")
    return np.array([atomic_numbers[e] for e in elements])


def _variables(variables):
    """[(name, value)], both text"""
    found = [(str(name), str(value)) for name, value in dict(variables or {}).items()]
    for name, value in found:
        if not re.fullmatch(r"\w+", name) or not value or value.startswith("-") and not re.match(r"-[\d.]", value):
            raise ValueError(f"variables: expected names of letters, digits and _ with values that do not begin with -, got {name}={value}")
    return found
