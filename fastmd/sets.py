"""Sets of symmetry functions: made by rule from the distances in the data, judged by their values on it, kept in a text file.

Rules and checks: J. A. Stende, Constructing high-dimensional neural network potentials for molecular dynamics (Oslo, 2017), section 7.2.
"""

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from . import _check, _core
from ._progress import Bar
from .pairs import find_pairs
from .symmetry import _FIELDS, G2, G5, Descriptor, SymmetryFunction, _exact, file_lines, functions_of

_ZETAS = (1, 4, 16, 2, 8, 32)  # powers of two, so cheap; the first few span the angles, the others go between and beyond
_LARGEST = 5000  # functions of an element: their correlations take 200 MB


# ------------------------------------------------------------------------------------------------------------ by rule

def make_set(elements, cutoff=6.0, shortest=1.5, n_radial=None, n_widths=None, zetas=None, cutoff_type="poly2", size=None):
    """A set of symmetry functions from a cutoff and the shortest distances in the data.

    Radial, for each neighbour element: n_radial G2 with centres rs equidistant from `shortest` to the cutoff, each as wide as the
    distance between two (eta = 1 / (2 spacing^2)).
    Angular, for each pair of neighbour elements: G5 with lambda = +-1, each zeta, and n_widths Gaussians whose width falls geometrically
    from half the cutoff to half of `shortest`, about the origin. zetas should grow geometrically.
    For E elements that is n_radial E + n_widths len(zetas) E (E + 1) functions per element.

    elements : symbols;  cutoff : angstrom
    shortest : angstrom, one for all or {(a, b): angstrom} as from `distances`; a pair that is never within the cutoff takes the least of the others
    n_radial, n_widths, zetas : 8, 3 and (1, 2, 4, 16) if not given
    size : functions per element, in place of those three; any multiple of E. At most three quarters of them are angular: as many as widths and
           powers of two for zeta give (1 to 6 zetas, about as many widths), the rest radial. 32 for one element: the defaults, 8 and 24.
    Returns {element: [SymmetryFunction, ...]}.
    Raises ValueError where shortest is not between 0 and the cutoff or lacks a pair, and for a size that is not possible.
    """
    cutoff = _check.number("cutoff", cutoff, "angstrom", above=0)
    try:
        elements = {elements} if isinstance(elements, str) else set(elements)
    except TypeError:
        raise ValueError(f"elements: expected chemical symbols, got {elements!r}") from None
    if not elements or not elements <= set(atomic_numbers):
        raise ValueError(f"elements: expected chemical symbols, got {sorted(map(str, elements))}")
    elements = sorted(elements, key=atomic_numbers.__getitem__)
    if size is None:
        n_radial = 8 if n_radial is None else _check.whole("n_radial", n_radial, 1)
        n_widths = 3 if n_widths is None else _check.whole("n_widths", n_widths, 0)
        zetas = (1, 2, 4, 16) if zetas is None else _check.floats("zetas", zetas).ravel().tolist()
        each = len(elements) * (n_radial + n_widths * len(zetas) * (len(elements) + 1))
        if each > _LARGEST:
            raise ValueError(f"n_radial, n_widths and zetas: {each} functions per element of {len(elements)} are too many, at most {_LARGEST}; choose fewer, or a size")
    elif (n_radial, n_widths, zetas) != (None, None, None):
        raise ValueError("size takes the place of n_radial, n_widths and zetas; give it or them, not both")
    else:
        n_radial, n_widths, zetas = _divide(size, len(elements))
    near = _nearest(elements, shortest, cutoff)
    return {e: [f for a in elements for f in _radial(a, cutoff, near[e, a], n_radial, cutoff_type)]
            + [f for a, b in combinations_with_replacement(elements, 2)
               for f in _angular(a, b, cutoff, min(near[e, a], near[e, b]), n_widths, zetas, cutoff_type)] for e in elements}


