// repulsion.hpp: a pair term that is added to the network where atoms come close: phi(r), of which either atom of the pair has half.
//   zbl    K/r sum_k c_k exp(-d_k r/a) + S(r),  K = Z_i Z_j e^2/(4 pi eps0),  a = 0.46850 / (Z_i^0.23 + Z_j^0.23) angstrom; between inner
//          and outer the polynomial S takes energy, slope and curvature to zero
//          J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Matter (1985); S as LAMMPS documents it (pair_style zbl)
//   table  cubic Hermite interpolation of phi and dphi/dr on equidistant r; below the first r a straight line, zero from the last on
#pragma once
#include <cmath>
#include "plan.hpp"

namespace fastmd {

constexpr double COULOMB = 14.399645351950548;  // e^2 / (4 pi eps0) in eV angstrom, ASE's Hartree * Bohr
constexpr double ZBL_C[4] = {0.18175, 0.50986, 0.28022, 0.02817}, ZBL_D[4] = {3.19980, 0.94229, 0.40290, 0.20162};

// K/r phi(r/a) and its derivatives
inline void zbl(double K, double inv_a, double r, double &E, double &dE, double &d2E) {
  double p = 0, dp = 0, d2p = 0;
  for (int k = 0; k < 4; k++) {
    const double d = ZBL_D[k] * inv_a, e = ZBL_C[k] * std::exp(-d * r);
    p += e, dp -= d * e, d2p += d * d * e;
  }
  const double q = K / r, s = 1 / r;
  E = q * p, dE = q * (dp - s * p), d2E = q * (d2p - 2 * s * dp + 2 * s * s * p);
}

inline void pair_term(const PairTerm &t, double r, double &E, double &dE) {
  if (t.kind == PAIR_ZBL) {
    double unused;
    zbl(t.charge, t.inv_a, r, E, dE, unused);
    const double y = r - t.start;
    E += t.S[2];
    if (y > 0) E += y * y * y * (t.S[0] / 3 + t.S[1] / 4 * y), dE += y * y * (t.S[0] + t.S[1] * y);
    return;
  }
  const double u = (r - t.start) / t.step;
  if (u <= 0) {
    dE = t.row[1], E = t.row[0] + (r - t.start) * dE;
    return;
  }
  const int k = u < t.n - 2 ? int(u) : t.n - 2;
  const double x = u - k, y = 1 - x, h = t.step, *a = t.row + 2 * k;
  E = (1 + 2 * x) * y * y * a[0] + x * y * y * h * a[1] + x * x * (3 - 2 * x) * a[2] - x * x * y * h * a[3];
  dE = 6 * x * y * (a[2] - a[0]) / h + y * (1 - 3 * x) * a[1] + x * (3 * x - 2) * a[3];
}

}  // namespace fastmd
