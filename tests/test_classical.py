"""Classical potentials against plain loops, finite differences, symmetry, and what must be refused."""
import cmath
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fastmd.classical import LennardJones, PairPotential, StillingerWeber, Triplet, Vashishta, VashishtaTriplet
from fastmd.cli import main
from fastmd.cli._common import load_potential
from fastmd.pairs import find_pairs

# ---------------------------------------------------------------------- the slow, obvious version: energies of all atoms


def directed_pairs(atoms, cutoff):
    """All (i, j, x_j - x_i) with r < cutoff, by going through every image that could matter."""
    cell = atoms.cell.complete()
    inverse = np.linalg.inv(cell)
    spread = np.ptp(atoms.positions @ inverse, axis=0) if len(atoms) else np.zeros(3)
    reach = np.ceil(cutoff * np.linalg.norm(inverse, axis=0) + spread).astype(int) * atoms.pbc
    for shift in itertools.product(*(range(-k, k + 1) for k in reach)):
        for i, j in itertools.product(range(len(atoms)), repeat=2):
            d = atoms.positions[j] - atoms.positions[i] + shift @ cell
            if (i != j or any(shift)) and np.linalg.norm(d) < cutoff:
                yield i, j, d


def pair_energies(atoms, cutoff, phi):
    energies = np.zeros(len(atoms))
    for i, j, d in directed_pairs(atoms, cutoff):
        energies[i] += phi(np.linalg.norm(d), atoms.symbols[i], atoms.symbols[j]) / 2
    return energies


def sw_energies(atoms, entries):
    energies = np.zeros(len(atoms))
    legs = [[] for _ in atoms]
    for i, j, d in directed_pairs(atoms, max(e.a * e.sigma for e in entries.values())):
        e, r = entries[atoms.symbols[i], atoms.symbols[j], atoms.symbols[j]], np.linalg.norm(d)
        if r < e.a * e.sigma:
            energies[i] += 0.5 * e.A * e.epsilon * (e.B * (e.sigma / r)**e.p - (e.sigma / r)**e.q) * math.exp(
                e.sigma / (r - e.a * e.sigma))
            legs[i].append((j, d / r, math.exp(e.gamma * e.sigma / (r - e.a * e.sigma))))
    for i in range(len(atoms)):
        for (j, u, fu), (k, v, fv) in itertools.combinations(legs[i], 2):
            e = entries[atoms.symbols[i], atoms.symbols[j], atoms.symbols[k]]
            third = e.lam * e.epsilon * (u @ v - e.costheta0)**2 * fu * fv / 3
            for atom in (i, j, k):
                energies[atom] += third
    return energies


def vashishta_energies(atoms, entries):
    def U(e, r):
        return (e.H * r**-e.eta + e.Zi * e.Zj * 14.399645 / r * cmath.exp(-r / e.lambda1 if e.lambda1 else 0)
                - e.D / r**4 * cmath.exp(-r / e.lambda4 if e.lambda4 else 0) - e.W / r**6)

    energies = np.zeros(len(atoms))
    legs = [[] for _ in atoms]
    for i, j, d in directed_pairs(atoms, max(max(e.rc, e.r0) for e in entries.values())):
        e, r = entries[atoms.symbols[i], atoms.symbols[j], atoms.symbols[j]], np.linalg.norm(d)
        if r < e.rc:
            slope = U(e, e.rc + 1e-30j).imag / 1e-30
            energies[i] += (U(e, r) - U(e, e.rc)).real / 2 - (r - e.rc) * slope / 2
        if r < e.r0:
            legs[i].append((j, d / r, math.exp(e.gamma / (r - e.r0))))
    for i in range(len(atoms)):
        for (j, u, fu), (k, v, fv) in itertools.combinations(legs[i], 2):
            e = entries[atoms.symbols[i], atoms.symbols[j], atoms.symbols[k]]
            bend = (u @ v - e.costheta0)**2
            for atom in (i, j, k):
                energies[atom] += e.B * bend / (1 + e.C * bend) * fu * fv / 3
    return energies


# -------------------------------------------------------------------------------------------------- the things tested

def two_species_entries():
    """Two fictitious species in which everything that may differ does: legs have different gamma either way."""
    a, b = "Ga", "As"
    bond = {(a, a): (1.9, 2.10, 1.80, 1.10, 7.0, 0.60, 4.0, 0.0), (b, b): (2.3, 2.00, 1.75, 1.30, 6.5, 0.70, 5.0, 1.0),
            (a, b): (2.1, 2.05, 1.85, 1.20, 7.4, 0.65, 4.0, 0.5), (b, a): (2.1, 2.05, 1.85, 1.00, 7.4, 0.65, 4.0, 0.5)}
    bend = {a: (20.0, -0.30, 24.0, -0.40, 22.0, -0.35), b: (17.0, -0.20, 19.0, -0.50, 18.0, -0.25)}
    entries = {}
    for i, j in itertools.product((a, b), repeat=2):
        epsilon, sigma, reach, gamma, A, B, p, q = bond[i, j]
        lam, cos0 = bend[i][0:2] if j == a else bend[i][2:4]
        entries[i, j, j] = Triplet(epsilon, sigma, reach, lam, gamma, cos0, A, B, p, q)
    for i in (a, b):
        for j, k in ((a, b), (b, a)):
            entries[i, j, k] = Triplet(2.0, 0.0, 0.0, bend[i][4], 0.0, bend[i][5], 0.0, 0.0, 0.0, 0.0)
    return entries


