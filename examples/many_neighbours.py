"""One network for the energy of an atom among many neighbours, whose distances are its inputs (section 8.1.1 and figure 8.3 of the thesis).

    python examples/many_neighbours.py [FOLDER] [--quick]      # about a minute and a half

        E = sum_j V(r_j),  j = 1 ... N,   V the shifted Lennard-Jones potential of argon (cutoff 2.5 sigma)

The network of the thesis has N = 20 distances as inputs and one hidden layer of 200 sigmoids; figure 8.3 is its error on training and test data as the
epochs go by. What you learn:
- The error falls and flattens slowly, and it grows fast with N.
- The thesis sees no overfitting, "(PROBABLY)" since its data are random numbers. That is so if they are new ones in every epoch: no configuration comes
  twice, and both errors fall together. The same 4000 random configurations again and again are learnt by heart by the 4401 parameters, and the test error
  rises. Neighbours in a liquid cover little of the space of all distances, and there the two errors stay close with 4000 configurations.
- The energy does not care which neighbour is called the first; this network does. The same random neighbours in another order get energies that differ by
  as much as the error is. Symmetry functions (here G2, J. Behler, J. Chem. Phys. 134, 074106 (2011), eq. 8) sum over the neighbours before the
  network sees them: the order is gone, the number of inputs does not depend on N, and random neighbours are learnt far better. In the liquid, the sorted
  distances are as good: to sort is another way to be rid of the order, but the energy would have a kink wherever two neighbours change places.

Every network is trained by Adam on 4000 configurations. Distances from molecular dynamics are those of the 20 nearest neighbours in liquid argon at
150 K, in order of distance; training and test data are from different trajectories.

Writes FOLDER/many_neighbours.png and many_neighbours.json.
"""

from pathlib import Path

import click
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import fastmd
from fastmd.train import report
from fastmd.train.model import to_torch

EPSILON, SIGMA = 0.0104, 3.40        # eV, angstrom: argon
NEAR, FAR = 0.8 * SIGMA, 2.5 * SIGMA
MANY = 20                            # neighbours of figure 8.3
RAW, FRESH, FUNCTIONAL = "200 sigmoids on the distances", "the same, new data in each epoch", "20 sigmoids on 12 symmetry functions"
POTENTIAL = fastmd.LennardJones(EPSILON, SIGMA, FAR, shift=True)
FUNCTIONS = {"Ar": [fastmd.G2("Ar", 1.1 * FAR, eta=4.0, rs=rs) for rs in np.linspace(NEAR, FAR, 12)]}

console = Console(highlight=False)


def energies(r):
    """(n,) eV of distances r (n, N): every neighbour in a pair of its own with the atom, the pairs out of each other's reach"""
    x = np.zeros((r.size, 2, 3))
    x[:, :, 0] = 4 * FAR * np.arange(r.size)[:, None]
    x[:, 1, 1] = r.ravel()
    return POTENTIAL.compute(Atoms(f"Ar{2 * r.size}", x.reshape(-1, 3))).energies.reshape(*r.shape, 2).sum((1, 2))


def symmetry_functions(r):
    """(n, functions) of distances r (n, N). The directions do not matter to G2: the neighbours are spread on a sphere, so that none meets another."""
    n, many = r.shape
    k = np.arange(many)
    z, angle = 1 - (2 * k + 1) / many, k * np.pi * (3 - 5**0.5)
    direction = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
    x = np.concatenate([np.zeros((n, 1, 3)), r[:, :, None] * direction], axis=1)
    x[:, :, 0] += 4 * FAR * np.arange(n)[:, None]
    return fastmd.Descriptor(FUNCTIONS).describe(Atoms(f"Ar{n * (many + 1)}", x.reshape(-1, 3)))["Ar"][::many + 1]


def at_random(n, many, rng):
    """(n, many) angstrom, as in the thesis"""
    return rng.uniform(NEAR, FAR, (n, many))


def from_dynamics(n, seed):
    """(n, 20) angstrom: the nearest neighbours of atoms in liquid argon at 150 K, nearest first"""
    atoms = bulk("Ar", a=5.72, cubic=True) * (3, 3, 3)   # 21 atoms per nm^3
    fastmd.maxwell_boltzmann(atoms, 600, seed)           # hot enough to melt
    md = fastmd.MD(atoms, POTENTIAL, timestep=5, temperature=150, friction=0.01, seed=seed)
    md.run(1000, every=1000)
    found = []
    while len(found) * len(atoms) < n:
        md.run(200, every=200)
        pairs = fastmd.find_pairs(md.atoms, FAR)
        found.append([np.sort(pairs.r[a:b])[:MANY] for a, b in zip(pairs.first, pairs.first[1:])])
    return np.concatenate(found)[np.random.default_rng(seed).permutation(len(found) * len(atoms))[:n]]


def rmse(x):
    return float(np.sqrt(np.mean(np.square(x))))


