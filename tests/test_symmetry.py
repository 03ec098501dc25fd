"""Symmetry functions: values against the plain formulas, derivatives against differences, vjp, jvp and rows against one another."""

import itertools

import numpy as np
import pytest
from ase import Atoms

import fastmd
import oracle
import structures
from fastmd import G1, G2, G3, G4, G5, _core
from fastmd.symmetry import CUTOFF_TYPES, Descriptor, SymmetryFunction, file_lines, species

RC = 3.87
ZETAS = (1, 2, 3.5, 4, 16)


def sets(elements):
    """[SymmetryFunction]: every kind with every cutoff, lambda, zeta; the neighbours' elements in turn"""
    pairs = list(itertools.combinations_with_replacement(elements, 2))
    out = []
    for cut in CUTOFF_TYPES:
        for e in elements:
            out += [G1(e, RC, cut), G2(e, RC, 0.7, 1.9, cut), G2(e, RC * 0.9, 0.05, 0.0, cut), G3(e, RC, 1.3, cut)]
        for n, (make, lambda_, zeta) in enumerate(itertools.product((G4, G5), (1, -1, 0.5), ZETAS)):
            a, b = pairs[n % len(pairs)]
            out.append(make(a, b, RC, 0.03, lambda_, zeta, cut))
    for k, (a, b) in enumerate(pairs):  # every pair of elements, in either order, and another cutoff
        out += [G4(b, a, 0.8 * RC, 0.1, 1, 2), G5(b, a, 0.8 * RC, 0.0, -1, 3 + k)]
    return out


class Case:
    """A descriptor and a structure, ready for its calls"""

    def __init__(self, functions, atoms, skin=0.0):
        self.elements = list(dict.fromkeys(atoms.get_chemical_symbols())) or ["H"]
        known = {e for f in functions for e in f.elements}
        self.descriptor = Descriptor({e: list(functions) for e in sorted(known | set(self.elements))})
        self.species = species(atoms.get_chemical_symbols(), self.descriptor.elements)
        self.pairs = fastmd.find_pairs(atoms, self.descriptor.cutoff + skin)
        self.system, self.layout = self.descriptor.system(self.species, self.pairs)
        self.n, self.f = len(atoms), len(functions)
        # the function that stands at each place of the flat arrays, and its atom
        self.where = self.layout.row[:self.n, None] + np.arange(self.f)

    def value(self):
        return self.descriptor.value(self.system, self.layout)[self.where]

    def vjp(self, g):
        flat = np.zeros(self.layout.size)
        flat[self.where] = g
        return self.descriptor.vjp(self.system, self.layout, flat, self.n)

    def jvp(self, v=None, h=None, strain_of=None):
        return self.descriptor.jvp(self.system, self.layout, v, h, strain_of)[self.where]


def names(n_elements):
    return [(n_elements, name) for name in structures.hard(n_elements)]


HARD = [c for k in (1, 2, 3) for c in names(k)]
IDS = [f"{k}-{name.replace(' ', '_')}" for k, name in HARD]
SOME = [c for c in HARD if c[1] in ("skewed cell", "one atom in a tiny cell", "linear chain", "slanted chain", "molecule", "lone atom", "skewed slab")]


@pytest.mark.parametrize("n_elements, name", SOME)
def test_values_are_those_of_the_formulas(n_elements, name):
    atoms = structures.hard(n_elements)[name]
    functions = sets(structures.SYMBOLS[:n_elements])
    G = Case(functions, atoms).value()
    expected = np.array(oracle.values({e: functions for e in structures.SYMBOLS}, atoms))
    largest = np.abs(expected).max(axis=0)
    assert (np.abs(G - expected) <= 1e-12 * np.maximum(largest, 1e-3 * largest.max())).all(), np.abs(G - expected).max(axis=0) / largest
    if name == "lone atom":
        assert (G == 0).all()
    else:
        assert np.count_nonzero(largest) > 0.2 * len(functions)


@pytest.mark.parametrize("n_elements, name", SOME)
def test_each_function_has_the_same_value_alone_as_among_others(n_elements, name):
    atoms = structures.hard(n_elements)[name]
    functions = sets(structures.SYMBOLS[:n_elements])
    together = Case(functions, atoms).value()
    for k, f in enumerate(functions):
        np.testing.assert_allclose(Case([f], atoms).value()[:, 0], together[:, k], rtol=0, atol=1e-13 * max(np.abs(together[:, k]).max(initial=0), 1e-3))


