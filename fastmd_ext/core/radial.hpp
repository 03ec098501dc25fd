// radial.hpp: the shapes R(r) of symmetry functions and their derivatives; the cutoff is multiplied on.
//   one       1                        G1 = sum_j fc(r_ij)
//   gaussian  exp(-eta (r - rs)^2)     G2 = sum_j exp(-eta (r_ij - rs)^2) fc(r_ij)
//   cosine    cos(kappa r)             G3 = sum_j cos(kappa r_ij) fc(r_ij)
//   compact   core(|r - centre| / half width), zero outside; asymmetric: core((2 - x) x). The cutoff is a hard one
// J. Behler, J. Chem. Phys. 134, 074106 (2011), eqs. 7-9; compact: M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2,
// 035026 (2021). A new shape goes here.
#pragma once
#include "cutoff.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// R(r) and R'(r) / r; inv = 1 / r
template <class T> FASTMD_INLINE void shape(const Shape &s, vec<T> r, vec<T> inv, vec<T> &R, vec<T> &dR) {
  switch (s.kind) {
    case SHAPE_ONE:
      R = broadcast<T>(T(1)), dR = vec<T>{};
      break;
    case SHAPE_GAUSSIAN: {
      vec<T> d = r - T(s.p1);
      R = exp_neg<T>(d * d * T(-s.p0));
      dR = R * (T(-2 * s.p0) + T(2 * s.p0 * s.p1) * inv);
      break;
    }
    case SHAPE_COMPACT: {
      vec<T> u = (r - T(s.p0)) * T(s.p1), x = u < T(0) ? -u : u;
      x = x < T(1) ? x : broadcast<T>(T(1));
      vec<T> y = T(1) - x, slope = broadcast<T>(T(s.p1));
      if (s.asymmetric) {  // 1 - (2 - x) x = y^2
        slope *= T(2) * y;
        x *= T(1) + y, y *= y;
      }
      core<T>(s.core, x, y, R, dR);
      dR *= (u < T(0) ? -slope : slope) * inv;
      R = y > T(0) ? R : vec<T>{};
      dR = y > T(0) ? dR : vec<T>{};
      break;
    }
    default: {  // SHAPE_COSINE
      vec<T> sine;
      sincos<T>(r * T(s.p0), sine, R);
      dR = sine * T(-s.p0) * inv;
    }
  }
}

// x^n, n >= 1
template <class T, class V> FASTMD_INLINE V whole_power(V x, int n) {
  V p = x;
  int bit = 1;
  while (bit <= n / 2) bit *= 2;
  for (bit /= 2; bit; bit /= 2) {
    p = p * p;
    if (n & bit) p = p * x;
  }
  return p;
}

// A shape times its cutoff, and the derivative of that divided by r, over arrays of whole vectors. raw: where the Gaussians stand, for
// shapes that are powers of them.
template <class T> inline void shape_array(const Shape &s, int from, int to, const T *r, const T *inv, const T *fc, const T *dfc, const T *like, T *raw, T *f, T *df) noexcept {
  constexpr int W = width<T>;
  int k = from;
  auto put = [&](int k, vec<T> R, vec<T> dR) __attribute__((always_inline)) {
    store<T>(f + k, R * load(fc + k));
    store<T>(df + k, dR * load(fc + k) + R * load(dfc + k));
  };
  auto powers = [&](auto several) __attribute__((always_inline)) {  // so many vectors at a time, as long as there are as many
    constexpr int N = several;
    for (; k + (N - 1) * W < to; k += N * W) {
      const auto R = whole_power<T>(build<T, N>([&](auto i) __attribute__((always_inline)) { return load(like + k + i * W); }), s.times);
      unrolled<N>([&](auto i) __attribute__((always_inline)) { put(k + i * W, R.v[i], R.v[i] * (T(-2 * s.p0) + T(2 * s.p0 * s.p1) * load(inv + k + i * W))); });
    }
  };
  if (s.like >= 0) {
    powers(std::integral_constant<int, 4>{});
    powers(std::integral_constant<int, 1>{});
  }
  for (; k < to; k += W) {
    vec<T> R, dR;
    shape<T>(s, load(r + k), load(inv + k), R, dR);
    store<T>(raw + k, R);
    put(k, R, dR);
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
