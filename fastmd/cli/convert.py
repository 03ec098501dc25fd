"""fastmd convert"""

import re
from pathlib import Path

import click


@click.command("convert")
@click.argument("source", type=click.Path(exists=True))
@click.argument("target", type=click.Path())
@click.option("--length", help="Unit of length in the RuNNer or n2p2 files: bohr, angstrom, nm, or its size in angstrom.  [default: bohr]")
@click.option("--energy", help="Their unit of energy: hartree, eV, rydberg, kcal/mol, kJ/mol, or its size in eV.  [default: hartree]")
def command(source, target, length, energy):
    """Convert potentials and data sets from and to the files of RuNNer and n2p2.

    What SOURCE is decides: a folder with input.nn, scaling.data and weights.NNN.data becomes the potential file TARGET, and a potential file
    becomes such a folder, which LAMMPS runs with ML-HDNNP. An input.data becomes an .extxyz, and any labelled structures that ASE reads
    become an input.data where TARGET has that name.

    The files do not say their units. The defaults are RuNNer's; n2p2 takes any, so look where the potential comes from. The choice is written
    into the potential file. A potential file knows its units, and its folder is written in them.

    \b
    Examples:
      fastmd convert H2O_RPBE-D3 water.nnp                               lengths in bohr, energies in hartree
      fastmd convert Cu2S_PBE cu2s.nnp --length angstrom --energy eV
      fastmd convert si.nnp si-n2p2                                      a folder for n2p2, RuNNer and LAMMPS
      fastmd convert input.data water.extxyz
      fastmd convert train.extxyz input.data --length angstrom --energy eV
    """
    import ase.io

    from .. import _check, runner
    from ..potential import NNPotential
    from ..train.dataset import read_frames
    from ._common import may_write

    units = {"length": _value(length, "bohr"), "energy": _value(energy, "hartree")}
    may_write(target, source)
    if Path(source).is_dir():
        _ends(target, ".nnp", "a potential")
        potential = NNPotential.from_runner(source, **units)
        potential.save(target)
        click.echo(f"{target}: {potential!r}, units {potential.units[0]} and {potential.units[2]}")
    elif runner.is_data(source):
        _ends(target, ".extxyz", "a data set")
        count = 0
        with _check.writing(target, text=True) as f:
            for atoms in runner.read_data(source, **units):
                if "comment" in atoms.info:  # extxyz has no way to escape what it takes for its own syntax
                    atoms.info["comment"] = re.sub(r"[^\w .,:;()+/-]", "_", atoms.info["comment"]).lstrip("_") or "none"
                ase.io.write(f, atoms, format="extxyz")
                count += 1
        click.echo(f"{target}: {count} structures")
    elif Path(target).name.startswith("input.data"):
        frames = read_frames(source)
        runner.write_data(target, frames, **units)
        click.echo(f"{target}: {len(frames)} structures")
    else:
        if length or energy:
            raise ValueError("--length and --energy are the units of RuNNer and n2p2 files that are read; a potential is written in its own units")
        if Path(target).suffix == ".nnp":
            raise ValueError(f"{target}: a potential file becomes a folder; choose a name without .nnp")
        potential = NNPotential.load(source)
        potential.to_runner(target)
        click.echo(f"{target}: {potential!r}, units {potential.units[0]} and {potential.units[2]}; {Path(target, 'input.nn')} says how LAMMPS takes them")


def _value(text, default):
    """A unit's name, or its size"""
    try:
        return float(text)
    except ValueError:
        return text
    except TypeError:
        return default


def _ends(target, suffix, what):
    if Path(target).suffix != suffix:
        raise ValueError(f"{target}: {what} is written as {suffix}; choose a name that ends so")
