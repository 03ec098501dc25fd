"""Energy and force as outputs of one network do not fit together; the gradient of the energy does (end of section 8.1.1 and figure 8.4 of the thesis).

    python examples/energy_and_force.py [FOLDER] [--quick]      # about a minute and a half

An argon atom has 5 neighbours at x_1 ... x_5, seen from it, r_j = |x_j|. Each contributes a shifted Lennard-Jones potential V (cutoff 2.5 sigma):

    E = sum_j V(r_j),    F = sum_j V'(r_j) x_j / r_j    (the force on the atom in the middle)

Two networks of the inputs (x_1, y_1, z_1, r_1, ..., x_5, y_5, z_5, r_5), thesis (8.1), learn this from the same data with the same weights in the loss:

    one for both    20-100-100-4, outputs (F_x, F_y, F_z, E), thesis (8.2)
    energy only     20-100-100-1; the force is the gradient, F = sum_j [dE/dx_j + dE/dr_j x_j / r_j], in training and afterwards

What you learn: were the atom moved by u, its neighbours would be at x_j - u, so the force that belongs to a network's own energy is the sum above. The
four outputs may each be as good as you like and still miss it; F + dE/du says by how much. Then the atom moves at constant energy among neighbours
that stay in their places. A force that is the gradient of some energy keeps the sum of kinetic and potential energy, whatever its errors. The force
of the other network does work in every round the atom makes, and the energy goes astray, though its errors on test data are smaller here.

The thesis draws neighbours in all directions and trains for 10^6 epochs. Here they are those of an atom that wanders in a cage, which is learnt in seconds.

Writes FOLDER/energy_and_force.png and energy_and_force.json.
"""

from pathlib import Path

import click
import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import fastmd
from fastmd.train import report

EPSILON, SIGMA = 0.0104, 3.40          # eV, angstrom: argon
CUTOFF = 2.5 * SIGMA
NEIGHBOURS = 5
CAGE = 1.1 * SIGMA                     # to the neighbours, which stand on a triangle, above and below
WANDER, SHAKE = 0.6, 0.2               # angstrom: how far the atom and its neighbours are from these places in the data
TEMPERATURE, TIMESTEP = 80, 2.0        # K, fs
MODELS = {"one for both": 4, "energy only": 1}   # outputs

console = Console(highlight=False)


def cage():
    """(5, 3) angstrom: the places of the neighbours, three around the atom, one above, one below"""
    angle = 2 * np.pi * np.arange(3) / 3
    around = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return CAGE * np.vstack([around, [[0, 0, 1], [0, 0, -1]]])


def ball(shape, radius, rng):
    """(*shape, 3), uniform in a ball"""
    d = rng.normal(size=(*shape, 3))
    return radius * d / np.linalg.norm(d, axis=-1, keepdims=True) * rng.uniform(size=(*shape, 1)) ** (1 / 3)


def surroundings(n, rng):
    """(n, 5, 3) angstrom: what the atom sees from somewhere in the cage"""
    return cage() + ball((n, NEIGHBOURS), SHAKE, rng) - ball((n, 1), WANDER, rng)


def reference(x):
    """E (n,) in eV and F (n, 3) in eV/angstrom: fastmd's Lennard-Jones of the atom with each neighbour alone, as the neighbours must not feel each other"""
    potential = fastmd.LennardJones(EPSILON, SIGMA, CUTOFF, shift=True)
    # All pairs in one structure, a row of pairs farther apart than they reach: one call for all.
    flat = x.reshape(-1, 3)
    origin = np.zeros_like(flat)
    origin[:, 0] = 4 * CUTOFF * np.arange(len(flat))
    result = potential.compute(Atoms(f"Ar{2 * len(flat)}", np.stack([origin, origin + flat], axis=1).reshape(-1, 3)))
    energy = result.energies.reshape(-1, NEIGHBOURS, 2).sum((1, 2))
    return energy, result.forces.reshape(-1, NEIGHBOURS, 2, 3)[:, :, 0].sum(1)