def _radial(a, cutoff, shortest, n, cutoff_type):
    spacing = (cutoff - shortest) / n
    return [G2(a, cutoff, _round(0.5 / spacing / spacing), _round(rs), cutoff_type) for rs in shortest + spacing * np.arange(n)]


def _angular(a, b, cutoff, shortest, n_widths, zetas, cutoff_type):
    widths = np.geomspace(0.5 * cutoff, max(0.5 * shortest, 0.15 * cutoff), n_widths) if n_widths else ()
    return [G5(a, b, cutoff, _round(0.5 / w**2), lambda_, zeta, cutoff_type) for w in widths for lambda_ in (1.0, -1.0) for zeta in zetas]


def _round(x):
    return float(f"{x:.4g}")


def _divide(size, n_elements):
    """n_radial, n_widths, zetas of a set with `size` functions per element: size = E (n_radial + (E + 1) n_widths n_zetas)"""
    size = _check.whole("size", size, 1)
    each, rest = divmod(size, n_elements)
    if rest or size > _LARGEST:
        below = min(each, _LARGEST // n_elements) * n_elements
        near = " or ".join(str(s) for s in (below, below + n_elements) if 0 < s <= _LARGEST)
        raise ValueError(f"size must be a multiple of the number of elements, {n_elements}, and at most {_LARGEST}, got {size}; take {near}")
    most = 3 * each // 4 // (n_elements + 1)
    divided = ((w * z, w, z) for w in range(1, most + 1) for z in range(min(w, len(_ZETAS)), min(2 * w + 1, len(_ZETAS)) + 1) if w * z <= most)
    n, n_widths, n_zetas = max(divided, default=(0, 0, 0))
    return each - (n_elements + 1) * n, n_widths, sorted(_ZETAS[:n_zetas])


def _nearest(elements, shortest, cutoff):
    """{(a, b): the shortest distance}, either order, all below the cutoff"""
    if not isinstance(shortest, dict):
        shortest = _check.number("shortest", shortest, "angstrom", above=0)
        if shortest >= cutoff:
            raise ValueError(f"shortest must be below the cutoff of {cutoff:g} angstrom, got {shortest:g}; no neighbours would be seen")
        return {(a, b): shortest for a in elements for b in elements}
    try:
        given = {frozenset((a, b)): float(r) for (a, b), r in shortest.items()}
    except (TypeError, ValueError):
        raise ValueError(f'shortest: expected angstroms per pair such as {{("Si", "O"): 1.5}}, got {shortest!r}') from None
    found = {}
    for a, b in combinations_with_replacement(elements, 2):
        r = given.get(frozenset((a, b)))
        if r is None:
            raise ValueError(f"shortest: has no pair {a}-{b}; fastmd.distances finds them all")
        if not r > 0:
            raise ValueError(f"shortest of {a}-{b} must be > 0 angstrom, got {r!r}")
        found[a, b] = found[b, a] = r
    least = min(found.values())
    if least >= cutoff:
        raise ValueError(f"shortest must be below the cutoff of {cutoff:g} angstrom for some pair, the least is {least:g}; no neighbours would be seen")
    return {pair: r if r < cutoff else least for pair, r in found.items()}


def distances(structures, cutoff=6.0):
    """The shortest distance between the atoms of each pair of elements, over all structures.

    structures : of ase.Atoms;  cutoff : angstrom, how far to look
    Returns {(a, b): angstrom}, a not after b in the periodic table; inf where no two are within the cutoff. Periodic images count.
    Raises ValueError where there is no structure, and for a structure that cannot be searched, with its number.
    """
    least, present = np.full((len(chemical_symbols),) * 2, np.inf), set()

    def look(atoms):
        p, z = find_pairs(atoms, cutoff), atoms.numbers
        present.update(z.tolist())
        np.minimum.at(least, (z[p.i], z[p.j]), p.r)

    _for_each(structures, "distances", look)
    return {(chemical_symbols[a], chemical_symbols[b]): float(least[a, b]) for a, b in combinations_with_replacement(sorted(present), 2)}


def _for_each(structures, what, look):
    """Calls look with each structure; a ValueError says which one it was."""
    k = -1
    try:
        each = enumerate([structures] if hasattr(structures, "positions") else structures)
    except TypeError:
        raise ValueError(f"structures: expected several ase.Atoms, got {type(structures).__name__}") from None
    with Bar(what, len(structures) if hasattr(structures, "__len__") else None) as bar:
        for k, atoms in each:
            try:
                look(atoms)
            except ValueError as e:
                raise ValueError(f"structure {k}: {e}") from None
            bar.show(k + 1)
    if k < 0:
        raise ValueError("structures: there are none")


# ---------------------------------------------------------------------------------------------------------- by values

class Moments:
    """Minimum, maximum, mean, sigma and correlation of the columns of a matrix that comes in pieces of rows; memory for one piece.

        S += D^T D + delta delta^T n m / (n + m),   D = piece - its mean,  delta = its mean - the mean so far,  n rows so far, m new

    correlation : whether it is wanted (it takes functions^2 numbers)
    Source: T. F. Chan, G. H. Golub, R. J. LeVeque, Am. Stat. 37, 242 (1983).
    """

    def __init__(self, n_functions, correlation=True):
        self.count = 0
        self._min, self._max = np.full(n_functions, np.inf), np.full(n_functions, -np.inf)
        self._mean, self._square = np.zeros(n_functions), np.zeros(n_functions)
        self._product = np.zeros((n_functions, n_functions)) if correlation else None

    def add(self, G):
        """G : (rows, functions). Raises ValueError for another shape and for values that are not finite."""
        G = np.asarray(G, float)
        if G.ndim != 2 or G.shape[1] != len(self._mean):
            raise ValueError(f"values: expected (atoms, {len(self._mean)}), got {G.shape}")
        if not np.isfinite(G).all():
            raise ValueError(f"values: function {int(np.argwhere(~np.isfinite(G))[0, 1])} is not finite for some atom")
        if not len(G):
            return
        n, m, mean = self.count, len(G), G.mean(axis=0)
        D, delta = G - mean, mean - self._mean
        self._min, self._max = np.minimum(self._min, G.min(axis=0)), np.maximum(self._max, G.max(axis=0))
        self._square = self._square + (D * D).sum(axis=0) + delta**2 * (n * m / (n + m))
        if self._product is not None:
            self._product += D.T @ D + np.outer(delta, delta) * (n * m / (n + m))
        self._mean = self._mean + delta * (m / (n + m))
        self.count = n + m

    @property
    def statistics(self):
        """(functions, 4): min, max, mean, sigma; NaN before there is a row"""
        if not self.count:
            return np.full((len(self._mean), 4), np.nan)
        return np.stack([self._min, self._max, self._mean, np.sqrt(self._square / self.count)], axis=1)

    @property
    def correlation(self):
        """(functions, functions): Pearson's, eq. 7.4 of the thesis; 0 where one of the two does not vary"""
        varies = _varies(self.statistics)
        sigma = np.sqrt(np.where(varies, self._square, 1.0))
        return np.where(np.outer(varies, varies), np.clip(self._product / np.outer(sigma, sigma), -1, 1), 0.0)


def _varies(statistics):
    """The training scales by 1 / sigma: rounding must not pass for a variation."""
    with np.errstate(invalid="ignore"):
        return statistics[:, 3] > 1e-8 * np.maximum(1e-8, np.abs(statistics[:, 2]))


@dataclass(frozen=True)
class Finding:
    """What was found of one function: its element and number there, min, max, mean and sigma of its values, a verdict and the reason for it.

    verdict : kept, or why not: unseen (no atoms of the element), zero, constant, range (too small), correlated
    """

    element: str
    number: int
    function: SymmetryFunction
    min: float
    max: float
    mean: float
    sigma: float
    verdict: str
    reason: str


class Health:
    """What `health` found: `findings`, one Finding per function, in order, and what follows from them.

    functions : {element: [SymmetryFunction, ...]};  moments : {element: Moments}
    statistics : {element: (functions, 4)}: min, max, mean, sigma;  correlation : {element: (functions, functions)} or None;  atoms : {element: count}
    """

    def __init__(self, functions, moments, least_range, most_correlation):
        self.least_range = _check.number("least_range", least_range, at_least=0)
        self.most_correlation = None if most_correlation is None else _check.number("most_correlation", most_correlation, above=0)
        self.functions = functions
        self.atoms = {e: m.count for e, m in moments.items()}
        self.statistics = {e: m.statistics for e, m in moments.items()}
        self.correlation = None if most_correlation is None else {e: m.correlation for e, m in moments.items()}
        self.findings = [f for e in functions for f in self._judge(e)]

    def _judge(self, e):
        functions, s = self.functions[e], self.statistics[e]
        verdicts = {}
        if not self.atoms[e]:
            verdicts = {k: ("unseen", f"there is no {e} in the data") for k in range(len(functions))}
        else:
            varies, width = _varies(s), s[:, 1] - s[:, 0]
            for k in range(len(functions)):
                if not s[k, :2].any():
                    verdicts[k] = "zero", "0 for all atoms"
                elif not varies[k]:
                    verdicts[k] = "constant", f"{s[k, 2]:.4g} for all atoms"
                elif width[k] < self.least_range:
                    verdicts[k] = "range", f"max - min is {width[k]:.2g}, below {self.least_range:g}"
            if self.correlation is not None:
                verdicts |= self._correlated(e, [k for k in np.argsort(-width, kind="stable").tolist() if k not in verdicts])
        return [Finding(e, k, f, *s[k].tolist(), *verdicts.get(k, ("kept", ""))) for k, f in enumerate(functions)]

    def _correlated(self, e, order):
        """Of two that say the same, the one with the larger range stays: from the largest on, each stays unless one that stays says it already."""
        verdicts, stay, R = {}, [], self.correlation[e]
        for k in order:
            at = stay[np.argmax(np.abs(R[k, stay]))] if stay else k
            if at != k and abs(R[k, at]) > self.most_correlation:
                verdicts[k] = "correlated", f"correlation {R[k, at]:.5f} with {at}, which has a larger range"
            else:
                stay.append(k)
        return verdicts

    def kept(self, e):
        """The numbers of the functions of an element that are kept."""
        return [f.number for f in self.findings if f.element == e and f.verdict == "kept"]

    @property
    def dropped(self):
        """The findings of what is not kept."""
        return [f for f in self.findings if f.verdict != "kept"]

    def prune(self):
        """The set without what was dropped. Raises ValueError where nothing is left of an element."""
        for e in self.functions:
            if not self.atoms[e]:
                raise ValueError(f"functions: element {e} is not in the data, so nothing is known of its functions; leave it out")
            if not self.kept(e):
                verdicts = {f.verdict for f in self.findings if f.element == e}
                raise ValueError(f"functions: none of those of {e} is kept ({', '.join(sorted(verdicts))}); are all structures of the data the same?")
        return {e: [self.functions[e][k] for k in self.kept(e)] for e in self.functions}

    def __str__(self):
        lines = []
        for e, fs in self.functions.items():
            why = [f.verdict for f in self.findings if f.element == e]
            lines.append(f"{e}: {why.count('kept')} of {len(fs)} functions kept over {self.atoms[e]} atoms"
                         + "".join(f", {why.count(v)} {v}" for v in dict.fromkeys(why) if v != "kept"))
        return "\n".join(lines)

    def table(self, e):
        """A rich table of an element's functions."""
        from rich.table import Table

        table = Table(title=f"{e}: {len(self.functions[e])} functions, {self.atoms[e]} atoms", title_justify="left", box=None, pad_edge=False)
        for name in ("", "function", "min", "max", "mean", "sigma", "verdict"):
            table.add_column(name, justify="left" if name in ("function", "verdict") else "right", no_wrap=name not in ("function", "verdict"))
        for f in self.findings:
            if f.element == e:
                numbers = [f"{x:.3g}" for x in (f.min, f.max, f.mean, f.sigma)]
                table.add_row(str(f.number), str(f.function), *numbers, f.verdict + (f": {f.reason}" if f.reason else ""), style=None if f.verdict == "kept" else "red")
        return table

    def figure(self):
        """For each element the range of each function, and the correlations: a matplotlib Figure."""
        from matplotlib.figure import Figure

        rows = len(self.functions)
        figure = Figure(figsize=(13, 4.5 * rows), layout="constrained")
        for row, e in zip(figure.subplots(rows, 2, squeeze=False), self.functions):
            self._draw_ranges(row[0], e)
            if self.correlation is None:
                row[1].set_axis_off()
                continue
            image = row[1].imshow(self.correlation[e], vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
            row[1].set(title=f"{e}: correlation of the functions", xlabel="function", ylabel="function")
            figure.colorbar(image, ax=row[1], label="Pearson correlation")
        return figure

    def _draw_ranges(self, axes, e):
        findings = [f for f in self.findings if f.element == e]
        for color, (verdict, label) in enumerate({"kept": "kept", "zero": "zero", "constant": "constant", "range": "range too small",
                                                  "correlated": "correlated", "unseen": "unseen"}.items()):
            these = [f for f in findings if f.verdict == verdict]
            if these:
                k = [f.number for f in these]
                axes.vlines(k, [f.min for f in these], [f.max for f in these], color=f"C{color}", lw=3, alpha=0.6, label=f"{label} ({len(these)})")
                axes.vlines(k, [max(f.min, f.mean - f.sigma) for f in these], [min(f.max, f.mean + f.sigma) for f in these], color="k", lw=0.8)
                axes.plot(k, [f.mean for f in these], "k_", ms=5)
        axes.set_yscale("symlog", linthresh=1e-3)
        axes.set(title=f"{e}: from min to max (mean ± sigma in black), over {self.atoms[e]} atoms", xlabel="function", ylabel="value (linear below 0.001)")
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4)


def health(functions, structures, least_range=1e-4, most_correlation=0.999):
    """Looks at the values of symmetry functions on data: which carry nothing, and which say the same as others.

    A function is dropped that is zero or constant, whose max - min is below least_range, or whose correlation with a function of larger range
    that is kept is above most_correlation in magnitude. (Constant: sigma below 1e-8 of the mean.)

    functions  : {element: [SymmetryFunction, ...]}, in angstrom;  structures : of ase.Atoms, one after the other: memory for one structure's values
    most_correlation : None does not look at correlations
    Returns Health. Raises ValueError for elements that `functions` lacks, and where there is no structure.
    Source: the thesis, section 7.2.2.
    """
    descriptor = Descriptor(functions)
    moments = _moments(descriptor.functions, most_correlation is not None)

    def look(atoms):
        for e, G in descriptor.describe(atoms).items():
            moments[e].add(G)

    _for_each(structures, "symmetry functions", look)
    return Health(descriptor.functions, moments, least_range, most_correlation)


def prune(functions, values, least_range=0.0, most_correlation=None):
    """The same for values that are there already; by default only what does not vary is dropped.

    values : {element: (atoms, functions)}
    Returns the set that is kept and its statistics, {element: (functions, 4)}: min, max, mean, sigma.
    Raises ValueError where nothing is left of an element.
    """
    moments = _moments(functions, most_correlation is not None)
    for e, m in moments.items():
        m.add(values[e])
    found = Health(functions, moments, least_range, most_correlation)
    return found.prune(), {e: found.statistics[e][found.kept(e)] for e in functions}


def _moments(functions, correlation):
    for e, fs in functions.items():
        if correlation and len(fs) > _LARGEST:
            raise ValueError(f"functions: {e} has {len(fs)}, correlations are for at most {_LARGEST}; set most_correlation to None")
    return {e: Moments(len(fs), correlation) for e, fs in functions.items()}


# ------------------------------------------------------------------------------------------------------------- a file

def save_set(path, functions):
    """Writes a set to a text file, to be edited and read again by load_set. Every number reads back to the same bits.

    functions : {element: [SymmetryFunction, ...]}, in angstrom. Raises ValueError where it is no set or cannot be written.
    """
    functions = Descriptor(functions).functions
    lines = ["fastmd-potential 1", "# Symmetry functions, in angstrom; read them with fastmd.load_set. The number after an element counts its functions:",
             "# mind it when you add or take away some.", *(f"element {e} offset 0" for e in functions), *file_lines(functions), "end", ""]
    _check.write_text(path, "\n".join(lines))


def load_set(path):
    """Reads a set from a file of save_set, or the functions of a potential file, in angstrom whatever the file's unit.

    Returns {element: [SymmetryFunction, ...]}. Raises ValueError with file and line for anything that is not right in it.
    """
    path = _check.path("path", path)
    core = _core.Core(_check.read_bytes(path), path)
    functions = functions_of(core)
    for e, fs in functions.items():
        if not fs:
            raise ValueError(f"{path}: element {e} has no functions")
    return in_angstrom(functions, core.unit(0)[1])


def in_angstrom(functions, size):
    """A set in angstrom from one in another unit of length, `size` angstrom long. The values of the functions stay."""
    power = {"eta": -2, "kappa": -1, "rs": 1, "left": 1, "cutoff": 1}  # alpha and angles have no unit
    if size == 1:
        return functions
    return {e: [replace(f, **{n: getattr(f, n) * size ** power[n] for n in (*_FIELDS[f.kind], "cutoff") if n in power}) for f in fs] for e, fs in functions.items()}


# ---------------------------------------------------------------------------------------------------------- a picture

def figure(functions):
    """What each function sees: of a distance, of an angle, and of the distances beside an angle; as figures 7.2 and 7.3 of the thesis.

    functions : {element: [SymmetryFunction, ...]}, in angstrom. Elements whose functions have the same parameters share a row.
    Returns a matplotlib Figure.
    """
    from matplotlib.figure import Figure

    rows = {}
    for e, fs in functions.items():  # the curve does not depend on the neighbours' elements
        bare = dict.fromkeys(replace(f, elements=("H",) * len(f.elements)) for f in fs)
        rows.setdefault(tuple(sorted(bare, key=str)), []).append(e)
    out = Figure(figsize=(15, 5 * len(rows)), layout="constrained")
    for axes, (fs, elements) in zip(out.subplots(len(rows), 3, squeeze=False), rows.items()):
        who = ", ".join(elements)
        _draw_radial(axes[0], [f for f in fs if f.neighbours == 1], who)
        _draw_angles(axes[1], [f for f in fs if f.neighbours == 2], who)
        _draw_sides(axes[2], [f for f in fs if f.neighbours == 2], who)
    return out


def _seen(functions, places):
    """(m, functions): values at the origin with neighbours at each of places (m, neighbours, 3), from the kernels themselves"""
    from ase import Atoms

    descriptor = Descriptor({"H": functions})
    return np.array([descriptor.describe(Atoms("H" * (1 + len(x)), [[0, 0, 0], *x]))["H"][0] for x in places])


def _first_of(functions, key):
    """One function for each value of key, sorted by it."""
    found = {}
    for f in functions:
        found.setdefault(key(f), f)
    return [found[k] for k in sorted(found)]


def _isosceles(r, angle):
    """(m, 2, 3): two neighbours at distances r and an angle"""
    r, angle = np.broadcast_arrays(r, angle)
    zero = np.zeros(r.shape)
    return np.stack([np.stack([r, zero, zero], axis=-1), np.stack([r * np.cos(angle), r * np.sin(angle), zero], axis=-1)], axis=1)


def _legend(axes, lines):
    if not lines:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
    elif lines <= 30:  # more would leave no room for the picture
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3)


