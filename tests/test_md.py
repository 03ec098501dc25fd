"""Molecular dynamics: what it conserves, what it samples, what it writes, how it goes on, and what it refuses."""
import io
import itertools
import os
import shutil
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.md.verlet import VelocityVerlet
from click.testing import CliRunner

import fastmd
import fastmd.md
from fastmd import _store
from fastmd.calculator import Calculator as FastmdCalculator
from fastmd.classical import LennardJones, StillingerWeber
from fastmd.cli import main
from fastmd.md import MD, maxwell_boltzmann
from fastmd.potential import Potential


class Springs(Potential):
    """Each atom on a spring of 2 eV/angstrom^2 to a site of its own: an external field, exactly soluble."""

    cutoff = 1.0

    def __init__(self, sites):
        self.sites = sites

    def species(self, symbols):
        return np.zeros(len(symbols), np.int32)

    def evaluate(self, species, positions, cell, pairs):
        away = positions - self.sites
        energies = (away**2).sum(1)
        return energies.sum(), energies, -2 * away, np.zeros((3, 3))


class AsAse(Calculator):
    """A fastmd potential as ASE sees one, the simplest way."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, potential):
        super().__init__()
        self.potential = potential

    def calculate(self, atoms, properties, changes):
        super().calculate(atoms, properties, changes)
        result = self.potential.compute(atoms)
        self.results = {"energy": result.energy, "forces": result.forces}


def silicon(temperature=600, n=2, rng=1):
    atoms = bulk("Si", cubic=True) * (n, n, n)
    maxwell_boltzmann(atoms, temperature, rng=rng)
    return atoms


def sites(n=64, symbol="Si"):
    return Atoms(f"{symbol}{n}", 3.0 * np.array(list(itertools.product(range(4), repeat=3)))[:n])


# ------------------------------------------------------------------------------------------------------------ mechanics

def test_energy_error_falls_four_times_when_the_timestep_is_halved():
    def error(dt):
        total = MD(silicon(), StillingerWeber(), timestep=dt).run(round(200 / dt), every=1).total
        return np.abs(total - total[0]).max()
    errors = [error(dt) for dt in (2.0, 1.0, 0.5)]
    assert errors[1] < 0.02  # eV, of 64 atoms
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_trajectory_is_that_of_ase_velocity_verlet():
    atoms, reference = silicon(), silicon()
    md = MD(atoms, StillingerWeber(), timestep=1.5)
    reference.calc = AsAse(StillingerWeber())
    md.run(50)
    VelocityVerlet(reference, timestep=1.5 * units.fs).run(50)
    assert np.abs(reference.positions - silicon().positions).max() > 0.1
    assert np.abs(atoms.positions - reference.positions).max() < 1e-9
    assert np.abs(atoms.get_momenta() - reference.get_momenta()).max() < 1e-9


@pytest.mark.parametrize("bath", [False, True])
def test_a_step_is_that_of_the_formulas_to_the_last_bit(bath):
    md = MD(silicon(), StillingerWeber(), timestep=1.5, seed=3, **({"temperature": 600, "friction": 0.01} if bath else {}))
    x, v, rng, dt = md.positions.copy(), md.velocities.copy(), np.random.default_rng(3), 1.5
    m = md.atoms.get_masses()[:, None]
    keep = np.exp(-0.01 * dt)
    noise = np.sqrt((1 - keep**2) * units.kB * 600 * units.fs**2 / m)
    for _ in range(3):
        v += 0.5 * dt * units.fs**2 / m * md.forces
        if bath:
            x += 0.5 * dt * v
            v = keep * v + noise * rng.standard_normal(v.shape)
            x += 0.5 * dt * v
        else:
            x += dt * v
        md.run(1)
        v += 0.5 * dt * units.fs**2 / m * md.forces
        assert np.array_equal(md.positions, x) and np.array_equal(md.velocities, v)


def test_the_precision_of_the_potential_is_that_of_the_run_from_the_next_step_on():
    atoms, p = sites(27), fastmd.NNPotential({"Si": [fastmd.G2("Si", 4.0, 0.5)]}, {"Si": fastmd.Network.random(1, (3,), rng=1)})
    atoms.rattle(0.1, seed=1)
    exact, mixed = MD(atoms.copy(), p), MD(atoms.copy(), FastmdCalculator(p, precision="mixed"))
    assert 0 < np.abs(mixed.forces - exact.forces).max() < 1e-6
    for precision in ("mixed", "float64", "float32"):
        p.precision = precision
        exact.run(1)
        pairs = exact._engine._pairs
        assert np.array_equal(exact.forces, p.evaluate(np.zeros(27, np.int32), exact.positions.copy(), exact.atoms.cell.array, pairs)[2])


def test_positions_that_are_replaced_are_those_that_the_run_goes_on_with():
    atoms, p = sites(27), fastmd.NNPotential({"Si": [fastmd.G2("Si", 4.0, 0.5)]}, {"Si": fastmd.Network.random(1, (3,), rng=1)})
    md = MD(atoms.copy(), p)
    md.run(2)
    for by in (0.1, 0.6):  # within the skin, and beyond
        md.positions = md.positions + by * np.random.default_rng(1).normal(size=(27, 3))
        md.run(1)
        assert np.abs(md.forces - p.compute(md.atoms).forces).max() < 1e-10


@pytest.mark.slow
def test_the_energy_of_a_run_in_mixed_precision_drifts_no_more_than_in_float64(tmp_path):
    """The slopes over 20 ps differ by less than three standard errors, which are those of the means over several starts."""
    pytest.importorskip("torch")
    from fastmd.train import dataset, loop

    md, frames = MD(silicon(1200), StillingerWeber(), temperature=1200, friction=0.02, seed=1), []
    md.run(4000, every=10**6, observers=[(lambda md: frames.append(md.atoms.copy()), 40)])
    for atoms in frames:
        r = StillingerWeber().compute(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=r.energy, forces=r.forces)
    ase.io.write(tmp_path / "train.extxyz", frames)
    p, _ = loop.train(dataset.read(tmp_path / "train.extxyz"), loop.Settings(cutoff=4.2, hidden=(10, 10), epochs=20, max_seconds=60))

    def slope(precision, start):
        p.precision = precision
        thermo = MD(silicon(900, rng=start), p, extrapolation="ignore").run(20000, every=5)
        assert 300 < thermo.temperature[1000:].mean() < 600 and np.ptp(thermo.total) < 0.1
        return np.polyfit(thermo.times, 1e6 * thermo.total / 64, 1)[0]
    exact, mixed = (np.array([slope(precision, start) for start in range(1, 6)]) for precision in ("float64", "mixed"))
    print(f"slopes of the energy, micro-eV an atom and ps: {exact.round(2)} in float64, {mixed.round(2)} in mixed")
    assert exact[0] != mixed[0] and abs(mixed.mean() - exact.mean()) < 3 * np.sqrt((exact.var(ddof=1) + mixed.var(ddof=1)) / 5)


def test_atoms_go_back_where_they_came_from_when_velocities_are_reversed():
    md = MD(silicon(), StillingerWeber())
    start = md.positions.copy()
    md.run(100)
    assert np.abs(md.positions - start).max() > 0.1
    md.velocities *= -1
    md.run(100)
    assert np.abs(md.positions - start).max() < 1e-10


def test_momentum_is_conserved():
    atoms = silicon()
    MD(atoms, StillingerWeber()).run(200)
    assert np.abs(atoms.get_momenta().sum(0)).max() < 1e-12 * np.abs(atoms.get_momenta()).sum()


def test_a_spring_swings_with_its_exact_period_in_units_of_fs_and_amu():
    atoms = sites(1)
    springs = Springs(atoms.positions.copy())
    atoms.positions[0, 0] += 0.1
    period = 2 * np.pi * np.sqrt(atoms.get_masses()[0] / 2.0) / units.fs
    MD(atoms, springs, timestep=period / 1000).run(1000)
    assert atoms.positions[0, 0] == pytest.approx(0.1, abs=1e-8)
    assert atoms.get_velocities()[0, 0] / 0.1 * period * units.fs == pytest.approx(0, abs=1e-3)


def test_steps_in_one_run_or_in_several_are_the_same():
    one, several = MD(silicon(), StillingerWeber()), MD(silicon(), StillingerWeber())
    one.run(30)
    for steps in (0, 7, 23):
        several.run(steps)
    assert np.array_equal(one.positions, several.positions) and np.array_equal(one.velocities, several.velocities)
    assert one.step == several.step == 30


def test_any_ase_calculator_drives_it_and_gives_the_same_as_ase():
    atoms, reference = (bulk("Cu", cubic=True) * (2, 2, 2) for _ in range(2))
    for each in (atoms, reference):
        maxwell_boltzmann(each, 300, rng=3)
    reference.calc = EMT()
    thermo = MD(atoms, EMT(), timestep=2.0).run(20, every=5)
    VelocityVerlet(reference, timestep=2 * units.fs).run(20)
    assert np.abs(atoms.positions - reference.positions).max() < 1e-9
    assert thermo.total[-1] == pytest.approx(reference.get_total_energy(), abs=1e-9)
    wanted = -reference.get_stress(include_ideal_gas=True)[:3].mean() / units.GPa
    assert thermo.pressure[-1] == pytest.approx(wanted, rel=1e-8)


# ----------------------------------------------------------------------------------------------------------- thermostat

def test_langevin_samples_positions_and_velocities_of_the_temperature_asked_for():
    """BAOAB has no error in the positions of springs: 64 atoms for 800 relaxation times, bounds of seven sigma."""
    atoms = sites()
    md = MD(atoms, Springs(atoms.positions.copy()), timestep=4.0, temperature=500, friction=0.05, seed=7)
    md.run(200)
    squares, temperatures = [], []

    def look(md):
        squares.append(((md.positions - sites().positions)**2).mean())
        temperatures.append(md.temperature)

    md.run(4000, observers=[(look, 5)])
    assert 2 * np.mean(squares) / units.kB == pytest.approx(500, rel=0.04)
    assert np.mean(temperatures) == pytest.approx(500, rel=0.04)
    assert np.std(temperatures) == pytest.approx(500 * np.sqrt(2 / (3 * 64)), rel=0.2)  # canonical, not merely the mean


def test_langevin_heats_a_lennard_jones_crystal_to_its_temperature():
    atoms = bulk("Ar", "fcc", 5.4, cubic=True) * (3, 3, 3)
    md = MD(atoms, LennardJones(0.0104, 3.4, 8.0, shift=True), timestep=4.0, temperature=40, friction=0.01, seed=8)
    md.run(200)
    assert md.run(3000).temperature.mean() == pytest.approx(40, rel=0.05)


def test_equal_seeds_give_equal_bits_and_other_seeds_do_not():
    def final(seed):
        md = MD(silicon(), StillingerWeber(), temperature=300, friction=0.02, seed=seed)
        md.run(20)
        return md.positions
    assert np.array_equal(final(5), final(5))
    assert not np.array_equal(final(5), final(6))


def test_langevin_at_zero_kelvin_brakes_a_free_atom_at_the_rate_of_the_friction():
    atoms = Atoms("Si")
    atoms.set_velocities([[0.01, 0.02, 0]])
    MD(atoms, StillingerWeber(), timestep=2.0, temperature=0, friction=0.03).run(50)
    assert atoms.get_velocities()[0] == pytest.approx(np.exp(-3) * np.array([0.01, 0.02, 0]), rel=1e-12)


RAMP = [(0, 300), (20, 300), (60, 2000)]


def test_the_thermostat_follows_its_points():
    md = MD(silicon(300), StillingerWeber(), temperature=[(10, 300), (20, 800), (30, 100)], friction=0.02, seed=1)
    thermo = md.run(40, every=5)
    assert thermo.target.tolist() == [300, 300, 300, 550, 800, 450, 100, 100, 100]
    assert md.target == 100
    assert MD(silicon(300), StillingerWeber()).run(0).target is None


def test_a_ramp_heats_springs_at_its_rate():
    """Relaxation takes 1/friction = 20 steps of 1 fs in a ramp of 4000: the temperature lags by 20 x rate = 10 K."""
    atoms = sites()
    maxwell_boltzmann(atoms, 1000, rng=1)
    md = MD(atoms, Springs(atoms.positions.copy()), timestep=1.0, temperature=[(0, 500), (4000, 2500)], friction=0.05, seed=2)
    thermo = md.run(4000, every=1)
    for begin in (1000, 2000, 3000):  # standard error of a mean over 1000 steps of 64 atoms: 3 %
        window = slice(begin, begin + 1000)
        assert thermo.temperature[window].mean() == pytest.approx(thermo.target[window].mean() - 10, rel=0.12)


def test_a_ramp_that_stays_is_the_constant_temperature_to_the_bit():
    mds = [MD(silicon(), StillingerWeber(), temperature=t, friction=0.02, seed=1) for t in (700, [(0, 700), (10, 700)], np.float64(700))]
    for md in mds:
        md.run(20)
    assert np.array_equal(mds[0].positions, mds[1].positions) and np.array_equal(mds[0].positions, mds[2].positions)


# --------------------------------------------------------------------------------------------------- starting velocities

def test_starting_velocities_have_no_net_momentum_and_exactly_the_temperature():
    atoms = Atoms("HSiAu", np.eye(3))
    maxwell_boltzmann(atoms, 321.0, rng=2)
    assert np.abs(atoms.get_momenta().sum(0)).max() < 1e-14
    assert 2 * atoms.get_kinetic_energy() / (6 * units.kB) == pytest.approx(321, rel=1e-13)
    assert MD(atoms, Springs(atoms.positions)).temperature == pytest.approx(321, rel=1e-13)


def test_starting_velocities_share_the_energy_between_light_and_heavy_atoms():
    atoms = Atoms("H3000Au3000", np.zeros((6000, 3)))
    maxwell_boltzmann(atoms, 300, rng=2)
    energies = (atoms.get_momenta()**2).sum(1) / (2 * atoms.get_masses())
    for half in (energies[:3000], energies[3000:]):  # standard error 1.5 %
        assert half.mean() == pytest.approx(1.5 * units.kB * 300, rel=0.08)


def test_starting_temperature_fluctuates_when_asked_not_to_be_exact():
    atoms, temperatures = sites(8), []
    for seed in range(400):
        maxwell_boltzmann(atoms, 300, rng=seed, exact=False)
        temperatures.append(2 * atoms.get_kinetic_energy() / (21 * units.kB))
    assert np.mean(temperatures) == pytest.approx(300, rel=0.08)
    assert np.std(temperatures) == pytest.approx(300 * np.sqrt(2 / 21), rel=0.2)


def test_temperature_without_thermostat_does_not_count_the_flight_of_the_whole():
    atoms = silicon(300)
    atoms.set_velocities(atoms.get_velocities() + [0.3, 0, 0])
    assert MD(atoms, StillingerWeber()).temperature == pytest.approx(300, rel=1e-10)


def test_a_lone_atom_flies_straight_on_and_has_no_temperature():
    atoms = Atoms("Si")
    atoms.set_velocities([[0.01 / units.fs, 0, 0]])
    md = MD(atoms, StillingerWeber())
    thermo = md.run(10, every=1)
    assert atoms.positions[0] == pytest.approx([0.1, 0, 0])
    assert thermo.temperature[-1] == 0 and thermo.kinetic[-1] > 0


# -------------------------------------------------------------------------------------------------------------- records

def test_record_holds_the_energies_and_the_virial_pressure():
    md = MD(silicon(), StillingerWeber(), timestep=0.5)
    thermo = md.run(25, every=10)
    assert thermo.steps.tolist() == [0, 10, 20]
    assert thermo.times == pytest.approx([0, 0.005, 0.01])
    assert np.array_equal(thermo.total, thermo.potential + thermo.kinetic)
    start = StillingerWeber().compute(silicon())
    assert thermo.potential[0] == start.energy
    kinetic = silicon().get_kinetic_energy()
    assert thermo.kinetic[0] == pytest.approx(kinetic, rel=1e-12)
    wanted = (2 * kinetic + np.trace(start.virial)) / (3 * silicon().get_volume()) / units.GPa
    assert thermo.pressure[0] == pytest.approx(wanted, rel=1e-10)


def test_pressure_of_matter_at_rest_is_minus_the_slope_of_the_energy_over_the_volume():
    def squeezed(scale):
        atoms = bulk("Si", cubic=True) * (2, 2, 2)
        atoms.rattle(0.1, seed=1)
        atoms.set_cell(atoms.cell * scale, scale_atoms=True)
        return atoms
    h = 1e-5
    low, high = (StillingerWeber().compute(squeezed(0.97 + sign * h)).energy for sign in (-1, 1))
    slope = (high - low) / (squeezed(0.97 + h).get_volume() - squeezed(0.97 - h).get_volume())
    assert abs(slope) > 0.01
    assert MD(squeezed(0.97), StillingerWeber()).pressure == pytest.approx(-slope / units.GPa, rel=1e-7)


def test_pressure_of_atoms_out_of_reach_is_that_of_the_ideal_gas():
    atoms = Atoms("Ar27", 20.0 * np.array(list(itertools.product(range(3), repeat=3))), cell=[60, 60, 60], pbc=True)
    maxwell_boltzmann(atoms, 300, rng=1)
    md = MD(atoms, LennardJones(0.0104, 3.4, 8.0))
    assert md.energy == 0
    assert md.pressure == pytest.approx((27 - 1) * units.kB * 300 / 60**3 / units.GPa, rel=1e-10)  # 3n - 3 degrees of freedom


def test_frames_carry_no_labels_of_the_start(tmp_path):
    """A structure from training data brings its REF_energy; in a frame of MD that would be another structure's label."""
    atoms = silicon()
    atoms.info.update(REF_energy=-1.0, config_type="start")
    atoms.arrays["REF_forces"] = np.ones((64, 3))
    atoms.set_tags(np.arange(64))
    MD(atoms, StillingerWeber()).run(2, every=1, trajectory=tmp_path / "run.xyz")
    for frame in ase.io.read(tmp_path / "run.xyz", index=":"):
        assert set(frame.info) == {"step", "time_ps"} and set(frame.arrays) == {"numbers", "positions", "momenta", "tags"}
        assert frame.get_tags().tolist() == list(range(64))


