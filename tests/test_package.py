"""What is installed, and what `import fastmd` brings with it."""

import importlib.metadata
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import fastmd
from fastmd import _core

HOME = Path(fastmd.__file__).parent
ROOT = Path(__file__).parent.parent
LIBRARIES = sorted((HOME / "lib").glob("libfastmd*.so"))
HEAVY = ("torch", "matplotlib", "numba", "scipy", "ase.io")

# run away from the source tree, by an interpreter that has fastmd installed
ENERGY = """
import fastmd
from ase.build import bulk
functions = fastmd.make_set(["Si"])
p = fastmd.NNPotential(functions, {"Si": fastmd.Network.random(len(functions["Si"]), rng=0)})
print(fastmd.__file__, repr(p.compute(bulk("Si")).energy))
"""


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def test_import_of_fastmd_brings_nothing_heavy(record_property):
    start = time.perf_counter()
    loaded = run(sys.executable, "-c", "import fastmd, sys; print(*sys.modules)").split()
    record_property("seconds", time.perf_counter() - start)
    assert "fastmd" in loaded
    assert [m for m in HEAVY if m in loaded] == []


def test_every_public_name_is_there():
    for name in fastmd.__all__:
        assert getattr(fastmd, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        fastmd.nonsense


def test_version_is_that_of_the_installed_package():
    assert fastmd.__version__ == importlib.metadata.version("fastmd")


def test_the_libraries_and_the_c_header_are_installed():
    assert {"libfastmd.so", f"libfastmd_{_core.isas()[0]}.so"} <= {p.name for p in LIBRARIES}
    assert "fastmd_compute" in (HOME / "include" / "fastmd.h").read_text()


def test_the_header_is_plain_c(tmp_path):
    source = tmp_path / "embed.c"
    source.write_text('#include "fastmd.h"\nint main(void) { return fastmd_abi() == FASTMD_ABI ? 0 : 1; }\n')
    run(tool("gcc"), "-std=c99", "-pedantic", "-Wall", "-Werror", "-fsyntax-only", "-I", HOME / "include", source)


def test_a_c_program_links_and_runs(tmp_path):
    source = tmp_path / "embed.c"
    source.write_text('#include "fastmd.h"\n#include <stdio.h>\nint main(void) { puts(fastmd_isa()); return fastmd_abi() != FASTMD_ABI; }\n')
    run(tool("gcc"), "-std=c99", "-I", HOME / "include", source, "-L", HOME / "lib", "-lfastmd", f"-Wl,-rpath,{HOME / 'lib'}", "-o", tmp_path / "embed")
    assert run(tmp_path / "embed").strip() in _core.isas()


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda p: p.name)
def test_only_names_that_begin_with_fastmd_are_exported(library):
    names = [line.split()[-1] for line in run(tool("nm"), "-D", "--defined-only", library).splitlines()]
    assert names and [n for n in names if not n.startswith("fastmd_")] == []


@pytest.mark.slow
def test_a_wheel_works_elsewhere(tmp_path):
    # From a copy, so that nothing built in the tree is found by accident or disturbed.
    copy = shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(".*", "*.so", "build", "dist", "demo", "include", "lib", "_core.c", "*.egg-info"))
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, ".", cwd=copy)
    wheel, = tmp_path.glob("fastmd-*.whl")
    assert {f"fastmd/include/lammps/{p.name}" for p in (ROOT / "fastmd_ext/lammps").iterdir()} <= set(zipfile.ZipFile(wheel).namelist())
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-c", ROOT / "constraints.txt", wheel)
    elsewhere, energy = run(python, "-c", ENERGY, cwd=tmp_path).split()
    assert Path(elsewhere).is_relative_to(tmp_path)
    assert energy == run(sys.executable, "-c", ENERGY, cwd=tmp_path).split()[1]