def _colors(n):
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.9, n))


def _draw_radial(axes, functions, who):
    functions = sorted(functions, key=lambda f: (f.kind, f.cutoff, f.rs, f.eta, f.kappa, f.left))
    axes.set(title=f"{who}: radial functions, of one neighbour", xlabel="r (Å)", ylabel="G")
    if functions:
        r = np.linspace(0.05, max(f.cutoff for f in functions), 200)
        colors = _colors(len(functions))
        for f, G, color in zip(functions, _seen(functions, r[:, None, None] * [1, 0, 0]).T, colors):
            axes.plot(r, G, color=color, label=f"G{f.kind} " + ", ".join(f"{n} {_exact(getattr(f, n))}" for n in _FIELDS[f.kind]) + (f" to {f.cutoff:g}, {f.cutoff_type}" if f.compact else ""))
    _legend(axes, len(functions))


def _draw_angles(axes, functions, who):
    functions = _first_of(functions, lambda f: (f.kind, -f.lambda_, f.zeta, f.angle_left, f.angle_right, f.cutoff_type if f.compact else ""))
    axes.set(title=f"{who}: angular functions, of the angle", xlabel="angle (degrees)", ylabel="G / its largest", xticks=range(0, 181, 30))
    if functions:
        angle = np.linspace(2, 180, 179)
        r = 0.3 * min(f.cutoff for f in functions)
        laws = sorted({_law(f) for f in functions})
        colors = dict(zip(laws, _colors(len(laws))))
        for f in functions:
            # a window of distances is looked at in its middle
            G = _seen([f], _isosceles(0.5 * (max(f.left, 0) + f.cutoff) if f.compact else r, np.radians(angle)))[:, 0]
            law = f"{f.angle_left:g} to {f.angle_right:g}°, {f.cutoff_type}" if f.compact else f"lambda {f.lambda_:g}, zeta {f.zeta:g}"
            axes.plot(angle, _to_1(G), "--" if f.lambda_ < 0 else "-", color=colors[_law(f)], label=f"G{f.kind} {law}")
    _legend(axes, len(functions))


