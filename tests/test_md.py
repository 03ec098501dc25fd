"""Molecular dynamics: what it conserves, what it samples, what it writes, and what it refuses."""
import io
import itertools

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.md.verlet import VelocityVerlet

import fastmd.md
from fastmd.classical import LennardJones, StillingerWeber
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


def silicon(temperature=600, n=2):
    atoms = bulk("Si", cubic=True) * (n, n, n)
    maxwell_boltzmann(atoms, temperature, rng=1)
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
    for steps in (4, 3, 2):
        thermo = md.run(steps, every=2, trajectory=path, thermo=str(table))
        assert thermo.steps[0] == md.step - steps
    assert [frame.info["step"] for frame in ase.io.read(path, index=":")] == [0, 2, 4, 6, 7, 9]
    assert np.loadtxt(table)[:, 0].tolist() == [0, 2, 4, 6, 7, 9]
    assert table.read_text().count("#") == 1
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
    monkeypatch.setattr(fastmd.md.time, "monotonic", lambda: next(clock))
    md = MD(silicon(), StillingerWeber())
    md.run(2, progress=True)
    md.run(10)
    md.run(10, progress=False)
    assert capsys.readouterr().err == ""
    md.run(10, progress=True)
    assert "MD" in capsys.readouterr().err
    monkeypatch.setattr(fastmd.md.sys.stderr, "isatty", lambda: True, raising=False)
    md.run(10)
    assert "MD" in capsys.readouterr().err


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
    ({"timestep": 0}, "timestep must be a finite number > 0 fs, got 0"),
    ({"timestep": np.nan}, "timestep must be"),
    ({"temperature": 300}, "temperature and friction go together"),
    ({"friction": 0.1}, "temperature and friction go together"),
    ({"temperature": -1, "friction": 0.1}, "temperature must be a finite number >= 0 K, got -1"),
    ({"temperature": 300, "friction": 0}, "friction must be a finite number > 0 1/fs, got 0"),
    ({"potential": "silicon"}, "potential: expected a fastmd Potential or an ASE calculator, got str"),
    ({"atoms": Atoms()}, "atoms: there are none"),
    ({"atoms": Atoms("Si", constraint=FixAtoms([0]))}, "knows no constraints, got 1; remove them"),
    ({"atoms": Atoms("Si2", masses=[28, 0])}, "masses must be > 0 amu, atom 1 has 0"),
    ({"atoms": Atoms("Si", momenta=[[np.inf, 0, 0]])}, "momenta must be finite"),
    ({"atoms": Atoms("Ge")}, "no parameters for Ge"),
])
def test_arguments_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MD(**({"atoms": silicon(), "potential": StillingerWeber()} | change))


@pytest.mark.parametrize("arguments, message", [
    ({"steps": -1}, "steps must be an integer >= 0, got -1"),
    ({"steps": 1.5}, "steps must be an integer >= 0, got 1.5"),
    ({"steps": 1, "every": 0}, "every must be an integer >= 1, got 0"),
    ({"steps": 1, "observers": [(print, 0)]}, "observers: k must be an integer >= 1, got 0"),
])
def test_runs_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MD(silicon(), StillingerWeber()).run(**arguments)


def test_a_temperature_that_cannot_be_given_is_refused():
    with pytest.raises(ValueError, match="temperature must be a finite number >= 0 K, got -3"):
        maxwell_boltzmann(silicon(), -3)
    with pytest.raises(ValueError, match="1 of them without net momentum have no temperature"):
        maxwell_boltzmann(Atoms("Si"), 300)
