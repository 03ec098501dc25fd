// narrow.hpp: angular functions with a factor of r_jk (G4, G13, G21, G24). Row by row (one j, all its k) the triplets whose r_jk is inside are packed into
// linear arrays; every few hundred, tiles of them go through the arithmetic that is dear and needs no neighbours; for gradients the rows are walked once
// more to hand four scalars of each triplet to j and k. What is dear is kept from the first pass for the second, while it fits into the cache.
#pragma once
#include "angular.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

constexpr int CHUNK = 384;   // triplets before the tiles are worked off: they stay in L1
constexpr int KEPT = 4096;   // triplets of an atom kept from the first pass to the second: they stay in L2

// What the loops over rows want of the neighbours k, vector by vector and side by side: one pointer leads to all of it.
template <class T> struct Near {
  vec<T> x, y, z, r2, inv, base;       // to pack triplets
  vec<T> inv2, chi, a, bx, by, bz;     // to hand out what they give
};

template <class T> struct Triplets {
  Near<T> *near;
  T *cos;                      // of r_ij and r_ik; at first r_ij^2 + r_ik^2
  T *q, *E;                    // 1 / (r_ij r_ik); per channel base_j base_k exp(-eta v), at first only for the first of them and without exponential
  T *third, *dthird;           // base(r_jk), at first r_jk^2; and the derivative of the base divided by r_jk
  T *dcos, *w, *wjk, *X;       // jvp: the change of cos; of (r_ij^2 + r_ik^2) / 2; of r_jk^2 / 2; of base_j base_k, divided by that
  struct Row {                 // one neighbour j, or two in turn, and the k of the first vector; end: of the row, among the triplets
    int j, count, k, end;
  } * row;
  unsigned *mask;              // which lanes of the row's vectors are triplets
  struct Keep {                // blocks kept
    int begin, end, row, last_row, mask;  // begin < 0: not kept
  } * keep;
  int cap, row_cap, mask_cap, used, n_rows, masks;
  bool keeping;                // is a second pass to come?

  void carve(Carver &m, const Plan &p, int max_row, bool jvp) {
    const int most = round_up(max_row, width<T>);
    cap = KEPT + CHUNK + 2 * most + 2 * TILE<T> + width<T>;
    row_cap = mask_cap = KEPT + CHUNK + 2 * most + 4;
    for (T **a : {&cos, &q, &third, &dthird}) *a = m.take<T>(cap);
    for (T **a : {&dcos, &w, &wjk, &X}) *a = jvp ? m.take<T>(cap) : nullptr;
    E = m.take<T>(size_t(cap) * p.max_channels);
    row = m.take<Row>(row_cap);
    mask = m.take<unsigned>(mask_cap);
    near = m.take<Near<T>>(max_row / width<T> + p.n_elements + 2);
    keep = m.take<Keep>(p.max_blocks);
    start(false);
  }
  void start(bool keeping_) noexcept { used = n_rows = masks = 0, keeping = keeping_; }
};

