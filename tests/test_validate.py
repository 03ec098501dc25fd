"""Validation of potentials: crystals whose constants are known, formulas for scaled potentials, and what cannot be validated."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import GPa
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import fastmd
from fastmd import validate as module
from fastmd.cli import main
from fastmd.validate import dynamics, elastic_constants, energy_volume, melt, validate

SW = fastmd.StillingerWeber()
CUTOFF = 7.87  # angstrom: between the fourth and the fifth shell of fcc argon, also when it is stretched by 2 %


def argon(epsilon=1.0, sigma=1.0):
    """Lennard-Jones argon, and one of another energy and size."""
    return fastmd.LennardJones(0.0104 * epsilon, 3.4 * sigma, CUTOFF * sigma, elements=("Ar",))


def lattice_sum(a):
    """Energy per atom of fcc argon, by shells: 12, 6, 24 and 12 neighbours at a sqrt(k / 2)."""
    s6 = (3.4 / (a * np.sqrt(np.array([1, 2, 3, 4]) / 2))) ** 6
    return 0.5 * 4 * 0.0104 * (np.array([12, 6, 24, 12]) * (s6**2 - s6)).sum()


# ---------------------------------------------------------------------------------------------------- the crystal at rest

@pytest.mark.parametrize("atoms", [bulk("Si"), bulk("Si", cubic=True), bulk("Si", cubic=True) * (1, 2, 1), bulk("Si", a=4.5), bulk("Si", a=7.2)], ids=["primitive", "cubic", "supercell", "too small", "too large"])
def test_stillinger_weber_silicon_has_its_published_constants_from_any_cell_and_any_start(atoms):
    curve = energy_volume(SW, atoms)
    assert curve.lattice_constant == pytest.approx(5.431, abs=1e-4)
    assert curve.energy == pytest.approx(-4.3366, abs=1e-5)
    assert curve.bulk_modulus == pytest.approx(101.4, rel=2e-3)
    assert curve.volume == pytest.approx(5.431**3 / 8, rel=1e-4)
    assert curve.lattice == "FCC"
    assert curve.volumes[0] < 0.95 * curve.volume and curve.volumes[-1] > 1.05 * curve.volume and np.abs(curve.volumes[6] / curve.volume - 1) < 1e-3
    assert curve.atoms.get_volume() / len(atoms) == pytest.approx(curve.volume) and len(curve.atoms) == len(atoms)
    assert SW.compute(curve.atoms).energy / len(atoms) == pytest.approx(curve.energy, abs=1e-12)
    assert np.abs(SW.compute(curve.atoms).stress).max() < 2e-4


def test_lennard_jones_argon_agrees_with_the_lattice_sum():
    found = minimize_scalar(lattice_sum, bracket=(5.1, 5.3), tol=1e-10)
    a, h = found.x, 1e-3
    curvature = (lattice_sum(a + h) - 2 * lattice_sum(a) + lattice_sum(a - h)) / h**2  # V E'' = (4/9) E_aa / a, per atom of a^3/4
    curve = energy_volume(argon(), bulk("Ar", cubic=True))
    assert curve.lattice_constant == pytest.approx(a, rel=1e-5)
    assert curve.energy == pytest.approx(found.fun, rel=1e-6)
    assert curve.bulk_modulus == pytest.approx(4 / 9 * curvature / a / GPa, rel=5e-3)
    energies = [lattice_sum((4 * v) ** (1 / 3)) for v in curve.volumes]
    assert curve.energies == pytest.approx(energies, rel=1e-12)


def test_any_calculator_of_ase_is_a_potential():
    def energy(a):
        atoms = bulk("Cu", a=a)
        atoms.calc = EMT()
        return atoms.get_potential_energy()

    curve = energy_volume(EMT(), bulk("Cu", a=3.8))
    assert curve.lattice_constant == pytest.approx(minimize_scalar(energy, bracket=(3.5, 3.7), tol=1e-9).x, rel=1e-4)
    assert energy_volume(fastmd.Calculator(SW), bulk("Si")).lattice_constant == energy_volume(SW, bulk("Si")).lattice_constant


def test_atoms_come_to_rest_at_each_volume():
    atoms = bulk("Si")
    atoms.positions[1] += 0.08, -0.05, 0.02
    rattled = bulk("Si", cubic=True)
    rattled.rattle(0.05, seed=1)
    wanted = energy_volume(SW, bulk("Si"))
    for start in (atoms, rattled):
        curve = energy_volume(SW, start)
        assert curve.energy == pytest.approx(wanted.energy, abs=1e-6) and curve.bulk_modulus == pytest.approx(wanted.bulk_modulus, rel=1e-3)
        assert curve.volume == pytest.approx(wanted.volume, rel=1e-5)
        assert np.abs(SW.compute(curve.atoms).forces).max() < 1e-3
    assert np.array_equal(atoms.positions[1], bulk("Si").positions[1] + (0.08, -0.05, 0.02))  # the user's stay as they are


def test_a_hexagonal_crystal_keeps_its_shape():
    atoms = bulk("Ar", "hcp", a=3.7, c=6.1)
    curve = energy_volume(argon(), atoms)
    assert curve.lattice == "HEX" and curve.atoms.cell.cellpar()[2] / curve.lattice_constant == pytest.approx(6.1 / 3.7)
    assert curve.atoms.cell.cellpar()[0] == pytest.approx(curve.lattice_constant)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([("Si", {}), ("Cu", {}), ("Fe", {}), ("NaCl", {"crystalstructure": "rocksalt", "a": 5.6}), ("Ti", {}), ("In", {})]),
       st.lists(st.integers(-2, 2), min_size=9, max_size=9), st.integers(0, 1000))
def test_a_supercell_has_the_lattice_constant_of_its_unit_cell(crystal, matrix, seed):
    matrix = np.array(matrix).reshape(3, 3) + 2 * np.eye(3, dtype=int)
    if not 1 <= np.linalg.det(matrix) <= 30:
        matrix = np.diag([1, 2, 3])
    cell = bulk(crystal[0], **crystal[1])
    atoms = make_supercell(cell, matrix)
    rng = np.random.default_rng(seed)
    atoms.rotate(rng.uniform(0, 360), rng.normal(size=3), rotate_cell=True)
    atoms.positions += rng.normal(size=3)
    atoms = atoms[rng.permutation(len(atoms))]
    assert module._bravais(atoms).name == cell.cell.get_bravais_lattice().name
    assert module._bravais(atoms).a == pytest.approx(cell.cell.get_bravais_lattice().a, rel=1e-6)


# ---------------------------------------------------------------------------------------------------- elastic constants

def test_elastic_constants_of_stillinger_weber_silicon_are_the_published_ones():
    atoms = energy_volume(SW, bulk("Si")).atoms
    c = elastic_constants(SW, atoms)
    assert module._cubic(c) == pytest.approx({"c11": 151.4, "c12": 76.4, "c44": 56.4}, rel=1e-3)  # Cowley, Phys. Rev. Lett. 60, 2379 (1988)
    assert c == pytest.approx(c.T, abs=0.01)


def test_elastic_constants_turn_with_the_crystal():
    atoms = energy_volume(SW, bulk("Si")).atoms
    c = module._cubic(elastic_constants(SW, atoms))
    atoms.rotate(45, "z", rotate_cell=True)
    turned = elastic_constants(SW, atoms)
    assert turned[0, 0] == pytest.approx((c["c11"] + c["c12"] + 2 * c["c44"]) / 2, rel=1e-3)
    assert turned[5, 5] == pytest.approx((c["c11"] - c["c12"]) / 2, rel=1e-3)
    assert module._cubic(turned) is None  # not along the axes: C11 and its like would be wrong


def test_pairs_of_atoms_on_a_lattice_obey_cauchy_s_relation():
    curve = energy_volume(argon(), bulk("Ar"))
    c = module._cubic(elastic_constants(argon(), curve.atoms))
    assert c["c12"] == pytest.approx(c["c44"], rel=2e-3)
    assert (c["c11"] + 2 * c["c12"]) / 3 == pytest.approx(curve.bulk_modulus, rel=5e-3)


# ---------------------------------------------------------------------------------------------------- dynamics

@pytest.fixture(scope="module")
def solid():
    return dynamics(SW, bulk("Si", a=5.431, cubic=True) * (2, 2, 2), 300, steps=400)


def test_an_atom_of_solid_silicon_has_four_neighbours(solid):
    r, dr = solid.r, solid.r[1] - solid.r[0]
    shells = 4 / 3 * np.pi * ((r + dr / 2) ** 3 - (r - dr / 2) ** 3)
    assert (solid.g * shells)[r < 3].sum() * 8 / 5.431**3 == pytest.approx(4, abs=1e-9)
    assert r[solid.g.argmax()] == pytest.approx(5.431 * 3**0.5 / 4, abs=0.05)
    assert 0 < solid.noise < 1


def test_the_energy_is_kept_without_a_thermostat_and_its_drift_is_the_slope(solid):
    assert solid.times[[0, -1]] == pytest.approx([0, 0.4]) and np.ptp(solid.total) < 1e-4
    assert solid.drift == pytest.approx(1000 * np.polyfit(solid.times, solid.total, 1)[0], rel=1e-6, abs=1e-9)


def test_two_runs_of_one_potential_are_the_same_and_of_another_seed_are_not(solid):
    atoms = bulk("Si", a=5.431, cubic=True) * (2, 2, 2)
    again, other = dynamics(SW, atoms, 300, steps=400), dynamics(SW, atoms, 300, steps=400, seed=2)
    assert np.array_equal(again.g, solid.g) and np.array_equal(again.total, solid.total)
    assert 0.1 < np.abs(other.g - solid.g).max() / solid.noise < 5  # noise is what it says: the size of such a difference
    assert not atoms.has("momenta")


def test_the_same_noise_brings_two_crystals_side_by_side():
    atoms = bulk("Si", a=5.431, cubic=True) * (2, 2, 2)

    class Harder(fastmd.Potential):
        cutoff = SW.cutoff

        def species(self, symbols):
            return SW.species(symbols)

        def evaluate(self, *args):
            return tuple(1.01 * x for x in SW.evaluate(*args))

    a, b = (dynamics(p, atoms, 300, steps=400) for p in (SW, Harder()))
    assert 0 < np.abs(a.g - b.g).max() < 0.3 * a.noise


@pytest.mark.parametrize("width, share", [(1e6, 0), (1e-6, 1), (None, None)])
def test_atoms_outside_the_range_of_the_training_data_are_counted_and_nobody_is_warned(width, share, recwarn):
    functions = {"Si": [fastmd.G2("Si", 3.0, 0.5)]}
    layer = (np.array([[1e-3]]), np.zeros(1), "identity")
    statistics = None if width is None else {"Si": np.array([[-width, width, 0.0, 1.0]])}
    p = fastmd.NNPotential(functions, {"Si": fastmd.Network((layer,))}, statistics=statistics)
    assert dynamics(p, bulk("Si", cubic=True), 300, steps=100).outside == share
    assert not recwarn.list


def test_the_melt_has_lost_the_crystal():
    atoms = bulk("Si", a=5.431, cubic=True) * (2, 2, 2)
    molten = melt(SW, atoms, 2000)
    moved = molten.positions - atoms.positions
    moved -= moved.mean(0)
    assert np.sqrt((moved**2).sum(1).mean()) > 1.35
    liquid = dynamics(SW, molten, 2000, steps=400)
    assert liquid.g[np.abs(liquid.r - 3).argmin()] > 0.4  # between the first two shells of the crystal, where that has none
    with pytest.raises(ValueError, match="Si8 does not melt in 10 ps at 200 K, twice the temperature asked for"):
        melt(SW, bulk("Si", cubic=True), 100)


# ---------------------------------------------------------------------------------------------------- all of it

def test_a_potential_agrees_with_itself(tmp_path):
    result = validate(SW, SW, temperatures=(300, 500), steps=100)
    n = result.numbers()
    errors = [key for key in n if "error" in key] + ["rdf_max_abs_difference"]
    assert len(errors) == 7 and all(n[key] == 0 for key in errors), n
    assert n["nve_drift_mev_per_atom_per_ps"] == n["nve_drift_reference_mev_per_atom_per_ps"] != 0
    assert list(n["states"]) == ["300 K", "500 K"] and n["atoms_in_dynamics"] == 216 and n["failures"] == []
    assert n["lattice_constant"] == n["lattice_constant_reference"] == pytest.approx(5.431, abs=1e-4)
    result.write(tmp_path / "a" / "b")
    assert json.loads((tmp_path / "a/b/report.json").read_text()) == n
    assert (tmp_path / "a/b/report.png").read_bytes().startswith(b"\x89PNG")


def test_the_errors_of_a_scaled_potential_are_those_of_the_scale():
    n = validate(argon(1.1, 1.02), argon(), steps=0).numbers()
    assert n["lattice_constant_error_percent"] == pytest.approx(2, rel=1e-3)
    stiffer = 100 * (1.1 / 1.02**3 - 1)  # energy per volume
    for key in ("bulk_modulus", "c11", "c12", "c44"):
        assert n[f"{key}_error_percent"] == pytest.approx(stiffer, rel=1e-2)
    assert n["energy_error_mev_per_atom"] == pytest.approx(100 * abs(n["energy_reference_ev_per_atom"]), rel=1e-4)
    assert n["rdf_max_abs_difference"] is None and n["states"] == {}
    softer = validate(argon(), argon(1.1, 1.02), steps=0).numbers()
    assert softer["lattice_constant_error_percent"] == pytest.approx(100 * (1 - 1 / 1.02), rel=1e-3)  # without sign


def test_without_reference_there_is_nothing_to_compare_with(tmp_path):
    result = validate(SW, steps=100)
    n = result.numbers()
    assert n["lattice_constant"] == pytest.approx(5.431, abs=1e-4) and n["nve_drift_mev_per_atom_per_ps"] is not None
    assert [n[k] for k in ("lattice_constant_reference", "lattice_constant_error_percent", "c44_error_percent", "rdf_max_abs_difference", "energy_volume_reference")] == [None] * 5
    result.picture(tmp_path / "p.png")


def test_dynamics_that_blow_up_are_a_result():
    result = validate(SW, SW, temperatures=(300,), melts=(10,), steps=100, timestep=60)
    n = result.numbers()
    assert len(n["failures"]) == 3 and "300 K, dynamics of the potential: step " in n["failures"][0] and "blown up" in n["failures"][0]
    assert n["failures"][2].startswith("melt, 10 K: ")
    assert n["states"]["300 K"] == dict.fromkeys(n["states"]["300 K"]) and n["rdf_max_abs_difference"] is None
    assert n["lattice_constant_error_percent"] == 0


def test_about_two_hundred_atoms_in_a_wide_cell_are_simulated():
    for crystal, shape, n in ((bulk("Si", cubic=True), [3, 3, 3], 216), (bulk("Cu"), [6, 6, 6], 216), (bulk("Si", cubic=True) * (4, 1, 1), [1, 3, 3], 288), (bulk("Si", cubic=True) * 4, [1, 1, 1], 512)):
        atoms = module._repeated(crystal)
        assert len(atoms) == n and atoms.cell.array == pytest.approx(np.diag(shape) @ crystal.cell.array)


def labelled(path):
    rng, frames = np.random.default_rng(0), []
    for _ in range(3):
        a = bulk("Si", cubic=True)
        a.positions += rng.normal(0, 0.1, (8, 3))
        r = SW.compute(a)
        a.calc = SinglePointCalculator(a, energy=r.energy + 8e-3, forces=r.forces)
        frames.append(a)
    ase.io.write(path, frames)
    return str(path)


def test_labelled_data_gives_the_errors_on_it(tmp_path):
    n = validate(SW, data=labelled(tmp_path / "d.extxyz"), steps=0).numbers()
    assert n["test_energy_rmse_mev_per_atom"] == pytest.approx(1.0, abs=1e-4)
    assert n["test_force_rmse_mev_per_angstrom"] < 1e-4 and n["test_stress_rmse_gpa"] is None


@pytest.mark.slow
def test_a_trained_potential_of_dft_data_is_validated(test_data):
    from fastmd.train import dataset, loop

    pot, _ = loop.train(dataset.read(test_data / "data/mlearn/Si_train.xyz"), loop.Settings(max_seconds=60, epochs=5))
    n = validate(pot, data=test_data / "data/mlearn/Si_test.xyz", steps=200).numbers()
    assert n["lattice_constant"] == pytest.approx(5.469, abs=0.05)  # PBE
    assert n["test_energy_rmse_mev_per_atom"] < 50


# ---------------------------------------------------------------------------------------------------- what cannot be

class NoStress(AseCalculator):
    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=(), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        r = SW.compute(self.atoms)
        self.results = {"energy": r.energy, "forces": r.forces}


def test_a_calculator_without_stress_has_no_elastic_constants_but_all_else():
    with pytest.raises(ValueError, match="elastic constants need the stress, NoStress has none"):
        elastic_constants(NoStress(), bulk("Si"))
    n = validate(SW, NoStress(), steps=0).numbers()
    assert n["c11_gpa"] > 150 and n["c11_reference_gpa"] is n["c11_error_percent"] is None and n["bulk_modulus_error_percent"] < 1e-6


class NotFinite(NoStress):
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["energy"] = np.nan


REPULSIVE = fastmd.LennardJones(0.0104, 3.4, 3.7, shift=True, elements=("Ar",))  # cut before its minimum


@pytest.mark.parametrize("call, message", [
    (lambda: energy_volume(REPULSIVE, bulk("Ar")), r"potential: the energy of Ar has no minimum up to .* from the 36.38 given; start from another structure"),
    (lambda: energy_volume(SW, bulk("Si", a=30)), "no minimum"),
    (lambda: energy_volume(NotFinite(), bulk("Si")), "potential: its energy is not finite at 18.84 angstrom"),
    (lambda: energy_volume(SW, Atoms("Si")), r"atoms: expected a crystal, periodic in three directions, got 1 atoms, pbc \[False, False, False\], volume 0"),
    (lambda: energy_volume(SW, Atoms()), "atoms: expected a crystal"),
    (lambda: energy_volume(SW, "Si"), "atoms: expected an ase.Atoms, got str"),
    (lambda: energy_volume(7, bulk("Si")), "potential: expected a fastmd Potential, the name of a .nnp file or an ASE calculator, got int"),
    (lambda: energy_volume("nowhere.nnp", bulk("Si")), "nowhere.nnp: cannot be read"),
    (lambda: energy_volume(SW, bulk("Ge")), "no parameters for Ge"),
    (lambda: elastic_constants(SW, Atoms("Si")), "atoms: expected a crystal"),
    (lambda: dynamics(SW, bulk("Si"), 0), "temperature must be > 0 K, got 0"),
    (lambda: dynamics(SW, bulk("Si"), 300, steps=99), "steps must be a whole number >= 100, got 99"),
    (lambda: dynamics(SW, bulk("Si"), 300, seed=-1), "seed must be a whole number >= 0, got -1"),
    (lambda: melt(SW, bulk("Si"), -5), "temperature must be > 0 K, got -5"),
    (lambda: validate(EMT()), "potential: expected a fastmd Potential or the name of a .nnp file, got EMT"),
    (lambda: validate(SW, "sw"), "sw: cannot be read"),
    (lambda: validate(SW, object()), "reference: expected a fastmd Potential"),
    (lambda: validate(SW, argon()), "reference: no parameters for Si"),
    (lambda: validate(SW, argon(), bulk("Ar")), "potential: no parameters for Ar"),
    (lambda: validate(fastmd.LennardJones(0.01, 3.4, 8)), "atoms: the potential is for any element, .* give a structure"),
    (lambda: validate(fastmd.LennardJones(0.01, 3.4, 8, elements=("Ar", "Kr"))), "atoms: the potential is for Ar, Kr"),
    (lambda: validate(fastmd.LennardJones(0.01, 3.4, 8, elements=("Ga",))), "atoms: ASE has no crystal of Ga"),
    (lambda: validate(argon(), REPULSIVE), "reference: the energy of Ar4 has no minimum"),
    (lambda: validate(SW, temperatures=300), r"temperatures: expected several in K, such as \(300, 600\), got 300"),
    (lambda: validate(SW, temperatures=(-3,)), "temperatures must be > 0 K, got -3"),
    (lambda: validate(SW, melts=("hot",)), "melts must be > 0 K, got 'hot'"),
    (lambda: validate(SW, steps=5), r"steps \(0: no dynamics\) must be a whole number >= 100, got 5"),
    (lambda: validate(SW, timestep=0), "timestep must be > 0 fs, got 0"),
    (lambda: validate(SW, data="nowhere.xyz"), "nowhere.xyz: ASE cannot read it")])
def test_what_cannot_be_validated_is_said_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_atoms_that_do_not_come_to_rest_are_an_error(monkeypatch):
    monkeypatch.setattr(module, "_RELAX", 2)
    atoms = bulk("Si")
    atoms.positions[1] += 0.3
    with pytest.raises(RuntimeError, match=r"at 18.84 angstrom\^3 per atom the forces are still up to .* after 2 steps; relax the structure first"):
        energy_volume(SW, atoms)
    with pytest.raises(RuntimeError, match="^potential: at 18.8"):
        validate(SW, atoms=atoms)


def test_elastic_constants_that_cannot_be_had_are_a_failure(monkeypatch):
    def restless(*_):
        raise RuntimeError("no rest")

    monkeypatch.setattr(module, "elastic_constants", restless)
    result = validate(SW, steps=0)
    assert result.failures == ["elastic constants of the potential: no rest"] and result.numbers()["c11_gpa"] is None


# ---------------------------------------------------------------------------------------------------- the command

def run(*args):
    return CliRunner().invoke(main, ["validate", *map(str, args)])


def test_the_command_writes_a_report(tmp_path):
    r = run("sw", "--reference", "sw", "--steps", 100, "-o", tmp_path / "out")
    assert r.exit_code == 0, r.output
    n = json.loads((tmp_path / "out/report.json").read_text())
    assert n["lattice_constant_error_percent"] == 0 and n["bulk_modulus_gpa"] == pytest.approx(101.4, rel=2e-3)
    assert "bulk modulus" in r.stdout and "101.487" in r.stdout and "300 K: drift" in r.stdout and "dynamics of 216 atoms, reference" in r.stderr


def test_the_command_compares_with_labelled_data(tmp_path):
    data = labelled(tmp_path / "d.extxyz")
    r = run("sw", "--reference", data, "--steps", 0, "-o", tmp_path)
    assert r.exit_code == 0 and "labelled data: energy RMSE 1, MAE 1 meV/atom" in r.stdout, r.output
    n = json.loads((tmp_path / "report.json").read_text())
    assert n["test_energy_rmse_mev_per_atom"] == pytest.approx(1.0, abs=1e-4) and n["lattice_constant_reference"] is None


def test_the_command_takes_a_structure_and_prints_json(tmp_path):
    ase.io.write(tmp_path / "s.extxyz", bulk("Si", a=5.6) * (1, 1, 2))
    r = run("sw", "--structure", tmp_path / "s.extxyz", "--steps", 0, "--data", labelled(tmp_path / "d.extxyz"), "-o", tmp_path, "--json")
    assert json.loads(r.stdout) == json.loads((tmp_path / "report.json").read_text()) and json.loads(r.stdout)["test_energy_rmse_mev_per_atom"] > 0.9
    assert json.loads(r.stdout)["lattice_constant"] == pytest.approx(5.431, abs=1e-4)


def test_the_command_says_what_is_wrong(tmp_path):
    data = labelled(tmp_path / "d.extxyz")
    for args, message in ((("sw", "--reference", data, "--data", data), "is labelled data, and so is --data"),
                          (("sw", "--reference", "typo"), "typo: ASE cannot read it"),
                          (("nowhere.nnp",), "nowhere.nnp: cannot be read"),
                          (("sw", "--reference", "nowhere.nnp"), "nowhere.nnp: cannot be read"),
                          (("sw", "-o", data + "/x"), "cannot be made"),
                          (("sw", "--steps", 100, "--timestep", 60, "-o", tmp_path / "blown"), "300 K, dynamics of the potential: step")):
        r = run(*args)
        assert r.exit_code == 1 and message in r.output, r.output
    assert json.loads((tmp_path / "blown/report.json").read_text())["failures"]  # written all the same


def test_help_teaches():
    text = run("--help").stdout
    assert "fastmd validate si.nnp --reference sw --data test.extxyz -o out" in text and "[default: 300.0" in text and "[default: 4000]" in text
