"""fastmd evaluate"""

import json

import click

from ._common import summary


@click.command("evaluate")
@click.argument("potential", type=click.Path(dir_okay=False))
@click.argument("data", type=click.Path(exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(potential, data, as_json):
    """Errors of POTENTIAL on the labelled structures in DATA."""
    from ..potential import NNPotential
    from ..train import dataset, report

    errors = report.evaluate(NNPotential.load(potential), dataset.read(data))
    if as_json:
        click.echo(json.dumps(errors.numbers(), indent=2))
        return
    click.echo(summary(errors.numbers()))
    groups = errors.per_group()
    if len(groups) > 1:
        for g, (e, f) in groups.items():
            click.echo(f"  {g:20s} " + ("" if e is None else f"energy RMSE {e:.3g} meV/atom  ") + ("" if f is None else f"forces RMSE {f:.3g} meV/Å"))