def train(kind, data, test, epochs):
    """Numbers of a network trained on distances `data`, and its curves: RMSE in meV per epoch on training and test data.  Adam, 100 data at a time."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    inputs = symmetry_functions if kind == FUNCTIONAL else np.array
    raw, energy, test_energy = inputs(data), energies(data), energies(test)
    shift, width, mean, scale = raw.mean(0), raw.std(0), energy.mean(), energy.std()
    def scaled(r):
        return torch.from_numpy((inputs(r) - shift) / width)
    network = fastmd.Network.random(raw.shape[1], (20 if kind == FUNCTIONAL else 200,), "sigmoid", rng=1)
    module = to_torch(network)
    x, test_x = scaled(data), scaled(test)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    predict = lambda x: module(x)[:, 0].detach().numpy() * scale + mean  # noqa: E731
    curves = []
    for _ in range(epochs):
        if kind == FRESH:
            data = at_random(*data.shape, rng)
            x, energy = scaled(data), energies(data)
        y = torch.from_numpy((energy - mean) / scale)
        for k in torch.randperm(len(x)).split(100):
            optimizer.zero_grad()
            (module(x[k])[:, 0] - y[k]).square().mean().backward()
            optimizer.step()
        schedule.step()
        curves.append((1e3 * rmse(predict(x) - energy), 1e3 * rmse(predict(test_x) - test_energy)))
    other_order = predict(scaled(rng.permuted(test, axis=1)))
    return {"curves": np.array(curves), "numbers": {
        "train_rmse_mev": curves[-1][0], "test_rmse_mev": curves[-1][1], "standard_deviation_mev": 1e3 * float(test_energy.std()), "parameters": network.n_parameters,
        "other_order_rms_mev": 1e3 * rmse(other_order - predict(test_x))}}


def study(data, epochs, neighbours):
    """({(kind, N): result} with random distances, {kind: result} with those from dynamics)"""
    rng = np.random.default_rng(1)
    random, dynamics = {}, {}
    for many in neighbours:
        r, test = at_random(data, many, rng), at_random(data // 2, many, rng)
        for kind in (RAW, FRESH, FUNCTIONAL) if many == MANY else (RAW, FUNCTIONAL):
            random[kind, many] = train(kind, r, test, epochs)
    r, test = from_dynamics(data, 1), from_dynamics(data // 2, 2)
    for kind in (RAW, FUNCTIONAL):
        dynamics[kind] = train(kind, r, test, epochs)
    return random, dynamics


def draw(path, random, dynamics, neighbours):
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    a, b, c = figure.subplots(1, 3)
    colors = {RAW: "C0", FRESH: "C1", FUNCTIONAL: "C2"}
    for axes, results, title in ((a, {k: x for (k, n), x in random.items() if n == MANY}, f"{MANY} random distances (figure 8.3)"), (b, dynamics, f"{MANY} nearest neighbours in liquid argon")):
        for kind, x in results.items():
            epochs = np.arange(1, len(x["curves"]) + 1)
            axes.loglog(epochs, x["curves"][:, 0], colors[kind] + "--", lw=1)
            axes.loglog(epochs, x["curves"][:, 1], colors[kind] + "-", lw=1, label=kind)
        axes.axhline(x["numbers"]["standard_deviation_mev"], color="k", lw=0.7, ls=":", label="standard deviation of the data")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.set_ylabel("RMSE (meV): dashed training, solid test")
    for kind in (RAW, FUNCTIONAL):
        c.loglog(neighbours, [random[kind, n]["numbers"]["test_rmse_mev"] for n in neighbours], colors[kind] + "o-", label=kind)
    c.loglog(neighbours, [random[RAW, n]["numbers"]["standard_deviation_mev"] for n in neighbours], "k:", lw=0.7, label="standard deviation of the data")
    c.set_title("Random distances, more and more of them")
    c.set_xlabel("neighbours N")
    c.set_xticks(neighbours, map(str, neighbours))
    c.minorticks_off()
    c.set_ylabel("test RMSE at the end (meV)")
    a.set_ylim(a.get_ylim()[0] / 3)  # room for the legend
    for axes, place in ((a, "lower left"), (b, "lower left"), (c, "lower right")):
        axes.legend(fontsize=8, loc=place)
    report.save(figure, path)


@click.command()
@click.argument("folder", default="many_neighbours", type=click.Path(file_okay=False, path_type=Path))
@click.option("--quick", is_flag=True, help="Seconds: few data and epochs, 1 and 20 neighbours.")
def main(folder, quick):
    """Train networks on the energy of an atom among many neighbours (section 8.1.1, figure 8.3); the first lines of this file say what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    neighbours = [1, MANY] if quick else [1, 3, 8, MANY]
    random, dynamics = study(600 if quick else 4000, 20 if quick else 150, neighbours)
    t = Table(title="Energy of an atom among its neighbours, RMSE in meV")
    for name in ("distances", "network", "parameters", "training", "test", "same neighbours,\nother order"):
        t.add_column(name, justify="left" if name in ("distances", "network") else "right")
    for title, results in [(f"{n} at random", {k: x for (k, m), x in random.items() if m == n}) for n in neighbours] + [(f"{MANY} of a liquid", dynamics)]:
        for kind, x in results.items():
            n = x["numbers"]
            t.add_row(title, kind, str(n["parameters"]), *(f"{n[k]:.2g}" for k in ("train_rmse_mev", "test_rmse_mev", "other_order_rms_mev")))
    console.print(t)
    draw(folder / "many_neighbours.png", random, dynamics, neighbours)
    report.write_json(folder / "many_neighbours.json", {"random": [{"network": k, "neighbours": n} | x["numbers"] for (k, n), x in random.items()],
                                                        "dynamics": [{"network": k, "neighbours": MANY} | x["numbers"] for k, x in dynamics.items()]})
    console.print(f"Look at {folder}/many_neighbours.png")


if __name__ == "__main__":
    main()