class Model(torch.nn.Module):
    """x (n, 5, 3) angstrom -> E (n,) and F (n, 3), both over `scale` (eV)"""

    def __init__(self, outputs, hidden, scale):
        super().__init__()
        sizes, layers = [4 * NEIGHBOURS, hidden, hidden], []
        for a, b in zip(sizes, sizes[1:]):
            layers += [torch.nn.Linear(a, b, dtype=torch.float64), torch.nn.Tanh()]
        self.network = torch.nn.Sequential(*layers, torch.nn.Linear(hidden, outputs, dtype=torch.float64))
        self.outputs, self.scale = outputs, scale

    def forward(self, x):
        by_gradient = self.outputs == 1
        x = torch.as_tensor(x).detach().requires_grad_(by_gradient)
        r = x.norm(dim=2, keepdim=True)
        y = self.network(torch.cat([x / SIGMA, r / SIGMA - 1], dim=2).flatten(1))
        energy = y[:, -1]
        return energy, torch.autograd.grad(energy.sum(), x, create_graph=self.training)[0].sum(1) if by_gradient else y[:, :3]

    def predict(self, x):
        """E in eV and F in eV/angstrom, numpy in and out"""
        return [self.scale * t.detach().numpy() for t in self(x)]


def force_of_energy(model, x):
    """-dE/du (n, 3): by difference quotients of the network's energy as the atom moves, so that it owes nothing to the forces"""
    step, found = 1e-4, []
    for u in step * np.eye(3):
        found.append((model.predict(x + u)[0] - model.predict(x - u)[0]) / (2 * step))  # the atom at -u, at +u
    return np.stack(found, axis=1)


def train(outputs, x, energy, force, hidden, steps, seed):
    """loss = mean dE^2 / var E + mean dF^2 / var F;  Adam, 100 surroundings at a time, a learning rate that falls to 0"""
    torch.manual_seed(seed)
    scale = float(energy.std())
    model = Model(outputs, hidden, scale).train()
    mean = energy.mean()
    x, e, f = torch.from_numpy(x), torch.from_numpy(energy / scale), torch.from_numpy(force / scale)
    model.network[-1].bias.data[-1] = mean / scale
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    chance = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        k = torch.randint(len(x), (100,), generator=chance)
        optimizer.zero_grad()
        found_e, found_f = model(x[k])
        loss = (found_e - e[k]).square().mean() + ((found_f - f[k]) / f.std()).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


