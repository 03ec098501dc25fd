"""How fast energies and forces are, beside what the machine gives: each figure that is claimed, with its limit and whether it is met.

    python bench/yardstick.py                                   # all of it, some minutes; leave the machine alone meanwhile
    python bench/yardstick.py --only si-wide --only water       # seconds

The folder that FASTMD_TEST_DATA names holds two programs that do one system each as fast as one core can, and know nothing else (yardstick/si_limit.cpp,
water_limit.cpp), and potentials with the energies and forces that n2p2 finds (golden/). The programs are compiled here, for this machine's vectors. Since
machines differ and have moods, only the ratio to a program that runs in the same minutes counts.

What a time is made of: one call of `potential.evaluate` in double or mixed precision on one thread, pinned to one CPU: energies, forces and virial, the
neighbour list given. The programs do the same without the virial. Every answer is found right before it is timed. Programs and cases take turns, in each
round one after the other and from another first one: the best of a few passes counts, for both alike, a ratio is one of two times of the same round, and
the table has the medians over the rounds.

Memory is the peak of a fresh process that does nothing else, its interpreter and libraries included, less the positions and the list that were handed to it.
"""

import datetime
import json
import multiprocessing
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import click
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.units import Bohr
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

import fastmd
from fastmd import _check, _core
from fastmd._progress import Bar

PASSES = 5            # of which the best counts, for programs and fastmd alike
BITS = (1, 2, 3, 7)   # threads that have to give the same bits
LARGEST = 10**6
STARTS = 6            # runs in each precision, from which the error of a slope is known


@dataclass(frozen=True)
class Case:
    """A golden configuration, and how many times a program's time it may take per atom"""

    set: str
    config: str
    precision: str
    over: str
    limit: float


CASES = {
    "si-wide": Case("Si_bench_wide", "config00", "float64", "si_limit float64", 1.0),
    "si-wide-mixed": Case("Si_bench_wide", "config00", "mixed", "si_limit float64", 0.8),
    "si-narrow": Case("Si_bench_narrow", "config00", "float64", "si_limit float64", 1.2),
    "water": Case("H2O_RPBE-D3", "config04", "float64", "water_limit float64", 1.5),
    "water-mixed": Case("H2O_RPBE-D3", "config04", "mixed", "water_limit float32", 1.5),
    "cu2s": Case("Cu2S_PBE", "config03", "float64", "si_limit float64", 5.0),
    "ethylbenzene": Case("Ethylbenzene_SCAN", "config00", "float64", "si_limit float64", 60.0),
}
RIGHT = {"float64": (1e-10, 1e-9), "mixed": (1e-5, 1e-4)}  # largest error of the energy, and of a force in units of the largest force
SETS = {"Si_bench_wide": "angstrom eV", "Si_bench_narrow": "angstrom eV", "Cu2S_PBE": "angstrom eV",
        "H2O_RPBE-D3": "bohr hartree", "H2O_BLYP": "bohr hartree", "Ethylbenzene_SCAN": "bohr hartree"}
PARTS = (*CASES, "mixed-forces", "mixed-nve", "scaling", "memory", "threads", "overheads")
NEED_DATA = (*CASES, "mixed-forces", "mixed-nve")

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)


class Wrong(Exception):
    """An answer that is not right: its time is of no interest."""


@dataclass
class Row:
    """One line of the table. The limit is one of the ratio where there is one, else of the figure; no figure means that none could be had."""

    part: str
    what: str
    figure: float | None
    unit: str = ""
    ratio: float | None = None
    over: str = ""
    limit: float | None = None
    at_least: bool = False                      # the limit is one from below
    notes: dict = field(default_factory=dict)   # for the JSON

    @property
    def met(self):
        if self.limit is None:
            return None
        value = self.figure if self.ratio is None else self.ratio
        return value is not None and bool(value >= self.limit if self.at_least else value <= self.limit)


# ------------------------------------------------------------------------------------------------------ taking turns

def in_turns(jobs, rounds, tick):
    """{name: (rounds,)}: what each job returns, the jobs one after the other in each round, from another first one."""
    found, names = {name: [] for name in jobs}, list(jobs)
    for r in range(rounds):
        first = r % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(jobs[name]())
        tick()
    return {name: np.array(x) for name, x in found.items()}


def compared(times, other):
    """(median of the ratios within a round, their quartiles)"""
    low, middle, high = np.quantile(times / other, (0.25, 0.5, 0.75))
    return float(middle), [float(low), float(high)]


