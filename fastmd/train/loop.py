"""The training loop: loss, epochs, early stopping; in goes labelled data, out comes an NNPotential."""

import time
from dataclasses import asdict, dataclass, field, replace
from itertools import islice

import numpy as np
from ase.units import GPa

from .. import __version__, _check, _core
from ..committee import shift_and_factor
from ..network import ACTIVATIONS
from ..repulsion import Repulsion, around
from ..sets import distances, make_set
from ..symmetry import Descriptor, file_lines
from . import checkpoint as checkpoints
from . import dataset, memory, optimise, pieces
from . import start as starts
from .model import Model, from_torch
from .pieces import KINDS, Labelled, Workers


@dataclass
class Settings:
    """What `train` may be told.

    Weights are those of the mean squared errors of energy per atom (eV), force component (eV/angstrom) and stress component (eV/angstrom^3);
    "auto" is 1 / variance of these labels in the training data (energies after the offsets), so that the loss is a sum of relative errors.
    L-BFGS takes all data in every step and finds its step length itself: batch_size, learning_rate and schedule are for the others.
    """

    cutoff: float = 5.0
    hidden: tuple = (24, 24)
    activation: str = "tanh"
    optimizer: str = "lbfgs"    # or one of optimise.OPTIMISERS
    epochs: int = 60            # of L-BFGS: of 20 iterations each; of the others: once through the data
    patience: int = 12          # epochs without a better validation error before it stops
    max_seconds: float = 600.0
    batch_size: int = 8         # structures in a step; 1: online; 0 or None: all
    learning_rate: float | None = None  # None: the optimiser's own
    schedule: str = "cosine"    # of the learning rate: one of optimise.SCHEDULES
    decay: float = 0.5          # factor of the learning rate in decay_epochs epochs (exponential, step), or after that many without a better validation error (plateau)
    decay_epochs: int = 10
    l2: float = 0.0             # times the sum of squared weights (biases exempt), added to the loss
    energy_weight: float | str = 1.0
    force_weight: float | str = 0.02
    stress_weight: float | str = 0.5
    validation: float = 0.1     # share of the data held out to decide when to stop
    seed: int = 1
    threads: int = 0
    memory_limit: int | str | None = None  # bytes of the process, or text such as 2GB; None: half of what is available, on top of what is in use
    offsets: dict = field(default_factory=dict)  # energies of free atoms, where they are known

    def __post_init__(self):
        _check.number("cutoff", self.cutoff, "angstrom", above=0)
        for name in ("epochs", "patience", "decay_epochs"):
            _check.whole(name, getattr(self, name), 1)
        self.batch_size = _check.whole("batch_size", self.batch_size or 0, 0)
        _check.number("max_seconds", self.max_seconds, above=0)
        _check.whole("threads", self.threads, 0)
        if _check.whole("seed", self.seed, 0) >= 2**63:
            raise ValueError(f"seed must be below 2^63, got {self.seed}")
        self.offsets = {e: _check.number(f"offsets[{e!r}]", v, "eV") for e, v in self.offsets.items()}
        for name in WEIGHTS:
            if getattr(self, name) != "auto":
                setattr(self, name, _weight(name, getattr(self, name)))
        for name in ("validation", "l2"):
            _check.number(name, getattr(self, name), at_least=0)
        if self.learning_rate is not None:
            _check.number("learning_rate", self.learning_rate, above=0)
        if _check.number("decay", self.decay, above=0) >= 1:
            raise ValueError(f"decay must be a factor below 1, got {self.decay}")
        if self.validation > 0.9:
            raise ValueError(f"validation must be a share of the data from 0 to 0.9, got {self.validation}")
        self.hidden = tuple(_check.whole("hidden", n, 1) for n in self.hidden)
        if max(self.hidden, default=0) > 10000:
            raise ValueError(f"hidden: at most 10000 nodes in a layer, got {self.hidden}")
        if not any(getattr(self, name) for name in WEIGHTS):
            raise ValueError("energy_weight, force_weight and stress_weight are all 0: there is nothing to train on")
        for name, known in (("activation", ACTIVATIONS), ("optimizer", optimise.OPTIMISERS), ("schedule", optimise.SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.memory_limit is not None:
            memory.size("memory_limit", self.memory_limit)


WEIGHTS = ("energy_weight", "force_weight", "stress_weight")


def _weight(name, x):
    try:
        return _check.number(name, x, at_least=0)
    except ValueError:
        raise ValueError(f"{name} must be >= 0 or 'auto', got {x!r}") from None


def train(structures, settings=Settings(), functions=None, report=lambda line: None, start=None, checkpoint=None, resume=False, checkpoint_seconds=10.0,
          say=lambda text: None, repulsion=None):
    """Trains a potential.

        loss = w_E mean (dE / n)^2 + w_F mean dF^2 + w_S mean dS^2 + l2 sum w^2

    The means are over all labels; a mini-batch has its part of the three sums, times the number of batches, so that the mean of their losses is the loss.
    structures : from dataset.read;  settings : Settings;  functions : {element: [SymmetryFunction]}, made by make_set if not given
    report : called with one dict per epoch: epoch, seconds, learning_rate, and of training and validation the loss (without l2) and the RMSE of
             energy (meV/atom), force (meV/angstrom) and stress (GPa); epoch 0 of a warm start is the potential it starts from
    start : an NNPotential or its file: functions, scaling, networks, repulsion and offsets are taken from it (settings.offsets win over its own);
            cutoff, hidden and activation are not used
    checkpoint : file for the state, written after an epoch if checkpoint_seconds have gone by since the last time, and at the end
    resume : go on from the checkpoint; on the same machine, with as many torch threads and no less memory, to the bits of a run that never stopped
    say : called with lines of text before the work: the weights chosen, the memory it will take
    repulsion : fastmd.Repulsion in eV and angstrom: taken off the labels, added again by the potential; "zbl" makes one for every pair of
            elements, from half the shortest distance of the pair in the data to all of it: a wall below what is known, labels stay as they are
    Returns (NNPotential, history); the potential is that of the epoch with the lowest validation loss.
    Raises ValueError for data without labels, elements that functions or start lack, a checkpoint of another training, too low a memory_limit.
    """
    checkpoints.check_path(checkpoint, resume)
    with Workers(settings.threads or _core.default_threads()) as workers:
        return _train(workers, structures, settings, functions, report, start, checkpoint, resume, checkpoint_seconds, say, repulsion)


def _train(workers, structures, settings, functions, report, start, checkpoint, resume, checkpoint_seconds, say, repulsion):
    began = time.monotonic()
    training, validation, origin, data = _begin(structures, settings, functions, start, repulsion)
    identity = {"data": data, "settings": checkpoints.fixed(asdict(settings)), "repulsion": origin.repulsion.lines() if origin.repulsion else [],
                "functions": file_lines(origin.functions), "start": origin.digest() if start is not None else ""}
    kept = checkpoints.Checkpoint(checkpoint, identity, checkpoint_seconds)
    state = kept.read() if resume else None
    settings = replace(settings, **_auto_weights(settings, training, origin.offsets, say))

    model = Model(origin.networks, *shift_and_factor(origin.scaling, origin.statistics, origin.functions))
    present = {e for s in training for e in s.atoms.get_chemical_symbols()}
    elements = [e for e in origin.functions if e in present]  # whose networks are trained
    optimizer = optimise.optimiser(settings, model, elements)
    schedule = optimise.schedule(settings, optimizer)
    rng = np.random.default_rng(settings.seed)
    if settings.optimizer != "lbfgs" and settings.batch_size:  # neighbours in the file are often alike: they go to different batches
        training = [training[k] for k in rng.permutation(len(training))]
        groups = [training[k:k + settings.batch_size] for k in range(0, len(training), settings.batch_size)]
    else:
        groups = [training]
    weights = np.array([getattr(settings, name) for name in WEIGHTS])
    counts = pieces.count(training)
    derivatives = bool(weights[1:] @ counts[1:])
    scale = len(groups) * weights / np.maximum(1, counts)

    descriptor = Descriptor(origin.functions)
    sizes = [pieces.measure(descriptor, g) for g in groups]
    parts = [[g[a:b] for a, b in pieces.cut(z)] for g, z in zip(groups, sizes)]
    held_sizes = pieces.measure(descriptor, validation)
    each = max(1, workers.n // max(len(group) for group in parts))  # threads for a piece
    make = lambda part, cache=False: Labelled(descriptor, part, origin.offsets, each, cache)  # noqa: E731
    # What torch loads when first used belongs to the process, so it is used before that is measured.
    optimise.gradient(model, elements, [make([min(training, key=lambda s: len(s.atoms))])], scale, 0, derivatives, workers.map)
    estimate = memory.estimate([z[a:b] for z in sizes for a, b in pieces.cut(z)], [held_sizes[a:b] for a, b in pieces.cut(held_sizes)], model, settings,
                               derivatives, workers.n, state and state["cached"])
    say(str(estimate))
    made = workers.map(make, [part for group in parts for part in group], [k < estimate.cached for k in range(estimate.pieces)])
    batches = [list(islice(made, len(group))) for group in parts]
    held = list(workers.map(make, [validation[a:b] for a, b in pieces.cut(held_sizes)]))

    def errors(epoch):
        """A line of the history"""
        line = {"epoch": epoch}
        for name, part in (("train", [piece for batch in batches for piece in batch]), ("validation", held)):
            if part:
                squares, n = pieces.squares(model, part, workers.map)
                line[f"{name}_loss"] = float(weights @ (squares / np.maximum(1, n)))
                line |= {f"{name}_{kind}_rmse": unit * float(np.sqrt(s / m)) for kind, unit, s, m in zip(KINDS, (1e3, 1e3, 1 / GPa), squares, n) if m}
        if settings.optimizer != "lbfgs":
            line["learning_rate"] = optimizer.param_groups[0]["lr"]
        return line | {"seconds": spent()}

    def spent():
        return before + time.monotonic() - began

    def everything():
        return {"epoch": epoch, "since": since, "best": best, "best_state": best_state, "history": history, "seconds": spent(), "cached": estimate.cached,
                "model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "rng": rng.bit_generator.state}

    epoch, since, best, best_state, history, before = 0, 0, np.inf, None, [], 0.0
    if resume:
        try:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            rng.bit_generator.state = state["rng"]
            epoch, since, best, best_state, history, before = (state[k] for k in ("epoch", "since", "best", "best_state", "history", "seconds"))
        except (AttributeError, KeyError, IndexError, RuntimeError, TypeError) as e:
            raise ValueError(f"{checkpoint}: its state does not fit this training ({type(e).__name__}: {e}); begin anew without it") from None
        say(f"{checkpoint}: goes on after epoch {epoch}")
    elif start is not None:
        history.append(errors(0))
        report(history[0])
        best, best_state = history[0]["validation_loss" if held else "train_loss"], _copy(model)
    kept.write(everything())
    while best_state is None or (epoch < settings.epochs and since < settings.patience and spent() <= settings.max_seconds):
        for k in rng.permutation(len(batches)):
            optimizer.step(lambda: optimise.gradient(model, elements, batches[k], scale, settings.l2, derivatives, workers.map))
        epoch += 1
        line = errors(epoch)
        loss = line["validation_loss" if held else "train_loss"]
        history.append(line)
        report(line)
        if not np.isfinite(loss):
            if best_state is None:
                raise ValueError("training diverged in its first epoch: lower the learning rate, or look for outliers in the data")
            break
        optimise.step(schedule, loss)
        since = 0 if loss < best * (1 - 1e-4) else since + 1
        if loss < best:
            best, best_state = loss, _copy(model)
        kept.write(everything())
    else:
        kept.write(everything(), last=True)
    model.load_state_dict(best_state)
    notes = {"created": time.strftime("%Y-%m-%d"), "fastmd": __version__, "data": data, "structures": len(training) + len(validation),
             "epochs": epoch, **{k: v for k, v in asdict(settings).items() if k not in ("threads", "memory_limit")}}
    if start is not None:
        notes["start"] = identity["start"]
    networks = {e: from_torch(model.networks[e]) for e in origin.functions}
    return origin.potential(networks, notes, settings.threads), history


def _copy(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def _begin(structures, settings, functions, start, repulsion):
    """(training, validation, both without the repulsion, Start, a hash of the data), or what is wrong with them"""
    elements = {e for s in structures for e in s.atoms.get_chemical_symbols()}
    if start is not None:
        if functions is not None or repulsion is not None:
            raise ValueError("functions and repulsion: start brings its own; give either it or them")
        origin = starts.warm(start)
        if missing := elements - set(origin.functions):
            raise ValueError(f"start: the data has {', '.join(sorted(missing))}, the potential knows {', '.join(origin.functions)} only")
    elif functions is None:
        functions = make_set(elements, settings.cutoff, _shortest(structures, settings.cutoff))
    elif missing := elements - set(functions):
        raise ValueError(f"functions: the data has {', '.join(sorted(missing))}, the set has {', '.join(functions)} only")
    if unknown := set(settings.offsets) - elements:
        raise ValueError(f"offsets: {', '.join(sorted(unknown))} is not in the data, which has {', '.join(sorted(elements))}")
    structures = [s for s in structures if _useful(s, settings)]
    if not structures:
        raise ValueError("no structure has a label whose weight is above 0: there is nothing to train on")
    if start is not None:
        repulsion = origin.repulsion
    if repulsion is not None:
        if repulsion == "zbl":
            repulsion = Repulsion(around(distances([s.atoms for s in structures], settings.cutoff)))
        elif not isinstance(repulsion, Repulsion):
            raise ValueError(f"repulsion must be a fastmd.Repulsion or 'zbl', got {repulsion!r}")
        if repulsion.units[1::2] != (1, 1):
            raise ValueError(f"repulsion: its numbers must be in angstrom and eV, got {repulsion.units[0]} and {repulsion.units[2]}")
        repulsion = Repulsion(repulsion.terms, functions or origin.functions, threads=settings.threads)
    training, validation = (pieces.bare(part, repulsion) for part in dataset.split(structures, settings.validation, settings.seed))
    if start is None:
        origin = starts.new(functions, training, settings, dataset.offsets(training, list(functions), settings.offsets), repulsion)
    origin.shortest = starts.nearest(training, Descriptor(origin.functions).cutoff, origin.shortest)
    origin.offsets |= settings.offsets
    return training, validation, origin, dataset.fingerprint(structures)


def _auto_weights(settings, training, offsets, say):
    """1 / variance of the labels for each weight that is auto, 0 where there is no label"""
    energy, forces, stress = pieces.labels(training, offsets)
    found = {}
    for name, x in zip(WEIGHTS, (energy / [len(s.atoms) for s in training], forces, stress)):
        x = x[np.isfinite(x)]
        if getattr(settings, name) == "auto":
            if x.size and not x.var() > 0:
                raise ValueError(f"{name} cannot be 'auto': all {x.size} labels are the same, there is no variance to divide by; give a number")
            found[name] = 1 / float(x.var()) if x.size else 0.0
    if found:
        say("weights from the data: " + ", ".join(f"{name} {w:.4g}" for name, w in found.items()))
    if not any(found.get(name, getattr(settings, name)) for name in WEIGHTS):
        raise ValueError("no structure has a label whose weight is above 0: there is nothing to train on")
    return found


def _useful(s, settings):
    """Has it a label that counts?"""
    labels = (s.energy, settings.energy_weight), (s.forces, settings.force_weight), (s.stress, settings.stress_weight)
    return any(w and np.isfinite(x).any() for x, w in labels)


def _shortest(structures, cutoff):
    """The shortest distance in the data, angstrom"""
    shortest = min(distances([s.atoms for s in structures], cutoff).values(), default=np.inf)
    if shortest < 0.1:
        k = next(k for k, s in enumerate(structures) if min(distances([s.atoms], cutoff).values()) == shortest)
        raise ValueError(f"structure {k} of the data ({structures[k].atoms.get_chemical_formula()}) has two atoms {shortest:.3g} angstrom apart: remove it")
    if shortest == np.inf:
        raise ValueError(f"no two atoms of the data are within the cutoff of {cutoff:g} angstrom; raise the cutoff")
    return shortest
