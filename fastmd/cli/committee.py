"""fastmd committee"""

import click

from ._common import may_write


@click.command("committee")
@click.argument("potentials", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The potential file to write.")
def command(potentials, output):
    """Join POTENTIALS into one file: a committee, whose energies and forces are the means over its members.

    Their functions and the shapes of their networks must be the same; statistics and offsets may differ, as they do where each training held
    out other data. Wherever a potential file goes, a committee goes, and takes little longer than one of its members; in Python it also says
    how far the members are apart, which is large where none of them was trained.

    \b
    Example:
      for s in 1 2 3 4; do fastmd train data.extxyz --seed $s -o si$s.nnp; done
      fastmd committee si1.nnp si2.nnp si3.nnp si4.nnp -o si.nnp
      fastmd md si.nnp start.xyz -T 600 --steps 10000
    """
    from ..potential import NNPotential

    may_write(output, *potentials)
    potential = NNPotential.committee(potentials)
    potential.save(output)
    click.echo(f"{output}: {potential!r}")
