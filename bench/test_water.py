"""Energy and forces of 1080 atoms of water with the published RPBE-D3 potential in n2p2's files: 27 and 30 functions, cutoff 12 bohr.

The files lie in the folder that FASTMD_TEST_DATA names. `extra_info` has the time per atom.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import fastmd


def test_water(benchmark):
    if not (folder := os.environ.get("FASTMD_TEST_DATA")):
        pytest.skip("FASTMD_TEST_DATA is not set: it names the folder with the reference data this bench reads")
    folder = Path(folder, "golden", "H2O_RPBE-D3")
    data = np.load(folder / "config04.npz")
    atoms = Atoms(list(map(str, data["elements"])), data["positions"], cell=data["cell"], pbc=True)
    p = fastmd.NNPotential.from_runner(folder, length="angstrom", energy="eV")  # the files' own numbers
    p.threads = 1
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    found = p.compute(atoms, pairs)
    assert found.energy == pytest.approx(float(data["energy"]), rel=1e-10)
    assert np.abs(found.forces - data["forces"]).max() < 1e-9 * np.abs(data["forces"]).max()
    kinds, cell = p.species(atoms.get_chemical_symbols()), np.array(atoms.cell)
    benchmark(p.evaluate, kinds, atoms.positions, cell, pairs)
    benchmark.extra_info["neighbours"] = len(pairs.j) / len(atoms)
    benchmark.extra_info["microseconds per atom"] = 1e6 * benchmark.stats["min"] / len(atoms)
