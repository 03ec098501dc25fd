// near.hpp: who is within the cutoff, and the list that comes of it.
//
// For each bin the sites around it are gathered once, as float32 relative to the middle of the box around the bin's own atoms; sites whose
// distance from that box is beyond the cutoff are left behind. What remains is tried against each atom of the bin. Float32 only proposes:
// where its rounding could matter, which one pair in ten thousand meets, d = x[j] - x[i] + shift @ cell of the positions as given decides.
#pragma once
#include "kernels.hpp"
#include "simd.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// Of sites as given, where j in an image is near i
FASTMD_INLINE void whole_shift(const Bins &b, const Site &i, const Site &j, uint32_t image, int32_t *shift) {
  for (int k = 0; k < 3; k++) shift[k] = int32_t(image >> b.at[k] & ((1u << b.bits[k]) - 1)) - b.most[k] - j.wrap[k] + i.wrap[k];
}
// d, and its square
FASTMD_INLINE double displacement(const Bins &b, const Site &i, const Site &j, const int32_t *shift, double *d) {
  double square = 0;
  for (int a = 0; a < 3; a++) {
    d[a] = (j.x[a] - i.x[a]) + (shift[0] * b.shift_of[a] + shift[1] * b.shift_of[3 + a] + shift[2] * b.shift_of[6 + a]);
    square += d[a] * d[a];
  }
  return square;
}
// out of line: it is rarely asked
inline __attribute__((noinline)) bool within(const Bins &b, const Site &i, const Site &j, uint32_t image) noexcept {
  int32_t shift[3];
  double d[3];
  whole_shift(b, i, j, image, shift);
  return displacement(b, i, j, shift, d) < b.cutoff * b.cutoff;
}

// p[0], p[1], ... - o, rounded to float32
FASTMD_INLINE vec<float> relative(const double *p, double o) {
  typedef float Half __attribute__((vector_size(FASTMD_VECTOR_BYTES / 2)));
  union {
    Half half[2];
    vec<float> whole;
  } v;
  v.half[0] = __builtin_convertvector(load<double>(p) - broadcast(o), Half);
  v.half[1] = __builtin_convertvector(load<double>(p + width<double>) - broadcast(o), Half);
  return v.whole;
}
FASTMD_INLINE vec<float> beyond(vec<float> x, float half) {  // how far outside [-half, half]
  const vec<float> u = x - broadcast(half), v = -x - broadcast(half), w = u > v ? u : v;
  return w > vec<float>{} ? w : vec<float>{};
}
FASTMD_INLINE vec<float> bits_of(const int32_t *p) { return load((const float *)p); }  // only ever moved

struct Candidates {  // sites near a bin
  float *x, *y, *z;
  int32_t *site;
  uint32_t *image;
  int64_t n, room;
};

FASTMD_INLINE void add_stretch(const Bins &b, Candidates &c, int64_t from, int64_t to, const double *origin, const float *half, float near, uint32_t image) {
  constexpr int W = width<float>;
  union {
    uint32_t number[W];
    vec<float> v;
  } images;
  for (int l = 0; l < W; l++) images.number[l] = image;
  for (int64_t q = from; q < to; q += W) {
    const vec<float> x = relative(b.x + q, origin[0]), y = relative(b.y + q, origin[1]), z = relative(b.z + q, origin[2]);
    const vec<float> ex = beyond(x, half[0]), ey = beyond(y, half[1]), ez = beyond(z, half[2]);
    unsigned m = less<float>(ex * ex + ey * ey + ez * ez, broadcast(near));
    if (to - q < W) m &= (1u << (to - q)) - 1;
    if (!m) continue;
    const Lanes<float> lanes = packing<float>(m);
    union {
      int32_t number[W];
      vec<float> v;
    } sites;
    for (int l = 0; l < W; l++) sites.number[l] = int32_t(q) + l;
    pack<float>(c.x + c.n, x, lanes);
    pack<float>(c.y + c.n, y, lanes);
    pack<float>(c.z + c.n, z, lanes);
    pack<float>((float *)c.site + c.n, sites.v, lanes);
    store<float>((float *)c.image + c.n, images.v);
    c.n += __builtin_popcount(m);
  }
}

