"""What the commands share: messages, checks before long work, and where a potential or a structure comes from."""

import tempfile
from pathlib import Path


def may_write(output, *inputs):
    """Before the work, not after it."""
    if any(p and Path(p).exists() and Path(output).exists() and Path(output).samefile(p) for p in inputs):
        raise ValueError(f"{output} would be written over, but is also an input; choose another name")
    try:
        tempfile.TemporaryFile(dir=Path(output).absolute().parent).close()
    except OSError as e:
        raise ValueError(f"{output}: its folder cannot be written to ({e.strerror}); make it first, or choose another place") from None


def summary(n):
    """A line of errors, from report.Errors.numbers()"""
    parts = []
    for name, key, unit in (("energy", "mev_per_atom", "meV/atom"), ("forces", "mev_per_angstrom", "meV/Å"), ("stress", "gpa", "GPa")):
        rmse = n[f"{name.removesuffix('s') if name == 'forces' else name}_rmse_{key}"]
        mae = n[f"{name.removesuffix('s') if name == 'forces' else name}_mae_{key}"]
        if rmse is not None:
            parts.append(f"{name} RMSE {rmse:.3g}, MAE {mae:.3g} {unit}")
    return "; ".join(parts)


def read_structure(path):
    """The last structure of a file, an ase.Atoms."""
    import ase.io

    try:
        return ase.io.read(path)
    except Exception as e:  # ASE's readers raise whatever their format trips over
        raise ValueError(f"{path}: ASE cannot read it ({type(e).__name__}: {e})") from None


_CLASSES = {"sw": "StillingerWeber", "vashishta": "Vashishta"}


def is_potential(name):
    """Whether `load_potential` is to open it, rather than ASE."""
    return name in _CLASSES or Path(name).suffix in (".nnp", ".sw", ".vashishta")


def load_potential(name, precision="float64"):
    """A potential file, fastmd's or LAMMPS's; `sw` and `vashishta` are those that need none."""
    from .. import classical
    from ..potential import NNPotential

    of = _CLASSES.get(name) or _CLASSES.get(Path(name).suffix[1:])
    if of is None:
        potential = NNPotential.load(name)
        potential.precision = precision
        return potential
    if precision != "float64":
        raise ValueError(f"--precision {precision}: {name} is a classical potential, which is there in float64 only")
    if name == "sw":
        return classical.StillingerWeber()
    return classical.Vashishta.silica() if name == "vashishta" else getattr(classical, of).read(name)
