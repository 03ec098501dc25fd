"""What strangers hand in: one clear error, nothing read out of bounds, nothing lost."""

import importlib
import os
import re
import stat

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner

import fastmd
from fastmd import Descriptor, _check, _core, _store, make_set
from fastmd.cli import main
from fastmd.sample import cut_out, rattle
from fastmd.validate import validate

CELL = bulk("Si", cubic=True)
KINDS = np.zeros(8, np.int32)


@pytest.fixture
def descriptor():
    return Descriptor(make_set(["Si"], 4.0))


def test_arrays_of_a_wrong_size_never_reach_the_kernels(descriptor):
    system, layout = descriptor.system(KINDS, fastmd.find_pairs(CELL, 4.0))
    g = np.zeros(layout.size)
    for call in (lambda: descriptor.value(system, descriptor.layout(np.zeros(2, np.int32))), lambda: descriptor.vjp(system, layout, g, 1),
                 lambda: descriptor.vjp(system, layout, np.zeros(3), 8), lambda: descriptor.jvp(system, layout, v=np.zeros((3, 3))),
                 lambda: descriptor.jvp(system, layout, h=np.zeros((1, 3, 3)), strain_of=np.full(8, 5, np.int32)),
                 lambda: descriptor.jvp(system, layout, h=np.zeros((1, 3, 3)), strain_of=np.zeros(3, np.int32))):
        with pytest.raises(ValueError, match="expected|layout"):
            call()
    a, b, one = np.zeros((8, 3)), np.zeros((7, 3)), np.ones(8)
    for call in (lambda: _core.farthest(a, b), lambda: _core.farthest(np.zeros((8, 2)), np.zeros((8, 2))), lambda: _core.kick(a, b, one), lambda: _core.kick(a, a, one[:7]),
                 lambda: _core.kick_and_drift(a, b, b, one, 1.0, 1.0), lambda: _core.kick_and_drift(a, a, a, one, 1.0, 1.0, b, one),
                 lambda: _core.kick_and_drift(a, a, a, one, 1.0, 1.0, a, one[:7]), lambda: _core.kick_and_drift(a, a, a, one, 1.0, 1.0, a)):
        with pytest.raises(ValueError, match="expected"):
            call()
    with pytest.raises(ValueError, match="positions"):
        fastmd.Verlet(4.0).pairs(np.zeros((3, 2)), np.eye(3), [0] * 3)
    with pytest.raises(ValueError, match="as many positions"):
        fastmd.StillingerWeber().evaluate(KINDS, CELL.positions[:3].copy(), CELL.cell.array, fastmd.find_pairs(CELL, 4.0))


@pytest.mark.parametrize("a, finite", [(np.zeros((0, 3)), True), (np.array([1e308, -1e308, 5e-324]), True), (np.array([1.0, np.nan]), False),
                                       (np.array([[-np.inf, 0.0]]), False), (np.zeros((4, 6))[:, ::2], True), (np.array(3.0), True)])
def test_finite_is_that_of_numpy(a, finite):
    assert _check.finite(a) is finite and bool(np.isfinite(a).all()) is finite


def test_pairs_keep_to_the_positions_they_were_made_for(descriptor):
    atoms = CELL.copy()
    pairs = fastmd.find_pairs(atoms, 4.0)
    atoms.positions *= 1.1
    assert pairs.r.max() < 4.0
    for use in (lambda: fastmd.StillingerWeber().compute(atoms, pairs), lambda: descriptor.describe(atoms, pairs)):
        with pytest.raises(ValueError, match="other positions or another cell"):
            use()
    with pytest.raises(ValueError, match="their cutoff of 2 angstrom"):
        descriptor.describe(CELL, fastmd.find_pairs(CELL, 2.0))
    with pytest.raises(ValueError, match="expected fastmd.Pairs"):
        fastmd.StillingerWeber().compute(CELL, 5)