def best_of(call, n):
    """A job: microseconds per atom, the best of some passes"""
    def job():
        times = []
        for _ in range(PASSES):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return 1e6 * min(times) / n
    return job


@contextmanager
def on_one_cpu():
    """The last of ours, since the first has more interrupts to serve; programs that are started here stay there too."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(all_of_them)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def call_of(potential, atoms, pairs):
    kinds, cell = potential.species(atoms.get_chemical_symbols()), np.array(atoms.cell)
    return lambda: potential.evaluate(kinds, atoms.positions, cell, pairs)


# ------------------------------------------------------------------------------------- the programs and the golden data

def lacking(data):
    """A sentence that says what there is not, or None"""
    if data is None:
        return "FASTMD_TEST_DATA is not set: it names the folder with golden/ and yardstick/; rows that need neither follow."
    for wanted in (*(f"yardstick/{name}.cpp" for name in ("si_limit", "water_limit")), *(f"golden/{name}/input.nn" for name in SETS)):
        if not (data / wanted).exists():
            return f"FASTMD_TEST_DATA: there is no {data / wanted}; rows that need neither golden data nor the programs follow."
    if not shutil.which("g++"):
        return "The programs to compare with need g++, which is not there; rows that need neither follow."
    if vectors() is None:
        return "The programs to compare with need AVX-512, or AVX2 and FMA, which this CPU lacks; rows that need neither follow."
    return None


def vectors():
    """The compiler's flags for this CPU, as the heads of the programs say them; None where it has not what they need"""
    try:
        has = set(next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return None
    if "avx512f" in has:
        return ["-march=native", "-mprefer-vector-width=512"]
    return ["-mavx2", "-mfma", "-mpopcnt", "-DVB=32"] if {"avx2", "fma", "popcnt"} <= has else None


def programs(data, folder):
    """{"si_limit float64": job, ...}, compiled; a job returns microseconds per atom. Raises ClickException for one that does not compile or is not right."""
    water = folder / "water.bin"
    write_water(data / "golden" / "H2O_RPBE-D3", water)
    own = {"si_limit": ["-fopenmp-simd"], "water_limit": ["-std=c++17", "-fno-pie", "-no-pie"]}
    compilers, jobs = {}, {}
    for name, flags in own.items():
        for precision, real in (("float64", "double"), ("float32", "float")):
            command = ["g++", "-O3", "-ffast-math", *vectors(), *flags, f"-DREAL={real}", data / "yardstick" / f"{name}.cpp"]
            command += ["-o", folder / f"{name}_{precision}"]
            compilers[f"{name} {precision}"] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for name, compiler in compilers.items():
        said, _ = compiler.communicate()
        if compiler.returncode:
            raise click.ClickException(f"{name} does not compile:\n{said}")
        jobs[name] = program(name, [folder / name.replace(" ", "_"), str(PASSES), *([water] if name.startswith("water") else [])])
    return jobs


def program(name, command):
    """A job that runs it and reads microseconds per atom from what it prints; job.said is its last line"""
    def job():
        ran = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"us/atom(?:=| best )([0-9.]+)", ran.stdout)
        if ran.returncode or not found:  # water_limit looks at its energy and forces itself
            raise click.ClickException(f"{name} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        job.said = ran.stdout.splitlines()[-1]
        return float(found[1])
    return job


def golden(data, name, config, units):
    """(potential, atoms, energy, forces) in the units named; "angstrom eV" takes the numbers of the files as they are"""
    length, energy = units.split()
    x = np.load(data / "golden" / name / f"{config}.npz")
    potential = fastmd.NNPotential.from_runner(data / "golden" / name, length=length, energy=energy)
    potential.threads = 1
    size = {"bohr": Bohr, "angstrom": 1.0}[length]
    atoms = Atoms(list(map(str, x["elements"])), x["positions"] * size, cell=x["cell"] * size, pbc=x["pbc"])
    return potential, atoms, float(x["energy"]), x["forces"]


def write_water(folder, path):
    """What water_limit reads: all numbers as float64, in the files' own units.

        atoms N, energy, energy per atom to add, factor to divide energies by, cell 9 | elements N | positions 3N | forces 3N | first N+1 | j P | d 3P
        for each element: functions m; m rows (kind, element, other element or -1, eta, rs, lambda, zeta, cutoff); mean m; 1 / (max - min) m;
        number of weights, and these: W (input by input) and bias of each layer

    The neighbours of an atom are all within the cutoff, sorted by element.
    """
    p, atoms, energy, forces = golden(folder.parents[1], folder.name, "config04", "angstrom eV")
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    kinds = p.species(atoms.get_chemical_symbols())
    order = np.lexsort((pairs.j, kinds[pairs.j], pairs.i))
    parts = [[len(atoms), energy, p.offsets[p.elements[0]], 1.0], atoms.cell, kinds, atoms.positions, forces, pairs.first, pairs.j[order], pairs.d[order]]
    number = {e: k for k, e in enumerate(p.elements)}
    for e in p.elements:
        low, high, mean, _ = p.statistics[e].T
        rows = [(*((2, number[f.elements[0]], -1) if f.kind == 2 else (3, *sorted(number[x] for x in f.elements))), f.eta, f.rs, f.lambda_, f.zeta, f.cutoff)
                for f in p.functions[e]]
        weights = [x.ravel() for w, b, _ in p.networks[e].layers for x in (w.T, b)]
        parts += [[len(rows)], rows, mean, 1 / (high - low), [sum(map(len, weights))], *weights]
    np.concatenate([np.ravel(np.asarray(x, float)) for x in parts]).tofile(path)


def case(name, data):
    """A job, made after a look at the answer"""
    c = CASES[name]
    p, atoms, energy, forces = golden(data, c.set, c.config, "angstrom eV")
    p.precision = c.precision
    pairs = fastmd.find_pairs(atoms, p.cutoff)
    found = p.compute(atoms, pairs)
    off = abs(found.energy / energy - 1), np.abs(found.forces - forces).max() / np.abs(forces).max()
    if not all(x <= most for x, most in zip(off, RIGHT[c.precision])):
        raise Wrong(f"energy off by {off[0]:.1e}, forces by {off[1]:.1e} of the largest")
    if c.precision != "float64" and off[1] <= RIGHT["float64"][1]:
        raise Wrong(f"forces as good as in double precision: {c.precision} was not used")
    job = best_of(call_of(p, atoms, pairs), len(atoms))
    job.atoms, job.said = len(atoms), f"energy off by {off[0]:.1e}, forces by {off[1]:.1e} of the largest"
    return job


def beside_programs(names, data, rounds, tick):
    """Rows of the programs and of the cases named"""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        jobs = programs(data, Path(folder))
        tick(4)
        with on_one_cpu():
            for name in names:
                try:
                    jobs[name] = case(name, data)
                except Wrong as e:
                    rows.append(Row(name, f"{CASES[name].set}, {CASES[name].precision}: {e}", None, limit=CASES[name].limit))
            times = in_turns(jobs, rounds, tick)
    for name, job in jobs.items():
        figure = float(np.median(times[name]))
        if name not in CASES:
            rows.append(Row("programs", name, figure, "µs/atom", notes={"says": job.said}))
            continue
        c = CASES[name]
        ratio, quartiles = compared(times[name], times[c.over])
        rows.append(Row(name, f"{c.set}, {job.atoms} atoms, {c.precision}", figure, "µs/atom", ratio, c.over, c.limit,
                        notes={"quartiles of the ratio": quartiles, "answer": job.said}))
    return rows


def mixed_forces(data, tick):
    """How far forces in mixed precision are from those in double, for each golden set: the largest RMS of its configurations"""
    rows = []
    for name, units in SETS.items():
        rms = []
        for path in sorted((data / "golden" / name).glob("config*.npz")):
            p, atoms, _, _ = golden(data, name, path.stem, units)
            pairs = fastmd.find_pairs(atoms, p.cutoff)
            double = p.compute(atoms, pairs).forces
            p.precision = "mixed"
            rms.append(float(np.sqrt(np.mean((p.compute(atoms, pairs).forces - double) ** 2))))
        rows.append(Row("mixed-forces", f"{name}: forces, mixed - float64, RMS", max(rms), "eV/Å", limit=2e-5) if min(rms) else
                    Row("mixed-forces", f"{name}: the bits of float64, mixed was not used", None, limit=2e-5))
        tick()
    return rows


def mixed_nve(data, tick, picoseconds=20):
    """Slope of the total energy at constant energy, mixed beside double precision: 48 atoms of water that begin with velocities of 300 K"""
    runs = [(precision, start) for start in range(1, STARTS + 1) for precision in ("float64", "mixed")]
    energies = {}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:  # side by side: their time is of no interest
        jobs = {pool.submit(energies_of_a_run, data, *run, picoseconds): run for run in runs}
        for job in as_completed(jobs):
            energies[jobs[job]] = job.result()
            tick()
    if np.array_equal(energies["float64", 1][1], energies["mixed", 1][1]):
        return [Row("mixed-nve", "energy at constant energy: the bits of float64, mixed was not used", None, limit=3)]
    slopes = [[np.polyfit(*energies[precision, start], 1)[0] for start in range(1, STARTS + 1)] for precision in ("float64", "mixed")]
    change, error = difference(*slopes)
    return [Row("mixed-nve", f"H2O_RPBE-D3, 48 atoms, {STARTS} x {picoseconds:g} ps: slope of energy, mixed - float64", 1000 * change, "µeV/atom/ps",
                abs(change) / error, "its standard error", 3, notes={"meV/atom/ps": dict(zip(("float64", "mixed"), slopes)) | {"standard error": error}})]


def energies_of_a_run(data, precision, start, picoseconds):
    """(times in ps, total energies in meV/atom), velocity Verlet with steps of half a femtosecond"""
    p, atoms, _, _ = golden(data, "H2O_RPBE-D3", "config01", "bohr hartree")
    p.precision = precision
    fastmd.maxwell_boltzmann(atoms, 300, rng=start)
    thermo = fastmd.MD(atoms, p, timestep=0.5, extrapolation="ignore").run(round(2000 * picoseconds), every=5, progress=False)
    return thermo.times, 1000 * (thermo.total - thermo.total[0]) / len(atoms)


def difference(one, other):
    """(mean of other - mean of one, its standard error), the latter from how much each differs from start to start: within a run the energy wanders, and
    what is left over of a line through it says too little of how well its slope is known"""
    return float(np.mean(other) - np.mean(one)), float(np.sqrt(np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other)))