@pytest.mark.parametrize("n_elements, name", HARD, ids=IDS)
def test_gradient_and_strain_derivative_of_each_function_are_those_of_differences(n_elements, name, record_property):
    atoms = structures.hard(n_elements)[name]
    rng = np.random.default_rng(3)
    functions = sets(structures.SYMBOLS[:n_elements])
    dx = oracle.gradient(lambda a: Case(functions, a).value(), atoms)          # (n, 3, n, functions)
    dh = oracle.strain_gradient(lambda a: Case(functions, a).value(), atoms)   # (3, 3, n, functions)
    worst = 0
    for k, f in enumerate(functions):
        g = rng.normal(size=(len(atoms), 1))
        gradient, strain = Case([f], atoms).vjp(g)
        expected, expected_strain = dx[..., k] @ g[:, 0], dh[..., k] * g[:, 0]
        for got, want in ((gradient, expected), (strain.transpose(1, 2, 0), expected_strain)):
            # 1e-5: where symmetry makes all components vanish only rounding is left
            deviation = np.abs(got - want).max() / max(np.abs(want).max(), np.abs(expected_strain).max(), 1e-5)
            worst = max(worst, deviation)
            assert deviation < 1e-7, (str(f), deviation)
    record_property("worst", worst)
    assert name == "lone atom" or np.abs(dh).max() > 0.01


@pytest.mark.parametrize("n_elements, name", HARD, ids=IDS)
def test_vjp_and_jvp_are_transposes_of_each_other(n_elements, name, record_property):
    atoms = structures.hard(n_elements)[name]
    rng = np.random.default_rng(4)
    c = Case(sets(structures.SYMBOLS[:n_elements]), atoms)
    v, h = rng.normal(size=(c.n, 3)), rng.normal(size=(1, 3, 3))
    g = rng.normal(size=(c.n, c.f))
    gradient, strain = c.vjp(g)
    size = np.linalg.norm(gradient) * np.linalg.norm(v) + np.linalg.norm(strain) * np.linalg.norm(h) + 1e-12
    for left, right in ((g * c.jvp(v=v), gradient * v), (g * c.jvp(h=h), strain * h), (g * c.jvp(v, h), 0)):
        want = np.sum(right) if np.ndim(right) else np.sum(gradient * v) + np.sum(strain * h)
        assert abs(np.sum(left) - want) <= 1e-12 * max(size, np.abs(left).sum())
    record_property("worst", abs(np.sum(g * c.jvp(v, h)) - np.sum(gradient * v) - np.sum(strain * h)) / size)


@pytest.mark.parametrize("k", range(4))
def test_jvp_and_vjp_are_linear(k):
    rng = np.random.default_rng(k)
    c = Case(sets(("H", "O")), structures.hard()["skewed cell"])
    a, b = rng.normal(size=(2, c.n, 3))
    np.testing.assert_allclose(c.jvp(v=a + 2 * b), c.jvp(v=a) + 2 * c.jvp(v=b), atol=1e-12)
    a, b = rng.normal(size=(2, c.n, c.f))
    for both, one, other in zip(c.vjp(a + 2 * b), c.vjp(a), c.vjp(b)):
        np.testing.assert_allclose(both, one + 2 * other, atol=1e-11)


def test_moving_everything_alike_changes_nothing():
    c = Case(sets(("H", "O")), structures.hard()["skewed cell"])
    assert np.abs(c.jvp(v=np.tile([0.3, -0.2, 0.9], (c.n, 1)))).max() < 1e-14