class InCage(Calculator):
    """The first atom feels the others through a model; they feel nothing and stay."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, model):
        super().__init__()
        self.model = model

    def calculate(self, atoms=None, properties=("energy", "forces"), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        energy, force = self.model.predict((atoms.positions[1:] - atoms.positions[0])[None])
        forces = np.zeros((len(atoms), 3))
        forces[0] = force[0]
        self.results = {"energy": float(energy[0]), "forces": forces}


def dynamics(model, steps, seed):
    """(times in ps, kinetic + potential energy less that at the start in meV, farthest from the middle in angstrom)"""
    atoms = Atoms("Ar6", np.vstack([np.zeros((1, 3)), cage()]))
    direction = np.random.default_rng(seed).normal(size=3)
    momentum = np.sqrt(2 * atoms.get_masses()[0] * 1.5 * units.kB * TEMPERATURE)
    atoms.set_momenta(np.vstack([momentum * direction / np.linalg.norm(direction), np.zeros((NEIGHBOURS, 3))]))
    farthest = []
    thermo = fastmd.MD(atoms, InCage(model), TIMESTEP).run(steps, every=10, observers=[(lambda md: farthest.append(np.linalg.norm(md.positions[0])), 10)])
    return thermo.times, 1e3 * (thermo.total - thermo.total[0]), float(max(farthest))


def rmse(x):
    return float(np.sqrt(np.mean(np.square(x))))


def one_moved(model):
    """Figure 8.4: r of the first neighbour, the others in their places, and the errors of E and F_x"""
    r = np.linspace(CAGE - WANDER, CAGE + WANDER, 300)
    x = np.tile(cage(), (len(r), 1, 1))
    x[:, 0, 0] = r
    energy, force = reference(x)
    found = model.predict(x)
    return r, found[0] - energy, found[1][:, 0] - force[:, 0]


def study(data, hidden, steps, md_steps, starts):
    """{model: numbers and curves}"""
    rng = np.random.default_rng(1)
    x, test = surroundings(data, rng), surroundings(3000, rng)
    energy, force = reference(x)
    test_energy, test_force = reference(test)
    found = {}
    for name, outputs in MODELS.items():
        model = train(outputs, x, energy, force, hidden, steps, seed=1)
        e, f = model.predict(test)
        slope = force_of_energy(model, test)
        runs = [dynamics(model, md_steps, seed) for seed in range(starts)]
        found[name] = {"forces": (f, slope), "moved": one_moved(model), "runs": runs, "numbers": {
            "energy_rmse_mev": 1e3 * rmse(e - test_energy), "force_rmse_mev_per_angstrom": 1e3 * rmse(f - test_force),
            "force_plus_gradient_rmse_mev_per_angstrom": 1e3 * rmse(f - slope),
            "largest_energy_change_mev": max(float(np.abs(change).max()) for _, change, _ in runs),
            "rms_drift_mev_per_ps": rmse([fastmd.energy_drift(t, change / 1e3, 1) for t, change, _ in runs]),
            "farthest_from_middle_angstrom": max(far for *_, far in runs)}}
    return found


def draw(path, found):
    figure = Figure(figsize=(13, 8), layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2)
    for k, (name, x) in enumerate(found.items()):
        n = x["numbers"]
        r, energy, force = x["moved"]
        a.plot(r, 1e3 * energy, f"C{k}-", label=f"{name}: RMSE {n['energy_rmse_mev']:.2g} meV on test data")
        b.plot(r, 1e3 * force, f"C{k}-", label=f"{name}: RMSE {n['force_rmse_mev_per_angstrom']:.2g} meV/Å on test data")
        f, slope = x["forces"]
        c.plot(1e3 * slope[:, 0], 1e3 * (f - slope)[:, 0], f"C{k}.", ms=2, alpha=0.5, rasterized=True, label=f"{name}: RMS {n['force_plus_gradient_rmse_mev_per_angstrom']:.2g} meV/Å")
        for run, (t, change, _) in enumerate(x["runs"]):
            d.plot(t, change, f"C{k}-", lw=1, label=f"{name}: at most {n['largest_energy_change_mev']:.2g} meV" if run == 0 else None)
    a.set_title("One neighbour moved: error of E (figure 8.4)")
    a.set_ylabel("network - reference (meV)")
    b.set_title("One neighbour moved: error of $F_x$ (figure 8.4)")
    b.set_ylabel("network - reference (meV/Å)")
    for axes in (a, b):
        axes.set_xlabel("r of that neighbour (Å)")
    c.set_title("What does not fit together: $F + dE/du$, component x, test data")
    c.set_xlabel("- dE/du of the network's energy (meV/Å)")
    c.set_ylabel("F + dE/du (meV/Å)")
    d.set_title(f"Kinetic + potential energy of the atom in the cage, {TEMPERATURE} K, {len(next(iter(found.values()))['runs'])} starts")
    d.set_xlabel("time (ps)")
    d.set_ylabel("change since the start (meV)")
    for axes in (a, b, c, d):
        axes.legend(fontsize=9, markerscale=4)
    report.save(figure, path)


@click.command()
@click.argument("folder", default="energy_and_force", type=click.Path(file_okay=False, path_type=Path))
@click.option("--quick", is_flag=True, help="Seconds: smaller networks, little training, short runs.")
def main(folder, quick):
    """Energy and force from one network, or force as the gradient of the energy (section 8.1.1); the first lines of this file say what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found = study(1000, 40, 500, 250, 2) if quick else study(10000, 100, 8000, 5000, 4)
    rows = {"energy RMSE, test (meV)": "energy_rmse_mev", "force RMSE, test (meV/Å)": "force_rmse_mev_per_angstrom", "F + dE/du, RMS, test (meV/Å)": "force_plus_gradient_rmse_mev_per_angstrom",
            "largest change of the total energy (meV)": "largest_energy_change_mev", "drift of the total energy, RMS (meV/ps)": "rms_drift_mev_per_ps"}
    t = Table(title="An argon atom among 5 neighbours: test data, then dynamics")
    t.add_column("")
    for name in found:
        t.add_column(name, justify="right")
    for label, key in rows.items():
        t.add_row(label, *(f"{x['numbers'][key]:.2g}" for x in found.values()))
    console.print(t)
    draw(folder / "energy_and_force.png", found)
    report.write_json(folder / "energy_and_force.json", {name: x["numbers"] for name, x in found.items()})
    console.print(f"Look at {folder}/energy_and_force.png")


if __name__ == "__main__":
    main()
