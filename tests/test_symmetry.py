"""Symmetry functions: values against the plain formulas, derivatives against differences, vjp, jvp and rows against one another."""

import itertools

import numpy as np
import pytest
from ase import Atoms

import fastmd
import oracle
import structures
from fastmd import G1, G2, G3, G4, G5, G12, G13, G20, G21, G22, G23, G24, G25, _core
from fastmd.symmetry import CORE_TYPES, CUTOFF_TYPES, Descriptor, SymmetryFunction, file_lines, species

RC = 3.87
ZETAS = (1, 2, 3.5, 4, 16)
ALPHAS = (0, 0.35, 0.72)
LEFTS = (-RC, -0.6, 0.0, 1.13)
# Differences of these are worse: a higher derivative jumps or is large.
ROUGH = dict.fromkeys(("cosine", "poly1", "p1", "p1a"), 5e-6) | dict.fromkeys(("exp", "e", "ea"), 2e-5)
WINDOWS = ((0, 180), (31, 107), (0, 74), (-63, 63), (117, 243), (-180, 180))


def sets(elements, turn=0):
    """[SymmetryFunction]: every kind with every cutoff, lambda, zeta, alpha, core, left end and window of the angle; their combinations and the
    neighbours' elements in turn, and the next `turn` has others"""
    pairs = list(itertools.combinations_with_replacement(elements, 2))
    cuts = itertools.cycle(CUTOFF_TYPES[turn % 9:] + CUTOFF_TYPES[:turn % 9])
    alphas, lefts, shifts = (itertools.cycle(x[turn % len(x):] + x[:turn % len(x)]) for x in (ALPHAS, LEFTS, (0.0, 0.9, -0.4)))
    two, one = itertools.cycle(pairs), itertools.cycle(elements)
    out = []
    for cut in CUTOFF_TYPES:
        e = next(one)
        out += [G1(e, RC, cut, next(alphas)), G2(e, RC, 0.7, 1.9, cut, next(alphas)), G2(e, RC * 0.9, 0.05, 0.0, cut), G3(e, RC, 1.3, cut, next(alphas)),
                G12(RC, 0.4, next(shifts), cut, next(alphas))]
    for lambda_, zeta in itertools.product((1, -1, 0.5), ZETAS):
        for make in (G4, G5):
            out.append(make(*next(two), RC, 0.03, lambda_, zeta, next(cuts), next(shifts), next(alphas)))
        out.append(G13(RC, 0.05, lambda_, zeta, next(shifts), next(cuts), next(alphas)))
        next(alphas)  # 3 cutoffs a round, of 9: else each would meet one alpha only
    for core in CORE_TYPES:
        out += [G20(next(one), RC, next(lefts), core), G23(0.9 * RC, next(lefts), core)]
    cores = itertools.cycle(CORE_TYPES[turn % 10:] + CORE_TYPES[:turn % 10])
    for window in WINDOWS:
        for make in (G21, G22):
            out += [make(*next(two), RC, next(lefts), *window, next(cores)), make(*next(two), 0.8 * RC, next(lefts), *window, next(cores))]
        out += [make(RC, next(lefts), *window, next(cores)) for make in (G24, G25)]
    for k, (a, b) in enumerate(pairs):  # every pair of elements, in either order, and another cutoff
        out += [G4(b, a, 0.8 * RC, 0.1, 1, 2), G5(b, a, 0.8 * RC, 0.0, -1, 3 + k)]
    return out


def weight(f):
    """The largest that a term is multiplied with, for neighbours up to Si"""
    return 14**f.neighbours if not f.elements else 1


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


def turn(n_elements, name):
    """Each structure has combinations of its own."""
    return HARD.index((n_elements, name))


SOME = [c for c in HARD if c[1] in ("skewed cell", "one atom in a tiny cell", "linear chain", "slanted chain", "molecule", "lone atom", "skewed slab")]


@pytest.mark.parametrize("n_elements, name", SOME)
def test_values_are_those_of_the_formulas(n_elements, name):
    atoms = structures.hard(n_elements)[name]
    functions = sets(structures.SYMBOLS[:n_elements], turn(n_elements, name))
    G = Case(functions, atoms).value()
    expected = np.array(oracle.values({e: functions for e in structures.SYMBOLS}, atoms))
    largest = np.abs(expected).max(axis=0)
    least = 1e-3 * np.maximum(largest.max(), [weight(f) for f in functions])
    assert (np.abs(G - expected) <= 1e-12 * np.maximum(largest, least)).all(), np.abs(G - expected).max(axis=0) / np.maximum(largest, least)
    if name == "lone atom":
        assert (G == 0).all()
    else:
        assert np.count_nonzero(largest) > 0.2 * len(functions)


