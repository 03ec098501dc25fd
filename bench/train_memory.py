"""The memory that `fastmd train` says it will take, against what it takes: the peak of a fresh process, without a bound and with a tight one.

    python bench/train_memory.py Si.xyz Cu.xyz InP.xyz        # some minutes; a line per data set and bound

The tight bound leaves room for about a third of the Jacobian rows that an unbounded run keeps.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURED = "import resource, sys\nfrom fastmd.cli import main\ntry:\n    main(sys.argv[1:], standalone_mode=False)\nfinally:\n    print(f'PEAK {1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}')"


def bytes_of(text):
    number, unit = text.split()
    return float(number) * {"MB": 1e6, "GB": 1e9}[unit]


def train(data, folder, *options):
    """(what the line about memory says, in bytes; the measured peak)"""
    command = [sys.executable, "-c", MEASURED, "train", data, "-o", Path(folder, "potential.nnp"), "--epochs", "1", *options]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    line = " ".join(done.stderr[done.stderr.index("memory:"):].split())
    said = {name: bytes_of(re.search(name + r" (?:about )?([0-9.]+ [MG]B)", line)[1]) for name in ("process", "Jacobian rows", "peak", "limit")}
    return said, int(re.search(r"PEAK (\d+)", done.stdout)[1])


def main(paths, options):
    print(f"{'data':20s} {'bound':>9s} {'rows kept':>10s} {'estimate':>10s} {'measured':>10s}  measured / estimate")
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            free, _ = first = train(path, folder, *options)
            tight = f"{(free['peak'] - free['Jacobian rows'] * 2 / 3) / 1e6:.0f}MB"
            for bound, (said, peak) in (("none", first), (tight, train(path, folder, *options, "--memory-limit", tight))):
                kept = "kept" if bound == "none" or peak <= said["limit"] else "BROKEN"
                print(f"{Path(path).stem:20s} {bound:>9s} {said['Jacobian rows'] / 1e6:7.0f} MB {said['peak'] / 1e6:7.0f} MB {peak / 1e6:7.0f} MB  {peak / said['peak']:.3f}"
                      + ("" if bound == "none" else f"   bound {kept}"), flush=True)


if __name__ == "__main__":
    data = [a for a in sys.argv[1:] if Path(a).exists()]
    main(data, [a for a in sys.argv[1:] if a not in data])