def two_charged_species():
    """Two fictitious species in which everything that may differ does; one pair bends farther than it binds, one is not screened."""
    a, b = "Ga", "As"
    pair = {(a, a): (30.0, 7, 0.9, 0.9, 3.0, 4.0, 2.5, 3.0, 4.4), (b, b): (50.0, 8.5, -0.7, -0.7, 0.0, 9.0, 0.0, 0.0, 4.0),
            (a, b): (90.0, 9, 0.9, -0.7, 4.0, 12.0, 3.0, 5.0, 3.9), (b, a): (90.0, 9, -0.7, 0.9, 4.0, 12.0, 3.0, 5.0, 3.9)}
    leg = {(a, a): (2.0, 0.8, 3.2, 1.0, -0.2), (b, b): (3.0, 1.2, 4.2, 0.0, -0.5), (a, b): (4.0, 1.0, 3.3, 5.0, -0.3), (b, a): (5.0, 0.9, 3.4, 2.0, -0.4)}
    entries = {(i, j, j): VashishtaTriplet(*pair[i, j], *leg[i, j]) for i, j in pair}
    for i in (a, b):
        for j, k in ((a, b), (b, a)):
            entries[i, j, k] = VashishtaTriplet(*[0.0] * 9, *{a: (2.5, 0, 0, 3.0, -0.25), b: (1.5, 0, 0, 0.5, -0.1)}[i])
    return entries


EPSILON = {"Ga": 0.2, "As": 0.3}
SIGMA = {"Ga": 2.2, "As": 2.0, ("As", "Ga"): 2.15}
CUTOFF = {"Ga": 4.4, "As": 3.9, ("Ga", "As"): 4.2}


def lj(r, epsilon, sigma, cutoff):
    return 4 * epsilon * ((sigma / r)**12 - (sigma / r)**6) if r < cutoff else 0.0


def lj_two(r, a, b):
    sigma, cutoff = (SIGMA[a], CUTOFF[a]) if a == b else (2.15, 4.2)
    epsilon = math.sqrt(EPSILON[a] * EPSILON[b])
    return (lj(r, epsilon, sigma, cutoff) - 4 * epsilon * ((sigma / cutoff)**12 - (sigma / cutoff)**6)) * (r < cutoff)


def well(r, a, b):
    """Depends on the elements (as atomic numbers: 31 is Ga, 33 is As) and dies away smoothly at 4.5 angstrom."""
    depth = 0.01 * (a + 2 * b - 60)
    x = 4.5 - r
    return depth * x**3 * (2.0 - r), depth * (-3 * x**2 * (2.0 - r) - x**3)


def well_by_name(r, a, b):
    a, b = sorted({"Ga": 31, "As": 33, "Si": 14}[s] for s in (a, b))
    return well(r, a, b)[0]


POTENTIALS = {  # name: (potential, its energies by plain loops)
    "lj": (LennardJones(0.25, 2.1, 4.3), lambda atoms: pair_energies(atoms, 4.3, lambda r, a, b: lj(r, 0.25, 2.1, 4.3))),
    "lj-two-species": (LennardJones(EPSILON, SIGMA, CUTOFF, shift=True, elements=("Ga", "As")),
                       lambda atoms: pair_energies(atoms, 4.4, lj_two)),
    "sw-silicon": (StillingerWeber({("Ga", "Ga", "Ga"): StillingerWeber.silicon}),
                   lambda atoms: sw_energies(atoms, {("Ga", "Ga", "Ga"): StillingerWeber.silicon})),
    "sw-two-species": (StillingerWeber(two_species_entries()), lambda atoms: sw_energies(atoms, two_species_entries())),
    "vashishta-one-species": (Vashishta({("Ga",) * 3: two_charged_species()[("Ga",) * 3]}),
                              lambda atoms: vashishta_energies(atoms, {("Ga",) * 3: two_charged_species()[("Ga",) * 3]})),
    "vashishta-two-species": (Vashishta(two_charged_species()), lambda atoms: vashishta_energies(atoms, two_charged_species())),
    "own": (PairPotential(well, 4.5), lambda atoms: pair_energies(atoms, 4.5, well_by_name)),
}
STRUCTURES = ["cubic", "skewed", "tiny", "slab", "wire", "cluster"]


