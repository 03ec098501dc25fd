"""Potentials of pairs and triplets whose parameters come as in LAMMPS's files: an entry for every ordered triplet of elements."""

import io
import itertools
import math
import numbers

import numpy as np

from .. import _check
from ._base import Classical, checked_elements


class ManyBody(Classical):
    """As LAMMPS has it, entry (i, j, j) holds the pair i-j and the leg of a triplet from i to j; entry (i, j, k) holds the triplet.

    A subclass names itself (`title`, `suffix`), its entry, a NamedTuple of numbers, the fields that may be negative, and makes its tables of the entries' fields.
    """

    title = suffix = entry = None
    signed = ()

    def __init__(self, parameters):
        if not isinstance(parameters, dict) or not all(isinstance(key, tuple) and len(key) == 3 for key in parameters):
            raise ValueError(f"parameters: expected {{(centre, neighbour, neighbour): {self.entry.__name__}}}, got {parameters!r}")
        self._set(parameters, checked_elements(dict.fromkeys(itertools.chain(*parameters))))

    @classmethod
    def read(cls, path, elements=None):
        """Read a LAMMPS file of this potential, in units metal.

        path    : the file; `#` starts a comment, an entry may span lines
        elements: those to take from the file, in order; None takes all it names

        Raises ValueError, with file and line, for anything that is not such a file.
        """
        entries = cls._read(path)
        elements = checked_elements(dict.fromkeys(itertools.chain(*entries)) if elements is None else elements)
        potential = cls.__new__(cls)
        potential._set(entries, elements, f"{path}: ")
        return potential

    def _set(self, entries, elements, source=""):
        for key in itertools.product(elements, repeat=3):
            if key not in entries:
                raise ValueError(f"{source}no {self.title} entry for {' '.join(key)}: "
                                 f"{', '.join(elements)} need all {len(elements)**3} triplets (choose with elements=)")
        try:
            entries = {key: self.entry(*entries[key]) for key in itertools.product(elements, repeat=3)}
        except TypeError as e:
            raise ValueError(f"{source}parameters: expected a {self.entry.__name__} for each key ({e})") from None
        for key, entry in entries.items():
            self._check(source + " ".join(key), entry)
        self.elements, self.parameters = elements, entries
        fields = np.array(list(entries.values())).reshape(*[len(elements)] * 3, -1)
        self._tables(source, self.entry(*np.moveaxis(fields, -1, 0)))

    def _tables(self, source, fields):
        """Make `cutoff` and what the loop takes of the fields, each (ns, ns, ns)."""
        raise NotImplementedError

    @classmethod
    def _check(cls, source, entry):
        for name, value in entry._asdict().items():
            if not (isinstance(value, numbers.Real) and math.isfinite(value) and (value >= 0 or name in cls.signed)):
                raise ValueError(f"{source}: {name} must be {'finite' if name in cls.signed else 'finite and >= 0'}, got {value}")

    @classmethod
    def _read(cls, path):
        """The entries {(i, j, k): entry} of a file, parsed and nothing more."""
        path = _check.path("path", path)
        file = io.TextIOWrapper(io.BytesIO(_check.read_bytes(path, _LARGEST_FILE)), encoding="utf-8", errors="replace")  # a comment may be in any encoding
        count = len(cls.entry._fields)
        entries, words, start = {}, [], 0
        for number, line in enumerate(file, 1):
            found = line.split("#", 1)[0].split()
            if found and not words:
                start = number
            words += found
            if len(words) < 3 + count:
                continue
            if len(words) > 3 + count:
                raise ValueError(f"{path}, line {number}: an entry has 3 elements and {count} numbers, got {len(words)} words")
            key = tuple(words[:3])
            if key in entries:
                raise ValueError(f"{path}, line {start}: second entry for {' '.join(key)}, keep one")
            try:
                entries[key] = cls.entry(*map(float, words[3:]))
            except ValueError as error:
                raise ValueError(f"{path}, line {start}: expected {count} numbers after {' '.join(key)}, {error}") from None
            cls._check(f"{path}, line {start}", entries[key])
            words = []
        if words:
            raise ValueError(f"{path}, line {start}: the file ends inside this entry, {len(words)} of {3 + count} words")
        if not entries:
            raise ValueError(f"{path}: no entry, expected lines of 3 elements and {count} numbers")
        return entries


_LARGEST_FILE = 1 << 20  # bytes; LAMMPS's largest has 0.1 MB


def of_pairs(field):
    """(ns, ns) of (ns, ns, ns): the entries (i, j, j)"""
    pair = np.arange(len(field))
    return field[:, pair, pair]


def check_twins(source, elements, pairs, triplets):
    """Entries that describe the same pair or triplet must agree, else the energy hangs on the order of the atoms.

    pairs {name: (ns, ns)}, triplets {name: (ns, ns, ns)}
    """
    for name, table in pairs.items():
        for i, j in np.argwhere(~np.isclose(table, table.T, rtol=1e-5, atol=0)):
            _disagree(source, name, [elements[x] for x in (i, j, j, j, i, i)], table[i, j], table[j, i])
    for name, table in triplets.items():
        for i, j, k in np.argwhere(~np.isclose(table, table.swapaxes(1, 2), rtol=1e-5, atol=0)):
            _disagree(source, name, [elements[x] for x in (i, j, k, i, k, j)], table[i, j, k], table[i, k, j])


def of_triplets(*fields):
    """(ns, fields, ns, ns), the centre first, of fields (ns, ns, ns); means of twins, as files have some 7 digits: no order of atoms is preferred"""
    table = np.stack(fields, axis=1)
    return (table + table.swapaxes(2, 3)) / 2


def _disagree(source, name, keys, one, other):
    raise ValueError(f"{source}entries {' '.join(keys[:3])} and {' '.join(keys[3:])} must have the same {name}, "
                     f"got {one:g} and {other:g}")
