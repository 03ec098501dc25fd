"""Labelled structures: from any file that ASE reads to energies, forces and stresses with masks, split by group."""

import hashlib
from dataclasses import dataclass

import ase.io
import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from .. import _check, runner

_PREFIXES = ("", "REF_", "ref_", "DFT_", "dft_", "QM_")
_ENERGY = ("energy", "Energy", "free_energy", "TotEnergy")
_FORCES = ("forces", "force", "Forces")
_LARGEST = 1e12  # squares of more drown the rest
GROUPS = ("trajectory", "traj", "group", "config_type")


@dataclass
class Structure:
    """atoms; energy eV or NaN; forces (n, 3) eV/angstrom, stress (3, 3) eV/angstrom^3, each NaN where there is no label; group: where it comes from"""

    atoms: object
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    group: str


def read(path, group=None):
    """The labelled structures of a file.

    Labels are taken from what ASE understands as results, else from info and arrays under energy, forces, stress or virial, also with a
    prefix such as REF_ or dft_ (a prefixed label wins: it is the one meant as reference).
    path : any format of ASE's;  group : the info key that says what belongs together (default: the first of trajectory, traj, group, config_type)
    Raises ValueError for a file that cannot be read, labels of a wrong shape or not finite, and where no structure has energy or forces.
    """
    frames = read_frames(path)
    structures = [_structure(a, k, path, group) for k, a in enumerate(frames)]
    if not any(np.isfinite(s.energy) or np.isfinite(s.forces).any() for s in structures):
        keys = sorted({k for a in frames for k in (*a.info, *a.arrays)} - {"numbers", "positions"})
        raise ValueError(f"{path}: no structure has an energy or forces. Wanted keys such as energy, forces, REF_energy, REF_forces; found {', '.join(keys) or 'none'}")
    return structures


def read_frames(path):
    """The ase.Atoms of a file: what ASE reads, or an input.data of RuNNer's (in bohr and hartree). Raises ValueError for a file that cannot be read, or is empty."""
    if runner.is_data(path):
        return list(runner.read_data(path))
    try:
        frames = ase.io.read(path, ":")
    except Exception as e:  # ASE's readers raise whatever their format trips over
        raise ValueError(f"{path}: ASE cannot read it ({type(e).__name__}: {e})") from None
    if not frames:
        raise ValueError(f"{path}: holds no structure")
    return frames


def _label(atoms, names, table):
    """(key, value) of the label that counts, or (None, None)"""
    for prefix in _PREFIXES[1:]:
        for name in names:
            if prefix + name in table:
                return prefix + name, table[prefix + name]
    results = atoms.calc.results if atoms.calc is not None else {}
    for name in names:
        if name in results:
            return name, results[name]
        if name in table:
            return name, table[name]
    return None, None


def labels(atoms):
    """{energy, forces, stress, virial: (key, value)}, (None, None) where there is no such label"""
    return {"energy": _label(atoms, _ENERGY, atoms.info), "forces": _label(atoms, _FORCES, atoms.arrays),
            "stress": _label(atoms, ("stress",), atoms.info), "virial": _label(atoms, ("virial",), atoms.info)}


def _numbers(key, x, shapes):
    """A label as finite floats of one of the shapes; six numbers are a tensor in Voigt's order. Raises ValueError."""
    try:
        kind, x = np.asarray(x).dtype.kind, np.asarray(x, float)
    except (TypeError, ValueError):
        raise ValueError(f"{key} is not numbers: {x!r}") from None
    if kind == "b":  # float() would make 1 eV of it
        raise ValueError(f"{key} is {bool(x.flat[0]) if x.size else 'empty'}, not numbers; {key} alone or {key}=T reads as true, write the numbers after {key}=")
    shape = next((s for s in shapes if x.size == np.prod(s, dtype=int)), None)
    if shape is None:
        raise ValueError(f"{key} has shape {x.shape}, expected {' or '.join(map(str, shapes))}")
    if not np.isfinite(x).all():
        raise ValueError(f"{key} holds NaN or infinity; leave the label out instead")
    if x.size and np.abs(x).max() > _LARGEST:
        raise ValueError(f"{key} holds {x.flat[np.abs(x).argmax()]:g}, beyond anything in eV and angstrom; leave the label out instead")
    return voigt_6_to_full_3x3_stress(x.reshape(6)) if shape == (6,) else x.reshape(shape)


def has_lattice(atoms):
    """Do the lattice vectors of the periodic directions span as many dimensions?"""
    vectors = atoms.cell.array[atoms.pbc]
    return bool(np.isfinite(atoms.cell.array).all() and np.linalg.matrix_rank(vectors) == len(vectors)) if len(vectors) else True


