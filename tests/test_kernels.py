"""The descriptor kernels at their seams: powers made of powers, Gaussians of Gaussians, moments, whole vectors, full scratch, kept triplets. One atom
and its neighbours, given as bare vectors, so that any place is possible for them. What is right are the formulas once more, for all terms of a
function at once and on dual numbers (x + i h x', h so small that h^2 is nothing), which give its derivative to the last digits."""

import math

import numpy as np
import pytest
from ase.data import atomic_numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmd
import oracle
from fastmd import G1, G2, G3, G4, G5, G12, G13, G20, G21, G22, G23, G24, G25, _core
from fastmd.symmetry import CORE_TYPES, CUTOFF_TYPES
from test_potential import child

H = 1e-30  # of the dual numbers
EPS = 2.0**-52


# ---- the formulas on dual numbers

def dual(value, slope, x):
    return value + 1j * slope * x.imag


def core(kind, x):
    if kind in ("exp", "e"):
        inside = x.real < 1
        y = np.where(inside, x, 0)
        return np.where(inside, np.exp(1 - 1 / ((1 - y) * (1 + y))), 0)
    k = int(kind[-1])  # (1 - x)^(k+1) times the first terms of the series of (1 - x)^-(k+1)
    return np.where(x.real < 1, (1 - x) ** (k + 1) * sum(math.comb(k + j, j) * x**j for j in range(k + 1)), 0)


def fc(f, r):
    kind, rc = f.cutoff_type, f.cutoff
    if kind in ("tanh3", "tanh3n"):
        c = np.tanh(1 - r / rc) ** 3 / (math.tanh(1) ** 3 if kind == "tanh3n" else 1)
    else:
        x = (r - f.alpha * rc) / (rc - f.alpha * rc)
        x = np.where(x.real > 0, x, 0)
        # (cos(pi x) + 1) / 2, without its loss of digits near x = 1
        c = np.ones_like(r) if kind == "hard" else np.sin(np.pi / 2 * (1 - x)) ** 2 if kind == "cosine" else core(kind, x)
    return np.where(r.real < rc, c, 0)


def window(kind, x, left, right):
    x = (x - (left + right) / 2) / ((right - left) / 2)
    x = np.where(x.real < 0, -x, x)
    x = np.where(x.real < 1, x, 1)
    return core(kind.rstrip("a"), (2 - x) * x if kind.endswith("a") else x)


def length(d):
    u = (d * d).sum(axis=-1)
    return np.sqrt(np.where(u.real < 1e-12, 1e-12, u))  # two neighbours at one place count as a millionth of an angstrom apart


def shape(f, r):
    if f.compact:
        return window(f.cutoff_type, r, f.left, f.cutoff)
    return (np.cos(f.kappa * r) if f.kind == 3 else np.exp(-f.eta * (r - f.rs) ** 2)) * fc(f, r)


def angle(f, cos):
    if f.compact:
        c = np.clip(cos.real, -1, 1)
        theta = dual(np.degrees(np.arccos(c)), -np.degrees(1 / np.sqrt(np.maximum(1 - c * c, 1e-300))), cos)
        return window(f.cutoff_type.rstrip("a"), theta, f.angle_left, f.angle_right)
    p = (1 + f.lambda_ * cos) / 2
    p = np.where(p.real > 0, p, 0)
    return 2 * dual(p.real**f.zeta, f.zeta * p.real ** (f.zeta - 1) if f.zeta > 1 else p.real > 0, p)


