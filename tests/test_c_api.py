"""The C interface as an embedder meets it: from C, and through ctypes with whatever a stranger may hand in."""

import ctypes
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np
import pytest
import structures
from ase.build import bulk
from click.testing import CliRunner

import fastmd
from fastmd.cli import main

ROOT = Path(__file__).parents[1]
HEADER = (ROOT / "fastmd_ext" / "core" / "fastmd.h").read_text()
EARGUMENT, EFILE, EMEMORY, ECOINCIDENT, ENONFINITE = range(1, 6)


def fields(name):
    """[(name, ctypes type)] of a struct, from the header itself"""
    kinds = {"size_t": c_size_t, "int64_t": c_int64, "int32_t": c_int32, "int": c_int, "double": c_double}
    body = re.sub(r"/\*.*?\*/", "", re.search(rf"typedef struct {name} {{(.*?)}} {name};", HEADER, re.S)[1], flags=re.S)
    found = []
    for line in filter(None, (text.strip() for text in body.split(";"))):
        kind, names = re.fullmatch(r"(?:const )?(\w+) (.*)", line, re.S).groups()
        for one in names.split(","):
            stars, word, count = re.fullmatch(r"\s*(\**)(\w+)(?:\[(\d+)\])?", one).groups()
            c = (c_char_p if kind == "char" else c_void_p) if stars else kinds[kind]
            found.append((word, c * int(count) if count else c))
    return found


class System(ctypes.Structure):
    _fields_ = fields("fastmd_system")


class Result(ctypes.Structure):
    _fields_ = fields("fastmd_result")


class Function(ctypes.Structure):
    _fields_ = fields("fastmd_function")


def library():
    lib = ctypes.CDLL(str(Path(fastmd.__file__).parent / "lib" / "libfastmd.so"))
    for name in ("fastmd_load", "fastmd_parse", "fastmd_find_pairs"):
        getattr(lib, name).restype = c_void_p
    for name in ("fastmd_last_error", "fastmd_element", "fastmd_note", "fastmd_scaling", "fastmd_isa", "fastmd_isa_available"):
        getattr(lib, name).restype = c_char_p
    for name in ("fastmd_cutoff", "fastmd_offset", "fastmd_unit", "fastmd_shortest"):
        getattr(lib, name).restype = c_double
    lib.fastmd_find_pairs.argtypes = [c_int64, c_void_p, c_void_p, c_void_p, c_double]
    lib.fastmd_parse.argtypes = [c_char_p, c_size_t, c_char_p]
    lib.fastmd_network.argtypes = [c_void_p, c_int, c_int64, c_void_p, c_void_p, c_void_p, c_int]
    lib.fastmd_get_function.argtypes = [c_void_p, c_int, c_int, c_void_p]
    lib.fastmd_pairs_count.restype = c_int64
    for name, n in {"compute": 3, "value": 4, "vjp": 5, "jvp": 6, "rows": 4, "free": 1, "free_pairs": 1, "pairs_count": 1, "cutoff": 1, "n_elements": 1, "n_members": 1,
                    "n_notes": 1, "n_pair_terms": 1, "has_network": 1}.items():
        getattr(lib, f"fastmd_{name}").argtypes = [c_void_p] * n
    for name in ("element", "offset", "n_functions", "n_layers", "statistics"):
        getattr(lib, f"fastmd_{name}").argtypes = [c_void_p, c_int]
    lib.fastmd_statistics.restype = c_void_p
    lib.fastmd_get_layer.argtypes = [c_void_p, c_int, c_int] + [c_void_p] * 5
    lib.fastmd_get_pair_term.argtypes = lib.fastmd_note.argtypes = [c_void_p, c_int, c_void_p]
    lib.fastmd_scaling.argtypes = [c_void_p] * 3
    lib.fastmd_unit.argtypes = [c_void_p, c_int, c_void_p]
    lib.fastmd_shortest.argtypes = [c_void_p, c_int, c_int]
    return lib


C = library()


def pointer(a):
    return None if a is None else a.ctypes.data


def load(potential):
    text = potential.text().encode()
    handle = C.fastmd_parse(text, len(text), b"p")
    assert handle, C.fastmd_last_error()
    return handle


