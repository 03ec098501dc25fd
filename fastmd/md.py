"""Molecular dynamics: velocity Verlet, and Langevin where a temperature is to be kept.

Units: eV, angstrom, fs, amu, kelvin; velocities in angstrom/fs.  A step of the integrator works in place on plain arrays,
an `ase.Atoms` appears only where frames are written.
"""
import contextlib
import math
import os
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple

import ase.io
import numpy as np
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator

from .pairs import Verlet
from .potential import Potential

__all__ = ["MD", "Thermo", "maxwell_boltzmann"]

_FARTHEST = 1.0  # angstrom an atom may go in one step; a hydrogen at 3000 K and 1 fs goes 0.1


@dataclass
class Thermo:
    """What a run recorded, one entry per record; energies in eV of the whole structure."""

    steps: np.ndarray
    times: np.ndarray  # ps
    temperature: np.ndarray  # K
    potential: np.ndarray
    kinetic: np.ndarray
    total: np.ndarray
    pressure: np.ndarray | None  # GPa, with the kinetic part; None where there is no stress


class MD:
    """Molecular dynamics of one structure.

    Velocity Verlet at constant energy; Langevin dynamics at constant temperature where temperature and friction are
    given, by the BAOAB splitting:

        B: v += dt/2 f/m    A: x += dt/2 v    O: v = e^(-friction dt) v + sqrt((1 - e^(-2 friction dt)) kT/m) N(0, 1)

    atoms      : ase.Atoms; velocities are taken from its momenta (see maxwell_boltzmann), and it gets positions and
                 momenta back when a run ends.  Positions are never wrapped.
    potential  : a fastmd Potential, or any ASE calculator
    timestep   : fs
    temperature: K, with friction in 1/fs; None keeps the energy
    seed       : of the thermostat's noise; equal seeds give equal bits

    Attributes: positions (n, 3), velocities (n, 3) in angstrom/fs, energy, forces (n, 3), step, and the properties
    below.  positions and velocities are the arrays the integrator works on, not copies.

    Raises ValueError for arguments that make no sense, and for constraints, which are not supported.
    Source: L. Verlet, Phys. Rev. 159, 98 (1967); W. C. Swope et al., J. Chem. Phys. 76, 637 (1982);
    B. Leimkuhler and C. Matthews, J. Chem. Phys. 138, 174102 (2013).
    """

    def __init__(self, atoms, potential, timestep=1.0, temperature=None, friction=None, seed=None):
        if not len(atoms):
            raise ValueError("atoms: there are none, MD needs at least one")
        if atoms.constraints:
            raise ValueError(f"atoms: MD knows no constraints, got {len(atoms.constraints)}; "
                             "remove them with atoms.set_constraint()")
        if (temperature is None) != (friction is None):
            raise ValueError("temperature and friction go together: give both for Langevin dynamics, neither for constant energy")
        masses = atoms.get_masses()
        if not (masses > 0).all():
            raise ValueError(f"atoms: masses must be > 0 amu, atom {np.argmin(masses)} has {masses.min()}")
        self.timestep = _finite("timestep", timestep, "> 0 fs", lambda x: x > 0)
        self.step = 0
        self.positions = atoms.get_positions()
        self.velocities = atoms.get_velocities() * units.fs
        if not np.isfinite(self.velocities).all():
            raise ValueError("atoms: momenta must be finite; set them anew, say with maxwell_boltzmann")
        self._atoms = atoms
        self._masses = masses[:, None]
        self._half_kick = np.repeat(0.5 * self.timestep * units.fs**2 / self._masses, 3, axis=1)  # eV/angstrom to angstrom/fs
        self._work = np.empty_like(self.positions)
        self._thermostat = temperature is not None
        if self._thermostat:
            temperature = _finite("temperature", temperature, ">= 0 K", lambda x: x >= 0)
            friction = _finite("friction", friction, "> 0 1/fs", lambda x: x > 0)
            self._keep = math.exp(-friction * self.timestep)
            self._noise = np.sqrt((1 - self._keep**2) * units.kB * temperature * units.fs**2 / self._masses).repeat(3, axis=1)
            self._rng = np.random.default_rng(seed)
        self._engine = _engine(potential, atoms)
        self._recorded, self._last = None, {}  # the last step recorded; the same for each file or stream
        self._evaluate()

    @property
    def atoms(self):
        """The Atoms this began with, brought up to date."""
        self._atoms.positions[:] = self.positions
        self._atoms.set_velocities(self.velocities / units.fs)
        return self._atoms

    @property
    def time(self):
        """ps since the start."""
        return self.step * self.timestep / 1000

    @property
    def kinetic(self):
        """Kinetic energy, eV."""
        return float(0.5 * (self._masses * self.velocities**2).sum() / units.fs**2)

    @property
    def temperature(self):
        """Kelvin: 2 E_kin / (k dof).

        With a thermostat dof = 3n, since it moves the centre of mass too; without, dof = 3n - 3 and E_kin is
        counted relative to the centre of mass.
        """
        n, energy = len(self.positions), self.kinetic
        if self._thermostat:
            return 2 * energy / (3 * n * units.kB)
        momentum = (self._masses * self.velocities).sum(0) / units.fs
        energy -= 0.5 * float(momentum @ momentum / self._masses.sum())
        return 2 * energy / ((3 * n - 3) * units.kB) if n > 1 else 0.0

    @property
    def stress(self):
        """(6,) eV/angstrom^3 from the potential alone, ASE's order and sign; None where there is none."""
        return self._engine.stress()

    @property
    def pressure(self):
        """GPa: (2 E_kin + trace of the virial) / (3 V); None where there is no stress."""
        stress = self.stress
        if stress is None:
            return None
        return float(2 * self.kinetic / (3 * self._atoms.get_volume()) - stress[:3].mean()) / units.GPa

    def run(self, steps, every=10, trajectory=None, thermo=None, observers=(), progress=None):
        """Go on for `steps` steps and return what was recorded every `every` steps, the start included, as a Thermo.

        trajectory: path of an extended XYZ file, a frame per record with energy, forces, stress and momenta.  Each
                    frame is flushed, so that an interruption loses at most the last.  An old file is replaced, but a
                    later run of the same MD goes on in it; the same holds for thermo.
        thermo    : path or stream for a table of the records
        observers : (function, k) pairs; function(md) is called every k steps, counted from the start of the MD
        progress  : None shows a bar on a terminal when it takes over two seconds; True or False insist

        Raises RuntimeError, naming step and atom, when a force is not finite or an atom moves too far in a step.
        """
        steps = _integer("steps", steps, 0)
        every = _integer("every", every, 1)
        observers = [(function, _integer("observers: k", k, 1)) for function, k in observers]
        records = []
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: self.atoms)  # bring the user's Atoms up to date, whatever ends the run
            frames = stack.enter_context(self._output(trajectory))
            table = stack.enter_context(self._output(thermo))
            bar = stack.enter_context(_Progress(steps, progress))

            def record():
                row = self._row()
                records.append(row)
                self._recorded = self.step
                if table.stream and table.last != self.step:
                    _write_row(table.stream, row, len(self.positions), header=table.last is None and len(records) == 1)
                if frames.stream and frames.last != self.step:
                    self._write_frame(frames.stream)

            record()
            for done in range(1, steps + 1):
                self._advance()
                if done % every == 0:
                    record()
                for function, k in observers:
                    if self.step % k == 0:
                        function(self)
                bar.show(done)
        columns = [np.array(column) for column in zip(*records)]
        return Thermo(*columns[:6], pressure=None if records[0][6] is None else columns[6])

    def _advance(self):
        """One step, in place."""
        x, v, work, dt = self.positions, self.velocities, self._work, self.timestep
        np.multiply(self._half_kick, self.forces, out=work)
        v += work
        self._check_speed()
        if self._thermostat:
            np.multiply(v, 0.5 * dt, out=work)
            x += work
            self._rng.standard_normal(out=work)
            work *= self._noise
            v *= self._keep
            v += work
            np.multiply(v, 0.5 * dt, out=work)
            x += work
        else:
            np.multiply(v, dt, out=work)
            x += work
        self.step += 1
        self._evaluate()
        np.multiply(self._half_kick, self.forces, out=work)
        v += work

    def _evaluate(self):
        try:
            self.energy, self.forces = self._engine(self.positions)
        except ValueError as error:
            raise RuntimeError(f"step {self.step}: {error}") from error
        if not math.isfinite(self.energy + np.vdot(self.forces, self.forces)):
            bad = ~np.isfinite(self.forces).all(axis=1)
            where = f"the force on atom {np.argmax(bad)}" if bad.any() else f"the energy ({self.energy})"
            raise RuntimeError(f"step {self.step}: {where} is not finite; is the potential good for this structure?")

    def _check_speed(self):
        """Stop before atoms fly so far that even the neighbour search would choke.  The sum is a cheap first look."""
        v = self.velocities
        if not np.vdot(v, v) * self.timestep**2 < _FARTHEST**2:
            speed = np.linalg.norm(v, axis=1)
            fastest = np.argmax(speed)
            if not speed[fastest] * self.timestep < _FARTHEST:
                raise RuntimeError(f"step {self.step}: atom {fastest} is about to move {speed[fastest] * self.timestep:.3g} "
                                   f"angstrom in one step of {self.timestep:g} fs, the simulation has blown up; take a "
                                   "smaller timestep, relax the start, or mistrust the potential here")

    def _row(self):
        kinetic = self.kinetic
        return self.step, self.time, self.temperature, self.energy, kinetic, self.energy + kinetic, self.pressure

    def _write_frame(self, stream):
        frame = self.atoms.copy()
        frame.info.update(step=self.step, time_ps=self.time)
        results = {"energy": self.energy, "forces": self.forces, "stress": self.stress}
        frame.calc = SinglePointCalculator(frame, **{key: value for key, value in results.items() if value is not None})
        ase.io.write(stream, frame, format="extxyz")
        stream.flush()

    @contextlib.contextmanager
    def _output(self, target):
        """Open a path; take a stream, or None, as it is."""
        is_path = target is not None and not hasattr(target, "write")
        target = os.path.abspath(target) if is_path else target
        last = self._last.get(target)
        try:
            if is_path:
                try:
                    stream = open(target, "w" if last is None else "a", encoding="utf-8")
                except OSError as e:
                    raise ValueError(f"{target}: cannot be written ({e.strerror}); choose another place") from None
                with stream:
                    yield _Output(stream, last)
            else:
                yield _Output(target, last)
        finally:
            self._last[target] = self._recorded


