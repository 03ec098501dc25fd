"""Optimisers and schedules of the learning rate: torch's, by name."""

import math
from functools import partial

import torch
from torch.optim import lr_scheduler

# name -> constructor, learning rate where none is given. The losses are small (eV^2 per atom^2), so what is not scaled by itself takes large steps.
OPTIMISERS = {
    "sgd": (torch.optim.SGD, 0.05),
    "momentum": (partial(torch.optim.SGD, momentum=0.9), 0.01),
    "adagrad": (torch.optim.Adagrad, 0.03),
    "adadelta": (torch.optim.Adadelta, 1.0),
    "rmsprop": (torch.optim.RMSprop, 2e-3),
    "adam": (torch.optim.Adam, 2e-3),
    "adamw": (torch.optim.AdamW, 2e-3),
    "lbfgs": (partial(torch.optim.LBFGS, max_iter=20, history_size=40, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0), 1.0),
}
# name -> factor of the learning rate after `epoch` of `epochs`; plateau answers to the validation error instead
SCHEDULES = {
    "constant": lambda epoch, s: 1.0,
    "cosine": lambda epoch, s: 0.5 * (1 + math.cos(math.pi * min(epoch, s.epochs) / s.epochs)),
    "exponential": lambda epoch, s: s.decay ** (epoch / s.decay_epochs),
    "step": lambda epoch, s: s.decay ** (epoch // s.decay_epochs),
    "plateau": None,
}


def optimiser(settings, model, elements):
    """The optimiser of the networks of these elements. Weights and biases are groups of their own: AdamW's decay is for weights."""
    make, rate = OPTIMISERS[settings.optimizer]
    if settings.optimizer == "lbfgs":
        return make(parameters(model, elements))
    biases = [p for p in parameters(model, elements) if p.ndim == 1]
    groups = [{"params": weights(model, elements)}, {"params": biases, "weight_decay": 0.0}]
    return make(groups, lr=settings.learning_rate or rate)


def parameters(model, elements):
    return [p for e in elements for p in model.networks[e].parameters()]


def weights(model, elements):
    """Without the biases"""
    return [p for p in parameters(model, elements) if p.ndim == 2]


def schedule(settings, optimizer):
    """torch's scheduler, to be stepped once per epoch (plateau: with the validation loss)"""
    if settings.optimizer == "lbfgs":  # its line search finds the step
        return lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
    if settings.schedule == "plateau":
        return lr_scheduler.ReduceLROnPlateau(optimizer, factor=settings.decay, patience=settings.decay_epochs - 1, eps=0)  # torch's patience is one epoch less
    return lr_scheduler.LambdaLR(optimizer, lambda epoch: SCHEDULES[settings.schedule](epoch, settings))


def step(schedule, loss):
    """After an epoch"""
    if isinstance(schedule, lr_scheduler.ReduceLROnPlateau):
        schedule.step(loss)
    else:
        schedule.step()


def gradient(model, elements, batch, scale, l2, derivatives, run=map):
    """The loss of a batch; its gradient is left in the parameters' .grad.

        loss = sum over pieces and kinds k of  scale_k sum e^2   +   l2 sum w^2 over the weights (not the biases)

    batch : [Labelled]: the loss and the gradient add up over the pieces in their order, so only the temporaries of those at work exist
    scale : per kind of label (energy per atom, force, stress)
    run : map, or that of a pieces.Workers
    """
    mine = parameters(model, elements)
    for p in mine:
        p.grad = torch.zeros_like(p)

    def part(piece):
        loss = sum(c * e.square().sum() for c, e in zip(scale, piece.errors(model, derivatives)) if c)
        return float(loss.detach()), torch.autograd.grad(loss, mine, allow_unused=True, materialize_grads=True) if loss.requires_grad else ()

    total = 0.0
    for loss, found in run(part, batch):
        total += loss
        for p, g in zip(mine, found):
            p.grad += g
    if l2:
        for w in weights(model, elements):
            total += l2 * float(w.detach().square().sum())
            w.grad += 2 * l2 * w.detach()
    return torch.tensor(total, dtype=torch.float64)
