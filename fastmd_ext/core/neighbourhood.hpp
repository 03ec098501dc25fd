// neighbourhood.hpp: the neighbours of one atom, gathered once into arrays that vectors can run over: sorted by element, each element's
// stretch padded to whole vectors with neighbours beyond every cutoff. All later stages read these arrays; the last adds up the edge
// gradients p_ij = dE_i/dd_ij here, as a d_ij + b: most of what makes them is along d_ij.
#pragma once
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif
#include <algorithm>
#include "fastmd.h"
#include "radial.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// Cuts pieces off a block of memory, or, with base 0, only counts them.
struct Carver {
  char *base;
  size_t used = 0;
  template <class T> T *take(size_t n) {
    T *p = base ? (T *)(base + used) : nullptr;
    used += (n * sizeof(T) + 63) / 64 * 64;
#if defined(__SANITIZE_ADDRESS__)  // what lies between two arrays may not be touched
    if (base) ASAN_UNPOISON_MEMORY_REGION(p, n * sizeof(T)), ASAN_POISON_MEMORY_REGION((char *)p + n * sizeof(T), base + used + 64 - (char *)p - n * sizeof(T));
    used += 64;
#endif
    return p;
  }
};

template <class T> struct Neighbourhood {
  T *x, *y, *z, *ux, *uy, *uz;            // d_ij, its unit vector
  T *r, *r2, *inv, *inv2;                 // its length, the square of that; 1 / length and the square of that
  T *a, *bx, *by, *bz;                    // p_ij = a d_ij + b ...
  T *row;                                 // ... plus the four numbers at row + 4 k: what rows of triplets add one neighbour at a time
  T *vx, *vy, *vz, *along;                // jvp only: the change of d_ij, and that times d_ij
  T *fc, *dfc;                            // cutoff c: fc + c * cap; all derivatives by r are divided by r
  T *phi, *dphi;                          // shape s: phi + s * cap
  T *chi;                                 // dphi / phi of one base, see angular.hpp
  T *raw;                                 // the Gaussian of shape s without its cutoff
  int *edge, *id;                         // place in the row; atom j
  int *from, *count;                      // by element: where its stretch begins, how many are real; count[-1]: written, with nothing, for atoms of no element
  struct Parked {                         // while gathering
    T d[4];                               // and r2, if they are sorted
    int item, kind;
  } * parked;
  int *order;
  int cap, end;                           // end of the last stretch
  bool sorted;                            // are the stretches, by distance?

  void carve(Carver &w, const Plan &p, int max_row, bool jvp) {
    cap = round_up(max_row, width<T>) + (p.n_elements + 1) * width<T> + 2 * width<T>;
    for (T **p : {&x, &y, &z, &ux, &uy, &uz, &r, &r2, &inv, &inv2, &a, &bx, &by, &bz, &chi}) *p = w.take<T>(cap);
    row = w.take<T>(size_t(cap) * 4);
    for (T **p : {&vx, &vy, &vz, &along}) *p = jvp ? w.take<T>(cap) : nullptr;
    fc = w.take<T>(size_t(cap) * p.max_cutoffs);
    dfc = w.take<T>(size_t(cap) * p.max_cutoffs);
    phi = w.take<T>(size_t(cap) * p.max_shapes);
    dphi = w.take<T>(size_t(cap) * p.max_shapes);
    raw = w.take<T>(size_t(cap) * p.max_shapes);
    for (int **q : {&edge, &id, &order}) *q = w.take<int>(cap);
    parked = w.take<Parked>(cap);
    from = w.take<int>(p.n_elements);
    count = w.take<int>(p.n_elements + 1);
    count = count ? count + 1 : nullptr;
  }

  // The stretch of an element, or its part with low < r < high where that is one piece
  void stretch(int element, T low, T high, int &k0, int &k1) const noexcept {
    k0 = from[element], k1 = k0 + count[element];
    if (!sorted) return;
    while (k0 < k1 && r[k0] <= low) k0++;
    while (k1 > k0 && r[k1 - 1] >= high) k1--;
  }
};

// d_ij of the edges of atom i, in angstrom, and 0. What is the same for all of them is kept here: no store in between makes it be read again.
typedef double Four __attribute__((vector_size(32)));
struct Displacements {
  const double *d, *x;
  const int32_t *j, *shift;
  Four xi, cell[3];
  Displacements(const fastmd_system &s, int64_t i) noexcept : d(s.d), x(s.x), j(s.j), shift(s.shift), xi{}, cell{} {
    if (d || s.first[i] == s.first[i + 1]) return;  // who has no edges need not have positions
    three(x + 3 * i, xi);
    for (int k = 0; k < 3 && shift; k++) three(s.cell + 3 * k, cell[k]);
  }
  static FASTMD_INLINE void three(const double *p, Four &to) { to = Four{p[0], p[1], p[2], 0}; }
  FASTMD_INLINE void of(int64_t m, Four &to) const noexcept {
    if (d) return three(d + 3 * m, to);
    three(x + 3 * int64_t(j[m]), to);
    to -= xi;
    if (!shift) return;
    const int32_t *h = shift + 3 * m;
    to += double(h[0]) * cell[0] + double(h[1]) * cell[1] + double(h[2]) * cell[2];
  }
};

