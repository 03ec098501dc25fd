"""Validation: what a potential makes of a crystal and of its melt, beside a reference potential and labelled data.

    from fastmd.validate import validate
    result = validate("si.nnp", fastmd.StillingerWeber())
    result.write("out")                                    # report.json, report.png

Each part is there by itself: energy_volume, elastic_constants, dynamics.
"""
import io
import itertools
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.cell import Cell
from ase.eos import EquationOfState
from ase.optimize import LBFGS
from ase.units import GPa
from scipy.optimize import OptimizeWarning
from scipy.spatial import cKDTree

from . import _check
from .calculator import Calculator
from .extrapolation import Watched, outside_range
from .md import MD, maxwell_boltzmann
from .observe import energy_drift, rdf
from .potential import NNPotential, Potential
from .train import dataset, report

__all__ = ["Dynamics", "EnergyVolume", "Validation", "dynamics", "elastic_constants", "energy_volume", "melt", "validate"]

_STRETCHES = np.linspace(0.98, 1.02, 13)  # of lengths: 12 % of the volume, over which Birch-Murnaghan holds to a few parts in a thousand
_SHIFTS = 20         # how often the curve is moved: down to two thirds and up to one and a half of the lattice constant given
_FORCE = 1e-4        # eV/angstrom; inner coordinates are relaxed when no force is larger
_RELAX = 500         # steps of the optimiser
_STRAIN = 5e-3       # of elastic constants: far above what _FORCE leaves in the stress, third order still below a thousandth
_ATOMS = 200         # about as many in MD
_FRICTION = 0.02     # 1/fs
_BIN = 0.05          # angstrom
_FRAMES = 200        # at most, for g(r)
_RECORDS = 500       # at most, of the energy


# -------------------------------------------------------------------------------------------------- energy against volume

@dataclass
class EnergyVolume:
    """volumes, energies : (m,) angstrom^3 and eV per atom, the minimum among them
    volume, energy   : of the minimum, per atom
    lattice_constant : angstrom, there: `a` of the Bravais lattice of the crystal, whatever cell or supercell was given
    bulk_modulus     : GPa, there
    lattice          : name of the Bravais lattice, ASE's (FCC, HEX, ...)
    atoms            : the structure given, at the minimum
    """

    volumes: np.ndarray
    energies: np.ndarray
    volume: float
    energy: float
    lattice_constant: float
    bulk_modulus: float
    lattice: str
    atoms: Atoms


def energy_volume(potential, atoms):
    """Energy of a crystal against its volume; lattice constant, energy and bulk modulus at the minimum.

    The cell is stretched alike in all directions, so it keeps its shape (c/a of a hexagonal crystal is the one given); atoms go
    with it and are relaxed at each volume.  Birch and Murnaghan's equation of state is fitted within 2 % of the equilibrium length:

        E(V) = E0 + 9/16 V0 B { B' (x - 1)^3 + (x - 1)^2 (6 - 4 x) },    x = (V0/V)^(2/3)

    The curve is moved until the minimum lies in its middle: the structure given may be off by a third.

    potential: a fastmd Potential, the name of a .nnp file, or an ASE calculator
    atoms    : ase.Atoms, periodic in three directions
    Raises ValueError for a structure without volume or with elements the potential lacks, and where the energy has no minimum;
    RuntimeError where atoms do not come to rest.
    Source: F. Birch, Phys. Rev. 71, 809 (1947); the fit is ASE's.
    """
    calculator = _calculator("potential", potential)
    atoms = _periodic(atoms)
    lattice = _bravais(atoms)
    given = atoms.get_volume() / len(atoms)
    stretch, centred = 1.0, False
    for _ in range(_SHIFTS):
        rests = (_rest(atoms, stretch * s * np.eye(3), calculator) for s in _STRETCHES)
        volumes, energies = np.array([(a.get_volume(), a.get_potential_energy()) for a in rests]).T / len(atoms)
        if not np.isfinite(energies).all():
            raise ValueError(f"potential: its energy is not finite at {volumes[~np.isfinite(energies)][0]:.4g} angstrom^3 per atom")
        low = energies.argmin()
        fit = _equation_of_state(volumes, energies) if energies[low] < min(energies[0], energies[-1]) else None
        if fit is None:
            stretch, centred = stretch * _STRETCHES[low], False
        elif not centred:
            stretch, centred = (fit[0] / given) ** (1 / 3), True  # once more: the same range on either side
        else:
            break
    if fit is None:
        raise ValueError(f"potential: the energy of {atoms.get_chemical_formula()} has no minimum up to {volumes[0]:.4g}-{volumes[-1]:.4g} angstrom^3 per atom, "
                         f"from the {given:.4g} given; start from another structure, or mistrust the potential")
    v, b = fit
    stretch = (v / given) ** (1 / 3)
    atoms = _rest(atoms, stretch * np.eye(3), calculator)
    e = float(atoms.get_potential_energy()) / len(atoms)  # the fit's is no better
    atoms.calc = None
    return EnergyVolume(volumes, energies, v, e, float(lattice.a * stretch), b, lattice.name, atoms)