class Terms:
    """Of all functions of one atom, each term as a dual number; d: (m, 3) complex"""

    def __init__(self, symbols, d):
        self.symbols, self.r = np.array(symbols, "U2"), length(d)
        self.Z = np.array([atomic_numbers[s] for s in symbols], float)
        self.j, self.k = np.triu_indices(len(d), 1)
        self.cos = (d[self.j] * d[self.k]).sum(axis=-1) / (self.r[self.j] * self.r[self.k])
        self.rjk = length(d[self.k] - d[self.j])
        self.known = {}

    def once(self, key, make):
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    def of(self, f):
        radial = (f.cutoff, f.cutoff_type, f.alpha, f.eta, f.rs, f.kappa, f.left, f.kind == 3)
        phi = self.once(radial, lambda: shape(f, self.r))
        if f.neighbours == 1:
            return phi * self.Z if not f.elements else phi[self.symbols == f.elements[0]]
        both = self.once((*radial, "jk"), lambda: phi[self.j] * phi[self.k])
        if f.kind in (4, 13, 21, 24):
            both = both * self.once((*radial, "third"), lambda: shape(f, self.rjk))
        t = both * self.once(("angle", f.lambda_, f.zeta, f.angle_left, f.angle_right, f.compact and f.cutoff_type), lambda: angle(f, self.cos))
        if not f.elements:
            return t * (self.Z[self.j] * self.Z[self.k])
        a, b = f.elements
        return t[self.once(("pairs", a, b), lambda: (self.symbols[self.j] == a) & (self.symbols[self.k] == b) | (self.symbols[self.j] == b) & (self.symbols[self.k] == a))]


# ---- the kernels on the same

class Atom:
    """One atom, a hydrogen, with its neighbours; energy = w . G by a network of one layer"""

    def __init__(self, functions, symbols, d, w=None):
        self.functions, self.symbols, self.d = functions, list(symbols), np.ascontiguousarray(d, float).reshape(-1, 3)
        elements = sorted({"H", *self.symbols, *(e for f in functions for e in f.elements)})
        self.w = np.ones(len(functions)) if w is None else w
        sizes = {e: len(functions) if e == "H" else 1 for e in elements}
        self.potential = fastmd.NNPotential({e: functions if e == "H" else [G1("H", 1.0)] for e in elements},
                                            {e: fastmd.Network(((self.w[None, :n] if e == "H" else np.zeros((1, 1)), np.zeros(1), "identity"),)) for e, n in sizes.items()}, threads=1)
        self.core = self.potential._core
        self.m = len(self.d)
        self.species = np.array([elements.index(s) for s in ("H", *self.symbols)], np.int32)
        self.row = np.zeros(1, np.int64)

    def system(self, precision=0):
        return _core.System(self.species, np.array([0, self.m]), np.arange(1, self.m + 1, dtype=np.int32), d=self.d, threads=1, precision=precision)

    def value(self):
        G = np.zeros(len(self.functions))
        self.core.value(self.system(), self.row, G)
        return G

    def rows(self):
        out = np.zeros((self.m, 3, len(self.functions)))
        self.core.rows(self.system(), self.row, out.reshape(-1))
        return out

    def vjp(self, g):
        edges, forces, virial = np.zeros((self.m, 3)), np.zeros((self.m + 1, 3)), np.zeros((3, 3))
        self.core.vjp(self.system(), self.row, np.ascontiguousarray(g), forces, virial, None, edges)
        return edges, forces, virial

    def jvp(self, v):
        out = np.zeros(len(self.functions))
        self.core.jvp(self.system(), self.row, np.vstack([np.zeros((1, 3)), v]), None, None, out)
        return out

    def compute(self, precision=0):
        edges, forces, virial = np.zeros((self.m, 3)), np.zeros((self.m + 1, 3)), np.zeros((3, 3))
        energy = self.core.compute(self.system(precision), None, forces, virial, None, edges)
        return energy, edges, forces, virial


def close(got, want, bound, what, functions=None):
    """|got - want| <= bound, numbers by function last"""
    got, want, bound = np.broadcast_arrays(got, want, bound)
    bad = ~(np.abs(got - want) <= bound)
    if bad.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            worst = np.unravel_index(np.nanargmax(np.where(bad, np.abs(got - want) / bound, -1)), got.shape)
        f = f" of {functions[worst[-1]]}" if functions else ""
        raise AssertionError(f"{what}{f}: {got[worst]!r}, expected {want[worst]!r} within {bound[worst]:.2g}; {bad.sum()} of {bad.size} wrong")


