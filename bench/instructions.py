"""How many instructions one energy-and-force call takes, counted by valgrind, beside the figures of instructions.json: these do not depend on the machine.

    python bench/instructions.py              # fails if a count is more than 5 % off
    python bench/instructions.py --update     # takes the counts as they are; say in the commit message why they changed

Two cases, AVX2, one thread: "wide", 64 atoms of silicon with 8 G2 + 16 G5, and "narrow", 72 atoms like water with G2 and G4. Both are made by code. Only what
runs inside of fastmd_compute is counted, in a small C program (instructions.c). The counts depend on the compiler, which stands beside them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from systems import water, water_potential
from yardstick import silicon, silicon_potential

import fastmd
from fastmd import _check, _core

HERE = Path(__file__).parent
FIGURES = HERE / "instructions.json"
MOST = 0.05
CASES = {"wide": lambda: (silicon_potential(), silicon(2)[0]), "narrow": lambda: (water_potential(), water((2, 3, 4)))}


def lacking():
    """What is missing to count, in a sentence, or None"""
    for tool in ("valgrind", "gcc"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None if "avx2" in _core.isas() else "there are no AVX2 kernels, or none that this CPU can run"


def compiler():
    """Which one built the AVX2 kernels, as it says in them"""
    library = (Path(fastmd.__file__).parent / "lib" / "libfastmd_avx2.so").read_bytes()
    found = re.search(rb"GCC: \([^)]*\) [0-9.]+|clang version [0-9.]+", library)
    return found[0].decode() if found else "unknown"


def count():
    """{case: instructions}"""
    home, found = Path(fastmd.__file__).parent, {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "instructions")
        run("gcc", "-O1", "-std=c99", "-I", home / "include", HERE / "instructions.c", "-L", home / "lib", "-lfastmd", f"-Wl,-rpath,{home / 'lib'}", "-lm", "-o", program)
        for name, make in CASES.items():
            potential, atoms = make()
            potential.save(Path(folder, "p.nnp"))
            kinds = np.zeros(len(atoms) + len(atoms) % 2, np.int32)
            kinds[:len(atoms)] = potential.species(atoms.get_chemical_symbols())
            parts = np.int64(len(atoms)), kinds, atoms.positions, np.array(atoms.cell)
            Path(folder, "structure").write_bytes(b"".join(x.tobytes() for x in parts))
            said = run("valgrind", "--tool=callgrind", "--toggle-collect=fastmd_compute", "--callgrind-out-file=/dev/null", program, Path(folder, "p.nnp"), Path(folder, "structure"))
            isa, energy = re.search(r"^(\w+) ([-0-9.e+]+)$", said, re.M).groups()
            if isa != "avx2" or abs(float(energy) - potential.compute(atoms).energy) > 1e-9 * abs(float(energy)):
                raise click.ClickException(f"{name}: {isa} kernels, energy {energy}, wanted avx2 and {potential.compute(atoms).energy!r}")
            found[name] = int(re.search(r"Collected : (\d+)", said)[1])
    return found


def run(*command):
    ran = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=os.environ | {"FASTMD_ISA": "avx2", "FASTMD_THREADS": "1"})
    if ran.returncode:
        raise click.ClickException(f"{command[0]} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout + ran.stderr


def verdict(found, figures):
    """A line for each case that is more than MOST off"""
    return [f"{name}: {found[name]:,} instructions, {abs(found[name] / wanted - 1):.1%} {'more' if found[name] > wanted else 'less'} than the {wanted:,} of "
            f"bench/instructions.json. If that is meant, say why in the commit message and run: python bench/instructions.py --update"
            for name, wanted in figures.items() if abs(found[name] / wanted - 1) > MOST]


@click.command()
@click.option("--update", is_flag=True, help="Write the counts to bench/instructions.json.")
def main(update):
    """Count the instructions of two small energy-and-force calls and compare them with bench/instructions.json."""
    if why := lacking():
        raise click.ClickException(f"cannot count: {why}")
    found, kept = count(), json.loads(FIGURES.read_text()) if FIGURES.exists() else None
    for name, n in found.items():
        print(f"{name:8s} {n:12,d}" + (f"   {n / kept['instructions'][name] - 1:+.2%}" if kept else ""))
    if update:
        _check.write_text(FIGURES, json.dumps({"compiler": compiler(), "instructions": found}, indent=1) + "\n")
    elif kept["compiler"] != compiler():
        print(f"not compared: the kernels were built by {compiler()}, the figures are of {kept['compiler']}")
    elif wrong := verdict(found, kept["instructions"]):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
