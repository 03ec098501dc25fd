"""Molecular dynamics: velocity Verlet, and Langevin where a temperature is to be kept.

Units: eV, angstrom, fs, amu, kelvin; velocities in angstrom/fs.  A step of the integrator works in place on plain arrays,
an `ase.Atoms` appears only where frames are written.
"""
import contextlib
import io
import math
import os
import warnings
from dataclasses import dataclass

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator

from . import _check, _core, _store
from ._progress import Bar
from .calculator import Calculator
from .extrapolation import ExtrapolationError, ExtrapolationWarning, Watched
from .pairs import Verlet
from .potential import NNPotential, Potential

__all__ = ["MD", "Thermo", "maxwell_boltzmann"]

_FARTHEST = 1.0  # angstrom an atom may go in one step; a hydrogen at 3000 K and 1 fs goes 0.1
_CARRIED = ("masses", "tags", "initial_magmoms", "initial_charges")  # frames keep these; other arrays may be labels of the start
_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")  # of numpy, that a state may name


@dataclass
class Thermo:
    """What a run recorded, one entry per record; energies in eV of the whole structure."""

    steps: np.ndarray
    times: np.ndarray  # ps
    temperature: np.ndarray  # K
    target: np.ndarray | None  # K, of the thermostat; None where there is none
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
    temperature: K, with friction in 1/fs; None keeps the energy.  Points (step, K) make it a function of the step, linear
                 between them and constant beyond: [(0, 300), (10000, 2500)] heats, two more points hold and quench
    seed       : of the thermostat's noise; equal seeds give equal bits
    extrapolation: what to do outside the range of the training data: warn (once per function, and totals when a run ends),
                 raise or ignore; a calculator of another kind looks after itself

    Attributes: positions (n, 3), velocities (n, 3) in angstrom/fs, energy, forces (n, 3), step, target (K that the thermostat
    is set to at this step, None without one), and the properties below.  positions and velocities are the arrays the
    integrator works on, not copies.

    A run can be stopped and gone on with to the same bits: see state, save and the checkpoints of run.

    Raises ValueError for arguments that make no sense, and for constraints, which are not supported.
    Source: L. Verlet, Phys. Rev. 159, 98 (1967); W. C. Swope et al., J. Chem. Phys. 76, 637 (1982);
    B. Leimkuhler and C. Matthews, J. Chem. Phys. 138, 174102 (2013).
    """

    def __init__(self, atoms, potential, timestep=1.0, temperature=None, friction=None, seed=None, extrapolation="warn"):
        _check.atoms(atoms)
        if not len(atoms):
            raise ValueError("atoms: there are none, MD needs at least one")
        if atoms.constraints:
            raise ValueError(f"atoms: MD knows no constraints, got {len(atoms.constraints)}; "
                             "remove them with atoms.set_constraint()")
        if (temperature is None) != (friction is None):
            raise ValueError("temperature and friction go together: give both for Langevin dynamics, neither for constant energy")
        masses = _masses(atoms)
        self.timestep = _check.number("timestep", timestep, "fs", above=0)
        self.step = 0
        self.positions = atoms.get_positions()
        self.velocities = atoms.get_velocities() * units.fs
        if not np.isfinite(self.velocities).all():
            raise ValueError("atoms: momenta must be finite; set them anew, say with maxwell_boltzmann")
        self._atoms = atoms
        self._masses = masses[:, None]
        self._half_kick = 0.5 * self.timestep * units.fs**2 / masses  # eV/angstrom to angstrom/fs
        self._fastest = (_FARTHEST / self.timestep) ** 2
        self._normal = np.empty_like(self.positions)
        self._thermostat = temperature is not None
        self.target, self._ramp = None, False
        if self._thermostat:
            self._points = _points(temperature)
            self._ramp = len(self._points) > 1
            self._friction = _check.number("friction", friction, "1/fs", above=0)
            self._keep = math.exp(-self._friction * self.timestep)
            self._rng = _check.generator("seed", seed)
            self._aim()
        self._engine = _engine(potential, atoms, extrapolation)
        self._written = {}  # for each file or stream: the step last recorded there, and the bytes so far
        self._loaded = False
        self._evaluate()

    # ------------------------------------------------------------------------------------------------ to stop and to go on

    def state(self):
        """All it takes to go on to the same bits, as a dict of numbers, text and arrays that MD.resume takes.

        The thermostat's generator is in it, and the positions at which the neighbour list was made and with which skin: a list made
        elsewhere holds the same pairs in another order, and sums would differ in their last bits.
        """
        atoms = self._atoms
        extra = {key: a.copy() for key, a in atoms.arrays.items() if key not in ("numbers", "positions", "momenta") and _plain(a)}
        state = {"numbers": atoms.numbers.copy(), "positions": self.positions.copy(), "velocities": self.velocities.copy(),
                 "masses": self._masses[:, 0].copy(), "cell": atoms.cell.array.copy(), "pbc": atoms.pbc.copy(), "arrays": extra,
                 "info": {key: value for key, value in atoms.info.items() if isinstance(key, str) and _plain(value)},
                 "timestep": self.timestep, "step": self.step, "listed": self._engine.listed(), "skin": self._engine.skin(), "thermostat": None,
                 "extrapolation": self._engine.policy}
        if self._thermostat:
            state["thermostat"] = {"points": self._points.copy(), "friction": self._friction, "generator": self._rng.bit_generator.state}
        return state

    @classmethod
    def resume(cls, state, potential):
        """An MD that goes on from a state; with the same potential, on the same kernels, every bit is that of a run never stopped.

        An ASE calculator that keeps something of its own between calls (a neighbour list with a skin) may differ by rounding.
        Raises ValueError for a state that is none.
        """
        try:
            return cls._resume(state, potential)
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError) as e:
            raise ValueError(f"state: expected what MD.state gave ({type(e).__name__}: {e})") from None

    @classmethod
    def _resume(cls, state, potential):
        atoms = Atoms(np.asarray(state["numbers"], int), state["positions"], cell=state["cell"], pbc=state["pbc"], info=state["info"])
        for name, array in state["arrays"].items():
            atoms.set_array(name, array)
        if not np.array_equal(atoms.get_masses(), state["masses"]):
            atoms.set_masses(state["masses"])
        bath = state["thermostat"]
        settings = {"temperature": bath["points"], "friction": bath["friction"], "seed": _generator(bath["generator"])} if bath else {}
        md = cls(atoms, potential, state["timestep"], extrapolation=state["extrapolation"], **settings)
        for name, array in (("velocities", state["velocities"]), ("listed", state["listed"])):
            if array is not None and not (np.shape(array) == md.positions.shape and np.isfinite(array).all()):
                raise ValueError(f"state: {name} must be {md.positions.shape} finite numbers")
        md.velocities[:] = state["velocities"]  # exactly: Atoms hold momenta, which round
        md.step = _check.whole("state: step", state["step"], 0)
        skin = state["skin"]
        if skin is not None and not (np.ndim(skin) == 1 and 3 <= len(skin) <= 20 and np.isfinite(skin).all() and skin[0] > 0):
            raise ValueError("state: skin must be a few finite numbers, the first of them > 0")
        md._engine.list_at(state["listed"], skin)
        md._evaluate()
        md._engine.list_at(None, skin)  # which the evaluation has counted
        if bath:
            md._aim()
        return md

    def save(self, path):
        """Write the state to a file, beside and then renamed; and how far the files written by run have come, for load."""
        folder = os.path.dirname(os.path.realpath(path))
        files = {os.path.relpath(file, folder): list(at) for file, at in self._written.items()
                 if isinstance(file, str) and at[0] is not None}
        _store.save(path, "md", {**self.state(), "files": files})

    @classmethod
    def load(cls, path, potential):
        """The MD that save, or a checkpoint of run, wrote.  See resume.

        Given the same names, run goes on in the files as they were then: what was written to them later is cut off first.
        Files are looked for relative to the checkpoint; those it does not know are never replaced.
        Raises ValueError for a file that is no checkpoint of an MD.
        """
        state = _store.load(_check.path("path", path), "md")
        md = cls.resume(state, potential)
        md._loaded = True
        folder = os.path.dirname(os.path.realpath(path))
        files = state.get("files")
        if not isinstance(files, dict):
            raise ValueError(f"{path}: does not say which files its run had written; MD.save writes that")
        for file, (step, size) in files.items():
            md._written[os.path.realpath(os.path.join(folder, file))] = [_check.whole(f"{path}: step of {file}", step, 0),
                                                                        _check.whole(f"{path}: bytes of {file}", size, 0)]
        return md

    # ---------------------------------------------------------------------------------------------------------- quantities

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

    # ------------------------------------------------------------------------------------------------------------- running

    def run(self, steps, every=10, trajectory=None, thermo=None, observers=(), progress=None, checkpoint=None, checkpoint_every=1000):
        """Go on for `steps` steps and return what was recorded as a Thermo: the start, and each step that `every` divides.

        trajectory: path of an extended XYZ file, a frame per record with energy, forces, stress and momenta.  Each
                    frame is flushed, so that an interruption loses at most the last.  An old file is replaced, but a
                    later run of the same MD goes on in it: runs in pieces write what one run would, to the byte.  The
                    same holds for thermo.
        thermo    : path or stream for a table of the records
        observers : (function, k) pairs; function(md) is called at each step that k divides, after the start
        progress  : None shows a bar on a terminal when it takes over two seconds; True or False insist
        checkpoint: path of a file that MD.load goes on from, written at the start, at each step that checkpoint_every
                    divides, and at the end

            md = MD.load("md.ckpt", potential)        # after a crash: trajectory and table as if there had been none
            md.run(100000 - md.step, trajectory="md.extxyz", thermo="md.txt", checkpoint="md.ckpt")

        Raises RuntimeError, naming step and atom, when a force is not finite or an atom moves too far in a step, and
        ValueError for files that cannot be written, or are not those of this run.
        """
        steps = _check.whole("steps", steps, 0)
        every = _check.whole("every", every, 1)
        checkpoint_every = _check.whole("checkpoint_every", checkpoint_every, 1)
        try:
            observers = [(function, _check.whole("observers: k", k, 1)) for function, k in observers]
        except TypeError:
            raise ValueError(f"observers: expected (function, k) pairs, got {observers!r}") from None
        paths = [os.path.realpath(_check.path(name, path)) for name, path in (("trajectory", trajectory), ("thermo", thermo), ("checkpoint", checkpoint))
                 if path is not None and not hasattr(path, "write")]
        if len(set(paths)) < len(paths):
            raise ValueError(f"trajectory, thermo and checkpoint must be different files, got {', '.join(paths)}")
        records = []
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: self.atoms)  # bring the user's Atoms up to date, whatever ends the run
            outputs = [(stack.enter_context(self._output(target)), text)
                       for target, text in ((trajectory, self._frame), (thermo, self._line)) if target is not None]
            bar = stack.enter_context(Bar("MD", steps, progress))

            def record():
                records.append(self._row())
                for output, text in outputs:
                    if output.due(self.step, every):
                        output.write(self.step, text(records[-1], output.new))

            def keep():
                for output, _ in outputs:
                    output.sync()
                self.save(checkpoint)

            record()
            if checkpoint is not None:
                keep()  # says now, not in an hour, if it cannot be written
            for done in range(1, steps + 1):
                self._advance()
                if self.step % every == 0:
                    record()
                for function, k in observers:
                    if self.step % k == 0:
                        function(self)
                if checkpoint is not None and (self.step % checkpoint_every == 0 or done == steps):
                    keep()
                bar.show(done)
        self._engine.totals()
        return Thermo(*(None if column[0] is None else np.array(column) for column in zip(*records)))

    def _advance(self):
        """One step, in place."""
        x, v = self.positions, self.velocities
        if self._thermostat:
            self._rng.standard_normal(out=self._normal)
            slow = _core.kick_and_drift(x, v, self.forces, self._half_kick, self.timestep, self._fastest, self._normal, self._noise, self._keep)
        else:
            slow = _core.kick_and_drift(x, v, self.forces, self._half_kick, self.timestep, self._fastest)
        if not slow:
            self._blown_up()
        self.step += 1
        if self._ramp:
            self._aim()
        self._compute()
        if not (_core.kick(v, self.forces, self._half_kick) and math.isfinite(self.energy)):
            self._not_finite()

    def _aim(self):
        """Where the thermostat aims at this step, and the noise that goes with it."""
        target = float(np.interp(self.step, *self._points.T))
        if target != self.target:
            self.target = target
            self._noise = np.sqrt((1 - self._keep**2) * units.kB * target * units.fs**2 / self._masses[:, 0])

    def _evaluate(self):
        self._compute()
        if not (math.isfinite(self.energy) and _check.finite(self.forces)):
            self._not_finite()

    def _compute(self):
        try:
            self.energy, forces = self._engine(self.positions)
        except ExtrapolationError as error:
            raise ExtrapolationError(f"step {self.step}: {error}") from None
        except ValueError as error:
            raise RuntimeError(f"step {self.step}: {error}") from error
        self.forces = np.ascontiguousarray(forces, float)

    def _not_finite(self):
        bad = ~np.isfinite(self.forces).all(axis=1)
        where = f"the force on atom {np.argmax(bad)}" if bad.any() else f"the energy ({self.energy})"
        raise RuntimeError(f"step {self.step}: {where} is not finite; is the potential good for this structure?")

    def _blown_up(self):
        """Stop before atoms fly so far that even the neighbour search would choke."""
        speed = np.linalg.norm(self.velocities, axis=1)
        fastest = np.argmax(speed)
        raise RuntimeError(f"step {self.step}: atom {fastest} is about to move {speed[fastest] * self.timestep:.3g} "
                           f"angstrom in one step of {self.timestep:g} fs, the simulation has blown up; take a "
                           "smaller timestep, relax the start, or mistrust the potential here")

    def _row(self):
        """In the order of Thermo."""
        kinetic = self.kinetic
        return self.step, self.time, self.temperature, self.target, self.energy, kinetic, self.energy + kinetic, self.pressure

    def _line(self, row, header):
        """One line of the table; there is a column only for what there is."""
        names = ("# step", "time/ps", "T/K", "T_bath/K", "E_pot/eV", "E_kin/eV", "E_tot/eV", "E_tot/(eV/atom)", "P/GPa")
        formats = ("10d", "12.4f", "10.2f", "10.2f", "18.8f", "16.8f", "18.8f", "16.10f", "12.5f")
        values = (*row[:7], row[6] / len(self.positions), row[7])
        names, cells = zip(*((name, format(value, form)) for name, value, form in zip(names, values, formats) if value is not None))
        head = " ".join(name.rjust(len(cell)) for name, cell in zip(names, cells)) + "\n" if header else ""
        return head + " ".join(cells) + "\n"

    def _frame(self, row, header):
        """The structure as extended XYZ.  Labels that the start brought along are left out: they are not this frame's."""
        atoms = self.atoms
        frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, momenta=atoms.get_momenta(),
                      info={"step": self.step, "time_ps": self.time})
        for name in _CARRIED:
            if atoms.has(name):
                frame.set_array(name, atoms.get_array(name))
        results = {"energy": self.energy, "forces": self.forces, "stress": self.stress}
        frame.calc = SinglePointCalculator(frame, **{key: value for key, value in results.items() if value is not None})
        text = io.StringIO()
        ase.io.write(text, frame, format="extxyz")
        return text.getvalue()

    @contextlib.contextmanager
    def _output(self, target):
        """Take a stream as it is; open a path, and go on after the last whole record if this MD has begun it."""
        is_path = not hasattr(target, "write")
        key = os.path.realpath(target) if is_path else target
        written = self._written.setdefault(key, [None, 0])
        if not is_path:
            yield _Output(target, written)
            return
        new = written[0] is None
        try:  # x: a run that goes on may be given a wrong name, and what is there may be days of work
            stream = open(target, "r+" if not new else "x" if self._loaded else "w", encoding="utf-8", newline="\n")
        except OSError as e:
            raise ValueError(f"{target}: cannot be written ({e.strerror}); choose another place") from None
        try:
            size = os.fstat(stream.fileno()).st_size
            if size < written[1]:
                raise ValueError(f"{target}: has {size} bytes where {written[1]} had been written, it is not the file of this run; "
                                 "put that back, or choose another name")
            if not new:
                stream.truncate(written[1])
                stream.seek(0, os.SEEK_END)
            yield _Output(stream, written, target)
        finally:
            with contextlib.suppress(OSError):  # a full disk was reported already, by the record that did not fit
                stream.close()