# --------------------------------------------------------------------------------------------------- silicon of any size

@lru_cache(1)
def silicon_potential():
    """8 G2 + 16 G5 and a network 24-20-20-1 with random weights: what si_limit computes"""
    G2 = zip((0.01, 0.05, 0.1, 0.3, 0.6, 1, 2, 4), (0, 0, 0, 0, 1, 2, 3, 4))
    functions = {"Si": [fastmd.G2("Si", 6.0, eta, rs, "cosine") for eta, rs in G2]
                 + [fastmd.G5("Si", "Si", 6.0, eta, lambda_, zeta, "cosine") for eta in (0.01, 0.05) for lambda_ in (1, -1) for zeta in (1, 2, 4, 16)]}
    G = fastmd.Descriptor(functions).describe(silicon(5)[0])["Si"]
    statistics = {"Si": np.column_stack([G.min(0), G.max(0), G.mean(0), G.std(0)])}
    return fastmd.NNPotential(functions, {"Si": fastmd.Network.random(24, (20, 20), rng=3)}, ("center-minmax", 0, 1), statistics, threads=1)


@lru_cache(8)
def silicon(cells):
    """(atoms, pairs) of 8 cells^3 atoms"""
    atoms = bulk("Si", "diamond", a=5.431, cubic=True) * (cells, cells, cells)
    atoms.positions += np.random.default_rng(1).normal(0, 0.05, atoms.positions.shape)
    return atoms, fastmd.find_pairs(atoms, 6.0)


