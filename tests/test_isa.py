"""Instruction sets, the mode of the floating-point unit, NaN checks, other libraries' threads: what a flag of the compiler or a second library could spoil."""

import ast
import multiprocessing
import platform
import threading
from pathlib import Path

import numpy as np
import pytest

import fastmd
from fastmd import _core
from structures import random_potential, random_structure
from test_potential import child, same_bits

ROOT = Path(__file__).parent.parent
BUILT = sorted(p.stem.removeprefix("libfastmd_") for p in (Path(fastmd.__file__).parent / "lib").glob("libfastmd_*.so"))
ISAS = _core.isas()

# The word that says how this thread treats subnormal numbers: MXCSR (bit 6: inputs, bit 15: results become zero), on ARM FPCR (bits 24, 19).
MODE = """
import ctypes, platform
_state = ctypes.create_string_buffer(64)
def flushed():
    assert ctypes.CDLL("libm.so.6").fegetenv(_state) == 0
    x86 = platform.machine() == "x86_64"
    word = int.from_bytes(_state.raw[28:32] if x86 else _state.raw[:4], "little")
    return bool(word & ((1 << 6 | 1 << 15) if x86 else (1 << 24 | 1 << 19)))
"""


def test_no_flag_of_the_build_allows_the_compiler_to_forget_nan_or_subnormals():
    source = (ROOT / "setup.py").read_text()
    flags = {w for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.startswith("-") for w in n.value.split()}
    assert "-O3" in flags and any(f.startswith("-mavx") for f in flags)
    for spoils in ("fast-math", "-Ofast", "unsafe-math", "finite-math", "associative-math", "no-signed-zeros", "reciprocal-math", "daz", "ftz", "denormal"):
        assert [f for f in flags if spoils in f] == []


def test_the_word_of_the_floating_point_unit_is_read_right():
    if platform.machine() != "x86_64":
        pytest.skip("sets MXCSR by a machine instruction of x86-64")
    pytest.importorskip("torch")
    run = child(MODE + "import torch\nassert not flushed()\nassert torch.set_flush_denormal(True)\nassert flushed()\nprint('well')")
    assert run.stdout == "well\n", run.stderr


@pytest.mark.parametrize("isa", ISAS)
def test_import_and_threaded_kernels_leave_the_floating_point_unit_as_it_was(isa):
    run = child("import fastmd\n" + MODE + """
import threading
import numpy as np
import structures
tiny = np.array([5e-324, 1e-310])
def look(when):
    assert not flushed() and (tiny * 1 != 0).all() and (tiny / 2)[1] == 5e-311, when
look("after the import")
p = structures.random_potential(np.random.default_rng(0), threads=3)
atoms = structures.random_structure(np.random.default_rng(0), 75).repeat((1, 1, 2))
p.compute(atoms)
look("after a threaded call")
def other():
    p.compute(atoms)
    look("in another thread")
    well.append(True)
well = []
for _ in range(2):
    t = threading.Thread(target=other)
    t.start()
    t.join()
fastmd.Network.random(3, (4,), rng=1).evaluate(np.ones((100, 3)), threads=2)
look("after a network")
print("well", len(well))
""", FASTMD_ISA=isa)
    assert run.stdout == "well 2\n", run.stderr


@pytest.mark.parametrize("isa", ISAS)
def test_subnormal_numbers_go_through_the_kernels(isa):
    """A linear network of one weight: E = w G + b with w, b subnormal, and G = 0 for a lone atom, 1 for the network alone"""
    run = child("""
import numpy as np
from ase import Atoms
from fastmd import G1, Network, NNPotential
for b in (5e-324, -3e-310, 2.0**-1022):
    n = Network((([[b]], [0.0], "identity"),))
    E, dG = n.evaluate(np.ones((20, 1)), threads=2)
    assert (E == b).all() and (dG == b).all(), (b, E, dG)
    p = NNPotential({"H": [G1("H", 3.0)]}, {"H": Network((([[1.0]], [b], "identity"),))})
    assert p.compute(Atoms("H")).energy == b
print("well")
""", FASTMD_ISA=isa)
    assert run.stdout == "well\n", run.stderr


@pytest.mark.parametrize("isa", ISAS)
def test_nan_and_infinity_are_errors_and_never_results(isa):
    run = child("""
import numpy as np
from ase import Atoms
import structures
from fastmd import G1, Network, NNPotential, _core
def said(f, *args, **kwargs):
    try:
        r = f(*args, **kwargs)
    except ValueError as e:
        return str(e)
    raise AssertionError(f"no error but {r}")
p = structures.random_potential(np.random.default_rng(0))
atoms = structures.random_structure(np.random.default_rng(0), 40)
for bad in (np.nan, -np.nan, np.inf, -np.inf):
    for at in (0, 21, 39):
        a = atoms.copy()
        a.positions[at, 1] = bad
        assert f"positions: expected finite numbers, atom {at}" in said(p.compute, a)
    assert "finite" in said(Network, (([[bad]], [0.0], "tanh"),))
    assert "finite" in said(Network, (([[1.0]], [bad], "tanh"),))
    assert "finite" in said(Network.random(2, (3,), rng=1).evaluate, np.array([[1.0, bad]] * 9))
    text = p.text()
    weight = text[text.index("layer"):].split(chr(10))[1].split()[0]
    assert "finite number" in said(NNPotential._parse, text.replace(weight, str(bad)).encode(), "p")
# finite numbers that overflow on the way: inf - inf, 0 * inf
H2 = Atoms("H2", positions=[[0, 0, 0], [1, 0, 0]])
for layers in ((([[1e300]], [0.0], "identity"), ([[1e300]], [0.0], "identity")),
               (([[1e300], [1e300]], [0.0, 0.0], "identity"), ([[1e300, -1e300]], [0.0], "identity")),
               (([[-1e300]], [0.0], "exp"), ([[0.0]], [0.0], "identity")),
               (([[1e200]], [0.0], "harmonic"), ([[1.0]], [0.0], "identity"))):
    assert "not finite" in said(NNPotential({"H": [G1("H", 3.0)]}, {"H": Network(layers)}).compute, H2), layers
print("well")
""", FASTMD_ISA=isa)
    assert run.stdout == "well\n", run.stdout + run.stderr