def test_there_is_no_pressure_without_a_periodic_cell():
    stream = io.StringIO()
    thermo = MD(sites(), Springs(sites().positions)).run(2, every=1, thermo=stream)
    assert thermo.pressure is None
    assert "GPa" not in stream.getvalue()


@pytest.mark.parametrize("as_path", [True, False])
def test_thermo_table_reads_back(tmp_path, as_path):
    target = str(tmp_path / "thermo.txt") if as_path else io.StringIO()
    thermo = MD(silicon(), StillingerWeber()).run(20, every=5, thermo=target)
    text = open(target).read() if as_path else target.getvalue()
    assert text.splitlines()[0].split() == ["#", "step", "time/ps", "T/K", "E_pot/eV", "E_kin/eV", "E_tot/eV", "E_tot/(eV/atom)",
                                            "P/GPa"]
    step, t, temperature, potential, kinetic, total, each, pressure = np.loadtxt(io.StringIO(text), unpack=True)
    assert step.tolist() == thermo.steps.tolist() == [0, 5, 10, 15, 20]
    assert t == pytest.approx(thermo.times)
    assert temperature == pytest.approx(thermo.temperature, abs=0.006)
    assert potential == pytest.approx(thermo.potential, abs=1e-7) and kinetic == pytest.approx(thermo.kinetic, abs=1e-7)
    assert total == pytest.approx(thermo.total, abs=1e-7) and each == pytest.approx(thermo.total / 64, abs=1e-9)
    assert pressure == pytest.approx(thermo.pressure, abs=1e-4)