def cells_of(n):
    return round((n / 8) ** (1 / 3))


def scaling(rounds, tick, largest=LARGEST):
    """Time per atom from a thousand atoms on, in steps of ten"""
    sizes = [n for n in (10**3, 10**4, 10**5, 10**6) if n <= largest]

    def job(n):
        atoms, _ = made = silicon(cells_of(n))
        call, repeats = call_of(silicon_potential(), *made), max(1, min(largest, 10**5) // n)

        def mean():  # not the best, as there is only one pass of the largest
            began = time.perf_counter()
            for _ in range(repeats):
                call()
            return 1e6 * (time.perf_counter() - began) / (repeats * len(atoms))
        mean.atoms = len(atoms)
        return mean
    with on_one_cpu():
        jobs = {n: job(n) for n in sizes}
        times = {n: float(np.median(t)) for n, t in in_turns(jobs, rounds, tick).items()}
    rows = [Row("scaling", f"silicon, {jobs[n].atoms:,} atoms", t, "µs/atom") for n, t in times.items()]
    return [*rows, Row("scaling", "the slowest of these over the quickest", max(times.values()) / min(times.values()), limit=1.3)]


MEASURED = """
import json, sys
from pathlib import Path
import numpy as np
import fastmd

def kilobytes(what):  # of this process alone: getrusage has what was there before the exec, too
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(what + ":")))

folder, threads = Path(sys.argv[1]), int(sys.argv[2])
x, cell, first, j, shift = given = [np.load(folder / f"{name}.npy") for name in ("positions", "cell", "first", "j", "shift")]
pairs = fastmd.Pairs(first, j, shift, 6.0, x, cell, np.ones(3, np.int32))
p = fastmd.NNPotential.load(folder / "silicon.nnp")
p.threads = threads
kinds = np.full(len(x), p.species(["Si"])[0], np.int32)
before = kilobytes("VmRSS")
forces = p.evaluate(kinds, x, cell, pairs)[2]
assert np.isfinite(forces).all()
print(json.dumps({"atoms": len(x), "given": sum(a.nbytes for a in given), "before": 1024 * before, "peak": 1024 * kilobytes("VmHWM")}))
"""


def memory(tick, largest=LARGEST):
    """Peak of a fresh process, on all CPUs, atoms in the crystal's order and at random"""
    rows = []
    atoms, pairs = silicon(cells_of(largest))
    for order in ("", ", in random order"):
        if order:
            atoms = atoms[np.random.default_rng(2).permutation(len(atoms))]
            pairs = fastmd.find_pairs(atoms, 6.0)
        with tempfile.TemporaryDirectory() as folder:
            for name, x in (("positions", atoms.positions), ("cell", np.array(atoms.cell)), ("first", pairs.first), ("j", pairs.j), ("shift", pairs.shift)):
                np.save(Path(folder, f"{name}.npy"), x)
            silicon_potential().save(Path(folder, "silicon.nnp"))
            ran = subprocess.run([sys.executable, "-c", MEASURED, folder, str(len(os.sched_getaffinity(0)))], capture_output=True, text=True)
        if ran.returncode:
            raise click.ClickException(f"memory of {len(atoms):,} atoms: the process ended with {ran.returncode}\n{ran.stderr}")
        found = json.loads(ran.stdout)
        each = {name: (found["peak"] - found[name]) / found["atoms"] / 1000 for name in ("given", "before")}
        rows.append(Row("memory", f"{found['atoms']:,} atoms{order}: peak beyond positions and list", each["given"], "kB/atom", limit=1.5,
                        notes=found | {"kB an atom beyond all that was there before the call": each["before"]}))
        tick(2)
    return rows


def threads(rounds, tick):
    """Two threads beside one, and whether the bits are the same"""
    p, rows = silicon_potential(), []
    if len(os.sched_getaffinity(0)) > 1:
        jobs = {}
        for cells in (6, 10):
            atoms, pairs = silicon(cells)
            for n in (1, 2):
                jobs[cells, n] = best_of(with_threads(p, n, call_of(p, atoms, pairs)), len(atoms))
        times = in_turns(jobs, rounds, tick)
        for cells in (6, 10):
            ratio, quartiles = compared(times[cells, 1], times[cells, 2])
            rows.append(Row("threads", f"silicon, {8 * cells**3:,} atoms: speed of two threads", float(np.median(times[cells, 2])), "µs/atom",
                            ratio, "that of one", 1.8, True, {"quartiles of the ratio": quartiles}))
    else:
        console.print("Two threads beside one need two CPUs; this process may use one only.")
    for precision in ("float64", "mixed"):
        p.precision = precision
        bits = [[np.asarray(x).tobytes() for x in with_threads(p, n, call_of(p, *silicon(6)))()] for n in BITS]
        rows.append(Row("threads", f"of {', '.join(map(str, BITS))} threads, how many give other bits, {precision}", sum(b != bits[0] for b in bits), limit=0))
    p.precision, p.threads = "float64", 1
    return rows


def with_threads(potential, n, call):
    def run():
        potential.threads = n
        return call()
    return run


def overhead_rows(tick):
    """What Python adds, as test_overhead.py measures it"""
    from test_overhead import overheads  # beside this file

    with on_one_cpu():
        rows = [Row("overheads", name, microseconds, "µs", limit=limit) for name, microseconds, limit in overheads()]
    tick()
    return rows


# -------------------------------------------------------------------------------------------------------- what comes out

def machine():
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout.splitlines()[0] if shutil.which("g++") else "none"
    return {"date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "processor": processor(), "CPUs": len(os.sched_getaffinity(0)),
            "load before": os.getloadavg()[0], "system": platform.platform(), "instruction set": _core.isa(), "compiler": compiler,
            "flags of the programs": " ".join(vectors() or []), "fastmd": fastmd.__version__, "python": platform.python_version(), "numpy": np.__version__}


def processor():
    """Its name, from Linux where there is one"""
    try:
        return next(line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(rows):
    t = Table(box=SIMPLE)
    t.add_column("", overflow="fold")
    for name, justify in (("figure", "right"), ("ratio", "right"), ("limit", "right"), ("met", "left")):
        t.add_column(name, justify=justify, no_wrap=True)
    kind = lambda row: "case" if row.part in CASES else row.part  # noqa: E731
    for r, after in zip(rows, [*rows[1:], None]):
        t.add_row(f"{r.what}, over {r.over}" if r.over else r.what, f"{short(r.figure)} {r.unit}".strip() if r.figure is not None else "", short(r.ratio),
                  f"{'≥' if r.at_least else '≤'} {r.limit:g}" if r.limit is not None else "", {None: "", True: "yes", False: "[bold]NO[/bold]"}[r.met],
                  end_section=after is not None and kind(r) != kind(after))
    return t


def short(x):
    return "" if x is None else f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def measure(chosen, data, rounds):
    """The rows of the parts chosen, in the order of PARTS; the quick parts are done first, so that what is amiss shows early"""
    cases, some, few = [name for name in CASES if name in chosen], -(-rounds // 3), -(-rounds // 7)
    parts = {  # how many steps of the bar, and what to do
        "overheads": (1, overhead_rows),
        "mixed-forces": (len(SETS), lambda tick: mixed_forces(data, tick)),
        "mixed-nve": (2 * STARTS, lambda tick: mixed_nve(data, tick)),
        "threads": (some, lambda tick: threads(some, tick)),
        "cases": (rounds + 4, lambda tick: beside_programs(cases, data, rounds, tick)),
        "scaling": (few, lambda tick: scaling(few, tick)),
        "memory": (4, memory),
    }
    parts = [part for name, part in parts.items() if name in chosen or name == "cases" and cases]
    rows, done = [], 0
    with Bar("timing", sum(steps for steps, _ in parts)) as bar:
        def tick(n=1):
            nonlocal done
            done += n
            bar.show(done)
        for _, part in parts:
            rows += part(tick)
    return sorted(rows, key=lambda row: ("programs", *PARTS).index(row.part))


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), metavar="NAME",
              help=f"This part only; may be given several times. The parts: {', '.join(PARTS)}.")
@click.option("--rounds", default=21, show_default=True, type=click.IntRange(1),
              help="Rounds in which programs and cases take turns; a third of them for threads, a seventh for a million atoms.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write machine, rows, quartiles and verdicts here as well.")
def main(only, rounds, path):
    """Time fastmd beside two programs that show what one core gives, and hold every figure against its limit.

    FASTMD_TEST_DATA names the folder with these programs and with golden data; without it the rows that need neither are printed: scaling,
    memory, threads, overheads. The first lines of this file say what is timed, and how. A million atoms take about 5 GB of memory.

    \b
    Examples:
      FASTMD_TEST_DATA=folder python bench/yardstick.py --json yardstick.json
      python bench/yardstick.py --only scaling --only memory
      FASTMD_ISA=avx2 python bench/yardstick.py --only si-wide --rounds 51
    """
    data = Path(os.environ["FASTMD_TEST_DATA"]) if os.environ.get("FASTMD_TEST_DATA") else None
    chosen = list(only or PARTS)
    if any(name in NEED_DATA for name in chosen) and (sentence := lacking(data)):
        console.print(sentence)
        chosen = [name for name in chosen if name not in NEED_DATA]
    head = machine()
    for name, value in head.items():
        console.print(f"{name:>22s}  {value}")
    if head["load before"] > 0.5:
        console.print("The machine is busy: what runs long is disturbed more than what runs short, so ratios are off, and two threads have no two CPUs.")
    began = time.perf_counter()
    rows = measure(chosen, data, rounds)
    seconds = time.perf_counter() - began
    console.print(table(rows))
    limits = [r.met for r in rows if r.met is not None]
    console.print(f"{sum(limits)} of {len(limits)} limits met; {rounds} rounds, {seconds:.0f} s; "
                  f"load of the machine before {head['load before']:.1f}, now {os.getloadavg()[0]:.1f}")
    if path:
        found = {"machine": head, "rounds": rounds, "seconds": seconds, "rows": [asdict(r) | {"met": r.met} for r in rows]}
        _check.write_text(path, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
