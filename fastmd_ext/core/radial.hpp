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

// f, df: in, the cutoff and its derivative; out, the shape times the cutoff and the derivative of that
template <class T> FASTMD_INLINE void shape(const Shape &s, vec<T> r, vec<T> &f, vec<T> &df) {
  vec<T> R, dR;
  switch (s.kind) {
    case SHAPE_ONE: return;
    case SHAPE_GAUSSIAN: {
      vec<T> d = r - T(s.p1);
      R = exp<T>(d * d * T(-s.p0));
      dR = R * d * T(-2 * s.p0);
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
      dR *= u < T(0) ? -slope : slope;
      R = y > T(0) ? R : vec<T>{};
      dR = y > T(0) ? dR : vec<T>{};
      break;
    }
    default: {  // SHAPE_COSINE
      vec<T> sine;
      sincos<T>(r * T(s.p0), sine, R);
      dR = sine * T(-s.p0);
    }
  }
  df = dR * f + R * df;
  f = R * f;
}

// The same over arrays of whole vectors.
template <class T> inline void cutoff_array(const Cutoff &c, int from, int to, const T *r, T *f, T *df) noexcept {
  for (int k = from; k < to; k += width<T>) {
    vec<T> a, b;
    cutoff<T>(c, load(r + k), a, b);
    store<T>(f + k, a);
    store<T>(df + k, b);
  }
}
template <class T> inline void shape_array(const Shape &s, int from, int to, const T *r, const T *fc, const T *dfc, T *f, T *df) noexcept {
  for (int k = from; k < to; k += width<T>) {
    vec<T> a = load(fc + k), b = load(dfc + k);
    shape<T>(s, load(r + k), a, b);
    store<T>(f + k, a);
    store<T>(df + k, b);
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