def test_strains_are_taken_per_structure_where_several_lie_end_to_end():
    rng = np.random.default_rng(5)
    functions = sets(("H", "O"))
    cases = [Case(functions, structures.hard()[name]) for name in ("skewed cell", "molecule", "two atoms in a tiny cell")]
    d = cases[0].descriptor
    n = np.cumsum([0] + [c.n for c in cases])
    m = np.cumsum([0] + [len(c.pairs) for c in cases])
    kinds = np.concatenate([c.species for c in cases])
    first = np.concatenate([[0]] + [c.pairs.first[1:] + at for c, at in zip(cases, m)])
    j = np.concatenate([c.pairs.j + np.int32(at) for c, at in zip(cases, n)]).astype(np.int32)
    system = _core.System(kinds, first, j, d=np.concatenate([c.pairs.d for c in cases]))
    layout = d.layout(kinds)
    h, v = rng.normal(size=(3, 3, 3)), rng.normal(size=(n[-1], 3))
    of = np.repeat([2, 0, 1], np.diff(n)).astype(np.int32)
    dG = d.jvp(system, layout, v, h, of)
    g = rng.normal(size=layout.size)
    gradient, strain = d.vjp(system, layout, g, n[-1])
    for c, at, end, s in zip(cases, n, n[1:], (2, 0, 1)):
        where = layout.row[at:end, None] + np.arange(c.f)
        np.testing.assert_allclose(dG[where], c.jvp(v[at:end], h[[s]]), atol=1e-12)
        one, other = c.vjp(g[where])
        np.testing.assert_allclose(gradient[at:end], one, atol=1e-12)
        np.testing.assert_allclose(strain[at:end], other, atol=1e-12)
    assert abs(g @ dG - np.sum(gradient * v) - np.sum(strain * h[of])) < 1e-12 * np.abs(g * dG).sum()


@pytest.mark.parametrize("n_elements, name", HARD, ids=IDS)
def test_rows_contracted_are_vjp_jvp_and_edges(n_elements, name):
    atoms = structures.hard(n_elements)[name]
    rng = np.random.default_rng(6)
    c = Case(sets(structures.SYMBOLS[:n_elements]), atoms, skin=0.6)  # pairs beyond the cutoff: their rows are zero
    p = c.pairs
    rows = c.descriptor.rows(c.system, c.layout, c.species, p.first)
    assert [r.shape for r in rows] == [(k, 3, c.f) for k in np.diff(p.first)]
    v, h, g = rng.normal(size=(c.n, 3)), rng.normal(size=(3, 3)), rng.normal(size=(c.n, c.f))
    dG, gradient, strain, edges = np.zeros((c.n, c.f)), np.zeros((c.n, 3)), np.zeros((c.n, 3, 3)), np.zeros((len(p), 3))
    for i, row in enumerate(rows):
        here = slice(p.first[i], p.first[i + 1])
        change = v[p.j[here]] - v[i] + p.d[here] @ h
        dG[i] = np.einsum("kaf,ka->f", row, change)
        edge = edges[here] = np.einsum("kaf,f->ka", row, g[i])
        np.add.at(gradient, p.j[here], edge)
        gradient[i] -= edge.sum(axis=0)
        strain[i] = np.einsum("ka,kb->ab", p.d[here], edge)
    size = max(np.abs(strain).max(), np.abs(dG).max(), 1e-9)
    np.testing.assert_allclose(c.jvp(v, h[None]), dG, rtol=0, atol=1e-12 * size)
    for got, want in zip(c.vjp(g), (gradient, strain)):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * size)
    flat, found = np.zeros(c.layout.size), np.full((len(p), 3), np.nan)
    flat[c.where] = g
    c.descriptor._core.vjp(c.system, c.layout.row, flat, edges=found)
    np.testing.assert_allclose(found, edges, rtol=0, atol=1e-12 * size)
    assert (found[p.r >= RC] == 0).all()
    recomputed = (c.jvp(v, h[None]), *c.vjp(g))
    c.descriptor.cache(c.system, c.layout, c.species, p.first)
    for got, want in zip((c.jvp(v, h[None]), *c.vjp(g)), recomputed):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("cut", CUTOFF_TYPES)
@pytest.mark.parametrize("make", [lambda c: G1("O", RC, c), lambda c: G2("O", RC, 0.2, 1, c), lambda c: G3("O", RC, 1.1, c),
                                  lambda c: G4("O", "O", RC, 0.01, 1, 2, c), lambda c: G5("O", "O", RC, 0.01, -1, 1, c)])
def test_value_and_gradient_are_smooth_as_a_neighbour_crosses_the_cutoff(make, cut):
    def at(r):
        c = Case([make(cut)], Atoms("HOO", positions=[[0, 0, 0], [0.4, 1.5, 0.2], [r, 0, 0]]), skin=0.5)
        return c.value()[0, 0], c.vjp(np.ones((3, 1)) * [[1], [0], [0]])[0]

    alone, _ = at(RC + 0.3)
    below, force_below = at(RC - 1e-5)
    above, force_above = at(RC + 1e-5)
    assert above == alone and np.abs(force_above[2]).max() == 0
    assert abs(below - alone) < 1e-9
    assert np.abs(force_below[2]).max() < 2e-5  # the slope goes to zero at least linearly
    steps = np.linspace(RC - 0.02, RC + 0.02, 81)
    assert np.abs(np.diff([at(r)[0] for r in steps])).max() < 1e-4


