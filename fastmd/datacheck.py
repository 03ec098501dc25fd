"""What is in a file of labelled structures, and what looks wrong in it: to be asked before anything is trained on it.

Units and signs are judged by physics, not by habit.  A linear model E = sum_i c . G_i of symmetry functions is fitted to the
forces; energies, stresses and bond stiffness then follow from it, so a label that is another's derivative in other units, or
with another sign, stands out by its factor.
"""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from ase import units
from ase.data import atomic_numbers, covalent_radii

from ._check import plain, printable
from ._progress import Bar
from .pairs import find_pairs
from .sets import make_set
from .symmetry import Descriptor, species
from .train import dataset

__all__ = ["Finding", "Report", "check"]

SEVERITIES = ("error", "warning", "note")

_HARTREE, _KCAL, _KJ = units.Hartree, units.kcal / units.mol, units.kJ / units.mol
ENERGY_UNITS = {"eV": 1.0, "kcal/mol": _KCAL, "kJ/mol": _KJ, "hartree": _HARTREE, "rydberg": units.Rydberg}  # in eV
FORCE_UNITS = {"eV/angstrom": 1.0, "kcal/mol/angstrom": _KCAL, "kJ/mol/angstrom": _KJ, "kJ/mol/nm": _KJ / 10,
               "hartree/angstrom": _HARTREE, "hartree/bohr": _HARTREE / units.Bohr, "rydberg/bohr": units.Rydberg / units.Bohr, "eV/bohr": 1 / units.Bohr}
STRESS_UNITS = {"eV/angstrom^3": 1.0, "GPa": units.GPa, "kbar": 0.1 * units.GPa, "bar": units.bar,
                "hartree/bohr^3": _HARTREE / units.Bohr**3, "rydberg/bohr^3": units.Rydberg / units.Bohr**3}

# Cohesive energies of the elements, eV per atom: C. Kittel, Introduction to Solid State Physics, 8th ed., table 3.1; H from H2.
_COHESIVE = dict(zip(
    "H Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe "
    "Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Th U Pu".split(),
    [2.24, 1.63, 3.32, 5.81, 7.37, 4.92, 2.60, 0.84, 0.020, 1.113, 1.51, 3.39, 4.63, 3.43, 2.85, 1.40, 0.080, 0.934, 1.84, 3.90, 4.85, 5.31, 4.10, 2.92,
     4.28, 4.39, 4.44, 3.49, 1.35, 2.81, 3.85, 2.96, 2.46, 1.22, 0.116, 0.852, 1.72, 4.37, 6.25, 7.57, 6.82, 6.85, 6.74, 5.75, 3.89, 2.95, 1.16, 2.52,
     3.14, 2.75, 2.19, 1.11, 0.16, 0.804, 1.90, 4.32, 4.32, 3.70, 3.40, 2.14, 1.86, 4.14, 4.05, 3.04, 3.14, 3.29, 2.42, 1.60, 4.43, 6.44, 8.10, 8.90,
     8.03, 8.17, 6.94, 5.84, 3.81, 0.67, 1.88, 2.03, 2.18, 6.20, 5.55, 3.60]))
_NOBLE = {"He", "Ne", "Ar", "Kr", "Xe", "Rn"}

_SAME = 1e-3        # angstrom: two frames whose atoms are that close are one
_ALIKE = 1e-3       # of a symmetry function: the same neighbourhoods
_NEAR = 0.05        # angstrom, root mean square: neighbouring frames of a trajectory
_MOST_FEATURES = 1200
_BEST_MISFIT = 0.05  # of a model of the forces, relative
_GOOD_MISFIT = 0.35


@dataclass
class Finding:
    """severity: error, warning or note; what: its kind, a word or two; text: what is the matter; todo: what to do; structures: numbers in `file`, from 0"""

    severity: str
    what: str
    text: str
    todo: str
    file: str
    structures: list = field(default_factory=list)


@dataclass
class Report:
    """What `check` found.  files: {path: {count of structures, atoms, ...}};  findings: errors first"""

    files: dict
    findings: list
    plots: dict = field(repr=False)  # {path: arrays for the picture}

    def count(self, severity):
        return sum(f.severity == severity for f in self.findings)

    def json(self):
        return {"files": self.files, **{s + "s": self.count(s) for s in SEVERITIES}, "findings": [asdict(f) for f in self.findings]}


def check(path, test=None):
    """What is in a file of labelled structures, what looks wrong, and what of a test file is already in it.

    path, test : any format of ASE's
    Looks at: label keys, labels that are missing, not finite or no numbers; units of energies, forces and stresses, signs of forces and
    stress; net forces; distances; outliers; structures that are there twice, in one file or in both.
    Returns a Report. Raises ValueError for a file that ASE cannot read.
    """
    files = [_File(p) for p in (path, test) if p is not None]
    descriptor = _descriptor(files)
    done = 0
    with Bar("structures", sum(len(f.structures) for f in files)) as bar:
        for file in files:
            for _ in file.look(descriptor):
                done += 1
                bar.show(done)
            file.judge(descriptor)
    if test is not None:
        _leaks(*files)
    findings = sorted((x for f in files for x in f.findings), key=lambda x: SEVERITIES.index(x.severity))
    return Report({f.path: f.facts for f in files}, findings, {f.path: f.plots() for f in files})


