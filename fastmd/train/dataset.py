"""Labelled structures: from any file that ASE reads to energies, forces and stresses with masks, split by group."""

import hashlib
from dataclasses import dataclass

import ase.io
import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

_PREFIXES = ("", "REF_", "ref_", "DFT_", "dft_", "QM_")
_ENERGY = ("energy", "Energy", "free_energy", "TotEnergy")
_FORCES = ("forces", "force", "Forces")
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
    try:
        frames = ase.io.read(path, ":")
    except Exception as e:  # ASE's readers raise whatever their format trips over
        raise ValueError(f"{path}: ASE cannot read it ({type(e).__name__}: {e})") from None
    structures = [_structure(a, k, path, group) for k, a in enumerate(frames)]
    if not structures:
        raise ValueError(f"{path}: holds no structure")
    if not any(np.isfinite(s.energy) or np.isfinite(s.forces).any() for s in structures):
        keys = sorted({k for a in frames for k in (*a.info, *a.arrays)} - {"numbers", "positions"})
        raise ValueError(f"{path}: no structure has an energy or forces. Wanted keys such as energy, forces, REF_energy, REF_forces; found {', '.join(keys) or 'none'}")
    return structures


def _label(atoms, names, table):
    for prefix in _PREFIXES[1:]:
        for name in names:
            if prefix + name in table:
                return table[prefix + name]
    results = atoms.calc.results if atoms.calc is not None else {}
    for name in names:
        if name in results:
            return results[name]
        if name in table:
            return table[name]
    return None


def _structure(atoms, k, path, group):
    where = f"{path}, structure {k}"
    n = len(atoms)
    energy = _label(atoms, _ENERGY, atoms.info)
    forces = _label(atoms, _FORCES, atoms.arrays)
    stress = _label(atoms, ("stress",), atoms.info)
    virial = _label(atoms, ("virial",), atoms.info)

    def array(x, name, shape):
        try:
            x = np.asarray(x, float)
        except (TypeError, ValueError):
            raise ValueError(f"{where}: {name} is not numbers: {x!r}") from None
        if x.size != np.prod(shape, dtype=int):
            raise ValueError(f"{where}: {name} has shape {x.shape}, expected {shape}")
        if not np.isfinite(x).all():
            raise ValueError(f"{where}: {name} holds NaN or infinity; leave the label out instead")
        return x.reshape(shape)

    def tensor(x, name):
        x = np.asarray(x)
        return voigt_6_to_full_3x3_stress(array(x, name, (6,))) if x.size == 6 else array(x, name, (3, 3))

    if not np.isfinite(atoms.positions).all():
        raise ValueError(f"{where}: positions hold NaN or infinity")
    if np.all(atoms.pbc) and not atoms.cell.rank == 3:
        raise ValueError(f"{where}: is periodic in three directions, but its cell {atoms.cell.array.tolist()} has no volume")
    energy = np.nan if energy is None else float(array(energy, "energy", ()))
    forces = np.full((n, 3), np.nan) if forces is None else array(forces, "forces", (n, 3))
    if np.all(atoms.pbc) and (stress is not None or virial is not None):
        stress = tensor(stress, "stress") if stress is not None else -tensor(virial, "virial") / atoms.get_volume()
    else:
        stress = np.full((3, 3), np.nan)
    if group is not None and group not in atoms.info:
        raise ValueError(f"{where}: has no '{group}' in its info line; found {', '.join(atoms.info) or 'nothing'}")
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
