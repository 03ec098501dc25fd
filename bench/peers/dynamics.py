"""What a step of molecular dynamics costs around the forces, fastmd.MD beside ASE's; and a step's forces beside other machine-learned potentials.

Around the forces: the potential is one that has none, so that all that is timed is the program's own work. That of fastmd.MD includes the look at whether the
neighbour list still holds. Other potentials are other functions of the same atoms: what users pay, not the same work.
"""

import tempfile
from pathlib import Path

import numpy as np
from ase import units
from ase.calculators.calculator import Calculator, all_changes
from yardstick import call_of, silicon, silicon_potential

import fastmd

from . import Contest, clocked
from .lammps import Lammps, potentials

STEPS = 20


def contests(quick):
    for cells in (2, 8):
        for bath in (False, True):
            yield step(cells, bath)
    yield others(silicon(3 if quick else 6)[0])


class Free(fastmd.Potential):
    """No forces"""

    cutoff = 6.0

    def species(self, symbols):
        return np.zeros(len(symbols), np.int32)

    def evaluate(self, species, positions, cell, pairs):
        n = len(positions)
        return 0.0, np.zeros(n), np.zeros((n, 3)), np.zeros((3, 3))


class FreeCalculator(Calculator):
    """The same as ASE wants it"""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        self.atoms = atoms.copy()
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


def step(cells, bath):
    start = silicon(cells)[0]
    fastmd.maxwell_boltzmann(start, 1e-3, rng=1)

    def ours():
        md = fastmd.MD(start.copy(), Free(), seed=1, **({"temperature": 1e-3, "friction": 1e-3} if bath else {}))
        return per_step(lambda: md.run(STEPS, every=10**9, progress=False))

    def ase():
        from ase.md.langevin import Langevin
        from ase.md.verlet import VelocityVerlet

        atoms = start.copy()
        atoms.calc = FreeCalculator()
        if bath:
            md = Langevin(atoms, units.fs, temperature_K=1e-3, friction=1e-3 / units.fs, rng=np.random.RandomState(1), fixcm=False)
        else:
            md = VelocityVerlet(atoms, units.fs)
        return per_step(lambda: md.run(STEPS))

    c = Contest(f"around the forces: a step of {'Langevin dynamics' if bath else 'velocity Verlet'}, {len(start)} atoms", {}, unit="µs/step")
    c.add("fastmd", ours)
    c.add("ASE", ase)
    return c


def per_step(call):
    job = clocked(call)
    return lambda: job() / STEPS


def others(atoms):
    pairs = fastmd.find_pairs(atoms, 6.0)

    def snap():
        name = potentials() / "Si_Zuo_JPCA2020"
        return Lammps(atoms, ["Si"], ["pair_style snap", f"pair_coeff * * {name}.snapcoeff {name}.snapparam Si"]).job("Pair", 1)

    def nep():
        from calorine.calculators import CPUNEP

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "nep.txt")
            path.write_text(random_nep(np.random.default_rng(6)))
            calculator = CPUNEP(str(path), atoms.copy())
        return clocked(lambda: calculator.calculate(atoms, ["energy", "forces", "stress"]))

    c = Contest(f"energy, forces and virial by other potentials, Si, {len(atoms)} atoms", {}, len(atoms))
    c.add("fastmd", lambda: clocked(call_of(silicon_potential(), atoms, pairs)), note="8 G2 + 16 G5, 24-20-20-1")
    c.add("LAMMPS SNAP", snap, "lammps", "Zuo 2020, Si; its Pair time")
    c.add("calorine NEP", nep, "calorine", "NEP4, usual size; list included")
    return c


def random_nep(rng, cutoffs=(6, 5), n_max=(4, 4), basis=(8, 8), l_max=4, nodes=30):
    """A NEP4 file for silicon with random numbers: radial and angular cutoff, n_max and basis_size; l_max with one four-body term"""
    functions = n_max[0] + 1 + (n_max[1] + 1) * (l_max + 1)
    parameters = (functions + 2) * nodes + 1 + sum((n + 1) * (b + 1) for n, b in zip(n_max, basis))
    head = ["nep4 1 Si", f"cutoff {cutoffs[0]} {cutoffs[1]} 200 100", f"n_max {n_max[0]} {n_max[1]}", f"basis_size {basis[0]} {basis[1]}", f"l_max {l_max} 2 0", f"ANN {nodes} 0"]
    return "\n".join([*head, *(f"{x:.7e}" for x in rng.normal(0, 0.1, parameters)), *["1.0"] * functions, ""])
