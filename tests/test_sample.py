"""Sampling: the intervals are those of the formula, frames are what they say, and a killed run gives the same file."""
import math
import signal
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import fastmd
from fastmd import MD, EqualInterval, Interval, RandomChoice, SamplingPlan, StillingerWeber, _store, sample_md, sample_pool
from fastmd.cli import main
from fastmd.sample import ForceHistogram, cut_out, rattle
from fastmd.train import dataset

SW = StillingerWeber()
CELL = bulk("Si", cubic=True)


def start(n=8, temperature=1000, pbc=True):
    atoms = CELL * (1, 1, n // 8)
    rattle(atoms, 0.1, 0)
    atoms.pbc = pbc
    fastmd.maxwell_boltzmann(atoms, temperature, 0)
    return atoms


def forces_of_a_run(steps, **options):
    """(steps + 1, n) |F| at each step, the start first"""
    md = MD(start(**options), SW)
    found = [np.linalg.norm(md.forces, axis=1)]
    md.run(steps, observers=[(lambda md: found.append(np.linalg.norm(md.forces, axis=1)), 1)])
    return np.array(found)


def thesis(force, alpha, tau_max):
    """The steps sampled for one atom, as the source's listing does it."""
    tau, chosen = None, []
    for step, f in enumerate(force):
        if step % tau_max == 0:
            if f > alpha:
                tau = 1
            else:
                factor = math.floor(alpha / f) if f > 0 else tau_max
                tau = tau_max if factor > tau_max else factor
        if step > 0 and step % tau == 0:
            chosen.append(step)
    return chosen


# ------------------------------------------------------------------------------------------------------------------ rules

@given(st.floats(0, 1e6), st.floats(1e-6, 1e6), st.integers(1, 10**6))
def test_tau_is_the_clipped_whole_part_of_alpha_over_the_force(force, alpha, tau_max):
    tau = Interval(alpha, tau_max).tau([force, 0.0])
    ratio = math.inf if force == 0 or alpha / force == math.inf else math.floor(alpha / force)
    assert tau.tolist() == [max(1, min(ratio, tau_max)), tau_max]


def test_each_chosen_atom_has_the_interval_of_the_source():
    forces = forces_of_a_run(400)
    found = {0: [], 5: []}
    for frame in sample_md(MD(start(), SW), Interval(6.0, 12), 400, atoms=[5, 0], cutoff=3.8):
        found[frame.info["atom"]].append(frame.info["step"])
    assert found == {i: thesis(forces[:, i], 6.0, 12) for i in (0, 5)} and found[0] != found[5]


def test_whole_structures_are_sampled_by_their_largest_force():
    forces = forces_of_a_run(400)
    steps = [frame.info["step"] for frame in sample_md(MD(start(), SW), Interval(20.0, 15), 400)]
    assert steps == thesis(forces.max(1), 20.0, 15)


def test_pieces_that_end_where_tau_is_found_anew_give_what_one_call_gives():
    rule, md = Interval(20.0, 15), MD(start(), SW)
    pieces = [frame.info["step"] for steps in (30, 15, 150, 205) for frame in sample_md(md, rule, steps)]
    assert pieces == [frame.info["step"] for frame in sample_md(MD(start(), SW), rule, 400)]


def test_sampling_by_force_moves_the_distribution_to_large_forces():
    histogram = ForceHistogram()
    for _ in sample_md(MD(start(64), SW), Interval(3.0, 10), 1000, atoms=range(4), cutoff=1.0, histogram=histogram):
        pass
    share = np.add.reduceat(histogram.sampled, (0, 20, 60)) / np.add.reduceat(histogram.seen, (0, 20, 60))  # below 1, 1-3, above 3 eV/angstrom
    assert share[0] < share[1] < share[2] and share[2] > 0.9


def test_equal_intervals_are_equal_and_random_ones_have_their_share():
    assert [f.info["step"] for f in sample_md(MD(start(), SW), EqualInterval(7), 30)] == [7, 14, 21, 28]
    draws = np.array([RandomChoice(5, 3)(step, np.ones(4), None)[0] for step in range(5000)])
    n = draws.sum(0)
    assert (abs(n - 1000) < 5 * math.sqrt(5000 * 0.2 * 0.8)).all()
    assert abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.07 and abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.07
    other = np.array([RandomChoice(5, 4)(step, np.ones(4), None)[0] for step in range(5000)])
    assert abs(np.corrcoef(draws[:, 0], other[:, 0])[0, 1]) < 0.07
    assert RandomChoice(1)(9, np.ones(3), None)[0].all()


def test_a_rule_may_be_a_function_of_ones_own():
    frames = list(sample_md(MD(start(), SW), lambda step, force, tau: (force > 2.5, tau), 200))
    assert 0 < len(frames) < 200 and all(np.linalg.norm(f.get_forces(), axis=1).max() > 2.5 for f in frames)


# ----------------------------------------------------------------------------------------------------------------- frames

@pytest.mark.parametrize("pbc", [True, [1, 1, 0], False])
def test_labels_are_those_of_the_structure_they_stand_beside(pbc):
    md = MD(start(pbc=pbc), SW, temperature=[(0, 300), (100, 700)], friction=0.01, seed=1)
    frames = list(sample_md(md, EqualInterval(20), 120))
    assert [(f.info["step"], f.info["temperature"]) for f in frames] == [(20, 380), (40, 460), (60, 540), (80, 620), (100, 700), (120, 700)]
    for frame in frames:
        wanted = SW.compute(frame)
        assert frame.get_potential_energy() == pytest.approx(wanted.energy, abs=1e-9)
        assert frame.get_forces() == pytest.approx(wanted.forces, abs=1e-9)
        assert ("stress" in frame.calc.results) == (pbc is True)
        if pbc is True:
            assert frame.get_stress() == pytest.approx(wanted.stress, abs=1e-12)
    assert len({f.positions.tobytes() for f in frames}) == 6 and not frames[0].has("momenta")


def network():
    functions = fastmd.make_set(["Si"], 4.0)
    return fastmd.NNPotential(functions, {"Si": fastmd.Network.random(len(functions["Si"]), (5,), rng=0)})


def test_an_environment_is_what_the_atom_sees():
    """An atomic energy of a network depends on nothing else, so it is that of the first atom of the environment alone."""
    potential = network()
    environments = list(sample_md(MD(start(), potential), EqualInterval(50), 100, atoms=[3, 6], cutoff=4.0, potential=potential))
    structures = list(sample_md(MD(start(), potential), EqualInterval(50), 100))
    assert [(e.info["atom"], e.info["step"]) for e in environments] == [(3, 50), (6, 50), (3, 100), (6, 100)]
    for e in environments:
        whole = structures[e.info["step"] // 50 - 1]
        i = e.info["atom"]
        lattice = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]) @ whole.cell.array
        d = (whole.positions - whole.positions[i] + lattice[:, None]).reshape(-1, 3)
        d = d[np.linalg.norm(d, axis=1) < 4.0]
        assert len(d) == len(e) and not e.pbc.any() and (e.positions[0] == 0).all()
        assert np.sort(np.linalg.norm(d, axis=1)) == pytest.approx(np.sort(np.linalg.norm(e.positions, axis=1)))
        assert min(np.linalg.norm(d[:, None] - e.positions, axis=2).min(0)) < 1e-12
        assert potential.compute(e).energies[0] == pytest.approx(e.info["atomic_energy"], abs=1e-12)
        assert e.info["atomic_force"] == pytest.approx(whole.get_forces()[i], abs=1e-12)
    assert "atomic_energy" not in next(sample_md(MD(start(), SW), EqualInterval(1), 1, atoms=[0], cutoff=3.0)).info
    calculator = fastmd.Calculator(potential)
    by_ase = next(sample_md(MD(start(), calculator), EqualInterval(50), 50, atoms=[3], cutoff=4.0, potential=calculator))
    assert by_ase.info["atomic_energy"] == pytest.approx(environments[0].info["atomic_energy"], abs=1e-10)