@pytest.mark.parametrize("n_elements, name", SOME)
def test_each_function_has_the_same_value_alone_as_among_others(n_elements, name):
    atoms = structures.hard(n_elements)[name]
    functions = sets(structures.SYMBOLS[:n_elements], turn(n_elements, name))
    together = Case(functions, atoms).value()
    for k, f in enumerate(functions):
        np.testing.assert_allclose(Case([f], atoms).value()[:, 0], together[:, k], rtol=0, atol=1e-13 * max(np.abs(together[:, k]).max(initial=0), 1e-3))


@pytest.mark.parametrize("n_elements, name", HARD, ids=IDS)
def test_gradient_and_strain_derivative_of_each_function_are_those_of_differences(n_elements, name, record_property):
    atoms = structures.hard(n_elements)[name]
    rng = np.random.default_rng(3)
    functions = sets(structures.SYMBOLS[:n_elements], turn(n_elements, name))
    values = Case(functions, atoms).value()
    dx = oracle.gradient(lambda a: Case(functions, a).value(), atoms)          # (n, 3, n, functions)
    dh = oracle.strain_gradient(lambda a: Case(functions, a).value(), atoms)   # (3, 3, n, functions)
    worst = 0
    for k, f in enumerate(functions):
        g = rng.normal(size=(len(atoms), 1))
        gradient, strain = Case([f], atoms).vjp(g)
        expected, expected_strain = dx[..., k] @ g[:, 0], dh[..., k] * g[:, 0]
        for got, want in ((gradient, expected), (strain.transpose(1, 2, 0), expected_strain)):
            # 1e-10: where symmetry makes all components vanish only rounding is left
            least = 1e-10 * max(weight(f), np.abs(values[:, k]).max(initial=0)) / ROUGH.get(f.cutoff_type, 1e-7)
            deviation = np.abs(got - want).max() / max(np.abs(want).max(), np.abs(expected_strain).max(), least)
            worst = max(worst, deviation)
            assert deviation < ROUGH.get(f.cutoff_type, 1e-7), (str(f), deviation)
    record_property("worst", worst)
    assert name == "lone atom" or np.abs(dh).max() > 0.01


@pytest.mark.parametrize("n_elements, name", HARD, ids=IDS)
def test_vjp_and_jvp_are_transposes_of_each_other(n_elements, name, record_property):
    atoms = structures.hard(n_elements)[name]
    rng = np.random.default_rng(4)
    c = Case(sets(structures.SYMBOLS[:n_elements], turn(n_elements, name)), atoms)
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


SMOOTH = [c for c in CUTOFF_TYPES if c != "hard"]
AT_THE_END = [lambda c, a: G1("O", RC, c, a), lambda c, a: G2("O", RC, 0.2, 1, c, a), lambda c, a: G3("O", RC, 1.1, c, a), lambda c, a: G4("O", "O", RC, 0.01, 1, 2, c, 0.3, a),
              lambda c, a: G5("O", "O", RC, 0.01, -1, 1, c, 0.3, a), lambda c, a: G12(RC, 0.2, 1, c, a), lambda c, a: G13(RC, 0.01, -1, 2, 0.3, c, a)]


@pytest.mark.parametrize("cut, alpha", [(c, a) for k, c in enumerate(SMOOTH) for a in (0, ALPHAS[1 + k % 2])])
@pytest.mark.parametrize("make", AT_THE_END)
def test_value_and_gradient_are_smooth_as_a_neighbour_crosses_the_cutoff(make, cut, alpha):
    smooth_at_the_end(make(cut, alpha))


@pytest.mark.parametrize("core", CORE_TYPES)
@pytest.mark.parametrize("make", [lambda c: G20("O", RC, -0.6, c), lambda c: G21("O", "O", RC, -RC, 0, 180, c), lambda c: G22("O", "O", RC, 0.9, 0, 130, c),
                                  lambda c: G23(RC, 0.3, c), lambda c: G24(RC, -1, 20, 160, c), lambda c: G25(RC, -RC, 10, 170, c)])
def test_compact_functions_are_smooth_as_a_neighbour_leaves_their_support(make, core):
    smooth_at_the_end(make(core))


