"""The loop: optimisers, weights, pieces, cached rows, checkpoints that survive SIGKILL, warm starts, memory that keeps its bound."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, GPa, Hartree
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import fastmd  # noqa: E402
from fastmd import ZBL, G2, Network, NNPotential, StillingerWeber, make_set  # noqa: E402
from fastmd.cli import main  # noqa: E402
from fastmd.symmetry import Descriptor  # noqa: E402
from fastmd.train import dataset, memory, optimise, pieces, report  # noqa: E402
from fastmd.train.loop import Settings, train  # noqa: E402
from fastmd.train.model import Model  # noqa: E402

SMALL = dict(hidden=(6,), cutoff=4.0)


def structures(n=12, seed=0):
    """Stillinger-Weber silicon, 8 atoms each, with some labels missing"""
    rng, sw, found = np.random.default_rng(seed), StillingerWeber(), []
    for k in range(n):
        a = bulk("Si", a=5.43 * rng.uniform(0.98, 1.02), cubic=True)
        a.positions += rng.normal(0, 0.12, a.positions.shape)
        r = sw.compute(a)
        full = r.stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
        found.append(dataset.Structure(a, r.energy, r.forces.copy(), full, f"t{k % 6}"))
    return found


DATA = structures()
FUNCTIONS = make_set(["Si"], 4.0, 2.0)


def model(rng=0, hidden=(6,)):
    n = len(FUNCTIONS["Si"])
    return Model({"Si": Network.random(n, hidden, rng=rng)}, {"Si": np.full(n, 0.3)}, {"Si": np.full(n, 1.5)})


def labelled(atoms=10**9, cache=False, data=DATA):
    d = Descriptor(FUNCTIONS)
    return [pieces.Labelled(d, data[a:b], {"Si": -4.0}, 1, cache) for a, b in pieces.cut(pieces.measure(d, data), atoms)]


def gradient(net, batch, l2=0.0, scale=(1.0, 0.1, 0.5), derivatives=True):
    loss = float(optimise.gradient(net, ["Si"], batch, scale, l2, derivatives))
    return loss, torch.cat([p.grad.reshape(-1) for p in net.parameters()]).numpy().copy()


# ---- loss and gradient

def test_the_gradient_of_the_loss_with_its_penalty_matches_difference_quotients():
    net, batch = model(), labelled()
    _, g = gradient(net, batch, l2=0.3)
    at = 0
    for p in net.parameters():
        flat = p.data.view(-1)
        for k in (0, p.numel() - 1):
            old, eps = float(flat[k]), 1e-5
            values = []
            for x in (old + eps, old - eps):
                flat[k] = x
                values.append(gradient(net, batch, l2=0.3)[0])
            flat[k] = old
            assert abs((values[0] - values[1]) / (2 * eps) - g[at + k]) < 1e-6 * np.abs(g).max()
        at += p.numel()


def test_the_penalty_is_l2_times_the_sum_of_squared_weights_and_spares_biases():
    net, batch = model(), labelled()
    for p in net.parameters():
        p.data += 0.1
    (loss, g), (more, h) = gradient(net, batch), gradient(net, batch, l2=0.7)
    w = np.concatenate([p.detach().numpy().ravel() * (p.ndim == 2) for p in net.parameters()])
    assert more - loss == pytest.approx(0.7 * np.sum(w**2), rel=1e-12)
    np.testing.assert_allclose(h - g, 1.4 * w, rtol=0, atol=1e-12 * np.abs(g).max())


@hypothesis_settings(deadline=None, max_examples=8)
@given(st.integers(1, 100), st.booleans())
def test_loss_and_gradient_do_not_depend_on_how_the_data_is_cut_nor_on_cached_rows(atoms, cache):
    net = model()
    loss, g = gradient(net, labelled())
    other, h = gradient(net, labelled(atoms, cache))
    assert other == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(h, g, rtol=0, atol=1e-12 * np.abs(g).max())


def test_the_loss_is_the_means_over_all_labels_that_are_there():
    data = structures(5)
    data[0].energy = np.nan
    data[1].forces[3:] = np.nan
    data[2].stress[:] = np.nan
    s = Settings(**SMALL, epochs=1, validation=0, threads=1)
    potential, history = train(data, s)
    errors = report.evaluate(potential, data)
    energy, force, stress = (np.mean((x[:, 1] - x[:, 0]) ** 2) for x in (errors.energy, errors.force, errors.stress * GPa))
    assert history[-1]["train_loss"] == pytest.approx(energy + 0.02 * force + 0.5 * stress, rel=1e-9)
    assert history[-1]["train_stress_rmse"] == pytest.approx(errors.numbers()["stress_rmse_gpa"], rel=1e-9)


def test_the_mean_of_the_mini_batches_losses_is_the_loss():
    data = DATA[:5] + [dataset.Structure(Atoms("Si", [[0, 0, 0]]), -4.5, np.zeros((1, 3)), np.full((3, 3), np.nan), "")]
    counts, weights = pieces.count(data), np.array([1, 0.1, 0.5])
    net = model()
    _, whole = gradient(net, labelled(data=data), scale=weights / counts)
    parts = [gradient(net, labelled(data=data[k:k + 2]), scale=3 * weights / counts)[1] for k in (0, 2, 4)]
    np.testing.assert_allclose(np.mean(parts, axis=0), whole, rtol=0, atol=1e-12 * np.abs(whole).max())


# ---- optimisers, schedules, stopping, weights

@pytest.mark.parametrize("optimizer", optimise.OPTIMISERS)
def test_every_optimiser_gets_somewhere(optimizer):
    lines = []
    s = Settings(**SMALL, optimizer=optimizer, epochs=4 if optimizer == "lbfgs" else 30, batch_size=2, validation=0, force_weight=0.1, threads=1)
    train(DATA, s, report=lines.append)
    assert lines[-1]["train_loss"] < 0.5 * lines[0]["train_loss"]
    assert lines[-1]["train_force_rmse"] < 0.6 * 1e3 * np.sqrt(np.mean([s.forces**2 for s in DATA]))


@pytest.mark.parametrize("batch_size, steps", [(0, 1), (None, 1), (1, 12), (5, 3)])
def test_an_epoch_has_as_many_steps_as_batches(batch_size, steps, monkeypatch):
    taken, step = [], torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, closure: taken.append(1) or step(self, closure))
    train(DATA, Settings(**SMALL, optimizer="adam", epochs=2, batch_size=batch_size, validation=0, threads=1))
    assert len(taken) == 2 * steps


@pytest.mark.parametrize("schedule, expected", [
    ("constant", [1, 1, 1, 1]), ("cosine", [1, 0.5 * (1 + 0.5**0.5), 0.5, 0.5 * (1 - 0.5**0.5)]), ("exponential", [1, 0.1**0.5, 0.1, 0.1**1.5]), ("step", [1, 1, 0.1, 0.1])])
def test_a_schedule_sets_the_learning_rate(schedule, expected):
    _, history = train(DATA, Settings(**SMALL, optimizer="adam", epochs=4, learning_rate=1e-3, schedule=schedule, decay=0.1, decay_epochs=2, threads=1))
    np.testing.assert_allclose([h["learning_rate"] for h in history], 1e-3 * np.array(expected), rtol=1e-12)


def test_plateau_lowers_the_rate_when_validation_gets_no_better_and_patience_then_stops():
    s = Settings(**SMALL, optimizer="sgd", learning_rate=1e-30, epochs=50, schedule="plateau", decay=0.1, decay_epochs=2, patience=6, threads=1)
    _, history = train(DATA, s)
    np.testing.assert_allclose([h["learning_rate"] for h in history], 1e-30 * np.array([1, 1, 1, 0.1, 0.1, 0.01, 0.01]))  # the first epoch is the best


def test_auto_weights_are_one_over_the_variance_of_the_labels():
    said, data = [], structures(6)
    for s in data:
        s.stress[:] = np.nan
    potential, history = train(data, Settings(**SMALL, epochs=1, validation=0, energy_weight="auto", force_weight="auto", stress_weight="auto", offsets={"Si": -4.0}, threads=1), say=said.append)
    energy, force = 1 / np.var([s.energy / 8 + 4.0 for s in data]), 1 / np.var([s.forces for s in data])
    assert float(potential.notes["energy_weight"]) == pytest.approx(energy, rel=1e-9) and float(potential.notes["force_weight"]) == pytest.approx(force, rel=1e-9)
    assert float(potential.notes["stress_weight"]) == 0
    assert f"energy_weight {energy:.4g}, force_weight {force:.4g}, stress_weight 0" in said[0]
    h = history[-1]
    assert h["train_loss"] == pytest.approx(1e-6 * (energy * h["train_energy_rmse"] ** 2 + force * h["train_force_rmse"] ** 2), rel=1e-9)


def test_labels_that_do_not_vary_have_no_auto_weight():
    with pytest.raises(ValueError, match="energy_weight cannot be 'auto': all 1 labels are the same"):
        train(DATA[:1], Settings(**SMALL, energy_weight="auto", validation=0))


# ---- checkpoints

RUN = """
    import sys
    from test_train_loop import DATA, SETTINGS
    from fastmd.train.loop import train
    train(DATA, SETTINGS[sys.argv[2]], report=lambda h: print(h["epoch"], flush=True), checkpoint=sys.argv[1], checkpoint_seconds=0)