// Gathers the neighbours within reach. Returns -1, or the edge of a neighbour on top of the atom.
template <class T> int64_t gather(const Plan &plan, const ElementPlan &element, const fastmd_system &s, int64_t i, Neighbourhood<T> &h) noexcept {
  constexpr T CLOSE = T(1e-12);
  const double native = 1 / plan.length, reach = element.reach, reach2 = reach * reach;
  const int64_t first = s.first[i];
  const int row = int(s.first[i + 1] - first), ne = plan.n_elements;
  auto *const parked = h.parked, *p = parked;  // until the stretches are known
  const int32_t *const j = s.j + first, *const species = s.species;
  const Displacements displacements(s, i);
  int *const count = h.count, *const from = h.from;
  for (int e = -1; e < ne; e++) count[e] = 0;
  for (int k = 0; k < row; k++) {  // without branches: all are written, those beyond reach and those of no element of ours are written over
    Four d;
    displacements.of(first + k, d);
    d *= native;
    const double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    const int e = species[j[k]];
    typedef T Rounded __attribute__((vector_size(4 * sizeof(T))));
    const Rounded rounded = __builtin_convertvector(d, Rounded);
    std::memcpy(p->d, &rounded, sizeof rounded);
    p->item = k, p->kind = e;
    const bool in = (r2 < reach2) & (e >= 0);
    count[e] += in;
    p += in;
  }
  const int n = int(p - parked);
  int at = 0;
  for (int e = 0; e < ne; e++) {
    from[e] = at;
    at += round_up(count[e], width<T>);
  }
  h.end = at;
  const T far = T(4 * reach);
  for (int e = 0; e <= ne; e++)  // the padding, and a little behind the end
    for (int k = e < ne ? from[e] + count[e] : at; k < (e < ne ? from[e] + round_up(count[e], width<T>) : at + 2 * width<T>); k++) h.x[k] = far, h.y[k] = h.z[k] = 0;
  h.sorted = element.sorted;
  if (h.sorted) {
    for (int k = 0; k < n; k++) {
      T *d = parked[k].d;
      h.order[k] = k, d[3] = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    }
    std::sort(h.order, h.order + n, [parked](int a, int b) { return parked[a].d[3] < parked[b].d[3] || (parked[a].d[3] == parked[b].d[3] && a < b); });
  }
  T *const x = h.x, *const y = h.y, *const z = h.z;
  int *const edge = h.edge, *const id = h.id;
  const int *const order = h.sorted ? h.order : nullptr;
  for (int m = 0; m < n; m++) {
    const auto &one = parked[order ? order[m] : m];
    const int q = from[one.kind]++;
    x[q] = one.d[0], y[q] = one.d[1], z[q] = one.d[2];
    edge[q] = one.item, id[q] = j[one.item];
  }
  for (int e = 0; e < ne; e++) from[e] -= count[e];
  unsigned close = 0;
  for (int k = 0; k < at + 2 * width<T>; k += width<T>) {
    vec<T> x = load(h.x + k), y = load(h.y + k), z = load(h.z + k), r2 = x * x + y * y + z * z, r = sqrt(r2), inv = T(1) / r;
    close |= less<T>(r2, broadcast<T>(CLOSE));
    store<T>(h.r + k, r), store<T>(h.r2 + k, r2), store<T>(h.inv + k, inv), store<T>(h.inv2 + k, inv * inv);
    store<T>(h.ux + k, x * inv), store<T>(h.uy + k, y * inv), store<T>(h.uz + k, z * inv);
    for (T *p : {h.a, h.bx, h.by, h.bz}) store<T>(p + k, vec<T>{});
  }
  std::memset(h.row, 0, sizeof(T) * 4 * at);
  for (int e = 0; e < ne && close; e++)
    for (int k = from[e]; k < from[e] + count[e]; k++)
      if (h.r2[k] < CLOSE) return first + edge[k];
  return -1;
}

template <class T> void add_rows(const Plan &plan, Neighbourhood<T> &h) noexcept {
  for (int e = 0; e < plan.n_elements; e++)
    for (int k = h.from[e]; k < h.from[e] + h.count[e]; k++) {
      T *r = h.row + 4 * k;
      h.a[k] += r[0], h.bx[k] += r[1], h.by[k] += r[2], h.bz[k] += r[3];
      r[0] = r[1] = r[2] = r[3] = 0;
    }
}

// All cutoffs, then the shapes on the elements that need them.
template <class T> void shapes(const Plan &plan, const ElementPlan &e, Neighbourhood<T> &h) noexcept {
  for (int c = 0; c < e.n_cutoffs; c++)
    for (int k = 0; k < h.end; k += width<T>) {
      vec<T> f, df;
      cutoff<T>(e.cutoff[c], load(h.r2 + k), f, df);
      store<T>(h.fc + c * h.cap + k, f), store<T>(h.dfc + c * h.cap + k, df);
    }
  for (int q = 0; q < e.n_shapes; q++) {
    const Shape &s = e.shape[q];
    for (int a = 0; a < plan.n_elements; a++)
      if (s.used[a] && h.count[a])
        shape_array<T>(s, h.from[a], h.from[a] + h.count[a], h.r, h.inv, h.fc + s.cutoff * h.cap, h.dfc + s.cutoff * h.cap, h.raw + s.like * h.cap, h.raw + q * h.cap, h.phi + q * h.cap, h.dphi + q * h.cap);
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
