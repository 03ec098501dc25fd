"""Classical potentials against plain loops, finite differences, symmetry, and what must be refused."""
import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fastmd.classical import LennardJones, PairPotential, StillingerWeber, Triplet
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


def test_entries_equal_to_the_seven_digits_of_a_file_are_taken_and_their_mean_counts():
    entries = two_species_entries()
    one, other = ("Ga", "Ga", "As"), ("Ga", "As", "Ga")
    atoms = structure("tiny", "sw-two-species")
    potential = StillingerWeber(entries | {one: entries[one]._replace(lam=22.00002)})
    mean = StillingerWeber(entries | {key: entries[key]._replace(lam=22.00001) for key in (one, other)})
    assert potential.compute(atoms).energy == pytest.approx(mean.compute(atoms).energy, rel=1e-14)
    assert potential.compute(atoms).energy != pytest.approx(StillingerWeber(entries).compute(atoms).energy, rel=1e-9)


# ----------------------------------------------------------------------------------------------------------- .sw files

SILICON = """# DATE: 2007-06-11
# Stillinger-Weber parameters
Si Si Si 2.1683  2.0951  1.80  21.0  1.20  -0.333333333333  # the first half
         7.049556277  0.6022245584  4.0  0.0 0.0
"""


def write(tmp_path, text):
    path = tmp_path / "test.sw"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_in_which_entries_span_lines_is_read(tmp_path):
    potential = StillingerWeber.read(write(tmp_path, SILICON))
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=2)
    assert potential.elements == ("Si",)
    assert close(potential.compute(atoms).forces, StillingerWeber().compute(atoms).forces, 1e-10)


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


@given(start=st.integers(0, len(SILICON)), length=st.integers(0, 60), put=st.binary(max_size=6))
@settings(deadline=None, max_examples=100)
def test_a_damaged_file_gives_a_potential_or_a_value_error_and_nothing_else(tmp_path_factory, start, length, put):
    raw = SILICON.encode()
    path = write(tmp_path_factory.mktemp("sw"), raw[:start] + put + raw[start + length:])
    try:
        StillingerWeber.read(path)
    except ValueError as error:
        assert "test.sw" in str(error) or "elements" in str(error)
