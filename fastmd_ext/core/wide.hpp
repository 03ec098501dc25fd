// wide.hpp: angular functions without a factor of r_jk (G5, G22, G25), over batches of triplets: a few neighbours j in turn by vectors of k. What is read
// of k serves all j of the batch, what is summed up stays in registers, and nothing of a triplet is stored from one pass to the next.
// With E = phi_j phi_k of a channel, A its weighted powers and D = sum E dA/dcos, a triplet's part of the gradient needs only sums over the other
// neighbours, of numbers that know nothing of the one they are for:
//   p_ij = sum_q dphi_j S_q d_ij + (B - (B . u_ij) u_ij) / r_ij,  S_q = sum_k A phi_k,  B = sum_k D u_ik;  and the same with j and k exchanged
#pragma once
#include "angular.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

constexpr int MOST_VECTORS = 12;                                      // of k in a batch: it stays in L1
template <class T> constexpr int BATCH = MOST_VECTORS * PART * width<T>;  // triplets, those of the first vector of k first, j by j

template <class T> struct WideScratch {
  struct Term {           // of a channel: P = 1 and cos (of all functions with zeta = 1), powers, windows
    const T *P, *dP;      // and its derivative by cos without a factor
    T w, dw;              // gradient: weights of both; jvp: dw is the factor
    vec<T> sum;           // value and jvp
  } *term;
  Term **last;            // by channel: where the next one's begin
  T *cos, *dcos, *one;    // of a batch
  T *A, *dA, *D;
  T *slot;
  vec<T> *phi, *dphi;     // per channel, of the batch's neighbours j, in every lane
  vec<T> *row;            // gradient: per channel, S of the batch's neighbours j
  T *sums;                // gradient: three times B, and S per channel, of every neighbour
  void carve(Carver &m, const Plan &p, int cap) {
    term = m.take<Term>(size_t(p.max_terms) + 2 * p.max_channels);
    last = m.take<Term *>(p.max_channels);
    for (T **a : {&cos, &dcos, &one, &A, &dA, &D}) *a = m.take<T>(BATCH<T>);
    slot = m.take<T>(size_t(p.max_slots) * BATCH<T>);
    for (vec<T> **a : {&phi, &dphi, &row}) *a = m.take<vec<T>>(size_t(p.max_channels) * PART);
    sums = m.take<T>(size_t(p.max_channels + 3) * cap);
  }
};

