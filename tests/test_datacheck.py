"""The data check: what is planted is found, and clean data give no alarm."""

import json

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner

import fastmd
from fastmd import LennardJones, StillingerWeber, datacheck
from fastmd.cli import main
from fastmd.cli.check import ranges
from fastmd.train import dataset

KCAL = units.kcal / units.mol


def labelled(atoms, potential):
    r = potential.compute(atoms)
    atoms.calc = SinglePointCalculator(atoms, energy=r.energy, forces=r.forces, stress=r.stress)
    return atoms


def silicon(n=20, seed=0):
    rng, found = np.random.default_rng(seed), []
    for k in range(n):
        a = bulk("Si", a=5.43 * rng.uniform(0.97, 1.03), cubic=True)
        a.positions += rng.normal(0, 0.1, a.positions.shape)
        a.info["trajectory"] = f"{seed}-{k // 4}"
        found.append(labelled(a, StillingerWeber()))
    return found


def argon(n=20, seed=0):
    rng, found = np.random.default_rng(seed), []
    for _ in range(n):
        a = bulk("Ar", a=5.26 * rng.uniform(0.97, 1.04), cubic=True) * (2, 2, 1)
        a.positions += rng.normal(0, 0.15, a.positions.shape)
        found.append(labelled(a, LennardJones(0.0104, 3.40, 8.5)))
    return found


MAKE = {"silicon": silicon, "argon": argon}


def change(frames, energy=1.0, forces=1.0, stress=1.0):
    for a in frames:
        r = a.calc.results
        factor = a.get_volume() if stress == "volume" else stress
        a.calc = SinglePointCalculator(a, energy=r["energy"] * energy, forces=r["forces"] * forces, stress=r["stress"] * factor)
    return frames


@pytest.fixture
def check(tmp_path):
    def run(frames, test=None):
        paths = []
        for name, some in (("data.extxyz", frames), ("test.extxyz", test)):
            if some is not None:
                ase.io.write(tmp_path / name, some)
                paths.append(tmp_path / name)
        return fastmd.check(*paths)
    return run


def bad(report):
    return [f for f in report.findings if f.severity != "note"]


def only(report, what):
    (f,) = bad(report)
    assert f.what == what, f
    return f


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("seed", [0, 10])
def test_clean_data_give_no_alarm(check, name, seed):
    report = check(MAKE[name](20, seed), MAKE[name](10, seed + 1))
    assert bad(report) == []
    f = report.files[list(report.files)[0]]
    assert f["energy_to_force_factor"]["factor"] == pytest.approx(1, abs=0.1)
    assert f["stress_to_force_factor"]["factor"] == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("factors, severity, words", [
    ({"energy": 1 / KCAL}, "error", "likely energies in kcal/mol with forces in eV/angstrom"),
    ({"energy": 1 / KCAL, "forces": 1 / KCAL}, "warning", "energies in kcal/mol with forces in kcal/mol/angstrom"),
    ({"forces": 1 / KCAL}, "error", "energies in eV with forces in kcal/mol/angstrom"),
    ({"energy": 1 / units.Hartree}, "error", "energies in hartree with forces in eV/angstrom"),
    ({"energy": 1 / units.Rydberg}, "error", "energies in rydberg with forces in eV/angstrom"),
    ({"energy": units.mol / units.kJ}, "error", "energies in kJ/mol with forces in eV/angstrom"),
    ({"energy": 1 / units.Hartree, "forces": units.Bohr / units.Hartree}, "error", "hartree/bohr"),
    ({"forces": units.Bohr / units.Hartree}, "error", "energies in eV with forces in hartree/bohr"),
])
def test_other_units_of_energies_and_forces_are_named(check, name, factors, severity, words):
    f = only(check(change(MAKE[name](), **factors)), "units")
    assert f.severity == severity and words in f.text, f
    for key, unit in (("energy", "energies"), ("forces", "forces")):
        if key in factors and "bohr" not in words:
            assert f"{unit} by {1 / factors[key]:.6g}" in f.todo


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("factor, words, todo", [
    (-1, "likely eV/angstrom^3 with the opposite sign", "multiply by -1"), (1 / units.GPa, "GPa", f"{units.GPa:.6g}"),
    (-10 / units.GPa, "likely kbar with the opposite sign", f"{units.GPa / 10:.6g}"), ("volume", "not divided by the volume", "")])
