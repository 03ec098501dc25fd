// angular.hpp: the angular symmetry functions, over unordered pairs j < k of neighbours (Behler's double sum is twice that):
//   G4 = 2^(1-zeta) sum_{j<k} (1 + lambda cos)^zeta exp(-eta (r_ij^2 + r_ik^2 + r_jk^2)) fc(r_ij) fc(r_ik) fc(r_jk)   "narrow"
//   G5 = 2^(1-zeta) sum_{j<k} (1 + lambda cos)^zeta exp(-eta (r_ij^2 + r_ik^2)) fc(r_ij) fc(r_ik)                     "wide"
//   G21 = sum_{j<k} A(theta) C(r_ij) C(r_ik) C(r_jk),  G22 without the last factor; C: the compact shape of radial.hpp
// J. Behler, J. Chem. Phys. 134, 074106 (2011), eqs. 10, 11 (where r stands, r - rs may). Mind the names: our G4 is RuNNer's and n2p2's
// type 3, our G5 is type 9. G21, G22: M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021).
//
// Wide ones (wide.hpp) and narrow ones (narrow.hpp) differ in how their triplets are walked over. Here is what is done by arithmetic that needs no
// neighbours: powers of the cosine and windows of the angle, for whole vectors of triplets; and the sums over functions of narrow ones. No dG/dr is ever stored.
#pragma once
#include "neighbourhood.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

enum class Mode { value, gradient, jvp };
constexpr int PART = 4;                                      // vectors whose sums are in registers at a time
template <class T> constexpr int TILE = 4 * PART * width<T>;  // narrow: triplets that are worked on together, at most

// A window of the angle and its derivative by the cosine, or the angle they are made of. A hair inside |cos| = 1 everything is finite and, to
// rounding, what it is there: a window about 0 or 180 degrees is smooth in the cosine. `stride` numbers after what stands at theta or out is its derivative.
template <class T, bool slopes> __attribute__((noinline)) void window(const Op &op, int n, const T *cos, const T *theta, T *out, int stride) noexcept {
  constexpr int W = width<T>;
  const T centre = T(op.value), scale = T(op.scale);
  for (int k = 0; k < n; k += W) {
    if (op.kind == Op::ANGLE) {
      vec<T> c = inside_unit<T>(load(cos + k));
      store<T>(out + k, acos<T>(c));
      if (slopes) store<T>(out + stride + k, T(-1) / sqrt((T(1) - c) * (T(1) + c)));
    } else {
      vec<T> t = (load(theta + k) - centre) * scale, x = t < T(0) ? -t : t, f, df;
      x = x < T(1) ? x : broadcast<T>(T(1));
      core<T>(op.core, x, T(1) - x, f, df);
      auto in = x < T(1);
      store<T>(out + k, in ? f : vec<T>{});
      if (slopes) store<T>(out + stride + k, in ? df * (t < T(0) ? broadcast<T>(-scale) : broadcast<T>(scale)) * load(theta + stride + k) : vec<T>{});
    }
  }
}

// x^n, a chain of few products written out
template <int n, class V> FASTMD_INLINE V power(const V &x) {
  if constexpr (n == 1) return x;
  else if constexpr (n % 2 == 0) {
    const V y = power<n / 2>(x);
    return y * y;
  } else if constexpr (n % 3 == 0) {
    const V y = power<n / 3>(x);
    return y * y * y;
  } else return power<n - 1>(x) * x;
}

// out = p^n and, `stride` numbers after it, p^(n-1), for `count` numbers x and p = offset + scale x. PART vectors at a time, which do not wait for each
// other. n: op.value where that is a small whole number and nothing is cut off, else 0. Each power by itself: what it could share with others would
// have to be read again.
template <class T, bool slopes, int n> void powers(const Op &op, int count, const T *x, T *out, int stride) noexcept {
  constexpr int W = width<T>;
  const vec<T> offset = broadcast<T>(T(op.offset)), scale = broadcast<T>(T(op.scale));
  for (int k = 0; k < count; k += PART * W) {
    auto p = build<T, PART>([&](auto i) __attribute__((always_inline)) { return offset + scale * load(x + k + i * W); }), y = p;
    if constexpr (n > 1) {
      y = power<slopes ? n - 1 : n>(p);
    } else {
      p = y = map<T>(p, [](vec<T> a, auto) __attribute__((always_inline)) { return a > T(0) ? a : vec<T>{}; });
      if (op.value == 1) y = map<T>(p, [](vec<T> a, auto) __attribute__((always_inline)) { return a > T(0) ? broadcast<T>(T(1)) : vec<T>{}; });
      else if (op.value == std::floor(op.value) && op.value <= 4096) y = whole_power<T>(p, int(op.value) - 1);
      else y = map<T>(p, [&op](vec<T> a, auto) { for (int l = 0; l < W; l++) a[l] = std::pow(a[l], T(op.value - 1)); return a; });
    }
    unrolled<PART>([&](auto i) __attribute__((always_inline)) {
      store<T>(out + k + i * W, slopes || n < 2 ? y.v[i] * p.v[i] : y.v[i]);
      if (slopes) store<T>(out + stride + k + i * W, y.v[i]);
    });
  }
}
constexpr int WRITTEN_OUT = 33;  // powers below that
template <class T, bool slopes, int... n> FASTMD_INLINE void powers(const Op &op, int count, const T *x, T *out, int stride, std::integer_sequence<int, n...>) noexcept {
  static constexpr void (*all[])(const Op &, int, const T *, T *, int) noexcept = {powers<T, slopes, n>...};
  all[!op.cut && op.value < WRITTEN_OUT ? int(op.value) : 0](op, count, x, out, stride);
}

