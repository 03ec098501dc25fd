"""What comes in from users is checked here, with messages that name the argument, what was wanted, what came and what to do."""

import os
import tempfile
from pathlib import Path

import numpy as np


def number(name, value, unit="", above=None, at_least=None):
    """A finite float, above or at least a bound."""
    unit = f" {unit}" if unit else ""
    wanted = f" > {above}" if above is not None else f" >= {at_least}" if at_least is not None else " a finite number"
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be{wanted}{unit}, got {value!r}") from None
    if not np.isfinite(x) or (above is not None and not x > above) or (at_least is not None and not x >= at_least):
        raise ValueError(f"{name} must be{wanted}{unit}, got {value!r}")
    return x


def whole(name, value, at_least):
    """A whole number, at least a bound."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ValueError(f"{name} must be a whole number >= {at_least}, got {value!r}")
    return int(value)


def positions(x):
    """(n, 3) float64, finite, contiguous"""
    a = np.asarray(x)
    if a.dtype.kind not in "fiu":
        raise ValueError(f"positions: expected (n, 3) float64 in angstrom, got dtype {a.dtype}")
    if a.ndim != 2 or a.shape[1] != 3:
        hint = "; transpose it?" if a.ndim == 2 and a.shape[0] == 3 else ""
        raise ValueError(f"positions: expected (n, 3) float64, got {a.shape}{hint}")
    a = np.ascontiguousarray(a, float)
    if not np.isfinite(a).all():
        atom = int(np.argwhere(~np.isfinite(a))[0, 0])
        raise ValueError(f"positions: expected finite numbers, atom {atom} is at {a[atom]}")
    return a


def cell(c, pbc):
    """(3, 3) float64 and (3,) int32; a periodic direction needs a lattice vector, and together they must span a volume"""
    c = np.ascontiguousarray(np.asarray(c), float)
    if c.shape != (3, 3):
        raise ValueError(f"cell: expected (3, 3), the rows are the lattice vectors, got {c.shape}")
    p = np.asarray(pbc)
    if p.shape not in ((), (3,)):
        raise ValueError(f"pbc: expected three flags, got {pbc!r}")
    p = np.ascontiguousarray(np.broadcast_to(p, 3).astype(bool), np.int32)
    if p.any() and not np.isfinite(c).all():
        raise ValueError(f"cell: expected finite numbers, got {c.tolist()}")
    return c, p


def atoms(a):
    """(symbols, positions, cell, pbc) of an ase.Atoms"""
    for name in ("get_chemical_symbols", "positions", "cell", "pbc"):
        if not hasattr(a, name):
            raise ValueError(f"atoms: expected an ase.Atoms, got {type(a).__name__}")
    return a.get_chemical_symbols(), positions(a.positions), *cell(a.cell, a.pbc)


def write_text(path, text):
    """Writes beside, then renames: whoever reads sees the old file or the new one, never half of one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path, data):
    """The same for bytes."""
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as e:
        raise ValueError(f"{path}: cannot be written ({e.strerror}); choose another place") from None


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