def test_stresses_of_another_unit_or_sign_are_named(check, name, factor, words, todo):
    f = only(check(change(MAKE[name](), stress=factor)), "stress")
    assert f.severity == "error" and words in f.text and todo in f.todo.lower(), f


def test_gradients_in_place_of_forces_are_found(check):
    f = only(check(change(silicon(), forces=-1)), "sign")
    assert f.severity == "error" and "energies rise along the forces" in f.text


def test_lengths_in_bohr_are_found(check):
    frames = silicon()
    for a in frames:
        results = a.calc.results
        a.set_cell(a.cell / units.Bohr, scale_atoms=True)
        a.calc = SinglePointCalculator(a, **results)
    assert "bohr" in only(check(frames), "units").todo


def test_total_energies_of_all_electrons_betray_their_unit_without_forces(check):
    frames = []
    for k in range(3):
        a = molecule("CH3CH2OH")
        a.rattle(0.05, seed=k)
        a.info["energy"] = -155.04 / KCAL * units.Hartree  # HF/6-311G**, kcal/mol
        frames.append(a)
    assert "all electrons in kcal/mol" in only(check(frames), "units").text


def test_copies_are_found_also_of_other_labels_shifted_and_turned(check):
    frames = silicon()
    twin, moved, turned, other = (frames[k].copy() for k in (2, 3, 4, 5))
    moved.positions += [0.3, -2, 5]
    moved.wrap()
    turned.rotate(40, "x", rotate_cell=True)
    turned = turned[np.random.default_rng(0).permutation(len(turned))]
    many = [labelled(frames[7].copy(), StillingerWeber()) for _ in range(20)]
    frames += [labelled(a, StillingerWeber()) for a in (twin, moved, turned)] + many
    other.calc = SinglePointCalculator(other, energy=frames[5].calc.results["energy"] + 1, forces=frames[5].calc.results["forces"])
    report = check([*frames, other])
    found = {(f.severity, tuple(f.structures)) for f in report.findings if f.what == "duplicate"}
    assert found == {("warning", (20, 21, *range(23, 43))), ("note", (22,)), ("error", (43,))}


def test_test_structures_that_are_in_training_are_found(check):
    train, test = silicon(), silicon(8, seed=1)
    test[3] = train[5]
    turned = train[6].copy()
    turned.rotate(30, "z", rotate_cell=True)
    test[4] = labelled(turned, StillingerWeber())
    step = train[7].copy()
    step.positions += np.random.default_rng(0).normal(0, 0.01, step.positions.shape)
    test[5] = labelled(step, StillingerWeber())
    report = check(train, test)
    assert [(f.severity, f.structures) for f in report.findings if f.what == "leak"] == [
        ("error", [3]), ("warning", [4]), ("warning", [5]), ("note", [3, 4, 5])]
    assert "3 = 5" in report.findings[0].text and report.findings[0].file.endswith("test.extxyz")


def test_labels_that_are_not_finite_or_no_numbers_are_all_listed_and_refused_in_reading(tmp_path):
    frames = silicon()
    frames[4].calc.results["forces"][2, 1] = np.nan
    frames[9].calc.results["forces"][0, 0] = np.inf
    frames[11].calc.results["energy"] = np.nan
    path = tmp_path / "data.extxyz"
    ase.io.write(path, frames)
    report = datacheck.check(path)
    assert {(f.text.split(";")[0], tuple(f.structures)) for f in bad(report)} == {("forces holds NaN or infinity", (4, 9)), ("energy holds NaN or infinity", (11,))}
    with pytest.raises(ValueError, match="structure 4: forces holds NaN or infinity"):
        dataset.read(path)


