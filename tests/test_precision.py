"""Mixed and float32 precision of the compiled core: as near to float64 as float32 can be, the same bits for any number of threads, never a
silent NaN. How far apart: a force is a sum of terms that are larger than itself, each with a rounding of 6e-8, so differences are measured
against the virial, in which nothing cancels; see `close`."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmd
import structures
from fastmd import G1, G2, G4, Network, NNPotential, _core
from fastmd.network import ACTIVATIONS
from fastmd.symmetry import CUTOFF_TYPES
from structures import SYMBOLS, random_potential, random_structure

SCALINGS = ("none", "minmax", "center", "center-minmax", "sigma")
BOHR = ("bohr", 0.5291772105638411, "Ha", 27.211386024367243)
FLOAT64, MIXED, FLOAT32 = 0, 1, 2
LOW = [pytest.param(MIXED, id="mixed"), pytest.param(FLOAT32, id="float32")]
HARD = [(k, name) for k in (1, 2, 3) for name in structures.hard(k)]


def system(p, atoms, precision, threads=1, pairs=None, species=None):
    pairs = pairs or fastmd.find_pairs(atoms, p.cutoff)
    species = p.species(atoms.get_chemical_symbols()) if species is None else species
    return _core.System(species, pairs.first, pairs.j, pairs.shift, np.array(atoms.positions), np.array(atoms.cell), threads=threads, precision=precision)


def compute(p, atoms, precision, threads=1, pairs=None):
    """(energies, forces, virial) in eV and angstrom"""
    n = len(atoms)
    energies, forces, virial = np.empty(n), np.empty((n, 3)), np.empty((3, 3))
    energy = p._core.compute(system(p, atoms, precision, threads, pairs), energies, forces, virial)
    assert energy == pytest.approx(energies.sum(), rel=1e-12, abs=1e-12)
    return energies, forces, virial


def close(got, want, tolerance=3e-5):
    """Energies against the largest of them, forces (per angstrom) and virial against the largest of the virial. A straight angle, whose arc
    cosine has only half the digits, wants 3e-4."""
    size = max(np.abs(want[2]).max(), 0.01)
    worst = max(np.abs(got[0] - want[0]).max(initial=0) / max(np.abs(want[0]).max(initial=0), 0.01), *(np.abs(g - w).max(initial=0) / size for g, w in zip(got[1:], want[1:])))
    assert worst < tolerance, worst
    return worst


def bits(result):
    return b"".join(a.tobytes() for a in result)


# ---- as near as float32 comes

def golden(test_data, name, k):
    data = np.load(test_data / "golden" / name / f"config{k:02d}.npz")
    metallic = name in ("Cu2S_PBE", "Si_bench_wide", "Si_bench_narrow")  # in eV and angstrom, the others in hartree and bohr
    length = 1 if metallic else units.Bohr
    p = NNPotential.from_runner(test_data / "golden" / name, **({"length": "angstrom", "energy": "eV"} if metallic else {}))
    cell = data["cell"] if len(data["cell"]) else np.zeros((3, 3))
    return p, Atoms(list(map(str, data["elements"])), positions=data["positions"] * length, cell=cell * length, pbc=data["pbc"])


@pytest.mark.parametrize("name, configurations", [("Si_bench_wide", 1), ("Si_bench_narrow", 1), ("H2O_RPBE-D3", 4), ("H2O_BLYP", 4), ("Cu2S_PBE", 4), ("Ethylbenzene_SCAN", 1)])
def test_mixed_forces_are_within_2e_5_ev_per_angstrom_of_float64_on_published_potentials(test_data, name, configurations, record_property):
    for k in range(configurations):
        p, atoms = golden(test_data, name, k)
        pairs = fastmd.find_pairs(atoms, p.cutoff)
        exact = compute(p, atoms, FLOAT64, 2, pairs)
        for precision in (MIXED, FLOAT32):
            got = compute(p, atoms, precision, 2, pairs)
            rms = np.sqrt(np.mean((got[1] - exact[1]) ** 2))
            record_property(f"{name} {k} {precision}", rms)
            assert 0 < rms <= 2e-5  # 0: float32 did not run at all
            assert abs(got[0].sum() - exact[0].sum()) <= 5e-6 * len(atoms)


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("k, name", HARD, ids=[f"{k}-{name.replace(' ', '_')}" for k, name in HARD])
def test_every_kind_of_function_agrees_with_float64_on_hard_structures(k, name, precision, record_property):
    n = HARD.index((k, name))
    p = random_potential(np.random.default_rng(100 + n), SYMBOLS[:k], SCALINGS[n % 5], units=BOHR if n % 3 == 0 else ("angstrom", 1.0, "eV", 1.0))
    atoms = structures.hard(k)[name]
    straight = "linear" in name or "chain" in name or "faces" in name or "tiny" in name
    record_property("worst", close(compute(p, atoms, precision), compute(p, atoms, FLOAT64), 3e-4 if straight else 3e-5))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_agrees_with_float64(activation):
    atoms = structures.hard()["molecule"]
    for n, scaling in enumerate(SCALINGS):
        p = random_potential(np.random.default_rng(11), ("H", "O"), scaling, activation, BOHR if n % 2 else ("angstrom", 1.0, "eV", 1.0))
        close(compute(p, atoms, MIXED), compute(p, atoms, FLOAT64))


@pytest.mark.parametrize("kind", CUTOFF_TYPES)
def test_every_cutoff_function_agrees_with_float64_up_to_its_end(kind):
    functions = {"H": [G2("H", 3.0, 0.3, 0.5, kind), G4("H", "H", 3.0, 0.05, -1, 2, kind)]}
    p = NNPotential(functions, {"H": Network((([[1.0, 0.5]], [0.1], "tanh"), ([[1.0]], [0.0], "identity")))})
    for r in (0.5, 1.7, 2.9, 2.9999, 2.9999999, 3 - 1e-10, 3.0, 3 + 1e-10):  # between the last ones float32 sees no difference
        atoms = Atoms("HHH", positions=[[0, 0, 0], [1.0, 0.1, 0.2], [0, r, 0]])
        if kind != "hard" or abs(r - 3) > 1e-6:  # which jumps there
            close(compute(p, atoms, MIXED), compute(p, atoms, FLOAT64), 3e-6)


def test_integer_and_other_powers_up_to_64_agree_with_float64():
    rng = np.random.default_rng(5)
    atoms = random_structure(rng, 30, 1)
    for zeta in (1, 1.5, 3, 16, 17.25, 64):
        for lam in (-1, 1):
            p = NNPotential({"H": [G4("H", "H", 4.0, 0.02, lam, zeta), G1("H", 4.0)]}, {"H": Network((([[1.0, 0.1]], [0.1], "tanh"), ([[1.0]], [0.0], "identity")))})
            close(compute(p, atoms, MIXED), compute(p, atoms, FLOAT64))


def test_a_repulsion_agrees_with_float64(record_property):
    p = random_potential(np.random.default_rng(2), ("H", "O"), "none", "tanh")
    hard = NNPotential(p.functions, p.networks, offsets=p.offsets, repulsion=fastmd.Repulsion({("H", "O"): fastmd.ZBL(1.0, 2.5), ("H", "H"): fastmd.ZBL(0.5, 2.0)}))
    atoms = Atoms("HOH", positions=[[0, 0, 0], [0.4, 0.3, 0], [0, -0.7, 1.2]])
    record_property("worst", close(compute(hard, atoms, MIXED), compute(hard, atoms, FLOAT64)))


POTENTIALS = [random_potential(np.random.default_rng(k), SYMBOLS[:k], SCALINGS[k], "tanh") for k in (1, 2, 3)]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(0, 10**9), st.tuples(*[st.booleans()] * 3), st.sampled_from([MIXED, FLOAT32]))
def test_random_structures_agree_with_float64(k, seed, pbc, precision):
    atoms = random_structure(np.random.default_rng(seed), 1 + seed % 20, k, pbc)
    close(compute(POTENTIALS[k - 1], atoms, precision), compute(POTENTIALS[k - 1], atoms, FLOAT64), 1e-4)


@pytest.mark.parametrize("precision", LOW)
def test_a_million_angstrom_from_the_origin_it_is_as_accurate(precision):
    p, atoms = POTENTIALS[1], random_structure(np.random.default_rng(4), 40)
    near = compute(p, atoms, precision)
    close(near, compute(p, atoms, FLOAT64), 5e-6)
    atoms.positions += [1e6, -1e6, 1e6]  # float64 has 1e-10 angstrom there, float32 would have 0.06
    close(compute(p, atoms, precision), compute(p, atoms, FLOAT64), 5e-6)
    close(compute(p, atoms, precision), near, 5e-6)


@pytest.mark.parametrize("isa", _core.isas())
def test_each_instruction_set_agrees_in_mixed_precision(isa, tmp_path):
    code = ("import numpy as np, test_precision as t\nfrom fastmd import _core\nassert _core.isa() == %r\n"
            "found = {f'{k} {q} {m}': x for k in (1, 2, 3) for m in (1, 2) for q, x in enumerate(t.compute(t.POTENTIALS[k - 1], t.random_structure(np.random.default_rng(k), 70, k), m))}\n"
            "np.savez(%r, **found)" % (isa, str(tmp_path / "found.npz")))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), "FASTMD_ISA": isa}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    found = np.load(tmp_path / "found.npz")
    for k in (1, 2, 3):
        exact = compute(POTENTIALS[k - 1], random_structure(np.random.default_rng(k), 70, k), FLOAT64)
        for m in (MIXED, FLOAT32):
            close([found[f"{k} {q} {m}"] for q in range(3)], exact, 5e-6)


def test_the_training_range_has_no_atom_of_the_training_data_outside_it():
    atoms = random_structure(np.random.default_rng(8), 40, 1)
    functions = POTENTIALS[0].functions
    G = fastmd.Descriptor(functions).describe(atoms)["H"]
    statistics = {"H": np.column_stack([G.min(0), G.max(0), G.mean(0), G.std(0) + 1e-3])}
    pairs = fastmd.find_pairs(atoms, 4.0)
    d = atoms.positions[pairs.j] - np.repeat(atoms.positions, np.diff(pairs.first), axis=0) + pairs.shift @ np.array(atoms.cell)
    p = NNPotential(functions, POTENTIALS[0].networks, ("sigma", -1.0, 1.0), statistics, shortest={("H", "H"): np.linalg.norm(d, axis=1).min()})
    for precision in (FLOAT64, MIXED, FLOAT32):
        outside = np.full(40, 99, np.int32)
        p._core.compute(system(p, atoms, precision), outside=outside)
        assert (outside == 0).all()
        other = atoms.copy()
        other.positions[3] = other.positions[4] + [0.5, 0, 0]
        p._core.compute(system(p, other, precision), outside=outside)
        assert outside[3] > 1 and outside[4] >= 1


# ---- sums

@pytest.mark.parametrize("precision", LOW)
def test_the_bits_do_not_depend_on_the_number_of_threads(precision):
    for n in (1, 9, 70, 140):
        atoms = random_structure(np.random.default_rng(n), n)
        one = bits(compute(POTENTIALS[1], atoms, precision, 1))
        for threads in (2, 3, 7, 0):
            assert bits(compute(POTENTIALS[1], atoms, precision, threads)) == one


@pytest.fixture(scope="module")
def cheap():
    return NNPotential({"H": [G2("H", 2.0, 0.5, 0.3)]}, {"H": Network((([[1.0]], [0.1], "tanh"), ([[1.0]], [0.0], "identity")))})


@pytest.mark.parametrize("precision", [FLOAT64, MIXED, FLOAT32])
def test_what_a_thread_keeps_from_large_and_small_calls_changes_no_bit(cheap, precision):
    rng = np.random.default_rng(1)
    many = Atoms("H" * 15000, positions=rng.permutation(rng.random((15000, 3)) * [15, 15, 20]))  # each chunk sees all others: too much to keep
    few = many[:7]
    first = [bits(compute(cheap, a, precision)) for a in (many, few)]
    assert [bits(compute(cheap, a, precision)) for a in (few, many, few, many)] == [*first[::-1]] * 2


def test_float32_forces_are_mixed_ones_with_another_sum(cheap):
    atoms = Atoms("H" * 2000, positions=np.random.default_rng(1).random((2000, 3)) * 8)
    mixed, single, exact = (compute(cheap, atoms, precision) for precision in (MIXED, FLOAT32, FLOAT64))
    assert bits(mixed[:1]) == bits(single[:1]) and bits(mixed[2:]) == bits(single[2:])  # energies, virial
    assert (mixed[1] != single[1]).any()
    np.testing.assert_allclose(single[1], exact[1], rtol=0, atol=1e-5)
    assert np.abs(mixed[1].sum(axis=0)).max() < 1e-11 < np.abs(single[1].sum(axis=0)).max()  # action is reaction to the last bit but of the sum


@pytest.mark.parametrize("n", [5, 40])  # one chunk, which adds into the result itself, and several
@pytest.mark.parametrize("precision", [FLOAT64, MIXED, FLOAT32])
def test_ghosts_take_their_share_of_the_forces_and_give_none(n, precision):
    """A list whose rows belong to the first n atoms, as MD codes have it: E = sum of these, the force on all others by finite rules of the whole."""
    p, atoms = POTENTIALS[1], random_structure(np.random.default_rng(n), 3 * n, pbc=False)
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    m = int(pairs.first[n])
    kinds = p.species(atoms.get_chemical_symbols())

    def part(first, j, shift):
        s = _core.System(kinds, np.ascontiguousarray(first), np.ascontiguousarray(j), np.ascontiguousarray(shift), np.array(atoms.positions), np.zeros((3, 3)), threads=2, precision=precision)
        energies, forces = np.empty(len(first) - 1), np.full((3 * n, 3), np.nan)
        p._core.compute(s, energies, forces)
        return energies, forces

    energies, forces = part(pairs.first[:n + 1], pairs.j[:m], pairs.shift[:m])
    all_energies, all_forces = part(pairs.first, pairs.j, pairs.shift)
    np.testing.assert_array_equal(energies, all_energies[:n])
    rest = kinds.copy()
    edges = np.zeros((len(pairs.j), 3))  # the edges say what the forces must be
    p._core.compute(_core.System(rest, pairs.first, pairs.j, pairs.shift, np.array(atoms.positions), np.zeros((3, 3)), precision=precision), edges=edges)
    want = np.zeros((3 * n, 3))
    np.add.at(want, np.repeat(np.arange(n), np.diff(pairs.first[:n + 1])), edges[:m])
    np.subtract.at(want, pairs.j[:m], edges[:m])
    np.testing.assert_allclose(forces, want, rtol=0, atol=(1e-5 if precision == FLOAT32 else 1e-12) * np.abs(edges).max())
    assert np.abs(all_forces - forces).max() > 1e-3


# ---- errors, and what is not float32

def test_a_number_that_overflows_float32_is_an_error_and_not_a_nan():
    atoms = Atoms("H3", positions=[[0, 0, 0], [1, 0, 0], [2, 0.01, 0]])

    def potential(weight, function=G1("H", 3.0), activation="identity"):
        return NNPotential({"H": [function]}, {"H": Network((([[weight]], [0.0], activation), ([[1.0]], [0.0], "identity")))})

    def check(p, forces):
        energies = np.empty(3)
        p._core.compute(system(p, atoms, FLOAT64), energies, forces)
        for precision in (MIXED, FLOAT32):
            with pytest.raises(ValueError, match="the energy or a force is not finite.*does it work in precision float64"):
                p._core.compute(system(p, atoms, precision), energies, forces)

    for forces in (None, np.empty((3, 3))):
        check(potential(1e39), forces)
        check(potential(1e-30, G4("H", "H", 3.0, 0.0, 2.0, 300.0), "tanh"), forces)  # 1.5^300 on the way; tanh would make a number of it again


def test_underflow_is_zero_and_no_error():
    p = NNPotential({"H": [G2("H", 6.0, 60.0, 0.0), G1("H", 6.0)]}, {"H": Network((([[1.0, 1e-44]], [0.0], "tanh"), ([[1.0]], [0.5], "identity")))})
    atoms = Atoms("H2", positions=[[0, 0, 0], [5.5, 0, 0]])
    close(compute(p, atoms, MIXED), compute(p, atoms, FLOAT64))


@settings(max_examples=50, deadline=None)
@given(st.floats(-12, 0), st.sampled_from([MIXED, FLOAT32]))
def test_atoms_almost_on_top_of_each_other_give_finite_numbers_or_a_clear_error(exponent, precision):
    atoms = Atoms("HOH", positions=[[0, 0, 0], [2, 0, 0], [2, 10**exponent, 0]])
    try:
        result = compute(POTENTIALS[1], atoms, precision)
    except ValueError as e:
        assert "on top of each other" in str(e) or "not finite" in str(e)
        return
    assert all(np.isfinite(x).all() for x in result)


@pytest.mark.parametrize("precision", [FLOAT64, MIXED, FLOAT32])
def test_what_cannot_be_is_the_same_error_in_every_precision(precision):
    p = POTENTIALS[0]
    for positions, message in ([[[0, 0, 0], [0, 0, 1e-7]], "atoms 0 and 1 are on top of each other"], [[[0, 0, 0], [0, 0, np.nan]], "x: entry 5 is not a finite number"]):
        with pytest.raises(ValueError, match=message):
            j = np.array([1, 0], np.int32)
            s = _core.System(np.zeros(2, np.int32), np.array([0, 1, 2]), j, None, np.array(positions), precision=precision)
            p._core.compute(s)
    for wrong in (-1, 2, 2**31 - 1, -2**31):
        s = _core.System(np.zeros(2, np.int32), np.array([0, 1, 2]), np.array([1, wrong], np.int32), None, np.eye(3)[:2].copy(), precision=precision)
        with pytest.raises(ValueError, match=f"j: edge 1 names atom {wrong} of 2"):
            p._core.compute(s)


@pytest.mark.parametrize("precision", [-1, 3])
def test_an_unknown_precision_is_a_clear_error(precision):
    with pytest.raises(ValueError, match=f"precision: expected 0 .float64., 1 .mixed. or 2 .float32., got {precision}"):
        compute(POTENTIALS[0], Atoms("H"), precision)


def test_the_descriptor_alone_is_float64_whatever_the_precision():
    p, atoms = POTENTIALS[1], random_structure(np.random.default_rng(3), 20)
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    sizes = np.array([len(p.functions[e]) for e in atoms.get_chemical_symbols()])
    row = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rng = np.random.default_rng(4)
    g, v = rng.normal(size=sizes.sum()), rng.normal(size=(20, 3))

    def results(precision):
        s = system(p, atoms, precision, pairs=pairs)
        G, forces, virial, dG = np.empty(sizes.sum()), np.empty((20, 3)), np.empty((3, 3)), np.empty(sizes.sum())
        p._core.value(s, row, G)
        p._core.vjp(s, row, g, forces, virial)
        p._core.jvp(s, row, v, None, None, dG)
        return bits((G, forces, virial, dG))

    assert results(MIXED) == results(FLOAT32) == results(FLOAT64)


def test_a_program_built_before_there_was_a_precision_gets_float64():
    """Its struct is shorter, and what lies behind it in memory is not ours to read."""
    lib = ctypes.CDLL(str(Path(fastmd.__file__).parent / "lib" / "libfastmd.so"))
    pointer = ctypes.c_void_p

    class System(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("n", ctypes.c_int64), ("n_all", ctypes.c_int64), ("species", pointer), ("first", pointer), ("j", pointer), ("shift", pointer),
                    ("x", pointer), ("cell", pointer), ("d", pointer), ("threads", ctypes.c_int), ("edge_row", pointer), ("rows", pointer), ("precision", ctypes.c_int32)]

    class Result(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t)] + [(name, pointer) for name in ("energy", "energies", "forces", "virial", "virials", "edges", "outside")]

    lib.fastmd_parse.restype = pointer
    lib.fastmd_last_error.restype = ctypes.c_char_p
    p, atoms = POTENTIALS[1], random_structure(np.random.default_rng(3), 20)
    text = p.text().encode()
    handle = pointer(lib.fastmd_parse(text, ctypes.c_size_t(len(text)), b"old"))
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    x, cell, forces = np.array(atoms.positions), np.array(atoms.cell), np.empty((20, 3))
    kinds = p.species(atoms.get_chemical_symbols())

    def call(size, precision):
        s = System(size, 20, 20, *(a.ctypes.data for a in (kinds, pairs.first, pairs.j, pairs.shift, x, cell)), None, 1, None, None, precision)
        r = Result(ctypes.sizeof(Result), None, None, forces.ctypes.data)
        return lib.fastmd_compute(handle, ctypes.byref(s), ctypes.byref(r)), forces.tobytes()

    try:
        exact, mixed = (compute(p, atoms, precision)[1].tobytes() for precision in (FLOAT64, MIXED))
        assert exact != mixed
        assert call(ctypes.sizeof(System), 0) == (0, exact) and call(ctypes.sizeof(System), 1) == (0, mixed)
        for garbage in (1, 99):
            assert call(System.precision.offset, garbage) == (0, exact)
            assert call(System.edge_row.offset, garbage) == (0, exact)  # older still
        assert call(ctypes.sizeof(System), 99)[0] == 1 and b"precision" in lib.fastmd_last_error()
    finally:
        lib.fastmd_free(handle)