def _law(f):
    """What colours a function of the angle"""
    return (0, f.zeta) if not f.compact else (1, f.angle_left, f.angle_right)


def _to_1(G):
    return G / (np.abs(G).max() or 1)


def _draw_sides(axes, functions, who):
    functions = _first_of(functions, lambda f: (f.kind, f.cutoff, f.eta, f.rs, f.left, f.cutoff_type, f.alpha))
    windows = " or mid-window" if any(f.compact for f in functions) else ""
    axes.set(title=f"{who}: angular functions, of r at 60°{windows}", xlabel="r = r_ij = r_ik (Å)", ylabel="G / its largest")
    if functions:
        r = np.linspace(0.05, max(f.cutoff for f in functions), 200)
        for f, color in zip(functions, _colors(len(functions))):
            angle = np.radians(0.5 * (max(f.angle_left, 0) + min(f.angle_right, 180))) if f.compact else np.pi / 3
            G = _seen([f], _isosceles(r, angle))[:, 0]
            shape = f"{f.left:g} to {f.cutoff:g}, {f.cutoff_type}" if f.compact else f"eta {f.eta:g}, " + (f"rs {f.rs:g}, " if f.rs else "") + f"cutoff {f.cutoff:g}"
            axes.plot(r, _to_1(G), color=color, label=f"G{f.kind} {shape}")
    _legend(axes, len(functions))
