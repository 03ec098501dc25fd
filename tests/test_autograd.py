"""The torch operators: vjp and jvp differentiate each other, and a loss on forces and stress has the right gradient by weights."""

import numpy as np
import pytest
from ase import Atoms

torch = pytest.importorskip("torch")

from fastmd import G2, G4, G5, Network  # noqa: E402
from fastmd.autograd import Batch, jvp, value, vjp  # noqa: E402
from fastmd.symmetry import Descriptor  # noqa: E402
from fastmd.train.model import Model, from_torch, to_torch  # noqa: E402


def functions():
    fs = [G2(a, 3.5, 0.5, 1.0) for a in ("O", "Si")] + [G5(a, b, 3.5, 0.1, l, z) for a, b in (("O", "O"), ("O", "Si"), ("Si", "Si")) for l in (1, -1) for z in (1, 4)]
    return {"O": fs, "Si": [*fs, G4("O", "Si", 3.5, 0.05, 1, 2)]}


def structures():
    rng = np.random.default_rng(3)
    cell = np.array([[4.0, 0.1, 0.0], [0.5, 4.2, 0.2], [0.0, -0.3, 3.9]])
    return [Atoms("SiO2", rng.uniform(0, 1, (3, 3)) @ cell, cell=cell, pbc=True),
            Atoms("OSi", [[0, 0, 0], [1.2, 0.8, 0.5]]),
            Atoms("Si2O2", rng.uniform(0, 1, (4, 3)) @ cell * 1.1, cell=1.1 * cell, pbc=True)]


@pytest.fixture
def batch():
    return Batch(Descriptor(functions()), structures())


def model():
    fs = functions()
    rng = np.random.default_rng(0)
    return Model({e: Network.random(len(f), (6, 5), rng=rng) for e, f in fs.items()}, {e: np.full(len(f), 0.1) for e, f in fs.items()}, {e: np.full(len(f), 0.7) for e, f in fs.items()})


def test_vjp_and_jvp_are_each_others_derivative(batch):
    g = torch.randn(batch.layout.size, dtype=torch.float64, requires_grad=True)
    v = torch.randn(batch.n, 3, dtype=torch.float64, requires_grad=True)
    h = torch.randn(batch.n_structures, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda g: vjp(g, batch), (g,))
    assert torch.autograd.gradgradcheck(lambda g: vjp(g, batch), (g,))
    assert torch.autograd.gradcheck(lambda v, h: jvp(v, h, batch), (v, h))
    x, s = vjp(g, batch)
    assert torch.allclose((x * v).sum() + (s * h).sum(), (g * jvp(v, h, batch)).sum(), rtol=1e-12, atol=0)


def test_gradients_of_a_force_and_stress_loss_match_finite_differences_over_the_weights(batch):
    net, rng = model(), np.random.default_rng(5)
    G = batch._value()
    F0 = torch.from_numpy(rng.normal(size=(batch.n, 3)))
    S0 = torch.from_numpy(rng.normal(size=(batch.n_structures, 3, 3)))

    def loss():
        energy, forces, stress = net(batch, G)
        periodic = torch.isfinite(batch.volume)
        return (energy.square().sum() + (forces - F0).square().sum() + 10 * (stress - S0)[periodic].square().sum())

    parameters = list(net.parameters())
    gradient = torch.autograd.grad(loss(), parameters)
    largest = max(float(g.abs().max()) for g in gradient)
    for p, g in zip(parameters, gradient):
        for k in rng.permutation(p.numel())[:6]:
            flat = p.data.view(-1)
            old, eps = float(flat[k]), 1e-5
            flat[k] = old + eps
            up = float(loss().detach())
            flat[k] = old - eps
            down = float(loss().detach())
            flat[k] = old
            assert abs((up - down) / (2 * eps) - float(g.view(-1)[k])) < 1e-7 * largest


def test_forces_from_autograd_through_value_are_those_of_the_compiled_chain_rule(batch):
    positions, strain = batch.positions.clone().requires_grad_(True), batch.strain.clone().requires_grad_(True)
    g = torch.randn(batch.layout.size, dtype=torch.float64)
    x, h = torch.autograd.grad((value(positions, strain, batch) * g).sum(), (positions, strain))
    expected = vjp(g, batch)
    assert torch.equal(x, expected[0]) and torch.equal(h, expected[1])


def test_a_second_derivative_by_positions_is_an_error_and_one_by_weights_is_not(batch):
    positions = batch.positions.clone().requires_grad_(True)
    w = torch.ones((), dtype=torch.float64, requires_grad=True)
    energy = (value(positions, batch.strain, batch) * w).square().sum()
    (force,) = torch.autograd.grad(energy, positions, create_graph=True)
    (by_weight,) = torch.autograd.grad(force.square().sum(), w, retain_graph=True)
    assert by_weight == pytest.approx(4 * float(force.detach().square().sum()), rel=1e-12)  # force ~ w^2
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(force.square().sum(), positions, retain_graph=True)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        force.square().sum().backward()


def test_value_takes_only_the_batchs_own_positions(batch):
    with pytest.raises(ValueError, match="make a new Batch"):
        value(batch.positions + 0.1, batch.strain, batch)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "softplus", "identity"])
def test_a_network_goes_to_torch_and_back_unchanged(activation):
    network = Network.random(5, (4, 3), activation, rng=1)
    again = from_torch(to_torch(network))
    for (w, b, a), (w2, b2, a2) in zip(network.layers, again.layers):
        assert np.array_equal(w, w2) and np.array_equal(b, b2) and a == a2


def test_the_model_in_torch_agrees_with_the_potential(batch):
    from fastmd import NNPotential

    net, fs = model(), functions()
    energy, forces, stress = net(batch, batch._value())
    statistics = {e: np.tile([0.0, 1.0, 0.1, 1 / 0.7], (len(f), 1)) for e, f in fs.items()}
    pot = NNPotential(fs, {e: from_torch(net.networks[e]) for e in fs}, ("sigma", 0, 1), statistics)
    at = 0
    for k, atoms in enumerate(structures()):
        r = pot.compute(atoms)
        assert r.energy == pytest.approx(float(energy[k].detach()), rel=1e-12)
        assert np.allclose(r.forces, forces[at:at + len(atoms)].detach(), rtol=0, atol=1e-12)
        if r.stress is not None:
            assert np.allclose(r.stress, stress[k].detach().numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], rtol=0, atol=1e-12)
        at += len(atoms)