class _Output(NamedTuple):
    stream: object
    last: int | None  # the step an earlier run of this MD recorded there last


def _write_row(stream, row, n_atoms, header):
    """One line of the table; the pressure has a column only where there is one."""
    step, time_ps, temperature, potential, kinetic, total, pressure = row
    names = ("# step", "time/ps", "T/K", "E_pot/eV", "E_kin/eV", "E_tot/eV", "E_tot/(eV/atom)", "P/GPa")
    formats = ("10d", "12.4f", "10.2f", "18.8f", "16.8f", "18.8f", "16.10f", "12.5f")
    values = (step, time_ps, temperature, potential, kinetic, total, total / n_atoms, pressure)
    cells = [format(value, form) for value, form in zip(values, formats) if value is not None]
    if header:
        stream.write(" ".join(name.rjust(len(cell)) for name, cell in zip(names, cells)) + "\n")
    stream.write(" ".join(cells) + "\n")
    stream.flush()


class _Progress:
    """A bar on the terminal, from two seconds on."""

    def __init__(self, steps, wanted):
        self._steps, self._bar = steps, None
        wanted = sys.stderr.isatty() if wanted is None else wanted
        self._next = time.monotonic() + 2 if wanted else math.inf

    def show(self, done):
        now = time.monotonic()
        if now < self._next:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress
            self._bar = Progress(console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("MD", total=self._steps)
        self._bar.update(self._task, completed=done)
        self._next = now + 0.1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.stop()


# ------------------------------------------------------------------------------------------- where the forces come from

class _Direct:
    """A fastmd potential: plain arrays and a Verlet list."""

    def __init__(self, potential, atoms):
        potential.compute(atoms)  # says what is wrong with the structure, if anything is
        self._evaluate = potential.evaluate
        self._species = potential.species(atoms.get_chemical_symbols())
        self._cell, self._pbc = np.array(atoms.cell), atoms.pbc.copy()
        self._verlet = Verlet(potential.cutoff)
        self._volume = atoms.get_volume() if self._pbc.all() else None

    def __call__(self, positions):
        pairs = self._verlet.pairs(positions, self._cell, self._pbc)
        energy, _, forces, self._virial = self._evaluate(self._species, positions, self._cell, pairs)
        return energy, forces

    def stress(self):
        return None if self._volume is None else -self._virial.flat[[0, 4, 8, 5, 2, 1]] / self._volume


class _Calculator:
    """Any ASE calculator, on an Atoms of our own."""

    def __init__(self, calculator, atoms):
        self._atoms = atoms.copy()
        self._atoms.calc = calculator
        self._has_stress = atoms.pbc.all() and "stress" in calculator.implemented_properties

    def __call__(self, positions):
        self._atoms.positions[:] = positions
        return self._atoms.get_potential_energy(), self._atoms.get_forces()

    def stress(self):
        return self._atoms.get_stress() if self._has_stress else None


def _engine(potential, atoms):
    if isinstance(potential, Potential):
        return _Direct(potential, atoms)
    if hasattr(potential, "implemented_properties"):
        return _Calculator(potential, atoms)
    raise ValueError(f"potential: expected a fastmd Potential or an ASE calculator, got {type(potential).__name__}")


# --------------------------------------------------------------------------------------------------------------- starts

def maxwell_boltzmann(atoms, temperature, rng=None, exact=True):
    """Give the atoms velocities of a temperature, with no net momentum.

        p_i = sqrt(m_i k T) N(0, 1), less the velocity of the centre of mass, scaled to 2 E_kin = (3n - 3) k T

    temperature: K
    rng        : a numpy Generator, or a seed for one
    exact      : False leaves out the scaling, so that the kinetic energy fluctuates as in the canonical ensemble

    Raises ValueError for a temperature that is negative, or > 0 for a single atom (it cannot move against itself).
    """
    temperature = _finite("temperature", temperature, ">= 0 K", lambda x: x >= 0)
    dof = 3 * len(atoms) - 3
    if not len(atoms) or atoms.constraints or not (atoms.get_masses() > 0).all():
        raise ValueError("atoms: expected at least one, with masses > 0 and no constraints (remove them with atoms.set_constraint())")
    if temperature > 0 and dof <= 0:
        raise ValueError(f"atoms: {len(atoms)} of them without net momentum have no temperature, it takes two")
    masses = atoms.get_masses()[:, None]
    velocities = np.random.default_rng(rng).standard_normal((len(atoms), 3)) * np.sqrt(units.kB * temperature / masses)
    velocities -= (masses * velocities).sum(0) / masses.sum()
    if exact and temperature > 0:
        velocities *= math.sqrt(dof * units.kB * temperature / (masses * velocities**2).sum())
    atoms.set_velocities(velocities)


def _finite(name, value, wanted, good):
    if not (isinstance(value, (int, float, np.number)) and math.isfinite(value) and good(value)):
        raise ValueError(f"{name} must be a finite number {wanted}, got {value!r}")
    return float(value)


def _integer(name, value, least):
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    return int(value)