template <class T, Mode mode> struct Narrow {
  static constexpr int W = width<T>, STEP = PART * W;
  const ElementPlan &e;
  const Block &b;
  Neighbourhood<T> &h;
  Terms<T, mode> &terms;
  Triplets<T> &t;
  const bool by_shape = b.shape[0] >= 0;
  const bool swapped = h.count[b.a] > h.count[b.b];  // fewer rows, and longer
  const int of_j = swapped ? b.b : b.a, of_k = swapped ? b.a : b.b;
  const T *base = by_shape ? h.phi + b.shape[0] * h.cap : h.fc + b.cutoff * h.cap, *dbase = by_shape ? h.dphi + b.shape[0] * h.cap : h.dfc + b.cutoff * h.cap;
  int j0 = 0, j1 = 0, k0 = 0, k1 = 0;
  T least = 0, most = 0;  // of r_jk^2

  // Neighbours j in turn, R of them (sharing what is read of k), with those k from `from` on, and after j where they are of one element, whose r_jk is in
  // the support of the base: packed, for each vector of k those of the first j, then those of the second
  template <int R> FASTMD_INLINE void rows(int j, int from) noexcept {
    const bool same = b.a == b.b;
    const int start = from / W * W;
    vec<T> xj[R], yj[R], zj[R], sj[R], fj[R], qj[R];
    unsigned mine[R];
    unrolled<R>([&](auto r) __attribute__((always_inline)) {
      xj[r] = broadcast<T>(h.x[j + r]), yj[r] = broadcast<T>(h.y[j + r]), zj[r] = broadcast<T>(h.z[j + r]);
      sj[r] = broadcast<T>(h.r2[j + r]), fj[r] = broadcast<T>(base[j + r]), qj[r] = broadcast<T>(h.inv[j + r]);
      mine[r] = ~0u << (same ? j + r + 1 - start : from - start);
    });
    const vec<T> hi = broadcast<T>(most), lo = broadcast<T>(least);
    unsigned *mask = t.mask + t.masks;
    T *const us = t.third, *const sums = t.cos, *const qs = t.q, *const fs = t.E;
    const Near<T> *n = t.near + start / W, *const end = t.near + (k1 + W - 1) / W;
    size_t at = t.used;
    auto step = [&](auto hollow) __attribute__((always_inline)) {
      const vec<T> x = n->x, y = n->y, z = n->z, s = n->r2, q = n->inv, f = n->base;
      unrolled<R>([&](auto r) __attribute__((always_inline)) {
        vec<T> dx = x - xj[r], dy = y - yj[r], dz = z - zj[r], u = dx * dx + dy * dy + dz * dz, sum = sj[r] + s, by_r = qj[r] * q;
        unsigned m = less<T>(u, hi) & mine[r];
        if constexpr (hollow) m &= less<T>(lo, u);
        mine[r] = ~0u;
        *mask++ = m;
        const Lanes<T> lanes = packing<T>(m);
        pack<T>(us + at, u, lanes), pack<T>(sums + at, sum, lanes), pack<T>(qs + at, by_r, lanes), pack<T>(fs + at, fj[r] * f, lanes);
        if constexpr (mode == Mode::jvp) {
          const int k = int(n - t.near) * W;
          vec<T> c = (sum - u) * by_r * T(0.5), w = h.along[j + r] + load(h.along + k), dot = change_of_product<T>(h, j + r, k);
          pack<T>(t.dcos + at, change_of_cos<T>(h, j + r, k, c, dot), lanes);
          pack<T>(t.w + at, w, lanes), pack<T>(t.wjk + at, w - dot, lanes);
          pack<T>(t.X + at, h.chi[j + r] * h.along[j + r] + load(h.chi + k) * load(h.along + k), lanes);
        }
        at += __builtin_popcount(m);
      });
    };
    if (least > 0)
      for (; n < end; n++) step(std::true_type{});
    else
      for (; n < end; n++) step(std::false_type{});
    t.masks = int(mask - t.mask);
    t.used = int(at);
    t.row[t.n_rows++] = {j, R, start, t.used};
  }

  // From what the row packed to cos, the products of the shapes and the factor of r_jk, of `count` triplets: a tile or the whole steps that are left
  FASTMD_INLINE void make(int at, int count) noexcept {
    alignas(64) T v[TILE<T>];
    auto several = [](const T *p) __attribute__((always_inline)) { return build<T, ABREAST>([p](auto i) __attribute__((always_inline)) { return load(p + i * W); }); };
    auto put = [](T *p, const Several<T, ABREAST> &x) __attribute__((always_inline)) { unrolled<ABREAST>([&](auto i) __attribute__((always_inline)) { store<T>(p + i * W, x.v[i]); }); };
    auto bases = [&](auto shaped) __attribute__((always_inline)) {
      for (int part = 0; part < count; part += ABREAST * W) {
        const int k = at + part;
        const Several<T, ABREAST> u = several(t.third + k), s = several(t.cos + k), q = several(t.q + k);
        Several<T, ABREAST> f, df;
        put(v + part, s + u);
        put(t.cos + k, (s - u) * q * T(0.5));
        cutoff<T, true>(e.cutoff[b.cutoff], u, f, df);
        if constexpr (shaped)
          for (int i = 0; i < ABREAST; i++) {
            vec<T> safe = u.v[i] > T(1e-12) ? u.v[i] : broadcast<T>(T(1e-12)), inv = rsqrt<T>(safe), R, dR;
            shape<T>(e.shape[b.shape[0]], safe * inv, inv, R, dR);
            df.v[i] = dR * f.v[i] + R * df.v[i], f.v[i] = R * f.v[i];
          }
        put(t.third + k, f), put(t.dthird + k, df);
      }
    };
    if (by_shape) bases(std::true_type{});
    else bases(std::false_type{});
    run_program<T, false>(b.exponentials, count, v, terms.slot, TILE<T>);
    for (int part = 0; part < count; part += PART * W) {
      vec<T> F[PART];  // in the place of the first channel
      unrolled<PART>([&](auto i) __attribute__((always_inline)) { F[i] = load(t.E + at + part + i * W); });
      for (int q = 0; q < b.n_channels; q++) {
        T *E = t.E + q * t.cap + at + part;
        if (b.exp_slot[q] < 0) {
          unrolled<PART>([&](auto i) __attribute__((always_inline)) { store<T>(E + i * W, F[i]); });
        } else {
          const T *x = terms.slot + b.exp_slot[q] * TILE<T> + part;
          unrolled<PART>([&](auto i) __attribute__((always_inline)) { store<T>(E + i * W, F[i] * load(x + i * W)); });
        }
      }
    }
  }

  FASTMD_INLINE void add(int tile, int count) noexcept {  // value and jvp
    terms.run(t.cos + tile, count);
    for (int part = 0; part < count; part += PART * W) {
      auto *term = terms.sum_of;
      for (int q = 0; q < b.n_channels; q++) {
        vec<T> E[PART], dE[PART];
        unrolled<PART>([&](auto i) __attribute__((always_inline)) {
          const int k = tile + part + i * W;
          const vec<T> third = load(t.third + k);
          E[i] = load(t.E + q * t.cap + k);
          if constexpr (mode == Mode::jvp) {
            const vec<T> wjk = load(t.wjk + k);
            dE[i] = E[i] * ((load(t.X + k) - T(2 * b.eta[q]) * (load(t.w + k) + wjk)) * third + load(t.dthird + k) * wjk);
          }
          E[i] *= third;
        });
        term = terms.add(q, term, part, E, dE, t.cos + tile, t.dcos + tile);
      }
    }
  }

  // p_ij = a_j d_ij + B d_ik, and the same with j and k exchanged: a_j = chi_j T + S - C / r_ij^2, T = sum A E, S = dE/d(r^2 / 2) summed over what v and
  // r_jk make, B = D / (r_ij r_ik) - (the part of S from r_jk), C = D cos; A, D as in wide.hpp. They are left in the place of what they are made of.
  FASTMD_INLINE void scalars(int tile, int count) noexcept {
    terms.run(t.cos + tile, count);
    for (int part = 0; part < count; part += PART * W) {
      vec<T> one[PART] = {}, two[PART] = {}, D[PART] = {};
      const typename Terms<T, mode>::Sum *term = terms.sum_of;
      for (int q = 0; q < b.n_channels; q++) {
        vec<T> A[PART], dA[PART];
        term = terms.weights(q, term, part, t.cos + tile, A, dA);
        const vec<T> eta = broadcast<T>(T(2 * b.eta[q]));
        unrolled<PART>([&](auto i) __attribute__((always_inline)) {
          const vec<T> E = load(t.E + q * t.cap + tile + part + i * W), AE = A[i] * E;
          D[i] += dA[i] * E, one[i] += AE, two[i] += eta * AE;
        });
      }
      unrolled<PART>([&](auto i) __attribute__((always_inline)) {
        const int k = tile + part + i * W;
        const vec<T> third = load(t.third + k), d = D[i] * third, from_v = two[i] * third, from_jk = one[i] * load(t.dthird + k) - from_v;
        store<T>(t.third + k, one[i] * third), store<T>(t.E + k, from_jk - from_v);
        store<T>(t.q + k, d * load(t.q + k) - from_jk), store<T>(t.cos + k, d * load(t.cos + k));
      });
    }
  }

  template <int R> FASTMD_INLINE void hand_out(const typename Triplets<T>::Row &row, int &first, const unsigned *&masks) noexcept {
    vec<T> xj[R], yj[R], zj[R], chi[R], inv2[R], a[R] = {}, bx[R] = {}, by[R] = {}, bz[R] = {};
    unrolled<R>([&](auto r) __attribute__((always_inline)) {
      const int j = row.j + r;
      xj[r] = broadcast<T>(h.x[j]), yj[r] = broadcast<T>(h.y[j]), zj[r] = broadcast<T>(h.z[j]), chi[r] = broadcast<T>(h.chi[j]), inv2[r] = broadcast<T>(h.inv2[j]);
    });
    const T *const ones = t.third, *const twos = t.E, *const Cs = t.cos, *const Bs = t.q;
    const unsigned *mask = masks;
    size_t at = first;
    for (Near<T> *n = t.near + row.k / W, *const end = t.near + (k1 + W - 1) / W; n < end; n++) {
      vec<T> ak = n->a, bxk = n->bx, byk = n->by, bzk = n->bz;
      unrolled<R>([&](auto r) __attribute__((always_inline)) {
        const unsigned m = *mask++;
        const Lanes<T> lanes = unpacking<T>(m);
        const vec<T> B = unpack<T>(Bs + at, lanes);  // one after the other: this and all the sums fill the registers
        bx[r] += B * n->x, by[r] += B * n->y, bz[r] += B * n->z;
        bxk += B * xj[r], byk += B * yj[r], bzk += B * zj[r];
        const vec<T> one = unpack<T>(ones + at, lanes);
        a[r] += chi[r] * one, ak += n->chi * one;
        const vec<T> two = unpack<T>(twos + at, lanes);
        a[r] += two, ak += two;
        const vec<T> C = unpack<T>(Cs + at, lanes);
        a[r] -= inv2[r] * C, ak -= n->inv2 * C;
        at += __builtin_popcount(m);
      });
      n->a = ak, n->bx = bxk, n->by = byk, n->bz = bzk;
    }
    masks = mask, first = int(at);
    unrolled<R>([&](auto r) __attribute__((always_inline)) { add_sums<T>(h.row + 4 * (row.j + r), a[r], bx[r], by[r], bz[r]); });
  }
  void hand_out_row(const typename Triplets<T>::Row &row, int &at, const unsigned *&mask) noexcept {
    if (row.count == 2) hand_out<2>(row, at, mask);
    else hand_out<1>(row, at, mask);
  }

  void blank(int from, int to) noexcept {  // lanes after the last triplet
    auto fill = [&](T *a, T x) { std::fill(a + from, a + to, x); };
    fill(t.cos, 0), fill(t.q, 0), fill(t.third, 1), fill(t.E, 0);
    if (mode == Mode::jvp) fill(t.dcos, 0), fill(t.w, 0), fill(t.wjk, 0), fill(t.X, 0);
  }

  // All that is left of the triplets from `begin` on; tiles up to `done` are done.
  void work_off(int begin, int done, int first_row, int first_mask) noexcept {
    const int end = begin + round_up(t.used - begin, STEP);
    blank(t.used, end);
    for (int at = done; at < end; at += TILE<T>) {
      const int count = std::min(TILE<T>, end - at);
      make(at, count);
      if constexpr (mode == Mode::gradient) scalars(at, count);
      else add(at, count);
    }
    if constexpr (mode == Mode::gradient) {
      const unsigned *mask = t.mask + first_mask;
      for (int r = first_row, at = begin; r < t.n_rows; r++) hand_out_row(t.row[r], at, mask);
    }
  }

  void start(const T *weight) noexcept {
    terms.start(b, weight);
    if constexpr (mode != Mode::value) log_slopes<T>(b, h, base, dbase);
    const T low = by_shape ? T(e.shape[b.shape[0]].from) : T(0), high = by_shape ? T(e.shape[b.shape[0]].to) : T(e.cutoff[b.cutoff].rc);
    least = low * low, most = high * high;
    h.stretch(of_j, low, high, j0, j1);
    h.stretch(of_k, low, high, k0, k1);
    for (int k = k0 / W * W; k < k1; k += W) {
      Near<T> &n = t.near[k / W];
      n.x = load(h.x + k), n.y = load(h.y + k), n.z = load(h.z + k), n.r2 = load(h.r2 + k), n.inv = load(h.inv + k), n.base = load(base + k);
      if constexpr (mode == Mode::gradient) n.inv2 = load(h.inv2 + k), n.chi = load(h.chi + k), n.a = n.bx = n.by = n.bz = vec<T>{};
    }
  }
  // Gradient: what the neighbours k got
  void finish() noexcept {
    for (int k = k0 / W * W; k < k1; k += W) {
      const Near<T> &n = t.near[k / W];
      store<T>(h.a + k, load(h.a + k) + n.a), store<T>(h.bx + k, load(h.bx + k) + n.bx), store<T>(h.by + k, load(h.by + k) + n.by), store<T>(h.bz + k, load(h.bz + k) + n.bz);
    }
  }

  // Adds to G (value) or dG (jvp) of the block's functions; with gradient, to a, bx, by, bz. In the first of two passes the triplets are
  // kept, if they find room.
  void run(const T *weight, T *G, typename Triplets<T>::Keep *keep) noexcept {
    start(weight);
    const int begin = t.used, first_row = t.n_rows, first_mask = t.masks;
    bool kept = mode == Mode::value && t.keeping;
    int done = begin;
    auto forget = [&] {
      work_off(begin, done, first_row, first_mask);
      t.used = done = begin, t.n_rows = first_row, t.masks = first_mask;
    };
    for (int j = j0, count; j < j1; j += count) {
      const int from = b.a == b.b ? j + 1 : k0;
      count = j + 1 < j1 && from + 1 < k1 ? 2 : 1;
      if (from >= k1) continue;
      if (t.used + count * (k1 - from) > t.cap - TILE<T> - W || t.masks + count * ((k1 - from) / W + 2) > t.mask_cap || t.n_rows == t.row_cap) {
        kept = false;  // no room
        forget();
      }
      if (count == 2) rows<2>(j, from);
      else rows<1>(j, from);
      if (t.used - done < CHUNK) continue;
      if (kept)
        for (const int to = done + (t.used - done) / TILE<T> * TILE<T>; done < to; done += TILE<T>) make(done, TILE<T>), add(done, TILE<T>);
      else
        forget();
    }
    if (t.used > done) work_off(begin, done, first_row, first_mask);
    const int end = begin + round_up(t.used - begin, STEP);
    if (kept && end <= KEPT && t.n_rows <= KEPT && t.masks <= KEPT) *keep = {begin, end, first_row, t.n_rows, first_mask}, t.used = end;
    else t.used = begin, t.n_rows = first_row, t.masks = first_mask;
    if constexpr (mode == Mode::gradient) finish();
    else terms.finish(G);
  }

  // The second pass over triplets that the first one kept
  void run_kept(const T *weight, const typename Triplets<T>::Keep &keep) noexcept {
    start(weight);
    const unsigned *mask = t.mask + keep.mask;
    int at = keep.begin, done = keep.begin;
    for (int r = keep.row; r < keep.last_row; r++) {
      if (done < t.row[r].end)
        for (const int to = std::min(keep.end, std::max(t.row[r].end, done + CHUNK)); done < to; done += TILE<T>) scalars(done, std::min(TILE<T>, keep.end - done));
      hand_out_row(t.row[r], at, mask);
    }
    finish();
  }
};

}  // namespace FASTMD_ISA
}  // namespace fastmd