def check(functions, symbols, d, derivatives=True, directions=3, precisions=(1, 2)):
    """Value, rows, vjp, jvp and the fused energy of one atom against the formulas and against one another."""
    rng = np.random.default_rng(1)
    w = rng.normal(size=len(functions))
    a = Atom(functions, symbols, d, w)
    G, J = a.value(), a.rows()
    v = rng.normal(size=(directions, a.m, 3))
    size, change, shift = np.zeros(len(functions)), np.zeros((directions, len(functions))), np.zeros(len(functions))
    with np.errstate(all="ignore"):
        for q in range(directions):
            t = Terms(symbols, a.d + 1j * H * v[q])
            found = [t.of(f) for f in functions]
            if q == 0:
                want = np.array([x.real.sum() for x in found])
                size = np.array([np.abs(x.real).sum() for x in found])
            change[q] = [x.imag.sum() / H for x in found]
            shift = np.maximum(shift, [np.abs(x.imag).sum() / H for x in found])
    # By moments each sum is made of the products of all neighbours, also with themselves, and of each the polynomial's terms: (sum |phi|)^2 in all
    full, full_change = np.zeros((2, len(functions)))
    for k, f in enumerate(functions):
        if f.kind == 5 and f.zeta <= 8 and f.zeta % 1 == 0:
            phi = shape(f, t.r.real + 1j * H)
            terms = 2 * ((1 + abs(f.lambda_)) / 2) ** f.zeta
            full[k] = terms * np.abs(phi.real).sum() ** 2
            full_change[k] = terms * f.zeta * np.abs(phi.real).sum() * (np.abs(phi.imag) / H + np.abs(phi.real) / t.r.real).sum()
    steep = np.array([max(f.zeta, 1) * (1 + f.eta * f.cutoff**2 / 50) * (20 if f.cutoff_type[0] == "e" else 1) for f in functions])  # what rounding of d is multiplied with
    atol = 1e-290
    tight = 1e-14 * steep * size + 64 * EPS * full + 2e-13 * size + 16 * EPS * shift * np.array([f.cutoff for f in functions]) + atol
    close(G, want, tight, "value", functions)
    edges, forces, virial = a.vjp(w)
    energy, fused, fused_forces, fused_virial = a.compute()
    close(energy, G @ w, 1e-13 * (np.abs(G * w).sum() + full @ np.abs(w)) + atol, "energy")
    for e, F, V, what in ((edges, forces, virial, "vjp"), (fused, fused_forces, fused_virial, "fused")):
        scale = (np.abs(J) @ np.abs(w)).max(initial=0) + np.abs(e).max(initial=0)
        close(e, J @ w, 2e-12 * scale + 64 * EPS * full_change @ np.abs(w) + atol, what + " edges")
        close(F, np.vstack([e.sum(axis=0), -e]), 1e-13 * scale * (a.m + 1) + atol, what + " forces")
        close(V, -a.d.T @ e, 1e-12 * scale * np.abs(a.d).sum() + atol, what + " virial")
    if not derivatives:
        assert np.isfinite(J).all()
    bound = 2e-13 * (steep + 2) * (shift + size) + 64 * EPS * full_change * np.abs(v).max(initial=0) + atol
    for q in range(directions):
        got = a.jvp(v[q])
        if derivatives:
            close(got, change[q], bound, "jvp", functions)
        close(np.einsum("kaf,ka->f", J, v[q]), change[q] if derivatives else got, bound, "rows", functions)
    for k in rng.permutation(len(functions))[:4]:
        one = a.vjp(np.eye(len(functions))[k])[0]
        close(one, J[..., k], 1e-13 * steep[k] * np.abs(J[..., k]).max(initial=0) + 64 * EPS * full_change[k] + atol, f"vjp of {functions[k]} alone")
    for precision in precisions:
        e32, edges32, *_ = a.compute(precision)
        scale = (size * np.abs(w) * steep).sum()
        close(e32, energy, 4e-6 * scale + 1e-6 * (full + shift) @ np.abs(w) + 1e-30, "mixed energy")
        scale = (np.abs(J) * np.abs(w) * steep).sum(axis=2).max(initial=0) + full_change @ np.abs(w) + scale
        close(edges32, fused, 2e-5 * scale + 1e-25, "mixed edges")
    return a