def test_trajectory_reads_back_through_ase(tmp_path):
    path = tmp_path / "run.xyz"
    md = MD(silicon(), StillingerWeber())
    thermo = md.run(20, every=10, trajectory=path)
    frames = ase.io.read(path, index=":", format="extxyz")
    assert [frame.info["step"] for frame in frames] == [0, 10, 20]
    assert frames[1].info["time_ps"] == 0.01
    last = frames[-1]
    result = StillingerWeber().compute(md.atoms)
    assert np.abs(last.positions - md.positions).max() < 1e-7
    assert np.abs(last.get_momenta() - md.atoms.get_momenta()).max() < 1e-7
    assert [frame.get_potential_energy() for frame in frames] == pytest.approx(thermo.potential, abs=1e-7)
    assert np.abs(last.get_forces() - result.forces).max() < 1e-7
    assert np.abs(last.get_stress() - result.stress).max() < 1e-7


def test_an_interruption_leaves_whole_frames_and_the_atoms_up_to_date(tmp_path):
    path, table = tmp_path / "run.xyz", tmp_path / "thermo.txt"
    atoms = silicon()
    seen = []

    def interrupt(md):
        seen.append((len(ase.io.read(path, index=":")), len(np.loadtxt(table, ndmin=2))))
        if md.step == 6:
            raise KeyboardInterrupt

    md = MD(atoms, StillingerWeber())
    with pytest.raises(KeyboardInterrupt):
        md.run(100, every=2, trajectory=path, thermo=table, observers=[(interrupt, 2)])
    assert seen == [(2, 2), (3, 3), (4, 4)]
    assert len(ase.io.read(path, index=":")) == 4
    assert np.array_equal(atoms.positions, md.positions) and md.step == 6