def structure(name, potential, seed=1):
    rng = np.random.default_rng(seed)
    if name == "tiny":  # much smaller than the cutoff: atoms see their own images
        atoms = Atoms("GaAs", [[0, 0, 0], [1.2, 1.1, 1.3]], cell=[[2.9, 0.2, 0], [0.4, 3.0, 0.1], [-0.7, 0.3, 2.8]], pbc=True)
    elif name == "skewed":
        atoms = bulk("GaAs", "zincblende", 5.4) * (2, 2, 1)
        atoms.set_cell(np.array(atoms.cell) @ [[1, 0.3, 0.1], [0, 1.05, -0.2], [0.1, 0, 0.95]], scale_atoms=True)
    else:
        atoms = bulk("GaAs", "zincblende", 5.4, cubic=True)
        atoms.pbc = {"cubic": True, "slab": [True, True, False], "wire": [False, False, True], "cluster": False}[name]
        if name == "cluster":
            atoms.cell = None
    atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
    if POTENTIALS[potential][0].elements == ("Ga",):
        atoms.symbols[:] = "Ga"
    return atoms


both = pytest.mark.parametrize("name", STRUCTURES)
every_potential = pytest.mark.parametrize("potential", POTENTIALS)


def close(got, wanted, tolerance):
    return np.abs(np.asarray(got) - wanted).max() <= tolerance * np.abs(wanted).max()


def derivative(energy, h=1e-4):
    """d energy / dt at t = 0, fourth order."""
    return (8 * (energy(h) - energy(-h)) - (energy(2 * h) - energy(-2 * h))) / (12 * h)


# ----------------------------------------------------------------------------------------------------------- the claims

@both
@every_potential
def test_energies_are_those_of_the_plain_loops(potential, name):
    atoms = structure(name, potential)
    result = POTENTIALS[potential][0].compute(atoms)
    wanted = POTENTIALS[potential][1](atoms)
    assert np.abs(wanted).max() > 1e-2
    assert close(result.energies, wanted, 1e-12)
    assert close(result.energy, wanted.sum(), 1e-12)


@both
@every_potential
def test_forces_are_minus_the_gradient_of_the_energy(potential, name):
    atoms = structure(name, potential)
    potential = POTENTIALS[potential][0]

    def energy(t, i, c):
        moved = atoms.copy()
        moved.positions[i, c] += t
        return potential.compute(moved).energy

    wanted = [[-derivative(lambda t: energy(t, i, c)) for c in range(3)] for i in range(len(atoms))]
    assert close(potential.compute(atoms).forces, wanted, 1e-7)


@both
@every_potential
def test_virial_is_minus_the_strain_derivative_of_the_energy(potential, name):
    atoms = structure(name, potential)
    potential = POTENTIALS[potential][0]

    def energy(t, a, b):
        strain = np.eye(3)
        strain[a, b] += t
        strained = atoms.copy()
        strained.set_cell(np.array(atoms.cell) @ strain)
        strained.positions = atoms.positions @ strain
        return potential.compute(strained).energy

    wanted = [[-derivative(lambda t: energy(t, a, b)) for b in range(3)] for a in range(3)]
    result = potential.compute(atoms)
    assert close(result.virial, wanted, 1e-7)
    if atoms.pbc.all():
        assert close(result.stress, -result.virial.flat[[0, 4, 8, 5, 2, 1]] / atoms.get_volume(), 1e-14)


@every_potential
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=15)
def test_nothing_changes_under_translation_lattice_shifts_and_renumbering_and_forces_turn_with_the_structure(potential, seed):
    rng = np.random.default_rng(seed)
    atoms = structure(rng.choice(STRUCTURES), potential, seed)
    before = POTENTIALS[potential][0].compute(atoms)

    order = rng.permutation(len(atoms))
    turn = Rotation.random(random_state=seed % 2**31).as_matrix()
    after = atoms[order]
    after.positions += rng.uniform(-9, 9, 3)
    after.positions += (rng.integers(-3, 4, (len(atoms), 3)) * atoms.pbc) @ np.array(atoms.cell)
    after.set_cell(np.array(after.cell) @ turn)
    after.positions = after.positions @ turn
    after = POTENTIALS[potential][0].compute(after)

    assert close(after.energies, before.energies[order], 1e-10)
    assert close(after.forces, before.forces[order] @ turn, 1e-10)
    assert close(after.virial, turn.T @ before.virial @ turn, 1e-10)


@every_potential
def test_forces_sum_to_zero_and_the_virial_is_symmetric(potential):
    result = POTENTIALS[potential][0].compute(structure("skewed", potential))
    assert np.abs(result.forces.sum(0)).max() < 1e-13 * np.abs(result.forces).sum()
    assert close(result.virial.T, result.virial, 1e-12)


@every_potential
def test_pairs_beyond_the_cutoff_in_the_list_do_not_count(potential):
    atoms = structure("cubic", potential)
    potential = POTENTIALS[potential][0]
    plain, skinned = potential.compute(atoms), potential.compute(atoms, find_pairs(atoms, potential.cutoff + 1.0))
    assert close(skinned.energies, plain.energies, 1e-13)
    assert close(skinned.forces, plain.forces, 1e-13)


