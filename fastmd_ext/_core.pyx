# cython: language_level=3, boundscheck=False, wraparound=False
"""Typed faces over fastmd.h: arrays in, arrays out, the lock released. And, at the end, the loops of a step of molecular dynamics. Shapes and dtypes are checked by the callers in
fastmd/, by Cython's typed arguments, and once more inside the library."""

import numpy as np
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy


cdef extern from "fastmd.h" nogil:
    enum:
        FASTMD_EARGUMENT
        FASTMD_EFILE
        FASTMD_EMEMORY
        FASTMD_ECOINCIDENT
        FASTMD_ENONFINITE
    ctypedef struct fastmd_pairs
    ctypedef struct fastmd_potential
    ctypedef struct fastmd_function:
        size_t size
        int kind, a, b, n_parameters
        const char *name[4]
        double value[4]
        double cutoff
        const char *cutoff_type
        double alpha
        int way
    ctypedef struct fastmd_system:
        size_t size
        int64_t n, n_all
        const int32_t *species
        const int64_t *first
        const int32_t *j
        const int32_t *shift
        const double *x
        const double *cell
        const double *d
        int threads
        const int64_t *edge_row
        const double *rows
        int32_t precision
    ctypedef struct fastmd_result:
        size_t size
        double *energy
        double *energies
        double *forces
        double *virial
        double *virials
        double *edges
        int32_t *outside
        double *member_energies
        double *member_forces
    ctypedef struct fastmd_pair_term:
        int a, b
        const char *kind
        double start, outer
        int n
        const double *rows
    const char *fastmd_last_error()
    const char *fastmd_isa()
    const char *fastmd_isa_available(int)
    int fastmd_default_threads()
    enum:
        FASTMD_PAIRS_SHIFT
        FASTMD_PAIRS_D
        FASTMD_PAIRS_R
    ctypedef struct fastmd_search:
        size_t size
        int64_t structures
        const int64_t *start
        const double *x
        const double *cell
        const int *pbc
        double cutoff
        int fill, threads
    fastmd_pairs *fastmd_search_pairs(const fastmd_search *)
    const double *fastmd_pairs_d(const fastmd_pairs *)
    const double *fastmd_pairs_r(const fastmd_pairs *)
    int64_t fastmd_pairs_count(const fastmd_pairs *)
    const int64_t *fastmd_pairs_first(const fastmd_pairs *)
    const int32_t *fastmd_pairs_j(const fastmd_pairs *)
    const int32_t *fastmd_pairs_shift(const fastmd_pairs *)
    void fastmd_free_pairs(fastmd_pairs *)
    fastmd_potential *fastmd_parse(const char *, size_t, const char *)
    void fastmd_free(fastmd_potential *)
    int fastmd_n_elements(const fastmd_potential *)
    const char *fastmd_element(const fastmd_potential *, int)
    double fastmd_cutoff(const fastmd_potential *)
    int fastmd_has_network(const fastmd_potential *)
    double fastmd_offset(const fastmd_potential *, int)
    double fastmd_unit(const fastmd_potential *, int, const char **)
    int fastmd_n_functions(const fastmd_potential *, int)
    int fastmd_get_function(const fastmd_potential *, int, int, fastmd_function *)
    const char *fastmd_scaling(const fastmd_potential *, double *, double *)
    const double *fastmd_statistics(const fastmd_potential *, int)
    int fastmd_n_members(const fastmd_potential *)
    int fastmd_n_layers(const fastmd_potential *, int)
    int fastmd_get_layer(const fastmd_potential *, int, int, int *, int *, const char **, const double **, const double **)
    int fastmd_n_pair_terms(const fastmd_potential *)
    int fastmd_get_pair_term(const fastmd_potential *, int, fastmd_pair_term *)
    double fastmd_shortest(const fastmd_potential *, int, int)
    int fastmd_n_notes(const fastmd_potential *)
    const char *fastmd_note(const fastmd_potential *, int, const char **)
    int fastmd_compute(const fastmd_potential *, const fastmd_system *, const fastmd_result *)
    int fastmd_network(const fastmd_potential *, int, int64_t, const double *, double *, double *, int)
    int fastmd_value(const fastmd_potential *, const fastmd_system *, const int64_t *, double *)
    int fastmd_vjp(const fastmd_potential *, const fastmd_system *, const int64_t *, const double *, const fastmd_result *)
    int fastmd_jvp(const fastmd_potential *, const fastmd_system *, const int64_t *, const double *, const double *, const int32_t *, double *)
    int fastmd_rows(const fastmd_potential *, const fastmd_system *, const int64_t *, double *)