@pytest.mark.parametrize("call, message", [
    (lambda: make_set(["Xx"]), "elements: expected chemical symbols"), (lambda: make_set([]), "elements: expected chemical symbols"),
    (lambda: fastmd.Network.random(0), "n_inputs must be"), (lambda: fastmd.Network.random(3, (0,)), "hidden must be"),
    (lambda: fastmd.NNPotential({}, {}), "functions: expected"), (lambda: fastmd.NNPotential.load(None), "path: expected"),
    (lambda: fastmd.energy_drift([0, 1, 2], [0, np.nan, 1], 3), "finite"), (lambda: fastmd.StillingerWeber.read("no such file"), "cannot be read"),
    (lambda: fastmd.maxwell_boltzmann(Atoms(), 0), "at least one"),
    (lambda: fastmd.MD(CELL.copy(), fastmd.StillingerWeber()).run(1, trajectory="/nowhere/x"), "cannot be written")])
def test_what_makes_no_sense_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


pytest.importorskip("torch")


def labelled(n=8, energy=True, forces=True):
    rng, sw, frames = np.random.default_rng(0), fastmd.StillingerWeber(), []
    for _ in range(n):
        a = CELL.copy()
        a.positions += rng.normal(0, 0.1, a.positions.shape)
        r = sw.compute(a)
        a.calc = SinglePointCalculator(a, **({"energy": r.energy} if energy else {}), **({"forces": r.forces} if forces else {}))
        frames.append(a)
    return frames


def lone():
    a = Atoms("Si", [[0, 0, 0]])
    a.calc = SinglePointCalculator(a, energy=-1.0, forces=np.zeros((1, 3)))
    return a


def overlapping():
    a = Atoms("Si2", [[0, 0, 0], [0, 0, 0.01]])
    a.calc = SinglePointCalculator(a, energy=1.0)
    return a


def run(tmp_path, frames, *args):
    ase.io.write(tmp_path / "d.extxyz", frames)
    return CliRunner().invoke(main, ["train", str(tmp_path / "d.extxyz"), "-o", str(tmp_path / "o.nnp"), "--epochs", "2", "--hidden", "4", "--cutoff", "4", *args])


@pytest.mark.parametrize("frames, args", [
    (labelled(energy=False), []), (labelled(energy=False), ["--optimizer", "adam"]), (labelled(forces=False), []),
    (labelled(6) + [lone()] * 5, ["--seed", "1"]), (labelled(6) + [lone()] * 5, ["--seed", "3"]), (labelled(4) + [lone()] * 2, ["--optimizer", "adam", "--batch-size", "1"])])
def test_partial_labels_and_lone_atoms_train(tmp_path, frames, args):
    r = run(tmp_path, frames, *args)
    assert r.exit_code == 0, r.output
    assert (tmp_path / "o.nnp").exists()


def test_structures_without_labels_are_no_validation(tmp_path):
    bare = [CELL.copy() for _ in range(12)]
    r = run(tmp_path, labelled(1) + bare)
    assert r.exit_code == 0 and " 0.00" not in r.output, r.output


@pytest.mark.parametrize("frames, args, message", [
    (labelled(forces=False), ["--energy-weight", "0"], "nothing to train on"),
    (labelled(), ["--energy-weight", "0", "--force-weight", "0", "--stress-weight", "0"], "nothing to train on"),
    (labelled(), ["--e0", "Ge=1"], "Ge is not in the data"), (labelled(), ["--e0", "Si=nan"], "offsets"), (labelled(), ["--seed", "-1"], "seed must be"),
    (labelled(), ["--hidden", "1000000000"], "at most 10000"), (labelled(), ["--max-seconds", "nan"], "max_seconds"), (labelled(), ["--threads", "-1"], "threads"),
    (labelled(), ["--cutoff", "1"], "raise the cutoff"), ([lone()] * 3, [], "raise the cutoff"), (labelled() + [overlapping()], [], "structure 8 .* apart: remove it")])
def test_a_training_that_cannot_be_says_why_before_it_begins(tmp_path, frames, args, message):
    r = run(tmp_path, frames, *args)
    assert r.exit_code == 1 and re.search(message, r.output), r.output
    assert not (tmp_path / "o.nnp").exists()


