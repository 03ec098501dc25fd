"""What a step takes in LAMMPS beside fastmd's own force call, and two ranks beside one. Runs take turns; the least of each counts.

    python bench/lammps_speed.py water.nnp water.xyz --repeat 2            # ratios to the force call, one rank and two
    python bench/lammps_speed.py silicon.nnp --atoms 1000000 --steps 100   # one large run of a silicon crystal; memory of the ranks
"""
import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ase.io
import numpy as np
from ase.build import bulk

import fastmd
from fastmd import lammps

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from lammps_script import setup


def script(folder, potential, path, atoms, steps, timestep, skin):
    lines, _ = setup(folder, atoms)
    symbols = " ".join(sorted(set(atoms.symbols)))
    lines += ["pair_style fastmd", f"pair_coeff * * {Path(path).resolve()} {symbols}", f"neighbor {skin} bin", f"timestep {timestep / 1000}", "velocity all create 300 1", "fix f all nve", "thermo 1000000",
              f"run {steps}", "info memory"]
    (folder / "in.speed").write_text("\n".join(lines) + "\n")
    return folder / "in.speed"


def loop(path, ranks):
    """Seconds of LAMMPS's loop, seconds of the pair style in it (mean over ranks), the log, megabytes of the first process at most"""
    ran = lammps.run(path, ranks, arguments=["-log", "none", "-nocite"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = ran.stdout
    if ran.returncode:
        raise SystemExit(log[-3000:])
    pair = next(line for line in log.splitlines() if line.startswith("Pair ")).split("|")[2]
    return float(re.search(r"Loop time of (\S+)", log)[1]), float(pair), log, float(re.search(r"Maximum resident set size: +(\S+) Mbyte", log)[1])


def compare(potential, path, atoms, steps, timestep, rounds, skin):
    kinds = potential._kinds(atoms.numbers)
    cell = np.ascontiguousarray(atoms.cell.array)
    potential.threads = 1
    pairs = fastmd.find_pairs(atoms, potential.cutoff)
    potential.evaluate(kinds, atoms.positions, cell, pairs)
    times = {"force call": [], "LAMMPS": [], "its pair style": [], "LAMMPS, 2 ranks": []}
    with tempfile.TemporaryDirectory() as folder:
        run = script(Path(folder), potential, path, atoms, steps, timestep, skin)
        for _ in range(rounds):
            begin = time.perf_counter()
            for _ in range(steps):
                potential.evaluate(kinds, atoms.positions, cell, pairs)
            times["force call"].append(time.perf_counter() - begin)
            one = loop(run, 1)
            times["LAMMPS"].append(one[0])
            times["its pair style"].append(one[1])
            times["LAMMPS, 2 ranks"].append(loop(run, 2)[0])
    least = {name: min(each) for name, each in times.items()}
    for name, t in least.items():
        print(f"{name:16} {1e6 * t / steps / len(atoms):8.2f} microseconds per atom and step")
    print(f"LAMMPS / force call {least['LAMMPS'] / least['force call']:.3f}; one rank / two {least['LAMMPS'] / least['LAMMPS, 2 ranks']:.2f}; {len(atoms)} atoms")


def large(potential, path, n, steps, timestep, ranks, skin):
    m = round((n / 8) ** (1 / 3))
    atoms = bulk("Si", cubic=True) * (m, m, m)
    with tempfile.TemporaryDirectory() as folder:
        seconds, _, log, memory = loop(script(Path(folder), potential, path, atoms, steps, timestep, skin), ranks)
    print("\n".join(line for line in log.splitlines() if re.match(r"(Per MPI|Loop|Pair |Neigh |Comm |Total # of n|Neighbor list builds|Nghost)", line)))
    print(f"{len(atoms)} atoms, {steps} steps, {ranks} ranks: {1e6 * seconds / steps / len(atoms):.2f} microseconds per atom and step, "
          f"{memory * ranks * 1024 / len(atoms):.2f} kB per atom ({memory:.0f} MB in each)")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("potential")
    a.add_argument("structure", nargs="?")
    a.add_argument("--repeat", type=int, default=1)
    a.add_argument("--atoms", type=int, default=1000000)
    a.add_argument("--steps", type=int, default=10)
    a.add_argument("--timestep", type=float, default=0.5, help="fs")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--ranks", type=int, default=2)
    a.add_argument("--skin", type=float, default=2.0, help="angstrom; 2 is what LAMMPS takes by itself in units metal")
    given = a.parse_args()
    potential = fastmd.NNPotential.load(given.potential)
    lammps.plugin()
    if given.structure:
        atoms = ase.io.read(given.structure) * ((given.repeat,) * 3)
        compare(potential, given.potential, atoms, given.steps, given.timestep, given.rounds, given.skin)
    else:
        large(potential, given.potential, given.atoms, given.steps, given.timestep, given.ranks, given.skin)


if __name__ == "__main__":
    main()
