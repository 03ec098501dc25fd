// pairs.hpp: neighbour search by cell list: a full list, every periodic image its own pair, work proportional to the number of atoms.
// Any cell (skewed, thinner than the cutoff), any mix of periodic and open directions, atoms anywhere.
//
// Atoms are binned by their fractional coordinates, in float64. Bins only propose: whether a pair is within the cutoff is decided on
// d = x[j] - x[i] + shift @ cell, computed from the positions as given, so the list is exactly what brute force finds.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace fastmd {

struct PairList {
  std::vector<int64_t> first;
  std::vector<int32_t> j, shift;
};

namespace pairs_detail {

struct Vec {
  double v[3];
  double &operator[](int k) { return v[k]; }
  double operator[](int k) const { return v[k]; }
};
inline double dot(const Vec &a, const Vec &b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
inline Vec cross(const Vec &a, const Vec &b) { return {{a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]}}; }
inline Vec times(const Vec &a, double s) { return {{a[0] * s, a[1] * s, a[2] * s}}; }
inline double norm(const Vec &a) { return std::sqrt(dot(a, a)); }

// The lattice vectors; open directions get unit vectors at right angles to all others.
inline void basis(const double *cell, const int *pbc, Vec B[3]) {
  int periodic = 0;
  for (int k = 0; k < 3; k++)
    if (pbc[k]) {
      for (int a = 0; a < 3; a++) B[k][a] = cell[3 * k + a];
      if (!(norm(B[k]) > 0)) throw std::invalid_argument("cell: lattice vector " + std::to_string(k) + " is zero but pbc is set along it");
      periodic++;
    }
  for (int k = 0; k < 3; k++) {
    if (pbc[k]) continue;
    const int p = (k + 1) % 3, q = (k + 2) % 3;
    if (periodic == 0) {
      B[k] = {{k == 0 ? 1.0 : 0, k == 1 ? 1.0 : 0, k == 2 ? 1.0 : 0}};
    } else if (periodic == 1) {  // two open: the first takes any vector at right angles to the lattice vector, the second the cross product
      const int a = pbc[p] ? p : q, other = a == p ? q : p;
      const Vec u = times(B[a], 1 / norm(B[a]));
      int least = 0;
      for (int c = 1; c < 3; c++)
        if (std::fabs(u[c]) < std::fabs(u[least])) least = c;
      Vec w{{0, 0, 0}};
      w[least] = 1;
      B[k] = cross(u, w);
      B[k] = times(B[k], 1 / norm(B[k]));
      B[other] = cross(u, B[k]);
      return;
    } else {
      B[k] = cross(B[p], B[q]);
      const double l = norm(B[k]);
      if (!(l > 1e-12 * norm(B[p]) * norm(B[q]))) throw std::invalid_argument("cell: the periodic lattice vectors are parallel, so the cell is singular");
      B[k] = times(B[k], 1 / l);
    }
  }
}

}  // namespace pairs_detail