inline int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// The candidates of a bin: its own atoms first, in their order, then those of the bins around it, which lie one after the other along the last
// direction, cut where an image begins. False: no room.
inline bool gather(const Bins &b, int64_t bin, const double *middle, const float *half, float near, Candidates &c) {
  constexpr int W = width<float>;
  const int64_t at[3] = {bin / (b.count[1] * b.count[2]), bin / b.count[2] % b.count[1], bin % b.count[2]};
  int64_t low[3], high[3];
  for (int k = 0; k < 3; k++) {
    low[k] = at[k] - b.reach[k], high[k] = at[k] + b.reach[k];
    if (!b.periodic[k]) low[k] = low[k] < 0 ? 0 : low[k], high[k] = high[k] < b.count[k] ? high[k] : b.count[k] - 1;
  }
  const uint32_t home = uint32_t(b.most[0]) << b.at[0] | uint32_t(b.most[1]) << b.at[1] | uint32_t(b.most[2]) << b.at[2];
  const int64_t own = b.start[bin], own_end = b.start[bin + 1];
  c.n = 0;
  if (own_end - own + 2 * W > c.room) return false;
  add_stretch(b, c, own, own_end, middle, half, near, home);
  for (int64_t p = low[0]; p <= high[0]; p++) {
    const int64_t m0 = floor_div(p, b.count[0]);
    for (int64_t q = low[1]; q <= high[1]; q++) {
      const int64_t m1 = floor_div(q, b.count[1]);
      const int64_t line = ((p - m0 * b.count[0]) * b.count[1] + (q - m1 * b.count[1])) * b.count[2];
      for (int64_t s = low[2]; s <= high[2];) {
        const int64_t m2 = floor_div(s, b.count[2]), begin = line - m2 * b.count[2];
        const int64_t last = high[2] < (m2 + 1) * b.count[2] - 1 ? high[2] : (m2 + 1) * b.count[2] - 1;
        const int64_t from = b.start[begin + s], to = b.start[begin + last + 1];
        s = last + 1;
        if (from == to) continue;
        if (c.n + to - from + 2 * W > c.room) return false;
        double origin[3];
        for (int a = 0; a < 3; a++) origin[a] = middle[a] - (double(m0) * b.basis[a] + double(m1) * b.basis[3 + a] + double(m2) * b.basis[6 + a]);
        const uint32_t image = uint32_t(m0 + b.most[0]) << b.at[0] | uint32_t(m1 + b.most[1]) << b.at[1] | uint32_t(m2 + b.most[2]) << b.at[2];
        if (image == home && from <= own && own_end <= to) {
          add_stretch(b, c, from, own, origin, half, near, image);
          add_stretch(b, c, own_end, to, origin, half, near, image);
        } else {
          add_stretch(b, c, from, to, origin, half, near, image);
        }
      }
    }
  }
  const vec<float> nowhere = broadcast(__builtin_inff());
  store(c.x + c.n, nowhere), store(c.y + c.n, nowhere), store(c.z + c.n, nowhere);
  return true;
}