def _equation_of_state(volumes, energies):
    """(volume, bulk modulus in GPa) of the minimum, or None where it is not between the volumes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # a perfect fit has no covariance
        try:
            v, _, b = EquationOfState(volumes, energies - energies.min(), "birchmurnaghan").fit(warn=False)  # a large energy would eat its digits
        except RuntimeError:  # no such curve
            return None
    return (float(v), float(b / GPa)) if volumes[0] < v < volumes[-1] and 0 < b < np.inf else None


def _rest(atoms, deformation, calculator):
    """The structure with its lattice vectors multiplied by a deformation from the right, atoms moved along and relaxed."""
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    strained.calc = calculator
    with LBFGS(strained, logfile=None) as optimiser:
        if not optimiser.run(fmax=_FORCE, steps=_RELAX):
            raise RuntimeError(f"at {strained.get_volume() / len(atoms):.4g} angstrom^3 per atom the forces are still up to "
                               f"{np.linalg.norm(strained.get_forces(), axis=1).max():.2g} eV/angstrom after {_RELAX} steps; relax the structure first, or mistrust the potential")
    return strained


# -------------------------------------------------------------------------------------------------- elastic constants

def elastic_constants(potential, atoms):
    """Elastic constants of a crystal at rest, GPa, (6, 6) in the order xx yy zz yz xz xy, of the axes the structure is given in.

        C_ij = [sigma_i(e_j = +0.005) - sigma_i(e_j = -0.005)] / 0.01,    atoms relaxed at each strain;  shear: e_yz = 2 strain_yz

    atoms: at the minimum of the energy (EnergyVolume.atoms), else these are not the elastic constants of the crystal
    Raises as energy_volume does, and ValueError for an ASE calculator without stress.
    Source: D. C. Wallace, Thermodynamics of Crystals (1972), chapter 2.
    """
    calculator = _calculator("potential", potential)
    atoms = _periodic(atoms)
    if "stress" not in calculator.implemented_properties:
        raise ValueError(f"potential: elastic constants need the stress, {type(calculator).__name__} has none")
    c = np.empty((6, 6))
    for j, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        ends = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[a, b] += sign * _STRAIN / 2  # half, and half: the whole on the diagonal
            strain[b, a] += sign * _STRAIN / 2
            ends.append(_rest(atoms, np.eye(3) + strain, calculator).get_stress())
        c[:, j] = (ends[0] - ends[1]) / (2 * _STRAIN)
    return c / GPa


def _cubic(c):
    """{c11, c12, c44} of a cubic crystal along the axes; None where the matrix has another form."""
    c11, c12, c44 = np.diag(c)[:3].mean(), c[:3, :3][~np.eye(3, dtype=bool)].mean(), np.diag(c)[3:].mean()
    form = np.diag([c11 - c12] * 3 + [c44] * 3)
    form[:3, :3] += c12
    if np.abs(c - form).max() > 0.02 * np.abs(c).max():
        return None
    return {"c11": float(c11), "c12": float(c12), "c44": float(c44)}


# -------------------------------------------------------------------------------------------------- dynamics

@dataclass
class Dynamics:
    """r, g  : (bins,) radial distribution function of all atoms, with the thermostat
    noise    : how far g of two independent runs of this length would be apart at most, from the two halves of this one
    times, total : (m,) ps and eV per atom, without the thermostat
    drift    : of that, meV per atom and ps
    outside  : share of atoms outside the range of the training data, with the thermostat; None for a potential without ranges
    """

    r: np.ndarray
    g: np.ndarray
    noise: float
    times: np.ndarray
    total: np.ndarray
    drift: float
    outside: float | None


def dynamics(potential, atoms, temperature, steps=4000, timestep=1.0, seed=1):
    """Radial distribution function at a temperature, and how well the energy is kept without a thermostat.

    steps / 2 of Langevin dynamics to equilibrate, `steps` for g(r), then `steps` of velocity Verlet for the drift.  Two potentials with
    the same seed start with the same velocities and feel the same noise: where their crystals vibrate alike they go side by side,
    and chance adds less to the difference of their g than in independent runs.

    potential: a fastmd Potential, the name of a .nnp file, or an ASE calculator
    atoms    : ase.Atoms, periodic in three directions, about 200; it is left as it is
    temperature, timestep, seed: K, fs, and of velocities and noise
    Raises ValueError for arguments that make no sense, RuntimeError where the run blows up.
    """
    potential = _engine("potential", potential)
    temperature = _check.number("temperature", temperature, "K", above=0)
    steps = _check.whole("steps", steps, 100)
    atoms = _periodic(atoms)
    rng = np.random.default_rng(_check.whole("seed", seed, 0))
    maxwell_boltzmann(atoms, temperature, rng)
    bath = MD(atoms, potential, timestep, temperature, _FRICTION, rng, extrapolation="ignore")  # counted below
    bath.run(steps // 2, every=steps)
    frames = []
    bath.run(steps, every=steps, observers=[(lambda md: frames.append(md.atoms.copy()), max(20, steps // _FRAMES))])
    bins = int(np.ceil(2.25 * (atoms.get_volume() / len(atoms)) ** (1 / 3) / _BIN))  # two or three shells: 6.1 angstrom in silicon
    half = len(frames) // 2
    (r, first), (_, second) = (rdf(part, bins * _BIN, bins) for part in (frames[:half], frames[half:]))
    thermo = MD(bath.atoms, potential, timestep, extrapolation="ignore").run(steps, every=max(10, steps // _RECORDS))
    watched = isinstance(potential, Potential) and Watched(potential).active
    outside = [len({o.atom for o in outside_range(potential, frame)}) / len(atoms) for frame in frames] if watched else None
    return Dynamics(r, (half * first + (len(frames) - half) * second) / len(frames), float(np.abs(first - second).max() / 2**0.5),
                    thermo.times, thermo.total / len(atoms), energy_drift(thermo.times, thermo.total, len(atoms)),
                    None if outside is None else float(np.mean(outside)))


def melt(potential, atoms, temperature, timestep=1.0, seed=1):
    """The crystal molten, at twice the temperature, in its own volume; a start for dynamics at the temperature.

    It is molten when atoms have left their places: displaced by half of (V/n)^(1/3), in the root mean square.
    Raises ValueError where that takes more than 10000 steps.
    """
    temperature = _check.number("temperature", temperature, "K", above=0)
    atoms = _periodic(atoms)
    start, far = atoms.get_positions(), 0.5 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    rng = np.random.default_rng(_check.whole("seed", seed, 0))
    maxwell_boltzmann(atoms, 4 * temperature, rng)  # half of it goes into the springs
    md = MD(atoms, _engine("potential", potential), timestep, 2 * temperature, _FRICTION, rng, extrapolation="ignore")
    for _ in range(10):
        md.run(1000, every=1000)
        moved = md.positions - start
        moved -= moved.mean(0)
        if np.sqrt((moved**2).sum(1).mean()) > far:
            return md.atoms
    raise ValueError(f"melt: {atoms.get_chemical_formula()} does not melt in {md.time:g} ps at {2 * temperature:g} K, twice the temperature asked for; give a higher one")


# -------------------------------------------------------------------------------------------------- all of it

@dataclass
class State:
    """One temperature: name, whether it is the melt, and the Dynamics of both; None where there is no reference, or the run blew up."""

    name: str
    potential: Dynamics | None
    reference: Dynamics | None


@dataclass
class Validation:
    """curve, curve_reference : EnergyVolume;  elastic, elastic_reference : {c11, c12, c44} in GPa, of cubic crystals
    states   : a State per temperature;  n_atoms : in MD
    errors   : of labelled data, report.Errors
    failures : what the potential could not do, one sentence each
    What has no reference, or could not be, is None.
    """

    curve: EnergyVolume
    curve_reference: EnergyVolume | None
    elastic: dict | None
    elastic_reference: dict | None
    states: list
    n_atoms: int
    errors: report.Errors | None
    failures: list = field(default_factory=list)

    def quantities(self):
        """[(name, unit, potential, reference, error)] of the crystal: error in percent of the reference, in meV/atom for the energy"""
        rows = [(name, unit, getattr(self.curve, field), self.curve_reference and getattr(self.curve_reference, field))
                for name, unit, field in (("lattice constant", "Å", "lattice_constant"), ("bulk modulus", "GPa", "bulk_modulus"), ("energy", "eV/atom", "energy"))]
        rows += [(c.upper(), "GPa", *((e or {}).get(c) for e in (self.elastic, self.elastic_reference))) for c in ("c11", "c12", "c44")]
        return [(name, unit, a, b, None if a is None or b is None else 1e3 * abs(a - b) if name == "energy" else 100 * abs(a / b - 1)) for name, unit, a, b in rows]

    def numbers(self):
        """All of it for report.json: null where there is no reference, or nothing to compare."""
        n = {}
        for name, unit, mine, theirs, error in self.quantities():
            key, unit = name.lower().replace(" ", "_"), {"Å": "", "GPa": "_gpa", "eV/atom": "_ev_per_atom"}[unit]
            n |= {f"{key}{unit}": mine, f"{key}_reference{unit}": theirs, f"{key}_error_{'mev_per_atom' if name == 'energy' else 'percent'}": error}
        states = {s.name: _numbers(s) for s in self.states}
        for key in _numbers(State("", None, None)):  # all there are, also without a state
            n[key] = max((s[key] for s in states.values() if s[key] is not None), key=abs, default=None)  # the worst of the states
        if self.errors is not None:
            n |= self.errors.numbers("test_")
        n |= {"states": states, "atoms_in_dynamics": self.n_atoms, "lattice": self.curve.lattice, "failures": self.failures}
        for name, curve in (("", self.curve), ("_reference", self.curve_reference)):
            n[f"energy_volume{name}"] = None if curve is None else {"volumes": curve.volumes.tolist(), "energies": curve.energies.tolist()}
        return n

    def picture(self, path):
        """Everything drawn, as a PNG."""
        from matplotlib.figure import Figure

        panels = [self.draw_curves] + [self.draw_elastic] * bool(self.elastic) + [self.draw_rdf, self.draw_drift] * bool(self.states)
        panels += [None, None] * (self.errors is not None)
        columns = len(panels) if len(panels) < 4 else (len(panels) + 1) // 2
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(4.6 * columns, 4 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for draw, a in zip(panels, axes):
            if draw is not None:
                draw(a)
        if self.errors is not None:
            report.parities(*axes[len(panels) - 2:len(panels)], self.errors)
        for a in axes[len(panels):]:
            a.set_axis_off()
        file = io.BytesIO()
        figure.savefig(file, dpi=100)
        _check.write_bytes(path, file.getvalue())

    def write(self, folder):
        """report.json and report.png in a folder, which is made."""
        report.make_folder(folder)
        report.write_json(Path(folder, "report.json"), self.numbers())
        self.picture(Path(folder, "report.png"))

    def draw_curves(self, axes):
        axes.set_title("Energy of the crystal above its minimum")
        for curve, label, style in ((self.curve_reference, "reference", {"color": "k", "alpha": 0.35, "lw": 2.5}), (self.curve, "potential", {"color": "C0", "marker": ".", "lw": 1})):
            if curve is not None:
                axes.plot(curve.volumes, 1e3 * (curve.energies - curve.energy), label=f"{label}: a = {curve.lattice_constant:.4f} Å, B = {curve.bulk_modulus:.1f} GPa", **style)
        axes.set_xlabel("volume (Å³/atom)")
        axes.set_ylabel("E - E(min) (meV/atom)")
        axes.legend(fontsize=8)

    def draw_elastic(self, axes):
        axes.set_title("Elastic constants")
        apart = 0.2 * bool(self.elastic_reference)
        for side, e, style, label in ((-apart, self.elastic_reference, {"color": "k", "alpha": 0.35}, "reference"), (apart, self.elastic, {"color": "C0"}, "potential")):
            if e:
                axes.bar_label(axes.bar(np.arange(3) + side, list(e.values()), 0.38, label=label, **style), fmt="%.1f", fontsize=8)
        axes.set_xticks(range(3), [c.upper() for c in self.elastic])
        axes.set_ylabel("GPa")
        axes.legend(fontsize=8)

    def draw_rdf(self, axes):
        axes.set_title("Radial distribution")
        for k, s in enumerate(self.states):
            if s.reference:
                axes.plot(s.reference.r, s.reference.g, f"C{k % 10}", lw=3.5, alpha=0.35, label=f"{s.name}, reference")
            if s.potential:
                axes.plot(s.potential.r, s.potential.g, f"C{k % 10}", lw=1, label=f"{s.name}, potential")
        axes.set_xlabel("r (Å)")
        axes.set_ylabel("g(r)")
        _legend_above(axes)

    def draw_drift(self, axes):
        axes.set_title("Total energy without thermostat")
        for k, s in enumerate(self.states):
            for d, label, style in ((s.reference, "reference", {"lw": 2.5, "alpha": 0.35}), (s.potential, "potential", {"lw": 0.8})):
                if d:
                    axes.plot(d.times, 1e3 * (d.total - d.total.mean()), f"C{k % 10}", label=f"{s.name}, {label}: {d.drift:+.1e} meV/atom/ps", **style)
        axes.set_xlabel("time (ps)")
        axes.set_ylabel("E - mean (meV/atom)")
        _legend_above(axes)


def _legend_above(axes):
    """Room for the legend above the lines."""
    if axes.lines:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + (0.05 + 0.09 * len(axes.lines)) * (high - low))
        axes.legend(fontsize=8, loc="upper right")


def _numbers(state):
    p, q = state.potential, state.reference
    both = p is not None and q is not None
    return {"rdf_max_abs_difference": float(np.abs(p.g - q.g).max()) if both else None,
            "rdf_noise": q.noise if both else None,
            "nve_drift_mev_per_atom_per_ps": None if p is None else p.drift,
            "nve_drift_reference_mev_per_atom_per_ps": None if q is None else q.drift,
            "outside_training_range_percent": None if p is None or p.outside is None else 100 * p.outside}


def validate(potential, reference=None, atoms=None, data=None, temperatures=(300,), melts=(), steps=4000, timestep=1.0, seed=1, say=lambda line: None):
    """Validates a potential on a crystal and its melt, against a reference potential and labelled data.

    potential   : a fastmd Potential, or the name of a .nnp file
    reference   : the same, or an ASE calculator; None compares with nothing
    atoms       : the crystal, ase.Atoms periodic in three directions; None takes that of the potential's element (ase.build.bulk)
    data        : labelled structures, from fastmd.train.dataset.read, or the name of a file of them
    temperatures: K, of the crystal;  melts : K, of the melt (the reference melts it).  About 200 atoms at the reference's lattice constant
    steps, timestep, seed: see dynamics; steps = 0 does without
    say         : called with a line before each part
    Returns a Validation.
    Raises ValueError for a structure that does not fit the potentials, for an energy without a minimum.  What else the potential
    cannot do (its dynamics blow up) is in Validation.failures.
    """
    potential = _engine("potential", potential)
    if not isinstance(potential, Potential):
        raise ValueError(f"potential: expected a fastmd Potential or the name of a .nnp file, got {type(potential).__name__}")
    reference = None if reference is None else _engine("reference", reference)
    if steps:
        _check.whole("steps (0: no dynamics)", steps, 100)
    _check.number("timestep", timestep, "fs", above=0)
    _check.whole("seed", seed, 0)
    jobs = [(f"{_check.number('temperatures', t, 'K', above=0):g} K", t, False) for t in _several("temperatures", temperatures)]
    jobs += [(f"melt, {_check.number('melts', t, 'K', above=0):g} K", t, True) for t in _several("melts", melts)]
    atoms = crystal(potential) if atoms is None else _periodic(atoms)
    for name, p in (("potential", potential), ("reference", reference)):
        with _named(name):
            if isinstance(p, Potential):
                p.species(atoms.get_chemical_symbols())
    errors, failures = None, []
    if data is not None:
        say("errors on labelled data")
        data = dataset.read(data) if isinstance(data, (str, os.PathLike)) else data
        if not isinstance(data, (list, tuple)) or not all(isinstance(s, dataset.Structure) for s in data):
            raise ValueError(f"data: expected the name of a file or what fastmd.train.dataset.read gives, got {type(data).__name__}")
        errors = report.evaluate(potential, data)

    curves, elastic = [], []
    for name, p in (("potential", potential), ("reference", reference)):
        if p is None:
            curves.append(None)
            elastic.append(None)
            continue
        say(f"energy against volume and elastic constants: {name}")
        with _named(name):
            curve = energy_volume(p, atoms)
        curves.append(curve)
        elastic.append(None)
        if curve.lattice in ("CUB", "FCC", "BCC") and "stress" in _calculator(name, p).implemented_properties:
            try:
                elastic[-1] = _cubic(elastic_constants(p, curve.atoms))
            except RuntimeError as e:
                failures.append(f"elastic constants of the {name}: {e}")

    start = _repeated((curves[1] or curves[0]).atoms)
    states = []
    for label, temperature, molten in jobs if steps else []:
        begin = start
        if molten:
            say(f"{label}: melting")
            try:
                begin = melt(potential if reference is None else reference, start, temperature, timestep, seed)
            except (ValueError, RuntimeError) as e:
                failures.append(f"{label}: {e}")
                continue
        found = []
        for name, p in (("potential", potential), ("reference", reference)):
            found.append(None)
            if p is not None:
                say(f"{label}: dynamics of {len(begin)} atoms, {name}")
                try:
                    found[-1] = dynamics(p, begin, temperature, steps, timestep, seed)
                except RuntimeError as e:
                    failures.append(f"{label}, dynamics of the {name}: {e}")
        states.append(State(label, *found))
    return Validation(*curves, *elastic, states, len(start), errors, failures)


# -------------------------------------------------------------------------------------------------- what comes in

def crystal(potential):
    """The crystal of the potential's element, from ase.build.bulk. Raises ValueError where ASE has none, and for several elements."""
    elements = getattr(potential, "elements", None) or ()
    if len(elements) != 1:
        raise ValueError(f"atoms: the potential is for {', '.join(elements) or 'any element'}, there is no crystal to take by itself; give a structure")
    for shape in ({"cubic": True}, {}):
        try:
            return bulk(elements[0], **shape)
        except Exception as e:  # ASE raises whatever its table trips over
            reason = e
    raise ValueError(f"atoms: ASE has no crystal of {elements[0]} ({reason}); give a structure")