class Breaks(fastmd.Potential):
    """Stillinger-Weber that fails at its k-th evaluation"""

    cutoff = SW.cutoff

    def __init__(self, k, how):
        self.left, self.how = k, how

    def species(self, symbols):
        return SW.species(symbols)

    def evaluate(self, *arguments):
        self.left -= 1
        return SW.evaluate(*arguments) if self.left else self.how(*SW.evaluate(*arguments))


def nan_force(energy, energies, forces, virial):
    return energy, energies, forces * np.nan, virial


def nan_virial(energy, energies, forces, virial):
    return energy, energies, forces, virial * np.nan


@pytest.mark.parametrize("how", [nan_force, nan_virial])
def test_frames_before_a_blow_up_are_kept_and_none_after(how):
    frames = []
    with pytest.raises(RuntimeError, match="step 148: the (force on atom 0|stress) is not finite"):
        for frame in sample_md(MD(start(), Breaks(150, how)), EqualInterval(2), 500):
            frames.append(frame)
    assert [f.info["step"] for f in frames] == list(range(2, 147, 2))


# --------------------------------------------------------------------------------------------------------------- histogram

def test_the_histogram_counts_each_step_and_each_sample(tmp_path):
    histogram = ForceHistogram()
    frames = list(sample_md(MD(start(), SW), Interval(20.0, 15), 300, histogram=histogram))
    largest = forces_of_a_run(300)[1:].max(1)
    wanted = np.histogram(largest, np.arange(histogram.BINS + 1) * histogram.WIDTH)[0]
    assert (histogram.seen == wanted).all() and histogram.sampled.sum() == len(frames)
    histogram.add([1e9], np.array([True]))
    assert histogram.seen[-1] == histogram.sampled[-1] == 1
    histogram.picture(tmp_path / "h.png")
    assert (tmp_path / "h.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="nothing was sampled yet"):
        ForceHistogram().picture(tmp_path / "other.png")
    with pytest.raises(ValueError, match="cannot be written"):
        histogram.picture(tmp_path / "none" / "h.png")


# ----------------------------------------------------------------------------------------------------------------- starts

def test_rattled_atoms_are_evenly_in_a_ball():
    atoms = Atoms("H4000", np.zeros((4000, 3)))
    rattle(atoms, 0.4, 1)
    r = np.linalg.norm(atoms.positions, axis=1)
    assert r.max() <= 0.4 and abs((r < 0.2).mean() - 1 / 8) < 0.03 and abs(atoms.positions.mean(0)).max() < 0.02
    rattle(atoms, 0.0)
    assert np.linalg.norm(atoms.positions, axis=1).tobytes() == r.tobytes()


def test_a_cluster_is_all_that_is_near_its_centre():
    cluster = cut_out(CELL, 3, 4.0)
    assert len(cluster) == 1 + 4 + 12 and not cluster.pbc.any() and not cluster.cell.array.any()
    assert sorted(np.round(np.linalg.norm(cluster.positions, axis=1), 6))[1:5] == pytest.approx([5.43 * math.sqrt(3) / 4] * 4, abs=1e-5)


def test_starts_are_what_they_are_called():
    plan = SamplingPlan(temperatures=((300, 900),), stretches=(1.05,), starts=("given", "rattled", "molten", "cluster"), steps=200, equilibrate=100, melt_steps=600, radius=5.0)
    crystal = CELL * 2
    crystal.info["energy"] = 7.0
    given, rattled, molten, cluster = (plan.begin(run, crystal, SW) for run in plan.runs())
    ideal = crystal.positions * 1.05
    moved = [np.linalg.norm(md.positions - ideal, axis=1) for md in (given, rattled, molten)]
    assert 0 < moved[0].mean() < 0.3 and 0.1 < moved[1].max() <= plan.rattle and moved[2].mean() > 0.7
    for md in (given, rattled, molten):
        assert md.step == 0 and md.target == 300 and md.atoms.cell.array == pytest.approx(crystal.cell.array * 1.05) and not md.atoms.info
    assert rattled.temperature == pytest.approx(300, rel=0.05) and molten.temperature == pytest.approx(300, rel=0.05)
    assert not cluster.atoms.pbc.any() and len(cluster.positions) == len(cut_out(crystal, 0, 5.0 / 1.05)) and cluster.stress is None
    given.run(200)
    assert given.target == 900


def test_a_plan_has_every_state_with_a_name_and_a_seed_of_its_own():
    plan = SamplingPlan(temperatures=((300, 300), (300, 900)), stretches=(0.9, 1), starts=("given", "molten"), trajectories=3)
    runs = plan.runs()
    assert len(runs) == len(plan) == 24 and len({r["name"] for r in runs}) == len({r["seed"] for r in runs}) == 24
    assert runs[0]["name"] == "given-0.9-300K-1-1" and runs[-1]["name"] == "molten-1-300-900K-1-3"
    assert not {r["seed"] for r in runs} & {r["seed"] for r in SamplingPlan(trajectories=24, seed=2).runs()}
    assert len({r["name"] for r in SamplingPlan(stretches=(1, 1 + 1e-15), temperatures=((300, 300), (300, 300 + 1e-12))).runs()}) == 4


# ------------------------------------------------------------------------------------------------------------------ pools

PLAN = SamplingPlan(temperatures=((300, 1500),), stretches=(0.98, 1.0), starts=("rattled",), trajectories=2, steps=300)


def test_a_pool_can_be_read_back_and_held_out_by_trajectory(tmp_path):
    path = tmp_path / "pool.extxyz"
    pool = sample_pool(path, CELL, SW, Interval(100, 30), PLAN)
    frames = ase.io.read(path, ":")
    assert len(frames) == pool.frames > 20 and not pool.ended and list(tmp_path.iterdir()) == [path]
    assert pool.histogram.sampled.sum() == pool.frames and pool.histogram.seen.sum() == 1200
    names = [f.info["trajectory"] for f in frames]
    assert names == sorted(names, key=[r["name"] for r in PLAN.runs()].index) and len(set(names)) == 4
    for f in frames:
        assert f.info["temperature"] == pytest.approx(300 + 4 * f.info["step"])
        assert f.get_stress() == pytest.approx(SW.compute(f).stress, abs=1e-6) and f.get_forces() == pytest.approx(SW.compute(f).forces, abs=1e-5)
    assert {s.group for s in dataset.read(path)} == set(names)


def test_trajectories_differ_and_a_pool_is_the_same_each_time(tmp_path):
    for name in "ab":
        sample_pool(tmp_path / name, CELL, SW, RandomChoice(20), PLAN)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    steps = {}
    for f in ase.io.read(tmp_path / "a", ":", format="extxyz"):
        steps.setdefault(f.info["trajectory"], []).append(f.info["step"])
    assert len({tuple(s) for s in steps.values()}) == 4  # the draws too


def test_a_pool_has_the_steps_that_its_rule_chooses_of_each_trajectory(tmp_path):
    rule = Interval(12, 30)  # 30 does not divide the hundred steps that are run at once
    sample_pool(tmp_path / "p", CELL, SW, rule, PLAN)
    frames = ase.io.read(tmp_path / "p", ":", format="extxyz")
    for run in PLAN.runs():
        alone = sample_md(PLAN.begin(run, CELL, SW), rule, PLAN.steps)
        assert [f.info["step"] for f in alone] == [f.info["step"] for f in frames if f.info["trajectory"] == run["name"]]


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("rule, environments", [(Interval(12, 30), {}), (Interval(40.0, 21), {"chosen": [0, 5], "cutoff": 3.9}), (EqualInterval(9), {}), (RandomChoice(9), {})])
def test_a_pool_interrupted_anywhere_becomes_what_it_would_have_been(tmp_path, rule, environments):
    whole = sample_pool(tmp_path / "whole", CELL, SW, rule, PLAN, **environments)
    path = tmp_path / "pool"
    for seconds in (0.0, 1e9):
        for evaluations in (150, 440, 650):  # of the 1200 and some
            with pytest.raises(KeyboardInterrupt):
                sample_pool(path, CELL, Breaks(evaluations, interrupt), rule, PLAN, checkpoint_seconds=seconds, resume=path.exists(), **environments)
        path.write_bytes(path.read_bytes() + b"half a fra" * 10**5)
        pool = sample_pool(path, CELL, SW, rule, PLAN, resume=True, checkpoint_seconds=0.0, **environments)
        assert path.read_bytes() == (tmp_path / "whole").read_bytes()
        assert pool.frames == whole.frames and (pool.histogram.seen == whole.histogram.seen).all() and (pool.histogram.sampled == whole.histogram.sampled).all()
        path.unlink()


SCRIPT = """
import sys, fastmd
from ase.build import bulk
plan = fastmd.SamplingPlan(temperatures=((300, 1500),), stretches=(0.98, 1.0), starts=("rattled",), trajectories=2, steps=1500)
fastmd.sample_pool(sys.argv[1], bulk("Si", cubic=True), fastmd.StillingerWeber(), fastmd.Interval(100, 30), plan, checkpoint_seconds=0.02)
"""


def test_a_pool_killed_by_sigkill_goes_on_to_the_same_file(tmp_path):
    path, whole = tmp_path / "pool", tmp_path / "whole"
    plan = SamplingPlan(temperatures=((300, 1500),), stretches=(0.98, 1.0), starts=("rattled",), trajectories=2, steps=1500)
    sample_pool(whole, CELL, SW, Interval(100, 30), plan)
    size = whole.stat().st_size
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)]) as process:
        while process.poll() is None and not (path.exists() and path.stat().st_size > size / 2):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and size / 2 < path.stat().st_size < size
    assert _store.load(tmp_path / "pool.checkpoint", "sample")["bytes"] > 0
    done = command("sw", "--crystal", "Si", "--repeat", 1, "-T", "300:1500", "--stretch", "0.98,1", "--from", "rattled", "--trajectories", 2, "--steps", 1500,
                   "--alpha", 100, "--tau-max", 30, "-o", path, "--resume")
    assert done.exit_code == 0, done.output
    assert path.read_bytes() == whole.read_bytes() and not (tmp_path / "pool.checkpoint").exists()