class _Output:
    """A file or stream for records.  written: the step last recorded there, None before the first, and the bytes so far;  path: of a file of ours"""

    def __init__(self, stream, written, path=None):
        self._stream, self._written, self._path = stream, written, path

    @property
    def new(self):
        return self._written[0] is None

    def due(self, step, every):
        """The first record is always due; then those that `every` divides, so that a run in pieces writes what one run would."""
        return self.new or (step % every == 0 and step != self._written[0])

    def write(self, step, text):
        with self._named():
            self._stream.write(text)
            self._stream.flush()
        self._written[:] = step, self._written[1] + len(text.encode())

    def sync(self):
        """On the disk before the checkpoint that counts on it; a stream is its owner's, and so are its errors."""
        if self._path is not None:
            with self._named():
                os.fsync(self._stream.fileno())

    @contextlib.contextmanager
    def _named(self):
        try:
            yield
        except OSError as e:
            if self._path is None:
                raise
            raise ValueError(f"{self._path}: cannot be written ({e.strerror}); make room, or choose another place") from None


# ------------------------------------------------------------------------------------------- where the forces come from

class _Direct:
    """A fastmd potential: plain arrays and a Verlet list."""

    def __init__(self, potential, atoms, extrapolation):
        potential.compute(atoms)  # says what is wrong with the structure, if anything is
        self.policy = extrapolation
        self._watched = Watched(potential, extrapolation)
        self._evaluate = self._watched.evaluate
        self._species = potential.species(atoms.get_chemical_symbols())
        self._cell, self._pbc = np.array(atoms.cell), atoms.pbc.copy()
        self._ready = {}
        self._verlet = Verlet(potential.cutoff, skin=None)
        self._list(atoms.positions)
        self._volume = atoms.get_volume() if self._pbc.all() else None

    def __call__(self, positions):
        if positions is not self._x or not self._verlet.holds(positions):
            self._list(positions)
        energy, _, forces, self._virial = self._evaluate(self._species, positions, self._cell, self._pairs, **self._ready)
        return energy, forces

    def totals(self):
        """At the end of a run: say if it left the range of the training data, and how often."""
        if self._watched.evaluations_outside:
            warnings.warn(self._watched.totals(), ExtrapolationWarning, stacklevel=3)
            self._watched.clear()

    def listed(self):
        """(n, 3) positions at which the neighbour list was made"""
        return self._verlet.positions

    def skin(self):
        """(k,) what led to the list's skin and will lead to the next"""
        return self._verlet.history

    def list_at(self, positions, skin):
        """Make the list anew as it was made there, if anywhere, and go on with the skin as after `skin`."""
        if positions is not None:
            self._verlet = Verlet(self._watched.potential.cutoff, skin=None)
            self._verlet.skin = float(skin[0])
            self._list(positions)
        self._verlet.history = np.asarray(skin, float)

    def _list(self, positions):
        self._x, self._pairs = positions, self._verlet.pairs(positions, self._cell, self._pbc)
        if isinstance(self._watched.potential, NNPotential):
            self._ready = {"system": self._watched.potential.system(self._species, positions, self._cell, self._pairs)}

    def stress(self):
        return None if self._volume is None else -self._virial.flat[[0, 4, 8, 5, 2, 1]] / self._volume