@every_potential
def test_a_lone_atom_feels_no_force_and_no_atoms_have_no_energy(potential):
    potential = POTENTIALS[potential][0]
    for atoms in (Atoms("Ga"), Atoms(), Atoms("Ga", cell=[20, 20, 20], pbc=True), Atoms(cell=[3, 3, 3], pbc=True)):
        result = potential.compute(atoms)
        assert result.energy == 0
        assert result.forces.shape == (len(atoms), 3) and not result.forces.any()
        assert result.energies.shape == (len(atoms),) and not result.virial.any()


@every_potential
@pytest.mark.parametrize("image", [False, True])
def test_atoms_on_top_of_each_other_are_named(potential, image):
    potential = POTENTIALS[potential][0]
    atoms = Atoms("Ga5", [[0, 0, 0], [0, 0, 5.2], [0, 5.2, 0], [5.2, 0, 0], [0, 0, 5.2]], cell=[15, 16, 17], pbc=True)
    if image:
        atoms.positions[4] += atoms.cell[1]
    with pytest.raises(ValueError, match=r"atoms 1 and 4, 0 angstrom apart.*top of each other"):
        potential.compute(atoms)


@pytest.mark.parametrize("potential", ["lj", "sw-silicon"])
def test_atoms_so_close_that_the_energy_overflows_are_named(potential):
    with pytest.raises(ValueError, match="atoms 0 and 1, 1e-100 angstrom apart"):
        POTENTIALS[potential][0].compute(Atoms("Ga2", [[0, 0, 0], [1e-100, 0, 0]]))


def test_forces_stay_finite_however_close_to_the_stillinger_weber_cutoff():
    silicon = StillingerWeber()
    for r in (np.nextafter(silicon.cutoff, 0), silicon.cutoff, np.nextafter(silicon.cutoff, 9)):
        result = silicon.compute(Atoms("Si3", [[0, 0, 0], [r, 0, 0], [0, r, 0]]))
        assert np.abs(result.forces).max() == 0


def test_shifted_lennard_jones_is_continuous_at_the_cutoff_and_the_cut_one_jumps_by_the_energy_there():
    def energy(r, shift):
        return LennardJones(0.1, 2.0, 3.0, shift=shift).compute(Atoms("Ar2", [[0, 0, 0], [r, 0, 0]])).energy
    edge = 4 * 0.1 * ((2 / 3)**12 - (2 / 3)**6)
    assert abs(energy(3 - 1e-9, True)) < 1e-9 and energy(3.0, True) == 0
    assert energy(3 - 1e-9, False) == pytest.approx(edge, abs=1e-9) and energy(3.0, False) == 0


def test_lennard_jones_minimum_lies_at_the_sixth_root_of_two_and_is_epsilon_deep():
    result = LennardJones(0.0104, 3.4, 12.0).compute(Atoms("ArXe", [[0, 0, 0], [0, 3.4 * 2**(1 / 6), 0]]))
    assert result.energy == pytest.approx(-0.0104, rel=1e-14)
    assert np.abs(result.forces).max() < 1e-15


def test_forces_of_vashishta_vanish_smoothly_at_both_cutoffs():
    one = Vashishta({("Ga",) * 3: two_charged_species()[("Ga",) * 3]})
    for r in (np.nextafter(4.4, 0), 4.4, np.nextafter(4.4, 9)):
        result = one.compute(Atoms("Ga2", [[0, 0, 0], [r, 0, 0]]))
        assert abs(result.energy) < 1e-13 and np.abs(result.forces).max() < 1e-13
    three = [one.compute(Atoms("Ga3", [[0, 0, 0], [r, 0, 0], [0, 3.0, 0]])) for r in (np.nextafter(3.2, 0), 3.2, np.nextafter(3.2, 9))]
    for result in three:
        assert close(result.forces, three[1].forces, 1e-12) and result.energy == pytest.approx(three[1].energy, rel=1e-12)


def test_a_screening_length_of_zero_is_none():
    entry = two_charged_species()[("Ga",) * 3]
    atoms = structure("skewed", "vashishta-one-species")
    none, far = (Vashishta({("Ga",) * 3: entry._replace(lambda1=x, lambda4=x)}).compute(atoms) for x in (0.0, 1e12))
    assert close(none.forces, far.forces, 1e-10) and close(none.energies, far.energies, 1e-10)


@pytest.mark.parametrize("year, rc", [(1990, 10.0), (1994, 5.5)])
def test_silica_is_a_solid_of_the_published_density(year, rc):
    """The energy of beta-cristobalite is least within 5 % of the measured 7.17 angstrom, and no atom of it feels a force."""
    silica = Vashishta.silica(year)
    assert silica.cutoff == rc and silica.elements == ("Si", "O")
    sizes = np.linspace(6.5, 8.0, 16)
    energies = [silica.compute(cristobalite(a)).energy for a in sizes]
    assert abs(sizes[np.argmin(energies)] - 7.17) < 0.05 * 7.17
    result = silica.compute(cristobalite(7.17))
    assert np.abs(result.forces).max() < 1e-12 and -12 < result.energy / 24 < -4
    with pytest.raises(ValueError, match="year: expected 1990 or 1994, got 1997"):
        Vashishta.silica(1997)