@pytest.mark.parametrize("make", [lambda: G4("O", "O", RC, 0.01, 1, 2)])
def test_g4_is_smooth_as_its_third_side_crosses_the_cutoff(make):
    def at(angle):
        r = 0.7 * RC
        c = Case([make()], Atoms("HOO", positions=[[0, 0, 0], [r, 0, 0], [r * np.cos(angle), r * np.sin(angle), 0]]))
        return c.value()[0, 0], c.vjp(np.ones((3, 1)) * [[1], [0], [0]])[0]

    critical = 2 * np.arcsin(0.5 / 0.7)
    assert at(critical + 1e-6)[0] == 0 and np.abs(at(critical + 1e-6)[1]).max() == 0
    assert 0 <= at(critical - 1e-4)[0] < 1e-9 and 0 < np.abs(at(critical - 1e-2)[1]).max() < 1e-2


@pytest.mark.parametrize("lambda_, zeta", list(itertools.product((1, -1, 0.5), ZETAS)))
def test_exactly_linear_triplets_have_finite_derivatives_that_vanish_across(lambda_, zeta):
    for x in ([[0, 0, 0], [1.5, 0, 0], [-1.2, 0, 0]], [[0, 0, 0], [1.5, 0, 0], [2.9, 0, 0]]):
        c = Case([G4("O", "O", RC, 0.02, lambda_, zeta), G5("O", "O", RC, 0.02, lambda_, zeta)], Atoms("HOO", positions=x))
        gradient, strain = c.vjp(np.ones((3, 2)))
        assert np.isfinite(gradient).all() and np.isfinite(strain).all()
        assert (gradient[:, 1:] == 0).all()
        straight = x[2][0] < 0
        if lambda_ == (1 if straight else -1):
            assert np.abs(c.value()[0]).max() < 1e-15  # 1 + lambda cos = 0


def test_the_order_of_the_functions_is_kept():
    rng = np.random.default_rng(8)
    functions = sets(("H", "O"))
    atoms = structures.hard()["molecule"]
    G = Case(functions, atoms).value()
    order = rng.permutation(len(functions))
    np.testing.assert_allclose(Case([functions[k] for k in order], atoms).value(), G[:, order], rtol=1e-13, atol=1e-15)


def test_the_two_elements_of_an_angle_may_stand_in_either_order():
    atoms = structures.hard()["molecule"]
    for make in (G4, G5):
        np.testing.assert_array_equal(Case([make("H", "O", RC, 0.1, 1, 2)], atoms).value(), Case([make("O", "H", RC, 0.1, 1, 2)], atoms).value())


def test_an_angular_function_alone_of_a_dimer_is_zero():
    c = Case([G4("O", "O", RC, 0.1, 1, 2), G5("O", "O", RC, 0.1, 1, 2)], Atoms("OO", positions=[[0, 0, 0], [1, 0, 0]]))
    assert (c.value() == 0).all() and (c.vjp(np.ones((2, 2)))[0] == 0).all()


def test_describe_gives_a_block_per_element_in_the_order_of_the_atoms():
    atoms = structures.hard()["molecule"]
    functions = {"H": [G1("O", RC), G2("H", RC, 1.0)], "O": [G1("H", RC)]}
    blocks = Descriptor(functions).describe(atoms)
    expected = oracle.values(functions, atoms)
    for e, block in blocks.items():
        np.testing.assert_allclose(block, [g for g, s in zip(expected, atoms.symbols) if s == e], rtol=1e-13)
    blocks = Descriptor(functions).describe(Atoms("H"))
    assert blocks["H"].shape == (1, 2) and blocks["O"].shape == (0, 1)
    assert Descriptor(functions).describe(Atoms())["H"].shape == (0, 2)


