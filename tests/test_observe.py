"""Radial distribution function, diffusion and energy drift against what is known exactly."""
import itertools

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmd.observe
from fastmd.classical import LennardJones
from fastmd.md import MD, maxwell_boltzmann
from fastmd.observe import diffusion, energy_drift, msd, rdf


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
    ((bulk("Cu"), -1.0), "r_max must be > 0 angstrom, got -1.0"),
    ((bulk("Cu"), 3.0, 0), "bins must be a whole number >= 1, got 0"),
    ((None, 3.0), "frames: expected an ase.Atoms or several, got NoneType"),
    (([bulk("Cu"), "md.xyz"], 3.0), "frames: frame 1 is a str, expected an ase.Atoms"),
    ((bulk("Cu"), 3.0, 9, ("Cu", "Au")), "pairs: no Au among Cu"),
    ((bulk("Cu"), 3.0, 9, "Cu"), "pairs: expected two elements"),
])
def test_rdf_says_what_it_cannot_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        rdf(*arguments)


# ------------------------------------------------------------------------------------------------------------ diffusion

def walk(symbols, x, cell=None, interval=None):
    """Frames of positions (T, n, 3)."""
    info = [{} if interval is None else {"time_ps": 3.0 + k * interval} for k in range(len(x))]
    return [Atoms(symbols, positions, cell=cell, pbc=cell is not None, info=i) for positions, i in zip(x, info)]


def brute(frames, element=None):
    """Every atom, every origin, every lag."""
    x = np.array([atoms.positions - atoms.get_center_of_mass() for atoms in frames])
    x = x[:, [element in (None, s) for s in frames[0].symbols]]
    return [np.mean([((x[k + m] - x[k])**2).sum(1).mean() for k in range(len(x) - m)]) for m in range(len(x))]


@settings(max_examples=50, deadline=None)
@given(length=st.integers(2, 33), element=st.sampled_from([None, "O", "H"]), seed=st.integers(0, 999), far=st.sampled_from([0.0, 1e4]))
def test_msd_is_that_of_brute_force(length, element, seed, far):
    x = np.random.default_rng(seed).normal(size=(length, 5, 3)).cumsum(0) + far
    frames = walk("OHHOH", x)
    times, squares = msd(iter(frames), element, interval=0.5)
    assert times == pytest.approx(0.5 * np.arange(length))
    assert squares == pytest.approx(brute(frames, element), rel=1e-9, abs=1e-9)


def test_msd_does_not_depend_on_how_many_columns_are_transformed_at_a_time(monkeypatch):
    frames = walk("O20", np.random.default_rng(1).normal(size=(50, 20, 3)).cumsum(0), interval=0.1)
    wanted = msd(frames)[1]
    monkeypatch.setattr(fastmd.observe, "_TOGETHER", 150)
    assert msd(frames)[1] == pytest.approx(wanted, rel=1e-12)


def test_atoms_that_fly_apart_have_the_square_of_their_way():
    """Ballistic: x = v t, so msd = <v^2> t^2; the flight of the whole, 7 angstrom per frame, is no diffusion."""
    v = np.random.default_rng(2).normal(size=(30, 3))
    v -= v.mean(0)
    t = 0.25 * np.arange(40)[:, None, None]
    times, squares = msd(walk("Ar30", v * t + 28 * t, interval=0.25))
    assert squares == pytest.approx((v**2).sum(1).mean() * times**2, rel=1e-9, abs=1e-9)


def test_the_centre_of_mass_is_that_of_the_masses():
    """Two atoms swing against each other about a centre at rest: what is left are their own ways."""
    swing = 0.1 * np.sin(np.arange(20.0))
    x = np.zeros((20, 2, 3))
    masses = Atoms("HAu").get_masses()
    x[:, 0, 0], x[:, 1, 0] = 2 + swing, -swing * masses[0] / masses[1]
    assert msd(walk("HAu", x), "H", 1.0)[1] == pytest.approx([np.mean((swing[m:] - swing[:20 - m])**2) for m in range(20)], abs=1e-14)


def test_a_random_walk_has_the_diffusion_coefficient_of_its_steps():
    """Steps of variance s^2 in each direction every h: msd = 6 D t with D = s^2 / (2 h).  Over 20 walks of 100 atoms the mean
    of D comes to 1 %, and their spread is what it is said to be: larger than the error of the fit."""
    rng, s, h = np.random.default_rng(3), 0.3, 0.2
    found = np.array([diffusion(*msd(walk("Li100", rng.normal(0, s, (400, 100, 3)).cumsum(0), interval=h)), window=(0, 4))
                      for _ in range(20)])
    d = s**2 / (2 * h) * 99 / 100  # the centre of mass takes its share along
    assert found[:, 0].mean() == pytest.approx(d, abs=4 * found[:, 0].std() / 20**0.5)
    assert found[:, 0].std() < 0.03 * d
    assert found[:, 1].mean() < found[:, 0].std()