class Call:
    """The arguments of one evaluation, in arrays of numpy that can be changed one by one"""

    def __init__(self, potential, atoms, pairs=None):
        self.handle = load(potential)
        self.n = len(atoms)
        self.arrays = {"species": potential.species(atoms.get_chemical_symbols()), "x": atoms.positions.copy(), "cell": atoms.cell.array.copy(),
                       "pbc": atoms.pbc.astype(np.int32)}
        if pairs is not None:
            self.arrays |= {"first": pairs.first, "j": pairs.j, "shift": pairs.shift, "pbc": None}
        self.out = {"energy": np.zeros(1), "energies": np.zeros(self.n), "forces": np.zeros((self.n, 3)), "virial": np.zeros((3, 3))}

    def structs(self, **changed):
        values = {"size": ctypes.sizeof(System), "n": self.n, "n_all": self.n, **self.arrays} | changed
        s = System(**{name: pointer(v) if isinstance(v, np.ndarray) else v for name, v in values.items() if name not in ("result_size", "edges")})
        out = {"edges": changed["edges"]} if "edges" in changed else {}
        r = Result(size=changed.get("result_size", ctypes.sizeof(Result)), **{name: pointer(v) for name, v in (self.out | out).items()})
        return s, r

    def __call__(self, **changed):
        s, r = self.structs(**changed)
        return C.fastmd_compute(self.handle, ctypes.byref(s), ctypes.byref(r))


def silicon(**more):
    functions = {"Si": [fastmd.G2("Si", 4.5, 0.1), fastmd.G2("Si", 4.5, 1.0, 2.5), fastmd.G5("Si", "Si", 4.5, 0.05, 1, 2), fastmd.G4("Si", "Si", 4.5, 0.01, -1, 1)]}
    return fastmd.NNPotential(functions, {"Si": fastmd.Network.random(4, (6,), rng=1)}, repulsion=fastmd.Repulsion({("Si", "Si"): fastmd.ZBL(1.5, 2.2)}), **more)


def crystal():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=0)
    return atoms


def text():
    return C.fastmd_last_error().decode()


# ------------------------------------------------------------------------------------------------------------ right answers

@pytest.mark.parametrize("name", structures.hard())
def test_neighbours_made_inside_the_call_give_what_a_list_gives_and_python_says(name):
    atoms = structures.hard()[name]
    potential = structures.random_potential(np.random.default_rng(3), tuple(dict.fromkeys(structures.SYMBOLS[:2])), "sigma", "tanh")
    wanted = potential.compute(atoms)
    inside, given = Call(potential, atoms), Call(potential, atoms, fastmd.find_pairs(atoms, potential.cutoff))
    assert inside() == 0 and given() == 0, text()
    for key in inside.out:
        assert np.array_equal(inside.out[key], given.out[key]) and np.array_equal(np.squeeze(inside.out[key]), np.squeeze(getattr(wanted, key)))


def test_anything_may_stand_in_the_open_directions_of_a_cell():
    atoms = crystal()
    atoms.pbc = [True, True, False]
    atoms.cell[2] = 0
    call, other = Call(silicon(), atoms), Call(silicon(), atoms)
    other.arrays["cell"][2] = np.nan
    assert call() == 0 and other() == 0, text()
    assert np.array_equal(call.out["forces"], other.out["forces"])
    atoms.pbc = False
    call = Call(silicon(), atoms)
    assert call(cell=None) == 0 and call.out["energy"] == silicon().compute(atoms).energy


def test_the_descriptor_takes_positions_and_cell_too():
    found = []
    for pairs in (None, fastmd.find_pairs(crystal(), 4.5)):
        call, row, G = Call(silicon(), crystal(), pairs), np.arange(8) * 4, np.zeros((8, 4))
        assert C.fastmd_value(call.handle, ctypes.byref(call.structs()[0]), pointer(row), pointer(G)) == 0, text()
        found.append(G)
    assert np.array_equal(*found) and found[0].all()


