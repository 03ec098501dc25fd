"""How fast is one network, energy and gradient by its inputs: torch eager, torch.compile and fastmd's kernel, over depth and width.

    python bench/network_speed.py [FOLDER] [--atoms 1000] [--quick]      # some minutes for torch.compile, later less than one: it keeps a cache

Figures 7.4 and 7.5 of the thesis ask this of TensorFlow in Python and in C++ and of hand-written layers on Armadillo: sigmoid networks with one
input and one output, L hidden layers of N nodes each, random weights. Here torch stands for the former and fastmd for the latter. The thesis times
the energy alone, one atom at a time; molecular dynamics wants the gradient too, and has many atoms to offer, so both numbers of atoms are timed.

What a time is made of: one call in double precision on one thread that takes inputs (n, 1) and returns energies (n,) and gradients (n, 1), arrays
for the results made anew each time; numpy arrays for fastmd, tensors for torch, no conversion on either side. Eager builds its graph and runs it
back; torch's weights want no gradient, so it computes none for them. Compiling is not in the time (it stands in the JSON). Descriptors, neighbours
and forces are not in it either. Every candidate has to give torch's answer before it is timed. The clock is that of the process (all its threads), as
in the thesis: on a quiet machine it shows what a wall clock does, on a busy one it leaves out the time others had. The candidates take turns within
each of several rounds, since caches and clock rates change under other work, and the fastest round counts; a ratio is one of such times.

Writes FOLDER/network_speed.png and network_speed.json.
"""

import os
import platform
import time
from pathlib import Path

import click
import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

import fastmd
from fastmd import _core
from fastmd.train import report
from fastmd.train.model import to_torch

LAYERS, NODES = (1, 2, 5, 10, 20, 30), (1, 5, 10, 20, 50, 100)
ROUNDS, BURST = 15, 2e-3   # in each round a candidate is called again and again for BURST seconds, once at least
NAMES = {"fastmd": "fastmd", "eager": "torch eager", "compiled": "torch.compile"}

console = Console(highlight=False)


def eager(network):
    """(n, inputs) -> energies (n,), gradients (n, inputs)"""
    module = to_torch(network).requires_grad_(False)

    def call(x):
        x = x.detach().requires_grad_(True)
        y = module(x)[:, 0]
        return y.detach(), torch.autograd.grad(y.sum(), x)[0]
    return call


def compiled(network):
    """The same as one compiled function, forward and back in one graph, made for the number of atoms it is first called with"""
    module = to_torch(network).requires_grad_(False)

    def both(x):
        y, back = torch.func.vjp(module, x)
        return y[:, 0], back(torch.ones_like(y))[0]
    torch._dynamo.reset()  # it would give up, silently, after a few functions that differ in their weights only
    return torch.compile(both, fullgraph=True, dynamic=False)


def disagreement(found, expected):
    """The largest difference of energies or gradients, relative to the largest of them (the gradient of 30 layers of sigmoids is tiny)"""
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max()) for a, b in zip(found, expected))


def calls(network, x, compile_too):
    """({name: call without arguments}, seconds to compile, {name: why it is missing}); each call has been run and found right."""
    tensor = torch.from_numpy(x)
    ways = {"fastmd": lambda: network.evaluate(x, threads=1)}
    plain = eager(network)
    ways["eager"] = lambda: plain(tensor)
    seconds, missing = 0.0, {}
    expected = ways["eager"]()
    if compile_too:
        began = time.perf_counter()
        try:
            made = compiled(network)
            made(tensor)
            ways["compiled"] = lambda: made(tensor)
        except Exception as e:  # no compiler, no memory, a size it cannot do: whatever it is, it belongs into the table
            missing["compiled"] = f"{type(e).__name__}: {str(e).strip().splitlines()[0] if str(e).strip() else ''}"[:200]
        seconds = time.perf_counter() - began
    for name, call in ways.items():
        if not (off := disagreement(call(), expected)) < 1e-9:
            raise click.ClickException(f"{NAMES[name]} gives another answer than torch eager, relative difference {off:.1e}: not timed")
    return ways, seconds, missing


def seconds_per_call(ways, rounds):
    """{name: (rounds,) seconds of this process}: the ways take turns"""
    repeats = {}
    for name, call in ways.items():
        began = time.process_time()
        call()
        repeats[name] = max(1, int(BURST / (time.process_time() - began)))
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, call in ways.items():
            began = time.process_time()
            for _ in range(repeats[name]):
                call()
            found[name].append((time.process_time() - began) / repeats[name])
    return {name: np.array(t) for name, t in found.items()}


def measure(layers, nodes, atoms, compile_too, rounds):
    """One line of the result"""
    network = fastmd.Network.random(1, (nodes,) * layers, "sigmoid", rng=layers * 1000 + nodes)
    x = np.random.default_rng(1).normal(size=(atoms, 1))
    ways, compile_seconds, missing = calls(network, x, compile_too)
    times = seconds_per_call(ways, rounds)
    best = {name: float(t.min()) for name, t in times.items()}
    return {"layers": layers, "nodes": nodes, "atoms": atoms, "parameters": network.n_parameters, "microseconds_per_atom": {k: 1e6 * t / atoms for k, t in best.items()},
            "median_microseconds_per_atom": {k: 1e6 * float(np.median(t)) / atoms for k, t in times.items()},
            "ratio_to_fastmd": {k: t / best["fastmd"] for k, t in best.items() if k != "fastmd"}, "compile_seconds": compile_seconds, "missing": missing}


