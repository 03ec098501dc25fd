"""fastmd validate"""

import json
import time
from pathlib import Path

import click

from ._common import is_potential, load_potential, may_write, read_structure, summary


@click.command("validate")
@click.argument("potential", type=click.Path(dir_okay=False))
@click.option("--reference", metavar="REF", help="What to compare with: sw for Stillinger-Weber silicon, vashishta for silica, another .nnp file, LAMMPS's .sw or .vashishta, or a file of labelled structures.")
@click.option("--structure", type=click.Path(exists=True, dir_okay=False), help="A crystal, periodic in three directions; relaxed or nearly.  [default: that of the element, ase.build.bulk]")
@click.option("--data", type=click.Path(exists=True, dir_okay=False), help="Labelled structures: errors of energy, forces and stress.")
@click.option("-T", "--temperature", "temperatures", type=float, multiple=True, default=(300.0,), show_default=True, help="Kelvin, of the crystal; may be given several times.")
@click.option("--melt", "melts", type=float, multiple=True, help="Kelvin: look at the melt too; may be given several times. The reference melts it, at twice as much.")
@click.option("--steps", default=4000, show_default=True, help="Of dynamics: so many with a thermostat for g(r), so many without for the drift; 0 does without.")
@click.option("--timestep", default=1.0, show_default=True, help="fs")
@click.option("--seed", default=1, show_default=True, help="Of velocities and thermostat, the same for both potentials.")
@click.option("-o", "--output", "folder", default="validation", show_default=True, type=click.Path(file_okay=False), help="Folder for report.json and report.png.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(potential, reference, structure, data, temperatures, melts, steps, timestep, seed, folder, as_json):
    """How good POTENTIAL (as of --reference) is on a crystal and its melt, beside a reference.

    \b
    energy against volume   lattice constant, bulk modulus, energy; C11, C12, C44 of cubic crystals
    dynamics, 200 atoms     largest difference of g(r); drift of the energy without thermostat, at each temperature;
                            share of atoms outside the range of the training data
    labelled data           errors of energy, forces and stress

    \b
    Examples:
      fastmd validate si.nnp --reference sw --data test.extxyz -o out
      fastmd validate new.nnp --reference old.nnp --structure quartz.cif -T 300 -T 600
      fastmd validate si.nnp --reference sw -T 300 --melt 2000 --steps 10000
      fastmd validate si.nnp --reference dft.extxyz --steps 0
      fastmd validate silica.nnp --reference vashishta --structure cristobalite.cif

    The exit status is 1 if the potential failed somewhere, for instance if its dynamics blew up; the report is written all the same.
    """
    from rich.console import Console

    from ..train import dataset, report
    from ..validate import validate

    console = Console(stderr=True, highlight=False)
    if reference is not None and not is_potential(reference):
        if data is not None:
            raise ValueError(f"--reference {reference} is labelled data, and so is --data {data}; leave one out")
        reference, data = None, reference
    pot = load_potential(potential)
    ref = None if reference is None else load_potential(reference)
    atoms = None if structure is None else read_structure(structure)
    structures = None if data is None else dataset.read(data)
    report.make_folder(folder)
    may_write(Path(folder, "report.json"))
    began = time.monotonic()
    result = validate(pot, ref, atoms, structures, temperatures, melts, steps, timestep, seed, say=lambda line: console.print(f"{time.monotonic() - began:6.1f} s  {line}"))
    result.write(folder)
    numbers = result.numbers()
    if as_json:
        click.echo(json.dumps(numbers, indent=2))
    else:
        _print(result, numbers)
    console.print(f"{folder}: report.json, report.png")
    if result.failures:
        raise RuntimeError("\n".join(result.failures))


def _print(result, numbers):
    from rich.console import Console
    from rich.table import Table

    def show(x, form):
        return "-" if x is None else format(x, form)

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, where in (("", "left"), ("potential", "right"), ("reference", "right"), ("difference", "right"), ("unit", "left")):
        table.add_column(name, justify=where)
    for name, unit, mine, theirs, error in result.quantities():
        if mine is not None or theirs is not None:
            table.add_row(name, show(mine, ".4f"), show(theirs, ".4f"), "-" if error is None else f"{error:.3g} " + ("meV" if name == "energy" else "%"), unit)
    for name, n in numbers["states"].items():
        table.add_row(f"{name}: drift", show(n["nve_drift_mev_per_atom_per_ps"], "+.1e"), show(n["nve_drift_reference_mev_per_atom_per_ps"], "+.1e"), "", "meV/atom/ps")
        if n["rdf_max_abs_difference"] is not None:
            table.add_row(f"{name}: g(r)", "", "", f"{n['rdf_max_abs_difference']:.3g}", f"by chance {n['rdf_noise']:.2g}")
        if n["outside_training_range_percent"] is not None:
            table.add_row(f"{name}: outside", f"{n['outside_training_range_percent']:.3g}", "", "", "% of atoms")
    Console(highlight=False).print(table)
    if result.errors is not None:
        click.echo("labelled data: " + summary(result.errors.numbers()))