@pytest.mark.parametrize("name, arguments, message", [
    ("fastmd_value", (1, 0), "row or G is NULL"), ("fastmd_vjp", (0, 1, 0), "row or g is NULL"), ("fastmd_vjp", (1, 0, 0), "row or g is NULL"), ("fastmd_jvp", (1, 0, 0, 0, 0), "row or dG is NULL"),
    ("fastmd_rows", (1, 0), "edge_row or rows is NULL"), ("fastmd_rows", (0, 1), "edge_row or rows is NULL")])
def test_what_the_descriptor_reads_and_writes_must_be_there(name, arguments, message):
    call = Call(silicon(), crystal(), fastmd.find_pairs(crystal(), 4.5))
    system, result = call.structs()
    numbers = np.zeros(10_000)
    there = [pointer(numbers) if a else None for a in arguments]
    if name == "fastmd_vjp":
        there[2] = ctypes.byref(result)
    assert getattr(C, name)(call.handle, ctypes.byref(system), *there) == EARGUMENT and message in text(), text()


def test_callers_built_with_an_older_header_are_served():
    potential, atoms = silicon(), crystal()
    call = Call(potential, atoms, fastmd.find_pairs(atoms, potential.cutoff))
    wanted = potential.compute(atoms).energy
    for changed in ({"size": System.edge_row.offset, "rows": np.ones(1), "precision": 7, "pbc": np.ones(3)}, {"size": System.precision.offset, "precision": 7},
                    {"size": System.pbc.offset, "pbc": np.ones(3)}, {"result_size": Result.outside.offset}, {"size": ctypes.sizeof(System) + 64}):
        call.out["energy"][:] = 0
        assert call(**changed) == 0 and call.out["energy"] == wanted  # what is beyond their size is not looked at
    assert call(size=System.pbc.offset, first=None, pbc=np.ones(3, np.int32)) == EARGUMENT and "first is NULL" in text()


def test_many_threads_use_one_potential_and_get_the_same_bits():
    potential = silicon()
    atoms = [crystal() * (1, 1, 1 + k % 3) for k in range(6)]
    wanted, handle = [potential.compute(a) for a in atoms], load(potential)

    def work(k):
        c, w = Call(potential, atoms[k % 6]), wanted[k % 6]
        c.handle = handle
        for repeat in range(200):
            assert c(threads=1 + repeat % 2) == 0
            assert c.out["energy"][0] == w.energy and np.array_equal(c.out["forces"], w.forces) and np.array_equal(c.out["virial"], w.virial)
            assert C.fastmd_load(f"/none/{k}".encode()) is None and text() == f"/none/{k}: cannot be opened"  # errors are each thread's own
        return True

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(work, range(12)))


# ------------------------------------------------------------------------------------------------------------- wrong input

def bad(index, value, kind=np.float64):
    a = np.zeros(24, kind) if kind is not np.float64 else crystal().positions.ravel().copy()
    a[index] = value
    return a