@pytest.mark.parametrize("cell", [np.diag([5.0, 6, 7]), np.array([[5, 0, 0], [2, 6, 0], [-1, 1, 7.0]])])
def test_wrapped_frames_give_the_msd_of_those_never_wrapped(cell):
    x = np.random.default_rng(4).normal(0, 0.3, (200, 10, 3)).cumsum(0)
    frames = walk("O10", x, cell, 0.1)
    wanted = msd(frames)[1]
    for atoms in frames:
        atoms.wrap()
    assert wanted[100] > 15 and msd(frames)[1][1] > 2 * wanted[1]
    assert msd(frames, wrapped=True)[1] == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_only_periodic_directions_are_unwrapped():
    x = np.zeros((2, 2, 3))
    x[1, 0] = [4, 4, 0]
    frames = walk("H2", x, np.diag([5.0, 5, 0]), 1.0)
    for atoms in frames:
        atoms.pbc = [True, False, False]
    # the one moves by (-1, 4, 0), half of it the centre of mass: both are seen to move by half
    assert msd(frames, wrapped=True)[1][1] == pytest.approx((0.5**2 + 2**2))


def test_diffusion_in_liquid_argon_is_that_of_the_velocities(tmp_path):
    """Einstein against Green and Kubo, D = 1/3 int <v(0) . v(t)> dt, from the frames that MD wrote."""
    atoms = bulk("Ar", "fcc", 5.8, cubic=True) * (3, 3, 3)
    maxwell_boltzmann(atoms, 350, rng=1)
    md = MD(atoms, LennardJones(0.0104, 3.4, 7.0, shift=True), timestep=8.0)
    md.run(300)
    md.run(2000, every=5, trajectory=tmp_path / "ar.xyz")
    frames = ase.io.read(tmp_path / "ar.xyz", ":")
    times, squares = msd(frames)
    assert len(times) == 401 and times[1] == pytest.approx(0.04)
    d, error = diffusion(times, squares, window=(2, 6))
    v = np.array([frame.get_velocities() for frame in frames]) * units.fs * 1000  # angstrom/ps
    correlation = [(v[m:] * v[:401 - m]).sum(2).mean() for m in range(60)]
    assert d == pytest.approx((np.sum(correlation) - correlation[0] / 2) * 0.04 / 3, rel=0.3)  # between runs D spreads by a tenth
    assert 0 < error < 0.02 * d


@pytest.mark.parametrize("arguments, message", [
    (([],), "expected two or more, of two or more atoms, got 0 of 0"),
    ((walk("H2", np.zeros((1, 2, 3))),), "expected two or more, of two or more atoms, got 1 of 2"),
    ((walk("H", np.zeros((3, 1, 3))),), "expected two or more, of two or more atoms, got 3 of 1"),
    ((None,), "frames: expected an ase.Atoms or several, got NoneType"),
    ((walk("OH", np.zeros((3, 2, 3))) + walk("HO", np.zeros((1, 2, 3))),), "frame 3 has other atoms than frame 0, or in another order"),
    ((walk("OH", np.zeros((3, 2, 3))), "Au", 1.0), "element: no Au among HO"),
    ((walk("OH", np.zeros((3, 2, 3))),), "interval: frame 0 has no time_ps; give the ps between frames"),
    ((walk("OH", np.zeros((3, 2, 3))), None, 0), "interval must be > 0 ps, got 0"),
    ((walk("OH", np.zeros((3, 2, 3)), interval=1) + walk("OH", np.zeros((1, 2, 3)), interval=1),),
     "expected equal intervals > 0, frame 3 comes -2 ps after frame 2, frame 1 1 ps after frame 0; leave some out"),
    ((walk("OH", np.zeros((3, 2, 3)), interval=0),), "expected equal intervals > 0, frame 1 comes 0 ps after"),
    ((walk("OH", np.full((3, 2, 3), np.nan)),), "frame 0 has positions that are not finite"),
    ((walk("OH", np.zeros((3, 2, 3)), np.ones((3, 3)), 1.0), None, None, True), "the cell of frame 0 has no volume"),
])
def test_msd_says_what_it_cannot_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        msd(*arguments)


def test_diffusion_is_the_line_and_its_error_that_of_scipy():
    from scipy.stats import linregress
    times = np.linspace(0, 10, 101)
    squares = 0.7 + 6 * 0.25 * times
    assert diffusion(times, squares) == pytest.approx((0.25, 0), abs=1e-12)
    squares = squares + np.random.default_rng(5).normal(0, 0.1, 101)
    inside = slice(10, 51)  # 1 to 5 ps, the default
    line = linregress(times[inside], squares[inside])
    assert diffusion(times, squares) == pytest.approx((line.slope / 6, line.stderr / 6), rel=1e-10)
    line = linregress(times[40:91], squares[40:91])
    assert diffusion(times, squares, (4.0, 9.0)) == pytest.approx((line.slope / 6, line.stderr / 6), rel=1e-10)


@pytest.mark.parametrize("arguments, message", [
    (([1, 2], [1, 2, 3]), r"expected two \(m,\) arrays, got \(2,\) and \(3,\)"),
    (([1, 2, 3], [1, 2, np.nan]), "finite numbers"),
    (([], []), "window: expected three or more times from 0 to 0 ps, got 0 of 0"),
    ((range(9), range(9), (2, 3)), "window: expected three or more times from 2 to 3 ps, got 2 of 9"),
    ((range(9), range(9), (-2, 3)), "window must be >= 0 ps, got -2"),
    ((range(9), range(9), 3), "window: expected .first, last. in ps, got 3"),
])
def test_diffusion_says_what_it_cannot_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        diffusion(*arguments)


# ---------------------------------------------------------------------------------------------------------------- drift

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
    (([1, 2], [1, 2], 0), "n_atoms must be a whole number >= 1, got 0"),
])
def test_drift_says_what_it_cannot_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        energy_drift(*arguments)