class _Calculator:
    """Any ASE calculator, on an Atoms of our own."""

    policy = "ignore"  # the calculator's own business

    def __init__(self, calculator, atoms):
        self._atoms = atoms.copy()
        self._atoms.calc = calculator
        self._has_stress = atoms.pbc.all() and "stress" in calculator.implemented_properties

    def __call__(self, positions):
        self._atoms.positions[:] = positions
        return self._atoms.get_potential_energy(), self._atoms.get_forces()

    def totals(self):
        pass

    def listed(self):
        return None

    def skin(self):
        return None

    def list_at(self, positions, skin):
        """The calculator's lists are its own."""

    def stress(self):
        return self._atoms.get_stress() if self._has_stress else None


def _engine(potential, atoms, extrapolation):
    if type(potential) is Calculator:
        potential = potential.potential  # without the way through ASE, and with a list that can be made again
    if isinstance(potential, Potential):
        return _Direct(potential, atoms, extrapolation)
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
    temperature = _check.number("temperature", temperature, "K", at_least=0)
    _check.atoms(atoms)
    dof = 3 * len(atoms) - 3
    if not len(atoms) or atoms.constraints:
        raise ValueError("atoms: expected at least one, and no constraints (remove them with atoms.set_constraint())")
    if temperature > 0 and dof <= 0:
        raise ValueError(f"atoms: {len(atoms)} of them without net momentum have no temperature, it takes two")
    masses = _masses(atoms)[:, None]
    velocities = _check.generator("rng", rng).standard_normal((len(atoms), 3)) * np.sqrt(units.kB * temperature / masses)
    velocities -= (masses * velocities).sum(0) / masses.sum()
    if exact and temperature > 0:
        velocities *= math.sqrt(dof * units.kB * temperature / (masses * velocities**2).sum())
    atoms.set_velocities(velocities)