WRONG = [  # what is changed, code, message; with neighbours made inside
    ({"size": 0}, EARGUMENT, "system.size is not the size"), ({"size": 7}, EARGUMENT, "system.size"), ({"result_size": 0}, EARGUMENT, "result.size is not the size"),
    ({"n": -1, "n_all": -1}, EARGUMENT, "out of range"), ({"n_all": 7}, EARGUMENT, "n_all"), ({"n_all": 2**40, "n": 2**40}, EARGUMENT, "out of range"),
    ({"n": 4}, EARGUMENT, "n = n_all"), ({"species": None}, EARGUMENT, "species is NULL"), ({"x": None}, EARGUMENT, "x"), ({"cell": None}, EARGUMENT, "cell is NULL but pbc is set"),
    ({"pbc": None}, EARGUMENT, "first is NULL"), ({"x": bad(4, np.nan)}, EARGUMENT, "positions: entry 4 is not a finite number"), ({"x": bad(23, np.inf)}, EARGUMENT, "entry 23"),
    ({"x": bad(0, 1e300)}, EARGUMENT, "angstrom from the origin"), ({"x": bad(0, 1e8)}, EARGUMENT, "cells away"), ({"cell": np.full((3, 3), np.nan)}, EARGUMENT, "cell: entry 0"), ({"cell": np.zeros((3, 3))}, EARGUMENT, "is zero but pbc"),
    ({"cell": np.ones((3, 3))}, EARGUMENT, "singular"), ({"cell": 1e-5 * np.eye(3)}, EARGUMENT, "images"), ({"species": bad(2, 1, np.int32)}, EARGUMENT, "atom 2 has number 1"),
    ({"species": bad(3, -2, np.int32)}, EARGUMENT, "atom 3 has number -2"), ({"precision": 3}, EARGUMENT, "precision"), ({"x": np.zeros(24)}, ECOINCIDENT, "on top of each other"),
    ({"d": np.zeros(3)}, EARGUMENT, "no j, shift, d"), ({"j": np.zeros(3, np.int32)}, EARGUMENT, "no j"), ({"edges": np.zeros(3)}, EARGUMENT, "rows or edges"),
    ({"rows": np.zeros(3)}, EARGUMENT, "rows"),
]
WRONG_LISTS = [  # and with a list of the caller's
    ({"n": -1}, EARGUMENT, "expected 0 <= n <= n_all"), ({"n_all": 7}, EARGUMENT, "n_all"), ({"n_all": 2**40}, EARGUMENT, "n_all"),
    ({"first": None}, EARGUMENT, "first is NULL"), ({"j": None}, EARGUMENT, "j is NULL"), ({"first": np.arange(9)[::-1].copy()}, EARGUMENT, "must not decrease"),
    ({"first": np.arange(9) - 5}, EARGUMENT, "must not be negative"), ({"first": np.arange(9) * 20_000_000}, EARGUMENT, "ten million neighbours"),
    ({"j": -1}, EARGUMENT, "j: edge 3 names atom -1 of 8"), ({"j": 8}, EARGUMENT, "j: edge 3 names atom 8 of 8"), ({"j": 2**31 - 1}, EARGUMENT, "j: edge 3"),
    ({"cell": None}, EARGUMENT, "shift is given, cell is NULL"), ({"x": None}, EARGUMENT, "neither x nor d"), ({"x": bad(4, np.nan)}, EARGUMENT, "x: entry 4"),
    ({"d": np.full((400, 3), np.nan)}, EARGUMENT, "d: entry 0"), ({"rows": np.zeros(3)}, EARGUMENT, "edge_row is NULL"),
]


@pytest.mark.parametrize("changed, code, message", WRONG)
def test_wrong_systems_give_a_code_and_a_text(changed, code, message):
    call = Call(silicon(), crystal())
    assert call(**changed) == code and message in text(), text()
    assert C.fastmd_last_code() == code
    assert call() == 0  # and nothing is left behind


@pytest.mark.parametrize("changed, code, message", WRONG_LISTS)
def test_wrong_lists_give_a_code_and_a_text(changed, code, message):
    pairs = fastmd.find_pairs(crystal(), 4.5)
    call = Call(silicon(), crystal(), pairs)
    if isinstance(changed.get("j"), int):
        j = pairs.j.copy()
        j[3] = changed["j"]
        changed = {"j": j}
    assert call(**changed) == code and message in text(), text()
    assert call() == 0


def test_rows_of_atoms_without_neighbours_need_no_memory():
    atoms = crystal()[:1]
    atoms.pbc = False
    call = Call(silicon(), atoms, fastmd.find_pairs(atoms, 4.5))
    assert C.fastmd_rows(call.handle, ctypes.byref(call.structs()[0]), pointer(np.zeros(1, np.int64)), None) == 0, text()


