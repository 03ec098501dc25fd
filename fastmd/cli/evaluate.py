"""fastmd evaluate"""

import json
from pathlib import Path

import click

from ._common import summary


@click.command("evaluate")
@click.argument("potential", type=click.Path(dir_okay=False))
@click.argument("data", type=click.Path(exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option("--report", "folder", type=click.Path(file_okay=False), help="Folder for report.json and report.png: parity of energies, forces and stress, errors per group.")
def command(potential, data, as_json, folder):
    """Errors of POTENTIAL on the labelled structures in DATA.

    \b
    Example:
      fastmd evaluate si.nnp test.extxyz --report out
    """
    from ..potential import NNPotential
    from ..train import dataset, report

    errors = report.evaluate(NNPotential.load(potential), dataset.read(data))
    if folder:
        report.make_folder(folder)
        report.write_json(Path(folder, "report.json"), errors.numbers() | {"groups": errors.group_numbers()})
        report.picture(Path(folder, "report.png"), None, errors)
    if as_json:
        click.echo(json.dumps(errors.numbers(), indent=2))
        return
    click.echo(summary(errors.numbers()))
    groups = errors.per_group()
    if len(groups) > 1:
        for g, (e, f) in groups.items():
            click.echo(f"  {g:20s} " + ("" if e is None else f"energy RMSE {e:.3g} meV/atom  ") + ("" if f is None else f"forces RMSE {f:.3g} meV/Å"))