"""
SETTINGS = {"lbfgs": Settings(**SMALL, epochs=6, patience=100, threads=1),
            "adam": Settings(**SMALL, optimizer="adam", epochs=10, patience=100, batch_size=3, l2=1e-6, threads=1),
            "plateau": Settings(**SMALL, optimizer="momentum", schedule="plateau", decay_epochs=1, epochs=5, patience=100, batch_size=3, threads=1)}


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(optimizer, tmp_path):
    path, threads = tmp_path / "state.npz", torch.get_num_threads()
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(RUN), str(path), optimizer], stdout=subprocess.PIPE, text=True, env=environment)
    for line in process.stdout:
        if int(line) == 2:
            time.sleep(0.01)  # into the epoch, or the writing of the checkpoint
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    potential, history = train(DATA, SETTINGS[optimizer], checkpoint=path, resume=True)
    expected, whole = train(DATA, SETTINGS[optimizer])
    weights = lambda p: [x.tobytes() for n in p.networks.values() for w, b, _ in n.layers for x in (w, b)]  # noqa: E731
    assert weights(potential) == weights(expected) and potential.text() == expected.text()
    drop = lambda h: [{k: v for k, v in line.items() if k != "seconds"} for line in h]  # noqa: E731
    assert drop(history) == drop(whole) and len(history) == SETTINGS[optimizer].epochs


@pytest.mark.parametrize("name", SETTINGS)
def test_a_training_with_more_epochs_goes_on_where_the_shorter_one_ended(name, tmp_path):
    from dataclasses import replace

    s = replace(SETTINGS[name], schedule="plateau", epochs=5)
    train(DATA, replace(s, epochs=2), checkpoint=tmp_path / "s")
    assert train(DATA, s, checkpoint=tmp_path / "s", resume=True)[0].text() == train(DATA, s)[0].text()
    said = []
    again, history = train(DATA, s, checkpoint=tmp_path / "s", resume=True, say=said.append)  # nothing is left to do
    assert len(history) == 5 and "goes on after epoch 5" in said[-1]


def test_a_checkpoint_of_another_training_is_refused_by_what_differs(tmp_path):
    from dataclasses import replace

    s, path = Settings(**SMALL, epochs=1, threads=1), tmp_path / "s"
    train(DATA, s, checkpoint=path)
    for settings, data, start, message in (
            (replace(s, force_weight=0.3, seed=1), DATA, None, r"other settings: force_weight was 0\.02, is 0\.3\. Resume with"), (s, structures(12, 5), None, "a training on other data"),
            (s, DATA, train(DATA, s)[0], "a training on another start")):
        with pytest.raises(ValueError, match=message):
            train(data, settings, checkpoint=path, resume=True, start=start)
    with pytest.raises(ValueError, match="a training on other symmetry functions"):
        train(DATA, s, {"Si": FUNCTIONS["Si"][:9]}, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="this checkpoint exists; resume from it, or remove it"):
        train(DATA, s, checkpoint=path)
    with pytest.raises(ValueError, match="resume needs a checkpoint"):
        train(DATA, s, resume=True)
    with pytest.raises(ValueError, match="cannot be read"):
        train(DATA, s, checkpoint=tmp_path / "none", resume=True)


# ---- warm starts

def other_potential(kind="sigma", activation="tanh", units=("angstrom", 1.0, "eV", 1.0), elements=("Si",)):
    """An untrained potential, with its functions given in its own units"""
    bohr, rng = units[1], np.random.default_rng(4)
    functions = {e: [G2("Si", 4.0 / bohr, eta * bohr**2, 1.0 / bohr) for eta in (0.3, 0.8, 2.0)] for e in elements}
    networks = {e: Network.random(3, (5, 4), activation, rng=rng) for e in elements}
    statistics = {e: np.column_stack([np.full(3, 0.1), np.full(3, 2.0), np.full(3, 0.9), np.full(3, 0.4)]) for e in elements}
    return NNPotential(functions, networks, (kind, -0.5, 1.5) if kind not in ("none", "center") else (kind, 0.0, 1.0), statistics, {e: -4.0 / units[3] for e in elements}, units=units)


@pytest.mark.parametrize("kind, activation, units", [
    ("none", "tanh", None), ("minmax", "sigmoid", None), ("center", "softplus", None), ("center-minmax", "relu", None), ("sigma", "identity", None),
    ("minmax", "tanh", ("bohr", Bohr, "hartree", Hartree))])
def test_epoch_zero_of_a_warm_start_is_the_potential_it_starts_from(kind, activation, units, tmp_path):
    start = other_potential(kind, activation, units or ("angstrom", 1.0, "eV", 1.0))
    start.save(tmp_path / "start.nnp")
    potential, history = train(DATA, Settings(optimizer="adam", learning_rate=1e-30, epochs=1, validation=0, threads=1), start=tmp_path / "start.nnp")
    n = report.evaluate(start, DATA).numbers()
    assert history[0]["epoch"] == 0
    for key, mine in (("energy_rmse_mev_per_atom", "train_energy_rmse"), ("force_rmse_mev_per_angstrom", "train_force_rmse"), ("stress_rmse_gpa", "train_stress_rmse")):
        assert history[0][mine] == pytest.approx(n[key], rel=1e-9)
        assert report.evaluate(potential, DATA).numbers()[key] == pytest.approx(n[key], rel=1e-9)
    assert potential.scaling == start.scaling and potential.repulsion is None and potential.units[1] == potential.units[3] == 1
    if kind != "none":
        np.testing.assert_array_equal(potential.statistics["Si"], start.statistics["Si"])


def test_a_warm_start_goes_on_from_where_it_is_and_is_never_worse():
    first, history = train(DATA, Settings(**SMALL, epochs=3, threads=1))
    second, more = train(DATA, Settings(epochs=3, threads=1), start=first)
    assert more[0]["validation_loss"] == pytest.approx(min(h["validation_loss"] for h in history), rel=1e-9)
    assert min(h["validation_loss"] for h in more) < more[0]["validation_loss"]
    worse, _ = train(DATA, Settings(optimizer="sgd", learning_rate=1e4, epochs=1, threads=1), start=first)
    assert worse.networks["Si"].layers[0][0].tobytes() == first.networks["Si"].layers[0][0].tobytes()


def test_elements_that_are_not_in_the_data_stay_as_they_are():
    start = other_potential(elements=("Si", "Ge"))
    potential, _ = train(DATA, Settings(optimizer="adamw", l2=1e-3, epochs=1, validation=0, threads=1), start=start)
    same = lambda e: all(np.array_equal(a[0], b[0]) for a, b in zip(potential.networks[e].layers, start.networks[e].layers))  # noqa: E731
    assert same("Ge") and not same("Si") and potential.offsets == start.offsets


@pytest.mark.parametrize("units", [("angstrom", 1.0, "eV", 1.0), ("bohr", Bohr, "hartree", Hartree)])
def test_a_repulsion_is_taken_off_the_labels_and_a_warm_start_keeps_it(units):
    from fastmd import PairTable, Repulsion

    table = PairTable.of(lambda r: (5 * np.exp(-r), -5 * np.exp(-r)), 0.5, 2.9)
    potential, history = train(DATA, Settings(**SMALL, epochs=1, validation=0, threads=1), repulsion=Repulsion({("Si", "Si"): table}))
    assert history[0]["train_force_rmse"] == pytest.approx(report.evaluate(potential, DATA).numbers()["force_rmse_mev_per_angstrom"], rel=1e-9)
    assert potential.shortest["Si", "Si"] == pytest.approx(min(min(s.atoms.get_all_distances(mic=True)[np.triu_indices(8, 1)]) for s in DATA), rel=1e-12)
    plain = other_potential(units=units)
    for term in (ZBL(1.0 / units[1], 2.6 / units[1]), PairTable(0.5 / units[1], 2.9 / units[1], table.rows[:, 0] / units[3], table.rows[:, 1] / units[3] * units[1])):
        start = NNPotential(plain.functions, plain.networks, plain.scaling, plain.statistics, plain.offsets, units=units, repulsion=Repulsion({("Si", "Si"): term}, units=units), shortest={("Si", "Si"): 1.5 / units[1]})
        again, history = train(DATA, Settings(optimizer="adam", epochs=1, learning_rate=1e-30, validation=0, threads=1), start=start)
        for key, mine in (("energy_rmse_mev_per_atom", "train_energy_rmse"), ("force_rmse_mev_per_angstrom", "train_force_rmse"), ("stress_rmse_gpa", "train_stress_rmse")):
            n = report.evaluate(start, DATA).numbers()[key]
            assert history[0][mine] == pytest.approx(n, rel=1e-9) and report.evaluate(again, DATA).numbers()[key] == pytest.approx(n, rel=1e-9)
        assert again.shortest["Si", "Si"] == pytest.approx(1.5, rel=1e-12)
    with pytest.raises(ValueError, match="repulsion: its numbers must be in angstrom and eV, got bohr"):
        train(DATA, Settings(epochs=1), repulsion=Repulsion({("Si", "Si"): ZBL(1, 2)}, units=("bohr", Bohr, "eV", 1.0)))


def test_a_start_that_does_not_fit_says_why(tmp_path):
    s = Settings(epochs=1)
    with pytest.raises(ValueError, match="start: the data has Si, the potential knows Ge only"):
        train(DATA, s, start=NNPotential({"Ge": [G2("Ge", 4.0, 0.1)]}, {"Ge": Network.random(1)}))
    with pytest.raises(ValueError, match="start brings its own"):
        train(DATA, s, FUNCTIONS, start=other_potential())
    with pytest.raises(ValueError, match="start must be an NNPotential"):
        train(DATA, s, start=StillingerWeber())
    with pytest.raises(ValueError, match="cannot be read"):
        train(DATA, s, start=tmp_path / "none.nnp")
    layers = Network.random(3, (4,), rng=0).layers
    bent = NNPotential(other_potential().functions, {"Si": Network(((*layers[0],), (*layers[1][:2], "tanh")))}, units=("angstrom", 1.0, "hartree", Hartree))
    with pytest.raises(ValueError, match="ends in tanh.*last layer is linear"):
        train(DATA, s, start=bent)


# ---- memory

def test_the_sizes_foretold_are_those_of_the_rows():
    d = Descriptor(FUNCTIONS)
    (piece,) = labelled()
    sizes = pieces.measure(d, DATA)
    assert sum(s.rows for s in sizes) == d.cache_bytes(piece.batch.layout, piece.batch.species, piece.batch.first)
    assert sum(s.edges for s in sizes) == piece.batch.first[-1] and sum(s.atoms for s in sizes) == piece.batch.n


def test_rows_are_kept_as_far_as_the_limit_goes_and_a_resumed_run_keeps_no_more():
    piece, net = [pieces.Size(1000, 30000, 10**8)], model()
    free = memory.estimate([piece] * 5, [], net, Settings(), True, 1)
    assert free.cached == 5 and free.rows == 5 * 10**8 and free.peak <= free.limit
    said = memory.estimate([piece] * 5, [], net, Settings(memory_limit=free.peak - 2 * 10**8 + 5 * 10**7), True, 1)
    assert said.cached == 3 and said.peak <= said.limit and "of 3 of 5 pieces, the rest is recomputed" in str(said)
    assert memory.estimate([piece] * 5, [], net, Settings(), True, 1, cached=2).cached == 2
    assert memory.estimate([piece] * 5, [], net, Settings(), False, 1).rows == 0  # energies only


@pytest.mark.parametrize("text, expected", [("500MB", 5e8), ("2 GB", 2e9), ("1.5GiB", 1.5 * 2**30), (12345, 12345), ("1e9", 1e9)])
def test_memory_is_read_with_its_unit(text, expected):
    assert memory.size("memory_limit", text) == expected


def test_memory_of_this_process_is_told_and_a_limit_that_cannot_be_kept_is_refused():
    assert 5e7 < memory.resident() < 1e11 and 0 < memory.available() < 1e14
    with pytest.raises(ValueError, match="memory_limit of 50 MB is too low: this training takes .* even if no Jacobian rows are kept"):
        train(DATA, Settings(**SMALL, epochs=1, memory_limit="50MB"))


@pytest.mark.slow
def test_the_estimate_is_within_15_percent_of_the_measured_peak_and_the_bound_is_kept(test_data):
    paths = [test_data / "data" / p for p in ("mlearn/Si_train.xyz", "mlearn/Cu_train.xyz", "InP/InP.xyz")]
    lines = subprocess.run([sys.executable, Path(__file__).parent.parent / "bench/train_memory.py", *paths], capture_output=True, text=True).stdout.splitlines()[1:]
    ratios = [float(re.search(r" MB  ([0-9.]+)", line)[1]) for line in lines]
    assert len(lines) == 6 and all(1 / 1.15 < r < 1.15 for r in ratios) and sum("bound kept" in line for line in lines) == 3, "\n".join(lines)


# ---- settings and the command line

@pytest.mark.parametrize("wrong, message", [
    ({"optimizer": "newton"}, "optimizer must be one of sgd, momentum"), ({"schedule": "zigzag"}, "schedule must be one of constant, cosine"), ({"batch_size": -1}, "batch_size must be"),
    ({"decay": 1.0}, "decay must be a factor below 1"), ({"decay": 0}, "decay must be > 0"), ({"decay_epochs": 0}, "decay_epochs must be"), ({"l2": -1}, "l2 must be >= 0"),
    ({"learning_rate": 0}, "learning_rate must be > 0"), ({"force_weight": "much"}, "force_weight must be >= 0 or 'auto', got 'much'"),
    ({"memory_limit": "2 pounds"}, "memory_limit must be bytes > 0 or text such as 500MB"), ({"memory_limit": -5}, "memory_limit must be"), ({"memory_limit": "..GB"}, "memory_limit must be")])
def test_a_setting_that_makes_no_sense_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


@pytest.fixture
def data(tmp_path):
    frames = []
    for s in DATA:
        a = s.atoms.copy()
        a.info["trajectory"] = s.group
        a.calc = SinglePointCalculator(a, energy=s.energy, forces=s.forces, stress=s.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])
        frames.append(a)
    ase.io.write(tmp_path / "data.extxyz", frames)
    return tmp_path / "data.extxyz"


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


def test_the_command_line_resumes_starts_warm_limits_memory_and_reports(data, tmp_path):
    pytest.importorskip("tensorboard")
    state, nnp = tmp_path / "state", tmp_path / "a.nnp"
    common = ["train", data, "--hidden", "6", "--cutoff", 4, "--checkpoint", state]
    r = run(*common, "-o", nnp, "--epochs", 2, "--force-weight", "auto", "--tensorboard", tmp_path / "tb", "--memory-limit", "4GB", "--l2", "1e-6")
    assert r.exit_code == 0 and "force_weight" in r.output and "peak about" in " ".join(r.output.split()), r.output
    assert list((tmp_path / "tb").glob("events.*"))
    r = run(*common, "-o", nnp, "--epochs", 3, "--resume", "--force-weight", "auto", "--l2", "1e-6")
    assert r.exit_code == 0 and "goes on after epoch 2" in " ".join(r.output.split()), r.output
    r = run("train", data, "--start", nnp, "-o", tmp_path / "b.nnp", "--optimizer", "adam", "--schedule", "plateau", "--epochs", 1, "--report", tmp_path / "out")
    assert r.exit_code == 0 and "\n    0 " in r.output, r.output
    r = run("evaluate", tmp_path / "b.nnp", data, "--report", tmp_path / "out2")
    assert r.exit_code == 0
    mine, theirs = (json.loads((tmp_path / folder / "report.json").read_text()) for folder in ("out2", "out"))
    assert mine["force_rmse_mev_per_angstrom"] == pytest.approx(theirs["train_force_rmse_mev_per_angstrom"], rel=1e-12)
    assert set(mine["groups"]) == {f"t{k}" for k in range(6)} and (tmp_path / "out2" / "report.png").stat().st_size > 10000
    r = run("train", data, "--energy-weight", "x")
    assert r.exit_code == 1 and "--energy-weight must be a number >= 0 or auto, got 'x'" in r.output
    r = run("evaluate", nnp, data, "--report", data / "out")
    assert r.exit_code == 1 and "cannot be made" in r.output


def test_a_missing_tensorboard_is_one_clear_line(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    r = run("train", data, "--tensorboard", data.parent / "tb", "-o", data.parent / "x.nnp")
    assert r.exit_code == 1 and "tensorboard is not installed: pip install tensorboard" in " ".join(r.output.split())


def test_zbl_by_name_is_a_wall_below_the_shortest_distance_and_leaves_the_labels():
    least = fastmd.distances([s.atoms for s in DATA])["Si", "Si"]
    potential, _ = train(DATA, Settings(**SMALL, epochs=3, validation=0, threads=1), repulsion="zbl")
    term = potential.repulsion.terms["Si", "Si"]
    assert term == ZBL(0.5 * least, least) and potential.shortest["Si", "Si"] == least
    plain, _ = train(DATA, Settings(**SMALL, epochs=3, validation=0, threads=1))
    assert plain.repulsion is None
    pair = Atoms("Si2", positions=[[0, 0, 0], [0.4, 0, 0]], cell=[20] * 3, pbc=True)
    assert potential.compute(pair).forces[1, 0] > 500  # eV/angstrom: Z^2 e^2 / r^2, screened
    assert report.evaluate(potential, DATA).numbers() == report.evaluate(plain, DATA).numbers()
    with pytest.raises(ValueError, match="repulsion must be a fastmd.Repulsion or 'zbl', got 'zlb'"):
        train(DATA, Settings(epochs=1), repulsion="zlb")


def test_the_command_trains_on_a_set_from_a_file(tmp_path):
    ase.io.write(tmp_path / "d.extxyz", [labelled_atoms(s) for s in DATA])
    fastmd.save_set(tmp_path / "set.txt", {"Si": [G2("Si", 4.0, 1.0, 2.3), G2("Si", 4.0, 1.0, 3.3)]})
    run = CliRunner().invoke(main, ["train", str(tmp_path / "d.extxyz"), "--functions", str(tmp_path / "set.txt"), "--epochs", "1", "-o", str(tmp_path / "p.nnp")])
    assert run.exit_code == 0, run.output
    assert [f.rs for f in NNPotential.load(tmp_path / "p.nnp").functions["Si"]] == [2.3, 3.3]


def labelled_atoms(s):
    a = s.atoms.copy()
    a.calc = SinglePointCalculator(a, energy=s.energy, forces=s.forces)
    return a