def smooth_at_the_end(f):
    size = {0: 1, 1: 8, 2: 64}[0 if f.elements else f.neighbours]  # of the weights

    def at(r):
        c = Case([f], Atoms("HOO", positions=[[0, 0, 0], [0.4, 1.5, 0.2], [r, 0, 0]]), skin=0.5)
        return c.value()[0, 0], c.vjp(np.ones((3, 1)) * [[1], [0], [0]])[0]

    alone, _ = at(RC + 0.3)
    below, force_below = at(RC - 1e-5)
    above, force_above = at(RC + 1e-5)
    assert above == alone and np.abs(force_above[2]).max() == 0
    assert abs(below - alone) < 1e-9 * size
    assert np.abs(force_below[2]).max() < 8e-5 * size  # the slope goes to zero at least linearly
    steps = np.linspace(RC - 0.02, RC + 0.02, 81)
    assert np.abs(np.diff([at(r)[0] for r in steps])).max() < 1e-4 * size


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


# ---- what the cutoffs and windows are, in other words

def test_cutoffs_and_cores_are_those_of_n2p2():
    """Its polynomials as its documentation has them, and where each cutoff is 1"""
    x = np.linspace(0, 1, 101)
    for k, coefficients in enumerate(([2, -3, 0, 1], [-6, 15, -10, 0, 0, 1], [20, -70, 84, -35, 0, 0, 0, 1], [-70, 315, -540, 420, -126, 0, 0, 0, 0, 1]), 1):
        np.testing.assert_allclose([oracle.core(f"poly{k}", v) for v in x], np.polyval(coefficients, x), atol=1e-13)
        # without the cancellation of the sum of powers: (1 - x)^(K + 1) times what it tends to
        G, _ = dimer([G1("O", 2 / (1 - 1e-6), f"poly{k}"), G20("O", 2 / (1 - 1e-6), -2 / (1 - 1e-6), f"p{k}")])
        np.testing.assert_allclose(G, [3, 10, 35, 126][k - 1] * 1e-6 ** (k + 1), rtol=1e-5)
    for c in CUTOFF_TYPES:
        for alpha in (0, 0.3, 0.7):
            G, slope = dimer([G1("O", 4.0, c, alpha)])
            assert abs(G[0] - oracle.fc(c, 2.0, 4.0, alpha)) < 1e-15
            if c == "hard" or alpha == 0.7 and "tanh" not in c:
                assert G[0] == 1 and slope([1]) == 0
    near, _ = dimer([G1("O", 2e6, c) for c in CUTOFF_TYPES])
    np.testing.assert_allclose(near, [np.tanh(1) ** 3 if c == "tanh3" else 1 for c in CUTOFF_TYPES], rtol=1e-5)


def test_an_asymmetric_core_is_narrower_and_ends_more_smoothly():
    G, _ = dimer([G20("O", right, left, core) for core in ("p2", "p2a") for left, right in ((1.0, 5.0), (1.0, 3.0), (-2.0, 2 + 1e-4))])
    symmetric, asymmetric = G.reshape(2, 3)
    np.testing.assert_allclose(symmetric[:2], [0.5, 1], rtol=1e-14)
    np.testing.assert_allclose(asymmetric[:2], [oracle.core("p2", 0.75), 1], rtol=1e-14)
    assert 0 < asymmetric[2] < symmetric[2] ** 1.9


@pytest.mark.parametrize("core", ["p1", "p2", "p3", "p4", "e"])
def test_the_window_of_the_angle_at_exactly_0_and_180_degrees_is_its_limit(core):
    """n2p2 leaves such triplets out; so the energy would jump where an atom crosses the line, and by what rounding makes of a linear crystal"""
    functions = [G22("O", "O", RC, -RC, *w, core) for w in ((-63, 63), (117, 243), (0, 180), (-180, 180))]
    for sign, expected in ((1, [1, 0, 0, 1]), (-1, [0, 1, 0, 0])):
        radial = oracle.window(core, 1.5, -RC, RC) * oracle.window(core, 2.9, -RC, RC)
        for bend in (0, 1e-9, 1e-6):
            c = Case(functions, Atoms("HOO", positions=[[0, 0, 0], [1.5, 0, 0], [sign * 2.9, bend, 0]]))
            np.testing.assert_allclose(c.value()[0], np.array(expected) * radial, atol=1e-11)
            assert all(np.isfinite(x).all() for x in c.vjp(np.ones((3, 4)))) and np.abs(c.vjp(np.ones((3, 4)))[0][:, 1]).max() < 10 * bend + 1e-7