def test_null_is_answered_everywhere():
    call = Call(silicon(), crystal())
    p, (s, r), out = call.handle, call.structs(), np.zeros(500)
    s, r, row = ctypes.byref(s), ctypes.byref(r), np.zeros(8, np.int64)
    for code in (C.fastmd_compute(None, s, r), C.fastmd_compute(p, None, r), C.fastmd_compute(p, s, None), C.fastmd_value(p, s, None, pointer(out)),
                 C.fastmd_value(p, s, pointer(row), None), C.fastmd_value(None, s, pointer(row), pointer(out)), C.fastmd_vjp(p, s, pointer(row), None, r),
                 C.fastmd_vjp(p, s, None, pointer(out), r), C.fastmd_vjp(p, s, pointer(row), pointer(out), None), C.fastmd_jvp(p, s, pointer(row), None, None, None, None),
                 C.fastmd_jvp(p, s, None, None, None, None, pointer(out)), C.fastmd_rows(p, s, None, pointer(out)), C.fastmd_rows(p, s, pointer(row), pointer(out)),
                 C.fastmd_network(None, 0, 1, pointer(out), pointer(out), pointer(out), 1), C.fastmd_network(p, 0, 1, None, pointer(out), pointer(out), 1),
                 C.fastmd_network(p, 1, 1, pointer(out), pointer(out), pointer(out), 1), C.fastmd_network(p, 0, -1, pointer(out), pointer(out), pointer(out), 1),
                 C.fastmd_get_layer(p, 0, 0, None, None, None, None, None), C.fastmd_get_layer(None, 0, 0, *[pointer(out)] * 5), C.fastmd_get_layer(p, 0, 99, *[pointer(out)] * 5),
                 C.fastmd_get_function(p, 0, 0, None), C.fastmd_get_function(p, 0, 0, ctypes.byref(Function(size=3))), C.fastmd_get_function(p, 0, -1, ctypes.byref(Function(size=200))),
                 C.fastmd_get_pair_term(p, 0, None), C.fastmd_get_pair_term(None, 0, pointer(out))):
        assert code == C.fastmd_last_code() == EARGUMENT and text()
    for pointing in (C.fastmd_load(None), C.fastmd_parse(None, 5, b"p"), C.fastmd_find_pairs(5, None, None, None, 1.0)):
        assert pointing is None and C.fastmd_last_code() == EARGUMENT
    assert [f(None) for f in (C.fastmd_n_elements, C.fastmd_cutoff, C.fastmd_n_members, C.fastmd_has_network, C.fastmd_n_notes, C.fastmd_n_pair_terms)] == [0] * 6
    assert [f(None, 0) for f in (C.fastmd_element, C.fastmd_offset, C.fastmd_n_functions, C.fastmd_n_layers, C.fastmd_statistics)] == [None, 0, 0, 0, None]
    assert C.fastmd_element(p, 5) is None and C.fastmd_element(p, -1) is None and C.fastmd_note(p, 0, None) is None and C.fastmd_unit(p, 9, None) == 0
    assert C.fastmd_scaling(None, None, None) is None and C.fastmd_scaling(p, None, None) and C.fastmd_unit(p, 0, None) == 1 and C.fastmd_shortest(None, 0, 0) == 0
    C.fastmd_free(None), C.fastmd_free_pairs(None)


@pytest.mark.parametrize("made, message", [(None, "cannot be opened"), ("", "first line"), ("ELF\0\1\2", "first line"), ("folder", "cannot be read")])
def test_what_is_no_potential_is_no_potential(tmp_path, made, message):
    path = tmp_path / "p.nnp"
    path.mkdir() if made == "folder" else made is not None and path.write_text(made)
    assert C.fastmd_load(str(path).encode()) is None and C.fastmd_last_code() == EFILE and message in text() and str(path) in text()


def test_a_file_cut_off_or_changed_anywhere_is_no_crash():
    whole, rng = silicon().text().encode(), np.random.default_rng(0)
    for _ in range(300):
        cut = bytearray(whole[:rng.integers(len(whole))] if rng.random() < 0.5 else whole)
        for k in rng.integers(len(cut), size=3) if cut else ():
            cut[k] = rng.integers(256)
        handle = C.fastmd_parse(bytes(cut), len(cut), b"p")
        assert handle or (C.fastmd_last_code() == EFILE and text().startswith("p:"))
        C.fastmd_free(handle)


OUT_OF_MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from test_c_api import *
call = Call(silicon(), crystal())
wide = Call(fastmd.NNPotential({"Si": [fastmd.G2("Si", 150.0, 0.1)]}, {"Si": fastmd.Network.random(1, (2,), rng=1)}), crystal())
assert call() == 0
have = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (have + (60 << 20),) * 2)
for threads in (1, 2):
    assert wide(threads=threads) == EMEMORY and text() == "not enough memory", (C.fastmd_last_code(), text())
