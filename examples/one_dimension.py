"""A network of one distance learns the shifted Lennard-Jones potential of argon (section 8.1 and figures 8.1 and 8.2 of the thesis).

    python examples/one_dimension.py [FOLDER] [--quick]      # about a minute

        V(r) = 4 epsilon [(sigma/r)^12 - (sigma/r)^6] - the same at the cutoff,    0.8 sigma <= r <= cutoff = 2.5 sigma

What you learn:
- The network is trained in Python (torch) and run by the compiled kernel. Energy and gradient (dV/dr, by backpropagation down to the input) are
  the same there to the last digits, so whatever error is left belongs to the fit, not to the code.
- The error oscillates over the interval, and that of the gradient is largest at its left end, where the potential is steep. The thesis suggests to
  feed more data there. That helps there, and costs elsewhere. To feed the gradients (forces) too, as fastmd's training does, helps more at the
  steep end, and costs little in the middle.

Every network is 1-20-20-1, tanh, trained by L-BFGS with 200 random distances, five times from different weights and distances. The middle one of the
five, by the error of the gradient, is shown. Errors are those at 2000 evenly spaced distances.

Writes FOLDER/one_dimension.png and one_dimension.json.
"""

from pathlib import Path

import click
import numpy as np
import torch
from ase import Atoms
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import fastmd
from fastmd.train import report
from fastmd.train.model import from_torch, to_torch

EPSILON, SIGMA = 0.0104, 3.40        # eV, angstrom: argon
NEAR, FAR = 0.8 * SIGMA, 2.5 * SIGMA
HIDDEN, DATA = (20, 20), 200
RECIPES = {                          # name: (share of the distances in the left tenth of the interval, are gradients trained on?)
    "energies": (0.1, False),
    "energies, half of them in the left tenth": (0.5, False),
    "energies and gradients": (0.1, True),
}

console = Console(highlight=False)


def reference(r):
    """V (n,) in eV and dV/dr (n,) in eV/angstrom, by fastmd's Lennard-Jones: a pair of atoms for each distance, the pairs out of each other's reach"""
    potential = fastmd.LennardJones(EPSILON, SIGMA, FAR * (1 + 1e-12), shift=True)  # r < cutoff counts, and FAR belongs to the interval
    x = np.zeros((len(r), 2, 3))
    x[:, :, 0] = 2 * FAR * np.arange(len(r))[:, None]
    x[:, 1, 1] = r
    found = potential.compute(Atoms(f"Ar{2 * len(r)}", x.reshape(-1, 3)))
    return found.energies.reshape(-1, 2).sum(1), -found.forces.reshape(-1, 2, 3)[:, 1, 1]


def distances(n, left, rng):
    """n of them, the share `left` in the left tenth of the interval; within each part uniform"""
    edge, few = NEAR + 0.1 * (FAR - NEAR), round(left * n)
    return np.concatenate([rng.uniform(NEAR, edge, few), rng.uniform(edge, FAR, n - few)])


def train(left, gradients, iterations, seed):
    """fastmd.Network of r in angstrom, energies in eV

    loss = mean (dV / s)^2, where gradients count + mean (d(dV/dr) / t)^2;  s and t are the standard deviations of the labels
    """
    rng = np.random.default_rng(seed)
    r = distances(DATA, left, rng)
    energy, slope = reference(r)
    middle, half, mean, scale = (NEAR + FAR) / 2, (FAR - NEAR) / 2, energy.mean(), energy.std()
    module = to_torch(fastmd.Network.random(1, HIDDEN, rng=rng))
    x = torch.tensor((r - middle) / half)[:, None].requires_grad_(gradients)
    y, dy = torch.tensor((energy - mean) / scale), torch.tensor(slope * half / scale)

    def closure():
        module.zero_grad()
        found = module(x)[:, 0]
        loss = (found - y).square().mean()
        if gradients:
            loss = loss + ((torch.autograd.grad(found.sum(), x, create_graph=True)[0][:, 0] - dy) / dy.std()).square().mean()
        loss = 1e6 * loss  # torch's line search gives up at an absolute 1e-9, which would end the training early
        loss.backward()
        return loss

    torch.optim.LBFGS(module.parameters(), max_iter=iterations, max_eval=2 * iterations, history_size=50, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0).step(closure)
    # The scaling of input and output goes into the first and the last layer: what comes out is a network of angstrom and eV.
    layers = list(from_torch(module).layers)
    w, b, f = layers[0]
    layers[0] = w / half, b - w[:, 0] * middle / half, f
    w, b, f = layers[-1]
    layers[-1] = w * scale, b * scale + mean, f
    return fastmd.Network(tuple(layers))


def in_python(network, r):
    """V and dV/dr by torch"""
    x = torch.tensor(r)[:, None].requires_grad_(True)
    y = to_torch(network)(x)[:, 0]
    return y.detach().numpy(), torch.autograd.grad(y.sum(), x)[0].numpy()[:, 0]


