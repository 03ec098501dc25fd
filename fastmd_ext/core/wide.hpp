// wide.hpp: angular functions without a factor of r_jk (G5, G22), over tiles of a few neighbours j in turn by one or two vectors of k: what is read of
// k serves all of them, and nothing of a triplet is stored. For gradients a triplet gives four scalars, and with them
//   p_ij = a_j d_ij + B d_ik,  and the same with j and k exchanged:
//     plain   a_j = chi_j T + S - C / r_ij^2,   T = sum A E,  S = -2 sum eta A E      (Gaussians about 0 times one cutoff, E = phi_j phi_k)
//     else    a_j = T_j - C / r_ij^2,           T_j = sum A dphi_j phi_k
//   B = D / (r_ij r_ik),  C = D cos;  A: the weighted powers of a channel, D = sum E dA/dcos
#pragma once
#include "angular.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

template <class T> struct WideScratch {
  T *row_phi, *row_dphi;  // per channel, of the tile's neighbours j
  void carve(Carver &m, const Plan &p) {
    row_phi = m.take<T>(size_t(p.max_channels) * PART);
    row_dphi = m.take<T>(size_t(p.max_channels) * PART);
  }
};

template <class T, Mode mode, bool plain> struct Wide {
  static constexpr int W = width<T>;
  const ElementPlan &e;
  const Block &b;
  Neighbourhood<T> &h;
  Terms<T, mode> &terms;
  WideScratch<T> &s;
  int j0 = 0, j1 = 0, k0 = 0, k1 = 0;
  const bool check = b.compact && h.sorted;  // may a channel see nothing of a tile?
  struct Row {  // one j, in every lane
    vec<T> ux, uy, uz, x, y, z, inv, inv2, chi;
    vec<T> a, bx, by, bz;  // gradient: sums over k
  } rows[PART] = {};

  // Sorted by distance, is nothing of neighbours J.. or of those from k on in the support of a shape?
  bool outside(const Shape &shape, int J, int k) const noexcept {
    auto none = [&](int from, int to) { return h.r[from] >= T(shape.to) || h.r[to - 1] <= T(shape.from); };
    return none(k, k + W) || none(J, std::min(J + PART, j1));
  }

  // The neighbours J, J + 1, ... by `vectors` vectors of k from K on. diagonal: some k are not after some j
  template <int vectors> FASTMD_INLINE void tile(int J, int K, bool diagonal) noexcept {
    alignas(64) T cos[vectors * PART * W], dcos[mode == Mode::jvp ? vectors * PART * W : 1];
    for (int v = 0; v < vectors; v++) {
      const int k = K + v * W;
      const vec<T> ux = load(h.ux + k), uy = load(h.uy + k), uz = load(h.uz + k);
      unrolled<PART>([&](auto r) __attribute__((always_inline)) {
        const int at = (v * PART + r) * W;
        vec<T> c = rows[r].ux * ux + rows[r].uy * uy + rows[r].uz * uz;
        store<T>(cos + at, c);
        if constexpr (mode == Mode::jvp) store<T>(dcos + at, change_of_cos<T>(h, J + r, k, c, change_of_product<T>(h, J + r, k)));
      });
    }
    terms.template run<vectors * PART>(cos);
    for (int v = 0; v < vectors; v++) {
      if constexpr (mode == Mode::gradient) gradient(J, K + v * W, v * PART * W, diagonal, cos);
      else add(J, K + v * W, v * PART * W, diagonal, cos, dcos);
    }
  }
  FASTMD_INLINE vec<T> after(int j, int k) const noexcept { return iota<T>() > T(j - k) ? broadcast<T>(T(1)) : vec<T>{}; }  // 1 for the k that are

  FASTMD_INLINE void add(int J, int k, int at, bool diagonal, const T *cos, const T *dcos) noexcept {  // value and jvp
    auto *term = terms.sum_of;
    for (int q = 0; q < b.n_channels; q++) {
      if (check && outside(e.shape[b.shape[q]], J, k)) {
        term = terms.linear[q].end;
        continue;
      }
      const T *pj = s.row_phi + q * PART, *dj = s.row_dphi + q * PART;
      const vec<T> pk = load(h.phi + b.shape[q] * h.cap + k);
      vec<T> E[PART], dE[PART], dk{};
      if constexpr (mode == Mode::jvp) dk = load(h.dphi + b.shape[q] * h.cap + k) * load(h.along + k);
      unrolled<PART>([&](auto r) __attribute__((always_inline)) {
        E[r] = pj[r] * pk;
        if constexpr (mode == Mode::jvp) dE[r] = pj[r] * dk + dj[r] * pk;
      });
      if (diagonal) unrolled<PART>([&](auto r) __attribute__((always_inline)) {
        const vec<T> in = after(J + r, k);
        E[r] *= in;
        if constexpr (mode == Mode::jvp) dE[r] *= in;
      });
      term = terms.add(q, term, at, E, dE, cos, dcos);
    }
  }

  FASTMD_INLINE void gradient(int J, int k, int at, bool diagonal, const T *cos) noexcept {
    constexpr int N = 4;  // of the tile's j at a time: what they sum up fits into the registers
    vec<T> a = load(h.a + k), bx = load(h.bx + k), by = load(h.by + k), bz = load(h.bz + k);
    unrolled<PART / N>([&](auto part) __attribute__((always_inline)) {
      constexpr int r0 = part * N;
      vec<T> one[N] = {}, two[N] = {}, D[N] = {};
      const typename Terms<T, mode>::Sum *term = terms.sum_of;
      for (int q = 0; q < b.n_channels; q++) {
        if (check && outside(e.shape[b.shape[q]], J, k)) {
          term = terms.linear[q].end;
          continue;
        }
        vec<T> A[N], dA[N];
        term = terms.template weights<N>(q, term, at + r0 * W, cos, A, dA);
        const T *pj = s.row_phi + q * PART + r0, *dj = s.row_dphi + q * PART + r0;
        const vec<T> pk = load(h.phi + b.shape[q] * h.cap + k), eta = broadcast<T>(T(-2 * b.eta[q]));
        unrolled<N>([&](auto r) __attribute__((always_inline)) {
          D[r] += dA[r] * (pj[r] * pk);
          if constexpr (plain) {
            const vec<T> AE = A[r] * (pj[r] * pk);
            one[r] += AE, two[r] += eta * AE;
          } else {
            one[r] += A[r] * (dj[r] * pk), two[r] += A[r] * (pj[r] * load(h.dphi + b.shape[q] * h.cap + k));
          }
        });
      }
      if (diagonal) unrolled<N>([&](auto r) __attribute__((always_inline)) {
        const vec<T> in = after(J + r0 + r, k);
        one[r] *= in, two[r] *= in, D[r] *= in;
      });
      unrolled<N>([&](auto r) __attribute__((always_inline)) {
        Row &j = rows[r0 + r];
        const vec<T> C = D[r] * load(cos + at + (r0 + r) * W), B = D[r] * (j.inv * load(h.inv + k)), inv2 = load(h.inv2 + k);
        if constexpr (plain) j.a += j.chi * one[r] + (two[r] - j.inv2 * C), a += load(h.chi + k) * one[r] + (two[r] - inv2 * C);
        else j.a += one[r] - j.inv2 * C, a += two[r] - inv2 * C;
        j.bx += B * load(h.x + k), j.by += B * load(h.y + k), j.bz += B * load(h.z + k);
        bx += B * j.x, by += B * j.y, bz += B * j.z;
      });
    });
    store<T>(h.a + k, a), store<T>(h.bx + k, bx), store<T>(h.by + k, by), store<T>(h.bz + k, bz);
  }

  // Adds to G (value) or dG (jvp) of the block's functions; with gradient, to a, bx, by, bz
  void run(const T *weight, T *G) noexcept {
    terms.start(b, weight);
    if constexpr (mode == Mode::gradient && plain) log_slopes<T>(b, h, h.fc + b.cutoff * h.cap, h.dfc + b.cutoff * h.cap);
    T low = T(e.reach), high = 0;
    for (int q = 0; q < b.n_channels; q++) low = std::min(low, T(e.shape[b.shape[q]].from)), high = std::max(high, T(e.shape[b.shape[q]].to));
    h.stretch(b.a, low, high, j0, j1);
    h.stretch(b.b, low, high, k0, k1);
    const bool same = b.a == b.b;
    for (int J = j0; J < j1; J += PART) {
      for (int q = 0; q < b.n_channels; q++)
        for (int r = 0; r < PART; r++) {
          const int at = b.shape[q] * h.cap + J + r;
          s.row_phi[q * PART + r] = J + r < j1 ? h.phi[at] : T(0);
          s.row_dphi[q * PART + r] = J + r < j1 ? h.dphi[at] * (mode == Mode::jvp ? h.along[J + r] : T(1)) : T(0);
        }
      for (int r = 0; r < PART; r++) {
        const int j = J + r;
        Row &y = rows[r];
        y.ux = broadcast<T>(h.ux[j]), y.uy = broadcast<T>(h.uy[j]), y.uz = broadcast<T>(h.uz[j]);
        if constexpr (mode == Mode::gradient) {
          y.x = broadcast<T>(h.x[j]), y.y = broadcast<T>(h.y[j]), y.z = broadcast<T>(h.z[j]);
          y.inv = broadcast<T>(h.inv[j]), y.inv2 = broadcast<T>(h.inv2[j]), y.chi = broadcast<T>(h.chi[j]);
          y.a = y.bx = y.by = y.bz = vec<T>{};
        }
      }
      int K = (same ? J + 1 : k0) / W * W;
      for (; K + W < k1; K += 2 * W) tile<2>(J, K, same && K < J + PART);
      for (; K < k1; K += W) tile<1>(J, K, same && K < J + PART);
      if constexpr (mode == Mode::gradient)
        for (int r = 0; r < PART && J + r < j1; r++) add_sums<T>(h.row + 4 * (J + r), rows[r].a, rows[r].bx, rows[r].by, rows[r].bz);
    }
    if constexpr (mode != Mode::gradient) terms.finish(G);
  }
};

}  // namespace FASTMD_ISA
}  // namespace fastmd