assert C.fastmd_find_pairs(8, pointer(call.arrays["x"]), pointer(call.arrays["cell"]), pointer(call.arrays["pbc"]), 150.0) is None and C.fastmd_last_code() == EMEMORY
assert call() == 0
print("alive")
"""


@pytest.mark.plain_core
def test_too_little_memory_is_a_code_and_the_program_lives_on():
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY, str(Path(__file__).parent)], capture_output=True, text=True)
    assert done.stdout == "alive\n", done.stdout + done.stderr


def test_the_library_has_no_way_to_end_or_to_speak():
    """It calls none of exit, abort and the functions of stdout; what the C++ library calls when a promise is broken is beside the point."""
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    for path in (Path(fastmd.__file__).parent / "lib").glob("libfastmd*.so"):
        names = {line.split()[-1].split("@")[0] for line in subprocess.run(["nm", "-D", "--undefined-only", path], capture_output=True, text=True).stdout.splitlines()}
        assert not names & {"exit", "_exit", "abort", "printf", "puts", "putchar", "fprintf", "_ZSt4cerr", "_ZSt4cout", "perror", "__assert_fail"}, path.name


# ------------------------------------------------------------------------------------------------------------- the example

def compiler():
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return "gcc"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The program of examples/embed, as strictly as can be, and a potential for it"""
    folder = tmp_path_factory.mktemp("embed")
    flags = [shlex.split(CliRunner().invoke(main, ["config", part]).output) for part in ("--cflags", "--libs")]
    built = subprocess.run([compiler(), "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", *flags[0], ROOT / "examples/embed/embed.c", *flags[1], "-lm", "-o", folder / "embed"],
                           capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    silicon().save(folder / "silicon.nnp")
    return folder / "embed", folder / "silicon.nnp"


def test_the_example_in_c_runs_dynamics_and_keeps_the_energy(example):
    done = subprocess.run(example, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    potential = [float(e) for e in re.findall(r"potential (\S+) eV", done.stdout)]
    total = [float(e) for e in re.findall(r"total (\S+) eV", done.stdout)]
    assert len(total) == 4 and max(total) - min(total) < 1e-3 and max(potential) - min(potential) > 0.05  # there was something to keep


@pytest.mark.parametrize("arguments, message", [(["none.nnp"], "fastmd_load: none.nnp: cannot be opened (code 2)"), ([], "usage"), (["/dev/null"], "(code 2)")])
def test_the_example_in_c_says_what_is_wrong(example, arguments, message):
    done = subprocess.run([example[0], *arguments], capture_output=True, text=True)
    assert done.returncode == 1 and message in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
def test_valgrind_finds_nothing_in_the_example(example, threads):
    """FASTMD_ISA=avx2 valgrind --leak-check=full embed silicon.nnp: no error, and nothing is lost."""
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    done = subprocess.run(["valgrind", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect", *example], capture_output=True, text=True,
                          env={**os.environ, "FASTMD_ISA": "avx2", "FASTMD_THREADS": threads})
    assert done.returncode == 0 and "ERROR SUMMARY: 0 errors" in done.stderr, done.stdout + done.stderr


def test_config_prints_what_a_compiler_takes():
    flags = {part: shlex.split(CliRunner().invoke(main, ["config", *part]).output) for part in ((), ("--cflags",), ("--libs",), ("--cflags", "--libs"))}
    assert flags[()] == flags["--cflags", "--libs"] == flags[("--cflags",)] + flags[("--libs",)]
    (include,), (lib, rpath, name) = flags[("--cflags",)], flags[("--libs",)]
    assert (Path(include.removeprefix("-I")) / "fastmd.h").is_file() and (Path(lib.removeprefix("-L")) / "libfastmd.so").is_file() and name == "-lfastmd"
    assert rpath == "-Wl,-rpath," + lib.removeprefix("-L")


def test_the_version_of_the_interface_is_that_of_the_header():
    assert C.fastmd_abi() == int(re.search(r"#define FASTMD_ABI (\d+)", HEADER)[1])
