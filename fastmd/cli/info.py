"""fastmd info"""

import math
import platform

import click


@click.command("info")
@click.argument("file", required=False, metavar="[POTENTIAL]", type=click.Path(exists=True, dir_okay=False))
def command(file):
    """What fastmd runs with here: version, instruction set, threads, Python and optional packages. With a POTENTIAL, or a set of symmetry functions,
    also how its functions are computed. (What is in a file: fastmd inspect.)

    \b
    Example:
      fastmd info si.nnp
    """
    from importlib.metadata import PackageNotFoundError, version

    from .. import __version__, _core
    from .._check import printable, read_bytes

    def installed(package):
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed (pip install 'fastmd[train]')"

    core = _core.Core(read_bytes(file), file) if file else None
    rows = {"fastmd": __version__, "instruction set": f"{_core.isa()} (this CPU runs {', '.join(_core.isas())}; FASTMD_ISA chooses)",
            "threads": f"{_core.default_threads()} (FASTMD_THREADS chooses)", "python": platform.python_version(), **{p: installed(p) for p in ("torch", "matplotlib")}}
    for name, value in rows.items():
        click.echo(f"{name:16s} {value}")
    if core:
        click.echo(f"\n{printable(file)}: {f'committee of {core.n_members}; ' if core.n_members > 1 else ''}how it is computed")
        for line in ways(core):
            click.echo(line)


def ways(core):
    """For each element of a _core.Core a line: how its functions are computed. And what moments are, where there are any."""
    from ..symmetry import functions_of

    moments = False
    for n, (e, functions) in enumerate(functions_of(core).items()):
        kinds = {}  # {kind: {way: functions}}
        for k, f in enumerate(functions):
            kinds.setdefault(f.kind, {}).setdefault(core.way(n, k), []).append(f)
        parts = []
        for kind, by_way in sorted(kinds.items()):
            count = sum(map(len, by_way.values()))
            if 0 in by_way:
                parts.append(f"{count} G{kind} over neighbours")
            elif 2 in by_way:
                moments = True
                parts.append(f"{len(by_way[2])} of {count} G{kind} by moments ({_moments(by_way[2], core.unit(0)[1])})" + (f", {len(by_way[1])} over triplets" if 1 in by_way else ""))
            else:
                parts.append(f"{count} G{kind} over {'packed triplets' if 3 in by_way else 'triplets'}")
        yield f"{e}: {'; '.join(parts)}"
    if moments:
        yield ("By moments the work grows as the neighbours, not as their pairs, and with zeta as the monomials x^a y^b z^c up to that degree: they are taken where these are\n"
               f"at most twice the neighbours, of which {DENSITY:g} are counted in a cubic angstrom, as in a solid. Otherwise, and where zeta is not whole, triplets\n"
               "are; and for atoms where such a function is less than a hundredth of what it can be, as in a linear molecule.")


DENSITY = 0.05  # as in by_moments of fastmd_ext/core/build.hpp


def _moments(functions, length):
    """zeta, neighbours and monomials by cutoff; length: the unit of the cutoffs in angstrom"""
    texts = []
    for rc in sorted({f.cutoff for f in functions}):
        zetas = sorted({int(f.zeta) for f in functions if f.cutoff == rc})
        z, reach = zetas[-1], rc * length
        texts.append(f"zeta {', '.join(map(str, zetas))}; about {DENSITY * 4 / 3 * math.pi * reach**3:.0f} neighbours in {reach:.3g} angstrom, {math.comb(z + 3, 3)} monomials")
    return "; ".join(texts)