template <class T, Mode mode> struct Wide {
  static constexpr int W = width<T>, STEP = PART * W;
  typedef typename WideScratch<T>::Term Term;
  const ElementPlan &e;
  const Block &b;
  Neighbourhood<T> &h;
  WideScratch<T> &s;
  const Program &program = mode == Mode::value ? b.values : b.derivatives;
  int j0 = 0, j1 = 0, k0 = 0, k1 = 0;
  T *const B = s.sums, *const S = B + 3 * h.cap;

  void start(const T *weight) noexcept {
    Term *t = s.term;
    int l = 0, f = 0;
    for (int q = 0; q < b.n_channels; q++) {
      T c0 = 0, c1 = 0;
      const bool linear = l < b.last_linear[q];
      for (; l < b.last_linear[q]; l++) {
        if constexpr (mode != Mode::gradient) continue;
        const T w = weight[b.linear[l].index] * T(b.linear[l].norm);
        c0 += w, c1 += w * T(b.linear[l].lambda);
      }
      if (linear) *t++ = Term{s.one, s.one, c0, T(0), vec<T>{}}, *t++ = Term{s.cos, s.one, c1, mode == Mode::gradient ? c1 : T(1), vec<T>{}};
      for (; f < b.last_term[q]; f++) {
        const ::fastmd::Term &m = b.term[f];
        const T w = mode == Mode::gradient ? weight[m.index] * T(m.norm) : T(1);
        *t++ = Term{s.slot + size_t(mode == Mode::value ? m.value : m.power) * BATCH<T>, s.slot + size_t(m.derivative) * BATCH<T>, w, w * T(m.slope), vec<T>{}};
      }
      s.last[q] = t;
    }
  }
  void finish(T *G) const noexcept {
    const Term *t = s.term;
    int l = 0, f = 0;
    for (int q = 0; q < b.n_channels; q++) {
      if (l < b.last_linear[q]) {
        const T s0 = sum<T>(t[0].sum), s1 = sum<T>(t[1].sum);
        for (t += 2; l < b.last_linear[q]; l++) G[b.linear[l].index] += T(b.linear[l].norm) * (s0 + T(b.linear[l].lambda) * s1);
      }
      for (; f < b.last_term[q]; f++) G[b.term[f].index] += T(b.term[f].norm) * sum<T>(t++->sum);
    }
  }

  // Value: F terms of channel q, over n vectors of k
  template <int F> FASTMD_INLINE void add(Term *t, int at, int n, const vec<T> *pj, const T *phi) noexcept {
    vec<T> sums[F][PART] = {};
    for (int k = 0; k < n; k++, at += STEP) {
      const vec<T> pk = load(phi + k * W);
      unrolled<PART>([&](auto r) __attribute__((always_inline)) {
        const vec<T> E = pj[r] * pk;
        unrolled<F>([&](auto f) __attribute__((always_inline)) { sums[f][r] += E * load(t[f].P + at + r * W); });
      });
    }
    unrolled<F>([&](auto f) __attribute__((always_inline)) { t[f].sum += (sums[f][0] + sums[f][1]) + (sums[f][2] + sums[f][3]); });
  }
  FASTMD_INLINE void change(Term &t, int at, int n, const vec<T> *pj, const vec<T> *dj, const T *phi, const T *dphi, const T *along) noexcept {  // jvp
    for (int k = 0; k < n; k++, at += STEP) {
      const vec<T> pk = load(phi + k * W), dk = load(dphi + k * W) * load(along + k * W);
      for (int r = 0; r < PART; r++)
        t.sum += (pj[r] * dk + dj[r] * pk) * load(t.P + at + r * W) + t.dw * (pj[r] * pk) * (load(t.dP + at + r * W) * load(s.dcos + at + r * W));
    }
  }

  // Gradient: A and dA/dcos of F terms; more: on top of what there is
  template <int F, bool more> FASTMD_INLINE void weights(const Term *t, int from, int to) noexcept {
    for (int at = from; at < to; at += W) {
      vec<T> A = more ? load(s.A + at) : t->w * load(t->P + at), dA = more ? load(s.dA + at) : t->dw * load(t->dP + at);
      for (int f = more ? 0 : 1; f < F; f++) A += t[f].w * load(t[f].P + at), dA += t[f].dw * load(t[f].dP + at);
      store<T>(s.A + at, A), store<T>(s.dA + at, dA);
    }
  }
  // What E and A of a channel add to D and S; A from the arrays (F = 0) or made of F terms
  template <int F> FASTMD_INLINE void spread(const Term *t, int at, int n, const vec<T> *pj, const T *phi, vec<T> *row, T *S) noexcept {
    vec<T> mine[PART], w[F + 1], dw[F + 1];
    const T *P[F + 1], *dP[F + 1];
    if constexpr (F > 0) unrolled<F>([&](auto f) __attribute__((always_inline)) { w[f] = broadcast<T>(t[f].w), dw[f] = broadcast<T>(t[f].dw), P[f] = t[f].P, dP[f] = t[f].dP; });
    unrolled<PART>([&](auto r) __attribute__((always_inline)) { mine[r] = row[r]; });
    T *const D = s.D;
    for (int k = 0; k < n; k++, at += STEP) {
      const vec<T> pk = load(phi + k * W);
      vec<T> sum = load(S + k * W);
      unrolled<PART>([&](auto r) __attribute__((always_inline)) {
        const int i = at + r * W;
        vec<T> A, dA;
        if constexpr (F == 0) A = load(s.A + i), dA = load(s.dA + i);
        else A = w[0] * load(P[0] + i), dA = dw[0] * load(dP[0] + i);
        if constexpr (F == 2) A += w[1] * load(P[1] + i), dA += dw[1] * load(dP[1] + i);
        store<T>(D + i, load(D + i) + dA * (pj[r] * pk));
        sum += A * pj[r], mine[r] += A * pk;
      });
      store<T>(S + k * W, sum);
    }
    unrolled<PART>([&](auto r) __attribute__((always_inline)) { row[r] = mine[r]; });
  }
  // Gradient: what D adds to B of the neighbours j, J.., and of n vectors of k from K on
  FASTMD_INLINE void turn(int J, int K, int n) noexcept {
    for (int x = 0; x < 3; x++) {
      const T *u = x == 0 ? h.ux : x == 1 ? h.uy : h.uz;
      T *b = B + x * h.cap;
      vec<T> uj[PART], bj[PART] = {};
      unrolled<PART>([&](auto r) __attribute__((always_inline)) { uj[r] = broadcast<T>(u[J + r]); });
      const T *D = s.D;
      for (int k = K; k < K + n * W; k += W, D += STEP) {
        const vec<T> uk = load(u + k);
        vec<T> bk = load(b + k);
        unrolled<PART>([&](auto r) __attribute__((always_inline)) { bj[r] += load(D + r * W) * uk, bk += load(D + r * W) * uj[r]; });
        store<T>(b + k, bk);
      }
      add_sums<T>(b + J, bj[0], bj[1], bj[2], bj[3]);
    }
  }

  // Sorted by distance, which of n vectors from k on may be in the support of a shape, if any of the neighbours J.. are?
  void inside(const Shape &shape, int J, int k, int &from, int &to) const noexcept {
    if (h.r[J] >= T(shape.to) || h.r[std::min(J + PART, j1) - 1] <= T(shape.from)) to = from;
    while (from < to && h.r[k + (from + 1) * W - 1] <= T(shape.from)) from++;
    while (to > from && h.r[k + (to - 1) * W] >= T(shape.to)) to--;
  }

  // The neighbours J, J + 1, ... by n vectors of k from K on
  void batch(int J, int K, int n) noexcept {
    vec<T> ux[PART], uy[PART], uz[PART];
    unrolled<PART>([&](auto r) __attribute__((always_inline)) { ux[r] = broadcast<T>(h.ux[J + r]), uy[r] = broadcast<T>(h.uy[J + r]), uz[r] = broadcast<T>(h.uz[J + r]); });
    T *cos = s.cos;
    for (int k = K; k < K + n * W; k += W, cos += STEP) {
      const vec<T> x = load(h.ux + k), y = load(h.uy + k), z = load(h.uz + k);
      unrolled<PART>([&](auto r) __attribute__((always_inline)) {
        const vec<T> c = ux[r] * x + uy[r] * y + uz[r] * z;
        store<T>(cos + r * W, c);
        if constexpr (mode == Mode::jvp) store<T>(s.dcos + (cos - s.cos) + r * W, change_of_cos<T>(h, J + r, k, c, change_of_product<T>(h, J + r, k)));
      });
    }
    const int count = n * STEP;
    run_program<T, mode != Mode::value>(program, count, s.cos, s.slot, BATCH<T>);
    if (b.n_linear) std::fill_n(s.one, count, T(1));
    for (int k = K, at = 0; b.a == b.b && k < std::min(J + PART, K + n * W); k += W)
      for (int r = 0; r < PART; r++, at += W) {  // k is not after j in all lanes
        const auto in = iota<T>() > T(J + r - k);
        auto keep = [&](T *x) __attribute__((always_inline)) { store<T>(x + at, in ? load(x + at) : vec<T>{}); };
        for (int q = 0; q < program.n_slots; q++) keep(s.slot + size_t(q) * BATCH<T>);
        if (b.n_linear) keep(s.one), keep(s.cos);
      }
    if constexpr (mode == Mode::gradient) std::fill_n(s.D, count, T(0));
    Term *t = s.term;
    for (int q = 0; q < b.n_channels; t = s.last[q++]) {
      int from = 0, to = n;
      if (b.compact && h.sorted) inside(e.shape[b.shape[q]], J, K, from, to);
      if (from == to) continue;
      const int k = K + from * W, at = from * STEP, terms = int(s.last[q] - t);
      const T *phi = h.phi + b.shape[q] * h.cap + k;
      const vec<T> *pj = s.phi + q * PART;
      if constexpr (mode == Mode::value) {
        for (; t + 1 < s.last[q]; t += 2) add<2>(t, at, to - from, pj, phi);
        if (t < s.last[q]) add<1>(t, at, to - from, pj, phi);
      } else if constexpr (mode == Mode::jvp) {
        for (; t < s.last[q]; t++) change(*t, at, to - from, pj, s.dphi + q * PART, phi, h.dphi + b.shape[q] * h.cap + k, h.along + k);
      } else {
        vec<T> *row = s.row + q * PART;
        T *mine = S + q * h.cap + k;
        if (terms == 1) spread<1>(t, at, to - from, pj, phi, row, mine);
        else if (terms == 2) spread<2>(t, at, to - from, pj, phi, row, mine);
        else if (terms) {
          weights<2, false>(t, at, to * STEP);
          for (t += 2; t + 1 < s.last[q]; t += 2) weights<2, true>(t, at, to * STEP);
          if (t < s.last[q]) weights<1, true>(t, at, to * STEP);
          spread<0>(t, at, to - from, pj, phi, row, mine);
        }
      }
    }
    if constexpr (mode == Mode::gradient) turn(J, K, n);
  }

  // Adds to G (value) or dG (jvp) of the block's functions; with gradient, to a, bx, by, bz
  void run(const T *weight, T *G) noexcept {
    start(weight);
    T low = T(e.reach), high = 0;
    for (int q = 0; q < b.n_channels; q++) low = std::min(low, T(e.shape[b.shape[q]].from)), high = std::max(high, T(e.shape[b.shape[q]].to));
    h.stretch(b.a, low, high, j0, j1);
    h.stretch(b.b, low, high, k0, k1);
    const bool same = b.a == b.b;
    if constexpr (mode == Mode::gradient) {
      clear(h.from[b.a], j1);
      if (!same) clear(h.from[b.b], k1);
    }
    for (int J = j0; J < j1; J += PART) {
      const int first = same ? J + 1 : k0;
      if (first >= k1) break;
      for (int q = 0; q < b.n_channels; q++)
        for (int r = 0; r < PART; r++) {
          const int j = J + r, at = b.shape[q] * h.cap + j;
          s.phi[q * PART + r] = j < j1 ? broadcast<T>(h.phi[at]) : vec<T>{};
          if constexpr (mode == Mode::jvp) s.dphi[q * PART + r] = j < j1 ? broadcast<T>(h.dphi[at] * h.along[j]) : vec<T>{};
          if constexpr (mode == Mode::gradient) s.row[q * PART + r] = vec<T>{};
        }
      for (int K = first / W * W; K < k1; K += MOST_VECTORS * W) batch(J, K, std::min(MOST_VECTORS, (k1 - K + W - 1) / W));
      for (int q = 0; q < b.n_channels && mode == Mode::gradient; q++) {
        static_assert(PART == 4, "as many as add_sums takes");
        vec<T> *row = s.row + q * PART;
        for (int r = std::min(j1 - J, PART); r < PART; r++) row[r] = vec<T>{};  // there is no such neighbour
        add_sums<T>(S + q * h.cap + J, row[0], row[1], row[2], row[3]);
      }
    }
    if constexpr (mode == Mode::gradient) {
      hand_out(j0, j1);
      if (!same) hand_out(k0, k1);
    } else {
      finish(G);
    }
  }
  void clear(int from, int to) noexcept {
    for (int q = 0; q < b.n_channels + 3; q++) std::fill(s.sums + q * h.cap + from, s.sums + q * h.cap + round_up(to, W), T(0));
  }
  void hand_out(int from, int to) noexcept {  // from the sums to a, bx, by, bz
    for (int k = from / W * W; k < to; k += W) {
      const vec<T> x = load(B + k), y = load(B + h.cap + k), z = load(B + 2 * h.cap + k), inv = load(h.inv + k);
      vec<T> a = load(h.a + k) - (x * load(h.ux + k) + y * load(h.uy + k) + z * load(h.uz + k)) * load(h.inv2 + k);
      for (int q = 0; q < b.n_channels; q++) a += load(h.dphi + b.shape[q] * h.cap + k) * load(S + q * h.cap + k);
      store<T>(h.a + k, a);
      store<T>(h.bx + k, load(h.bx + k) + x * inv), store<T>(h.by + k, load(h.by + k) + y * inv), store<T>(h.bz + k, load(h.bz + k) + z * inv);
    }
  }
};

}  // namespace FASTMD_ISA
}  // namespace fastmd