def cristobalite(a):
    """SiO2 with silicon as in diamond and an oxygen in the middle of each bond, 24 atoms."""
    silicon = bulk("Si", "diamond", a, cubic=True)
    pairs = find_pairs(silicon, 0.45 * a)
    middle = (silicon.positions[pairs.i] + pairs.d / 2)[pairs.i < 8]
    scaled = np.unique(np.round(middle / a % 1, 6) % 1, axis=0)
    return silicon + Atoms(f"O{len(scaled)}", scaled_positions=scaled, cell=silicon.cell)


def test_perfect_silicon_has_the_published_cohesive_energy_and_no_force():
    result = StillingerWeber().compute(bulk("Si", a=5.430950))
    assert result.energies == pytest.approx(-4.3366, abs=1e-4)  # eV/atom: -2 epsilon
    assert np.abs(result.forces).max() < 1e-13


def test_own_potential_of_one_argument_equals_lennard_jones():
    def phi(r):
        s6 = (2.1 / r)**6
        return 4 * 0.25 * (s6 * s6 - s6), 4 * 0.25 * (6 * s6 - 12 * s6 * s6) / r
    atoms = structure("skewed", "lj")
    one, other = PairPotential(phi, 4.3).compute(atoms), LennardJones(0.25, 2.1, 4.3).compute(atoms)
    assert close(one.energies, other.energies, 1e-12) and close(one.forces, other.forces, 1e-12)
    assert close(one.virial, other.virial, 1e-12)


def test_own_potential_numbers_elements_as_listed_and_hears_the_smaller_first():
    potential = PairPotential(lambda r, a, b: (10.0 * a + b, 0.0), 3.0, elements=("Xe", "Ar", "Kr"))
    for pair, wanted in (("XeXe", 0), ("KrAr", 12), ("ArKr", 12), ("XeKr", 2)):
        assert potential.compute(Atoms(pair, [[0, 0, 0], [1, 0, 0]])).energy == wanted


@given(seed=st.integers(0, 2**32 - 1), off=st.integers(-3, 3))
@settings(deadline=None)
def test_a_pair_at_the_cutoff_counts_for_both_its_atoms_or_for_none(seed, off):
    """Within rounding of it, across the cell's faces, where x_j - x_i + shift @ cell is rounded several times; the force jumps there."""
    rng = np.random.default_rng(seed)
    cell = rng.normal(0, 0.5, (3, 3)) + 9 * np.eye(3)
    x, d = rng.uniform(0, 9, (1, 3)), rng.normal(size=3)
    atoms = Atoms("Ar2", np.concatenate([x, x + 3.0 * (1 + off * 2e-16) * d / np.linalg.norm(d)]), cell=cell, pbc=True)
    atoms.wrap()
    pairs = find_pairs(atoms, 4.0)
    result = LennardJones(0.1, 2.0, 3.0).compute(atoms, pairs)
    assert len(pairs) == 2 and np.array_equal(result.forces[0], -result.forces[1]) and result.energies[0] == result.energies[1]


def test_the_exponential_and_the_powers_of_the_loops_are_those_of_the_library():
    from fastmd.classical.loops import _decays, _power, _powers
    x = np.concatenate([[0.0, 1e-300], np.logspace(-20, math.log10(707.9), 3000)])
    got = np.empty_like(x)
    _decays(x, 1.0, len(x), got)
    assert np.abs(got / np.exp(-x) - 1).max() < 3e-16
    _decays(x[-1:] + 1e5, 1.0, 1, got)
    assert 0 < got[0] < 1e-307
    x = np.linspace(0.1, 3.0, 200)
    for p in (0, 1, 2, 7, 9, 11, 64, 65, 8.5, 0.5):
        got = np.empty_like(x)
        _powers(x.copy(), float(p), len(x), got)
        assert np.abs(got / x**p - 1).max() < 2e-14
        assert max(abs(_power(a, float(p)) / a**p - 1) for a in x) < 2e-14


def test_importing_the_module_does_not_import_numba():
    code = "import sys, fastmd.classical; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ":".join(sys.path)}).returncode == 0


# ------------------------------------------------------------------------------------------------------------- refusals

def test_an_element_the_potential_lacks_is_named():
    for potential in (StillingerWeber(), LennardJones(1, 1, 3, elements="Si"), PairPotential(well, 3, elements=["Si"])):
        with pytest.raises(ValueError, match="Ge.*knows Si"):
            potential.compute(Atoms("SiGe", [[0, 0, 0], [1, 0, 0]]))