# ---- neighbours and functions

def around(n, rc, elements=("O",), seed=0, least=0.3, most=1.05, apart=0.12):
    """n neighbours, some beyond the cutoff; none within `apart` of another, in units of rc"""
    rng = np.random.default_rng(seed)
    points = []
    for _ in range(100 * n):
        if len(points) == n:
            break
        u = rng.normal(size=3)
        p = u / np.linalg.norm(u) * rng.uniform(least**3, most**3) ** (1 / 3)
        if all(np.linalg.norm(p - q) > apart for q in points):
            points.append(p)
    return [elements[k] for k in rng.integers(len(elements), size=len(points))], rc * np.array(points).reshape(-1, 3)


ZETAS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 31, 64, 1.5, 2.5, 16.5, 100, 243, 1000, 4095, 4096, 4097, 5000.5, 6000)
LAMBDAS = (1, -1, 0.5, -0.5, 0)
MULTIPLES = (1, 2, 3, 4, 5, 6, 7, 12, 31, 255, 256, 257, 2 * (1 + 1e-15), 3 * (1 - 1e-13), 1 + 1e-15, 1 + 1e-13, 5 * (1 + 4e-16))


def powers(rc, kinds=(G4, G5), pairs=(("O", "O"),), zetas=ZETAS, eta=0.02):
    return [make(*p, rc, eta, l, z) for make in kinds for p in pairs for z in zetas for l in LAMBDAS]


def gaussians(rc, b=0.05):
    out = [G5("O", "O", rc, 0.0, 1, 2.5), G4("O", "O", rc, 0.0, 1, 2.5), G4("O", "O", rc, 0.0, -1, 1)]
    for m in MULTIPLES:
        for rs in (0.0, 0.7):
            out += [G2("O", rc, m * b, rs), G2("O", 0.8 * rc, m * b, rs, "cosine"), G5("O", "O", rc, m * b, 1, 2.5, rs=rs), G4("O", "O", rc, m * b, -1, 3, rs=rs), G4("O", "O", rc, m * b, 1, 1, rs=rs)]
    return out


def mixed(rc, elements=("H", "O", "Si"), seed=0, n=60):
    """Functions of every kind in no order: several cutoffs and types in one element, channels of 1, 2, 3, 7"""
    rng = np.random.default_rng(seed)
    pick = lambda *x: x[rng.integers(len(x))]
    out = []
    for channels, make in ((1, G5), (2, G5), (3, G5), (7, G5), (1, G4), (2, G4), (3, G4), (7, G4)):
        a, b, cut, r, alpha = pick(*elements), pick(*elements), pick(*CUTOFF_TYPES[1:]), rc * pick(0.7, 0.9, 1.0), pick(0.0, 0.3)
        for c in range(channels):
            for _ in range(rng.integers(1, 3)):
                out.append(make(a, b, r, 0.03 * c * rng.choice([1, 1.37]), pick(1, -1, 0.5), pick(1, 1, 2, 3, 4, 3.5, 16), cut, pick(0.0, 0.0, 0.0, 0.4), alpha))
    while len(out) < n:
        cut, kind, r, w = pick(*CUTOFF_TYPES[1:]), pick(*CORE_TYPES), rc * pick(0.6, 0.8, 1.0), pick((0, 180), (20, 110), (-70, 70), (100, 260))
        a, b, left = pick(*elements), pick(*elements), rc * pick(-1.0, -0.2, 0.2, 0.45)
        out.append(pick(*(lambda f=f: f for f in (
            G1(a, r, cut), G2(a, r, rng.uniform(0, 2), rng.uniform(0, r), cut, 0.2), G3(a, r, rng.uniform(0, 2), cut), G12(r, 0.3, 1.0, cut), G13(r, 0.02, -1, pick(1, 2, 5), 0.3, cut),
            G13(r, 0.01, 1, 1, 0.0, cut), G20(a, r, left, kind), G21(a, b, r, left, *w, kind), G22(a, b, r, left, *w, kind), G22(a, b, r, left, *w, "p2"), G23(r, left, kind),
            G24(r, left, *w, kind), G25(r, left, *w, kind), G5(a, b, r, 0.05, 1, 2, "hard"), G4(a, b, r, 0.02, 1, 1, "hard"), G4(a, b, r, 0.05, -1, 2, cut, 0.8))))())
    return [out[k] for k in rng.permutation(len(out))]


