"""The training loop: loss, optimisers, early stopping; in goes labelled data, out comes an NNPotential."""

import time
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from .. import __version__, _check
from ..autograd import Batch
from ..network import ACTIVATIONS, Network
from ..potential import NNPotential
from ..symmetry import Descriptor, make_set
from . import dataset
from .model import Model, from_torch


@dataclass
class Settings:
    """What `train` may be told. Weights are those of the mean squared errors of energy per atom (eV), force component (eV/angstrom) and stress
    component (eV/angstrom^3)."""

    cutoff: float = 5.0
    hidden: tuple = (24, 24)
    activation: str = "tanh"
    optimizer: str = "lbfgs"
    epochs: int = 60            # of L-BFGS: of 20 iterations each; of Adam: once through the data
    patience: int = 12          # epochs without a better validation error before it stops
    max_seconds: float = 600.0
    batch_size: int = 8         # structures; Adam only
    learning_rate: float = 2e-3  # Adam only
    energy_weight: float = 1.0
    force_weight: float = 0.02
    stress_weight: float = 0.5
    validation: float = 0.1     # share of the data held out to decide when to stop
    seed: int = 1
    threads: int = 0
    offsets: dict = field(default_factory=dict)  # energies of free atoms, where they are known

    def __post_init__(self):
        _check.number("cutoff", self.cutoff, "angstrom", above=0)
        for name in ("epochs", "patience", "batch_size"):
            _check.whole(name, getattr(self, name), 1)
        _check.number("max_seconds", self.max_seconds, above=0)
        _check.whole("threads", self.threads, 0)
        if _check.whole("seed", self.seed, 0) >= 2**63:
            raise ValueError(f"seed must be below 2^63, got {self.seed}")
        self.offsets = {e: _check.number(f"offsets[{e!r}]", v, "eV") for e, v in self.offsets.items()}
        for name in ("energy_weight", "force_weight", "stress_weight", "validation"):
            _check.number(name, getattr(self, name), at_least=0)
        _check.number("learning_rate", self.learning_rate, above=0)
        if self.validation > 0.9:
            raise ValueError(f"validation must be a share of the data from 0 to 0.9, got {self.validation}")
        self.hidden = tuple(_check.whole("hidden", n, 1) for n in self.hidden)
        if max(self.hidden, default=0) > 10000:
            raise ValueError(f"hidden: at most 10000 nodes in a layer, got {self.hidden}")
        if not (self.energy_weight or self.force_weight or self.stress_weight):
            raise ValueError("energy_weight, force_weight and stress_weight are all 0: there is nothing to train on")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        if self.optimizer not in ("lbfgs", "adam"):
            raise ValueError(f"optimizer must be lbfgs or adam, got {self.optimizer!r}")


class Labelled:
    """A batch with its labels; missing ones are masked."""

    def __init__(self, descriptor, structures, offsets, threads=0):
        self.batch = Batch(descriptor, [s.atoms for s in structures], threads)
        self.G = self.batch._value()
        energy = [s.energy - sum(offsets[e] for e in s.atoms.get_chemical_symbols()) for s in structures]
        self.energy = torch.tensor(energy, dtype=torch.float64)
        self.forces = torch.from_numpy(np.concatenate([np.zeros((0, 3)), *(s.forces for s in structures)]))
        self.stress = torch.from_numpy(np.array([s.stress for s in structures]).reshape(-1, 3, 3))

    def errors(self, model, derivatives=True):
        """Errors where there is a label: energy per atom, force components, stress components"""
        energy, forces, stress = model(self.batch, self.G, derivatives)
        yes = torch.isfinite(self.energy)
        found = [(energy - self.energy)[yes] / self.batch.count[yes]]
        for got, label in ((forces, self.forces), (stress, self.stress)):
            yes = torch.isfinite(label)
            found.append((got - label)[yes] if got is not None else label[:0])
        return found


def _mean_square(x):
    return x.square().mean() if x.numel() else torch.zeros((), dtype=torch.float64)