@contextmanager
def _named(name):
    """Says whose error it is."""
    try:
        yield
    except (ValueError, RuntimeError) as e:
        raise (ValueError if isinstance(e, ValueError) else RuntimeError)(f"{name}: {str(e).removeprefix('potential: ')}") from None


def _several(name, values):
    try:
        return tuple(values)
    except TypeError:
        raise ValueError(f"{name}: expected several in K, such as (300, 600), got {values!r}") from None


def _engine(name, potential):
    """A Potential or an ASE calculator, from what users hand in."""
    if isinstance(potential, (str, os.PathLike)):
        return NNPotential.load(potential)
    if isinstance(potential, Calculator):
        return potential.potential
    if isinstance(potential, Potential) or hasattr(potential, "implemented_properties"):
        return potential
    raise ValueError(f"{name}: expected a fastmd Potential, the name of a .nnp file or an ASE calculator, got {type(potential).__name__}")


def _calculator(name, potential):
    potential = _engine(name, potential)
    return Calculator(potential, extrapolation="ignore") if isinstance(potential, Potential) else potential


def _periodic(atoms):
    """A copy with nothing but atoms and cell."""
    _, _, cell, pbc = _check.atoms(atoms)
    if not len(atoms) or not pbc.all() or abs(np.linalg.det(cell)) < 1e-6:
        raise ValueError(f"atoms: expected a crystal, periodic in three directions, got {len(atoms)} atoms, pbc {pbc.astype(bool).tolist()}, volume {abs(np.linalg.det(cell)):.3g} angstrom^3")
    bare = atoms.copy()
    bare.set_constraint()
    bare.set_momenta(None)
    return bare


