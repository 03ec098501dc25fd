"""Sampling: which configurations of a molecular dynamics run become training data, and pools of them from many runs.

Atoms spend most of their time where forces are small.  A set at equal intervals is therefore dense there and thin where forces are large
and a fit is hardest; the force-dependent interval evens this out.  Equal intervals and random choice are here beside it, to compare.
Source: J. A. Stende, Constructing high-dimensional neural network potentials for molecular dynamics, University of Oslo (2017), section 7.1.2,
after A. Pukrittayakamee et al., J. Chem. Phys. 130, 134101 (2009).
"""

import hashlib
import io
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from . import _check, _store
from ._progress import Bar
from .lammps_md import LammpsMD
from .md import MD, maxwell_boltzmann
from .pairs import find_pairs
from .potential import Potential

__all__ = ["EqualInterval", "ForceHistogram", "Interval", "Pool", "RandomChoice", "SamplingPlan", "cut_out", "rattle", "sample_lammps", "sample_md", "sample_pool"]

STARTS = ("given", "rattled", "molten", "cluster")
_PIECE = 100      # steps that are run at once; frames of a piece are in memory together
_MOST = 1 << 20   # trajectories of a plan


# ------------------------------------------------------------------------------------------------------------------ rules
# A rule is a function (step, force, tau) -> (mask, tau): which of the forces (k,), eV/angstrom, are sampled at this step.  tau is the rule's
# own memory from step to step, None at first.

def _set(frozen, **values):
    """Checked values of a frozen dataclass, in one type, so that 1 and 1.0 are the same settings"""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


@dataclass(frozen=True)
class Interval:
    """Force-dependent interval: large forces are sampled often.

        tau = clip(floor(alpha / |F|), 1, tau_max) steps, and tau_max where F = 0;    sampled where step % tau = 0

    tau is found anew at each step that tau_max divides, as in the source.
    alpha: eV/angstrom; above it, every step is sampled, below alpha / tau_max, each tau_max-th;  tau_max: steps
    Raises ValueError for alpha <= 0 or tau_max < 1.
    Source: equation (7.2) of the thesis above.
    """

    alpha: float
    tau_max: int = 10

    def __post_init__(self):
        _set(self, alpha=_check.number("alpha", self.alpha, "eV/angstrom", above=0), tau_max=_check.whole("tau_max", self.tau_max, 1))

    def tau(self, force):
        """(k,) whole steps, from |F| (k,) in eV/angstrom"""
        force = np.asarray(force, float)
        with np.errstate(over="ignore"):  # alpha / 1e-320 may well be infinite
            ratio = np.divide(self.alpha, force, out=np.full(force.shape, np.inf), where=force > 0)
        return np.clip(np.floor(ratio), 1, self.tau_max).astype(int)

    def __call__(self, step, force, tau):
        if tau is None or step % self.tau_max == 0:
            tau = self.tau(force)
        return step % tau == 0, tau


@dataclass(frozen=True)
class EqualInterval:
    """Each `every`-th step, whatever the forces. Raises ValueError for every < 1."""

    every: int

    def __post_init__(self):
        _set(self, every=_check.whole("every", self.every, 1))

    def __call__(self, step, force, tau):
        return np.full(len(force), step % self.every == 0), tau


@dataclass(frozen=True)
class RandomChoice:
    """Each step with probability 1 / every, each atom on its own.

    The draw depends on seed and step alone, so there is no state to keep. Raises ValueError for every < 1 or seed < 0.
    """

    every: int
    seed: int = 1

    def __post_init__(self):
        _set(self, every=_check.whole("every", self.every, 1), seed=_check.whole("seed", self.seed, 0))

    def __call__(self, step, force, tau):
        return np.random.default_rng([self.seed, step]).random(len(force)) * self.every < 1, tau