def in_kernel(network, r):
    """V and dV/dr by the compiled kernel"""
    values, gradient = network.evaluate(r[:, None])
    return values, gradient[:, 0]


def rmse(x):
    return float(np.sqrt(np.mean(np.square(x))))


def study(iterations, seeds):
    """{recipe: numbers and curves of the middle one of its networks}"""
    r = np.linspace(NEAR, FAR, 2000)
    energy, slope = reference(r)
    found = {"r": r, "energy": energy, "slope": slope, "recipes": {}}
    for name, (left, gradients) in RECIPES.items():
        runs = []
        for seed in range(seeds):
            network = train(left, gradients, iterations, seed)
            here, there = in_python(network, r), in_kernel(network, r)
            runs.append({"energy_error": there[0] - energy, "gradient_error": there[1] - slope, "numbers": {
                "energy_rmse_mev": 1e3 * rmse(there[0] - energy), "gradient_rmse_mev_per_angstrom": 1e3 * rmse(there[1] - slope),
                "largest_gradient_error_mev_per_angstrom": 1e3 * float(np.abs(there[1] - slope).max()),
                "where_angstrom": float(r[np.abs(there[1] - slope).argmax()]),
                "kernel_and_torch_differ_mev": 1e3 * float(np.abs(here[0] - there[0]).max()),
                "kernel_and_torch_differ_mev_per_angstrom": 1e3 * float(np.abs(here[1] - there[1]).max())}})
        runs.sort(key=lambda x: x["numbers"]["gradient_rmse_mev_per_angstrom"])
        found["recipes"][name] = runs[len(runs) // 2] | {"all_gradient_rmse": [x["numbers"]["gradient_rmse_mev_per_angstrom"] for x in runs]}
    return found


def draw(path, found):
    figure = Figure(figsize=(13, 8), layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2)
    r = found["r"]
    a.plot(r, 1e3 * found["energy"], "k-")
    a.set_title("Shifted Lennard-Jones potential of argon")
    a.set_ylabel("V (meV)")
    b.plot(r, 1e3 * found["slope"], "k-")
    b.set_title("Its gradient")
    b.set_ylabel("dV/dr (meV/Å)")
    for k, (name, x) in enumerate(found["recipes"].items()):
        for axes, key, unit, rmse_key in ((c, "energy_error", "meV", "energy_rmse_mev"), (d, "gradient_error", "meV/Å", "gradient_rmse_mev_per_angstrom")):
            axes.semilogy(r, 1e3 * np.abs(x[key]), f"C{k}-", lw=0.9, label=f"{name}: RMSE {x['numbers'][rmse_key]:.2g} {unit}")
    c.set_title("Error of the energy (figure 8.1)")
    c.set_ylabel("|network - V| (meV)")
    d.set_title("Error of the gradient (figure 8.2)")
    d.set_ylabel("|network - dV/dr| (meV/Å)")
    for axes in (a, b, c, d):
        axes.set_xlabel("r (Å)")
        axes.axvspan(NEAR, NEAR + 0.1 * (FAR - NEAR), color="k", alpha=0.06, lw=0)
    for axes in (c, d):
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 1e-6 * high), 30 * high)  # room for the legend
        axes.legend(fontsize=8, loc="upper right")
    report.save(figure, path)


@click.command()
@click.argument("folder", default="one_dimension", type=click.Path(file_okay=False, path_type=Path))
@click.option("--quick", is_flag=True, help="Seconds: fewer iterations, one network each.")
def main(folder, quick):
    """Train a network of one distance on the shifted Lennard-Jones potential (section 8.1); the first lines of this file say what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found = study(150 if quick else 1500, 1 if quick else 5)
    t = Table(title="Shifted Lennard-Jones, 0.8 to 2.5 sigma, a network 1-20-20-1 trained on 200 distances")
    for name in ("trained on", "energy RMSE\nmeV", "gradient RMSE\nmeV/Å", "largest\nmeV/Å", "at\nÅ", "kernel - torch\nmeV/Å"):
        t.add_column(name, justify="left" if name == "trained on" else "right")
    for name, x in found["recipes"].items():
        n = x["numbers"]
        t.add_row(name, *(f"{n[k]:.2g}" for k in ("energy_rmse_mev", "gradient_rmse_mev_per_angstrom", "largest_gradient_error_mev_per_angstrom")),
                  f"{n['where_angstrom']:.2f}", f"{n['kernel_and_torch_differ_mev_per_angstrom']:.0e}")
    console.print(t)
    draw(folder / "one_dimension.png", found)
    report.write_json(folder / "one_dimension.json", {k: x["numbers"] | {"gradient_rmse_of_all": x["all_gradient_rmse"]} for k, x in found["recipes"].items()})
    console.print(f"Look at {folder}/one_dimension.png")


if __name__ == "__main__":
    main()
