"""fastmd inspect"""

import io
import json
import sys
from dataclasses import asdict

import click

from .._check import plain, printable, read_bytes, write_bytes
from ._common import may_write


@click.command("inspect")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--functions", "which", metavar="WHAT", help="Judge symmetry functions by their values on the data: `default`, a number of functions per element, or a file with a set or a potential.")
@click.option("--cutoff", default=5.0, show_default=True, help="Angstrom: of a set that is made, and how far distances are looked for.")
@click.option("--least-range", default=1e-4, show_default=True, help="Drop functions whose max - min over the data is below this.")
@click.option("--most-correlation", default=0.999, show_default=True, help="Of two functions whose correlation is above this, drop the one with the smaller range.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the functions that are kept (of a potential: its functions) to a text file, to edit by hand and to read with fastmd.load_set.")
@click.option("--picture", type=click.Path(dir_okay=False), help="A PNG: energies, forces and distances; with --functions their ranges and correlations; of a potential or a set its functions.")
@click.option("--group", help="Key in the info line that says what belongs together. [default: found by itself]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(file, which, cutoff, least_range, most_correlation, output, picture, group, as_json):
    """What is in FILE: structures that ASE reads, a potential or a set of symmetry functions. Which of these it is, the content says.

    \b
    Examples:
      fastmd inspect data.extxyz                                  counts, labels and their ranges, cells, shortest distances
      fastmd inspect data.extxyz --functions 32 -o set.txt        make 32 symmetry functions per element; keep what carries something
      fastmd inspect data.extxyz --functions si.nnp --picture health.png
      fastmd inspect si.nnp --picture functions.png               a potential, and what its functions see

    Judged are zero and constant functions, small ranges and strong correlations; the table says what is dropped, and why.
    """
    for path in (output, picture):
        if path:
            may_write(path, file, which)
    if _is_ours(file):
        if which:
            raise ValueError(f"--functions judges symmetry functions on data, and {file} is none; name the data first: fastmd inspect DATA --functions {file}")
        _inspect_functions(file, output, picture, as_json)
    else:
        if output and not which:
            raise ValueError("--output writes symmetry functions: say which with --functions, e.g. --functions default")
        _inspect_data(file, which, cutoff, least_range, most_correlation, output, picture, group, as_json)


def _is_ours(path):
    """Is the first thing the file says that it is one of ours?"""
    with open(path, "rb") as f:
        for line in f.read(65536).splitlines():
            words = line.split(b"#")[0].split()
            if words:
                return words[0] == b"fastmd-potential"
    return False


def _print(*things):
    from rich.console import Console

    console = Console(highlight=False, **({} if sys.stdout.isatty() else {"width": 180}))
    for thing in things:
        console.print(thing, markup=False)


def _save(figure, path):
    png = io.BytesIO()
    figure.savefig(png, dpi=120, format="png")
    write_bytes(path, png.getvalue())


# -------------------------------------------------------------------------------------------------- potentials, sets

def _inspect_functions(file, output, picture, as_json):
    from .. import sets
    from ..potential import NNPotential

    functions = sets.load_set(file)
    potential = NNPotential.load(file) if _has_network(file) else None
    if output:
        sets.save_set(output, functions)
    if picture:
        _save(sets.figure(functions), picture)
    ranges = {e: _range_summary(s) for e, s in (potential.statistics or {}).items()} if potential else {}
    if as_json:
        document = {"kind": "potential" if potential else "set", "elements": list(functions), "cutoff": max(f.cutoff for fs in functions.values() for f in fs),
                    "functions": {e: [str(f) for f in fs] for e, fs in functions.items()}}
        if potential:
            document |= {"parameters": potential.n_parameters, "members": potential.n_members, "scaling": potential.scaling[0], "offsets": potential.offsets, "ranges": ranges, "notes": potential.notes}
        click.echo(json.dumps(document, indent=2))
        return
    if potential:
        click.echo(f"{printable(file)}: {', '.join(potential.elements)}, cutoff {potential.cutoff:g} angstrom, {potential.n_parameters} parameters, units {potential.units[0]} and {potential.units[2]}"
                   f"{f'; committee of {potential.n_members}' if potential.n_members > 1 else ''}\n")
    for e, fs in (potential.functions if potential else functions).items():
        radial = sum(len(f.elements) == 1 for f in fs)
        click.echo(f"{e}: {radial} radial and {len(fs) - radial} angular functions" + (f"; {ranges[e]['text']}" if e in ranges else ""))
        if potential:
            network = potential._networks(e)[0]
            click.echo(f"{e}: network {'-'.join(map(str, network.sizes))} {network.layers[0][2]}, offset {potential.offsets[e]:.6g}, scaling {potential.scaling[0]}")
        for k, f in enumerate(fs):
            click.echo(f"  {k:4d}  {f}")
        click.echo("")
    for k, v in (potential.notes if potential else {}).items():
        click.echo(f"{printable(k):16s} {printable(v)}")


def _has_network(path):
    from .. import _core

    return _core.Core(read_bytes(path), path).has_network


def _range_summary(statistics):
    """Of (functions, 4): min, max, mean, sigma over the training data"""
    import numpy as np

    width = statistics[:, 1] - statistics[:, 0]
    k = int(np.argmin(width))
    return {"smallest_range": float(width[k]), "of_function": k, "largest_range": float(width.max()), "smallest_sigma": float(statistics[:, 3].min()),
            "text": f"max - min over the training data from {width[k]:.3g} (function {k}) to {width.max():.3g}, sigma from {statistics[:, 3].min():.3g} to {statistics[:, 3].max():.3g}"}


# --------------------------------------------------------------------------------------------------------------- data

def _inspect_data(file, which, cutoff, least_range, most_correlation, output, picture, group, as_json):
    from .. import _check, sets
    from ..train import dataset

    cutoff = _check.number("--cutoff", cutoff, "angstrom", above=0)
    frames, problems = dataset.read_frames(file), []
    without = [k for k, a in enumerate(frames) if group and group not in a.info]
    if without:
        raise ValueError(f"--group: structure {without[0]} of {file} has no '{group}' in its info line; found {', '.join(frames[without[0]].info) or 'nothing'}")
    structures = [dataset._structure(a, k, file, group, problems) for k, a in enumerate(frames)]
    for s in structures:
        s.group = printable(s.group)
    atoms = [s.atoms for s in structures]
    shortest = sets.distances(atoms, cutoff)
    found = summary(structures, shortest, cutoff)
    found["problems"] = [f"structure {k}: {message}" for k, message in problems]
    health = None
    if which:
        health = sets.health(_functions(which, found["elements"], cutoff, shortest), atoms, least_range, most_correlation)
        found["functions"] = [{**asdict(f), "function": str(f.function)} for f in health.findings]
        if output:
            sets.save_set(output, health.prune())
    if picture:
        _save(health.figure() if health else figure(structures, cutoff), picture)
    if as_json:
        click.echo(json.dumps({"kind": "data", **_finite(found)}, indent=2))
        return
    _print(*tables(file, found))
    if health:
        for e in health.functions:
            _print("", health.table(e))
        _print("", str(health))


def _finite(x):
    """JSON knows no NaN and no infinity: null"""
    if isinstance(x, dict):
        return {k: _finite(v) for k, v in x.items()}
    if isinstance(x, list):
        return [_finite(v) for v in x]
    return None if isinstance(x, float) and not abs(x) < float("inf") else x


def _functions(which, elements, cutoff, shortest):
    from .. import sets

    if which == "default":
        least = min(shortest.values())
        if not least < cutoff:
            raise ValueError(f"--functions: no two atoms are within {cutoff:g} angstrom, so there is no set to make; raise --cutoff")
        return sets.make_set(elements, cutoff, least)
    if which.isdigit():
        return sets.make_set(elements, cutoff, shortest, size=int(which))
    return sets.load_set(which)


def summary(structures, shortest, cutoff):
    """{what: numbers} of labelled structures. Energies in eV/atom, forces in eV/angstrom, stress in GPa, volumes in angstrom^3/atom, density in g/cm^3."""
    import numpy as np
    from ase.data import chemical_symbols
    from ase.units import GPa, _amu

    from ..pairs import find_pairs

    counts = np.array([len(s.atoms) for s in structures])
    energy = np.array([s.energy / max(len(s.atoms), 1) for s in structures])
    largest = np.array([np.sqrt((s.forces**2).sum(axis=1)).max(initial=-1.0) if np.isfinite(s.forces).all() and len(s.atoms) else np.nan for s in structures])
    solid = [s.atoms for s in structures if s.atoms.pbc.all() and len(s.atoms)]
    volume = np.array([a.get_volume() / len(a) for a in solid])
    density = np.array([a.get_masses().sum() / a.get_volume() for a in solid]) * _amu * 1e3 * 1e24
    numbers = sorted({z for s in structures for z in s.atoms.numbers.tolist()})
    pbc = ["periodic in " + (", ".join(x for x, p in zip("xyz", s.atoms.pbc) if p) or "no direction") for s in structures]
    forces, stress = (np.concatenate([np.zeros(0), *(x[np.isfinite(x)] for x in found)]) for found in ([s.forces for s in structures], [s.stress for s in structures]))
    neighbours = np.concatenate([np.diff(find_pairs(s.atoms, cutoff).first) for s in structures]).astype(float)
    groups = {}
    for name in dict.fromkeys(s.group for s in structures):
        mine = np.array([s.group == name for s in structures])
        groups[name] = {"structures": int(mine.sum()), "atoms": int(counts[mine].sum()), "energy": _range(energy[mine]), "largest_force": _range(largest[mine])}
    return {
        "structures": len(structures), "atoms": int(counts.sum()), "atoms_per_structure": _range(counts.astype(float)),
        "elements": [chemical_symbols[z] for z in numbers],
        "atoms_of": {chemical_symbols[z]: int(sum((s.atoms.numbers == z).sum() for s in structures)) for z in numbers},
        "structures_with": {chemical_symbols[z]: int(sum((s.atoms.numbers == z).any() for s in structures)) for z in numbers},
        "labels": {"energy": int(np.isfinite(energy).sum()), "forces": int(sum(np.isfinite(s.forces).any() for s in structures)),
                   "stress": int(sum(np.isfinite(s.stress).any() for s in structures))},
        "energy": _range(energy), "force_component": _range(forces), "largest_force": _range(largest), "stress_component": _range(stress / GPa),
        "periodicity": {p: pbc.count(p) for p in dict.fromkeys(pbc)},
        "cell_length": _range(np.array([x for a in solid for x in a.cell.lengths()])), "volume": _range(volume), "density": _range(density),
        "cutoff": cutoff, "neighbours": _range(neighbours), "shortest": {f"{a}-{b}": r for (a, b), r in shortest.items()}, "groups": groups}


def _range(x):
    """min, mean, max and sigma of what is there; None where nothing is"""
    import numpy as np

    x = x[np.isfinite(x)]
    return {"min": float(x.min()), "mean": float(x.mean()), "max": float(x.max()), "sigma": float(x.std())} if len(x) else None


def tables(file, s):
    """rich tables and lines of a summary"""
    from rich.table import Table

    yield f"{printable(file)}: {s['structures']} structures, {s['atoms']} atoms"
    yield "elements       " + ", ".join(f"{e} {n} (in {s['structures_with'][e]} structures)" for e, n in s["atoms_of"].items())
    yield "labels         " + ", ".join(f"{name} of {n}" for name, n in s["labels"].items()) + " structures"
    yield "boundaries     " + ", ".join(f"{n} {p}" for p, n in s["periodicity"].items())
    yield "shortest       " + ", ".join(f"{pair} " + (f"{r:.3f} Å" if r < s["cutoff"] else f"none within {s['cutoff']:g} Å") for pair, r in s["shortest"].items())
    if s["problems"]:
        yield f"wrong labels   {len(s['problems'])}, not counted above; the first: {printable(s['problems'][0])}"
    yield ""
    table = Table(box=None, pad_edge=False)
    for name in ("", "min", "mean", "max", "sigma", "unit"):
        table.add_column(name, justify="left" if name in ("", "unit") else "right")
    for name, key, unit in (("atoms per structure", "atoms_per_structure", ""), ("energy", "energy", "eV/atom"), ("force component", "force_component", "eV/Å"),
                            ("largest force", "largest_force", "eV/Å, of a structure"), ("stress component", "stress_component", "GPa"),
                            ("cell length", "cell_length", "Å"), ("volume", "volume", "Å³/atom"), ("density", "density", "g/cm³"),
                            ("neighbours", "neighbours", f"of an atom, within {s['cutoff']:g} Å")):
        if s[key]:
            table.add_row(name, *(f"{s[key][k]:.5g}" for k in ("min", "mean", "max", "sigma")), unit)
    yield table
    if len(s["groups"]) > 1:
        table = Table(box=None, pad_edge=False)
        for name in ("group", "structures", "atoms", "energy from", "to eV/atom", "largest force eV/Å"):
            table.add_column(name, justify="left" if name == "group" else "right")
        for name, g in s["groups"].items():
            cells = ["-", "-"] if g["energy"] is None else [f"{g['energy'][k]:.4f}" for k in ("min", "max")]
            table.add_row(name or "(none)", str(g["structures"]), str(g["atoms"]), *cells, f"{g['largest_force']['max']:.3g}" if g["largest_force"] else "-")
        yield ""
        yield table


def figure(structures, cutoff):
    """Energies against volumes by group, the largest force of each atom, and the distances within the cutoff of the 20 commonest pairs: a matplotlib Figure."""
    import numpy as np
    from ase.data import chemical_symbols
    from matplotlib.figure import Figure

    from ..pairs import find_pairs

    figure = Figure(figsize=(15, 4.8), layout="constrained")
    a, b, c = figure.subplots(1, 3)
    groups = {}
    for s in structures:
        if np.isfinite(s.energy) and len(s.atoms):
            volume = s.atoms.get_volume() / len(s.atoms) if s.atoms.pbc.all() else np.nan
            groups.setdefault(s.group, []).append((volume, s.energy / len(s.atoms)))
    for k, (name, points) in enumerate(groups.items()):
        v, e = np.array(points).T
        a.plot(v, e, "os^vDP*X"[k // 10 % 8], ms=3.5, color=f"C{k % 10}", alpha=0.7, label=plain(name) or "all", rasterized=True)
    a.set(title="Energy and volume", xlabel="volume (Å³/atom), where periodic in x, y, z", ylabel="energy (eV/atom)")
    if groups and len(groups) <= 40:
        a.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    if not groups:
        _nothing(a, "no energies")
    forces = np.concatenate([np.zeros(0), *(np.sqrt((s.forces**2).sum(axis=1)) for s in structures)])
    forces = forces[np.isfinite(forces)]
    if len(forces):
        b.hist(forces, bins=80, log=True)
    else:
        _nothing(b, "no forces")
    b.set(title="Forces", xlabel="|force| on an atom (eV/Å)", ylabel="atoms")
    edges, counts = np.linspace(0, cutoff, 151), {}
    for s in structures:
        p, z = find_pairs(s.atoms, cutoff), s.atoms.numbers
        pair = np.minimum(z[p.i], z[p.j]) * len(chemical_symbols) + np.maximum(z[p.i], z[p.j])
        for which in np.unique(pair):  # each pair is there from both of its atoms
            counts[which] = counts.get(which, 0) + np.histogram(p.r[pair == which], edges)[0] / 2
    for which in sorted(counts, key=lambda which: -counts[which].sum())[:20]:
        c.stairs(counts[which], edges, label="-".join(chemical_symbols[k] for k in divmod(which, len(chemical_symbols))))
    c.set(title="Distances", xlabel="r (Å)", ylabel=f"pairs per {edges[1]:.2g} Å")
    if any(n.any() for n in counts.values()):
        c.set_yscale("log")
        c.legend(fontsize=8)
    else:
        _nothing(c, f"none below {cutoff:g} Å")
    return figure


def _nothing(axes, words):
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center")