def _structure(atoms, k, path, group, problems=None):
    """A Structure. What is wrong raises ValueError; with a list of problems it is written there as (structure, message), and the label left out."""
    n = len(atoms)
    found = labels(atoms)

    def wrong(message):
        if problems is None:
            raise ValueError(f"{path}, structure {k}: {message}")
        problems.append((k, message))

    def array(name, *shapes):
        key, x = found[name]
        if key is not None:
            try:
                return _numbers(key, x, shapes)
            except ValueError as e:
                wrong(str(e))
        return np.full(shapes[0], np.nan)

    if not np.isfinite(atoms.positions).all():
        wrong("positions hold NaN or infinity")
    if not np.isfinite(atoms.cell.array).all():
        wrong(f"its cell {atoms.cell.array.tolist()} holds NaN or infinity")
    elif np.all(atoms.pbc) and not has_lattice(atoms):
        wrong(f"is periodic in three directions, but its cell {atoms.cell.array.tolist()} has no volume")
    energy = float(array("energy", ()))
    forces = array("forces", (n, 3))
    stress = np.full((3, 3), np.nan)
    if np.all(atoms.pbc) and has_lattice(atoms):
        stress = array("stress", (3, 3), (6,)) if found["stress"][0] else -array("virial", (3, 3), (6,)) / atoms.get_volume()
    if group is not None and group not in atoms.info:
        wrong(f"has no '{group}' in its info line; found {', '.join(atoms.info) or 'nothing'}")
        group = None
    key = group or next((g for g in GROUPS if g in atoms.info), None)
    bare = atoms.copy()
    bare.calc = None
    bare.set_constraint()
    return Structure(bare, energy, forces, stress, str(atoms.info[key]) if key else "")


def split(structures, fraction, seed, by=None):
    """(training, validation): whole groups are held out where the structures say which trajectory they are from, else every group gives its share.

    fraction : about how much of the data is held out, 0 to 0.9
    by : True: whole groups; False: from each group its share; None: whole groups if there are at least five of at most a quarter of the data
    """
    if _check.number("fraction", fraction, at_least=0) > 0.9:
        raise ValueError(f"fraction must be a share of the data from 0 to 0.9, got {fraction}")
    rng = np.random.default_rng(seed)
    names = [s.group for s in structures]
    groups = sorted(set(names))
    sizes = {g: names.count(g) for g in groups}
    wanted = fraction * len(structures)
    if fraction <= 0 or len(structures) < 2:
        return list(structures), []
    if by is None:
        by = len(groups) >= 5 and max(sizes.values()) <= max(1, len(structures) / 4) and any(k in structures[0].atoms.info for k in GROUPS[:3])
    if by:
        if len(groups) < 2:
            raise ValueError(f"validation by group: there is only one group, {groups[0]!r}")
        held, n = set(), 0
        for g in rng.permutation(groups):
            if n < wanted and len(held) < len(groups) - 1:
                held.add(g)
                n += sizes[g]
        chosen = [k for k, g in enumerate(names) if g in held]
    else:
        chosen = []
        for g in groups:
            members = [k for k, name in enumerate(names) if name == g]
            share = fraction * len(members)
            count = int(share) + int(rng.random() < share - int(share))  # small groups give one now and then
            chosen += list(rng.permutation(members)[:count])
        if not chosen:
            chosen = [int(rng.integers(len(structures)))]
    chosen = set(int(k) for k in chosen)
    return [s for k, s in enumerate(structures) if k not in chosen], [s for k, s in enumerate(structures) if k in chosen]


def offsets(structures, elements, given=None):
    """{element: eV}: least squares of the energies on the composition; of minimum norm where that does not fix them all. `given` ones stay."""
    given = dict(given or {})
    unknown = [e for e in elements if e not in given]
    rows, rest = [], []
    for s in structures:
        if np.isfinite(s.energy):
            symbols = s.atoms.get_chemical_symbols()
            rows.append([symbols.count(e) for e in unknown])
            rest.append(s.energy - sum(given[e] * symbols.count(e) for e in elements if e in given))
    if unknown and rows:
        given |= dict(zip(unknown, np.linalg.lstsq(np.array(rows, float), np.array(rest), rcond=1e-10)[0].tolist()))
    return {e: float(given.get(e, 0.0)) for e in elements}


def fingerprint(structures):
    """A hash of everything trained on, for the potential file."""
    h = hashlib.sha256()
    for s in structures:
        for x in (s.atoms.numbers, s.atoms.positions, np.asarray(s.atoms.cell), s.atoms.pbc, s.energy, s.forces, s.stress):
            h.update(np.ascontiguousarray(x).tobytes())
    return h.hexdigest()[:16]
