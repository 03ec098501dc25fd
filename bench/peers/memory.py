"""Memory per atom: the peak of a fresh process during a call, less what it held before, its imports and the structure among it."""

import subprocess
import sys
from pathlib import Path

from . import Contest

WATCHED = """
import ctypes
import sys

import numpy as np
sys.path.insert(0, {folder!r})

def held(what):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(what + ":")))

from yardstick import silicon
import fastmd
{before}
ctypes.CDLL(None).malloc_trim(0)  # or what was freed before would serve, unseen
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = held("VmRSS")
{call}
print(held("VmHWM") - before)
"""
ATOMS = "atoms = __import__('yardstick').bulk('Si', 'diamond', a=5.431, cubic=True) * ({0}, {0}, {0})"
LISTS = {
    "fastmd: j": (None, "", "p = fastmd.find_pairs(atoms, 6.0, shift=False)"),
    "fastmd: i j S d D": (None, "", "p = fastmd.find_pairs(atoms, 6.0, d=True, r=True); kept = p.i, p.d, p.r"),
    "vesin": ("vesin", "import vesin", "kept = vesin.NeighborList(cutoff=6.0, full_list=True, n_threads=1).compute(atoms.positions, np.array(atoms.cell), atoms.pbc, 'ijSdD')"),
    "matscipy": ("matscipy", "from matscipy.neighbours import neighbour_list", "kept = neighbour_list('ijSdD', atoms, 6.0)"),
    "ASE": ("ase", "from ase.neighborlist import neighbor_list", "kept = neighbor_list('ijSdD', atoms, 6.0)"),
}
TRAINING = {"fastmd": "e = t.ours(made); e()", "plain torch": "e = t.plain(made); e()"}


def contests(quick):
    cells, structures = (5, 20) if quick else (16, 100)
    atoms = 8 * cells**3
    lists = Contest(f"memory of a full list with distances, Si, {atoms} atoms", {}, atoms, 1.0, "kB/atom")
    for name, (module, first, call) in LISTS.items():
        lists.add(name, lambda: process(ATOMS.format(cells) + "\n" + first, call), module, over="fastmd: i j S d D")
    force = Contest(f"memory of energy and forces, list given, Si, {atoms} atoms", {}, atoms, 1.0, "kB/atom")
    before = f"{ATOMS.format(cells)}; from yardstick import silicon_potential, call_of; c = call_of(silicon_potential(), atoms, fastmd.find_pairs(atoms, 6.0))"
    force.add("fastmd", lambda: process(before, "c()"))
    training = Contest(f"memory of training, {structures} x 64 atoms, 30 functions", {}, 64 * structures, 1.0, "kB/atom")
    for name, call in TRAINING.items():
        training.add(name, lambda: process(f"import torch, fastmd.train; import peers.training as t; made = t.structures({structures}); t.ours(made[:1])()", call), "torch")
    return [lists, force, training]


def process(before, call):
    """A job: kB. It is the same each time, so it is measured here."""
    code = WATCHED.format(folder=str(Path(__file__).parents[1]), before=before, call=call)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1])
    return lambda: float(ran.stdout.split()[-1])