// The rows of the atoms in bins [bin, end). A row: the bin's own atoms, then those of the bins around it, bin by bin.
inline bool search(Search &w) noexcept {
  constexpr int W = width<float>;
  const Bins &b = *w.bins;
  Candidates c;
  c.room = w.candidates_room;
  c.x = (float *)w.scratch, c.y = c.x + c.room, c.z = c.y + c.room;
  c.site = (int32_t *)(c.z + c.room), c.image = (uint32_t *)(c.site + c.room);
  w.want_candidates = 0;
  for (; w.bin < w.end; w.bin++) {
    const int64_t own = b.start[w.bin], end = b.start[w.bin + 1];
    if (own == end) continue;
    double middle[3];
    float half[3], widest = 0;
    for (int a = 0; a < 3; a++) {
      const double *x = a == 0 ? b.x : a == 1 ? b.y : b.z;
      double low = x[own], high = low;
      for (int64_t q = own + 1; q < end; q++) low = x[q] < low ? x[q] : low, high = x[q] > high ? x[q] : high;
      middle[a] = 0.5 * low + 0.5 * high;
      half[a] = float(0.5 * high - 0.5 * low) * (1 + 1e-6f);
      widest = half[a] > widest ? half[a] : widest;
    }
    // What float32 may be off: its half unit of 6e-8 of the numbers that go in, a few times over.
    const double off = 1e-6 * (b.cutoff + 2 * double(widest)), sure = b.cutoff > off ? b.cutoff - off : 0;
    const float out = float((b.cutoff + off) * (b.cutoff + off)), in = float(sure * sure);
    if (!gather(b, w.bin, middle, half, out, c)) {
      w.want_candidates = 2 * c.room + b.start[b.count[0] * b.count[1] * b.count[2]] / 4;
      return false;
    }
    const int64_t used = w.used;
    for (int64_t q = own; q < end; q++) {
      if (w.used + c.n + W > w.room) {
        w.used = used;
        return false;
      }
      const int64_t self = q - own;
      const vec<float> x = broadcast(c.x[self]), y = broadcast(c.y[self]), z = broadcast(c.z[self]);
      const float keep = c.x[self];
      c.x[self] = __builtin_inff();  // not its own neighbour
      int32_t *to = w.found.site + w.used;
      uint32_t *image = w.found.image + w.used;
      for (int64_t k = 0; k < c.n; k += W) {
        const vec<float> dx = load(c.x + k) - x, dy = load(c.y + k) - y, dz = load(c.z + k) - z;
        const vec<float> square = dx * dx + dy * dy + dz * dz;
        unsigned m = less<float>(square, broadcast(out));
        if (!m) continue;
        const unsigned certain = less<float>(square, broadcast(in));
        if (__builtin_expect(m != certain, 0)) {
          for (unsigned open = m & ~certain; open; open &= open - 1) {
            const int l = __builtin_ctz(open);
            if (!within(b, b.site[q], b.site[c.site[k + l]], c.image[k + l])) m &= ~(1u << l);
          }
        }
        const Lanes<float> lanes = packing<float>(m);
        pack<float>((float *)to, bits_of(c.site + k), lanes);
        pack<float>((float *)image, bits_of((const int32_t *)c.image + k), lanes);
        const int n = __builtin_popcount(m);
        to += n, image += n;
      }
      c.x[self] = keep;
      const int64_t n = to - (w.found.site + w.used);
      w.rows[b.site[q].atom] = {w.used, int32_t(n), int32_t(q), w.chunk};
      w.used += n;
    }
  }
  return true;
}

template <bool geometry> FASTMD_INLINE void fill_rows(const Fill &w) {
  const Bins &b = *w.bins;
  for (int64_t i = w.i0; i < w.i1; i++) {
    const Row &row = w.rows[i];
    const Site &me = b.site[row.site];
    const Found &f = w.found[row.chunk];
    const int64_t to = w.first[i] - row.from;
    for (int64_t k = row.from; k < row.from + row.n; k++) {
      const Site &other = b.site[f.site[k]];
      w.j[to + k] = other.atom + w.add;
      int32_t shift[3];
      if (geometry || w.shift) whole_shift(b, me, other, f.image[k], shift);
      if (w.shift)
        for (int a = 0; a < 3; a++) w.shift[3 * (to + k) + a] = shift[a];
      if (geometry) {
        double d[3];
        const double square = displacement(b, me, other, shift, d);
        if (w.d)
          for (int a = 0; a < 3; a++) w.d[3 * (to + k) + a] = d[a];
        if (w.r) w.r[to + k] = __builtin_sqrt(square);
      }
    }
  }
}
// The list, row by row in the order of the atoms
inline void fill(const Fill &w) noexcept {
  if (w.d || w.r) fill_rows<true>(w);
  else fill_rows<false>(w);
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
