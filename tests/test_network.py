"""The network alone, as the kernels run it, against the plain formula."""

import pickle

import numpy as np
import pytest

from fastmd import Network

PLAIN = {"identity": lambda x: x, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "relu": lambda x: np.maximum(x, 0), "softplus": lambda x: np.log1p(np.exp(x)),
         "gaussian": lambda x: np.exp(-0.5 * x**2), "cos": np.cos, "revlogistic": lambda x: 1 - 1 / (1 + np.exp(-x)), "exp": lambda x: np.exp(-x), "harmonic": lambda x: x**2}


def plain(network, x):
    for w, b, activation in network.layers:
        x = PLAIN[activation](x @ w.T + b)
    return x[:, 0]


@pytest.mark.parametrize("activation", sorted(PLAIN))
@pytest.mark.parametrize("n, n_inputs, hidden", [(1, 1, (1,)), (7, 3, (5, 4)), (100, 11, (30,) * 4), (33, 2, ()), (9, 6, (101,))])
def test_values_and_gradients_are_those_of_the_formula(activation, n, n_inputs, hidden):
    rng = np.random.default_rng(n)
    network = Network.random(n_inputs, hidden, activation, rng)
    if activation in ("exp", "harmonic"):  # which would grow from layer to layer
        network = Network(tuple((0.2 * w, b, a) for w, b, a in network.layers))
    x = rng.normal(size=(n, n_inputs))
    values, gradient = network.evaluate(x)
    np.testing.assert_allclose(values, plain(network, x), rtol=1e-13, atol=1e-14)
    h = 1e-5
    for k in range(n_inputs):
        e = np.zeros(n_inputs)
        e[k] = h
        np.testing.assert_allclose(gradient[:, k], (plain(network, x + e) - plain(network, x - e)) / (2 * h), rtol=1e-6, atol=1e-8)


def test_threads_do_not_change_the_bits_and_nothing_is_nothing():
    network = Network.random(8, (16, 16), rng=2)
    x = np.random.default_rng(3).normal(size=(500, 8))
    one, other = network.evaluate(x, threads=1), network.evaluate(x, threads=2)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other))
    values, gradient = network.evaluate(np.zeros((0, 8)))
    assert values.shape == (0,) and gradient.shape == (0, 8)
    again = pickle.loads(pickle.dumps(network)).evaluate(x)
    assert again[0].tobytes() == one[0].tobytes()


@pytest.mark.parametrize("n_inputs, hidden, activation", [(1, (3,), "tanh"), (24, (20, 20), "tanh"), (72, (25, 33, 1, 2), "softplus"), (184, (101,), "sigmoid"), (13, (), "cos")])
def test_an_atom_has_the_same_bits_alone_and_among_others(n_inputs, hidden, activation):
    """Up to 8 atoms go through the kernel together: each number of atoms, and each place among them, must give the same."""
    network = Network.random(n_inputs, hidden, activation, rng=4)
    x = np.random.default_rng(5).normal(size=(8, n_inputs))
    values, gradient = network.evaluate(x)
    for n in range(1, 8):
        for i in range(9 - n):
            some = network.evaluate(x[i:i + n])
            assert some[0].tobytes() == values[i:i + n].tobytes() and some[1].tobytes() == gradient[i:i + n].tobytes()


def test_messages():
    network = Network.random(8, (4,), rng=2)
    with pytest.raises(ValueError, match=r"x: expected \(n, 8\), got \(8, 3\)"):
        network.evaluate(np.zeros((8, 3)))
    with pytest.raises(ValueError, match="G: entry 8 is not a finite number"):
        network.evaluate(np.vstack([np.zeros(8), np.full(8, np.nan)]))