// slot by slot, each `stride` numbers, what the block's functions need of `count` cosines, a multiple of PART vectors; or the exponentials of so many v
template <class T, bool slopes> FASTMD_INLINE void run_program(const Program &program, int count, const T *cos, T *slot, int stride) noexcept {
  constexpr int W = width<T>;
  for (const Op *op = program.op; op < program.op + program.n; op++) {
    T *out = slot + size_t(op->out) * stride;
    const T *x = op->of_slot ? slot + size_t(op->a) * stride : cos;
    if (op->kind == Op::POWERS) powers<T, slopes>(*op, count, x, out, stride, std::make_integer_sequence<int, WRITTEN_OUT>{});
    else if (op->kind == Op::EXP)
      for (int k = 0; k < count; k += ABREAST * W) {
        const Several<T, ABREAST> y = exp_neg<T>(build<T, ABREAST>([&](auto i) __attribute__((always_inline)) { return load(x + k + i * W) * T(-op->value); }));
        unrolled<ABREAST>([&](auto i) __attribute__((always_inline)) { store<T>(out + k + i * W, y.v[i]); });
      }
    else window<T, slopes>(*op, count, cos, x, out, stride);
  }
}

// The terms of one block: its functions' sums, or the weights that a gradient gives their powers.
template <class T, Mode mode> struct Terms {
  static constexpr int W = width<T>;
  struct Sum {            // of a term
    const T *power, *derivative;  // their slots
    vec<T> s;             // gradient: dE/dpower and dE/dderivative in two lanes
    T slope;
  };
  struct Linear {         // of a channel
    vec<T> s0, s1;        // sums of E and E cos (jvp: of their changes); gradient: c0 and c1 of c0 + c1 cos
    bool any;
    Sum *end;             // of the channel's terms
  };
  const Block *b;
  T *slot;                // powers for one tile
  Sum *sum_of;
  Linear *linear;

  void carve(Carver &m, const Plan &p) {
    slot = m.take<T>(size_t(p.max_slots) * TILE<T>);
    sum_of = m.take<Sum>(p.max_terms);
    linear = m.take<Linear>(p.max_channels);
  }

  void start(const Block &block, const T *weight) noexcept {
    b = &block;
    for (int f = 0; f < b->n_terms; f++) {
      const Term &m = b->term[f];
      Sum &y = sum_of[f];
      y.power = slot + size_t(mode == Mode::value ? m.value : m.power) * TILE<T>, y.derivative = slot + size_t(m.derivative) * TILE<T>;
      y.s = vec<T>{}, y.slope = T(m.slope);
      if constexpr (mode == Mode::gradient) {
        const T w = weight[m.index] * T(m.norm);
        y.s[0] = w, y.s[1] = w * y.slope;
      }
    }
    for (int q = 0, f = 0; q < b->n_channels; q++) {
      T c0 = 0, c1 = 0;
      linear[q].any = f < b->last_linear[q], linear[q].end = sum_of + b->last_term[q];
      for (; f < b->last_linear[q]; f++) {
        if constexpr (mode != Mode::gradient) continue;
        const T w = weight[b->linear[f].index] * T(b->linear[f].norm);
        c0 += w, c1 += w * T(b->linear[f].lambda);
      }
      linear[q].s0 = broadcast<T>(c0), linear[q].s1 = broadcast<T>(c1);
    }
  }
  FASTMD_INLINE void run(const T *cos, int count) noexcept { run_program<T, mode != Mode::value>(mode == Mode::value ? b->values : b->derivatives, count, cos, slot, TILE<T>); }

  // Value and jvp: adds a part of a tile to the sums of channel q, whose terms begin at y: returns where those of the next begin. at: the part's place
  // in the tile
  FASTMD_INLINE Sum *add(int q, Sum *y, int at, const vec<T> (&E)[PART], const vec<T> (&dE)[PART], const T *cos, const T *dcos) noexcept {
    Linear &l = linear[q];
    if (l.any) {
      vec<T> s0 = l.s0, s1 = l.s1;
      unrolled<PART>([&](auto i) __attribute__((always_inline)) {
        const vec<T> c = load(cos + at + i * W);
        if constexpr (mode == Mode::value) s0 += E[i], s1 += E[i] * c;
        else s0 += dE[i], s1 += dE[i] * c + E[i] * load(dcos + at + i * W);
      });
      l.s0 = s0, l.s1 = s1;
    }
    for (; y < l.end; y++) {
      const T *P = y->power + at, *Q = y->derivative + at;
      vec<T> s = y->s;
      unrolled<PART>([&](auto i) __attribute__((always_inline)) {
        if constexpr (mode == Mode::value) s += load(P + i * W) * E[i];
        else s += load(P + i * W) * dE[i] + y->slope * load(Q + i * W) * (E[i] * load(dcos + at + i * W));
      });
      y->s = s;
    }
    return y;
  }
  // Gradient: sum of the weighted powers of channel q, and its derivative by the cosine
  template <int N> FASTMD_INLINE const Sum *weights(int q, const Sum *y, int at, const T *cos, vec<T> (&A)[N], vec<T> (&dA)[N]) const noexcept {
    const Linear &l = linear[q];
    if (l.any) unrolled<N>([&](auto i) __attribute__((always_inline)) { A[i] = l.s0 + l.s1 * load(cos + at + i * W), dA[i] = l.s1; });
    else if (y == l.end) unrolled<N>([&](auto i) __attribute__((always_inline)) { A[i] = dA[i] = vec<T>{}; });
    else {
      const T *P = y->power + at, *Q = y->derivative + at;
      const vec<T> wp = broadcast<T>(y->s[0]), wq = broadcast<T>(y->s[1]);
      unrolled<N>([&](auto i) __attribute__((always_inline)) { A[i] = wp * load(P + i * W), dA[i] = wq * load(Q + i * W); });
      y++;
    }
    for (; y < l.end; y++) {
      const T *P = y->power + at, *Q = y->derivative + at;
      const vec<T> wp = broadcast<T>(y->s[0]), wq = broadcast<T>(y->s[1]);
      unrolled<N>([&](auto i) __attribute__((always_inline)) { A[i] += wp * load(P + i * W), dA[i] += wq * load(Q + i * W); });
    }
    return y;
  }
  void finish(T *G) const noexcept {
    for (int f = 0; f < b->n_terms; f++) G[b->term[f].index] += T(b->term[f].norm) * sum<T>(sum_of[f].s);
    for (int q = 0, f = 0; q < b->n_channels; q++) {
      const T s0 = sum<T>(linear[q].s0), s1 = sum<T>(linear[q].s1);
      for (; f < b->last_linear[q]; f++) G[b->linear[f].index] += T(b->linear[f].norm) * (s0 + T(b->linear[f].lambda) * s1);
    }
  }
};