@pytest.mark.parametrize("arguments, message", [
    ((-1, 2, 3), "epsilon must be >= 0 eV, got -1"),
    ((1, 0, 3), "sigma must be > 0 angstrom, got 0"),
    ((1, 2, math.nan), "cutoff must be > 0 angstrom, got nan"),
    ((1, 2, "far"), "cutoff must be > 0 angstrom, got 'far'"),
    (({"Ar": 1}, 2, 3, False, ("Ar", "Kr")), r"epsilon: nothing for Ar-Kr, give epsilon\['Ar', 'Kr'\] or epsilon\['Ar'\] and"),
    ((1, 2, {"Ar": 3, "Kr": 3}, False, ("Ar", "Kr")), r"cutoff: nothing for Ar-Kr, give cutoff\['Ar', 'Kr'\]$"),
    (({"Ne": 1}, 2, 3, False, ("Ar", "Kr")), "epsilon: 'Ne' is not made of elements=\\(Ar, Kr\\)"),
    (({("Ar", "Kr"): 1, ("Kr", "Ar"): 1}, 2, 3, False, ("Ar", "Kr")), "epsilon: given twice"),
    ((1, 2, 3, False, ("Ar", "Ar")), "elements: expected each element once"),
    ((1, 2, 3, False, ("Argon",)), "elements: expected chemical symbols such as Ar, got 'Argon'"),
])
def test_lennard_jones_says_what_is_wrong_with_its_parameters(arguments, message):
    with pytest.raises(ValueError, match=message):
        LennardJones(*arguments)


@pytest.mark.parametrize("function, message", [
    (lambda r: r, "returns .energy, dE/dr."),
    (lambda r, a: (r, r), "got one with 2 arguments"),
    (lambda r: (open("table"), 0.0), "numba can compile"),
])
def test_own_potential_that_numba_cannot_use_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        PairPotential(function, 3.0)


def test_own_potential_that_is_not_finite_somewhere_is_refused_with_the_atoms_and_the_distance():
    potential = PairPotential(lambda r: (math.sqrt(r - 2.0), 0.0), 5.0)
    with pytest.raises(ValueError, match="atoms 0 and 2, 1.5 angstrom apart, have no finite energy"):
        potential.compute(Atoms("Ar3", [[0, 0, 0], [0, 0, 3], [0, 1.5, 0]]))


def test_the_pair_that_is_named_is_the_one_that_is_not_finite_not_the_nearest():
    potential = PairPotential(lambda r: (math.sqrt(2.0 - r), 0.0), 5.0, elements=("Ar", "Kr"))
    with pytest.raises(ValueError, match="atoms 0 and 1, 3 angstrom apart, have no finite energy"):
        potential.compute(Atoms("KrArKr", [[0, 0, 0], [0, 0, 3], [0, 1.5, 0]]))


def test_stillinger_weber_says_which_entries_are_missing_wrong_or_contradictory():
    entries = two_species_entries()
    for key in entries:
        with pytest.raises(ValueError, match=f"no Stillinger-Weber entry for {' '.join(key)}"):
            StillingerWeber({k: v for k, v in entries.items() if k != key})
    for name, value in (("sigma", -1.0), ("A", math.inf), ("costheta0", math.nan)):
        with pytest.raises(ValueError, match=f"Ga Ga Ga: {name} must be finite.*got {value}"):
            StillingerWeber(entries | {("Ga",) * 3: entries[("Ga",) * 3]._replace(**{name: value})})
    for key, name, message in ((("Ga", "As", "As"), "sigma", "Ga As As and As Ga Ga must have the same a sigma"),
                               (("Ga", "As", "As"), "epsilon", "Ga As As and As Ga Ga must have the same A epsilon"),
                               (("As", "Ga", "As"), "lam", "As Ga As and As As Ga must have the same lambda epsilon"),
                               (("As", "Ga", "As"), "costheta0", "As Ga As and As As Ga must have the same costheta0")):
        changed = entries[key]._replace(**{name: 1.01 * getattr(entries[key], name)})
        with pytest.raises(ValueError, match=message):
            StillingerWeber(entries | {key: changed})
    with pytest.raises(ValueError, match="cutoff, is zero for every pair"):
        StillingerWeber({("Si",) * 3: StillingerWeber.silicon._replace(a=0.0)})


def test_vashishta_says_which_entries_are_missing_wrong_or_contradictory():
    entries = two_charged_species()
    with pytest.raises(ValueError, match="no Vashishta entry for Ga As Ga"):
        Vashishta({k: v for k, v in entries.items() if k != ("Ga", "As", "Ga")})
    for name, value in (("H", -1.0), ("D", math.inf), ("costheta0", math.nan), ("Zi", math.nan), ("C", -0.1)):
        with pytest.raises(ValueError, match=f"Ga Ga Ga: {name} must be finite.*got {value}"):
            Vashishta(entries | {("Ga",) * 3: entries[("Ga",) * 3]._replace(**{name: value})})
    for name in ("H", "eta", "Zi Zj", "lambda1", "D", "lambda4", "W", "rc"):
        changed = entries["Ga", "As", "As"]._replace(**{name.split()[0]: 1.01 * getattr(entries["Ga", "As", "As"], name.split()[0])})
        with pytest.raises(ValueError, match=f"Ga As As and As Ga Ga must have the same {name}, got"):
            Vashishta(entries | {("Ga", "As", "As"): changed})
    for name in ("B", "C", "costheta0"):
        changed = entries["As", "Ga", "As"]._replace(**{name: 1.01 * getattr(entries["As", "Ga", "As"], name)})
        with pytest.raises(ValueError, match=f"As Ga As and As As Ga must have the same {name}, got"):
            Vashishta(entries | {("As", "Ga", "As"): changed})
    one = entries[("Ga",) * 3]
    with pytest.raises(ValueError, match="rc and r0, the cutoffs, are zero for every pair"):
        Vashishta({("Ga",) * 3: one._replace(rc=0.0, r0=0.0)})
    for absurd in ({"rc": 1e-200}, {"lambda1": 1e-320}, {"H": 1e300, "rc": 1e-10}):
        with pytest.raises(ValueError, match="energy, force or screening at rc is not finite; check H, eta, the charges, lambda1, D, lambda4, W and rc"):
            Vashishta({("Ga",) * 3: one._replace(**absurd)})
    with pytest.raises(ValueError, match="expected a VashishtaTriplet for each key"):
        Vashishta({("Ga",) * 3: (1.0, 2.0)})
    with pytest.raises(ValueError, match="parameters: expected {.centre, neighbour, neighbour.: VashishtaTriplet}, got 5"):
        Vashishta(5)


