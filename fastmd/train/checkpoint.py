"""Checkpoints of a training: everything that the next epoch depends on, so that a killed run goes on as if nothing had been."""

import time
from pathlib import Path

import numpy as np
import torch

from .. import _store

FREE = ("epochs", "max_seconds", "patience", "threads", "memory_limit")  # settings that may differ in the run that resumes


def fixed(settings):
    """The settings that must not change."""
    return {k: v for k, v in settings.items() if k not in FREE}


def arrays(x):
    """A state with numpy arrays in place of tensors; `tensors` is the way back."""
    if isinstance(x, torch.Tensor):
        return x.detach().numpy().copy()
    if isinstance(x, dict):
        return {k: arrays(v) for k, v in x.items()}
    return type(x)(arrays(v) for v in x) if isinstance(x, (list, tuple)) else x


def tensors(x):
    if isinstance(x, np.ndarray):
        return torch.from_numpy(x.copy())
    if isinstance(x, dict):
        return {k: tensors(v) for k, v in x.items()}
    return type(x)(tensors(v) for v in x) if isinstance(x, (list, tuple)) else x


class Checkpoint:
    """Where a training is kept.

    path : a file, or None: then nothing is kept
    identity : {"data": hash, "settings": ..., "functions": ...}: what a run must share with the file to go on from it
    every : seconds between two writings at least
    """

    def __init__(self, path, identity, every=10.0):
        self.path, self.identity, self.every, self.written = path, identity, every, -np.inf

    def write(self, state, last=False):
        if self.path is not None and (last or time.monotonic() - self.written >= self.every):
            _store.save(self.path, "training", {**self.identity, "state": arrays(state)})
            self.written = time.monotonic()

    def read(self):
        """The state of the file. Raises ValueError where it is that of another training, and says what differs."""
        found = _store.load(self.path, "training")
        if not isinstance(found, dict) or not {*self.identity, "state"} <= set(found) or not isinstance(found["settings"], dict):
            raise ValueError(f"{self.path}: is no whole checkpoint of a training; choose another, or begin anew without it")
        for key, what in (("data", "other data"), ("functions", "other symmetry functions"), ("repulsion", "another repulsion"), ("start", "another start")):
            if found[key] != self.identity[key]:
                raise ValueError(f"{self.path}: is the checkpoint of a training on {what}; resume with what it began with, or choose another checkpoint")
        mine, theirs = self.identity["settings"], found["settings"]
        if differ := [f"{k} was {theirs.get(k)!r}, is {mine.get(k)!r}" for k in sorted({*mine, *theirs}) if mine.get(k) != theirs.get(k)]:
            raise ValueError(f"{self.path}: is the checkpoint of a training with other settings: {'; '.join(differ)}. Resume with those it had ({', '.join(FREE)} may differ)")
        return tensors(found["state"])


def check_path(path, resume):
    """Before the work: a checkpoint to resume from must be there, and one that is there is not overwritten."""
    if path is None:
        if resume:
            raise ValueError("resume needs a checkpoint to go on from: name its file")
    elif not resume and Path(path).exists():
        raise ValueError(f"{path}: this checkpoint exists; resume from it, or remove it to begin anew")
