"""fastmd info"""

import sys

import click


@click.command("info")
@click.argument("potential", required=False, type=click.Path(dir_okay=False))
def command(potential):
    """Version, instruction set and threads; with a potential file, what is in it."""
    from .. import __version__, _core

    if potential is None:
        click.echo(f"fastmd           {__version__}\ninstruction set  {_core.isa()} (this CPU runs {', '.join(_core.isas())}; FASTMD_ISA chooses)")
        click.echo(f"threads          {_core.default_threads()} (FASTMD_THREADS chooses)\npython           {sys.version.split()[0]}")
        return
    from ..potential import NNPotential

    p = NNPotential.load(potential)
    click.echo(f"{potential}: {', '.join(p.elements)}, cutoff {p.cutoff:g} angstrom, {p.n_parameters} parameters, units {p.units[0]} and {p.units[2]}")
    for e in p.elements:
        layers = p.networks[e].layers
        click.echo(f"\n{e}: {'-'.join(str(n) for n in [layers[0][0].shape[1], *(len(b) for _, b, _ in layers)])} {layers[0][2]}, offset {p.offsets[e]:.6g}, scaling {p.scaling[0]}")
        for k, f in enumerate(p.functions[e]):
            click.echo(f"  {k:4d}  {f}")
    if p.notes:
        click.echo("")
    for k, v in p.notes.items():
        click.echo(f"{k:16s} {v}")