def _repeated(atoms):
    """About _ATOMS atoms, in a cell as wide in all directions as can be."""
    heights = 1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    width = (_ATOMS / len(atoms) * atoms.get_volume()) ** (1 / 3)
    return atoms * np.maximum(1, np.rint(width / heights)).astype(int)


def _bravais(atoms):
    """ASE's Bravais lattice of a crystal: of all its translations, so that a supercell has the lattice constant of its unit cell.

    In three dimensions the shortest independent translations span the lattice.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    names, counts = np.unique(symbols, return_counts=True)
    rare = np.flatnonzero(symbols == names[counts.argmin()])
    cell = atoms.cell.minkowski_reduce()[0].array
    s = atoms.positions @ np.linalg.inv(cell) % 1 % 1  # twice: -1e-17 % 1 is 1
    tree = cKDTree(s, boxsize=1)
    moves = []
    for t in s[rare] - s[rare[0]]:
        partner = tree.query((s + t) % 1 % 1)[1]
        off = s + t - s[partner]
        if (symbols == symbols[partner]).all() and np.linalg.norm((off - np.rint(off)) @ cell, axis=1).max() < 1e-3:
            moves.append(t)
    moves = np.array([(t + n) @ cell for t in moves for n in itertools.product((-2, -1, 0, 1, 2), repeat=3)])
    moves = moves[np.argsort(np.linalg.norm(moves, axis=1), kind="stable")]
    basis = []
    for v in moves[np.linalg.norm(moves, axis=1) > 0.1]:
        flat = np.array([*basis, v]) / np.linalg.norm([*basis, v], axis=1)[:, None]
        if np.linalg.svd(flat, compute_uv=False)[-1] > 0.05:
            basis.append(v)
        if len(basis) == 3:
            break
    return Cell(basis).get_bravais_lattice(eps=1e-3)