class ForceHistogram:
    """How often each size of force came by, and how often it was sampled: counts in bins of 0.05 eV/angstrom, the last for all above.

    seen, sampled: (2000,) counts, filled by sample_md
    """

    WIDTH, BINS = 0.05, 2000  # to 100 eV/angstrom

    def __init__(self):
        self.seen, self.sampled = np.zeros((2, self.BINS), np.int64)

    def add(self, force, mask):
        """force: (k,) eV/angstrom;  mask: (k,) the sampled ones"""
        k = np.minimum(np.asarray(force) / self.WIDTH, self.BINS - 1).astype(int)
        np.add.at(self.seen, k, 1)
        np.add.at(self.sampled, k[mask], 1)

    def picture(self, path, what="force"):
        """Draw the distribution of all forces and of the sampled ones, and the share that was sampled, as a PNG.

        what: names the axis.  Raises ValueError where nothing was sampled.
        Source: figure 7.1 of the thesis above.
        """
        from matplotlib.figure import Figure

        if not self.sampled.any():
            raise ValueError("the histogram is empty: nothing was sampled yet")
        last = int(np.flatnonzero(self.seen)[-1]) + 1
        merge = -(-last // 40)  # at most forty bars
        bars = -(-last // merge)
        edges = np.arange(bars + 1) * merge * self.WIDTH
        seen, sampled = (np.pad(x[:bars * merge], (0, max(0, bars * merge - self.BINS))).reshape(bars, merge).sum(1) for x in (self.seen, self.sampled))
        figure = Figure(figsize=(10, 4), layout="constrained")
        a, b = figure.subplots(1, 2)
        a.set_title("Distribution of forces")
        for counts, color, label in ((seen, "0.6", f"all steps ({seen.sum()})"), (sampled, "C1", f"sampled ({sampled.sum()})")):
            a.stairs(counts / counts.sum() / (edges[1] - edges[0]), edges, color=color, lw=1.5, fill=color == "0.6", label=label)
        a.set_ylabel("probability density (Å/eV)")
        a.legend()
        b.set_title("Share of the steps that is sampled")
        there = seen > 0
        b.plot(((edges[1:] + edges[:-1]) / 2)[there], sampled[there] / seen[there], "C1.-", lw=1)
        b.set_ylim(0, 1.1 * (sampled[there] / seen[there]).max())
        b.set_ylabel("sampled / all")
        for axes in (a, b):
            axes.set_xlabel(f"{what} (eV/Å)")
            axes.set_xlim(0, edges[-1])
        png = io.BytesIO()
        figure.savefig(png, dpi=120, format="png")
        _check.write_bytes(path, png.getvalue())


# --------------------------------------------------------------------------------------------------------------- one run

def sample_md(md, rule, steps, atoms=None, cutoff=None, potential=None, histogram=None):
    """Run `steps` steps of an MD and yield the configurations that a rule chooses, as ase.Atoms that share nothing with it.

        md = fastmd.MD(atoms, potential, temperature=[(0, 300), (20000, 2500)], friction=0.01, seed=1)
        frames = list(fastmd.sample_md(md, fastmd.Interval(alpha=20, tau_max=50), 20000))

    md       : fastmd.MD, or fastmd.LammpsMD; the configurations after each of the steps are looked at, so that calls can follow on one another
    rule     : Interval, EqualInterval, RandomChoice, or a function (step, force, tau) -> (mask, tau)
    atoms    : indices of chosen atoms, each with an interval of its own from the force on it; None takes whole structures, by the largest force
    cutoff   : angstrom, with chosen atoms: how far their environments reach
    potential: a fastmd Potential (or an ASE calculator) that adds atomic energies to environments; None leaves them out (a LammpsMD that keeps
               them adds its own)
    histogram: a ForceHistogram to fill

    A structure has energy, forces and, where it is periodic in three directions, stress.  An environment is the chosen atom at the origin,
    the first in it, and after it its neighbours' relative positions, in the open; info has `atom`, its index in the run, `atomic_force` (3,)
    in eV/angstrom and `atomic_energy` in eV.  Either has in info `step` and, under a thermostat, `temperature`, its target in K.
    Interval begins with the forces of the present step: pieces give what one call gives if they end where tau_max divides the step.
    Up to 100 steps are run ahead of the frame that is yielded.

    Raises ValueError for arguments that make no sense; RuntimeError, after all sampled before, when the simulation blows up.
    """
    if not isinstance(md, (MD, LammpsMD)):
        raise ValueError(f"md: expected fastmd.MD or fastmd.LammpsMD, got {type(md).__name__}")
    if not callable(rule):
        raise ValueError(f"rule: expected an Interval, EqualInterval, RandomChoice or a function, got {rule!r}")
    if histogram is not None:
        _check.kind("histogram", histogram, ForceHistogram)
    steps = _check.whole("steps", steps, 0)
    atoms = _chosen(atoms, len(md.forces), cutoff)
    if potential is not None and (atoms is None or not _gives_energies(potential)):
        raise ValueError("potential: expected, together with atoms, a fastmd Potential or an ASE calculator that gives atomic energies, "
                         f"got {type(potential).__name__}; leave it out")
    return _sample(md, rule, steps, atoms, cutoff, potential, histogram)


def _sample(md, rule, steps, atoms, cutoff, potential, histogram):
    def magnitudes():
        forces = np.linalg.norm(md.forces if atoms is None else md.forces[atoms], axis=1)
        return forces.max(keepdims=True) if atoms is None else forces

    found = []
    quiet = {"every": _PIECE, "progress": False} if isinstance(md, MD) else {}
    _, tau = rule(md.step, magnitudes(), None)

    def look(md):
        nonlocal tau
        forces = magnitudes()
        mask, tau = rule(md.step, forces, tau)
        if histogram is not None:
            histogram.add(forces, mask)
        if mask.any():
            found.extend([_structure(md)] if atoms is None else _environments(md, atoms[mask], cutoff, potential))

    end = md.step + steps
    while md.step < end:
        try:
            md.run(min(_PIECE, end - md.step), observers=[(look, 1)], **quiet)
        finally:
            yield from found
            found.clear()


def _gives_energies(potential):
    return isinstance(potential, Potential) or "energies" in getattr(potential, "implemented_properties", ())


def _chosen(atoms, n, cutoff):
    """(k,) indices, or None"""
    if atoms is None:
        if cutoff is not None:
            raise ValueError(f"cutoff is for the environments of chosen atoms, got {cutoff!r} and no atoms; give atoms too, or leave it out")
        return None
    if cutoff is None:
        raise ValueError("cutoff is missing: the environments of chosen atoms need one, in angstrom, say that of the potential to train")
    _check.number("cutoff", cutoff, "angstrom", above=0)
    chosen = np.asarray(atoms)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not len(chosen) or len(np.unique(chosen)) < len(chosen):
        raise ValueError(f"atoms: expected different indices of atoms, such as [0, 5], got {atoms!r}")
    if chosen.min() < 0 or chosen.max() >= n:
        raise ValueError(f"atoms: expected indices from 0 to {n - 1}, got {atoms!r}")
    return chosen


def _info(md):
    return {"step": md.step} if md.target is None else {"temperature": md.target, "step": md.step}


def _now(md):
    """The structure and nothing else"""
    atoms = md.atoms
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _finite(md, what, value):
    """MD sees to its energy and forces; what comes beside them is seen to here."""
    if not np.isfinite(value).all():
        raise RuntimeError(f"step {md.step}: {what} is not finite; is the potential good for this structure?")
    return value


def _structure(md):
    frame = _now(md)
    frame.info = _info(md)
    stress = md.stress if frame.pbc.all() else None
    labels = {} if stress is None else {"stress": _finite(md, "the stress", stress)}
    frame.calc = SinglePointCalculator(frame, energy=md.energy, forces=md.forces, **labels)
    return frame


def _environments(md, atoms, cutoff, potential):
    whole = _now(md)
    pairs = find_pairs(whole, cutoff)
    energies = md.energies if isinstance(md, LammpsMD) else None
    if isinstance(potential, Potential):
        energies = potential.compute(whole).energies
    elif potential is not None:
        energies = potential.get_property("energies", whole)
    for i in atoms.tolist():
        frame = _around(whole, i, pairs)
        frame.info = {"atom": i, **_info(md), "atomic_force": md.forces[i].copy()}
        if energies is not None:
            frame.info["atomic_energy"] = float(_finite(md, f"the energy of atom {i}", energies[i]))
        yield frame


# ---------------------------------------------------------------------------------------------------------------- starts

def cut_out(atoms, centre, radius):
    """Atom `centre` at the origin, and after it all within a radius of it, periodic images too, in vacuum with open boundaries.

    radius: angstrom.  Raises ValueError for a centre that is not there, and a radius <= 0.
    """
    _check.atoms(atoms)
    if not 0 <= _check.whole("centre", centre, 0) < len(atoms):
        raise ValueError(f"centre: expected an index from 0 to {len(atoms) - 1}, got {centre}")
    return _around(atoms, centre, find_pairs(atoms, _check.number("radius", radius, "angstrom", above=0)))


def _around(atoms, i, pairs):
    row = slice(pairs.first[i], pairs.first[i + 1])
    return Atoms(atoms.numbers[np.append(i, pairs.j[row])], np.vstack([np.zeros(3), pairs.d[row]]))


def rattle(atoms, size, rng=None):
    """Move each atom to a place drawn evenly from the ball of a radius about it; far from equilibrium, but no atom lands on another.

    size: angstrom, the radius;  rng: a numpy Generator, or a seed for one.  Raises ValueError for a size < 0.
    """
    size = _check.number("size", size, "angstrom", at_least=0)
    rng = _check.generator("rng", rng)
    _check.atoms(atoms)
    d = rng.standard_normal((len(atoms), 3))
    d *= size * np.cbrt(rng.random((len(atoms), 1))) / np.linalg.norm(d, axis=1, keepdims=True)
    atoms.positions += d


@dataclass(frozen=True)
class SamplingPlan:
    """The trajectories of a pool: every temperature x stretch x start, several times over with different seeds.

    temperatures: pairs (first, last) in K, the thermostat goes from one to the other over the steps that are sampled
    stretches   : factors of all lengths of the start: densities
    starts      : any of  given    the structure as it is
                          rattled  each atom displaced by up to `rattle` angstrom
                          molten   after `melt_steps` at `melt` K, then quenched: the thermostat is set to the first temperature at once
                          cluster  a cut-out within `radius` angstrom of an atom drawn by lot, in vacuum
                  given and cluster are brought to the first temperature for `equilibrate` steps; rattled and molten are sampled at once, since
                  it is the way to equilibrium that they are for
    trajectories: how many of each
    steps       : that are sampled;  timestep: fs;  friction: 1/fs;  seed: of everything
    Raises ValueError for what makes no sense.
    """

    temperatures: tuple = ((300.0, 300.0),)
    stretches: tuple = (1.0,)
    starts: tuple = ("given",)
    trajectories: int = 1
    steps: int = 1000
    equilibrate: int = 500
    timestep: float = 1.0
    friction: float = 0.01
    rattle: float = 0.3
    melt: float = 4000.0
    melt_steps: int = 2000
    radius: float = 8.0
    seed: int = 1

    def __post_init__(self):
        for name in ("temperatures", "stretches", "starts"):
            if not isinstance(getattr(self, name), (tuple, list)) or not len(getattr(self, name)):
                raise ValueError(f"{name}: expected a tuple of one or more, got {getattr(self, name)!r}")
        for pair in self.temperatures:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ValueError(f"temperatures: expected pairs (first, last) in K, got {pair!r}")
        _set(self, temperatures=tuple(tuple(_check.number("temperatures", t, "K", at_least=0) for t in pair) for pair in self.temperatures),
             stretches=tuple(_check.number("stretches", s, above=0) for s in self.stretches), starts=tuple(self.starts))
        for start in self.starts:
            if start not in STARTS:
                raise ValueError(f"starts must be of {', '.join(STARTS)}, got {start!r}")
        for name, least in (("trajectories", 1), ("steps", 1), ("equilibrate", 0), ("melt_steps", 1), ("seed", 0)):
            _set(self, **{name: _check.whole(name, getattr(self, name), least)})
        for name, unit in (("timestep", "fs"), ("friction", "1/fs"), ("radius", "angstrom")):
            _set(self, **{name: _check.number(name, getattr(self, name), unit, above=0)})
        for name, unit in (("rattle", "angstrom"), ("melt", "K")):
            _set(self, **{name: _check.number(name, getattr(self, name), unit, at_least=0)})
        for name in ("temperatures", "stretches", "starts"):  # the name of a trajectory must be its own
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: each once, got {', '.join(map(str, getattr(self, name)))}; for more of the same, raise trajectories")
        states = len(self.temperatures) * len(self.stretches) * len(self.starts)
        if states * self.trajectories > _MOST:
            raise ValueError(f"trajectories: {states} states, {self.trajectories} of each, are too many; at most {_MOST} in all")

    def __len__(self):
        return len(self.temperatures) * len(self.stretches) * len(self.starts) * self.trajectories

    def check(self, atoms):
        """Raises ValueError for a structure that this plan cannot start from."""
        atoms = _bare(atoms)
        maxwell_boltzmann(atoms, max(t for pair in self.temperatures for t in pair))
        if self.stretches != (1.0,) and atoms.cell.rank < 3:
            raise ValueError(f"stretches: a structure without a cell has no density to change, got {', '.join(map(str, self.stretches))}; leave it at 1")
        if "cluster" in self.starts and not np.diff(find_pairs(atoms, self.radius / max(self.stretches)).first).all():
            raise ValueError(f"radius: there are atoms with none within {self.radius:g} angstrom, which would be clusters of one; raise it")

    def runs(self):
        """The trajectories, in order: dicts of start, stretch, temperature, seed and name"""
        found = []
        for start in self.starts:
            for stretch in self.stretches:
                for first, last in self.temperatures:
                    kelvin = _short(first) if first == last else f"{_short(first)}-{_short(last)}"
                    for k in range(1, self.trajectories + 1):
                        seed = int(np.random.SeedSequence([self.seed, len(found)]).generate_state(1)[0])
                        found.append({"start": start, "stretch": stretch, "temperature": (first, last), "seed": seed, "name": f"{start}-{_short(stretch)}-{kelvin}K-{self.seed}-{k}"})
        return found

    def begin(self, run, atoms, potential):
        """The MD of one of the runs, ready to be sampled."""
        rng = np.random.default_rng(run["seed"])
        first, last = run["temperature"]
        bath = {"timestep": self.timestep, "friction": self.friction, "seed": rng}
        atoms = _bare(atoms)
        if run["stretch"] != 1:
            atoms.set_cell(atoms.cell * run["stretch"], scale_atoms=True)
        if run["start"] == "rattled":
            rattle(atoms, self.rattle, rng)
        elif run["start"] == "molten":
            maxwell_boltzmann(atoms, 2 * self.melt, rng)  # half of it goes into the bonds
            MD(atoms, potential, temperature=self.melt, **bath).run(self.melt_steps, every=self.melt_steps, progress=False)
        elif run["start"] == "cluster":
            atoms = cut_out(atoms, int(rng.integers(len(atoms))), self.radius)
        maxwell_boltzmann(atoms, first, rng)
        if run["start"] in ("given", "cluster") and self.equilibrate:
            MD(atoms, potential, temperature=first, **bath).run(self.equilibrate, every=self.equilibrate, progress=False)
        return MD(atoms, potential, temperature=[(0, first), (self.steps, last)], **bath)


def _short(x):
    """300.0 -> 300, with all digits, so that no two states share a name"""
    return repr(x).removesuffix(".0")


def _bare(atoms):
    """The structure with its masses, without labels it may have brought along"""
    _check.atoms(atoms)
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if atoms.has("masses"):
        bare.set_masses(atoms.get_masses())
    return bare


# ----------------------------------------------------------------------------------------------------------------- pools

@dataclass
class Pool:
    """What sample_pool did. frames: written;  ended: (trajectory, why) of those that blew up, with all sampled before;  histogram: of the forces"""

    frames: int = 0
    ended: list = field(default_factory=list)
    histogram: ForceHistogram = field(default_factory=ForceHistogram)

    def add(self, file, frame, trajectory):
        """Write a frame to a file of bytes."""
        frame.info["trajectory"] = trajectory
        text = io.StringIO()
        ase.io.write(text, frame, format="extxyz")
        file.write(text.getvalue().encode())
        self.frames += 1


def sample_lammps(path, md, rule, steps, trajectory, chosen=None, cutoff=None, progress=None):
    """Sample steps of an MD that LAMMPS does into an extended XYZ file, as sample_pool does with fastmd's own.

        with fastmd.LammpsMD("melt.in", ["Si"], variables={"T": 2000, "seed": 1}) as md:
            fastmd.sample_lammps("pool.extxyz", md, fastmd.Interval(20, 50), 20000, "melt-2000K-1")

    path      : frames are flushed as they come; an old file is replaced
    md        : fastmd.LammpsMD;  rule: as of sample_md;  steps: that are sampled, after those that the script itself runs
    trajectory: the name in info by which training holds out whole trajectories: one for each run
    chosen    : indices of atoms (their ids less one) whose environments are wanted, within `cutoff` angstrom; None takes whole structures
    progress  : None shows a bar on a terminal when it takes over two seconds; True or False insist

    A trajectory that blows up ends there.  Returns a Pool.  Raises ValueError for arguments that make no sense.
    """
    _check.kind("md", md, LammpsMD)
    if not isinstance(trajectory, str) or not trajectory or trajectory != trajectory.strip():
        raise ValueError(f"trajectory: expected the name of this run, got {trajectory!r}")
    pool = Pool()
    frames = sample_md(md, rule, steps, chosen, cutoff, histogram=pool.histogram)
    _check.write_bytes(_check.path("path", path), b"")
    with _open(path, 0) as file, Bar("steps", steps, progress) as bar:
        begin = md.step
        try:
            for frame in frames:
                pool.add(file, frame, trajectory)
                file.flush()
                bar.show(md.step - begin)
        except RuntimeError as e:
            pool.ended.append((trajectory, str(e)))
    return pool


def sample_pool(path, atoms, potential, rule, plan, chosen=None, cutoff=None, resume=False, progress=None, checkpoint_seconds=10.0):
    """Sample all trajectories of a plan into one extended XYZ file.

        fastmd.sample_pool("pool.extxyz", bulk("Si", cubic=True) * 2, fastmd.StillingerWeber(), fastmd.Interval(20, 50),
                           fastmd.SamplingPlan(temperatures=[(300, 2500)], stretches=(0.98, 1.0, 1.02), trajectories=3))

    path     : frames are appended and flushed, each as sample_md makes it, with `trajectory` in info, a name of its own for each run
    atoms    : ase.Atoms to start from;  potential: a fastmd Potential or an ASE calculator
    rule     : Interval, EqualInterval or RandomChoice (whose draws are seeded by the trajectory)
    plan     : SamplingPlan
    chosen   : indices of atoms whose environments are wanted, within `cutoff` angstrom; None takes whole structures
    resume   : go on after a crash.  The file is then, byte for byte, that of a run that was never stopped (with an ASE calculator that keeps
               something of its own from step to step, to rounding).
    progress : None shows a bar on a terminal when it takes over two seconds; True or False insist
    checkpoint_seconds: between checkpoints (PATH.checkpoint, gone when all is done); what came after the last is done again

    A trajectory that blows up ends there; the next begins.  Returns a Pool.
    Raises ValueError for arguments that make no sense, a checkpoint of other settings, and an unfinished pool in the way.
    """
    path = Path(_check.path("path", path))
    _check.kind("plan", plan, SamplingPlan)
    checkpoint = path.with_name(path.name + ".checkpoint")
    if not isinstance(rule, (Interval, EqualInterval, RandomChoice)):
        raise ValueError(f"rule: expected an Interval, EqualInterval or RandomChoice, got {rule!r}")
    environments = {}
    if chosen is not None:
        if "cluster" in plan.starts:
            raise ValueError("chosen: a cluster has other atoms than the start; choose atoms, or start from clusters, not both")
        environments = {"atoms": chosen, "cutoff": cutoff, "potential": potential if _gives_energies(potential) else None}
    plan.check(atoms)
    _chosen(chosen, len(atoms), cutoff)
    settings = _settings(atoms, potential, rule, plan, chosen, cutoff)
    pool = Pool()
    state = _restart(path, checkpoint, settings) if resume else None
    if state is None:
        if checkpoint.exists() and not resume:
            raise ValueError(f"{checkpoint}: belongs to a sampling that was not finished; go on with it (resume), or remove it")
        state = {"settings": settings, "run": 0, "bytes": 0, "frames": 0, "ended": [], "md": None, "seen": pool.histogram.seen, "sampled": pool.histogram.sampled}
        _check.write_bytes(path, b"")
        _store.save(checkpoint, "sample", state)
    pool.frames, pool.ended = state["frames"], [tuple(x) for x in state["ended"]]
    pool.histogram.seen[:], pool.histogram.sampled[:] = state["seen"], state["sampled"]
    runs = plan.runs()
    piece = max(1, _PIECE // getattr(rule, "tau_max", 1)) * getattr(rule, "tau_max", 1)  # tau is found anew there, so it is not in the state
    begun = state["md"]
    with _open(path, state["bytes"]) as file, Bar("steps", len(runs) * plan.steps, progress) as bar:
        saved = time.monotonic()

        def keep(k, md):
            nonlocal saved
            if time.monotonic() - saved >= checkpoint_seconds:
                file.flush()
                os.fsync(file.fileno())
                _store.save(checkpoint, "sample", {"settings": settings, "run": k, "bytes": file.tell(), "frames": pool.frames, "ended": [list(x) for x in pool.ended],
                                                   "md": md and md.state(), "seen": pool.histogram.seen, "sampled": pool.histogram.sampled})
                saved = time.monotonic()

        for k in range(state["run"], len(runs)):
            run = runs[k]
            chance = replace(rule, seed=run["seed"]) if isinstance(rule, RandomChoice) else rule
            try:
                md = MD.resume(begun, potential) if begun else plan.begin(run, atoms, potential)
                begun = None
                while md.step < plan.steps:
                    for frame in sample_md(md, chance, min(piece, plan.steps - md.step), histogram=pool.histogram, **environments):
                        pool.add(file, frame, run["name"])
                    file.flush()
                    bar.show(k * plan.steps + md.step)
                    if md.step < plan.steps:
                        keep(k, md)
            except RuntimeError as e:
                pool.ended.append((run["name"], str(e)))
            keep(k + 1, None)
        file.flush()
        os.fsync(file.fileno())
    checkpoint.unlink(missing_ok=True)
    return pool


def _open(path, size):
    """The file, cut off where the checkpoint was made."""
    try:
        file = open(path, "r+b")
    except OSError as e:
        raise ValueError(f"{path}: cannot be written ({e.strerror}); choose another place") from None
    found = file.seek(0, os.SEEK_END)
    if found < size:
        file.close()
        raise ValueError(f"{path}: has {found} bytes where {size} had been written, it is not the file of this run; put that back, or begin anew without resume")
    file.truncate(size)
    file.seek(size)
    return file


def _settings(atoms, potential, rule, plan, chosen, cutoff):
    """All that decides about the bytes of the file, as text.  The potential is known by an energy, which any parameter would change."""
    start = _bare(atoms)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in (start.numbers, start.positions, start.cell.array, start.pbc, start.get_masses())))
    probe = start.copy()
    rattle(probe, 0.1, 0)
    return {"atoms": digest.hexdigest()[:16], "potential": repr(MD(probe, potential).energy), "rule": repr(rule), "chosen": repr(None if chosen is None else [int(i) for i in chosen]), "cutoff": repr(cutoff),
            **{name: repr(value) for name, value in asdict(plan).items()}}


def _restart(path, checkpoint, settings):
    """The state to go on from, None to begin."""
    if not checkpoint.exists():
        if path.exists():
            raise ValueError(f"{path}: there is no checkpoint of it, so it is finished, or was not made by sampling; to make it anew, leave resume out")
        return None
    state = _store.load(checkpoint, "sample")
    try:
        for name in ("run", "bytes", "frames"):
            _check.whole(name, state[name], 0)
        counts = np.array([state["seen"], state["sampled"]])
        sound = counts.shape == (2, ForceHistogram.BINS) and counts.dtype.kind == "i" and all(len(x) == 2 for x in state["ended"])
        sound = sound and isinstance(state["settings"], dict) and isinstance(state["md"], (dict, type(None)))
    except (KeyError, TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        raise ValueError(f"{checkpoint}: is no state of a sampling; remove it to begin anew")
    for name, value in settings.items():
        if state["settings"].get(name) != value:
            raise ValueError(f"{checkpoint}: {name} was {state['settings'].get(name)}, is now {value}; go on with what it was begun with, or remove it to begin anew")
    if not path.exists() and state["bytes"]:
        raise ValueError(f"{path}: is gone, but its checkpoint is there; put it back, or remove {checkpoint} to begin anew")
    if not path.exists():
        _check.write_bytes(path, b"")
    return state
