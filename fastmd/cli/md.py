"""fastmd md"""

import sys

import click

from ._common import load_potential, may_write, read_structure


@click.command("md")
@click.argument("potential", type=click.Path(dir_okay=False))
@click.argument("start", type=click.Path(exists=True, dir_okay=False))
@click.option("-T", "--temperature", type=float, help="Kelvin; without it, velocities are those in the file and the energy is conserved.")
@click.option("--friction", default=0.01, show_default=True, help="1/fs, of the Langevin thermostat.")
@click.option("--nve", is_flag=True, help="Only start at the temperature, then conserve the energy.")
@click.option("--timestep", default=1.0, show_default=True, help="fs")
@click.option("--steps", default=1000, show_default=True)
@click.option("--every", default=100, show_default=True, help="Steps between lines of the table and frames of the trajectory.")
@click.option("-o", "--output", default="md.extxyz", show_default=True, type=click.Path(dir_okay=False), help="Trajectory.")
@click.option("--seed", default=1, show_default=True)
def command(potential, start, temperature, friction, nve, timestep, steps, every, output, seed):
    """Molecular dynamics of the structure in START with POTENTIAL (a .nnp file, or sw for Stillinger-Weber silicon)."""
    import numpy as np

    from ..md import MD, maxwell_boltzmann

    may_write(output, start, potential)
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed must be from 0 to 2^63 - 1, got {seed}")
    pot = load_potential(potential)
    atoms = read_structure(start)
    if temperature is not None:
        maxwell_boltzmann(atoms, temperature, np.random.default_rng(seed))
    bath = {} if nve or temperature is None else {"temperature": temperature, "friction": friction}
    MD(atoms, pot, timestep=timestep, seed=seed, **bath).run(steps, every=every, trajectory=output, thermo=sys.stdout)
