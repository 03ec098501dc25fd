"""Radial distribution function and energy drift against what is known exactly."""
import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fastmd.observe import energy_drift, rdf


def coordination(r, g, density, inside):
    """Neighbours in r < inside, from g."""
    dr = r[1] - r[0]
    shells = 4 / 3 * np.pi * ((r + dr / 2)**3 - (r - dr / 2)**3)
    return (g * density * shells)[r < inside].sum()


@pytest.mark.parametrize("cell", [np.diag([8.0, 9, 10]), [[8, 0, 0], [4, 8, 0], [-3, 2, 9]]])
def test_an_ideal_gas_has_g_of_one(cell):
    rng = np.random.default_rng(1)
    frames = [Atoms("H100", cell=cell, pbc=True, scaled_positions=rng.random((100, 3))) for _ in range(200)]
    r, g = rdf(frames, 3.9, bins=20)
    # (N - 1)/N: an atom is no neighbour of its own; statistical error of one shell from its number of pairs
    sigma = 1 / np.sqrt(200 * 100 * 100 / 2 / np.linalg.det(cell) * 4 * np.pi * r**2 * (r[1] - r[0]))
    assert np.all(np.abs(g - 0.99) < 5 * sigma)
    assert sigma[-1] < 0.01


def test_fcc_shells_hold_12_6_24_12_neighbours():
    a = 4.0
    atoms = bulk("Cu", "fcc", a)
    r, g = rdf(atoms, 6.0, bins=600)
    counts = [coordination(r, g, 4 / a**3, edge) for edge in (3.4, 4.4, 5.3, 5.8)]
    assert np.diff([0, *counts]) == pytest.approx([12, 6, 24, 12], rel=1e-12)
    assert r[g > 0] == pytest.approx([a / 2**0.5, a, a * 1.5**0.5, a * 2**0.5], abs=0.006)


def test_rdf_does_not_depend_on_how_often_the_cell_is_repeated():
    atoms = bulk("NaCl", "rocksalt", 5.6)
    atoms.rattle(0.1, seed=1)
    for pairs in (None, ("Na", "Cl"), ("Na", "Na")):
        assert rdf(atoms * (2, 3, 1), 7.0, 50, pairs)[1] == pytest.approx(rdf(atoms, 7.0, 50, pairs)[1], rel=1e-12)


@pytest.mark.parametrize("pairs", [None, ("O", "H"), ("H", "O"), ("H", "H")])
def test_rdf_counts_the_pairs_that_brute_force_counts(pairs):
    rng = np.random.default_rng(3)
    cell = np.array([[5, 0.3, 0], [1.5, 6, 0], [-1, 0.5, 5.5]])
    atoms = Atoms("O4H9", cell=cell, pbc=True, scaled_positions=rng.random((13, 3)))
    edges = np.linspace(0, 4.5, 31)
    counts = np.zeros(30)
    for i, j in itertools.product(range(13), repeat=2):
        if pairs and (atoms.symbols[i], atoms.symbols[j]) != pairs:
            continue
        for shift in itertools.product(range(-3, 4), repeat=3):
            if i != j or any(shift):
                distance = np.linalg.norm(atoms.positions[j] - atoms.positions[i] + shift @ cell)
                counts += np.histogram(distance, edges)[0]
    n = {None: 13 * 13, ("O", "H"): 4 * 9, ("H", "O"): 4 * 9, ("H", "H"): 9 * 9}[pairs]
    wanted = counts * atoms.get_volume() / n / (4 / 3 * np.pi * np.diff(edges**3))
    r, g = rdf(atoms, 4.5, 30, pairs)
    assert counts.sum() > 50
    assert g == pytest.approx(wanted, rel=1e-12)
    assert r == pytest.approx((edges[1:] + edges[:-1]) / 2)


def test_rdf_of_frames_is_the_mean_over_them():
    one, other = bulk("Cu", "fcc", 3.6), bulk("Cu", "fcc", 3.9)
    wanted = (rdf(one, 5.0, 40)[1] + rdf(other, 5.0, 40)[1]) / 2
    assert rdf((frame for frame in (one, other)), 5.0, 40)[1] == pytest.approx(wanted)


@pytest.mark.parametrize("arguments, message", [
    (([], 3.0), "frames: there are none"),
    (([bulk("Cu"), Atoms("Cu", pbc=[1, 1, 0], cell=[3, 3, 3])], 3.0), "frame 1 is not periodic in three directions"),
    ((bulk("Cu"), -1.0), "r_max must be a finite number > 0 angstrom, got -1.0"),
    ((bulk("Cu"), 3.0, 0), "bins must be an integer >= 1, got 0"),
    ((bulk("Cu"), 3.0, 9, ("Cu", "Au")), "pairs: no Au among Cu"),
    ((bulk("Cu"), 3.0, 9, "Cu"), "pairs: expected two elements"),
])
def test_rdf_says_what_it_cannot_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        rdf(*arguments)


def test_drift_is_the_slope_per_atom_in_mev_per_ps():
    times = np.linspace(3, 7, 50)
    noise = np.sin(40 * np.pi * np.arange(50) / 49)
    wanted = np.polyfit(times, 0.08 * times - 300 + noise, 1)[0] * 1000 / 20
    assert energy_drift(times, 0.08 * times - 300, 20) == pytest.approx(4.0, rel=1e-9)
    assert energy_drift(times, 0.08 * times - 300 + noise, 20) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("arguments, message", [
    (([1, 2], [1, 2, 3], 1), r"expected two \(m,\) arrays, got \(2,\) and \(3,\)"),
    (([1, 1], [1, 2], 1), "at least two different times"),
    (([], [], 1), "at least two different times"),
    (([1, 2], [1, 2], 0), "n_atoms must be >= 1, got 0"),
])
def test_drift_says_what_it_cannot_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        energy_drift(*arguments)