def test_a_key_without_a_value_is_no_energy(tmp_path):
    path = tmp_path / "data.extxyz"
    frames = silicon(4)
    frames[1].info["REF_energy"] = True
    ase.io.write(path, frames)
    message = "REF_energy is True, not numbers; REF_energy alone or REF_energy=T reads as true, write the numbers after REF_energy="
    with pytest.raises(ValueError, match=message):
        dataset.read(path)
    assert message in [f.text for f in datacheck.check(path).findings if f.structures == [1]]


def test_keys_that_are_mixed_or_not_used_are_listed(check):
    frames = silicon(8)
    for a in frames[:3]:
        a.info["REF_energy"] = a.calc.results["energy"]
    for a in frames:
        a.info["virial"] = np.eye(3)
        a.info["dft_total_energy"] = 1.0
    del frames[7].calc.results["forces"]
    report = check(frames)
    assert only(report, "keys").text == "energy is read from REF_energy (3 structures) and energy (5 structures)"
    texts = [f.text for f in report.findings]
    assert "1 of 8 structures have no forces" in texts and "not used: dft_total_energy (8), energy (3), virial (8)" in texts


def test_a_file_without_labels_is_an_error(check):
    report = check([bulk("Si"), bulk("Si", a=5.5)])
    assert "no structure has an energy or forces" in bad(report)[0].text and bad(report)[0].severity == "error"


def test_positions_that_are_not_finite_and_cells_without_volume_are_listed(check, monkeypatch):
    frames = silicon(12)
    frames[2].positions[0, 0] = np.nan
    frames[3].cell[2] = frames[3].cell[1]
    frames[5].cell[0, 0] = np.nan
    monkeypatch.setattr(dataset, "read_frames", lambda path: frames)
    found = {f.text.split()[0] + f.text.split()[1]: f.structures for f in datacheck.check("x").findings if f.what == "structure"}
    assert found == {"positionshold": [2], "isperiodic": [3], "itscell": [5]}


def test_overlapping_atoms_are_found(check):
    frames = silicon()
    a = frames[6].copy()
    a.positions[1] = a.positions[0] + [0.4, 0, 0]
    a.calc = SinglePointCalculator(a, energy=-30.0, forces=np.zeros((8, 3)))
    b = frames[8].copy()
    b.positions[1] = b.positions[0]
    b.calc = SinglePointCalculator(b, energy=-30.0, forces=np.zeros((8, 3)))
    frames[6], frames[8] = a, b
    report = check(frames)
    (f,) = [f for f in bad(report) if f.what == "overlap"]
    assert f.severity == "error" and f.structures == [6, 8] and "structure 8: 0 angstrom" in f.text


def test_atoms_nearer_than_in_all_the_rest_are_found(check):
    frames = argon()
    frames[4].positions[1] = frames[4].positions[0] + [1.5, 0, 0]
    labelled(frames[4], LennardJones(0.0104, 3.40, 8.5))
    found = [f for f in bad(check(frames)) if f.what == "overlap"]
    assert [(f.severity, f.structures) for f in found] == [("warning", [4])]


def test_positions_in_lattice_vectors_are_found(check):
    frames = silicon(5)
    for a in frames:
        results = a.calc.results
        a.set_cell(np.eye(3), scale_atoms=True)
        a.calc = SinglePointCalculator(a, **results)
    f = bad(check(frames))[0]
    assert f.what == "distances" and "more than one atom per cubic angstrom" in f.text and f.structures == [0, 1, 2, 3, 4]


def test_net_forces_and_outliers_are_found(check):
    frames = silicon(40)
    frames[3].calc.results["forces"][0] += [1.0, 0, 0]
    frames[5].calc.results["energy"] += 20
    frames[7].calc.results["forces"][:2] += [[500, 0, 0], [-500, 0, 0]]
    found = {(f.what, tuple(f.structures)) for f in bad(check(frames))}
    assert found == {("net force", (3,)), ("outlier", (5,)), ("outlier", (7,))}


