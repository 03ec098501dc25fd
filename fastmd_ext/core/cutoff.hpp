// cutoff.hpp: the functions that take a neighbour smoothly to zero at r = rc, and their derivatives. x = (r - inner) / (rc - inner); 1 for
// x <= 0, where inner = alpha rc (0 for both tanh), and all zero for x >= 1.
//   hard    1                                  jumps at rc
//   cosine  (cos(pi x) + 1) / 2                J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007), eq. 4
//   tanh3   tanh^3(1 - x)                      J. Behler, J. Chem. Phys. 134, 074106 (2011), eq. 6 (not 1 at r = 0)
//   tanh3n  tanh^3(1 - x) / tanh^3(1)          the same, 1 at r = 0
//   exp     exp(1 - 1 / (1 - x^2))             infinitely often differentiable
//   poly1   1 - 3 x^2 + 2 x^3                  polyK: A. Singraber et al., J. Chem. Theory Comput. 15, 1827 (2019): K times
//   poly2   1 - 10 x^3 + 15 x^4 - 6 x^5        continuously differentiable
//   poly3   1 - 35 x^4 + 84 x^5 - 70 x^6 + 20 x^7
//   poly4   1 - 126 x^5 + 420 x^6 - 540 x^7 + 315 x^8 - 70 x^9
#pragma once
#include "elementary.hpp"
#include "plan.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// exp and the polynomials of 0 <= x <= 1, y = 1 - x, and their derivatives by x. In factors of y, so that nothing cancels near x = 1.
template <class T> FASTMD_INLINE void core(int type, vec<T> x, vec<T> y, vec<T> &f, vec<T> &df) {
  vec<T> x2 = x * x, y2 = y * y;
  switch (type) {
    case CUTOFF_POLY1:
      f = y2 * (T(1) + T(2) * x);
      df = x * y * T(-6);
      break;
    case CUTOFF_POLY2:
      f = y * y * y * (T(1) + x * (T(3) + T(6) * x));
      df = x2 * y * y * T(-30);
      break;
    case CUTOFF_POLY3:
      f = y2 * y2 * (T(1) + x * (T(4) + x * (T(10) + T(20) * x)));
      df = x2 * x * y2 * y * T(-140);
      break;
    case CUTOFF_POLY4:
      f = y2 * y2 * y * (T(1) + x * (T(5) + x * (T(15) + x * (T(35) + T(70) * x))));
      df = x2 * x2 * y2 * y2 * T(-630);
      break;
    default: {  // CUTOFF_EXP
      vec<T> z = y > T(1e-9) ? y : broadcast<T>(T(1e-9)), q = T(1) / (z * (T(1) + x));  // e^(-5e8) is 0 too, and no infinity meets it
      f = exp_neg<T>(x2 * -q);
      df = x * q * q * f * T(-2);
    }
  }
}

// From u = r^2, and the derivative divided by r: triplets know the squares of their distances, and the cosine needs no root.
// inside: it is known that all are, but for rounding.
template <class T, bool inside = false, class V> FASTMD_INLINE void cutoff(const Cutoff &c, V u, V &f, V &df) {
  const T inv = T(1 / (c.rc - c.inner));
  constexpr T CLOSEST = T(1e-12);  // two neighbours at one place: r_jk has no direction there
  auto at_least = [](V x, T least) __attribute__((always_inline)) { return map<T>(x, [least](vec<T> y, auto) __attribute__((always_inline)) { return larger<T>(y, broadcast<T>(least)); }); };
  auto at_most_1 = [](V x) __attribute__((always_inline)) { return map<T>(x, [](vec<T> y, auto) __attribute__((always_inline)) { return y < T(1) ? y : broadcast<T>(T(1)); }); };
  if (c.type == CUTOFF_COSINE && c.inner == 0) {
    V z = u * T(inv * inv);
    if constexpr (!inside) z = at_most_1(z);
    cos_cut<T>(z, f, df);
    df = df * T(inv * inv);
  } else if (c.type == CUTOFF_HARD) {
    f = map<T>(u, [](vec<T>, auto) { return broadcast<T>(T(1)); }), df = map<T>(u, [](vec<T>, auto) { return vec<T>{}; });
  } else if (c.type == CUTOFF_TANH3 || c.type == CUTOFF_TANH3N) {
    const T norm = c.type == CUTOFF_TANH3 ? T(1) : T(2.263753795225350795);  // 1 / tanh^3(1)
    V by_r, y = T(1) - root<T>(at_least(u, CLOSEST), by_r) * inv;
    if constexpr (!inside) y = at_least(y, 0);
    V t = tanh_unit<T>(y), t2 = t * t;
    f = t2 * t * norm;
    df = (t2 * t2 - t2) * by_r * (3 * norm * inv);
  } else {
    V by_r, r = root<T>(at_least(u, CLOSEST), by_r);
    V x = (r - T(c.inner)) * inv;
    if constexpr (!inside) x = at_most_1(x);
    if (c.inner > 0) x = at_least(x, 0);
    if (c.type == CUTOFF_COSINE) {
      cos_cut<T>(x * x, f, df);
      df = df * x;
    } else {
      if constexpr (inside) x = at_most_1(x);
      df = map<T>(x, [&](vec<T> y, auto k) __attribute__((always_inline)) {
        vec<T> g, dg;
        core<T>(c.type, y, T(1) - y, g, dg);
        set<T>(f, k, g);
        return dg;
      });
    }
    df = df * by_r * inv;
  }
  if constexpr (!inside) {
    const T most = T(c.rc * c.rc);
    auto in = [&](vec<T> y, auto k) __attribute__((always_inline)) { return each<T>(u, k) < most ? y : vec<T>{}; };
    f = map<T>(f, in), df = map<T>(df, in);
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