def test_a_trajectory_that_blows_up_ends_and_the_next_begins(tmp_path):
    pool = sample_pool(tmp_path / "p", CELL, Breaks(400, nan_force), EqualInterval(10), PLAN)
    (name, why), = pool.ended
    assert name == "rattled-0.98-300-1500K-1-2" and "not finite" in why
    frames = ase.io.read(tmp_path / "p", ":", format="extxyz")
    steps = {r["name"]: [f.info["step"] for f in frames if f.info["trajectory"] == r["name"]] for r in PLAN.runs()}
    assert [len(s) for s in steps.values()] == [30, len(steps[name]), 30, 30] and 0 < len(steps[name]) < 30
    assert all(np.isfinite(f.get_forces()).all() and np.isfinite(f.get_stress()).all() for f in frames)


def test_what_stands_in_the_way_of_a_pool_is_said(tmp_path):
    path = tmp_path / "p"
    rule = EqualInterval(50)
    with pytest.raises(KeyboardInterrupt):
        sample_pool(path, CELL, Breaks(400, interrupt), rule, PLAN, checkpoint_seconds=0)
    run = lambda atoms=CELL, potential=SW, rule=rule, plan=PLAN, **more: sample_pool(path, atoms, potential, rule, plan, **more)  # noqa: E731
    with pytest.raises(ValueError, match="p.checkpoint: belongs to a sampling that was not finished; go on with it"):
        run()
    for wrong, name in (({"atoms": CELL * (2, 1, 1)}, "atoms"), ({"rule": EqualInterval(51)}, "rule"), ({"potential": network()}, "potential"),
                        ({"plan": SamplingPlan(steps=300)}, "temperatures"), ({"chosen": [1], "cutoff": 3.0}, "chosen")):
        with pytest.raises(ValueError, match=f"p.checkpoint: {name} was .*, is now .*; go on with what it was begun with"):
            run(resume=True, **wrong)
    content = path.read_bytes()
    path.write_bytes(content[:10])
    with pytest.raises(ValueError, match="p: has 10 bytes where .* had been written"):
        run(resume=True)
    path.unlink()
    with pytest.raises(ValueError, match="is gone, but its checkpoint is there"):
        run(resume=True)
    path.write_bytes(content)
    run(resume=True)
    with pytest.raises(ValueError, match="there is no checkpoint of it, so it is finished"):
        run(resume=True)
    with pytest.raises(ValueError, match="cannot be written"):
        sample_pool(tmp_path / "none" / "p", CELL, SW, rule, PLAN)