def test_a_later_run_goes_on_in_its_files_and_another_md_replaces_them(tmp_path):
    path, table = tmp_path / "run.xyz", tmp_path / "thermo.txt"
    md = MD(silicon(), StillingerWeber())
    for steps, recorded in ((4, [0, 2, 4]), (3, [4, 6]), (2, [7, 8])):  # what comes back begins with the start of the run
        assert md.run(steps, every=2, trajectory=path, thermo=str(table)).steps.tolist() == recorded
    assert table.read_text().count("#") == 1
    MD(silicon(), StillingerWeber()).run(9, every=2, trajectory=tmp_path / "one.xyz", thermo=tmp_path / "one.txt")
    assert path.read_bytes() == (tmp_path / "one.xyz").read_bytes() and table.read_bytes() == (tmp_path / "one.txt").read_bytes()
    MD(silicon(), StillingerWeber()).run(2, every=2, trajectory=path, thermo=table)
    assert [frame.info["step"] for frame in ase.io.read(path, index=":")] == [0, 2]
    assert np.loadtxt(table)[:, 0].tolist() == [0, 2]


def test_observers_get_the_md_at_their_own_steps():
    seen = {2: [], 3: []}
    md = MD(silicon(), StillingerWeber())
    md.run(5, observers=[(lambda m: seen[2].append((m is md, m.step)), 2), (lambda m: seen[3].append((m is md, m.step)), 3)])
    md.run(2, observers=[(lambda m: seen[3].append((m is md, m.step)), 3)])
    assert seen == {2: [(True, 2), (True, 4)], 3: [(True, 3), (True, 6)]}