// chi = base' / (r base): the base is a factor of what it multiplies, so where it is 0 any number will do
template <class T> void log_slopes(const Block &b, Neighbourhood<T> &h, const T *base, const T *dbase) noexcept {
  for (int q : {b.a, b.b})
    for (int k = h.from[q]; k < h.from[q] + h.count[q]; k += width<T>) {
      vec<T> f = load(base + k);
      store<T>(h.chi + k, f > T(0) ? load(dbase + k) / f : vec<T>{});
    }
}
// jvp: d(d_ij . d_ik) = v_ij . d_ik + d_ij . v_ik, and the change of the cosine c from it
template <class T> FASTMD_INLINE vec<T> change_of_product(const Neighbourhood<T> &h, int j, int k) noexcept {
  return h.vx[j] * load(h.x + k) + h.vy[j] * load(h.y + k) + h.vz[j] * load(h.z + k) + h.x[j] * load(h.vx + k) + h.y[j] * load(h.vy + k) + h.z[j] * load(h.vz + k);
}
template <class T> FASTMD_INLINE vec<T> change_of_cos(const Neighbourhood<T> &h, int j, int k, vec<T> c, vec<T> y) noexcept {
  return y * (h.inv[j] * load(h.inv + k)) - c * (h.along[j] * h.inv2[j] + load(h.along + k) * load(h.inv2 + k));
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
