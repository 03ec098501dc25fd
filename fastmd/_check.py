"""What comes in from users is checked here, with messages that name the argument, what was wanted, what came and what to do."""

import contextlib
import itertools
import math
import os
import tempfile
from pathlib import Path

import numpy as np

from . import _core


def number(name, value, unit="", above=None, at_least=None):
    """A finite float, above or at least a bound."""
    unit = f" {unit}" if unit else ""
    wanted = f" > {above}" if above is not None else f" >= {at_least}" if at_least is not None else " a finite number"
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be{wanted}{unit}, got {value!r}") from None
    if not math.isfinite(x) or (above is not None and not x > above) or (at_least is not None and not x >= at_least):
        raise ValueError(f"{name} must be{wanted}{unit}, got {value!r}")
    return x


def whole(name, value, at_least):
    """A whole number, at least a bound."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ValueError(f"{name} must be a whole number >= {at_least}, got {value!r}")
    return int(value)


def kind(name, value, expected):
    """The value, which must be one of a class."""
    if not isinstance(value, expected):
        raise ValueError(f"{name}: expected fastmd.{expected.__name__}, got {type(value).__name__}")
    return value


def path(name, value):
    """The name of a file, a str."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name}: expected the name of a file, got {value!r}")
    return os.fspath(value)


def finite(a):
    """np.isfinite(a).all() of float64, in a third of its time"""
    return _core.finite(a.ravel())


def equal(a, b):
    """np.array_equal of two arrays, in a third of its time"""
    return a.shape == b.shape and not np.count_nonzero(a != b)


def floats(name, values):
    """An array of finite floats."""
    try:
        x = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected numbers, got {values!r}") from None
    if not finite(x):
        raise ValueError(f"{name}: expected finite numbers, got {x[~np.isfinite(x)][0]} among them")
    return x


def generator(name, seed):
    """A numpy Generator, from one, a seed, or None."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a whole number >= 0 or a numpy Generator, got {seed!r}") from None


def printable(text):
    """Text from a file, for a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def plain(text):
    """The same for a picture: matplotlib takes what stands between dollars for formulas."""
    return printable(text).replace("$", r"\$")


def positions(x):
    """(n, 3) float64, finite, contiguous"""
    a = np.asarray(x)
    if a.dtype.kind not in "fiu":
        raise ValueError(f"positions: expected (n, 3) float64 in angstrom, got dtype {a.dtype}")
    if a.ndim != 2 or a.shape[1] != 3:
        hint = "; transpose it?" if a.ndim == 2 and a.shape[0] == 3 else ""
        raise ValueError(f"positions: expected (n, 3) float64, got {a.shape}{hint}")
    a = np.ascontiguousarray(a, float)
    if not finite(a):
        atom = int(np.argwhere(~np.isfinite(a))[0, 0])
        raise ValueError(f"positions: expected finite numbers, atom {atom} is at {a[atom]}")
    return a


def cell(c, pbc):
    """(3, 3) float64 and (3,) int32; a periodic direction needs a lattice vector, and together they must span a volume"""
    c = np.ascontiguousarray(getattr(c, "array", c), float)
    if c.shape != (3, 3):
        raise ValueError(f"cell: expected (3, 3), the rows are the lattice vectors, got {c.shape}")
    p = np.asarray(pbc)
    if p.shape not in ((), (3,)):
        raise ValueError(f"pbc: expected three flags, got {pbc!r}")
    p = (p if p.shape else np.repeat(p, 3)).astype(bool, copy=False).astype(np.int32)
    if not finite(c):
        raise ValueError(f"cell: expected finite numbers, got {c.tolist()}")
    return c, p


def atoms(a):
    """(numbers, positions, cell, pbc) of an ase.Atoms"""
    try:
        numbers, x, c, pbc = a.numbers, a.positions, a.cell, a.pbc
    except AttributeError:
        raise ValueError(f"atoms: expected an ase.Atoms, got {type(a).__name__}") from None
    return numbers, positions(x), *cell(c, pbc)


def read_bytes(path, most=1 << 30):
    """The bytes of a text file of ours; no more than it can be, whatever the path is (/dev/zero has no end)."""
    try:
        with open(path, "rb") as f:
            data = b"".join(itertools.islice(iter(lambda: f.read(1 << 20), b""), (most >> 20) + 1))
    except OSError as e:
        raise ValueError(f"{path}: cannot be read ({e.strerror})") from None
    if len(data) > most:
        raise ValueError(f"{path}: larger than {most >> 20} MiB, no file of fastmd's")
    return data


def write_text(path, text):
    """Writes beside, then renames: whoever reads sees the old file or the new one, never half of one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path, data):
    """The same for bytes."""
    with writing(path) as f:
        f.write(data)


@contextlib.contextmanager
def writing(path, text=False):
    """The same for what comes bit by bit: a file, of bytes or of text, that takes the place of `path` in the end, if all went well.

    A link is followed; what is no file (a device, a pipe) is left alone: renaming would put a file in its place.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise ValueError(f"{path}: cannot be written (it is no regular file); choose another place")
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") if text else os.fdopen(handle, "wb") as f:
                yield f
                f.flush()
                os.fsync(f.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as e:
        raise ValueError(f"{path}: cannot be written ({e.strerror}); choose another place") from None


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
