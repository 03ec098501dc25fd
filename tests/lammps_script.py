"""LAMMPS on an ase.Atoms through a script: what the pair style gives, turned back into the frame and units of the Atoms."""

import subprocess
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses, atomic_numbers

import fastmd.lammps as lammps

NKTV2P = {"metal": 1.6021765e6, "real": 68568.415, "electron": 2.94210108e13}  # LAMMPS's own; divided out
ANGSTROM = {"metal": 1.0, "real": 1.0, "electron": units.Bohr}
EV = {"metal": 1.0, "real": units.kcal / units.mol, "electron": units.Hartree}
SPEED = {"metal": 1000.0, "real": 1.0}  # of an angstrom/fs
ORDER = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]


@dataclass
class Run:
    log: str
    energy: float
    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    virials: np.ndarray    # (n, 3, 3) per atom, symmetric
    centroids: np.ndarray  # (n, 3, 3)
    positions: np.ndarray
    more: np.ndarray       # the columns asked for


class Failed(Exception):
    """LAMMPS ended with an error: its last lines"""


def setup(folder, atoms, types=None, style="metal", charges=False):
    """Lines of a script that make the box and the atoms, and what turns positions into LAMMPS's frame. types: of the atoms, from 1 on; {type: mass}"""
    symbols = sorted(set(atoms.symbols))
    types = [symbols.index(s) + 1 for s in atoms.symbols] if types is None else list(types)
    masses = {t: atomic_masses[atomic_numbers[s]] for t, s in zip(types, atoms.symbols)}
    box, turn, flags = lammps._box(atoms.positions, atoms.cell.array, atoms.pbc)
    x, size = atoms.positions @ turn, ANGSTROM[style]
    low, high = np.zeros(3), box.diagonal().copy()
    for a in range(3):
        if not flags[a]:
            low[a], high[a] = x[:, a].min() - 1, x[:, a].max() + 1
    wrapped = Atoms(atoms.symbols, x, cell=box, pbc=flags)
    wrapped.wrap(eps=0)
    with open(folder / "atoms.data", "w") as f:
        print(f"atoms\n\n{len(atoms)} atoms\n{max(types)} atom types\n", file=f)
        for a, n in enumerate("xyz"):
            print(f"{low[a] / size:.17g} {high[a] / size:.17g} {n}lo {n}hi", file=f)
        print(*(f"{box[a, b] / size:.17g}" for a, b in ((1, 0), (2, 0), (2, 1))), "xy xz yz\n\nAtoms # atomic\n", file=f)
        for k, (t, r) in enumerate(zip(types, wrapped.positions / size), 1):
            print(k, t, *(f"{v:.17g}" for v in r), file=f)
        if atoms.has("momenta"):
            print("\nVelocities\n", file=f)
            for k, v in enumerate(atoms.get_velocities() @ turn * units.fs * SPEED[style], 1):
                print(k, *(f"{c:.17g}" for c in v), file=f)
    lines = [f"units {style}", "atom_style atomic", "atom_modify map array", f"boundary {' '.join('p' if p else 'f' for p in flags)}", "box tilt large",
             f"read_data {folder / 'atoms.data'}", *(f"mass {t} {masses.get(t, 1.0):.12g}" for t in range(1, max(types) + 1))]
    return lines, turn


def run_script(folder, lines, ranks=1, **kwargs):
    """The log. Raises Failed."""
    script = folder / "in.lammps"
    script.write_text("\n".join(lines) + "\n")
    ran = lammps.run(script, ranks, arguments=["-log", "none", "-nocite"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, **kwargs)
    if ran.returncode or "ERROR" in ran.stdout:
        raise Failed(ran.stdout[-4000:])
    return ran.stdout


def compute(folder, atoms, pair, ranks=1, style="metal", types=None, before=(), steps=("run 0",), more=(), after=()):
    """A Run. pair: the lines of the pair style;  before, after: more lines before and after them;  steps: what is run;  more: columns of dump custom"""
    lines, turn = setup(folder, atoms, types, style)
    lines += [*before, *pair, *after, "compute e all pe/atom pair", "compute w all stress/atom NULL pair", "compute c all centroid/stress/atom NULL pair",
              "compute p all pressure NULL pair", "thermo_style custom step pe c_p[1]",
              "dump d all custom 1000000000 out.dump id x y z fx fy fz c_e c_w[*] c_c[*] " + " ".join(more), "dump_modify d sort id format float %.17g", *steps,
              "dump_modify d every 1", "run 0",
              "print 'RESULT $(pe:%.17g) $(vol:%.17g) $(c_p[1]:%.17g) $(c_p[2]:%.17g) $(c_p[3]:%.17g) $(c_p[4]:%.17g) $(c_p[5]:%.17g) $(c_p[6]:%.17g)'"]
    log = run_script(folder, lines, ranks)
    energy, volume, *p = map(float, next(line for line in log.splitlines() if line.startswith("RESULT ")).split()[1:])
    rows = np.array([line.split() for line in (folder / "out.dump").read_text().splitlines()[-len(atoms):]], float)
    ev, size, back = EV[style], ANGSTROM[style], turn.T

    def tensor(six):
        t = np.zeros((*np.shape(six)[:-1], 3, 3))
        for k in range(np.shape(six)[-1]):
            a, b = ORDER[k]
            t[..., a, b] = np.asarray(six)[..., k]
            if np.shape(six)[-1] == 6:
                t[..., b, a] = np.asarray(six)[..., k]
        return turn @ t @ back / NKTV2P[style] * ev

    return Run(log, energy * ev, rows[:, 7] * ev, rows[:, 4:7] @ back * ev / size, tensor(p) * volume, -tensor(rows[:, 8:14]), -tensor(rows[:, 14:23]),
               rows[:, 1:4] @ back * size, rows[:, 23:])
