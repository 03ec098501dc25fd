"""What compare.py runs: a file per section, each with `contests(quick)`, which makes one system after the other, finds every answer right and yields the programs."""

import importlib.util
import time
from dataclasses import dataclass, field


class Wrong(Exception):
    """An answer that is not right: its time is of no interest."""


@dataclass
class Contest:
    """Programs that do the same with one system, and how much of it there is.

    jobs : {program: job}; a job returns seconds, the best of its goes
    over : {program: the job that its ratio is to}, for those that are not held against the first job
    per, scale, unit : a figure is what a job returns * scale / per, in that unit
    notes : {program: what to know of its figure};  left_out : {program: why it is not timed}
    """

    what: str
    jobs: dict
    per: float = 1.0
    scale: float = 1e6
    unit: str = "µs/atom"
    over: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)
    left_out: dict = field(default_factory=dict)

    def add(self, program, make, module=None, note=None, over=None):
        """A program by what makes its job. If its module is not installed or its answer is wrong it is left out, and the table says so."""
        if module and importlib.util.find_spec(module) is None:
            self.left_out[program] = "not installed"
            return
        try:
            self.jobs[program] = make()
        except Wrong as e:
            self.left_out[program] = f"wrong: {e}"
            return
        except Exception as e:
            if not module:  # fastmd's own must work; a peer may be of a version that has changed
                raise
            self.left_out[program] = f"failed: {type(e).__name__}: {e}"
            return
        if note:
            self.notes[program] = note
        if over:
            self.over[program] = over


def same(what, found, wanted, most):
    """Raises Wrong unless two arrays agree to `most` of the largest component."""
    off = float(abs(found - wanted).max() / abs(wanted).max()) if found.shape == wanted.shape else float("inf")
    if not off <= most:
        raise Wrong(f"{what} off by {off:.1e}, at most {most:.0e} is right")


def clocked(call, least=2e-3, goes=3, seconds=0.03):
    """A job: seconds of a call, the best of `goes` goes or of as many as there are in `seconds`; a go is as many calls as take `least` seconds.

    It is the time of this process that counts, in which others on the machine have no part; it runs on one thread.
    """
    for _ in range(2):  # the first is slow: it compiles, loads, takes memory
        began = time.process_time()
        call()
        once = time.process_time() - began
        if once > 2:
            break
    calls = max(1, int(least / max(once, 1e-7)))
    goes = 1 if once > 0.2 else max(goes, int(seconds / (calls * once)) if once else 0)

    def job():
        best = float("inf")
        for _ in range(goes):
            began = time.process_time()
            for _ in range(calls):
                call()
            best = min(best, time.process_time() - began)
        return best / calls
    return job
