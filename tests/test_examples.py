"""The examples of the thesis's chapter 8 and the speed study say what their first lines claim, in their quick form."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import torch  # noqa: E402

import fastmd  # noqa: E402

ROOT = Path(__file__).parents[1]


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


one = load("examples/one_dimension.py")
many = load("examples/many_neighbours.py")
both = load("examples/energy_and_force.py")
speed = load("bench/network_speed.py")


@pytest.fixture(autouse=True)
def threads_as_before():
    """The commands set torch to one thread."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def quick(module, folder):
    """The JSON that `--quick` writes; the picture has to be there too."""
    ran = CliRunner().invoke(module.main, [str(folder), "--quick"], catch_exceptions=False)
    name = Path(module.__file__).stem
    assert ran.exit_code == 0, ran.output
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return json.loads((folder / f"{name}.json").read_text())


def lennard_jones(r, epsilon=0.0104, sigma=3.40):
    """V and dV/dr, shifted to 0 at 2.5 sigma"""
    s6, shift = (sigma / r) ** 6, 4 * epsilon * (2.5**-12 - 2.5**-6)
    return 4 * epsilon * (s6**2 - s6) - shift, 4 * epsilon * (-12 * s6**2 + 6 * s6) / r


# ------------------------------------------------------------------------------------------------------- one distance

def test_the_reference_in_one_dimension_is_the_shifted_formula_up_to_the_cutoff():
    r = np.linspace(one.NEAR, one.FAR, 50)
    for got, expected in zip(one.reference(r), lennard_jones(r)):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_half_of_the_distances_land_in_the_left_tenth_if_asked():
    r = one.distances(200, 0.5, np.random.default_rng(0))
    assert len(r) == 200 and (r < one.NEAR + 0.1 * (one.FAR - one.NEAR)).sum() == 100
    assert r.min() >= one.NEAR and r.max() <= one.FAR


def test_a_network_of_one_distance_learns_the_potential_and_the_kernel_runs_it_as_torch_does(tmp_path):
    n = quick(one, tmp_path)
    for x in n.values():
        assert x["kernel_and_torch_differ_mev"] < 1e-9 and x["kernel_and_torch_differ_mev_per_angstrom"] < 1e-9
        assert x["energy_rmse_mev"] < 2  # the well is 10 deep, the wall 450 high
        assert x["where_angstrom"] < one.NEAR + 0.1 * (one.FAR - one.NEAR)  # the gradient is worst where it is steep
    assert n["energies and gradients"]["gradient_rmse_mev_per_angstrom"] < 0.5 * n["energies"]["gradient_rmse_mev_per_angstrom"]


def test_the_network_that_comes_out_of_training_is_one_of_angstrom_and_ev():
    network = one.train(0.1, True, 60, seed=3)
    r = np.linspace(one.NEAR + 0.1, one.FAR - 0.1, 40)
    energy, slope = one.in_kernel(network, r)
    assert np.abs(energy - lennard_jones(r)[0]).max() < 0.05
    step = 1e-5
    np.testing.assert_allclose(slope, (one.in_kernel(network, r + step)[0] - one.in_kernel(network, r - step)[0]) / (2 * step), atol=1e-7)


# ------------------------------------------------------------------------------------------------------ many neighbours

def test_energies_of_many_neighbours_are_sums_of_the_pair_formula():
    r = many.at_random(7, 20, np.random.default_rng(0))
    np.testing.assert_allclose(many.energies(r), lennard_jones(r)[0].sum(1), rtol=1e-9)


def test_symmetry_functions_of_distances_are_their_formula_whatever_the_order():
    r = many.at_random(5, 20, np.random.default_rng(1))
    g = many.symmetry_functions(r)
    f = many.FUNCTIONS["Ar"][4]
    u = r / f.cutoff
    fc = np.where(u < 1, 1 - 10 * u**3 + 15 * u**4 - 6 * u**5, 0)
    np.testing.assert_allclose(g[:, 4], (np.exp(-f.eta * (r - f.rs) ** 2) * fc).sum(1), rtol=1e-8)
    np.testing.assert_allclose(many.symmetry_functions(r[:, ::-1]), g, rtol=1e-9)


def test_the_error_grows_with_the_neighbours_and_symmetry_functions_do_not_care_for_their_order(tmp_path):
    n = quick(many, tmp_path)
    random = {(x["network"], x["neighbours"]): x for x in n["random"]}
    raw, functions = many.RAW, many.FUNCTIONAL
    assert random[raw, 20]["test_rmse_mev"] > 3 * random[raw, 1]["test_rmse_mev"]
    assert random[functions, 20]["test_rmse_mev"] < 0.6 * random[raw, 20]["test_rmse_mev"]
    assert random[raw, 20]["other_order_rms_mev"] > 0.1 * random[raw, 20]["test_rmse_mev"]
    assert random[functions, 20]["other_order_rms_mev"] < 1e-6
    assert all(x["test_rmse_mev"] < 0.5 * x["standard_deviation_mev"] for x in n["dynamics"])