# ------------------------------------------------------------------------------------------------------------ wrong input

def md():
    return MD(start(), SW)


@pytest.mark.parametrize("call, message", [
    (lambda: Interval(0.0), "alpha must be > 0 eV/angstrom, got 0.0"), (lambda: Interval(math.nan), "alpha must be"),
    (lambda: Interval(1.0, 0), "tau_max must be a whole number >= 1, got 0"), (lambda: EqualInterval(0), "every must be"),
    (lambda: RandomChoice(0), "every must be"), (lambda: RandomChoice(2, -1), "seed must be"),
    (lambda: sample_md(md(), EqualInterval(1), -1), "steps must be"),
    (lambda: sample_md(md(), EqualInterval(1), 5, cutoff=3.0), "cutoff is for the environments of chosen atoms, got 3.0 and no atoms"),
    (lambda: sample_md(md(), EqualInterval(1), 5, potential=SW), "potential: expected, together with atoms, .* got StillingerWeber"),
    (lambda: sample_md(md(), EqualInterval(1), 5, atoms=[0]), "cutoff is missing"),
    (lambda: sample_md(md(), EqualInterval(1), 5, atoms=[0], cutoff=-1), "cutoff must be > 0 angstrom, got -1"),
    (lambda: sample_md(md(), EqualInterval(1), 5, atoms=[8], cutoff=3.0), r"atoms: expected indices from 0 to 7, got \[8\]"),
    (lambda: sample_md(md(), EqualInterval(1), 5, atoms=[1, 1], cutoff=3.0), "atoms: expected different indices"),
    (lambda: sample_md(md(), EqualInterval(1), 5, atoms=[0], cutoff=3.0, potential="sw"), "potential: expected, together with atoms, a fastmd Potential .* got str"),
    (lambda: cut_out(CELL, 8, 3.0), "centre: expected an index from 0 to 7, got 8"), (lambda: cut_out(CELL, 0, 0.0), "radius must be > 0 angstrom"),
    (lambda: rattle(CELL.copy(), -1.0), "size must be >= 0 angstrom"),
    (lambda: SamplingPlan(temperatures=()), r"temperatures: expected a tuple of one or more, got \(\)"), (lambda: SamplingPlan(temperatures=(300,)), r"expected pairs \(first, last\)"),
    (lambda: SamplingPlan(temperatures=((300, -1),)), "temperatures must be >= 0 K"), (lambda: SamplingPlan(stretches=(0,)), "stretches must be > 0"),
    (lambda: SamplingPlan(starts=("frozen",)), "starts must be of given, rattled, molten, cluster, got 'frozen'"),
    (lambda: SamplingPlan(stretches=(1, 1.0)), "stretches: each once, got 1.0, 1.0"), (lambda: SamplingPlan(steps=0), "steps must be"),
    (lambda: SamplingPlan(timestep=0), "timestep must be > 0 fs"), (lambda: SamplingPlan(rattle=math.inf), "rattle must be"),
    (lambda: SamplingPlan(trajectories=10**9), "trajectories: 1 states, 1000000000 of each, are too many; at most 1048576"),
    (lambda: sample_pool("p", CELL, SW, lambda *_: None, PLAN), "rule: expected an Interval, EqualInterval or RandomChoice"),
    (lambda: sample_pool("p", CELL, SW, EqualInterval(1), SamplingPlan(starts=("cluster",)), chosen=[0], cutoff=3.0), "a cluster has other atoms than the start"),
    (lambda: sample_pool("p", CELL, SW, EqualInterval(1), PLAN, chosen=[0]), "cutoff is missing"),
    (lambda: sample_pool("p", CELL, SW, EqualInterval(1), PLAN, cutoff=3.0), "cutoff is for the environments"),
    (lambda: sample_pool("p", CELL, SW, EqualInterval(1), SamplingPlan(starts=("cluster",), radius=1.0)), "radius: there are atoms with none within 1 angstrom"),
    (lambda: sample_pool("p", Atoms("Si2", [[0, 0, 0], [0, 0, 2.4]]), SW, EqualInterval(1), PLAN), "stretches: a structure without a cell"),
    (lambda: sample_pool("p", Atoms("Si", [[0, 0, 0]]), SW, EqualInterval(1), PLAN), "without net momentum have no temperature"),
    (lambda: sample_pool("p", CELL, SW, EqualInterval(1), PLAN, chosen=[0, 8], cutoff=3.0), "atoms: expected indices from 0 to 7"),
    (lambda: sample_pool("p", bulk("Ge"), SW, EqualInterval(1), PLAN), "no parameters for Ge"),
])
def test_what_makes_no_sense_is_refused_by_name(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call()
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------------ command line

def command(*arguments):
    return CliRunner().invoke(main, ["sample", *map(str, arguments)])


def test_the_command_samples_draws_and_says_what_it_did(tmp_path):
    pool, png = tmp_path / "p.extxyz", tmp_path / "p.png"
    r = command("sw", "--crystal", "Si", "--repeat", 1, "-T", "300:900,1200", "--stretch", "1,1.02", "--from", "given,rattled", "--steps", 200,
                "--alpha", 50, "--tau-max", 20, "-o", pool, "--picture", png)
    assert r.exit_code == 0, r.output
    frames = ase.io.read(pool, ":")
    assert f"{len(frames)} frames from 8 trajectories" in r.output and len({f.info["trajectory"] for f in frames}) == 8
    assert png.read_bytes()[:4] == b"\x89PNG"
    sample_pool(tmp_path / "q", CELL, SW, Interval(50, 20), SamplingPlan(((300, 900), (1200, 1200)), (1, 1.02), ("given", "rattled"), steps=200))
    assert pool.read_bytes() == (tmp_path / "q").read_bytes()
    r = command("sw", pool, "--atoms", "0,5", "--cutoff", 3.8, "--steps", 50, "--rule", "equal", "--every", 25, "-o", tmp_path / "e.extxyz")
    assert r.exit_code == 0 and "4 frames" in r.output, r.output
    assert [f.info["atom"] for f in ase.io.read(tmp_path / "e.extxyz", ":")] == [0, 5, 0, 5]


@pytest.mark.parametrize("arguments, message", [
    ([], "either a file START or --crystal"), (["--crystal", "Xx"], "--crystal must be an element"), (["--crystal", "Si", "-T", "hot"], "-T must look like 300 or"),
    (["--crystal", "Si", "--stretch", "1;2"], "--stretch must look like"), (["--crystal", "Si", "--atoms", "0.5"], "--atoms must look like 0,5"),
    (["--crystal", "Si", "--from", "frozen"], "starts must be of"), (["--crystal", "Si", "--steps", "0"], "steps must be"), (["--crystal", "Si", "--atoms", "0"], "cutoff is missing"),
    (["--crystal", "Si", "--picture", "pool.extxyz"], "is also the output"), (["--crystal", "Si", "-o", "none/p"], "folder cannot be written"), (["--crystal", "Ge"], "no parameters for Ge")])
def test_the_command_says_in_a_sentence_what_is_wrong(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    r = command("sw", *arguments)
    assert r.exit_code == 1 and message in r.output and "Traceback" not in r.output, r.output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_study_of_the_three_ways_runs(tmp_path):
    from pathlib import Path

    script = Path(__file__).parent.parent / "examples" / "sampling.py"
    done = subprocess.run([sys.executable, str(script), str(tmp_path / "out"), "--quick"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"sampling.json", "sampling.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