def test_an_instruction_set_that_this_cpu_lacks_is_refused_by_name():
    missing = [isa for isa in BUILT if isa not in ISAS]
    if not missing:
        pytest.skip("this CPU runs all instruction sets of the build")
    for isa in missing:
        run = child("import fastmd\nfrom fastmd import _core\ntry:\n    print(_core.isa())\nexcept ValueError as e:\n    print(e)", FASTMD_ISA=isa)
        assert run.returncode == 0 and f"FASTMD_ISA={isa}: this build and CPU have" in run.stdout and f"{isa} (not on this CPU)" in run.stdout, run.stdout + run.stderr


def test_each_instruction_set_that_the_library_knows_was_built_and_the_fastest_is_taken():
    assert set(ISAS) <= set(BUILT)
    for isa in ISAS:
        run = child("from fastmd import _core\nprint(_core.isa())", FASTMD_ISA=isa)
        assert run.stdout.strip() == isa, run.stderr
    assert child("from fastmd import _core\nprint(_core.isa())", FASTMD_ISA="").stdout.strip() == ISAS[-1]


# ---- beside the threads of others

PARALLEL = """
import numba, numpy as np
@numba.njit(parallel=True, fastmath=True)
def total(x):
    s = 0.0
    for k in numba.prange(len(x)):
        s += np.tanh(x[k])
    return s
x = np.linspace(0, 1, 100000)
total(x)
"""
COMPUTE = """
import numpy as np
import structures
p = structures.random_potential(np.random.default_rng(1), threads=3)
atoms = structures.random_structure(np.random.default_rng(5), 75)
r = p.compute(atoms)
"""


@pytest.mark.parametrize("order", [PARALLEL + COMPUTE, COMPUTE + PARALLEL], ids=["numba first", "numba second"])
def test_numba_imported_first_or_second_changes_no_bit(order):
    p = random_potential(np.random.default_rng(1))
    expected = p.compute(random_structure(np.random.default_rng(5), 75))
    run = child(order + MODE + "again = p.compute(atoms)\nassert again.forces.tobytes() == r.forces.tobytes() and again.energy == r.energy\n"
                "assert np.isfinite(total(x)) and not flushed()\nprint(r.energy.hex(), r.forces.tobytes().hex())")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [expected.energy.hex(), expected.forces.tobytes().hex()]


def _send(p, atoms, pipe):
    pipe.send([p.compute(a) for a in atoms])
    pipe.close()


def test_a_child_forked_while_other_threads_compute_gets_the_same_bits():
    p = random_potential(np.random.default_rng(1), threads=3)
    atoms = [random_structure(np.random.default_rng(k), 75).repeat((1, 1, 2)) for k in range(2)]
    expected = [p.compute(a) for a in atoms]
    stop, wrong = threading.Event(), []

    def work(k):
        try:
            while not stop.is_set():
                same_bits(p.compute(atoms[k]), expected[k])
        except BaseException as e:
            wrong.append(e)

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(2)]
    for t in threads:
        t.start()
    context = multiprocessing.get_context("fork")
    try:
        for _ in range(5):
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(p, atoms, there))
            process.start()
            there.close()
            try:
                assert here.poll(60), "the child hangs"
                for got, want in zip(here.recv(), expected, strict=True):
                    same_bits(got, want)
                process.join(60)
                assert process.exitcode == 0
            finally:
                process.kill()
    finally:
        stop.set()
        for t in threads:
            t.join(60)
    assert not wrong and not any(t.is_alive() for t in threads)


@pytest.mark.parametrize("first", [True, False], ids=["torch computes first", "fastmd computes first"])
def test_python_threads_with_torch_and_fastmd_at_once_change_no_bit(first):
    pytest.importorskip("torch")
    p = random_potential(np.random.default_rng(1))
    expected = p.compute(random_structure(np.random.default_rng(5), 75))
    run = child(("import torch\ntorch.randn(300, 300) @ torch.randn(300, 300)\n" if first else "") + COMPUTE + """
import threading
import torch
wrong = []
m = torch.randn(300, 300)
product = m @ m
def mine():
    for _ in range(10):
        if p.compute(atoms).forces.tobytes() != r.forces.tobytes():
            wrong.append("fastmd")
def theirs():
    for _ in range(10):
        if not torch.allclose(m @ m, product):
            wrong.append("torch")
threads = [threading.Thread(target=f) for f in (mine, theirs, mine, theirs)]
for t in threads:
    t.start()
for t in threads:
    t.join()
assert not wrong, wrong
print(r.energy.hex(), r.forces.tobytes().hex())
""")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [expected.energy.hex(), expected.forces.tobytes().hex()]