def test_an_output_that_is_also_an_input_is_left_alone(tmp_path):
    ase.io.write(tmp_path / "d.extxyz", labelled())
    before = (tmp_path / "d.extxyz").read_bytes()
    r = CliRunner().invoke(main, ["train", str(tmp_path / "d.extxyz"), "-o", str(tmp_path / "d.extxyz")])
    assert r.exit_code == 1 and "also an input" in r.output and (tmp_path / "d.extxyz").read_bytes() == before


def test_a_test_file_with_a_new_element_is_noticed_before_training(tmp_path):
    other = bulk("Ge", cubic=True)
    other.calc = SinglePointCalculator(other, energy=0.0)
    ase.io.write(tmp_path / "t.extxyz", other)
    r = run(tmp_path, labelled(), "--test", str(tmp_path / "t.extxyz"))
    assert r.exit_code == 1 and "Ge, which is not in" in r.output


SW = fastmd.StillingerWeber()
PLAN = fastmd.SamplingPlan(steps=20, equilibrate=0)


def dynamics():
    return fastmd.MD(CELL.copy(), SW)


@pytest.mark.parametrize("wrong", [None, 5, np.nan, [1], object()], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("call, message", [
    (lambda x: fastmd.MD(x, SW), "atoms: expected an ase.Atoms"), (lambda x: fastmd.maxwell_boltzmann(x, 300), "atoms: expected an ase.Atoms"),
    (lambda x: cut_out(x, 0, 3.0), "atoms: expected an ase.Atoms"), (lambda x: rattle(x, 0.1), "atoms: expected an ase.Atoms"),
    (lambda x: fastmd.MD.load(x, SW), "path: expected the name of a file"), (lambda x: fastmd.load_set(x), "path: expected the name of a file"),
    (lambda x: fastmd.StillingerWeber.read(x), "path: expected the name of a file"), (lambda x: fastmd.sample_pool(x, CELL, SW, fastmd.Interval(1), PLAN), "path: expected the name of a file"),
    (lambda x: fastmd.sample_pool("p", CELL, SW, fastmd.Interval(1), x), "plan: expected fastmd.SamplingPlan"),
    (lambda x: fastmd.sample_md(x, fastmd.Interval(1), 5), "md: expected fastmd.MD"), (lambda x: fastmd.sample_md(dynamics(), x, 5), "rule: expected an Interval"),
    (lambda x: fastmd.SamplingPlan(temperatures=x), "temperatures: expected"), (lambda x: fastmd.PairPotential(x, 3.0), "function: expected a Python function"),
    (lambda x: fastmd.StillingerWeber({("Si",) * 3: x}), "expected a Triplet|must be finite"), (lambda x: fastmd.StillingerWeber(x or 5), "parameters: expected"),
    (lambda x: fastmd.LennardJones(1, 2, 3, elements=x or 5), "elements: expected chemical symbols"), (lambda x: fastmd.PairPotential(lambda r: (r, r), 3.0, elements=x or 5), "elements: expected"),
    (lambda x: fastmd.rdf(CELL, 3.0, pairs=x or 5), "pairs: expected two elements"), (lambda x: fastmd.msd([CELL, CELL], x or 5, 1.0), "element: no "),
    (lambda x: fastmd.energy_drift([0, 1], x, 3), "energies"), (lambda x: fastmd.diffusion(x, x), "times|msd"), (lambda x: make_set(x), "elements: expected chemical symbols"),
    (lambda x: fastmd.distances(x), "structures?|expected an ase.Atoms"), (lambda x: validate(SW, atoms=CELL, steps=0, data=x or 5), "data: expected"),
    (lambda x: fastmd.Verlet(3.0).pairs(CELL.positions, x, [0] * 3), "cell: expected|cell .3, 3."), (lambda x: fastmd.find_pairs(x), "expected an ase.Atoms"),
    (lambda x: dynamics().run(1, observers=x or 5), "observers: expected"), (lambda x: dynamics().run(1, trajectory=x or 5), "trajectory: expected the name of a file")])
def test_a_wrong_type_is_refused_by_name(call, message, wrong):
    with pytest.raises(ValueError, match=message):
        call(wrong)


@pytest.mark.parametrize("seed", ["a", 1.5, -1, {}])
def test_a_seed_is_a_whole_number(seed):
    for call in (lambda: fastmd.MD(CELL.copy(), SW, 1.0, 300, 0.1, seed=seed), lambda: fastmd.maxwell_boltzmann(CELL.copy(), 300, seed), lambda: rattle(CELL.copy(), 0.1, seed)):
        with pytest.raises(ValueError, match="(seed|rng): expected a whole number"):
            call()


@pytest.mark.parametrize("arguments", [(1, 1e200, 1e-200), (1e308, 3, 9), (1, 3, 1e200), (1, 1e60, 1)])
def test_lennard_jones_of_absurd_size_is_refused(arguments):
    with pytest.raises(ValueError, match="epsilon, sigma and cutoff: .* too far from 1"):
        fastmd.LennardJones(*arguments)


@pytest.mark.parametrize("function, reason", [(lambda r: r**2, "unpack"), (lambda r: (r.foo, 1.0), "foo"), (lambda r: (open("x"), 1.0), "open"), (lambda r: ("a", "b"), "str")])
def test_what_numba_says_is_one_line(function, reason):
    with pytest.raises(ValueError, match=f"numba says: .*{reason}") as found:
        fastmd.PairPotential(function, 3.0)
    assert "\n" not in str(found.value) and len(str(found.value)) < 300


def test_potentials_run_where_nothing_can_be_kept(monkeypatch):
    from numba.core import caching

    from fastmd.classical import loops

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])  # a read-only installation and home
    importlib.reload(loops)
    try:
        lj = fastmd.LennardJones(0.01, 2.0, 4.0)
        assert np.isfinite(lj.compute(CELL).energy) and not loops.pair_rows.stats.cache_path
    finally:
        monkeypatch.undo()
        importlib.reload(loops)