def test_a_weighted_function_is_the_sum_of_those_of_the_elements():
    atoms = structures.hard(3)["molecule"]
    Z = {"H": 1, "O": 8, "Si": 14}
    pairs = list(itertools.combinations_with_replacement(Z, 2))
    for whole, of in ((G12(RC, 0.3, 1), lambda e: G2(e, RC, 0.3, 1)), (G23(RC, -1, "p3a"), lambda e: G20(e, RC, -1, "p3a"))):
        np.testing.assert_allclose(Case([whole], atoms).value()[:, 0], Case([of(e) for e in Z], atoms).value() @ list(Z.values()), rtol=1e-13)
    for whole, of in ((G13(RC, 0.03, -1, 4, 0.5), lambda a, b: G4(a, b, RC, 0.03, -1, 4, rs=0.5)), (G24(RC, -1, 10, 170), lambda a, b: G21(a, b, RC, -1, 10, 170)),
                      (G25(RC, 0.5, 10, 170, "ea"), lambda a, b: G22(a, b, RC, 0.5, 10, 170, "ea"))):
        np.testing.assert_allclose(Case([whole], atoms).value()[:, 0], Case([of(*p) for p in pairs], atoms).value() @ [Z[a] * Z[b] for a, b in pairs], rtol=1e-12)


# ---- elementary functions, through the functions they make up: a dimer at a distance of exactly 2

def dimer(functions):
    c = Case(functions, Atoms("HO", positions=[[0, 0, 0], [2.0, 0, 0]]))
    return c.value()[0], lambda g: c.vjp(np.outer([1, 0], g))[0][1, 0]


def test_exp_is_that_of_numpy_over_its_whole_range():
    eta = np.concatenate([np.linspace(0, 10, 400), np.geomspace(1e-18, 170, 600)])
    G, _ = dimer([G2("O", 4.0, e) for e in eta] + [G1("O", 4.0)])
    np.testing.assert_allclose(G[:-1], np.exp(-4 * eta) * G[-1], rtol=4e-14, atol=0)  # some are powers of others, up to the 256th
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


def test_acos_is_that_of_numpy_also_near_its_ends():
    """A window of the angle with core p1 is a polynomial of the angle, so the angle can be had from its value."""
    angle = np.concatenate([np.linspace(0.01, 3.13, 500), np.geomspace(1e-6, 0.1, 60), np.pi - np.geomspace(1e-6, 0.1, 60)])
    f = G22("O", "O", 3.0, -3.0, 0, 180, "p1")
    atoms = [Atoms("HOO", positions=[[0, 0, 0], [1.0, 0, 0], [1.5 * np.cos(t), 1.5 * np.sin(t), 0]]) for t in angle]
    for t, a in zip(angle, atoms):
        c = Case([f], a)
        x = abs(t - np.pi / 2) / (np.pi / 2)
        radial = oracle.core("poly1", 1 / 3) * oracle.core("poly1", 0.5)
        assert abs(c.value()[0, 0] / radial - oracle.core("poly1", x)) < 2e-15
        # along the arc dA/dtheta: the slope by the cosine times -sin, with no loss where sin is small
        turn = c.jvp(v=1.5 * np.array([[0, 0, 0], [0, 0, 0], [-np.sin(t), np.cos(t), 0]]))[0, 0]
        slope = -6 * x * (1 - x) * np.sign(t - np.pi / 2) * 2 / np.pi
        assert abs(turn / radial - slope) < 1e-9 * min(t, np.pi - t) + 1e-14 + 2e-16 / min(t, np.pi - t)


# ---- errors

