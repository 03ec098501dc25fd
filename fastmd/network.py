"""Per-element multilayer perceptrons: the parameters as plain arrays. They are run by the compiled core and, while training, by torch."""

from dataclasses import dataclass

import numpy as np

from . import _check, _core

ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu", "softplus", "gaussian", "cos", "revlogistic", "exp", "harmonic")


@dataclass(frozen=True)
class Network:
    """h_l = f_l(W_l h_(l-1) + b_l)

    layers : [(weights (n_l, n_(l-1)), bias (n_l,), activation), ...]; activation is one of
        identity, tanh, relu, sigmoid 1 / (1 + e^-x), softplus log(1 + e^x), gaussian e^(-x^2 / 2), cos, revlogistic 1 - 1 / (1 + e^-x), exp e^-x, harmonic x^2.
    The last layer has one output.
    Raises ValueError for shapes that do not fit, numbers that are not finite, an unknown activation.
    """

    layers: tuple

    def __post_init__(self):
        if not isinstance(self.layers, (list, tuple)) or not all(isinstance(x, (list, tuple)) and len(x) == 3 for x in self.layers):
            raise ValueError(f"layers: expected [(weights, bias, activation), ...], got {self.layers!r}")
        checked = []
        for k, (w, b, activation) in enumerate(self.layers):
            w, b = np.array(w, float), np.array(b, float)
            if w.ndim != 2 or b.shape != w.shape[:1] or 0 in w.shape:
                raise ValueError(f"layer {k}: expected weights (n_out, n_in) and bias (n_out,), got {w.shape} and {b.shape}")
            if checked and w.shape[1] != checked[-1][0].shape[0]:
                raise ValueError(f"layer {k}: takes {w.shape[1]} inputs, the layer before gives {checked[-1][0].shape[0]}")
            if activation not in ACTIVATIONS:
                raise ValueError(f"layer {k}: activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
            if not (np.isfinite(w).all() and np.isfinite(b).all()):
                raise ValueError(f"layer {k}: weights and bias must be finite")
            checked.append((w, b, activation))
        if not checked or checked[-1][0].shape[0] != 1:
            raise ValueError("a network needs at least one layer, and its last layer one output")
        object.__setattr__(self, "layers", tuple(checked))

    @classmethod
    def random(cls, n_inputs, hidden=(20, 20), activation="tanh", rng=None):
        """Weights from a normal distribution of variance 1 / n_in (so that activations keep their size), biases zero.

        Source: Y. LeCun et al., Efficient BackProp, in Neural Networks: Tricks of the Trade (1998), section 4.6.
        """
        _check.whole("n_inputs", n_inputs, 1)
        for n in hidden:
            _check.whole("hidden", n, 1)
        rng = np.random.default_rng(rng)
        sizes = [n_inputs, *hidden, 1]
        kinds = [activation] * len(hidden) + ["identity"]
        return cls(tuple((rng.normal(0, n_in**-0.5, (n_out, n_in)), np.zeros(n_out), a) for n_in, n_out, a in zip(sizes, sizes[1:], kinds)))

    def lines(self, element, member=1):
        """The `network` section of a potential file (the format is described in fastmd_ext/core/nnp.hpp); member: which of a committee, from 1 on."""
        found = [f"network {element} {len(self.layers)}" + (f" member {member}" if member > 1 else "")]
        for w, b, activation in self.layers:
            found.append(f"layer {w.shape[0]} {w.shape[1]} {activation}")
            found += [" ".join(map(repr, row)) for row in np.column_stack([w, b]).tolist()]
        return found

    def evaluate(self, x, threads=0):
        """The network alone, by the kernel that molecular dynamics runs: (values (n,), gradient (n, n_inputs)).

        x : (n, n_inputs), finite
        Raises ValueError for other shapes.
        """
        x = np.ascontiguousarray(x, float)
        if x.ndim != 2 or x.shape[1] != self.n_inputs:
            raise ValueError(f"x: expected (n, {self.n_inputs}), got {x.shape}")
        if "_core" not in self.__dict__:  # a potential of as many functions as there are inputs; which ones does not matter
            text = ["fastmd-potential 1", "element H offset 0", f"functions H {self.n_inputs}", *["G1 H cutoff 1 poly2"] * self.n_inputs, *self.lines("H"), "end", ""]
            object.__setattr__(self, "_core", _core.Core("\n".join(text).encode(), "network"))
        values, gradient = np.empty(len(x)), np.empty(x.shape)
        self._core.network(0, x, values, gradient, threads)
        return values, gradient

    def __reduce__(self):
        return Network, (self.layers,)

    @property
    def sizes(self):
        """Inputs, nodes of each hidden layer, 1"""
        return (self.n_inputs, *(len(b) for _, b, _ in self.layers))

    @property
    def shape(self):
        """All but the weights"""
        return self.sizes, tuple(a for _, _, a in self.layers)

    def __str__(self):
        return f"{'-'.join(map(str, self.sizes))} {' '.join(self.shape[1])}"

    @property
    def n_inputs(self):
        return self.layers[0][0].shape[1]

    @property
    def n_parameters(self):
        return sum(w.size + b.size for w, b, _ in self.layers)