def test_a_cell_that_is_not_finite_is_refused_even_where_it_is_not_needed():
    atoms = CELL.copy()
    atoms.pbc = False
    atoms.cell[0, 0] = np.nan
    for use in (fastmd.find_pairs, SW.compute, lambda a: fastmd.MD(a, SW)):
        with pytest.raises(ValueError, match="cell: expected finite numbers"):
            use(atoms)


def test_a_timestep_without_sense_is_no_overflow():
    with pytest.raises(RuntimeError, match="blown up"):
        atoms = CELL.copy()
        fastmd.maxwell_boltzmann(atoms, 300, 1)
        fastmd.MD(atoms, SW, timestep=1e308).run(1)


def test_more_functions_than_can_be_are_refused_before_they_are_made():
    from ase.data import chemical_symbols

    with pytest.raises(ValueError, match="169448 functions per element of 118 are too many, at most 5000"):
        make_set(chemical_symbols[1:])


# -------------------------------------------------------------------------------------------------------------- files

def test_what_is_no_file_is_never_replaced_by_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # as /dev/null would be, for root
    for write in (lambda: _check.write_text(pipe, "x"), lambda: _store.save(pipe, "md", {}), lambda: fastmd.save_set(pipe, make_set("Si", 4.0)),
                  lambda: fastmd.sample_pool(pipe, CELL, SW, fastmd.Interval(1), PLAN)):
        with pytest.raises(ValueError, match="pipe: cannot be written .it is no regular file."):
            write()
    assert stat.S_ISFIFO(pipe.stat().st_mode) and [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    for text in ("new", "newer"):
        _check.write_text(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "file").read_text() == text


def test_no_more_is_read_than_a_file_of_ours_can_be(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    assert _check.read_bytes(tmp_path / "f", 5) == b"12345"
    with pytest.raises(ValueError, match="f: larger than"):
        _check.read_bytes(tmp_path / "f", 4)


def test_a_full_disk_is_named_and_nothing_else_is_raised(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for which in ("trajectory", "thermo"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(ValueError, match="record: cannot be written .File too large.; make room, or choose another place"):
                dynamics().run(5, every=1, **{which: tmp_path / "record"})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_device_takes_records_as_a_file_does():
    master, slave = os.openpty()
    dynamics().run(1, every=1, thermo=os.ttyname(slave))
    assert b"E_pot/eV" in os.read(master, 1000)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("key, value", [("numbers", "a"), ("numbers", None), ("positions", "a"), ("positions", np.zeros((2, 3))), ("velocities", np.full((8, 3), np.nan)), ("step", -1),
                                        ("thermostat", 5), ("arrays", None), ("timestep", "x"), ("numbers", np.full(8, 10**6)), ("listed", "x"), ("files", None), ("files", "a")])
def test_a_forged_state_of_md_is_refused(key, value, tmp_path):
    dynamics().save(tmp_path / "md")
    _store.save(tmp_path / "md", "md", {**_store.load(tmp_path / "md", "md"), key: value})
    with pytest.raises(ValueError):
        fastmd.MD.load(tmp_path / "md", SW)


def unfinished(path):
    class Break(fastmd.StillingerWeber):
        calls = 0

        def evaluate(self, *args, **kwargs):
            self.calls += 1
            if self.calls > 150:
                raise KeyboardInterrupt
            return super().evaluate(*args, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        fastmd.sample_pool(path, CELL, Break(), fastmd.EqualInterval(50), fastmd.SamplingPlan(steps=300, equilibrate=0), checkpoint_seconds=0)


@pytest.mark.parametrize("key, value", [("settings", None), ("run", -1), ("run", "a"), ("bytes", None), ("frames", np.nan), ("ended", 5), ("ended", [[1]]), ("seen", None), ("seen", np.zeros(3, int)),
                                        ("sampled", np.full(2000, np.nan)), ("md", 7)])
def test_a_forged_state_of_a_sampling_is_refused(key, value, tmp_path):
    unfinished(tmp_path / "p")
    checkpoint = tmp_path / "p.checkpoint"
    _store.save(checkpoint, "sample", {**_store.load(checkpoint, "sample"), key: value})
    with pytest.raises(ValueError, match="p.checkpoint: is no state of a sampling; remove it"):
        fastmd.sample_pool(tmp_path / "p", CELL, SW, fastmd.EqualInterval(50), fastmd.SamplingPlan(steps=300, equilibrate=0), resume=True)


# -------------------------------------------------------------------------------------------------------- on the terminal

EVIL = "\x1b[31mred\x07 \x9b $a_{$"


def cli(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


def has_control(text):
    return re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_control_characters_in_a_file_are_shown_and_not_obeyed(tmp_path):
    functions = make_set(["Si"], 4.0, 2.0, size=8)
    text = fastmd.NNPotential(functions, {"Si": fastmd.Network.random(8, (3,), rng=0)}, notes={"harmless": "x"}).text()
    (tmp_path / "p.nnp").write_text(text.replace("note harmless x", f"note ha\x1bless {EVIL}"))
    r = cli("inspect", tmp_path / "p.nnp")
    assert r.exit_code == 0 and r"ha\x1bless" in r.output and r"\x1b[31mred\x07" in r.output and not has_control(r.output)


def test_names_of_groups_do_no_harm_on_the_terminal_or_in_a_picture(tmp_path):
    frames = labelled(12)
    for k, a in enumerate(frames):
        a.info["config_type"] = f"{EVIL}{k % 2}"
    ase.io.write(tmp_path / "d.extxyz", frames)
    for command in ("inspect", "check"):
        r = cli(command, tmp_path / "d.extxyz", "--picture", tmp_path / f"{command}.png")
        assert r.exit_code == 0 and r"\x1b[31mred" in r.output and not has_control(r.output) and (tmp_path / f"{command}.png").exists(), r.output


def test_info_is_of_the_program(tmp_path):
    r = cli("info")
    assert r.exit_code == 0 and all(re.search(f"^{name} +[0-9a-z]", r.output, re.M) for name in ("fastmd", "instruction set", "threads", "python", "torch", "matplotlib"))
    assert cli("info", tmp_path / "x.nnp").exit_code == 2


def test_info_says_what_is_not_installed(monkeypatch):
    import importlib.metadata

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert "torch            not installed (pip install 'fastmd[train]')" in cli("info").output


def test_atoms_beyond_the_search_are_a_finding_and_no_end_of_the_check(tmp_path):
    frames = labelled(12)
    frames[3].positions[0] = 1e300
    ase.io.write(tmp_path / "d.extxyz", frames)
    r = cli("check", tmp_path / "d.extxyz")
    assert r.exit_code == 1 and "more than a million angstrom" in r.output.replace("\n", " ") and "1 error," in r.output


def test_a_sampling_without_frames_fails_and_says_what_to_do(tmp_path):
    args = ["sample", "sw", "--crystal", "Si", "--repeat", 1, "--steps", 20, "--equilibrate", 0, "-o", tmp_path / "p"]
    r = cli(*args)
    assert r.exit_code == 1 and "no frames; take more --steps, or a shorter interval" in r.output
    r = cli(*args, "-T", "1e9")
    assert r.exit_code == 1 and "no frames; all trajectories ended early" in r.output and "blown up" in r.output
    r = cli(*args, "--picture", f"{tmp_path}/../{tmp_path.name}/p")
    assert r.exit_code == 1 and "is also the output" in r.output
    assert "None" not in cli("sample", "sw", "--crystal", "").output


@pytest.mark.parametrize("make, message", [
    (lambda: fastmd.Network(None), r"layers: expected \[\(weights, bias, activation\), ...\], got None"),
    (lambda: fastmd.Network(((1, 2),)), "layers: expected"),
    (lambda: Descriptor(5), "functions: expected"),
    (lambda: Descriptor({"Si": 5}), "functions: expected"),
    (lambda: fastmd.NNPotential(make_set("Si", 4, 2), None), "networks: expected {element: fastmd.Network}, got None"),
    (lambda: fastmd.NNPotential(make_set("Si", 4, 2), {"Si": None}), "networks: expected {element: fastmd.Network}"),
    (lambda: fastmd.NNPotential(make_set("Si", 4, 2), {"Si": fastmd.Network.random(32)}, scaling=None), r"scaling: expected \(kind, low, high\), got None"),
    (lambda: fastmd.NNPotential(make_set("Si", 4, 2), {"Si": fastmd.Network.random(32)}, units=None), r"units: expected .* got None"),
])
def test_wrong_types_are_refused_in_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_share_held_out_is_at_most_nine_tenths():
    from fastmd.train import dataset

    with pytest.raises(ValueError, match="fraction must be a share of the data from 0 to 0.9, got 2.0"):
        dataset.split([], 2.0, 1)
    with pytest.raises(ValueError, match="fraction must be >= 0, got None"):
        dataset.split([], None, 1)


def test_a_forged_state_of_a_training_is_refused(tmp_path):
    from fastmd import _store
    from fastmd.train.checkpoint import Checkpoint

    kept = Checkpoint(tmp_path / "s", {"data": "d", "settings": {}, "repulsion": [], "functions": [], "start": ""})
    for forged in ({}, {"data": "d"}, [1], {"data": "d", "settings": 5, "repulsion": [], "functions": [], "start": "", "state": {}}):
        _store.save(tmp_path / "s", "training", forged)
        with pytest.raises(ValueError, match="is no whole checkpoint of a training"):
            kept.read()


def test_a_label_beyond_reason_is_refused():
    from fastmd.train import dataset

    with pytest.raises(ValueError, match="energy holds 1e\\+200, beyond anything in eV and angstrom"):
        dataset._numbers("energy", 1e200, [()])
