// cutoff.hpp: the functions that take a neighbour smoothly to zero at r = rc, and their derivatives. x = r / rc, all zero for x >= 1.
//   cosine  (cos(pi x) + 1) / 2                J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007), eq. 4
//   tanh3   tanh^3(1 - x)                      J. Behler, J. Chem. Phys. 134, 074106 (2011), eq. 6 (not 1 at r = 0)
//   poly2   1 - 10 x^3 + 15 x^4 - 6 x^5        A. Singraber et al., J. Chem. Theory Comput. 15, 1827 (2019): twice continuously differentiable
#pragma once
#include "elementary.hpp"
#include "plan.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

template <class T> FASTMD_INLINE void cutoff(const Cutoff &c, vec<T> r, vec<T> &f, vec<T> &df) {
  const T inv = T(1 / c.rc);
  vec<T> x = r * inv;
  auto inside = x < T(1);
  x = inside ? x : broadcast<T>(T(1));
  switch (c.type) {
    case CUTOFF_COSINE: {
      vec<T> s, co;
      sincos<T>(x * T(M_PI), s, co);
      f = (co + T(1)) * T(0.5);
      df = s * (T(-0.5 * M_PI) * inv);
      break;
    }
    case CUTOFF_TANH3: {
      vec<T> t = tanh<T>(T(1) - x), t2 = t * t;
      f = t2 * t;
      df = t2 * (T(1) - t2) * (T(-3) * inv);
      break;
    }
    default: {  // CUTOFF_POLY2
      vec<T> x2 = x * x, y = T(1) - x;
      f = y * y * y * (T(1) + x * (T(3) + T(6) * x));  // the same polynomial without cancellation near rc
      df = x2 * y * y * (T(-30) * inv);
    }
  }
  f = inside ? f : vec<T>{};
  df = inside ? df : vec<T>{};
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
