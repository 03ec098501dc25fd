"""fastmd check"""

import json
import sys

import click

from .._check import printable
from ._common import may_write

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}


@click.command("check")
@click.argument("data", type=click.Path(exists=True, dir_okay=False))
@click.option("--test", type=click.Path(exists=True, dir_okay=False), help="Structures that are to be tested on: checked as well, and looked for in DATA.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--picture", type=click.Path(dir_okay=False), help="A PNG: energies per group, forces, shortest distances.")
@click.pass_context
def command(context, data, test, as_json, picture):
    """What looks wrong in DATA, labelled structures that ASE reads, before anything is trained on them.

    \b
    Examples:
      fastmd check train.extxyz --test test.extxyz
      fastmd check train.extxyz --picture data.png
      fastmd check train.extxyz --json > check.json

    Looked for are label keys and what is ignored, labels that are missing or not finite; units other than eV and angstrom (kcal/mol, kJ/mol,
    hartree, rydberg, GPa, kbar, bohr) and wrong signs, from how energies, forces and stresses belong together; forces that do not
    sum to zero; atoms on top of each other; outliers; structures that are there twice, and test structures that are in DATA.

    \b
    error    training would go wrong: mend it          (exit status 1)
    warning  look at it
    note     good to know

    Structures are numbered from 0.
    """
    from .. import datacheck

    if picture:
        may_write(picture, data, test)
    report = datacheck.check(data, test)
    if as_json:
        click.echo(json.dumps(report.json(), indent=2))
    else:
        _print(report)
    if picture:
        datacheck.picture(picture, report)
    context.exit(1 if report.count("error") else 0)


def _print(report):
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, **({} if sys.stdout.isatty() else {"width": 160}))
    table = Table(title="What is there", title_justify="left")
    table.add_column("")
    for path in report.files:
        table.add_column(Text(printable(path)), overflow="fold")
    for name in ("structures", "atoms", "elements", "groups", "labels", "not used", "shortest distances", "energies to forces", "stress to forces"):
        table.add_row(name, *(Text(printable(_fact(name, f))) for f in report.files.values()))
    console.print(table)
    if report.findings:
        table = Table(title="What looks wrong", title_justify="left", show_lines=True)
        for name in ("", "what", "in", "finding", "structures", "to do"):
            table.add_column(name, overflow="fold")
        for f in report.findings:
            table.add_row(Text(f.severity, _COLOURS[f.severity]), f.what, Text(printable(Path(f.file).name)), Text(printable(f.text)), ranges(f.structures), Text(f.todo))
        console.print(table)
    counts = [f"{report.count(s)} {s}{'' if report.count(s) == 1 else 's'}" for s in _COLOURS]
    console.print(", ".join(counts) + ("" if report.count("error") else ": nothing stands against training" if not report.count("warning") else ": have a look at the warnings"))


def _fact(name, f):
    if name == "atoms":
        return f"{f['atoms']} ({f['smallest']} to {f['largest']})"
    if name == "elements":
        return ", ".join(f"{e} {n}" for e, n in f["elements"].items())
    if name == "groups":
        some = sorted(f["groups"].items(), key=lambda g: -g[1])
        return ", ".join(f"{g or 'none'} {n}" for g, n in some[:8]) + (f", and {len(some) - 8} more" if len(some) > 8 else "")
    if name == "labels":
        return ", ".join(f"{label}: {' and '.join(keys)} ({f['labelled'].get('stress' if label == 'virial' else label)})" for label, keys in f["keys"].items()) or "none"
    if name == "not used":
        return ", ".join(f["keys_ignored"]) or "-"
    if name == "shortest distances":
        some = sorted(f["shortest_distances"].items(), key=lambda p: p[1])
        return ", ".join(f"{pair} {r:.3g}" for pair, r in some[:6]) + " Å" if some else "-"
    if name in ("energies to forces", "stress to forces"):
        ratio = f.get("energy_to_force_factor" if name.startswith("energies") else "stress_to_force_factor")
        return f"{ratio['factor']:.3g} ({ratio['low']:.3g} to {ratio['high']:.3g}; right is about 1)" if ratio else "cannot be seen"
    return str(f[name])


def ranges(numbers, most=6):
    """[0, 1, 2, 5] -> "0-2, 5"; of many only the first"""
    parts = []
    for k in sorted(numbers):
        if parts and parts[-1][1] == k - 1:
            parts[-1][1] = k
        else:
            parts.append([k, k])
    text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts[:most])
    return text + (f", ... ({len(numbers)})" if len(parts) > most else "")