def train(structures, settings=Settings(), functions=None, report=lambda line: None):
    """Trains a potential.

        loss = w_E mean (dE / n)^2 + w_F mean dF^2 + w_S mean dS^2

    structures : from dataset.read;  settings : Settings;  functions : {element: [SymmetryFunction]}, made by make_set if not given
    report : called with one dict per epoch: epoch, loss, seconds, and energy and force RMSE (meV/atom, meV/angstrom) of training and validation
    Returns (NNPotential, history); the potential is that of the epoch with the lowest validation loss.
    Raises ValueError for data without labels, or elements that `functions` lacks.
    """
    began = time.monotonic()
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    elements = {e for s in structures for e in s.atoms.get_chemical_symbols()}
    if functions is None:
        functions = make_set(elements, settings.cutoff, _shortest(structures, settings.cutoff))
    missing = elements - set(functions)
    if missing:
        raise ValueError(f"functions: the data has {', '.join(sorted(missing))}, the set has {', '.join(functions)} only")
    if unknown := set(settings.offsets) - elements:
        raise ValueError(f"offsets: {', '.join(sorted(unknown))} is not in the data, which has {', '.join(sorted(elements))}")
    structures = [s for s in structures if _useful(s, settings)]
    if not structures:
        raise ValueError("no structure has a label whose weight is above 0: there is nothing to train on")
    training, validation = dataset.split(structures, settings.validation, settings.seed)
    offsets = dataset.offsets(training, list(functions), settings.offsets)

    functions, statistics = _prune(functions, training, settings.threads)
    descriptor = Descriptor(functions)
    shift = {e: s[:, 2] for e, s in statistics.items()}
    factor = {e: 1 / s[:, 3] for e, s in statistics.items()}
    networks = {e: Network.random(len(fs), settings.hidden, settings.activation, rng) for e, fs in functions.items()}
    model = Model(networks, shift, factor)
    parameters = list(model.parameters())
    derivatives = bool(settings.force_weight or settings.stress_weight)
    whole = Labelled(descriptor, training, offsets, settings.threads)
    held = Labelled(descriptor, validation, offsets, settings.threads) if validation else None
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs)
        pieces = [Labelled(descriptor, training[k:k + settings.batch_size], offsets, settings.threads) for k in range(0, len(training), settings.batch_size)]
    else:
        optimizer = torch.optim.LBFGS(parameters, max_iter=20, history_size=40, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0)

    def loss_of(errors):
        weights = settings.energy_weight, settings.force_weight, settings.stress_weight
        return sum(w * _mean_square(e) for w, e in zip(weights, errors))

    def closure():
        loss = loss_of(whole.errors(model, derivatives))
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)):
            p.grad = g
        return loss

    best, best_state, since, history = np.inf, None, 0, []
    for epoch in range(1, settings.epochs + 1):
        if settings.optimizer == "lbfgs":
            optimizer.step(closure)
        else:
            for k in rng.permutation(len(pieces)):
                loss = loss_of(pieces[k].errors(model, derivatives))
                for p, g in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)):
                    p.grad = g
                optimizer.step()
            schedule.step()
        with torch.no_grad():
            line = {"epoch": epoch}
            for name, data in (("train", whole), ("validation", held)):
                if data is not None:
                    with torch.enable_grad():
                        errors = [e.detach() for e in data.errors(model)]
                    line[f"{name}_loss"] = float(loss_of(errors))
                    for what, e in zip(("energy", "force"), errors):
                        if e.numel():
                            line[f"{name}_{what}_rmse"] = 1e3 * float(_mean_square(e).sqrt())
        line["seconds"] = time.monotonic() - began
        history.append(line)
        report(line)
        loss = line["validation_loss" if held else "train_loss"]
        if not np.isfinite(loss):
            if best_state is None:
                raise ValueError("training diverged in its first epoch: lower the learning rate, or look for outliers in the data")
            break
        if loss < best * (1 - 1e-4):
            since = 0
        else:
            since += 1
        if loss < best:
            best, best_state = loss, {k: v.clone() for k, v in model.state_dict().items()}
        if since >= settings.patience or line["seconds"] > settings.max_seconds:
            break
    model.load_state_dict(best_state)
    notes = {"created": time.strftime("%Y-%m-%d"), "fastmd": __version__, "data": dataset.fingerprint(structures), "structures": len(structures),
             "epochs": len(history), **{k: v for k, v in asdict(settings).items() if k != "threads"}}
    networks = {e: from_torch(model.networks[e]) for e in functions}
    return NNPotential(functions, networks, ("sigma", 0.0, 1.0), statistics, offsets, notes, threads=settings.threads), history


def _useful(s, settings):
    """Has it a label that counts?"""
    labels = (s.energy, settings.energy_weight), (s.forces, settings.force_weight), (s.stress, settings.stress_weight)
    return any(w > 0 and np.isfinite(x).any() for x, w in labels)


def _shortest(structures, cutoff):
    """The shortest distance in the data, angstrom; half the cutoff where nothing is nearer than the cutoff"""
    from ..pairs import find_pairs

    shortest = [float(p.r.min()) if len(p := find_pairs(s.atoms, cutoff)) else np.inf for s in structures]
    k = int(np.argmin(shortest))
    if shortest[k] < 0.1:
        raise ValueError(f"structure {k} of the data ({structures[k].atoms.get_chemical_formula()}) has two atoms {shortest[k]:.3g} angstrom apart: remove it")
    if shortest[k] == np.inf:
        raise ValueError(f"no two atoms of the data are within the cutoff of {cutoff:g} angstrom; raise the cutoff")
    return shortest[k]


def _prune(functions, structures, threads):
    """(functions, statistics) without the functions that do not vary over the data: they carry nothing, and their scale would be 1 / 0"""
    descriptor = Descriptor(functions)
    batch = Batch(descriptor, [s.atoms for s in structures], threads)
    kept, statistics = {}, {}
    for e, G in zip(descriptor.elements, batch.layout.blocks(batch._value().numpy())):
        if not len(G):
            raise ValueError(f"functions: element {e} is not in the training data, so its network cannot be trained; leave it out")
        s = np.stack([G.min(0), G.max(0), G.mean(0), G.std(0)], axis=1)
        varies = s[:, 3] > 1e-8 * np.maximum(1e-8, np.abs(s[:, 2]))
        if not varies.any():
            raise ValueError(f"functions: none of those of {e} varies over the training data; are all its structures the same?")
        kept[e] = [f for f, v in zip(functions[e], varies) if v]
        statistics[e] = s[varies]
    return kept, statistics