cdef _raise():
    raise ValueError(fastmd_last_error().decode("utf-8", "replace"))


def isa():
    """The instruction set in use."""
    cdef const char *name = fastmd_isa()
    if name == NULL:
        _raise()
    return name.decode()


def isas():
    """The instruction sets of this build that this CPU runs, slowest first."""
    found = []
    while fastmd_isa_available(len(found)) != NULL:
        found.append(fastmd_isa_available(len(found)).decode())
    return found


def default_threads():
    return fastmd_default_threads()


cdef class _List:
    """Owns a list inside libfastmd; arrays that look into it keep it alive."""
    cdef fastmd_pairs *p

    def __dealloc__(self):
        fastmd_free_pairs(self.p)

    cdef _array(self, const void *numbers, Py_ssize_t n, Py_ssize_t width, dtype):
        cdef _Numbers part
        if numbers == NULL:
            return None
        if n == 0:
            return np.empty(0, dtype).reshape(-1, width) if width == 3 else np.empty(0, dtype)
        part = _Numbers.__new__(_Numbers)
        part.owner, part.numbers, part.size = self, <void *>numbers, n * width * dtype.itemsize
        a = np.frombuffer(part, dtype)
        return a.reshape(n, 3) if width == 3 else a


cdef class _Numbers:
    cdef _List owner
    cdef void *numbers
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.numbers, self.size, 0, flags)


_int32, _int64, _float64 = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.float64)


def find_pairs(const double[:, ::1] x, const double[:, ::1] cell, const int[::1] pbc, double cutoff, bint shift, bint d, bint r, const int64_t[::1] start=None):
    """first (n+1,) int64, j (m,) int32, shift (m, 3) int32, d (m, 3), r (m,). What is not wanted is None.
    start : several structures lie end to end, this says where; cell is then (3 structures, 3) and pbc (3 structures,)"""
    cdef fastmd_search s
    cdef int64_t[2] one = [0, x.shape[0]]
    cdef const int64_t *begin = &one[0]
    if start is not None:
        begin = &start[0]
    cdef _List found = _List.__new__(_List)
    cdef int64_t m
    s.size, s.structures, s.cutoff, s.threads = sizeof(fastmd_search), 1 if start is None else start.shape[0] - 1, cutoff, 0
    s.fill = FASTMD_PAIRS_SHIFT * shift + FASTMD_PAIRS_D * d + FASTMD_PAIRS_R * r
    if s.structures < 0 or x.shape[0] != begin[s.structures] or x.shape[1] != 3 or cell.shape[0] != 3 * s.structures or cell.shape[1] != 3 or pbc.shape[0] != 3 * s.structures:
        raise ValueError("find_pairs: expected positions (n, 3), and for each structure cell (3, 3) and pbc (3,)")
    s.start = begin
    s.x = &x[0, 0] if x.shape[0] else NULL
    s.cell = &cell[0, 0] if s.structures else NULL
    s.pbc = &pbc[0] if s.structures else NULL
    with nogil:
        found.p = fastmd_search_pairs(&s)
    if found.p == NULL:
        _raise()
    m = fastmd_pairs_count(found.p)
    return (found._array(fastmd_pairs_first(found.p), x.shape[0] + 1, 1, _int64), found._array(fastmd_pairs_j(found.p), m, 1, _int32),
            found._array(fastmd_pairs_shift(found.p), m, 3, _int32), found._array(fastmd_pairs_d(found.p), m, 3, _float64),
            found._array(fastmd_pairs_r(found.p), m, 1, _float64))