def test_the_same_random_data_are_learnt_by_heart_and_new_ones_are_not():
    rng = np.random.default_rng(0)
    r, test = many.at_random(300, many.MANY, rng), many.at_random(300, many.MANY, rng)
    gap = {k: x["test_rmse_mev"] / x["train_rmse_mev"] for k in (many.RAW, many.FRESH) for x in [many.train(k, r, test, 120)["numbers"]]}
    assert gap[many.RAW] > 2 and gap[many.FRESH] < 1.4


# ------------------------------------------------------------------------------------------------------ energy and force

def test_the_reference_among_five_neighbours_is_the_sum_of_pairs_and_its_force_the_gradient():
    x = both.surroundings(20, np.random.default_rng(0))
    r = np.linalg.norm(x, axis=2)
    v, dv = lennard_jones(r)
    energy, force = both.reference(x)
    np.testing.assert_allclose(energy, v.sum(1), rtol=1e-8)
    np.testing.assert_allclose(force, (dv[:, :, None] * x / r[:, :, None]).sum(1), rtol=1e-6, atol=1e-9)
    step = np.array([0, 1e-4, 0])
    slope = (both.reference(x - step)[0] - both.reference(x + step)[0]) / 2e-4   # x - step: the atom has moved by +step
    np.testing.assert_allclose(force[:, 1], -slope, rtol=1e-4, atol=1e-6)


def test_two_outputs_do_not_fit_together_and_lose_the_energy_the_gradient_keeps_it(tmp_path):
    n = quick(both, tmp_path)
    apart, together = n["one for both"], n["energy only"]
    assert apart["force_plus_gradient_rmse_mev_per_angstrom"] > 1
    assert together["force_plus_gradient_rmse_mev_per_angstrom"] < 1e-3
    assert apart["largest_energy_change_mev"] > 100 * together["largest_energy_change_mev"]
    assert together["largest_energy_change_mev"] < 0.05
    assert max(x["force_rmse_mev_per_angstrom"] for x in n.values()) < 60  # both have learnt something: the forces themselves are 75


# ---------------------------------------------------------------------------------------------------------------- speed

def test_kernel_and_torch_give_the_same_and_are_timed_with_the_ratio_of_what_was_measured(tmp_path):
    n = quick(speed, tmp_path)
    assert {(x["layers"], x["nodes"], x["atoms"]) for x in n["lines"]} == {(k, m, a) for k in (1, 3) for m in (5, 20) for a in (1000, 1)}
    for x in n["lines"]:
        t = x["microseconds_per_atom"]
        assert x["ratio_to_fastmd"]["eager"] == pytest.approx(t["eager"] / t["fastmd"])
        assert 0 < t["fastmd"] <= x["median_microseconds_per_atom"]["fastmd"]
    by = {(x["layers"], x["nodes"], x["atoms"]): x["microseconds_per_atom"]["fastmd"] for x in n["lines"]}
    assert by[1, 5, 1000] < by[3, 20, 1000] and by[3, 20, 1000] < by[3, 20, 1]  # more work takes longer; a call has a price


def test_a_kernel_with_another_answer_is_not_timed(monkeypatch):
    right = fastmd.Network.evaluate
    monkeypatch.setattr(fastmd.Network, "evaluate", lambda self, x, threads=0: (right(self, x, threads)[0], 1.000001 * right(self, x, threads)[1]))
    with pytest.raises(Exception, match="fastmd gives another answer than torch eager, relative difference 1.0e-06"):
        speed.measure(1, 5, 10, compile_too=False, rounds=1)


def test_a_size_that_torch_cannot_compile_is_named_in_the_table(monkeypatch):
    def fails(network):
        raise RuntimeError("no compiler here")
    monkeypatch.setattr(speed, "compiled", fails)
    line = speed.measure(1, 5, 10, compile_too=True, rounds=1)
    assert line["missing"] == {"compiled": "RuntimeError: no compiler here"} and "compiled" not in line["microseconds_per_atom"]
    assert list(speed.table([line], 10).columns[4].cells) == ["RuntimeError: no compiler here"]


@pytest.mark.slow
def test_the_compiled_network_gives_the_same_as_eager():
    line = speed.measure(2, 10, 50, compile_too=True, rounds=1)  # an error of more than 1e-9 would raise
    assert line["missing"] or line["ratio_to_fastmd"]["compiled"] > 0
