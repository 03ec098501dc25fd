"""Full neighbour lists: fastmd, vesin, matscipy, ASE and LAMMPS on four systems. Every list holds the same pairs before it is timed."""

import numpy as np
from systems import fcc, triclinic, water
from yardstick import silicon

import fastmd

from . import Contest, Wrong, clocked
from .lammps import Lammps

INDICES, ALL = "fastmd: j", "fastmd: i j S d D"


def contests(quick):
    systems = {"Si": (lambda: silicon(5 if quick else 10)[0], 6.0), "water-like": (lambda: water((5, 4, 5) if quick else (15, 12, 16)), 6.0),
               "fcc": (lambda: fcc(5 if quick else 20, 3.4), 5.0), "triclinic Si": (triclinic, 6.0)}
    for name, (make, cutoff) in systems.items():
        yield contest(name, make(), cutoff)


def keys(i, j, S):
    """A sorted number for each pair: lists are the same where these are"""
    S = np.asarray(S, np.int64) + 8
    return np.sort(((np.asarray(i, np.int64) << 36) | (np.asarray(j, np.int64) << 12)) | (S[:, 0] << 8) | (S[:, 1] << 4) | S[:, 2])


def contest(name, atoms, cutoff):
    pairs = fastmd.find_pairs(atoms, cutoff)
    wanted, n = keys(pairs.i, pairs.j, pairs.shift), len(atoms)
    x, cell, pbc = atoms.positions, np.array(atoms.cell), np.array(atoms.pbc)

    def right(i, j, S, d, D):
        if not np.array_equal(keys(i, j, S), wanted):
            raise Wrong(f"{len(i)} pairs are not the {len(wanted)} of fastmd")
        if not np.allclose(D, x[j] - x[i] + S @ cell, atol=1e-9) or not np.allclose(d, np.linalg.norm(D, axis=1), atol=1e-9):
            raise Wrong("distances are not those of the pairs")

    def ours():
        found = fastmd.find_pairs(atoms, cutoff, d=True, r=True)
        return found.i, found.j, found.shift, found.r, found.d

    def vesin(reuse, copy, sorted):
        from vesin import NeighborList

        make = lambda: NeighborList(cutoff=cutoff, full_list=True, sorted=sorted, n_threads=1)  # noqa: E731
        kept = make()
        call = lambda: (kept if reuse else make()).compute(x, cell, pbc, quantities="ijSdD", copy=copy)  # noqa: E731
        right(*map(np.array, call()))
        return clocked(call)

    def matscipy():
        from matscipy.neighbours import neighbour_list

        call = lambda: neighbour_list("ijSdD", atoms, cutoff)  # noqa: E731
        right(*call())
        return clocked(call)

    def ase():
        from ase.neighborlist import neighbor_list

        call = lambda: neighbor_list("ijSdD", atoms, cutoff)  # noqa: E731
        right(*call())
        return clocked(call)

    def lammps():
        elements = sorted(set(atoms.get_chemical_symbols()))
        lmp = Lammps(turned(atoms), elements, [f"pair_style zero {cutoff} full", "pair_coeff * *"], every=1)
        if lmp.neighbours != len(wanted):
            raise Wrong(f"{lmp.neighbours} neighbours are not the {len(wanted)} of fastmd")
        return lmp.job("Neigh")

    c = Contest(f"{name}, {n} atoms, cutoff {cutoff:g} Å, {len(pairs) / n:.0f} neighbours", {}, n)
    right(*ours())
    c.add(INDICES, lambda: clocked(lambda: fastmd.find_pairs(atoms, cutoff, shift=False)), note="rows in the order of atoms")
    c.add(ALL, lambda: clocked(ours), note="by atom", over=ALL)
    c.add("vesin, as documented", lambda: vesin(False, True, False), "vesin", "i j S d D, in no order", ALL)
    c.add("vesin, sorted", lambda: vesin(False, True, True), "vesin", "i j S d D, by atom", ALL)
    c.add("vesin, without copies", lambda: vesin(True, False, False), "vesin", "i j S d D, valid until the next call", ALL)
    c.add("matscipy", matscipy, "matscipy", "i j S d D, by atom", ALL)
    if len(pairs) < 500_000:
        c.add("ASE", ase, "ase", "i j S d D, by atom", ALL)
    else:
        c.left_out["ASE"] = "takes seconds"
    c.add("LAMMPS", lammps, "lammps", "j only, by atom; ghosts not counted", INDICES)
    return c


def turned(atoms):
    """The same in a cell that is lower triangular, as LAMMPS wants it"""
    turned = atoms.copy()
    turned.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    return turned
