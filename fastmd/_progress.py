"""The bar of long work: on stderr, only on a terminal, and only from two seconds on."""

import math
import sys
import time


class Bar:
    """A context; show(done) brings the bar up to date.

    total : of what `what` counts, or None;  wanted : None takes a terminal for a yes, True and False insist
    """

    def __init__(self, what, total, wanted=None):
        self._what, self._total, self._bar = what, total, None
        wanted = sys.stderr.isatty() if wanted is None else wanted
        self._next = time.monotonic() + 2 if wanted else math.inf

    def show(self, done):
        now = time.monotonic()
        if now < self._next:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total)
        self._bar.update(self._task, completed=done)
        self._next = now + 0.1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.stop()