def test_entries_equal_to_the_seven_digits_of_a_file_are_taken_and_their_mean_counts():
    entries = two_species_entries()
    one, other = ("Ga", "Ga", "As"), ("Ga", "As", "Ga")
    atoms = structure("tiny", "sw-two-species")
    potential = StillingerWeber(entries | {one: entries[one]._replace(lam=22.00002)})
    mean = StillingerWeber(entries | {key: entries[key]._replace(lam=22.00001) for key in (one, other)})
    assert potential.compute(atoms).energy == pytest.approx(mean.compute(atoms).energy, rel=1e-14)
    assert potential.compute(atoms).energy != pytest.approx(StillingerWeber(entries).compute(atoms).energy, rel=1e-9)


# ----------------------------------------------------------------------------------------------------------- LAMMPS's files

SILICON = """# DATE: 2007-06-11
# Stillinger-Weber parameters
Si Si Si 2.1683  2.0951  1.80  21.0  1.20  -0.333333333333  # the first half
         7.049556277  0.6022245584  4.0  0.0 0.0
"""


# The made-up one of gallium alone, with a line too many and the numbers where LAMMPS has them.
CHARGED = """# element1  element2  element3
#           H  eta  Zi  Zj  lambda1  D  lambda4
#           W  rc  B  gamma  r0  C  cos(theta)

Ga  Ga  Ga  30.0  7  0.9  0.9  3.0  4.0  2.5  # the first half
            3.0  4.4  2.0  0.8  3.2  1.0  -0.2
"""


def write(tmp_path, text, name="test.sw"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_in_which_entries_span_lines_is_read(tmp_path):
    potential = StillingerWeber.read(write(tmp_path, SILICON))
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=2)
    assert potential.elements == ("Si",)
    assert close(potential.compute(atoms).forces, StillingerWeber().compute(atoms).forces, 1e-10)


def test_a_vashishta_file_is_read(tmp_path):
    potential = Vashishta.read(write(tmp_path, CHARGED, "test.vashishta"))
    atoms = structure("skewed", "vashishta-one-species")
    assert potential.elements == ("Ga",) and potential.cutoff == 4.4
    assert close(potential.compute(atoms).energies, POTENTIALS["vashishta-one-species"][1](atoms), 1e-12)
    many = write(tmp_path, sw_text(two_charged_species()), "two.vashishta")
    assert Vashishta.read(many, elements="As").elements == ("As",)
    atoms = structure("skewed", "vashishta-two-species")
    one, other = Vashishta.read(many, elements=("As", "Ga")).compute(atoms), Vashishta(two_charged_species()).compute(atoms)
    assert close(one.forces, other.forces, 1e-12) and close(one.energies, other.energies, 1e-12)
    with pytest.raises(ValueError, match="two.vashishta: no Vashishta entry for Ga Ga Si.*27 triplets.*elements="):
        Vashishta.read(many, elements=("Ga", "As", "Si"))


def sw_text(entries):
    return "".join(" ".join(key) + "\n  " + " ".join(map(repr, entry)) + "\n" for key, entry in entries.items())


def test_the_elements_asked_for_are_taken_from_a_file_of_many(tmp_path):
    path = write(tmp_path, sw_text(two_species_entries()) + SILICON)
    potential = StillingerWeber.read(path, elements=("As", "Ga"))
    assert potential.elements == ("As", "Ga")
    atoms = structure("skewed", "sw-two-species")
    assert close(potential.compute(atoms).energies, sw_energies(atoms, two_species_entries()), 1e-12)
    assert StillingerWeber.read(path, elements="Si").elements == ("Si",)
    with pytest.raises(ValueError, match="test.sw: no Stillinger-Weber entry for Ga Ga Si.*27 triplets.*elements="):
        StillingerWeber.read(path)