def test_a_bar_shows_in_runs_of_over_two_seconds_and_only_on_a_terminal(monkeypatch, capsys):
    clock = itertools.count(0, 0.7)
    monkeypatch.setattr(fastmd._progress.time, "monotonic", lambda: next(clock))
    md = MD(silicon(), StillingerWeber())
    md.run(2, progress=True)
    md.run(10)
    md.run(10, progress=False)
    assert capsys.readouterr().err == ""
    md.run(10, progress=True)
    assert "MD" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    md.run(10)
    assert "MD" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- going on

def hot(**arguments):
    """Hot enough for the neighbour list to be made anew every twenty steps or so."""
    return {"atoms": silicon(2500), "timestep": 1.5} | arguments


def network():
    """Untrained, but with forces as strong as silicon's."""
    functions = fastmd.make_set(["Si"], 4.0)
    return fastmd.NNPotential(functions, {"Si": fastmd.Network.random(len(functions["Si"]), rng=0)})


BATHS = {"constant energy": {}, "Langevin": {"temperature": 900, "friction": 0.02}, "ramp": {"temperature": RAMP, "friction": 0.02}}


@pytest.mark.parametrize("bath", BATHS.values(), ids=BATHS)
@pytest.mark.parametrize("potential", [StillingerWeber, network, lambda: AsAse(StillingerWeber()), lambda: FastmdCalculator(StillingerWeber())],
                         ids=["classical", "network", "ASE", "fastmd.Calculator"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, potential, bath):
    def md():
        return MD(**hot(potential=potential(), seed=3, **bath))
    whole, part = md(), md()
    wanted = whole.run(80, every=1)
    part.run(47)
    part.save(tmp_path / "md.ckpt")
    again = MD.load(tmp_path / "md.ckpt", potential())
    assert again.step == 47 and again.energy == part.energy and np.array_equal(again.forces, part.forces)
    got = again.run(33, every=1)
    assert np.array_equal(again.positions, whole.positions) and np.array_equal(again.velocities, whole.velocities)
    for name, column in vars(got).items():
        assert np.array_equal(column, None if vars(wanted)[name] is None else vars(wanted)[name][47:]), name


@pytest.mark.parametrize("bits", fastmd.md._GENERATORS)
def test_the_noise_goes_on_whatever_generator_of_numpy_it_comes_from(tmp_path, bits):
    def md():
        atoms = sites()
        return MD(atoms, Springs(atoms.positions.copy()), temperature=300, friction=0.1, seed=np.random.Generator(getattr(np.random, bits)(3)))
    whole, part = md(), md()
    whole.run(10)
    part.run(5)
    part.save(tmp_path / "md.ckpt")
    again = MD.load(tmp_path / "md.ckpt", Springs(sites().positions))
    again.run(5)
    assert np.array_equal(again.velocities, whole.velocities)


def test_the_bits_depend_on_where_the_neighbour_list_was_made():
    """Otherwise the positions in the state would be idle, and the test above would show less than it says."""
    part = MD(**hot(potential=StillingerWeber()))
    part.run(47)
    state = part.state()
    assert not np.array_equal(state["listed"], part.positions)
    here = MD.resume(state | {"listed": part.positions.copy()}, StillingerWeber())
    assert not np.array_equal(here.forces, part.forces) and np.abs(here.forces - part.forces).max() < 1e-12


def test_a_run_that_is_stopped_again_and_again_chooses_the_skins_of_one_that_is_not():
    def skins(md, pieces):
        found = []
        for steps in pieces:
            md.run(steps, observers=[(lambda md: found.append(md._engine.skin()[0]), 1)])
            md = MD.resume(md.state(), StillingerWeber())
        return found, md

    (whole, a), (parts, b) = skins(MD(**hot(potential=StillingerWeber())), [240]), skins(MD(**hot(potential=StillingerWeber())), [37, 1, 80, 122])
    assert whole == parts and len(set(whole)) > 1
    assert a.positions.tobytes() == b.positions.tobytes() and a.forces.tobytes() == b.forces.tobytes()


def test_an_ase_calculator_with_lists_of_its_own_goes_on_to_rounding():
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    maxwell_boltzmann(atoms, 600, rng=3)
    whole, part = MD(atoms.copy(), EMT()), MD(atoms.copy(), EMT())
    whole.run(20)
    part.run(10)
    again = MD.resume(part.state(), EMT())
    again.run(10)
    assert np.abs(again.positions - whole.positions).max() < 1e-12


def test_a_state_holds_what_belongs_to_the_structure_and_is_a_copy():
    atoms = silicon()
    atoms.set_masses(np.linspace(28, 30, 64))
    atoms.set_initial_charges(np.linspace(-1, 1, 64))
    atoms.info.update(charge=1, name="melt", vector=np.arange(3), what={1: object()})
    atoms.pbc = [True, True, False]
    md = MD(atoms, StillingerWeber())
    state = md.state()
    kept = state["positions"].copy()
    md.run(3)
    assert np.array_equal(state["positions"], kept)
    again = MD.resume(state, StillingerWeber()).atoms
    assert np.array_equal(again.get_masses(), atoms.get_masses()) and np.array_equal(again.get_initial_charges(), atoms.get_initial_charges())
    assert again.info["charge"] == 1 and again.info["name"] == "melt" and "what" not in again.info
    assert again.pbc.tolist() == [True, True, False] and np.array_equal(again.cell, atoms.cell)


@pytest.mark.parametrize("change, message", [
    ({"step": -1}, "state: step must be a whole number >= 0, got -1"),
    ({"velocities": np.zeros((3, 3))}, r"state: velocities must be \(64, 3\) finite numbers"),
    ({"velocities": np.full((64, 3), np.nan)}, r"state: velocities must be \(64, 3\) finite numbers"),
    ({"listed": np.zeros(3)}, r"state: listed must be \(64, 3\) finite numbers"),
    ({"skin": np.array([np.nan, 0, 0])}, "state: skin must be a few finite numbers"),
    ({"skin": np.ones(2)}, "state: skin must be a few finite numbers"),
    ({"timestep": 0}, "timestep must be > 0 fs"),
    ({"masses": np.zeros(64)}, "masses must be finite and > 0 amu"),
    ({"thermostat": {"points": [[0, 300]], "friction": 0.1, "generator": {"bit_generator": "seed"}}}, "state: the generator must be one of PCG64"),
    ({"thermostat": {"points": [[0, 300]]}}, "state: expected what MD.state gave .KeyError: 'friction'"),
    ({"arrays": None}, "state: expected what MD.state gave"),
    ({"numbers": [32] * 64}, "no parameters for Ge"),
])
def test_a_state_that_is_none_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MD.resume(MD(silicon(), StillingerWeber()).state() | change, StillingerWeber())


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        MD.load(tmp_path / "md.ckpt", StillingerWeber())
    _store.save(tmp_path / "md.ckpt", "training", {})
    with pytest.raises(ValueError, match="a checkpoint of 'training', expected one of 'md'"):
        MD.load(tmp_path / "md.ckpt", StillingerWeber())
    _store.save(tmp_path / "md.ckpt", "md", {})
    with pytest.raises(ValueError, match="expected what MD.state gave"):
        MD.load(tmp_path / "md.ckpt", StillingerWeber())
    for at in ([-1, 0], [0, 0.5]):
        _store.save(tmp_path / "md.ckpt", "md", MD(silicon(), StillingerWeber()).state() | {"files": {"run.xyz": at}})
        with pytest.raises(ValueError, match="md.ckpt: (step|bytes) of run.xyz must be a whole number >= 0"):
            MD.load(tmp_path / "md.ckpt", StillingerWeber())


@pytest.mark.parametrize("bath", BATHS.values(), ids=BATHS)
def test_files_go_on_from_the_checkpoint_to_the_byte(tmp_path, bath):
    """Stopped at step 74, in the middle of a frame; the last checkpoint is of step 60, which is no multiple of `every`."""
    def run(md, folder, steps):
        return md.run(steps, every=7, trajectory=folder / "run.xyz", thermo=folder / "run.txt", checkpoint=folder / "md.ckpt", checkpoint_every=20)

    def md():
        return MD(**hot(potential=StillingerWeber(), seed=3, **bath))

    def stop(md):
        raise KeyboardInterrupt

    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    run(md(), one, 100)
    with pytest.raises(KeyboardInterrupt):
        md().run(100, every=7, trajectory=two / "run.xyz", thermo=two / "run.txt", checkpoint=two / "md.ckpt", checkpoint_every=20, observers=[(stop, 74)])
    with open(two / "run.xyz", "a") as stream:
        stream.write('64\nLattice="10.86 0.0 0.0')
    moved = two.rename(tmp_path / "moved")  # files belong to the checkpoint beside them
    again = MD.load(moved / "md.ckpt", StillingerWeber())
    assert again.step == 60
    assert run(again, moved, 40).steps.tolist() == [60, 63, 70, 77, 84, 91, 98]
    for name in ("run.xyz", "run.txt"):
        assert (moved / name).read_bytes() == (one / name).read_bytes()
    assert MD.load(moved / "md.ckpt", StillingerWeber()).step == 100


def test_a_run_that_goes_on_harms_no_file_that_is_not_its_own(tmp_path):
    path, other = tmp_path / "run.xyz", tmp_path / "other.xyz"
    MD(silicon(), StillingerWeber()).run(4, every=2, trajectory=path, checkpoint=tmp_path / "md.ckpt")
    other.write_text("days of work")
    with pytest.raises(ValueError, match="other.xyz: cannot be written .File exists."):
        MD.load(tmp_path / "md.ckpt", StillingerWeber()).run(4, trajectory=other)
    assert other.read_text() == "days of work"
    path.write_text("short")
    with pytest.raises(ValueError, match="run.xyz: has 5 bytes where [0-9]+ had been written, it is not the file of this run; put that back"):
        MD.load(tmp_path / "md.ckpt", StillingerWeber()).run(4, trajectory=path)
    assert path.read_text() == "short"


# -------------------------------------------------------------------------------------------------------- the command line

def fastmd_md(*arguments):
    return [str(x) for x in ("md", "sw", *arguments)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (bulk("Si", cubic=True) * (2, 2, 2)).write("start.xyz")
    return tmp_path


def test_the_command_goes_on_after_sigkill_to_the_byte(here):
    command = fastmd_md("start.xyz", "-T", "300:2500", "--steps", 1000, "--every", 5, "--table", "md.txt", "--checkpoint", "md.ckpt",
                        "--checkpoint-every", 50)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    for name in ("md.extxyz", "md.txt"):
        shutil.move(name, "wanted-" + name)
    os.remove("md.ckpt")
    reached = []
    for share in (0.2, 0.5):
        process = subprocess.Popen([sys.executable, "-c", "from fastmd.cli import main; main()", *command, *(["--resume"] if reached else [])],
                                   stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not (
                os.path.exists("md.extxyz") and os.path.getsize("md.extxyz") > share * os.path.getsize("wanted-md.extxyz")):
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -9, process.stderr.read()
        process.stderr.close()
        reached.append(MD.load("md.ckpt", StillingerWeber()).step)
    assert 0 < reached[0] < reached[1] < 1000
    result = CliRunner().invoke(main, command + ["--resume"])
    assert result.exit_code == 0 and f"md.ckpt: at step {reached[1]}" in result.output, result.output
    for name in ("md.extxyz", "md.txt"):
        assert open(name, "rb").read() == open("wanted-" + name, "rb").read(), name


def test_the_command_makes_a_finished_run_longer(here):
    def run(steps, *options):
        result = CliRunner().invoke(main, fastmd_md("start.xyz", "-T", 500, "--steps", steps, "--every", 5, "--checkpoint", "md.ckpt", *options))
        assert result.exit_code == 0, result.output
        return result.output
    run(30)
    whole = open("md.extxyz").read()
    os.remove("md.ckpt")
    run(20)
    assert "at step 20\n" in run(30, "--resume")
    assert open("md.extxyz").read() == whole
    assert "at step 30, which is all there is to do" in run(30, "--resume") and open("md.extxyz").read() == whole


def test_the_command_prints_the_table_unless_it_goes_to_a_file(here):
    out = CliRunner().invoke(main, fastmd_md("start.xyz", "-T", 500, "--steps", 20, "--every", 10)).output
    assert np.loadtxt(io.StringIO(out))[:, 0].tolist() == [0, 10, 20] and "T_bath/K" in out
    CliRunner().invoke(main, fastmd_md("start.xyz", "-T", 500, "--steps", 20, "--every", 10, "--table", "t.txt", "--nve"))
    assert "T_bath/K" not in open("t.txt").read() and np.loadtxt("t.txt")[:, 0].tolist() == [0, 10, 20]


def test_the_command_takes_a_precision(here):
    functions = {"Si": [fastmd.G2("Si", 4.0, 0.1), fastmd.G2("Si", 4.0, 1.0, 2.5)]}
    fastmd.NNPotential(functions, {"Si": fastmd.Network.random(2, (2,), rng=1)}).save("p.nnp")
    tables = []
    for options in ([], ["--precision", "float64"], ["--precision", "mixed"]):
        result = CliRunner().invoke(main, ["md", "p.nnp", "start.xyz", "-T", "300", "--steps", "20", "--every", "10", *options])
        assert result.exit_code == 0, result.output
        tables.append(np.loadtxt(io.StringIO(result.output)))
    assert np.array_equal(tables[0], tables[1]) and not np.array_equal(tables[0], tables[2])
    assert np.abs(tables[0] - tables[2]).max() < 1e-3
    result = CliRunner().invoke(main, fastmd_md("start.xyz", "--precision", "mixed"))
    assert result.exit_code != 0 and "--precision mixed: sw is a classical potential, which is there in float64 only" in str(result.output) + str(result.exception)


def test_the_command_draws_velocities_and_noise_from_one_stream(here):
    """With one seed for each they would be the same numbers, and the first kick would heat by a quarter."""
    out = CliRunner().invoke(main, fastmd_md("start.xyz", "-T", 500, "--steps", 1, "--every", 1)).output
    temperature = np.loadtxt(io.StringIO(out))[:, 2]
    assert abs(temperature[1] / temperature[0] - 1) < 0.08


@pytest.mark.parametrize("options, message", [
    (["-T", "300:900", "--nve"], "-T 300:900 needs a thermostat, so no --nve, and --steps > 0 to go over"),
    (["-T", "300:900", "--steps", 0], "-T 300:900 needs a thermostat, so no --nve, and --steps > 0 to go over"),
    *((["-T", text], f"-T must look like 300 or 300:2500, got '{text}'") for text in ("warm", "300:", "1:2:3", "")),
    (["-T", "-3"], "temperature must be >= 0 K, got -3"),
    (["-T", "300:nan"], "temperature: expected K, or points (step, K)"),
    (["--resume"], "--resume needs the --checkpoint"),
    (["--resume", "--checkpoint", "none.ckpt"], "none.ckpt: cannot be read"),
    (["--checkpoint", "start.xyz"], "start.xyz would be written over, but is also an input"),
    (["--table", "md.extxyz"], "trajectory, thermo and checkpoint must be different files"),
    (["--checkpoint", "md.ckpt"], "md.ckpt: there is one already; go on from it with --resume, or remove it"),
    (["--table", "none/x"], "none/x: its folder cannot be written to"),
    (["--resume", "--checkpoint", "md.ckpt", "-T", 301], "md.ckpt: its run had another -T, --nve or --steps"),
    (["--resume", "--checkpoint", "md.ckpt"], "md.ckpt: its run had another --friction"),
    (["--resume", "--checkpoint", "md.ckpt", "-T", "300:400"], "md.ckpt: its run had another -T, --nve or --steps"),
    (["--resume", "--checkpoint", "md.ckpt", "-T", 300, "--friction", 0.5], "md.ckpt: its run had another --friction"),
    (["--resume", "--checkpoint", "md.ckpt", "-T", 300, "--timestep", 2], "md.ckpt: its run had another --timestep"),
])
def test_commands_that_make_no_sense_are_refused(here, options, message):
    if "md.ckpt" in options:
        assert CliRunner().invoke(main, fastmd_md("start.xyz", "-T", 300, "--steps", 2, "--checkpoint", "md.ckpt")).exit_code == 0
    result = CliRunner().invoke(main, fastmd_md("start.xyz", *options))
    assert result.exit_code == 1 and message in result.output, result.output


def test_a_checkpoint_of_another_structure_is_refused(here):
    assert CliRunner().invoke(main, fastmd_md("start.xyz", "-T", 300, "--steps", 2, "--checkpoint", "md.ckpt")).exit_code == 0
    bulk("Si", cubic=True).write("start.xyz")
    result = CliRunner().invoke(main, fastmd_md("start.xyz", "-T", 300, "--steps", 4, "--checkpoint", "md.ckpt", "--resume"))
    assert result.exit_code == 1 and "md.ckpt: its run had another START" in result.output


# ------------------------------------------------------------------------------------------------------------- refusals

class Spoiled(Springs):
    """Springs that return rubbish for atom 3 from the sixth evaluation on (one is the validation, one the start)."""

    calls = 0

    def evaluate(self, *arguments):
        self.calls += 1
        energy, energies, forces, virial = super().evaluate(*arguments)
        if self.calls >= 6:
            energy, forces[3] = self.rubbish(energy, forces[3])
        return energy, energies, forces, virial


@pytest.mark.parametrize("rubbish, message", [
    (lambda energy, force: (energy, np.nan), "step 4: the force on atom 3 is not finite"),
    (lambda energy, force: (np.nan, force), "step 4: the energy .nan. is not finite"),
    (lambda energy, force: (energy, 1e5), "step 4: atom 3 is about to move .* angstrom in one step of 1 fs, .*blown up"),
])
def test_a_run_that_goes_wrong_stops_with_step_and_atom(rubbish, message):
    atoms = sites()
    potential = Spoiled(atoms.positions.copy())
    potential.rubbish = rubbish
    atoms.positions += 0.1
    with pytest.raises(RuntimeError, match=message):
        MD(atoms, potential).run(20)


def test_an_error_of_the_potential_is_told_with_the_step():
    class Overlap(Spoiled):
        def rubbish(self, energy, force):
            raise ValueError("atoms 1 and 2 lie on top of each other")
    atoms = sites()
    with pytest.raises(RuntimeError, match="step 4: atoms 1 and 2 lie"):
        MD(atoms, Overlap(atoms.positions.copy())).run(20)


def test_a_large_system_at_room_temperature_is_not_taken_for_an_explosion():
    atoms = Atoms("H4096", 3.0 * np.array(list(itertools.product(range(16), repeat=3))))
    maxwell_boltzmann(atoms, 300, rng=1)
    md = MD(atoms, Springs(atoms.positions.copy()))
    md.run(1)
    assert (md.velocities**2).sum() > 1


@pytest.mark.parametrize("change, message", [
    ({"timestep": 0}, "timestep must be > 0 fs, got 0"),
    ({"timestep": np.nan}, "timestep must be"),
    ({"temperature": 300}, "temperature and friction go together"),
    ({"friction": 0.1}, "temperature and friction go together"),
    ({"temperature": -1, "friction": 0.1}, "temperature must be >= 0 K, got -1"),
    ({"temperature": 300, "friction": 0}, "friction must be > 0 1/fs, got 0"),
    ({"potential": "silicon"}, "potential: expected a fastmd Potential or an ASE calculator, got str"),
    ({"atoms": Atoms()}, "atoms: there are none"),
    ({"atoms": Atoms("Si", constraint=FixAtoms([0]))}, "knows no constraints, got 1; remove them"),
    ({"atoms": Atoms("Si2", masses=[28, 0])}, "masses must be finite and > 0 amu, atom 1 has 0"),
    ({"atoms": Atoms("Si2", masses=[28, np.inf])}, "masses must be finite and > 0 amu, atom 1 has inf"),
    ({"atoms": Atoms("Si2", masses=[np.nan, 28])}, "masses must be finite and > 0 amu, atom 0 has nan"),
    *(({"temperature": points, "friction": 0.1}, "temperature: expected K, or points .step, K. such as .* with rising steps")
      for points in ([], [1, 2], [(0, 300), (0, 400)], [(0, 300), (10, -1)], [(0, 300), (10,)], [(0, np.inf)], [("a", 3)])),
    ({"atoms": Atoms("Si", momenta=[[np.inf, 0, 0]])}, "momenta must be finite"),
    ({"atoms": Atoms("Ge")}, "no parameters for Ge"),
])
def test_arguments_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MD(**({"atoms": silicon(), "potential": StillingerWeber()} | change))


@pytest.mark.parametrize("arguments, message", [
    ({"steps": -1}, "steps must be a whole number >= 0, got -1"),
    ({"steps": 1.5}, "steps must be a whole number >= 0, got 1.5"),
    ({"steps": 1, "every": 0}, "every must be a whole number >= 1, got 0"),
    ({"steps": 1, "checkpoint": "x", "checkpoint_every": 0}, "checkpoint_every must be a whole number >= 1, got 0"),
    ({"steps": 1, "checkpoint": "/nowhere/x"}, "/nowhere/x: cannot be written"),
    ({"steps": 1, "checkpoint": "x", "trajectory": "./x"}, "trajectory, thermo and checkpoint must be different files"),
    ({"steps": 1, "observers": [(print, 0)]}, "observers: k must be a whole number >= 1, got 0"),
])
def test_runs_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MD(silicon(), StillingerWeber()).run(**arguments)


def test_a_temperature_that_cannot_be_given_is_refused():
    with pytest.raises(ValueError, match="temperature must be >= 0 K, got -3"):
        maxwell_boltzmann(silicon(), -3)
    with pytest.raises(ValueError, match="1 of them without net momentum have no temperature"):
        maxwell_boltzmann(Atoms("Si"), 300)
    with pytest.raises(ValueError, match="masses must be finite and > 0 amu, atom 1 has inf"):
        maxwell_boltzmann(Atoms("Si2", masses=[28, np.inf]), 300)