# -------------------------------------------------------------------------------------------------------------- arguments

def _masses(atoms):
    """(n,) amu"""
    masses = atoms.get_masses()
    bad = ~(np.isfinite(masses) & (masses > 0))
    if bad.any():
        raise ValueError(f"atoms: masses must be finite and > 0 amu, atom {np.argmax(bad)} has {masses[bad][0]}; see atoms.set_masses")
    return masses


def _points(temperature):
    """(m, 2) steps and kelvins between which the temperature is linear; one point for a temperature that stays."""
    if not isinstance(temperature, (list, tuple, np.ndarray)):
        return np.array([[0.0, _check.number("temperature", temperature, "K", at_least=0)]])
    try:
        points = np.array(temperature, float)
    except (TypeError, ValueError):
        points = np.empty(0)
    if not (points.ndim == 2 and points.shape[1] == 2 and len(points) and np.isfinite(points).all() and (points[:, 1] >= 0).all()
            and (np.diff(points[:, 0]) > 0).all()):
        raise ValueError("temperature: expected K, or points (step, K) such as [(0, 300), (10000, 2500)] with rising steps and "
                         f"nothing below 0 K, got {temperature!r}")
    return points


def _generator(state):
    """A numpy Generator in a state of its own."""
    if state["bit_generator"] not in _GENERATORS:
        raise ValueError(f"state: the generator must be one of {', '.join(_GENERATORS)}, got {state['bit_generator']!r}")
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


def _plain(value):
    """What a state can hold: numbers, text and arrays of them."""
    return isinstance(value, (bool, int, float, str, np.generic, np.ndarray)) and np.asarray(value).dtype.kind in "biufU"
