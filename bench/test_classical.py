"""Times of the classical potentials: energy, per-atom energies, forces and virial on one thread, with the list given. Each case is right before it is timed.

The list is one with the skin that LAMMPS takes, 2 angstrom, so that the times stand beside those of its Pair line.
"""

import numpy as np
import pytest
from systems import cristobalite, fcc
from yardstick import silicon

import fastmd

SKIN = 2.0


def own(r):
    s6 = (3.4 / r) ** 6
    return 0.0416 * (s6 * s6 - s6), 0.0416 * (6 * s6 - 12 * s6 * s6) / r


@pytest.mark.parametrize("make, potential", [
    pytest.param(lambda: fcc(10, 5.3, "Ar"), lambda: fastmd.LennardJones(0.0104, 3.4, 5.0), id="lj-5"),
    pytest.param(lambda: fcc(10, 5.3, "Ar"), lambda: fastmd.LennardJones(0.0104, 3.4, 8.5), id="lj-8.5"),
    pytest.param(lambda: fcc(10, 5.3, "Ar"), lambda: fastmd.PairPotential(own, 8.5), id="own-8.5"),
    pytest.param(lambda: silicon(8)[0], fastmd.StillingerWeber, id="sw"),
    pytest.param(lambda: cristobalite(5), fastmd.Vashishta.silica, id="vashishta-1990"),
    pytest.param(lambda: cristobalite(5), lambda: fastmd.Vashishta.silica(1994), id="vashishta-1994")])
def test_classical(benchmark, make, potential):
    atoms, p = make(), potential()
    kinds, x, cell, pairs = p.species(atoms.get_chemical_symbols()), atoms.positions, np.array(atoms.cell), fastmd.find_pairs(atoms, p.cutoff + SKIN)

    def energy(step):
        moved = x.copy()
        moved[7, 1] += step
        return p.evaluate(kinds, moved, cell, pairs)[0]

    force = p.evaluate(kinds, x, cell, pairs)[2][7, 1]
    assert force == pytest.approx(-(8 * (energy(1e-4) - energy(-1e-4)) - (energy(2e-4) - energy(-2e-4))) / 12e-4, rel=1e-4)
    benchmark(p.evaluate, kinds, x, cell, pairs)
