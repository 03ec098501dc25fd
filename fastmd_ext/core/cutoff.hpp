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
      vec<T> q = T(1) / (y * (T(1) + x));
      f = exp<T>(x2 * -q);
      df = x * q * q * f * T(-2);
    }
  }
}

template <class T> FASTMD_INLINE void cutoff(const Cutoff &c, vec<T> r, vec<T> &f, vec<T> &df) {
  const T inv = T(1 / (c.rc - c.inner));
  vec<T> x = (r - T(c.inner)) * inv;
  auto inside = x < T(1);
  x = inside ? x : broadcast<T>(T(1));
  x = x > T(0) ? x : vec<T>{};
  switch (c.type) {
    case CUTOFF_HARD:
      f = broadcast<T>(T(1));
      df = vec<T>{};
      break;
    case CUTOFF_COSINE: {
      vec<T> s, co;
      sincos<T>(x * T(M_PI), s, co);
      f = (co + T(1)) * T(0.5);
      df = s * (T(-0.5 * M_PI) * inv);
      break;
    }
    case CUTOFF_TANH3:
    case CUTOFF_TANH3N: {
      const T norm = c.type == CUTOFF_TANH3 ? T(1) : T(2.263753795225350795);  // 1 / tanh^3(1)
      vec<T> t = tanh<T>(T(1) - x), t2 = t * t;
      f = t2 * t * norm;
      df = t2 * (T(1) - t2) * (T(-3) * norm * inv);
      break;
    }
    default:
      core<T>(c.type, x, T(1) - x, f, df);
      df *= inv;
  }
  f = inside ? f : vec<T>{};
  df = inside ? df : vec<T>{};
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