def test_a_pair_beyond_the_cutoff_in_the_list_counts_as_absent():
    atoms = structures.hard()["skewed cell"]
    functions = sets(("H", "O"))
    g = np.random.default_rng(1).normal(size=(len(atoms), len(functions)))
    a, b = Case(functions, atoms), Case(functions, atoms, skin=1.5)
    assert len(b.pairs) > 1.5 * len(a.pairs)
    np.testing.assert_allclose(b.value(), a.value(), rtol=0, atol=1e-13)
    for one, other in zip(a.vjp(g), b.vjp(g)):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(one).max())


# ---- elementary functions, through the functions they make up: a dimer at a distance of exactly 2

def dimer(functions):
    c = Case(functions, Atoms("HO", positions=[[0, 0, 0], [2.0, 0, 0]]))
    return c.value()[0], lambda g: c.vjp(np.outer([1, 0], g))[0][1, 0]


def test_exp_is_that_of_numpy_over_its_whole_range():
    eta = np.concatenate([np.linspace(0, 10, 400), np.geomspace(1e-18, 170, 600)])
    G, _ = dimer([G2("O", 4.0, e) for e in eta] + [G1("O", 4.0)])
    np.testing.assert_allclose(G[:-1], np.exp(-4 * eta) * G[-1], rtol=1e-14, atol=0)
    G, _ = dimer([G2("O", 4.0, e) for e in (200.0, 1e5, 1e300)])
    assert (G == 0).all()


def test_sine_and_cosine_are_those_of_numpy_over_a_wide_range():
    kappa = np.concatenate([np.linspace(-10, 10, 400), np.geomspace(1e-9, 5e4, 600), np.pi / 4 * np.arange(40)])
    G, vjp = dimer([G3("O", 4.0, k) for k in kappa] + [G1("O", 4.0)])
    fc = oracle.fc("poly2", 2.0, 4.0)
    assert abs(G[-1] - fc) < 1e-15
    assert np.abs(G[:-1] - np.cos(2 * kappa) * fc).max() < 1e-14
    dfc = -30 * 0.25 * 0.25 / 4
    for n, k in enumerate(kappa):
        slope = vjp(np.eye(len(kappa) + 1)[n])
        assert abs(slope - (dfc * np.cos(2 * k) - fc * k * np.sin(2 * k))) <= 1e-14 * max(abs(k), 1)


# ---- errors

@pytest.mark.parametrize("make, message", [
    (lambda: G1("Xx", 3.0), "elements: 'Xx' is no chemical symbol"), (lambda: G1("H", 0), "cutoff must be > 0"), (lambda: G1("H", np.nan), "cutoff must be > 0"),
    (lambda: G2("H", 3.0, -1), "eta must be >= 0"), (lambda: G2("H", 3.0, 1, np.inf), "rs must be a finite number"),
    (lambda: G3("H", 3.0, np.nan), "kappa must be a finite number"), (lambda: G4("H", "H", 3.0, 0, 1, 0.9), "zeta must be >= 1"),
    (lambda: G5("H", "H", 3.0, 0, np.nan, 1), "lambda_ must be a finite number"), (lambda: G1("H", 3.0, "step"), "cutoff_type must be one of"),
    (lambda: SymmetryFunction(6, ("H",), 3.0), "kind must be 1..5"), (lambda: SymmetryFunction(4, ("H",), 3.0), "takes two neighbour elements"),
    (lambda: SymmetryFunction(1, ("H", "H"), 3.0), "takes one neighbour element"), (lambda: SymmetryFunction(1, ("H",), 3.0, eta=1), "G1 has no such parameter"),
    (lambda: Descriptor({"H": [G1("O", 3.0)]}), "element 'O' has no line"), (lambda: Descriptor({}), "functions: expected"),
    (lambda: species(["H", "C"], ("H", "O")), "element C: the potential knows H, O only")])
def test_what_is_no_symmetry_function_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_text_of_a_function_reads_back_to_the_same_bits():
    rng = np.random.default_rng(9)
    functions = {"H": [G2("H", rng.uniform(3, 9), rng.uniform(), rng.normal()), G4("H", "H", rng.uniform(3, 9), rng.uniform(), rng.normal(), 1 + rng.uniform())]}
    text = "\n".join(["fastmd-potential 1", "element H offset 0", *file_lines(functions), "end"])
    core = _core.Core(text.encode(), "here")
    for k, f in enumerate(functions["H"]):
        g = core.function(0, k)
        assert [g.get(n, 0) for n in ("eta", "rs", "lambda_", "zeta", "cutoff")] == [f.eta, f.rs, f.lambda_, f.zeta, f.cutoff]