def table(lines, atoms):
    t = Table(title=f"{atoms} atom{'s' * (atoms > 1)} in a call, one thread: energy and gradient")
    for name in ("layers", "nodes", "fastmd, µs per atom", "torch eager / fastmd", "torch.compile / fastmd"):
        t.add_column(name, justify="right")
    for x in lines:
        ratio = {k: f"{v:.2f}" for k, v in x["ratio_to_fastmd"].items()}
        t.add_row(str(x["layers"]), str(x["nodes"]), f"{x['microseconds_per_atom']['fastmd']:.3g}", ratio["eager"], ratio.get("compiled", x["missing"].get("compiled", "not timed")))
    return t


def best_torch(line):
    """The faster of the two, as multiple of fastmd's time"""
    return min(line["ratio_to_fastmd"].values())


def draw(path, lines, sizes, layers, nodes, header):
    figure = Figure(figsize=(14, 4.2 * len(sizes)), layout="constrained")
    figure.suptitle(header, fontsize=11)
    for row, n in zip(figure.subplots(len(sizes), 3, squeeze=False), sizes):
        at = {(x["layers"], x["nodes"]): x for x in lines if x["atoms"] == n}
        many = f"{n} atom{'s' * (n > 1)} in a call"
        for axes, what, keys, fixed in ((row[0], "hidden layers", [(k, max(nodes)) for k in layers], f"{max(nodes)} nodes"),
                                        (row[1], "nodes in a layer", [(max(layers), k) for k in nodes], f"{max(layers)} hidden layers")):
            for name, style in (("eager", "C0o-"), ("compiled", "C1s-"), ("fastmd", "C3^-")):
                points = [(k[what != "hidden layers"], at[k]["microseconds_per_atom"][name]) for k in keys if name in at[k]["microseconds_per_atom"]]
                if points:
                    axes.loglog(*zip(*points), style, ms=5, label=NAMES[name])
            axes.set_title(f"{many}, {fixed}")
            axes.set_xlabel(what)
            axes.set_xticks([k[what != "hidden layers"] for k in keys], [str(k[what != "hidden layers"]) for k in keys])
            axes.minorticks_off()
            axes.set_ylabel("time per atom (µs)")
            axes.grid(alpha=0.3)
            axes.legend()
        ratio = np.array([[best_torch(at[a, b]) for b in nodes] for a in layers])
        row[2].imshow(ratio, origin="lower", aspect="auto", cmap="RdBu", norm=LogNorm(1 / ratio.max(), ratio.max()) if ratio.max() > 1 else None)
        for (a, b), r in np.ndenumerate(ratio):
            row[2].text(b, a, f"{r:.1f}", ha="center", va="center", color="w" if abs(np.log(r)) > 0.6 * np.log(max(ratio.max(), 1.1)) else "k")
        row[2].set_title(f"{many}: torch / fastmd")
        row[2].set_xticks(range(len(nodes)), map(str, nodes))
        row[2].set_yticks(range(len(layers)), map(str, layers))
        row[2].set_xlabel("nodes in a layer")
        row[2].set_ylabel("hidden layers")
    report.save(figure, path)


@click.command()
@click.argument("folder", default="bench_network_speed", type=click.Path(file_okay=False, path_type=Path))
@click.option("--atoms", default=1000, show_default=True, type=click.IntRange(1, 10**6), help="Atoms in a call; one atom in a call is timed as well.")
@click.option("--quick", is_flag=True, help="Seconds instead of minutes: four sizes, few rounds, without torch.compile.")
def main(folder, atoms, quick):
    """Time a network's energy and gradient: torch eager, torch.compile and fastmd's kernel, over layers and nodes (figures 7.4 and 7.5).

    The first lines of this file say what exactly is timed. Example: python bench/network_speed.py out --atoms 256
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    layers, nodes, rounds = ((1, 3), (5, 20), 3) if quick else (LAYERS, NODES, ROUNDS)
    sizes = [atoms] if atoms == 1 else [atoms, 1]
    jobs = [(k, m, n) for k in layers for m in nodes for n in sizes]
    shown = track(jobs, "timing", console=Console(stderr=True), transient=True, disable=quick or not os.isatty(2))
    lines = [measure(k, m, n, not quick, rounds) for k, m, n in shown]
    machine = {"processor": _processor(), "fastmd": fastmd.__version__, "instruction_set": _core.isa(), "torch": torch.__version__, "numpy": np.__version__,
               "python": platform.python_version(), "threads": 1}
    header = f"Energy and gradient of one network, double precision, one thread: {machine['processor']}, {machine['instruction_set']}, torch {torch.__version__}\n" \
             "Right: time of the faster of the two torch ways over fastmd's"
    for n in sizes:
        console.print(table([x for x in lines if x["atoms"] == n], n))
    console.print("A call takes inputs (n, 1) and returns energies (n,) and gradients (n, 1): no descriptors, no conversion, no compiling in the time.\n"
                  "CPU time of the fastest of the rounds in which the candidates took turns; all gave torch's answer to 1e-9 before they were timed.")
    draw(folder / "network_speed.png", lines, sizes, layers, nodes, header)
    report.write_json(folder / "network_speed.json", {"machine": machine, "rounds": rounds, "burst_seconds": BURST, "lines": lines})
    console.print(f"Look at {folder}/network_speed.png")


def _processor():
    """Its name, from Linux where there is one"""
    try:
        return next(line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