@pytest.mark.parametrize("text, message", [
    (SILICON.replace("7.049556277", "seven"), "test.sw, line 3: .*11 numbers.*seven"),
    (SILICON.replace("7.049556277", "nan"), "test.sw, line 3: A must be finite"),
    (SILICON.replace("2.1683", "-2.1683"), "test.sw, line 3: epsilon must be finite and >= 0, got -2.1683"),
    (SILICON.replace(" 0.0 0.0", " 0.0"), "test.sw, line 3: the file ends inside this entry, 13 of 14 words"),
    (SILICON.replace(" 0.0 0.0", " 0.0 0.0 0.0"), "test.sw, line 4: an entry has 3 elements and 11 numbers, got 15 words"),
    (SILICON + SILICON, "test.sw, line 7: second entry for Si Si Si"),
    ("# nothing\n", "test.sw: no entry"),
    ("", "test.sw: no entry"),
    ("#" * (1 << 20) + "#", "test.sw: larger than"),
    (b"\xff\xfe\x00 Si", "test.sw, line 1: the file ends inside"),
])
def test_a_malformed_file_is_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        StillingerWeber.read(write(tmp_path, text))


@pytest.mark.parametrize("text, message", [
    (CHARGED.replace("4.4", "far"), "test.vashishta, line 5: .*14 numbers.*far"),
    (CHARGED.replace("30.0", "-30"), "test.vashishta, line 5: H must be finite and >= 0, got -30"),
    (CHARGED.replace("-0.2", "inf"), "test.vashishta, line 5: costheta0 must be finite, got inf"),
    (CHARGED.replace(" -0.2", ""), "test.vashishta, line 5: the file ends inside this entry, 16 of 17 words"),
    (CHARGED.replace("-0.2", "-0.2 0"), "test.vashishta, line 6: an entry has 3 elements and 14 numbers, got 18 words"),
    (CHARGED + CHARGED, "test.vashishta, line 11: second entry for Ga Ga Ga"),
    ("# nothing\n", "test.vashishta: no entry, expected lines of 3 elements and 14 numbers"),
    ("#" * (1 << 20) + "#", "test.vashishta: larger than 1 MiB"),
    (SILICON, "test.vashishta, line 3: the file ends inside"),
])
def test_a_malformed_vashishta_file_is_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        Vashishta.read(write(tmp_path, text, "test.vashishta"))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_a_file_without_end_is_not_read_to_its_end():
    with pytest.raises(ValueError, match="/dev/zero: larger than 1 MiB"):
        Vashishta.read("/dev/zero")


@given(start=st.integers(0, len(CHARGED)), length=st.integers(0, 60), put=st.binary(max_size=6))
@settings(deadline=None, max_examples=100)
def test_a_damaged_vashishta_file_gives_a_potential_or_a_value_error_and_nothing_else(tmp_path_factory, start, length, put):
    raw = CHARGED.encode()
    path = write(tmp_path_factory.mktemp("v"), raw[:start] + put + raw[start + length:], "test.vashishta")
    try:
        Vashishta.read(path)
    except ValueError as error:
        assert "test.vashishta" in str(error) or "elements" in str(error)


@given(start=st.integers(0, len(SILICON)), length=st.integers(0, 60), put=st.binary(max_size=6))
@settings(deadline=None, max_examples=100)
def test_a_damaged_file_gives_a_potential_or_a_value_error_and_nothing_else(tmp_path_factory, start, length, put):
    raw = SILICON.encode()
    path = write(tmp_path_factory.mktemp("sw"), raw[:start] + put + raw[start + length:])
    try:
        StillingerWeber.read(path)
    except ValueError as error:
        assert "test.sw" in str(error) or "elements" in str(error)


# -------------------------------------------------------------------------------------------------------- the commands

def test_the_commands_take_lammps_files_and_silica_by_name(tmp_path):
    charged = write(tmp_path, CHARGED, "made.up.vashishta")
    assert load_potential("vashishta").parameters == Vashishta.silica().parameters
    assert load_potential("sw").parameters == StillingerWeber().parameters
    assert load_potential(str(charged)).parameters == {("Ga",) * 3: two_charged_species()[("Ga",) * 3]}
    assert load_potential(str(write(tmp_path, SILICON))).elements == ("Si",)
    with pytest.raises(ValueError, match="--precision mixed: .*made.up.vashishta is a classical potential, which is there in float64 only"):
        load_potential(str(charged), "mixed")
    with pytest.raises(ValueError, match="none.sw: cannot be read"):
        load_potential("none.sw")

    start = str(tmp_path / "start.xyz")
    silica = cristobalite(7.17)
    silica.write(start)
    for command in (["md", "vashishta", start, "-T", "300", "--steps", "2", "--every", "1", "-o", str(tmp_path / "md.xyz")],
                    ["sample", "vashishta", start, "--steps", "20", "--equilibrate", "0", "--rule", "equal", "--every", "10", "-o", str(tmp_path / "pool.xyz")],
                    ["validate", "vashishta", "--reference", str(write(tmp_path, sw_text(Vashishta.silica(1994).parameters), "1994.vashishta")),
                     "--structure", start, "--steps", "0", "-o", str(tmp_path / "out")]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "out/report.json").read_text())
    assert all(abs(numbers[name] - 7.17) < 0.05 * 7.17 for name in ("lattice_constant", "lattice_constant_reference"))
    assert abs(numbers["energy_error_mev_per_atom"]) > 1000  # the charges are others