inline void find_pairs(int64_t n, const double *x, const double *cell, const int *pbc, double cutoff, PairList &out) {
  using namespace pairs_detail;
  Vec B[3], R[3];  // basis; reciprocal: fractional coordinate k = R[k] . x
  basis(cell, pbc, B);
  const double volume = dot(B[0], cross(B[1], B[2]));
  if (!(std::fabs(volume) > 1e-12 * norm(B[0]) * norm(B[1]) * norm(B[2]))) throw std::invalid_argument("cell: the lattice vectors lie in a plane, so the cell is singular");
  for (int k = 0; k < 3; k++) R[k] = times(cross(B[(k + 1) % 3], B[(k + 2) % 3]), 1 / volume);

  // Periodic directions: fractions in [0, 1], `wrap` says by how many cells an atom was moved. Open ones: measured from the lowest atom.
  std::vector<Vec> y(n);       // positions, wrapped
  std::vector<int32_t> wrap(3 * n);
  std::vector<Vec> fraction(n);
  double low[3], span[3], width[3];  // width: between opposite faces
  for (int k = 0; k < 3; k++) {
    double high = low[k] = n ? dot(R[k], {{x[0], x[1], x[2]}}) : 0;
    for (int64_t i = 0; i < n; i++) {
      const double f = dot(R[k], {{x[3 * i], x[3 * i + 1], x[3 * i + 2]}});
      fraction[i][k] = f;
      low[k] = std::min(low[k], f), high = std::max(high, f);
    }
    if (pbc[k]) {
      if (std::fabs(low[k]) > 1e6 || std::fabs(high) > 1e6) throw std::invalid_argument("positions: an atom is more than a million cells away from the origin; wrap the positions");
      low[k] = 0, span[k] = 1;
    } else {
      span[k] = std::max(high - low[k], 1e-3 * cutoff);
    }
    width[k] = span[k] / norm(R[k]);
  }
  for (int64_t i = 0; i < n; i++) {
    y[i] = {{x[3 * i], x[3 * i + 1], x[3 * i + 2]}};
    for (int k = 0; k < 3; k++) {
      const double w = pbc[k] ? std::floor(fraction[i][k]) : 0;
      wrap[3 * i + k] = int32_t(w);
      fraction[i][k] = (fraction[i][k] - w - low[k]) / span[k];
      for (int a = 0; a < 3; a++) y[i][a] -= w * B[k][a];
    }
  }

  // Bins of half a cutoff, fewer where the atoms are spread thin, so that memory stays proportional to the atoms.
  int64_t bins[3];
  int reach[3];
  for (int k = 0; k < 3; k++) bins[k] = int64_t(std::max(1.0, std::min(std::floor(width[k] / (0.5 * cutoff)), 1e6)));
  while (bins[0] * bins[1] * bins[2] > 4 * n + 64) {
    int64_t &b = *std::max_element(bins, bins + 3);
    b = (b + 1) / 2;
  }
  double images = 1;
  for (int k = 0; k < 3; k++) {
    const double m = std::ceil(cutoff * (1 + 1e-9) * double(bins[k]) / width[k]);
    images *= pbc[k] ? 2 * m / double(bins[k]) + 1 : 1;
    if (!(m < 1e5) || images > 1e7) throw std::invalid_argument("cell: so thin against the cutoff that more than ten million images are within reach; is the unit right?");
    reach[k] = int(pbc[k] ? m : std::min<double>(m, double(bins[k] - 1)));
  }
  const int64_t n_bins = bins[0] * bins[1] * bins[2];
  std::vector<int64_t> start(n_bins + 1), bin(n);
  for (int64_t i = 0; i < n; i++) {
    int64_t b = 0;
    for (int k = 0; k < 3; k++) b = b * bins[k] + std::min(bins[k] - 1, std::max<int64_t>(0, int64_t(fraction[i][k] * double(bins[k]))));
    bin[i] = b;
    start[b + 1]++;
  }
  for (int64_t b = 0; b < n_bins; b++) start[b + 1] += start[b];
  std::vector<int32_t> atom(n);
  std::vector<double> X(n), Y(n), Z(n);
  {
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    for (int64_t i = 0; i < n; i++) {
      const int64_t q = next[bin[i]]++;
      atom[q] = int32_t(i);
      X[q] = y[i][0], Y[q] = y[i][1], Z[q] = y[i][2];
    }
  }

  const double cut2 = cutoff * cutoff, near2 = cut2 * (1 + 1e-6) + 1e-9;  // near2: what rounding may hide is looked at exactly
  std::vector<int32_t> found_j, found_shift;
  std::vector<int64_t> found_at(n), found_n(n, 0);
  struct Stretch {
    int64_t from, to;
    int32_t image[3];
    Vec move;
  };
  std::vector<Stretch> stretches;
  std::vector<double> r2;
  auto floor_div = [](int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); };
  for (int64_t b = 0; b < n_bins; b++) {
    if (start[b] == start[b + 1]) continue;
    // The neighbouring bins as stretches of atoms: along the last direction bins lie one after the other, cut where an image begins.
    const int64_t at[3] = {b / (bins[1] * bins[2]), b / bins[2] % bins[1], b % bins[2]};
    stretches.clear();
    auto range = [&](int k, int64_t &lo, int64_t &hi) {
      lo = at[k] - reach[k], hi = at[k] + reach[k];
      if (!pbc[k]) lo = std::max<int64_t>(lo, 0), hi = std::min(hi, bins[k] - 1);
    };
    int64_t l0, h0, l1, h1, l2, h2;
    range(0, l0, h0), range(1, l1, h1), range(2, l2, h2);
    for (int64_t p = l0; p <= h0; p++)
      for (int64_t q = l1; q <= h1; q++)
        for (int64_t s = l2; s <= h2;) {
          Stretch t;
          const int64_t m[3] = {floor_div(p, bins[0]), floor_div(q, bins[1]), floor_div(s, bins[2])};
          const int64_t last = std::min(h2, (m[2] + 1) * bins[2] - 1);
          const int64_t line = ((p - m[0] * bins[0]) * bins[1] + (q - m[1] * bins[1])) * bins[2] - m[2] * bins[2];
          t.from = start[line + s], t.to = start[line + last + 1];
          for (int k = 0; k < 3; k++) t.image[k] = int32_t(m[k]);
          for (int a = 0; a < 3; a++) t.move[a] = double(m[0]) * B[0][a] + double(m[1]) * B[1][a] + double(m[2]) * B[2][a];
          if (t.from < t.to) stretches.push_back(t);
          s = last + 1;
        }
    for (int64_t c = start[b]; c < start[b + 1]; c++) {
      const int64_t i = atom[c];
      found_at[i] = int64_t(found_j.size());
      for (const Stretch &t : stretches) {
        const int64_t len = t.to - t.from;
        if (int64_t(r2.size()) < len) r2.resize(len);
        const double ax = X[c] - t.move[0], ay = Y[c] - t.move[1], az = Z[c] - t.move[2];
        const double *px = &X[t.from], *py = &Y[t.from], *pz = &Z[t.from];
        double *r = r2.data();
        for (int64_t q = 0; q < len; q++) {
          const double dx = px[q] - ax, dy = py[q] - ay, dz = pz[q] - az;
          r[q] = dx * dx + dy * dy + dz * dz;
        }
        for (int64_t q = 0; q < len; q++) {
          if (!(r[q] < near2)) continue;
          const int64_t j = atom[t.from + q];
          int32_t shift[3];
          for (int k = 0; k < 3; k++) shift[k] = t.image[k] - wrap[3 * j + k] + wrap[3 * i + k];
          if (i == j && !shift[0] && !shift[1] && !shift[2]) continue;
          double exact = 0;
          for (int a = 0; a < 3; a++) {
            double d = x[3 * j + a] - x[3 * i + a];
            if (pbc[0] || pbc[1] || pbc[2]) {
              double s = 0;  // shift is 0 along open directions, whatever the cell holds there
              for (int k = 0; k < 3; k++)
                if (pbc[k]) s += shift[k] * cell[3 * k + a];
              d += s;
            }
            exact += d * d;
          }
          if (!(exact < cut2)) continue;
          found_j.push_back(int32_t(j));
          found_shift.insert(found_shift.end(), shift, shift + 3);
        }
      }
      found_n[i] = int64_t(found_j.size()) - found_at[i];
    }
  }
  // Bin order -> atom order.
  out.first.assign(n + 1, 0);
  for (int64_t i = 0; i < n; i++) out.first[i + 1] = out.first[i] + found_n[i];
  out.j.resize(found_j.size());
  out.shift.resize(found_shift.size());
  for (int64_t i = 0; i < n; i++) {
    std::copy_n(found_j.begin() + found_at[i], found_n[i], out.j.begin() + out.first[i]);
    std::copy_n(found_shift.begin() + 3 * found_at[i], 3 * found_n[i], out.shift.begin() + 3 * out.first[i]);
  }
}

}  // namespace fastmd