# name: functions, symbols, d
FIXED = {
    "powers of triplets": (powers(2.0, eta=0.1), *around(9, 2.0)),
    "powers by moments": (powers(8.0, kinds=(G5,), zetas=(1, 2, 3, 4, 5, 6, 7, 8, 9, 16)), *around(14, 8.0, seed=1)),
    "powers of two elements by moments": (powers(8.0, kinds=(G5,), zetas=(1, 2, 5, 8), pairs=(("O", "Si"), ("Si", "O"), ("Si", "Si"))), *around(15, 8.0, ("O", "Si"), seed=2)),
    "sets of several degrees": ([G5(*p, 8.0, eta, l, z) for z, p, eta, l in ((1, "OO", 0, 1), (8, "OH", 0, -1), (3, "HH", 0, 1), (2, "OO", 0.01, 1), (2, "HO", 0.03, 1), (4, "OO", 0.02, 0.5), (4, "OO", 0.03, 1))],
                                *around(13, 8.0, ("O", "H"), seed=3)),
    "gaussians": (gaussians(4.0), *around(10, 4.0, seed=4)),
    "steep gaussians": (gaussians(4.0, 0.6), *around(10, 4.0, seed=5)),
    "one power alone": ([G5("O", "O", 2.0, 0.1, -1, 5000)], *around(5, 2.0, seed=6)),
}
for n in (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33):
    FIXED[f"{n} neighbours"] = (mixed(5.0, ("O",), n, 40), *around(n, 5.0, seed=n, most=0.97))
    FIXED[f"{n} neighbours of three elements"] = (mixed(5.0, ("H", "O", "Si"), n, 50), *around(n, 5.0, ("H", "O", "Si"), seed=n))