def _descriptor(files):
    """Symmetry functions for all that can be looked at, or None where there are too many elements (or none) for them."""
    elements = {e for f in files for k in f.sound for e in f.structures[k].atoms.get_chemical_symbols()}
    shortest = []
    for f in files:
        for k in f.sound[::max(1, len(f.sound) // 50)]:
            r = find_pairs(f.structures[k].atoms, 6.0).r
            shortest += [r.min()] if len(r) else []
    shortest = min(max(float(np.median(shortest)), 0.5), 6.0) if shortest else 2.0
    n = len(elements)
    # Radial functions close together, from below the shortest distance on: it is the steep repulsion that must be met.
    size = {"n_radial": 12, "n_widths": 2, "zetas": (1, 4)} if n < 3 else {"n_radial": 10, "n_widths": 1, "zetas": (2,)} if n < 5 else {"n_radial": 8, "n_widths": 0, "zetas": (1,)}
    if not elements or 8 * n * n > _MOST_FEATURES:
        return None
    return Descriptor(make_set(elements, min(max(1.9 * shortest, 4.0), 9.0), 0.75 * shortest, **size))


class _File:
    """A file, its findings, and what was measured on the way."""

    def __init__(self, path):
        self.path, self.findings, problems = str(path), [], []
        frames = dataset.read_frames(path)
        self.structures = [dataset._structure(a, k, path, None, problems) for k, a in enumerate(frames)]
        for s in self.structures:
            s.group = printable(s.group)
        self.n = np.array([len(s.atoms) for s in self.structures])
        self.energy = np.array([s.energy for s in self.structures]) / np.maximum(self.n, 1)
        sound = np.array([_is_sound(s.atoms) for s in self.structures])
        self._labels(frames, problems)
        self.dense = sound & np.array([_density(s.atoms) > 1 if ok else False for s, ok in zip(self.structures, sound)])
        self.sound = np.flatnonzero(sound & ~self.dense)
        self.shortest = np.full(len(frames), np.nan)  # angstrom
        self.closest = np.full(len(frames), np.nan)   # over the sum of the covalent radii
        self.nearest, self.pairs = [], defaultdict(list)
        self.print = [None] * len(frames)             # per structure: sorted projections of the atoms' symmetry functions
        self.mean = {}                                # {structure: sums over the atoms of an element, one after another}

    def add(self, severity, what, text, todo, structures=()):
        self.findings.append(Finding(severity, what, text, todo, self.path, sorted(int(k) for k in structures)))

    # ------------------------------------------------------------------------------------------------------------ labels

    def _labels(self, frames, problems):
        keys, ignored = {}, Counter()
        for a in frames:
            used = {name: key for name, (key, _) in dataset.labels(a).items() if key is not None}
            if "stress" in used:
                used.pop("virial", None)
            for name, key in used.items():
                keys.setdefault(name, Counter())[key] += 1
            results = a.calc.results if a.calc is not None else {}
            for key in {*a.info, *a.arrays, *results} - set(used.values()):
                if any(word in key.lower() for word in ("energ", "forc", "stress", "viri")):
                    ignored[key] += 1
        labelled = {"energy": np.isfinite(self.energy), "forces": np.array([np.isfinite(s.forces).any() for s in self.structures]),
                    "stress": np.array([np.isfinite(s.stress).any() for s in self.structures])}
        groups = Counter(s.group for s in self.structures)
        self.facts = {"structures": len(frames), "atoms": int(self.n.sum()), "smallest": int(self.n.min()), "largest": int(self.n.max()),
                      "elements": dict(sorted(Counter(e for s in self.structures for e in s.atoms.get_chemical_symbols()).items())),
                      "groups": dict(groups), "labelled": {name: int(yes.sum()) for name, yes in labelled.items()},
                      "keys": {name: dict(c) for name, c in keys.items()}, "keys_ignored": dict(ignored)}
        by_text = defaultdict(list)
        for k, text in problems:
            by_text[text].append(k)
        for text, which in by_text.items():
            self.add("error", "label" if not text.startswith(("positions", "its cell", "is periodic")) else "structure", text,
                     "Leave the label out or mend it; training refuses the file.", which)
        if not labelled["energy"].any() and not labelled["forces"].any() and not problems:
            found = sorted({k for a in frames for k in (*a.info, *a.arrays)} - {"numbers", "positions"})
            self.add("error", "label", f"no structure has an energy or forces; found {', '.join(found) or 'no keys'}", "Name them energy and forces, or REF_energy and REF_forces.")
        for name, counted in keys.items():
            if len(counted) > 1:
                self.add("warning", "keys", f"{name} is read from {' and '.join(f'{key} ({n} structures)' for key, n in counted.items())}",
                         "If these are of different methods, keep one; a prefixed key wins over a bare one.")
        for name, yes in labelled.items():
            if yes.any() and not yes.all():
                self.add("note", "label", f"{(~yes).sum()} of {len(yes)} structures have no {name}", "Training masks what is not there.", np.flatnonzero(~yes))
        if ignored:
            self.add("note", "keys", "not used: " + ", ".join(f"{key} ({n})" for key, n in sorted(ignored.items())), "Rename them if they are the labels you mean.")
        empty = np.flatnonzero(self.n == 0)
        if len(empty):
            self.add("error", "structure", "no atoms", "Take these structures out.", empty)
        far = [k for k, a in enumerate(frames) if np.isfinite(a.positions).all() and _is_far(a)]
        if far:
            self.add("error", "structure", "atoms are more than a million angstrom from the origin", "Wrap the positions, or mend them.", far)

    # ------------------------------------------------------------------------------------------------- one look at each structure

    def look(self, descriptor):
        """Distances and symmetry functions of each structure."""
        sound = set(self.sound.tolist())
        elements = descriptor.elements if descriptor else sorted({e for s in self.structures for e in s.atoms.get_chemical_symbols()})
        radius = np.array([covalent_radii[atomic_numbers[e]] for e in elements])
        projections = [np.random.default_rng(0).normal(size=(len(fs), 4)) for fs in descriptor.functions.values()] if descriptor else []
        for k, s in enumerate(self.structures):
            yield k
            if k not in sound:
                continue
            kinds = species(s.atoms.get_chemical_symbols(), elements)
            p = find_pairs(s.atoms, descriptor.cutoff if descriptor else 5.0)
            if len(p):
                a, b = kinds[p.i], kinds[p.j]
                scaled = p.r / (radius[a] + radius[b])
                self.shortest[k], self.closest[k] = p.r.min(), scaled.min()
                first = p.first[:-1][np.diff(p.first) > 0]
                self.nearest.append(np.minimum.reduceat(np.stack([p.r, scaled]), first, axis=1))
                least = np.full(len(elements) ** 2, np.inf)
                np.minimum.at(least, np.minimum(a, b) * len(elements) + np.maximum(a, b), p.r)
                for which in np.flatnonzero(np.isfinite(least)):
                    self.pairs["-".join(elements[q] for q in divmod(which, len(elements)))].append(least[which])
            if descriptor is None or self.closest[k] < 0.3:
                continue
            system, layout = descriptor.system(kinds, p)
            blocks = layout.blocks(descriptor.value(system, layout))
            self.mean[k] = np.concatenate([g.sum(0) for g in blocks])
            self.print[k] = np.concatenate([np.sort(g @ w, axis=0) for g, w in zip(blocks, projections)])

    def judge(self, descriptor):
        """All findings that need only this file."""
        self._distances()
        self._forces()
        self._energies()
        self._duplicates()
        if descriptor is None:
            self.add("note", "units", "units and duplicates were not looked at: there are too many elements (or no sound structure)", "Check a part of the file with fewer elements.")
        elif not self.wide:
            _units(self, descriptor)
        self.facts["shortest_distances"] = {pair: float(min(r)) for pair, r in sorted(self.pairs.items())}

    def _distances(self):
        dense = np.flatnonzero(self.dense)
        if len(dense):
            self.add("error", "distances", f"more than one atom per cubic angstrom (structure {dense[0]}: {_density(self.structures[dense[0]].atoms):.3g})",
                     "Positions and cell must be in angstrom, and positions not in lattice vectors.", dense)
        overlap = np.flatnonzero(self.closest < 0.5)
        if len(overlap):
            worst = overlap[np.argmin(self.shortest[overlap])]
            self.add("error", "overlap", f"atoms closer than half the sum of their covalent radii (structure {worst}: {self.shortest[worst]:.3g} angstrom)",
                     "Take these structures out, or mend positions and cell.", overlap)
        typical = np.nanmedian(self.closest) if np.isfinite(self.closest).any() else np.nan
        near = np.setdiff1d(np.flatnonzero(self.closest < 0.5 * typical), overlap)
        if len(near):
            worst = near[np.argmin(self.closest[near])]
            self.add("warning", "overlap", f"atoms are less than half as far apart as they come in the rest (structure {worst}: {self.shortest[worst]:.3g} angstrom)",
                     "Look at these structures; take them out if they are not meant.", near)
        self.wide = False
        self.typical = np.median(np.concatenate(self.nearest, axis=1), axis=1) if self.nearest else np.full(2, np.nan)
        if self.typical[1] > 1.6 and not _NOBLE & set(self.facts["elements"]) and len(self.sound) > 1:
            self.wide = True
            self.add("warning", "units", f"neighbours are {self.typical[0]:.3g} angstrom apart, {self.typical[1]:.2f} times the sum of their covalent radii",
                     f"If positions and cell are in bohr, multiply them by {units.Bohr:.6f}, then check again: other units are judged when lengths are right.")

    def _forces(self):
        size = np.array([np.sqrt(np.mean(s.forces**2)) if len(s.forces) and np.isfinite(s.forces).all() else np.nan for s in self.structures])
        largest = np.array([np.linalg.norm(s.forces, axis=1).max() if np.isfinite(x) else np.nan for s, x in zip(self.structures, size)])
        self.largest, self.wild = largest, np.zeros(0, int)
        moving = size[size > 1e-3]
        if not len(moving):
            return
        typical = float(np.sqrt(np.mean(np.minimum(moving, 3 * np.median(moving)) ** 2)))
        net = np.array([np.linalg.norm(s.forces.sum(0)) for s in self.structures])  # NaN where a label is not there
        kept = np.nanmedian(net[size > 1e-3])
        # Egg-box noise adds up over the atoms; one wrong row among many does not, but then the other structures sum to much less.
        odd = np.flatnonzero((net > 0.05 * typical * self.n) | ((net > 0.1 * typical) & (net > 20 * kept)))
        self.facts["force_rms"], self.facts["net_force_median"] = typical, float(kept)
        if len(odd):
            worst = odd[np.argmax(net[odd])]
            self.add("warning", "net force", f"the forces do not sum to zero (structure {worst}: {net[worst]:.3g}, its atoms feel {size[worst]:.3g} eV/angstrom)",
                     "An outer field, fixed atoms whose forces were cut, or rows missing? Subtract the mean force if it is noise of the method.", odd)
        limit = 10 * np.nanpercentile(largest[largest > 1e-3], 90)
        self.wild = np.flatnonzero(largest > max(limit, 10 * np.nanmedian(largest[largest > 1e-3])))
        if len(self.wild):
            worst = self.wild[np.argmax(largest[self.wild])]
            self.add("warning", "outlier", f"forces ten times as large as nearly all others (structure {worst}: {largest[worst]:.4g} eV/angstrom, limit {limit:.3g})",
                     "Look whether the calculation converged; leave these structures out.", self.wild)

    def _energies(self):
        """Far from the rest of its own: energies per atom less the composition's share, robustly, in each group and size and then in all."""
        known = np.flatnonzero(np.isfinite(self.energy) & (self.n > 0))
        self.rest = np.full(len(self.n), np.nan)
        if len(known) < 10:
            return
        elements = list(self.facts["elements"])
        e0 = dataset.offsets([self.structures[k] for k in known], elements)
        for k in known:
            counted = Counter(self.structures[k].atoms.get_chemical_symbols())
            self.rest[k] = self.energy[k] - sum(n * e0[e] for e, n in counted.items()) / self.n[k]
        odd, count = set(), Counter(self.structures[k].group for k in known)
        of = {g: g if c >= 10 else None for g, c in count.items()}  # small groups are judged together
        for group in set(of.values()):
            mine = np.array([k for k in known if of[self.structures[k].group] == group])
            if len(mine) >= 10:
                away = np.abs(self.rest[mine] - np.median(self.rest[mine]))
                spread = max(1.4826 * np.median(away), np.percentile(away, 90) / 1.645, 1e-3)
                odd |= set(mine[(away > 15 * spread) & (away > 0.05)].tolist())
        # Far from equilibrium, forces are large as well; an energy that is wrong has none to show for it.
        usual = np.nanmedian(self.largest) if np.isfinite(self.largest).any() else np.nan
        for severity, some in (("warning", {k for k in odd if not self.largest[k] > 3 * usual}), ("note", {k for k in odd if self.largest[k] > 3 * usual})):
            if not some:
                continue
            worst = max(some, key=lambda k: abs(self.rest[k]))
            self.add(severity, "outlier", f"energies far from those of their group (structure {worst}: {self.energy[worst]:.6g} eV/atom)",
                     "Look whether the calculation converged and is of the same method; leave these structures out.", sorted(some))

    # ------------------------------------------------------------------------------------------------------------ twice

    def _duplicates(self):
        parent = {}

        def root(k):
            while parent.get(k, k) != k:
                k = parent[k]
            return k

        for k, others in _candidates(self, self):
            for j in others:
                a, b = sorted((root(j), root(k)))
                if a != b and _relation(self, k, self, j) in ("same", "alike"):
                    parent[b] = a
        same, alike, differ, of = [], [], [], {}
        for k in sorted(parent):
            of[k] = root(k)
            if _relation(self, k, self, of[k]) != "same":
                alike.append(k)
            elif _labels_differ(self.structures[k], self.structures[of[k]]):
                differ.append(k)
            else:
                same.append(k)
        if differ:
            self.add("error", "duplicate", f"{len(differ)} structures are others with different labels ({_pairs(differ, of)})", "Keep the right one.", differ)
        if same:
            self.add("warning", "duplicate", f"{len(same)} structures are there already ({_pairs(same, of)})", "Take them out, or weight them so knowingly.", same)
        if alike:
            self.add("note", "duplicate", f"{len(alike)} structures are others turned, mirrored or renumbered ({_pairs(alike, of)})",
                     "They add no information; keep such families on one side of a split.", alike)

    def plots(self):
        forces = [s.forces[np.isfinite(s.forces)] for s in self.structures]
        return {"energy": self.energy, "groups": [s.group for s in self.structures], "forces": np.concatenate([np.zeros(0), *forces]), "pairs": dict(self.pairs)}


def _is_sound(atoms):
    return bool(len(atoms) and np.isfinite(atoms.positions).all() and dataset.has_lattice(atoms) and not _is_far(atoms))


def _is_far(atoms):
    """Beyond what can be searched for neighbours"""
    return np.abs(atoms.positions).max(initial=0) > 1e6


def _density(atoms):
    """Atoms per cubic angstrom; in a box about them where there is no cell."""
    volume = atoms.get_volume() if atoms.pbc.all() else np.prod(np.ptp(atoms.positions, axis=0) + 2)
    return len(atoms) / volume


# ------------------------------------------------------------------------------------------------------------------ twice


def _key(atoms):
    """Composition and boundaries"""
    return np.bincount(atoms.numbers).tobytes(), atoms.pbc.tobytes()


def _pairs(which, of):
    return ", ".join(f"{k} = {of[k]}" for k in which[:8]) + (", ..." if len(which) > 8 else "")


def _candidates(file, base):
    """(structure of file, structures of base that may be the same, the likeliest first)"""
    from scipy.spatial import cKDTree

    here, there = defaultdict(list), defaultdict(list)
    for f, members in ((file, here), (base, there)):
        for k in f.mean:
            members[_key(f.structures[k].atoms)].append(k)
    brief = lambda f, which: np.array([np.concatenate([f.print[k].mean(0), f.print[k].std(0)]) for k in which])  # noqa: E731
    for key, which in here.items():
        others = there.get(key)
        if not others:
            continue
        prints = brief(base, others)
        _, index = cKDTree(prints).query(brief(file, which), k=min(8, len(others)))
        for k, row in zip(which, np.asarray(index).reshape(len(which), -1)):
            yield k, [others[i] for i in row]
        if file is base:  # more copies than the tree was asked for stand side by side here
            order = np.argsort(prints[:, 0])
            for i, j in zip(order, order[1:]):
                yield others[j], [others[i]]


def _relation(f, k, g, j):
    """"same": one frame up to a translation; "alike": the same neighbourhoods and energy; "near": a step away on a trajectory; or None"""
    a, b = f.structures[k].atoms, g.structures[j].atoms
    away = np.inf
    if np.array_equal(a.numbers, b.numbers) and np.abs(a.cell.array - b.cell.array).max() < _SAME:
        d = b.positions - a.positions
        d = _shortest_images(d - d[0], a)
        if np.linalg.norm(d, axis=1).max() < _SAME:
            return "same"
        away = np.sqrt(np.mean(np.sum((d - d.mean(0)) ** 2, axis=1)))
    if np.abs(f.print[k] - g.print[j]).max() < _ALIKE and abs(_extent(a) / _extent(b) - 1) < 1e-4 and not abs(f.energy[k] - g.energy[j]) > 1e-3:
        return "alike"
    return "near" if away < _NEAR else None


def _extent(atoms):
    """What turning leaves as it is and the symmetry functions, beyond their cutoff, do not see: the volume, or the squared distances from the middle."""
    return atoms.get_volume() if atoms.pbc.all() else 1 + np.sum((atoms.positions - atoms.positions.mean(0)) ** 2)


def _shortest_images(d, atoms):
    """Differences less whole lattice vectors; exact for those short against the cell, which is all that is asked."""
    if not atoms.pbc.any():
        return d
    cell = atoms.cell.complete().array
    return d - (np.round(d @ np.linalg.inv(cell)) * atoms.pbc) @ cell


def _labels_differ(a, b):
    """By more than a rounded file explains."""
    return abs(a.energy - b.energy) > 1e-3 * len(a.atoms) or np.nanmax(np.abs(a.forces - b.forces), initial=0) > 0.05


def _leaks(file, test):
    """What of `test` is in `file`."""
    found, of, name = defaultdict(list), {}, Path(file.path).name
    for k, others in _candidates(test, file):
        for j in others:
            what = _relation(test, k, file, j)
            if what:
                found[what].append(k)
                of[k] = j
                break
    if found["same"]:
        test.add("error", "leak", f"{len(found['same'])} test structures are in {name} ({_pairs(found['same'], of)})", "Take them out of one of the two files.", found["same"])
    if found["alike"]:
        test.add("warning", "leak", f"{len(found['alike'])} test structures are in {name}, turned, mirrored or renumbered ({_pairs(found['alike'], of)})",
                 "Take them out of one of the two files.", found["alike"])
    if found["near"]:
        test.add("warning", "leak", f"{len(found['near'])} test structures are within {_NEAR} angstrom of one in {name} ({_pairs(found['near'], of)})",
                 "Test on trajectories of their own, not on neighbouring frames.", found["near"])
    runs = {s.group for s in file.structures if s.group and {"trajectory", "traj"} & set(s.atoms.info)}
    shared = [k for k, s in enumerate(test.structures) if s.group in runs]
    if shared:
        test.add("note", "leak", f"{len(shared)} test structures are of trajectories that are also in {name}", "Whole trajectories on one side make an honest test.", shared)


# ------------------------------------------------------------------------------------------------------------------ units and signs


def _design(descriptor, atoms):
    """Symmetry functions summed over the atoms of each element G (P,), minus their gradient (3n, P), and their strain derivative (6, P), Voigt's order

    The last is symmetric: dG/dstrain_ab = sum_ij d_ij,a dG_i/dd_ij,b.
    """
    kinds = species(atoms.get_chemical_symbols(), descriptor.elements)
    p = find_pairs(atoms, descriptor.cutoff)
    system, layout = descriptor.system(kinds, p)
    G = np.concatenate([g.sum(0) for g in layout.blocks(descriptor.value(system, layout))])
    start = np.concatenate([[0], np.cumsum(layout.functions)])
    force, strain = np.zeros((len(atoms), 3, len(G))), np.zeros((3, 3, len(G)))
    for i, row in enumerate(descriptor.rows(system, layout, kinds, p.first)):
        mine, its = slice(start[kinds[i]], start[kinds[i] + 1]), slice(p.first[i], p.first[i + 1])
        np.add.at(force[:, :, mine], p.j[its], -row)
        force[i, :, mine] += row.sum(0)
        strain[:, :, mine] += np.einsum("ma,mbk->abk", p.d[its], row)
    strain = (strain + strain.transpose(1, 0, 2)) / 2
    return G, force.reshape(-1, len(G)), strain.reshape(9, -1)[[0, 4, 8, 5, 2, 1]]


@dataclass
class _Ratio:
    """A factor between two things that both scatter, the relative standard error of a slope, and the correlation

    The slopes of one on the other and of the other on the one, factor * correlation and factor / correlation, bound it.
    """

    value: float
    error: float
    correlation: float

    @property
    def seen(self):
        return self.error < 0.3 and abs(self.correlation) > 0.6

    @property
    def low(self):
        return abs(self.value * self.correlation) * np.exp(-2 * self.error)

    @property
    def high(self):
        return abs(self.value / self.correlation) * np.exp(2 * self.error)

    def off(self, factor):
        """Of the wrong sign, or not 1 by more than the errors and what a rough model is off by"""
        return self.seen and (self.value < 0 or self.low > factor or self.high < 1 / factor)

    def facts(self):
        return {"factor": self.value, "low": float(self.low), "high": float(self.high), "correlation": self.correlation} if self.seen else None


def _ratio(A, y, c, covariance, misfit):
    """The factor in y ~ factor * A c, in the metric of generalised least squares: directions in which c is badly known count for little.

        factor = +-sqrt(y K^-1 y / m K^-1 m),   m = A c,   K = A covariance A^T + misfit <m^2> 1

    A. C. Aitken, Proc. R. Soc. Edinburgh 55, 42 (1935).
    """
    m = A @ c
    if len(y) < 4 or not (np.var(y) > 0 and np.any(m)):
        return _Ratio(np.nan, np.inf, 0.0)
    w, U = np.linalg.eigh(A @ covariance @ A.T)
    w = np.maximum(w, 0) + max(misfit, 1e-6) * np.mean(m**2)
    y, m = U.T @ y / np.sqrt(w), U.T @ m / np.sqrt(w)
    correlation = float(y @ m / np.sqrt((y @ y) * (m @ m)))
    if correlation == 0:
        return _Ratio(np.nan, np.inf, 0.0)
    return _Ratio(float(np.sign(correlation) * np.sqrt((y @ y) / (m @ m))), float(np.sqrt((1 / correlation**2 - 1) / (len(y) - 1))), correlation)


def _sample(file, atoms=4000, least=12):
    """Structures for the model, at random: about so many atoms, at least so many structures; without overlapping atoms and wild forces."""
    wild = set(file.wild.tolist())
    order = [k for k in np.random.default_rng(0).permutation(list(file.mean)) if k not in wild and not file.closest[k] < 0.5]
    chosen, total = [], 0
    for k in order:
        s = file.structures[k]
        if s.atoms.get_global_number_of_atoms() > 3000 or not (np.isfinite(s.energy) or np.isfinite(s.forces).all()):
            continue
        if total + file.n[k] > (atoms if len(chosen) >= least else 6 * atoms):
            continue
        chosen.append(int(k))
        total += file.n[k]
    return sorted(chosen)


def _posterior(M, b, noise, prior):
    """Mean and covariance of c where M / noise + prior is the precision"""
    precision = M / noise
    precision[np.diag_indices(len(M))] += prior
    covariance = np.linalg.inv(precision)
    return covariance @ (b / noise), covariance


def _energy_rows(file, most=400):
    """Mean symmetry functions per atom, energies per atom, both less their mean over structures of the same formula and group"""
    wild = set(file.wild.tolist())
    classes = defaultdict(list)
    for k in file.mean:
        if np.isfinite(file.energy[k]) and k not in wild and not file.closest[k] < 0.5:
            classes[_key(file.structures[k].atoms), file.structures[k].group].append(k)
    share = min(1.0, most / max(1, sum(map(len, classes.values()))))
    rng, rows, rest = np.random.default_rng(0), [], []
    for members in classes.values():
        members = rng.permutation(members)[:max(2, round(share * len(members)))]
        if len(members) > 1:
            A = np.array([file.mean[k] / file.n[k] for k in members])
            rows.append(A - A.mean(0))
            rest.append(file.energy[members] - file.energy[members].mean())
    return (np.concatenate(rows), np.concatenate(rest)) if rows else (np.zeros((0, len(next(iter(file.mean.values()), ())))), np.zeros(0))


def _units(file, descriptor):
    """Fits E = sum_i c . G_i, and asks by which factors energies, stresses and stiffness differ from what it says."""
    sample = _sample(file)
    nothing = _Ratio(np.nan, np.inf, 0.0)
    if len(sample) < 2:
        _judge_energy(file, nothing, None, False)
        return
    designs = {k: _design(descriptor, file.structures[k].atoms) for k in sample}
    A, E = _energy_rows(file)
    pushed = [k for k in sample if np.isfinite(file.structures[k].forces).all()]
    B = {k: designs[k][1] for k in pushed}
    F = {k: file.structures[k].forces.ravel() for k in pushed}
    n = sum(len(x) for x in F.values())
    FF = sum(x @ x for x in F.values())
    moving = n > 0 and FF / n > 1e-6
    # Columns of unit size; the prior lets each of them alone explain the data ten times over.
    scale = np.sqrt(sum((x**2).sum(0) for x in B.values()) / n if moving else (A**2).mean(0) if len(A) else np.ones(A.shape[1]))
    scale = 1 / np.maximum(scale, 1e-6 * max(scale.max(), 1e-30))
    A = A * scale
    size = FF / n if moving else float(np.mean(E**2)) if len(E) else 0.0
    if not size:
        _judge_energy(file, nothing, None, False)
        return
    prior = 1 / (100 * size)
    M, b = np.zeros((A.shape[1], A.shape[1])), np.zeros(A.shape[1])
    labels = {"energy": (A, E), "stress": _stress_rows(file, designs, scale)}
    ratios = dict.fromkeys(labels, nothing)
    if moving:
        for k in pushed:
            X = B[k] * scale
            M += X.T @ X
            b += X.T @ F[k]
        c, _ = _posterior(M, b, 1e-4 * size, prior)
        # Where few shapes of structure meet many functions the fit is perfect and says nothing of other shapes: no model is taken for better than 5 %.
        mse = max((FF - 2 * c @ b + c @ M @ c) / n, _BEST_MISFIT**2 * size)
        misfit = mse / size
        # What the model misses is of one kind throughout a structure: each counts once, not once per force component.
        M, b = M / (mse * n / len(pushed)), b / (mse * n / len(pushed))
        file.facts["force_misfit"] = float(np.sqrt(misfit))
    else:
        misfit = 1e-3
        M, b = A.T @ A / (misfit * size), A.T @ E / (misfit * size)
        labels.pop("energy")
    # The label that follows best from the forces joins them, by its own factor, and then the other is judged by both.
    c, covariance = _posterior(M, b, 1.0, prior)
    while labels:
        found = {name: _ratio(A, y, c, covariance, misfit) for name, (A, y) in labels.items()}
        name = max(found, key=lambda x: abs(found[x].correlation))
        ratios[name] = ratio = found[name]
        A, y = labels.pop(name)
        if ratio.seen:
            tau2 = max(misfit, 1e-6) * np.mean((A @ c) ** 2)
            M, b = M + A.T @ A / tau2, b + A.T @ (y / ratio.value) / tau2
            c, covariance = _posterior(M, b, 1.0, prior)
    stiffness = _stiffness(file, descriptor, sample, c, covariance, scale) if moving and misfit < 0.5 else None
    # A model that meets the forces badly, as in large relaxed cells, can tell only factors of a unit from its own error.
    force_unit = _judge_energy(file, ratios["energy"], stiffness, moving, 1.5 if misfit < _GOOD_MISFIT**2 else 8.0)
    _judge_stress(file, ratios["stress"], designs, c, covariance, scale, misfit, force_unit, 3.0 if misfit < _GOOD_MISFIT**2 else 8.0)


def _stress_rows(file, designs, scale, divided=True):
    """Strain derivatives per atom, eV, of the symmetry functions and of the energy: volume times the stress, or the label itself if it is not divided by the volume"""
    which = [k for k in designs if np.isfinite(file.structures[k].stress).all()][:60]
    if not which:
        return np.zeros((0, len(scale))), np.zeros(0)
    rows = np.concatenate([designs[k][2] / file.n[k] for k in which]) * scale
    factor = {k: (file.structures[k].atoms.get_volume() if divided else 1) / file.n[k] for k in which}
    return rows, np.concatenate([factor[k] * file.structures[k].stress.ravel()[[0, 4, 8, 5, 2, 1]] for k in which])


def _stiffness(file, descriptor, sample, c, covariance, scale, h=0.01):
    """Mean eigenvalue k of the Hessian of the model in some structures, over the 12 E_coh / d^2 that is usual; None if badly known.

        tr H / 3n = <v . (F(x - h v) - F(x + h v))> / (2 h 3n),   v = +-1 at random          (M. F. Hutchinson, 1989)

    d is the median distance of nearest neighbours, E_coh the cohesive energy of the elements. Bonds differ little once their length and
    energy are taken out (J. H. Rose, J. R. Smith, J. Ferrante, Phys. Rev. B 28, 1835 (1983)): k d^2 / E_coh is 8 to 14 in Si, Cu and InP,
    and about 40 in noble gases, which the Lennard-Jones crystal explains: 228 eps / sigma^2, 8.6 eps, d = 1.09 sigma, and more when warm.
    """
    rng, row, atoms, cohesion = np.random.default_rng(0), 0, 0, 0.0
    for k in sorted(sample, key=lambda k: file.n[k])[:: max(1, len(sample) // 8)][:8]:
        a = file.structures[k].atoms
        if not set(a.get_chemical_symbols()) <= set(_COHESIVE):
            return None
        v = rng.choice([-1.0, 1.0], size=a.positions.shape)
        moved = a.copy()
        for sign in (-1, 1):
            moved.positions = a.positions + sign * h * v
            row = row - sign * (v.ravel() @ _design(descriptor, moved)[1]) / (2 * h)
        atoms += len(a)
        cohesion += sum(_COHESIVE[e] for e in a.get_chemical_symbols())
    row = row * scale / (3 * atoms)
    mean, error = row @ c, np.sqrt(row @ covariance @ row)
    if not mean > 2 * error:
        return None
    file.facts["stiffness_ev_per_angstrom2"] = float(mean)
    usual = 40 if set(file.facts["elements"]) <= _NOBLE else 12
    return float(mean * file.typical[0] ** 2 / (usual * cohesion / atoms))



def _judge_energy(file, ratio, stiffness, moving, margin=1.5):
    """Energies against forces by their factor, both against matter by the stiffness of its bonds. Returns the unit of the forces in eV/angstrom."""
    file.facts["energy_to_force_factor"] = ratio.facts()
    if stiffness is not None:
        file.facts["stiffness_over_expected"] = stiffness
    off, odd = ratio.off(margin), stiffness is not None and not 0.1 < stiffness < 5
    energy, force, also = _likeliest(ratio, stiffness)
    likely = f"energies in {energy} with forces in {force}" + (f" (or {also})" if also else "")
    if ratio.seen and ratio.value < 0:
        file.add("error", "sign", f"energies rise along the forces (factor {ratio.value:.3g}, correlation {ratio.correlation:.2f})",
                 "Forces are minus the gradient: multiply them by -1.")
    elif off:
        file.add("error", "units", f"energies are {ratio.value:.3g} times what the forces say ({ratio.low:.3g} to {ratio.high:.3g}); likely {likely}",
                 "Convert both to eV and eV/angstrom; " + _conversion(energy, force))
    elif odd:
        file.add("warning", "units", f"bonds are {stiffness:.3g} times as stiff as their length and the elements' cohesive energies let expect; likely {likely}",
                 "If so, convert: " + _conversion(energy, force))
    if stiffness is None or odd:
        unit = _all_electron(file)
        if unit not in (None, "eV") and not off and not odd:
            file.add("warning", "units", f"energies are those of all electrons in {unit}, not in eV", f"Multiply energies by {ENERGY_UNITS[unit]:.6g}.")
    if not moving:
        file.add("note", "units", "units of energies cannot be seen: there are too few labelled structures, or no forces other than zero", "Give more of them.")
    elif not ratio.seen:
        file.add("note", "units", f"whether energies belong to the forces cannot be seen (correlation {ratio.correlation:.2f})", "More structures of one group, or larger displacements, would show it.")
    return -1.0 if ratio.seen and ratio.value < 0 else FORCE_UNITS[force] if off or odd else 1.0


def _conversion(energy, force):
    parts = [f"multiply {what} by {x:.6g}" for what, x in (("energies", ENERGY_UNITS[energy]), ("forces", FORCE_UNITS[force])) if x != 1]
    return ", ".join(parts) + "." if parts else "look at both."


def _likeliest(ratio, stiffness):
    """(unit of energy, unit of force, the runner-up in words): the factor is known to about 25 %, the stiffness to a factor of two; rare mixtures count less"""
    found = []
    for e, energy in ENERGY_UNITS.items():
        for f, force in FORCE_UNITS.items():
            family = {e.split("/")[0], f.split("/")[0]} - {"eV"}
            score = 1.5 * len(family) + 0.5 * (f in ("eV/bohr", "hartree/angstrom", "kJ/mol/nm"))
            if ratio.seen:
                score += 0.5 * (np.log(abs(ratio.value) * energy / force) / 0.25) ** 2
            if stiffness is not None:
                score += 0.5 * (np.log(stiffness * force) / 0.6) ** 2
            found.append((score, e, f))
    (best, e, f), (second, e2, f2) = sorted(found)[:2]
    return e, f, f"{e2} and {f2}" if second < best + 1 else ""


def _all_electron(file):
    """The unit in which energies are those of all electrons, within 3 %, or None: of a pseudopotential they are in none.

        E(Z) = -0.768745 Z^(7/3) + Z^2 / 2 - 0.269900 Z^(5/3) hartree         J. Schwinger, Phys. Rev. A 24, 2353 (1981)
    """
    known = [k for k in file.sound if np.isfinite(file.energy[k]) and file.structures[k].atoms.numbers.all()]  # ASE's X has no electrons
    if not known:
        return None
    atom = lambda z: -0.768745 * z ** (7 / 3) + z**2 / 2 - 0.2699 * z ** (5 / 3)  # noqa: E731
    share = np.median([file.structures[k].energy / (_HARTREE * atom(file.structures[k].atoms.numbers.astype(float)).sum()) for k in known])
    return next((name for name, unit in ENERGY_UNITS.items() if abs(share * unit - 1) < 0.03), None)


def _judge_stress(file, ratio, designs, c, covariance, scale, misfit, force_unit, margin):
    """Stresses against what energies and forces say of a strain, by a factor: their unit and sign, or a virial that is not divided by the volume."""
    virial, y = _stress_rows(file, designs, scale, divided=False)
    if not len(y):
        return
    file.facts["stress_to_force_factor"] = ratio.facts()
    whole = _ratio(virial, y, c, covariance, misfit)
    if not (ratio.seen or whole.seen):
        file.add("note", "stress", f"sign and unit of the stress cannot be seen (correlation {ratio.correlation:.2f} with that of a model of the forces)",
                 "Larger strains would show them.")
        return
    # If forces are in other units, the stress is judged by what it would be beside forces in eV/angstrom.
    ratio, whole = (_Ratio(r.value / force_unit, r.error, r.correlation) for r in (ratio, whole))
    if ratio.seen and not ratio.off(margin):  # the next units are 92 and 160 times away
        return
    best = max(abs(ratio.correlation), abs(whole.correlation))
    cost = lambda r, unit: abs(np.log(abs(r.value) * unit)) / 0.4 + 20 * (best - abs(r.correlation))  # noqa: E731
    guesses = sorted([(cost(ratio, unit), name, ratio) for name, unit in STRESS_UNITS.items()] + [(cost(whole, 1.0) + 1, "", whole)], key=lambda g: g[0])
    (first, name, r), (second, other, _) = guesses[:2]
    words = lambda x: x or "eV, a virial that is not divided by the volume"  # noqa: E731
    likely = words(name) + (f" (or {words(other)})" if second < first + 2 else "") + (" with the opposite sign" if r.value < 0 else "")
    todo = ["divide by the volume"] if not name else [f"multiply by {STRESS_UNITS[name]:.6g}"] if name != "eV/angstrom^3" else []
    todo += ["multiply by -1 (tension is positive, stress = -virial / volume)"] if r.value < 0 else []
    file.add("error", "stress", f"stresses are {ratio.value:.3g} times what energies and forces say (correlation {ratio.correlation:.2f}); likely {likely}",
             " and ".join(todo).capitalize() + "." if todo else "Look where they come from.")


def picture(path, report):
    """Energies per atom of each group, force components, and shortest distances, a row per file, as a PNG."""
    from matplotlib.figure import Figure

    from .train.report import save

    figure = Figure(figsize=(14, 4.2 * len(report.plots)), layout="constrained")
    for row, (name, x) in zip(figure.subplots(len(report.plots), 3, squeeze=False), report.plots.items()):
        _plot_energies(row[0], x, name)
        row[1].set(title="Forces", xlabel="|force component| (eV/Å)", ylabel="components")
        size = np.abs(x["forces"])
        size = size[size > 1e-6]
        if len(size):
            row[1].hist(size, np.geomspace(size.min(), size.max() * 1.01, 60))
            row[1].set_xscale("log")
        row[2].set(title="Shortest distance in each structure", xlabel="distance (Å)", ylabel="structures")
        if x["pairs"]:
            top = [pair for pair, _ in sorted(x["pairs"].items(), key=lambda p: -len(p[1]))[:8]]
            edges = np.linspace(min(min(x["pairs"][p]) for p in top) - 0.02, max(max(x["pairs"][p]) for p in top) + 0.02, 60)
            for pair in top:
                row[2].hist(x["pairs"][pair], edges, histtype="step", label=pair)
            row[2].legend(fontsize=8)
    save(figure, path)


def _plot_energies(axes, x, name):
    """A column of points per group; the groups with most structures where there are many"""
    groups = [g for g, _ in Counter(x["groups"]).most_common(20)]
    axes.set(title=f"Energies, {plain(Path(name).name)}", ylabel="energy (eV/atom)")
    member = np.array(x["groups"], dtype=object)
    for column, g in enumerate(groups):
        y = x["energy"][member == g]
        axes.plot(column + np.random.default_rng(0).uniform(-0.3, 0.3, len(y)), y, ".", ms=3, alpha=0.5)
    axes.set_xticks(range(len(groups)), [f"{plain(g) or 'all'} ({c})" for g, c in Counter(x["groups"]).most_common(20)], rotation=60 if len(groups) > 3 else 0, ha="right" if len(groups) > 3 else "center", fontsize=8)