def test_the_stiffness_is_that_of_a_difference_quotient_of_the_potential(check):
    """The mean eigenvalue of the Hessian, from the fitted model, against Stillinger-Weber itself"""
    frames, sw, h = silicon(30), StillingerWeber(), 1e-3
    report = check(frames)
    total = 0.0
    for a in frames:
        for i in range(3 * len(a)):
            x = a.positions.copy()
            f = []
            for sign in (1, -1):
                a.positions.flat[i] = x.flat[i] + sign * h
                f.append(sw.compute(a).forces.flat[i])
            a.positions = x
            total -= (f[0] - f[1]) / (2 * h)
    (facts,) = report.files.values()
    assert facts["stiffness_ev_per_angstrom2"] == pytest.approx(total / (24 * len(frames)), rel=0.15)


def test_many_elements_are_too_many_for_units_but_not_for_the_rest(check):
    symbols = "H He Li Be B C N O F Ne Na Mg Al".split()
    frames = []
    for k in range(3):
        a = fastmd_line(symbols)
        a.calc = SinglePointCalculator(a, energy=-1.0 - k, forces=np.zeros((len(a), 3)))
        frames.append(a)
    assert any("too many elements" in f.text for f in check(frames).findings)


def fastmd_line(symbols):
    from ase import Atoms

    return Atoms(symbols, positions=[[2.5 * k, 0, 0] for k in range(len(symbols))])


@pytest.mark.parametrize("frames, words", [
    (lambda: silicon(1), "too few labelled structures, or no forces other than zero"),
    (lambda: [labelled(bulk("Si", cubic=True), StillingerWeber()) for _ in range(3)], "too few labelled structures, or no forces other than zero"),
    (lambda: change(silicon(3)), "whether energies belong to the forces cannot be seen")])
def test_what_cannot_be_seen_is_said(check, frames, words):
    assert words in " ".join(f.text for f in check(frames()).findings)


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


def test_the_command_line_ends_with_1_for_errors_and_0_without(tmp_path):
    data, test = tmp_path / "data.extxyz", tmp_path / "test.extxyz"
    ase.io.write(data, silicon())
    r = run("check", data, "--picture", tmp_path / "x.png")
    assert r.exit_code == 0 and "0 errors, 0 warnings" in r.output and (tmp_path / "x.png").stat().st_size > 10000
    ase.io.write(test, silicon()[:3])
    r = run("check", data, "--test", test)
    assert r.exit_code == 1 and "leak" in r.output and "0-2" in r.output
    r = run("check", data, "--test", test, "--json")
    found = json.loads(r.stdout)
    assert r.exit_code == 1 and found["errors"] == 1 and found["findings"][0]["structures"] == [0, 1, 2]
    r = run("check", tmp_path / "data.extxyz", "--picture", tmp_path / "no" / "x.png")
    assert r.exit_code == 1 and "cannot be written to" in r.output


def test_numbers_of_structures_are_written_as_ranges():
    assert ranges([5, 0, 1, 2]) == "0-2, 5" and ranges([]) == "" and ranges(range(0, 40, 2)) == "0, 2, 4, 6, 8, 10, ... (20)"


@pytest.mark.parametrize("name, alike", [("Si", 3), pytest.param("Cu", 13, marks=pytest.mark.slow)])
def test_published_data_give_no_false_alarm_and_their_repeated_strains_are_found(test_data, name, alike):
    """Zuo et al.: strained crystals in the test set are those in training, in another orientation; nine of Cu's have the same energy to the last digit"""
    folder = test_data / "data/mlearn"
    f = only(datacheck.check(folder / f"{name}_train.xyz", folder / f"{name}_test.xyz"), "leak")
    assert f.severity == "warning" and len(f.structures) == alike


@pytest.mark.slow
def test_two_thousand_structures_of_two_hundred_atoms_take_less_than_a_minute(tmp_path):
    import time

    rng, frames = np.random.default_rng(0), []
    for _ in range(2000):
        a = bulk("Si", cubic=True) * (5, 5, 1)
        a.positions += rng.normal(0, 0.1, a.positions.shape)
        r = StillingerWeber().compute(a)
        a.calc = SinglePointCalculator(a, energy=r.energy, forces=r.forces, stress=r.stress)
        frames.append(a)
    ase.io.write(tmp_path / "data.extxyz", frames)
    began = time.monotonic()
    assert bad(datacheck.check(tmp_path / "data.extxyz")) == []
    assert time.monotonic() - began < 60