@pytest.mark.parametrize("make, message", [
    (lambda: G1("Xx", 3.0), "elements: 'Xx' is no chemical symbol"), (lambda: G1("H", 0), "cutoff must be > 0"), (lambda: G1("H", np.nan), "cutoff must be > 0"),
    (lambda: G2("H", 3.0, -1), "eta must be >= 0"), (lambda: G2("H", 3.0, 1, np.inf), "rs must be a finite number"),
    (lambda: G3("H", 3.0, np.nan), "kappa must be a finite number"), (lambda: G4("H", "H", 3.0, 0, 1, 0.9), "zeta must be >= 1"),
    (lambda: G5("H", "H", 3.0, 0, np.nan, 1), "lambda_ must be a finite number"), (lambda: G1("H", 3.0, "step"), "cutoff_type must be one of hard, cosine, "),
    (lambda: G1("H", 3.0, "p2"), "cutoff_type must be one of hard, cosine, .*, got 'p2'"), (lambda: G20("H", 3.0, 0, "poly2"), "cutoff_type must be one of p1, .* for a compact function, got 'poly2'"),
    (lambda: G4("H", "H", 3.0, 0, 1, 1, rs=np.inf), "rs must be a finite number"), (lambda: G12(3.0, -1), "eta must be >= 0"), (lambda: G13(3.0, 0, 1, 0.5), "zeta must be >= 1"),
    (lambda: G1("H", 3.0, alpha=1), "alpha must be >= 0 and < 1, got 1"), (lambda: G1("H", 3.0, alpha=-0.1), "alpha must be >= 0, got -0.1"), (lambda: G1("H", 3.0, alpha=np.nan), "alpha must be >= 0"),
    (lambda: SymmetryFunction(20, ("H",), 3.0, cutoff_type="p2", alpha=0.1), "alpha: G20 has no such parameter"),
    (lambda: G20("H", 3.0, 3.0), "left must be below the cutoff of 3 angstrom, got 3.0"), (lambda: G23(3.0, np.nan), "left must be a finite number"),
    (lambda: G22("H", "H", 3.0, 0, 20, 20), "angle_left and angle_right: expected 0 <= left < right <= 180 degrees, or a window about 0 or about 180, got 20 and 20"),
    (lambda: G21("H", "H", 3.0, 0, -20, 30), "got -20 and 30"), (lambda: G25(3.0, 0, 100, 200), "got 100 and 200"), (lambda: G24(3.0, 0, -181, 181), "got -181 and 181"),
    (lambda: G22("H", "H", 3.0, 0, 0, np.inf), "angle_right must be a finite number"), (lambda: G1("H", 3.0, alpha="wide"), "alpha must be >= 0, got 'wide'"),
    (lambda: SymmetryFunction(12, ("H",), 3.0), r"G12 takes none, its sum is over all, got \('H',\)"), (lambda: SymmetryFunction(20, (), 3.0), "G20 takes one neighbour element"),
    (lambda: SymmetryFunction(2, ("H",), 3.0, left=1), "left: G2 has no such parameter"), (lambda: SymmetryFunction(20, ("H",), 3.0, rs=1), "rs: G20 has no such parameter"),
    (lambda: SymmetryFunction(99, ("H",), 3.0), "kind must be one of 1, 2, 3, 4, 5, .*12, 13, 20, 21, 22, 23, 24, 25, got 99"), (lambda: SymmetryFunction(4, ("H",), 3.0), "takes two neighbour elements"),
    (lambda: SymmetryFunction(1, ("H", "H"), 3.0), "takes one neighbour element"), (lambda: SymmetryFunction(1, ("H",), 3.0, eta=1), "G1 has no such parameter"),
    (lambda: Descriptor({"H": [G1("O", 3.0)]}), "element 'O' has no line"), (lambda: Descriptor({}), "functions: expected"),
    (lambda: species(["H", "C"], ("H", "O")), "no parameters for C: the potential knows H, O only")])
def test_what_is_no_symmetry_function_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_text_of_a_function_reads_back_to_the_same_bits():
    rng = np.random.default_rng(9)
    u = rng.uniform
    functions = {"H": [G2("H", u(3, 9), u(), rng.normal(), "poly4", u()), G4("H", "H", u(3, 9), u(), rng.normal(), 1 + u(), rs=rng.normal()), G12(u(3, 9), u(), u(), "exp", u()),
                       G13(u(3, 9), u(), -u(), 1 + u(), u(), "tanh3n", u()), G20("H", u(3, 9), -u(), "ea"), G21("H", "H", u(3, 9), u(), 90 * u(), 180 - 90 * u(), "p3"),
                       *(make(u(3, 9), u(), -60.5, 60.5, "p4a") for make in (G24, G25)), G23(u(3, 9), u(), "e")]}
    functions["H"] += [G1("H", 3.0, c, 0.5) for c in CUTOFF_TYPES] + [G20("H", 3.0, 0.5, c) for c in CORE_TYPES]
    text = "\n".join(["fastmd-potential 1", "element H offset 0", *file_lines(functions), "end"])
    core = _core.Core(text.encode(), "here")
    for k, f in enumerate(functions["H"]):
        g = core.function(0, k)
        elements = tuple("H" for x in (g.pop("a"), g.pop("b")) if x >= 0)
        assert SymmetryFunction(elements=elements, **g) == f


def test_a_file_from_before_there_was_rs_in_angular_functions_is_read():
    text = "fastmd-potential 1\nelement H offset 0\nfunctions H 1\nG5 H H eta 0.1 lambda 1 zeta 2 cutoff 4 poly2\nend\n"
    g = _core.Core(text.encode(), "here").function(0, 0)
    assert (g["eta"], g["rs"], g["lambda_"], g["zeta"], g["alpha"]) == (0.1, 0, 1, 2, 0)