for n in range(1, 9):  # supports that begin and end anywhere within vectors and tiles
    rng = np.random.default_rng(n)
    u = rng.normal(size=(2 * n + 12, 3))
    r = np.concatenate([rng.uniform(1.0, 1.9, n), rng.uniform(2.1, 3.9, 12 + n % 5), rng.uniform(4.1, 4.9, n - n % 5)])
    FIXED[f"{n} neighbours before the support"] = ([G22("O", "O", 4.0, 2.0, 10, 170, "p3"), G22("O", "H", 4.0, 2.0, 10, 170, "p3"), G21("O", "O", 4.0, 2.0, 10, 170, "p3"), G21("O", "H", 4.0, 2.0, -70, 70),
                                                    G22("O", "O", 4.0, 1.9, 10, 170, "p3"), G22("O", "O", 2.5, 1.9, 10, 170, "p3"), G25(4.0, 2.0, 10, 170, "p4"), G5("O", "O", 4.0, 0.1, 1, 2.5), G5("O", "H", 3.0, 0.1, 1, 2.5), G2("O", 5.0, 0.1)],
                                                   ["O"] * len(r) if n % 2 else ["O", "H"] * (len(r) // 2) + ["O"] * (len(r) % 2), u / np.linalg.norm(u, axis=1)[:, None] * r[:, None])
for n in (4, 8, 16):  # vectors full to the brim, and the next element's begin after them
    FIXED[f"{n} neighbours of each of three elements"] = (mixed(5.0, ("H", "O", "Si"), n, 40), ["H", "O", "Si"] * n, around(3 * n, 5.0, seed=n, most=0.97, apart=0.1)[1])
for n in (2, 4, 8, 16):  # ... and some of the first not in the support, the next element's all
    r = np.concatenate([[1.5], np.linspace(2.2, 3.6, n - 1), np.linspace(2.3, 3.5, 5)])
    FIXED[f"{n} neighbours and the next element's"] = ([make("H", "O", 4.0, 2.0, 10, 170) for make in (G21, G22)], ["H"] * n + ["O"] * 5, around(n + 5, 1.0, seed=n, least=1.0, most=1.0)[1] * r[:, None])
FIXED["cutoffs of very different reach"] = ([make(a, b, rc, 0.05, 1, z, rs=rs) for make in (G4, G5) for a, b in (("O", "O"), ("H", "O")) for rc in (2.3, 3.9, 8.0) for z in (1, 2.5) for rs in (0, 0.5)],
                                             *around(40, 8.0, ("H", "O"), seed=7, apart=0.09))

# exactly at the cutoff, which is 5, and a hair inside and outside; r_jk too is 5 exactly
AT = np.array([[3.0, 0, 0], [0, 4.0, 0], [0, 0, 5.0], [np.nextafter(5.0, 0), 0, 0], [0, -np.nextafter(5.0, 9), 0], [-1.5, 0, 2.0], [1.0, 1.0, 1.0]])
ROUND = [f for make in (lambda *x, **y: G4("O", "O", *x, **y), lambda *x, **y: G5("O", "O", *x, **y)) for c in CUTOFF_TYPES for f in (make(5.0, 0.01, 1, 1, c), make(5.0, 0.02, -1, 2.5, c, 0.3))]
ROUND += [f for c in CORE_TYPES for f in (G20("O", 5.0, 1.0, c), G21("O", "O", 5.0, -1.0, 0, 170, c), G22("O", "O", 5.0, 2.0, 10, 180, c), G21("O", "O", 5.0, 3.0, 0, 180, c))]
# straight lines through the atom: cos = 1 and -1, some exactly, some by rounding beyond
LINES = np.array([[1.5, 0, 0], [-2.0, 0, 0], [3.1, 0, 0], [0.7, 0.9, -1.1], [-1.4, -1.8, 2.2], [1.05, 1.35, -1.65], [-0.33, -0.41, -1.03], [0.66, 0.82, 2.06]])
FIXED["straight angles"] = (powers(4.0, zetas=(1, 2, 3, 4, 8, 9, 64, 1000, 2.5, 3.5, 16.5)), ["O"] * 8, LINES)
FIXED["lambda beyond 1"] = ([make("O", "O", rc, 0.02, l, z) for make in (G4, G5) for rc in (2.0, 8.0) for l in (2, -2, 1.0001) for z in (1, 1.5, 2, 3, 4, 8, 9)], *around(12, 8.0, seed=9, least=0.1))
FIXED["straight angles by moments"] = (powers(8.0, zetas=(1, 2, 3, 4, 8, 9, 2.5)), ["O"] * 8, 2 * LINES)
FIXED["a support without neighbours"] = ([G22("O", "O", 4.0, 3.9, 0, 180), G21("O", "O", 4.0, 3.9, 0, 180), G22("O", "O", 0.5, -0.5, 0, 180), G21("O", "O", 4.0, 0.5, 0, 1e-6), G24(4.0, 3.9, 10, 20), G20("O", 4.0, 3.99),
                                          G4("O", "O", 0.5, 0, 1, 1), G5("O", "O", 0.5, 0, 1, 2), G5("O", "O", 4.0, 1e4, 1, 2.5), G4("O", "Si", 4.0, 0, 1, 2), G5("Si", "Si", 4.0, 0, 1, 2.5), G2("O", 4.0, 1e5)],
                                         *around(9, 3.0, seed=8))


@pytest.mark.parametrize("precision", [0, 1])
@pytest.mark.parametrize("make, cutoff", [(G4, 1.6), (G5, 1.6), (G5, 6.0)])  # a short cutoff keeps G5 from moments
@pytest.mark.parametrize("zeta", [1, 2, 3, 4, 5, 2.5])
@pytest.mark.parametrize("angle, lambda_", [(170, 1), (178, 1), (8, -1), (3, -1)])
def test_the_slopes_of_a_function_that_is_small_are_right_to_its_own_size(angle, lambda_, zeta, make, cutoff, precision):
    """CO2 and its like: all angles are near 0 or 180 degrees, and what scales a function of 1e-10 to numbers about 1 scales its errors too."""
    x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    d = np.array([[0.6, 0, 0], [x, y, 0]])
    functions = [make("O", "O", cutoff, 0.01, l, z) for l, z in ((lambda_, zeta), (-lambda_, 1), (-lambda_, 4), (-lambda_, 9), (0.5 * lambda_, 3))]  # one channel
    v = np.eye(6).reshape(6, 2, 3)
    found = np.array([[t.sum() for t in (Terms(["O", "O"], d + 1j * H * one).of(f) for f in functions)] for one in v])
    G, J = found[0].real, (found.imag / H).reshape(2, 3, -1)
    w = np.array([1 / G[0], 0, 0.1, 0.1, -0.1])
    a = Atom(functions, ["O", "O"], d, w)
    bound = 8 * zeta * (6e-8 if precision else 1.2e-16) / (1 + lambda_ * x) * np.abs(J * w).max()  # cos is rounded, 1 + lambda cos is small
    close(a.compute(precision)[1], J @ w, bound, "fused edges")
    if not precision:
        close(a.value()[0] * w[0], 1, bound, "value")
        close(a.vjp(w)[0], J @ w, bound, "vjp edges")
        close(a.rows()[..., 0] * w[0], J[..., 0] * w[0], bound, "rows")
        close(np.array([a.jvp(one)[0] for one in v]).reshape(2, 3) * w[0], J[..., 0] * w[0], bound, "jvp")


@pytest.mark.parametrize("name", FIXED)
def test_value_and_every_derivative_are_those_of_the_formulas(name):
    check(*FIXED[name])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(0, 24), st.sampled_from([1.6, 3.0, 5.0, 8.0]), st.integers(1, 3), st.integers(1, 40))
def test_so_are_they_for_any_set_of_functions(seed, n, rc, elements, n_functions):
    elements = ("O", "H", "Si")[:elements]
    check(mixed(rc, elements, seed, 40)[:n_functions], *around(n, rc, elements, seed))


BLOCKS = [f for a, b in (("O", "O"), ("H", "O"), ("H", "H"), ("O", "Si"), ("H", "Si"), ("Si", "Si"))
          for f in (G4(a, b, 5.0, 0.0, 1, 1), G4(a, b, 5.0, 0.01, -1, 2.5), G4(a, b, 4.1, 0.02, 1, 3, rs=0.4), G21(a, b, 4.6, -1.0, 20, 170), G5(a, b, 5.0, 0.01, -1, 2.5), G22(a, b, 5.0, 0.5, 0, 170))]


def test_neighbours_exactly_at_the_cutoff():
    check(ROUND, ["O"] * 7, AT, precisions=())  # in float32 a hair inside is at the cutoff


@pytest.mark.parametrize("precision", [0, 1])
def test_a_distance_that_rounds_to_the_cutoff_gives_finite_numbers(precision):
    """Where r^2 < rc^2 and yet r / rc is 1, all cutoffs go to 0 / 0 or near it."""
    for rc in map(float, np.linspace(3, 7, 41, dtype=np.float32)):
        functions = [f for c in CUTOFF_TYPES[1:] for f in (G2("O", rc, 0.1, 0.5, c), G4("O", "O", rc, 0.0, 1, 2.5, c), G4("O", "O", rc, 0.1, 1, 1, c, 0.2), G5("O", "O", rc, 0.1, -1, 2, c, 0.0, 0.3))]
        for n in range(-3, 3):
            r = rc * (1 + n * (6e-8 if precision else 1.1e-16))  # of the first two from each other, and of the third
            e, edges, *_ = Atom(functions, ["O"] * 3, [[r / 2, 0.3, 0], [-r / 2, 0.3, 0], [0, 0, r]]).compute(precision)
            assert np.isfinite(e) and np.isfinite(edges).all() and np.abs(edges[2]).max() < 1e-3


@pytest.mark.parametrize("n, elements", [(60, ("O",)), (130, ("O",)), (200, ("H", "O", "Si"))])
def test_many_neighbours_whose_triplets_do_not_find_room(n, elements):
    functions = [f for f in BLOCKS if set(f.elements) <= set(elements)]
    check(functions[::2] if n > 100 else functions, *around(n, 5.0, elements, seed=n, apart=0.08), directions=1)


@pytest.mark.parametrize("functions", [BLOCKS, BLOCKS[:4], BLOCKS[::-1], BLOCKS[6:8]], ids=["all", "of one element", "backwards", "of two elements"])
def test_triplets_kept_from_the_first_pass_give_what_fresh_ones_do(functions):
    """Whether all are kept, some or none: the fused energy and forces are those of value and vjp, which keep none. Neighbours on one side, so that
    r_jk is inside for all: 64 x 64 triplets are exactly the room there is."""
    rng = np.random.default_rng(2)
    w = rng.normal(size=len(functions))
    u = rng.normal(size=(300, 3))
    d = u / np.linalg.norm(u, axis=1)[:, None] * rng.uniform(0.6, 1.9, (300, 1))
    sizes = [(k, k, 0) for k in (16, 19, 20, 61, 62, 63, 64, 65)] + [(k, k // 2, k // 3) for k in range(1, 110, 9)] + [(k, 0, 0) for k in (1, 2, 27, 28, 29, 87, 88, 89, 90, 91, 92, 130)] + [(1, 200, 3), (200, 1, 1), (128, 32, 0), (10, 250, 0), (2, 250, 0), (250, 3, 0), (15, 270, 0)]
    for n_o, n_h, n_si in sizes:
        symbols = ["O"] * n_o + ["H"] * n_h + ["Si"] * n_si
        m = len(symbols)
        a = Atom(functions, symbols, d[:m] * (1 if m % 2 else [[1.4, 1.4, 2.5]]), w)
        G, (edges, forces, virial), (energy, fused, fused_forces, fused_virial) = a.value(), a.vjp(w), a.compute()
        close(energy, G @ w, 1e-13 * (np.abs(G) @ np.abs(w)) + 1e-290, f"energy, {n_o} {n_h} {n_si}")
        close(fused, edges, 1e-12 * np.abs(edges).max() + 1e-290, f"edges, {n_o} {n_h} {n_si}")
        close(fused_virial, virial, 1e-12 * np.abs(edges).sum() + 1e-290, f"virial, {n_o} {n_h} {n_si}")


def test_neighbours_on_top_of_each_other_are_finite_and_consistent():
    """As ghosts can be, whose own rows nobody asks for. What depends on r_jk has a value there, and those functions that are smooth a gradient."""
    symbols, d = around(7, 4.0, ("O", "H"), seed=1)
    symbols, d = symbols + symbols[:3] + ["O"], np.vstack([d, d[:3], d[:1]])
    check(mixed(4.0, ("O", "H"), 3, 40), symbols, d, derivatives=False)
    smooth = [make(a, b, 4.0, 0.1, l, z, c) for make in (G4, G5) for a, b in ("OO", "HO") for l in (1, -1) for z in (1, 2, 2.5) for c in ("poly2", "poly4", "cosine", "exp", "hard")]
    check(smooth, symbols, d)


@pytest.mark.parametrize("isa", [i for i in _core.isas() if i != _core.isa()])
def test_other_instruction_sets_agree_with_the_formulas_too(isa):
    run = child("import test_kernels\ntest_kernels.all_fixed()", FASTMD_ISA=isa)
    assert run.stdout == f"{isa} {len(FIXED)}\n", run.stderr[-2000:]


def all_fixed():
    for case in FIXED.values():
        check(*case, directions=1)
    print(_core.isa(), len(FIXED))