cdef _copy(array, const void *source, size_t n):
    cdef char[::1] bytes
    if n:
        bytes = array.reshape(-1).view(np.int8)
        memcpy(&bytes[0], source, n)


cdef double *_d(array) except? NULL:
    """The address of a float64 array's numbers, NULL for None."""
    cdef double[::1] flat
    if array is None or array.size == 0:
        return NULL
    flat = array.reshape(-1)
    return &flat[0]


cdef _size(name, array, wanted):
    """What the kernels read and write must be there: they know no bounds."""
    if array is not None and array.size != wanted:
        raise ValueError(f"{name}: expected {wanted} numbers, got {array.size}")


cdef class Core:
    """A potential inside libfastmd, made from the text of a potential file."""
    cdef fastmd_potential *p

    def __cinit__(self, bytes text, str name):
        self.p = fastmd_parse(text, len(text), name.encode("utf-8", "replace"))
        if self.p == NULL:
            _raise()

    def __dealloc__(self):
        fastmd_free(self.p)

    # ---- what the file says

    @property
    def cutoff(self):
        return fastmd_cutoff(self.p)

    @property
    def elements(self):
        return tuple(fastmd_element(self.p, e).decode() for e in range(fastmd_n_elements(self.p)))

    @property
    def has_network(self):
        return bool(fastmd_has_network(self.p))

    def offset(self, int e):
        return fastmd_offset(self.p, e)

    def unit(self, int which):
        cdef const char *name
        size = fastmd_unit(self.p, which, &name)
        return name.decode("utf-8", "replace"), size

    def n_functions(self, int e):
        return fastmd_n_functions(self.p, e)

    def function(self, int e, int k):
        cdef fastmd_function f
        f.size = sizeof(fastmd_function)
        if fastmd_get_function(self.p, e, k, &f):
            _raise()
        parameters = {f.name[q].decode(): f.value[q] for q in range(f.n_parameters)}
        if "lambda" in parameters:
            parameters["lambda_"] = parameters.pop("lambda")
        return dict(kind=f.kind, a=f.a, b=f.b, cutoff=f.cutoff, cutoff_type=f.cutoff_type.decode(), alpha=f.alpha, **parameters)

    def way(self, int e, int k):
        """How function k is computed: 0 a sum over neighbours, 1 over triplets, 2 over neighbours by moments, 3 over triplets whose r_jk is inside"""
        cdef fastmd_function f
        f.size = sizeof(fastmd_function)
        if fastmd_get_function(self.p, e, k, &f):
            _raise()
        return f.way

    def scaling(self):
        cdef double low, high
        name = fastmd_scaling(self.p, &low, &high)
        return name.decode(), low, high

    def statistics(self, int e):
        """(functions, 4): min, max, mean, sigma; None where the file has none"""
        cdef const double *s = fastmd_statistics(self.p, e)
        if s == NULL:
            return None
        out = np.empty((fastmd_n_functions(self.p, e), 4))
        _copy(out, s, out.nbytes)
        return out

    @property
    def n_members(self):
        return fastmd_n_members(self.p)

    def layers(self, int e, int member=0):
        """[(weights (out, in), bias (out,), activation)]"""
        cdef int n_in, n_out
        cdef const char *activation
        cdef const double *weights
        cdef const double *bias
        cdef int n = fastmd_n_layers(self.p, e)
        found = []
        for l in range(member * n, (member + 1) * n):
            if fastmd_get_layer(self.p, e, l, &n_in, &n_out, &activation, &weights, &bias):
                _raise()
            w, b = np.empty((n_out, n_in)), np.empty(n_out)
            _copy(w, weights, w.nbytes)
            _copy(b, bias, b.nbytes)
            found.append((w, b, activation.decode()))
        return found

    def pair_terms(self):
        """[(a, b, kind, start, outer, rows (n, 2) of energy and slope)], a and b numbers of elements"""
        cdef fastmd_pair_term t
        found = []
        for k in range(fastmd_n_pair_terms(self.p)):
            if fastmd_get_pair_term(self.p, k, &t):
                _raise()
            rows = np.empty((t.n, 2))
            _copy(rows, t.rows, rows.nbytes)
            found.append((t.a, t.b, t.kind.decode(), t.start, t.outer, rows))
        return found

    def shortest(self, int a, int b):
        return fastmd_shortest(self.p, a, b)

    def notes(self):
        cdef const char *key
        found = {}
        for k in range(fastmd_n_notes(self.p)):
            text = fastmd_note(self.p, k, &key).decode("utf-8", "replace")
            found[key.decode("utf-8", "replace")] = text
        return found

    # ---- what it computes; a System holds the addresses

    cdef _check_rows(self, System s, const int64_t[::1] row, int64_t size, bint edges):
        """Each atom's stretch, from row[i], must lie within an array of `size`."""
        cdef int64_t i, n
        if row.shape[0] < s.s.n or (s.s.n == 0 and row.shape[0] < 1):
            raise ValueError(f"row: expected {s.s.n} entries, got {row.shape[0]}")
        for i in range(s.s.n):
            if s.s.species[i] < 0:
                continue
            n = fastmd_n_functions(self.p, s.s.species[i]) * ((s.s.first[i + 1] - s.s.first[i]) if edges else 1)
            if row[i] < 0 or row[i] + n > size:
                raise ValueError(f"row: the functions of atom {i} do not lie within the array; is the layout that of another system?")

    cdef _check_result(self, System s, energies, forces, virial, virials, edges):
        _size("energies", energies, s.s.n)
        _size("forces", forces, 3 * s.s.n_all)
        _size("virial", virial, 9)
        _size("virials", virials, 9 * s.s.n)
        _size("edges", edges, 3 * s.s.first[s.s.n])

    def compute(self, System s, energies=None, forces=None, virial=None, virials=None, edges=None, outside=None, member_energies=None, member_forces=None):
        self._check_result(s, energies, forces, virial, virials, edges)
        _size("outside", outside, s.s.n)
        if member_energies is not None:
            _size("member_energies", member_energies, fastmd_n_members(self.p) * s.s.n)
        if member_forces is not None:
            _size("member_forces", member_forces, fastmd_n_members(self.p) * 3 * s.s.n_all)
        cdef double energy = 0
        cdef int32_t[::1] o
        cdef fastmd_result r = fastmd_result(sizeof(fastmd_result), &energy, _d(energies), _d(forces), _d(virial), _d(virials), _d(edges), NULL,
                                           _d(member_energies), _d(member_forces))
        if outside is not None and s.s.n:
            o = outside
            r.outside = &o[0]
        cdef int code
        with nogil:
            code = fastmd_compute(self.p, &s.s, &r)
        if code:
            _raise()
        return energy

    def network(self, int element, const double[:, ::1] G, double[::1] E, double[:, ::1] dG, int threads):
        if G.shape[1] != fastmd_n_functions(self.p, element) or E.shape[0] != G.shape[0] or dG.shape[0] != G.shape[0] or dG.shape[1] != G.shape[1]:
            raise ValueError("network: expected G and dG (n, functions) and E (n,)")
        cdef int code = 0
        if G.shape[0]:
            with nogil:
                code = fastmd_network(self.p, element, G.shape[0], &G[0, 0], &E[0], &dG[0, 0], threads)
        if code:
            _raise()

    def value(self, System s, const int64_t[::1] row, G):
        self._check_rows(s, row, G.size, False)
        cdef double *g = _d(G)
        cdef int code
        with nogil:
            code = fastmd_value(self.p, &s.s, &row[0], g)
        if code:
            _raise()

    def vjp(self, System s, const int64_t[::1] row, g, forces=None, virial=None, virials=None, edges=None):
        self._check_result(s, None, forces, virial, virials, edges)
        self._check_rows(s, row, g.size, False)
        cdef fastmd_result r = fastmd_result(sizeof(fastmd_result), NULL, NULL, _d(forces), _d(virial), _d(virials), _d(edges), NULL, NULL, NULL)
        cdef double *pg = _d(g)
        cdef int code
        with nogil:
            code = fastmd_vjp(self.p, &s.s, &row[0], pg, &r)
        if code:
            _raise()

    def jvp(self, System s, const int64_t[::1] row, v, h, strain_of, dG):
        self._check_rows(s, row, dG.size, False)
        _size("v", v, 3 * s.s.n_all)
        if h is not None and (h.size == 0 or h.size % 9 or (strain_of is not None and strain_of.size and not (0 <= strain_of.min() and strain_of.max() < h.size // 9))):
            raise ValueError(f"h: expected (k, 3, 3) strains and strain_of numbers below k, got {h.shape}")
        _size("strain_of", strain_of, s.s.n)
        cdef double *pv = _d(v)
        cdef double *ph = _d(h)
        cdef double *out = _d(dG)
        cdef const int32_t[::1] of
        cdef const int32_t *pof = NULL
        cdef int code
        if strain_of is not None and strain_of.size:
            of = strain_of
            pof = &of[0]
        with nogil:
            code = fastmd_jvp(self.p, &s.s, &row[0], pv, ph, pof, out)
        if code:
            _raise()

    def rows(self, System s, const int64_t[::1] edge_row, out, bint keep=False):
        """The Jacobian into `out`; keep: the System holds on to it, and vjp and jvp use it from then on."""
        self._check_rows(s, edge_row, out.size // 3, True)
        cdef double *o = _d(out)
        cdef int code
        with nogil:
            code = fastmd_rows(self.p, &s.s, &edge_row[0], o)
        if code:
            _raise()
        if keep and o != NULL:
            s.kept_rows = (edge_row, out)
            s.s.edge_row, s.s.rows = &edge_row[0], o


cdef class System:
    """The arrays of one structure (or of several laid end to end), kept alive while their addresses are in use.
    precision: 0 float64, 1 mixed, 2 float32, of Core.compute."""
    cdef fastmd_system s
    cdef object keep, kept_rows

    def __init__(self, const int32_t[::1] species, const int64_t[::1] first, const int32_t[::1] j, shift=None, x=None, cell=None, d=None, int threads=0, int precision=0):
        cdef const int32_t[:, ::1] sh
        cdef const double[:, ::1] a
        n = first.shape[0] - 1
        if species.shape[0] < n:
            raise ValueError(f"species: {species.shape[0]} entries for {n} rows of pairs")
        if j.shape[0] != first[n]:
            raise ValueError(f"pairs: j has {j.shape[0]} entries, first says {first[n]}")
        self.s.size = sizeof(fastmd_system)
        self.s.n, self.s.n_all = n, species.shape[0]
        self.s.species = &species[0] if species.shape[0] else NULL
        self.s.first = &first[0]
        self.s.j = &j[0] if j.shape[0] else NULL
        self.s.shift, self.s.x, self.s.cell, self.s.d = NULL, NULL, NULL, NULL
        self.s.threads, self.s.precision = threads, precision
        self.s.edge_row, self.s.rows = NULL, NULL
        if shift is not None and j.shape[0]:
            sh = shift
            if sh.shape[0] != j.shape[0] or sh.shape[1] != 3:
                raise ValueError(f"pairs: shift has shape ({sh.shape[0]}, {sh.shape[1]}), expected ({j.shape[0]}, 3)")
            self.s.shift = &sh[0, 0]
        if x is not None and x.shape[0]:
            a = x
            if a.shape[0] != species.shape[0] or a.shape[1] != 3:
                raise ValueError(f"positions: shape ({a.shape[0]}, {a.shape[1]}), expected ({species.shape[0]}, 3)")
            self.s.x = &a[0, 0]
        if cell is not None:
            a = cell
            if a.shape[0] != 3 or a.shape[1] != 3:
                raise ValueError(f"cell: shape ({a.shape[0]}, {a.shape[1]}), expected (3, 3)")
            self.s.cell = &a[0, 0]
        if d is not None and j.shape[0]:
            a = d
            if a.shape[0] != j.shape[0] or a.shape[1] != 3:
                raise ValueError(f"d: shape ({a.shape[0]}, {a.shape[1]}), expected ({j.shape[0]}, 3)")
            self.s.d = &a[0, 0]
        self.keep = (species, first, j, shift, x, cell, d)

    def use(self, int threads, int precision):
        self.s.threads, self.s.precision = threads, precision


def finite(const double[::1] a):
    """Whether all are finite numbers"""
    cdef Py_ssize_t k
    cdef double bad = 0
    with nogil:
        for k in range(a.shape[0]):
            bad += a[k] * 0
    return bad == 0


# ---- a step of molecular dynamics, in place; one pass each, where numpy takes one, and half a microsecond, for each operation

cdef _same_shape(const double[:, ::1] a, const double[:, ::1] b):
    if a.shape[0] != b.shape[0] or a.shape[1] != 3 or b.shape[1] != 3:
        raise ValueError(f"expected two arrays (n, 3), got ({a.shape[0]}, {a.shape[1]}) and ({b.shape[0]}, {b.shape[1]})")


cdef _for_each(const double[::1] a, const double[:, ::1] x):
    if a is None or a.shape[0] != x.shape[0]:
        raise ValueError(f"expected a number for each of {x.shape[0]} atoms, got {None if a is None else a.shape[0]}")


cdef double _kick(double[:, ::1] v, const double[:, ::1] forces, const double[::1] per_mass) noexcept nogil:
    """The largest |v|^2 afterwards, NaN where one is not finite"""
    cdef Py_ssize_t i, a
    cdef double square, largest = 0, bad = 0
    for i in range(v.shape[0]):
        square = 0
        for a in range(3):
            v[i, a] += per_mass[i] * forces[i, a]
            square += v[i, a] * v[i, a]
        largest = square if square > largest else largest
        bad += square * 0
    return largest + bad


def kick(double[:, ::1] v, const double[:, ::1] forces, const double[::1] per_mass):
    """v += per_mass f if all forces are finite. Returns whether they are."""
    cdef Py_ssize_t i, a
    cdef double bad = 0
    _same_shape(v, forces)
    _for_each(per_mass, v)
    with nogil:
        for i in range(v.shape[0]):
            for a in range(3):
                bad += forces[i, a] * 0
        if bad == 0:
            _kick(v, forces, per_mass)
    return bad == 0


def kick_and_drift(double[:, ::1] x, double[:, ::1] v, const double[:, ::1] forces, const double[::1] per_mass, double dt, double fastest,
                   const double[:, ::1] normal=None, const double[::1] noise=None, double keep=1):
    """v += per_mass f, and if then no |v|^2 is `fastest` or more: x += dt v; with a bath x += dt/2 v, v = keep v + noise normal, x += dt/2 v.
    Returns whether it went."""
    cdef Py_ssize_t i, a
    cdef bint bath = normal is not None, slow
    _same_shape(x, v)
    _same_shape(v, forces)
    _for_each(per_mass, v)
    if bath:
        _same_shape(x, normal)
        _for_each(noise, x)
    with nogil:
        slow = _kick(v, forces, per_mass) < fastest
        if slow and bath:
            for i in range(x.shape[0]):
                for a in range(3):
                    x[i, a] += 0.5 * dt * v[i, a]
                    v[i, a] = keep * v[i, a] + noise[i] * normal[i, a]
                    x[i, a] += 0.5 * dt * v[i, a]
        elif slow:
            for i in range(x.shape[0]):
                for a in range(3):
                    x[i, a] += dt * v[i, a]
    return slow


def farthest(const double[:, ::1] x, const double[:, ::1] y):
    """The largest |x - y|^2, NaN where one is not finite"""
    cdef Py_ssize_t i, a
    cdef double square, largest = 0, bad = 0
    _same_shape(x, y)
    with nogil:
        for i in range(x.shape[0]):
            square = 0
            for a in range(3):
                square += (x[i, a] - y[i, a]) * (x[i, a] - y[i, a])
            largest = square if square > largest else largest
            bad += square * 0
    return largest + bad
