"""The elementary functions that the kernels inline, each over its whole range and in each instruction set, against NumPy in a wider precision.

The unit is that of the last place of the result; among subnormal results it is the smallest number there is. probe.hpp lends the functions to ctypes.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from fastmd import _core

WIDER = {"float64": np.longdouble, "float32": np.float64}
PRECISIONS = [pytest.param("float64", marks=pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="NumPy's longdouble is no wider than float64 here")), "float32"]
N = 40_000  # points of each kind, of which a function has two to six


@lru_cache
def library(isa):
    return ctypes.CDLL(str(Path(_core.__file__).parent / "lib" / f"libfastmd_{isa}.so"))


def call(isa, name, x):
    y = np.empty_like(x)
    probe = library(isa)["fastmd_probe_" + x.dtype.name]
    probe.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]
    assert probe(name.encode(), x.size, x.ctypes.data, y.ctypes.data)
    return y


def half_angle(z):
    """sin and cos of (pi / 2) sqrt(z), the cosine as a sine of what z lacks to 1, where it would lose its digits."""
    w = np.sqrt(z)
    quarter = np.arctan(np.ones((), z.dtype)) * 2
    return np.sin(quarter * w), np.sin(quarter * (1 - z) / (1 + w)), w, quarter


def cos_cut_slope(z):
    s, c, w, quarter = half_angle(z)
    return -2 * quarter * c * np.where(w > 0, s / np.where(w > 0, w, 1), quarter)


def sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


FORMULA = {"exp": np.exp, "exp_neg": np.exp, "tanh": np.tanh, "tanh_unit": np.tanh, "sigmoid": sigmoid, "log1p_unit": np.log1p, "acos": np.arccos, "rsqrt": lambda x: 1 / np.sqrt(x),
           "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))), "sin": np.sin, "cos": np.cos, "cos_cut": lambda z: half_angle(z)[1] ** 2, "cos_cut_slope": cos_cut_slope}
# what was measured, rounded up; the general functions promise 4
UNITS = {"exp": 1.5, "exp_neg": 1.5, "tanh": 3, "tanh_unit": 2, "sigmoid": 3, "softplus": 3, "log1p_unit": 2.5, "acos": 2, "rsqrt": 2, "cos_cut": 5, "cos_cut_slope": 5}


@lru_cache
def points(name, precision):
    """x and the function of it in the wider precision"""
    rng = np.random.default_rng(len(name))
    double = precision == "float64"
    least, normal, top, smallest = (-745.2, -708.4, 709.78, -323.3) if double else (-104, -87.3, 88.72, -45)  # of exp: 0, subnormal, infinity; and log10 of the smallest number

    def even(a, b):
        return rng.uniform(a, b, N)

    def log(a, b):
        return 10 ** rng.uniform(a, b, N).astype(WIDER[precision])

    def seams(a, b):  # where exp takes the next power of two, a few units around
        x = ((np.arange(np.ceil(a / np.log(2)), b / np.log(2)) + 0.5) * np.log(2)).astype(precision)
        return (x + np.arange(-20, 21)[:, None] * np.spacing(x)).ravel()

    unit = [even(0, 1), log(smallest, 0), 1 - log(-15 if double else -6, 0)]
    x = {
        "exp": lambda: [even(least, top), even(least, normal), even(-1, 1), log(smallest, np.log10(top)), -log(smallest, 3), seams(least, top)],
        "exp_neg": lambda: [even(-700, 0) if double else even(-86, 0), even(-2, 0), -log(smallest, 1), seams(-80, 0)],
        "tanh": lambda: [even(-25, 25), even(-1, 1), log(smallest, 1.5), -log(smallest, 1.5), seams(-44, 44) / 2, even(18, 21) if double else even(8, 11)],
        "sigmoid": lambda: [even(least, 40), even(-3, 3), even(least, normal), log(smallest, 1.5), -log(smallest, 1.5), seams(least, 40)],
        "tanh_unit": lambda: unit,
        "log1p_unit": lambda: unit,
        "cos_cut": lambda: unit,
        "acos": lambda: [even(-1, 1), *unit, -unit[2], -unit[1]],
        "rsqrt": lambda: [log(-36.9, 37.9), even(0.01, 100)],
        "sin": lambda: [even(-7, 7), even(-200, 200), even(-1e5, 1e5) if double else even(-8e3, 8e3), log(smallest, 1)],
    }
    x = np.concatenate(x[{"softplus": "sigmoid", "cos_cut_slope": "cos_cut", "cos": "sin"}.get(name, name)]()).astype(precision)
    with np.errstate(all="ignore"):
        return x, FORMULA[name](x.astype(WIDER[precision]))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("name", sorted(UNITS))
def test_a_few_units_in_the_last_place(name, isa, precision):
    x, exact = points(name, precision)
    y = call(isa, name, x)
    unit = np.spacing(np.abs(exact).astype(precision)).astype(exact.dtype)
    off = np.abs(y.astype(exact.dtype) - exact) / unit
    worst = np.argmax(off)
    assert off[worst] <= UNITS[name], f"{name}({x[worst]!r}) = {y[worst]!r}, which is {off[worst]:.2f} units off"


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("isa", _core.isas())
def test_sine_and_cosine_keep_their_absolute_accuracy(isa, precision):
    for name in ("sin", "cos"):
        x, exact = points(name, precision)
        off = np.abs(call(isa, name, x).astype(exact.dtype) - exact)
        assert off.max() <= {"float64": 2.5e-16, "float32": 1.2e-7}[precision]
        near = np.abs(x) < 0.75  # the sine of small angles, relative
        if name == "sin":
            assert np.max(off[near] / np.spacing(np.abs(x[near])).astype(exact.dtype)) <= 2


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("isa", _core.isas())
def test_the_ends(isa, precision):
    """Infinities, NaN, both zeros, the smallest number and overflow."""
    inf, tiny = np.inf, np.finfo(precision).smallest_subnormal
    top, over, bottom, under = (709.78271289338, 709.7828, -745.133, -745.134) if precision == "float64" else (88.72283, 88.7229, -103.972, -103.973)
    ends = {
        "exp": {inf: inf, -inf: 0, 0: 1, tiny: 1, -tiny: 1, over: inf, bottom: tiny, under: 0},
        "exp_neg": {-inf: 0, 0: 1, -tiny: 1, -701: 0},
        "tanh": {inf: 1, -inf: -1, tiny: tiny, -tiny: -tiny, 30: 1, -30: -1},
        "sigmoid": {inf: 1, -inf: 0, 0: 0.5, 40: 1, bottom: tiny, under: 0},
        "softplus": {inf: inf, -inf: 0, 1000: 1000, bottom: tiny, under: 0},
    }
    for name, pairs in ends.items():
        x = np.array(list(pairs), precision)
        np.testing.assert_array_equal(call(isa, name, x), np.array(list(pairs.values()), precision), err_msg=name)
        if name != "exp_neg":
            assert np.isnan(call(isa, name, np.array([np.nan], precision)))[0]
    assert np.isfinite(call(isa, "exp", np.array([top], precision)))[0]
    zeros = call(isa, "tanh", np.array([0.0, -0.0], precision))
    assert not zeros.any() and list(np.signbit(zeros)) == [False, True]
    for name in ("sin", "cos"):
        assert np.isnan(call(isa, name, np.array([inf, -inf, np.nan], precision))).all()


@pytest.mark.parametrize("isa", _core.isas())
def test_a_result_does_not_depend_on_its_place_in_the_vector(isa):
    for precision in WIDER:
        for name in FORMULA:
            x = points(name, precision)[0][:203]
            np.testing.assert_array_equal(call(isa, name, x)[1:], call(isa, name, x[1:]), err_msg=name)


@pytest.mark.parametrize("isa", _core.isas())
def test_the_cutoffs_end_with_their_value_and_slope_at_zero(isa):
    for precision in WIDER:
        one = np.ones(1, precision)
        assert call(isa, "cos_cut", one)[0] == 0 and call(isa, "cos_cut_slope", one)[0] == 0
        assert call(isa, "tanh_unit", 0 * one)[0] == 0 and call(isa, "cos_cut", 0 * one)[0] == 1
