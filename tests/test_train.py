"""Training: labels in, split, offsets, the loop, the command line."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner

pytest.importorskip("torch")

from fastmd import NNPotential, StillingerWeber  # noqa: E402
from fastmd.cli import main  # noqa: E402
from fastmd.train import dataset, report  # noqa: E402
from fastmd.train.loop import Settings, train  # noqa: E402


def frames(n=12, seed=0):
    rng, sw, found = np.random.default_rng(seed), StillingerWeber(), []
    for k in range(n):
        a = bulk("Si", a=5.43 * rng.uniform(0.98, 1.02), cubic=True)
        a.positions += rng.normal(0, 0.15, a.positions.shape)
        r = sw.compute(a)
        a.info["trajectory"] = f"t{k % 6}"
        a.calc = SinglePointCalculator(a, energy=r.energy, forces=r.forces, stress=r.stress)
        found.append(a)
    return found


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.extxyz"
    ase.io.write(path, frames())
    return path


def test_training_lowers_the_error_and_the_file_it_writes_gives_the_same_energies(data, tmp_path):
    structures = dataset.read(data)
    potential, history = train(structures, Settings(epochs=6, hidden=(8,), cutoff=4.0))
    assert history[-1]["train_loss"] < 0.1 * history[0]["train_loss"]
    assert report.evaluate(potential, structures).numbers()["force_rmse_mev_per_angstrom"] < 250
    potential.save(tmp_path / "si.nnp")
    a = structures[0].atoms
    assert NNPotential.load(tmp_path / "si.nnp").compute(a).energy == potential.compute(a).energy


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_equal_seeds_give_equal_potentials(data, optimizer):
    s = Settings(epochs=2, hidden=(5,), cutoff=4.0, optimizer=optimizer, threads=1)
    texts = [train(dataset.read(data), s)[0].text() for _ in range(2)]
    assert texts[0] == texts[1]


def test_missing_labels_are_masked():
    structures = [dataset._structure(a, k, "x", None) for k, a in enumerate(frames(8))]
    structures[0].energy = np.nan
    structures[1].forces[:] = np.nan
    structures[2].stress[:] = np.nan
    potential, history = train(structures, Settings(epochs=2, hidden=(5,), cutoff=4.0, validation=0))
    assert np.isfinite(history[-1]["train_loss"])
    n = report.evaluate(potential, structures)
    assert len(n.energy) == 7 and len(n.force) == 7 * 24 and len(n.stress) == 7 * 9


@pytest.mark.parametrize("prefix", ["", "REF_", "dft_"])
def test_labels_are_found_under_the_usual_keys(prefix, tmp_path):
    a = frames(1)[0]
    r = {k: np.array(v) for k, v in a.calc.results.items()}
    a.calc = None
    a.info |= {prefix + "energy": float(r["energy"]), prefix + "stress": r["stress"]}
    a.arrays[prefix + "forces"] = r["forces"]
    ase.io.write(tmp_path / "a.extxyz", a)
    (s,) = dataset.read(tmp_path / "a.extxyz")
    assert s.energy == pytest.approx(float(r["energy"]), rel=1e-7) and np.allclose(s.forces, r["forces"], atol=1e-6)
    assert np.allclose(s.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], r["stress"], atol=1e-7)


def test_a_prefixed_label_wins_and_a_virial_is_minus_stress_times_volume():
    a = frames(1)[0]
    stress = a.calc.results["stress"]
    full = stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
    a.calc = SinglePointCalculator(a, energy=1.0)
    a.info |= {"REF_energy": 2.0, "REF_virial": -full * a.get_volume()}
    s = dataset._structure(a, 0, "x", None)
    assert s.energy == 2.0 and np.allclose(s.stress, full, rtol=1e-12)


def test_validation_holds_out_whole_trajectories(data):
    training, validation = dataset.split(dataset.read(data), 0.2, seed=1)
    assert validation and not {s.group for s in training} & {s.group for s in validation}


def test_offsets_are_least_squares_of_minimum_norm_and_given_ones_stay():
    water = [dataset.Structure(Atoms("H2O"), -10.0, np.zeros((3, 3)), np.zeros((3, 3)), "")]
    found = dataset.offsets(water, ["H", "O"])
    assert found["H"] == pytest.approx(-4) and found["O"] == pytest.approx(-2)  # fixed composition: along (2, 1)
    assert dataset.offsets(water, ["H", "O"], {"H": -1.0}) == {"H": -1.0, "O": pytest.approx(-8)}
    more = water + [dataset.Structure(Atoms("O2"), -6.0, np.zeros((2, 3)), np.zeros((3, 3)), "")]
    assert dataset.offsets(more, ["H", "O"]) == {"H": pytest.approx(-3.5), "O": pytest.approx(-3)}


def test_a_lone_atom_in_the_data_is_no_trouble():
    structures = [dataset._structure(a, k, "x", None) for k, a in enumerate(frames(6))]
    structures.append(dataset.Structure(Atoms("Si", [[0, 0, 0]]), -1.0, np.zeros((1, 3)), np.full((3, 3), np.nan), "atom"))
    potential, _ = train(structures, Settings(epochs=1, hidden=(4,), cutoff=4.0, validation=0))
    assert np.isfinite(potential.compute(structures[-1].atoms).energy)


def test_two_elements_train():
    rng, structures = np.random.default_rng(0), []
    for k in range(8):
        a = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
        a.positions += rng.normal(0, 0.1, a.positions.shape)
        structures.append(dataset.Structure(a, float(rng.normal()), rng.normal(0, 0.1, (8, 3)), np.full((3, 3), np.nan), ""))
    potential, history = train(structures, Settings(epochs=3, hidden=(6,), cutoff=4.5, validation=0))
    assert set(potential.functions) == {"Na", "Cl"} and history[-1]["train_loss"] < history[0]["train_loss"]


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


def test_the_command_line_trains_evaluates_and_runs(data, tmp_path):
    nnp, folder = tmp_path / "si.nnp", tmp_path / "out"
    r = run("train", data, "--test", data, "-o", nnp, "--report", folder, "--epochs", 2, "--hidden", "6", "--cutoff", 4)
    assert r.exit_code == 0, r.output
    numbers = json.loads((folder / "report.json").read_text())
    keys = ["energy_rmse_mev_per_atom", "energy_mae_mev_per_atom", "force_rmse_mev_per_angstrom", "force_mae_mev_per_angstrom", "stress_rmse_gpa", "stress_mae_gpa"]
    assert {*(f"{p}_{k}" for p in ("train", "test") for k in keys), "wall_seconds", "n_parameters", "optimizer"} <= set(numbers)
    assert (folder / "report.png").stat().st_size > 10000
    r = run("evaluate", nnp, data, "--json")
    assert json.loads(r.output) == {k: pytest.approx(numbers[f"test_{k}"], rel=1e-12) for k in keys}
    assert "Si: network 32-6-1 tanh" in run("inspect", nnp).output
    ase.io.write(tmp_path / "start.xyz", frames(1)[0])
    r = run("md", nnp, tmp_path / "start.xyz", "-T", 300, "--steps", 20, "--every", 10, "-o", tmp_path / "md.extxyz")
    assert r.exit_code == 0 and len(ase.io.read(tmp_path / "md.extxyz", ":")) == 3


@pytest.mark.parametrize("args, message", [
    (["--hidden", "x"], "must look like 24,24"), (["--cutoff", "-1"], "cutoff must be > 0 angstrom"), (["--epochs", "0"], "epochs must be"),
    (["--activation", "gelu"], "activation must be one of"), (["--e0", "Si"], "must look like Si="), (["--group", "nope"], "has no 'nope'"), (["-o", "/nowhere/x.nnp"], "cannot be written to")])
def test_a_wrong_option_is_one_clear_line(data, args, message):
    r = run("train", data, *args)
    assert r.exit_code == 1 and message in r.output and "Traceback" not in r.output


def test_data_that_cannot_be_trained_on_says_why(tmp_path):
    path = tmp_path / "bare.xyz"
    ase.io.write(path, bulk("Si"), format="extxyz")
    with pytest.raises(ValueError, match="no structure has an energy or forces"):
        dataset.read(path)
    path.write_text("5\nnot a structure")
    with pytest.raises(ValueError, match="ASE cannot read it"):
        dataset.read(path)
    a = frames(1)[0]
    a.calc.results["forces"][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        dataset._structure(a, 0, "x", None)


def test_an_element_that_the_potential_lacks_is_named(data, tmp_path):
    potential, _ = train(dataset.read(data), Settings(epochs=1, hidden=(4,), cutoff=4.0))
    with pytest.raises(ValueError, match="Ge"):
        potential.compute(bulk("Ge"))


@pytest.mark.slow
def test_silicon_of_the_mlearn_set_beats_the_published_network(test_data, tmp_path):
    r = run("train", test_data / "data/mlearn/Si_train.xyz", "--test", test_data / "data/mlearn/Si_test.xyz", "-o", tmp_path / "si.nnp", "--report", tmp_path)
    assert r.exit_code == 0
    n = json.loads((tmp_path / "report.json").read_text())
    assert n["test_energy_mae_mev_per_atom"] < 5.63 and n["test_force_mae_mev_per_angstrom"] < 109
