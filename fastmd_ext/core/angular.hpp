// angular.hpp: the angular symmetry functions, over unordered pairs j < k of neighbours (Behler's double sum is twice that):
//   G4 = 2^(1-zeta) sum_{j<k} (1 + lambda cos)^zeta exp(-eta (r_ij^2 + r_ik^2 + r_jk^2)) fc(r_ij) fc(r_ik) fc(r_jk)   "narrow"
//   G5 = 2^(1-zeta) sum_{j<k} (1 + lambda cos)^zeta exp(-eta (r_ij^2 + r_ik^2)) fc(r_ij) fc(r_ik)                     "wide"
//   G21 = sum_{j<k} A(theta) C(r_ij) C(r_ik) C(r_jk),  G22 without the last factor; C: the compact shape of radial.hpp
// J. Behler, J. Chem. Phys. 134, 074106 (2011), eqs. 10, 11 (where r stands, r - rs may). Mind the names: our G4 is RuNNer's and n2p2's
// type 3, our G5 is type 9. G21, G22: M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021).
//
// One walk serves value, gradient and jvp. Triplets are made row by row (one j, all its k) into linear scratch arrays; every few dozen,
// tiles of whole vectors go through the arithmetic that needs no neighbours (powers of the cosine, the factor in r_jk, the sums over
// functions); for gradients the rows are walked once more to hand the few scalars of each triplet to j and k. No dG/dr is ever stored.
#pragma once
#include "neighbourhood.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

enum class Mode { value, gradient, jvp };
constexpr int UNROLL = 4;                                    // vectors in a tile
template <class T> constexpr int TILE = UNROLL * width<T>;
constexpr int CHUNK = 160;                                   // triplets before the tiles are worked off: scratch stays in L1

template <class T> struct Triplets {
  T *cos, *rjk, *dcos, *drjk;  // drjk: jvp only, r_jk times its change
  T *E, *Ej, *Ek;              // per channel: phi_j phi_k; dphi_j phi_k and phi_j dphi_k (jvp: Ej is the change of E)
  T *onj, *onk, *onc, *ons;    // gradient, of the triplet: along r_ij, r_ik, cos, and (d/dr_jk) / r_jk
  T *slot;                     // powers of 1 + lambda cos for one tile
  T *acc;                      // a vector per term
  int *row_j, *row_k, *row_n;  // rows in the scratch: j, first k, how many k
  Op *op;                      // rows of the Jacobian: the operations that one term needs
  uint8_t *need;               // and the slots
  int cap;
  void carve(Carver &w, const Plan &p, int max_row) {
    cap = CHUNK + round_up(max_row, width<T>) + TILE<T> + width<T>;
    for (T **a : {&cos, &rjk, &dcos, &drjk, &onj, &onk, &onc, &ons}) *a = w.take<T>(cap);
    for (T **a : {&E, &Ej, &Ek}) *a = w.take<T>(size_t(cap) * p.max_channels);
    slot = w.take<T>(size_t(p.max_slots) * TILE<T>);
    acc = w.take<T>(size_t(p.max_terms) * width<T>);
    op = w.take<Op>(p.max_slots);
    need = w.take<uint8_t>(p.max_slots);
    for (int **a : {&row_j, &row_k, &row_n}) *a = w.take<int>(cap);
  }
};

// A window of the angle, its derivative by the cosine, or what they are made of. A hair inside |cos| = 1 everything is finite and, to
// rounding, what it is there: a window about 0 or 180 degrees is smooth in the cosine. Not inlined: the powers beside it want the registers.
template <class T> __attribute__((noinline)) void window(const Op &op, const T *cos, const T *theta, T *out) noexcept {
  constexpr int W = width<T>;
  const T centre = T(op.value), scale = T(op.scale);
  for (int k = 0; k < TILE<T>; k += W) {
    if (op.b == Op::ANGLE) {
      store<T>(out + k, acos<T>(inside_unit<T>(load(cos + k))));
    } else if (op.b == Op::ANGLE_SLOPE) {
      vec<T> c = inside_unit<T>(load(cos + k));
      store<T>(out + k, T(-1) / sqrt((T(1) - c) * (T(1) + c)));
    } else {
      vec<T> t = (load(theta + k) - centre) * scale, x = t < T(0) ? -t : t, f, df;
      x = x < T(1) ? x : broadcast<T>(T(1));
      vec<T> y = T(1) - x;
      core<T>(op.core, x, y, f, df);
      if (op.b == Op::WINDOW_SLOPE) f = df * (t < T(0) ? broadcast<T>(-scale) : broadcast<T>(scale)) * load(theta + TILE<T> + k);
      store<T>(out + k, y > T(0) ? f : vec<T>{});
    }
  }
}

// Of a block's operations those that one term of it needs, in their order
template <class T> void only(Block &b, const Term &m, int n_slots, Triplets<T> &t) noexcept {
  std::memset(t.need, 0, n_slots);
  t.need[m.power] = t.need[m.derivative] = 1;
  int n = 0;
  for (int q = b.n_ops; q-- > 0;) {
    const Op &o = b.op[q];
    if (!t.need[o.out]) continue;
    t.op[n++] = o;
    if (o.b >= 0) t.need[o.a] = t.need[o.b] = 1;
    else if (o.b == Op::POWER || o.b == Op::WINDOW) t.need[o.a] = 1;
    else if (o.b == Op::WINDOW_SLOPE) t.need[o.a] = t.need[o.a + 1] = 1;
  }
  std::reverse(t.op, t.op + n);
  b.op = t.op, b.n_ops = n;
}

// slot by slot, the powers and windows that the block's functions need, for one tile of cosines
template <class T> FASTMD_INLINE void powers(const Op *op, int n, const T *cos, T *slot) noexcept {
  constexpr int W = width<T>;
  for (int q = 0; q < n; q++) {
    T *out = slot + op[q].out * TILE<T>;
    const T *a = slot + op[q].a * TILE<T>;
    if (op[q].b >= 0) {
      const T *b = slot + op[q].b * TILE<T>;
      for (int u = 0; u < UNROLL; u++) store<T>(out + u * W, load(a + u * W) * load(b + u * W));
    } else if (op[q].b == Op::BASE) {
      for (int u = 0; u < UNROLL; u++) {
        vec<T> v = T(1) + T(op[q].value) * load(cos + u * W);
        store<T>(out + u * W, v > T(0) ? v : vec<T>{});
      }
    } else if (op[q].b == Op::ONE) {
      for (int u = 0; u < UNROLL; u++) store<T>(out + u * W, broadcast<T>(1));
    } else if (op[q].b != Op::POWER) {
      window<T>(op[q], cos, a, out);
    } else {
      for (int l = 0; l < TILE<T>; l++) out[l] = std::pow(a[l], T(op[q].value));
    }
  }
}

template <class T, Mode mode, bool narrow> struct Angular {
  static constexpr int W = width<T>;
  const ElementPlan &e;
  const Block &b;
  Neighbourhood<T> &h;
  Triplets<T> &t;
  const T *weight;  // gradient: dE/dG of each function of the element
  int used = 0, rows = 0;

  // One j with the k's from k0 on. Lanes past n belong to the next row, or are blanked at the end.
  FASTMD_INLINE void fill(int j, int k0, int n) noexcept {
    const T jx = h.ux[j], jy = h.uy[j], jz = h.uz[j];
    T *cos = t.cos + used;
    for (int k = 0; k < n; k += W) store<T>(cos + k, jx * load(h.ux + k0 + k) + jy * load(h.uy + k0 + k) + jz * load(h.uz + k0 + k));
    if constexpr (narrow) {
      const T xj = h.x[j], yj = h.y[j], zj = h.z[j];
      for (int k = 0; k < n; k += W) {
        vec<T> dx = load(h.x + k0 + k) - xj, dy = load(h.y + k0 + k) - yj, dz = load(h.z + k0 + k) - zj;
        store<T>(t.rjk + used + k, sqrt(dx * dx + dy * dy + dz * dz));
        if constexpr (mode == Mode::jvp)
          store<T>(t.drjk + used + k, dx * (load(h.vx + k0 + k) - h.vx[j]) + dy * (load(h.vy + k0 + k) - h.vy[j]) + dz * (load(h.vz + k0 + k) - h.vz[j]));
      }
    }
    if constexpr (mode == Mode::jvp) {  // dcos = (v_j . (u_k - cos u_j)) / r_j + (v_k . (u_j - cos u_k)) / r_k
      const T vx = h.vx[j], vy = h.vy[j], vz = h.vz[j], along = vx * jx + vy * jy + vz * jz, inv = h.inv[j];
      for (int k = 0; k < n; k += W) {
        vec<T> c = load(cos + k), ux = load(h.ux + k0 + k), uy = load(h.uy + k0 + k), uz = load(h.uz + k0 + k);
        vec<T> kx = load(h.vx + k0 + k), ky = load(h.vy + k0 + k), kz = load(h.vz + k0 + k);
        store<T>(t.dcos + used + k, (vx * ux + vy * uy + vz * uz - c * along) * inv + (kx * jx + ky * jy + kz * jz - c * (kx * ux + ky * uy + kz * uz)) * load(h.inv + k0 + k));
      }
    }
    for (int q = 0; q < b.n_channels; q++) {
      const T *phi = h.phi + b.shape[q] * h.cap, *dphi = h.dphi + b.shape[q] * h.cap;
      T *E = t.E + q * t.cap + used, *Ej = t.Ej + q * t.cap + used, *Ek = t.Ek + q * t.cap + used;
      const T pj = phi[j], dj = dphi[j];
      for (int k = 0; k < n; k += W) {
        vec<T> pk = load(phi + k0 + k);
        store<T>(E + k, pj * pk);
        if constexpr (mode == Mode::gradient) {
          store<T>(Ej + k, dj * pk);
          store<T>(Ek + k, pj * load(dphi + k0 + k));
        } else if constexpr (mode == Mode::jvp) {
          store<T>(Ej + k, dj * pk + pj * load(dphi + k0 + k));
        }
      }
    }
    t.row_j[rows] = j, t.row_k[rows] = k0, t.row_n[rows] = n;
    rows++;
    used += n;
  }

  // Everything that is done with a triplet without looking at its neighbours.
  FASTMD_INLINE void tile(int at) noexcept {
    powers<T>(b.op, mode == Mode::value ? b.n_value_ops : b.n_ops, t.cos + at, t.slot);
    vec<T> fc[UNROLL], dfc[UNROLL], inv[UNROLL];
    if constexpr (narrow)
      for (int u = 0; u < UNROLL; u++) {
        vec<T> r = load(t.rjk + at + u * W);
        cutoff<T>(e.cutoff[b.cutoff], r, fc[u], dfc[u]);
        // Two neighbours at one place: r_jk has no direction there. (Either is an error as a centre, unless both are ghosts.)
        inv[u] = r > T(1e-6) ? T(1) / r : vec<T>{};
      }
    vec<T> onj[UNROLL] = {}, onk[UNROLL] = {}, onc[UNROLL] = {}, ons[UNROLL] = {};
    int f = 0;
    for (int q = 0; q < b.n_channels; q++) {
      vec<T> third[UNROLL], dthird[UNROLL], E[UNROLL], dE[UNROLL];
      for (int u = 0; u < UNROLL; u++) E[u] = load(t.E + q * t.cap + at + u * W);
      if (b.compact) {  // nothing in this tile is in the shape's support
        vec<T> any{};
        for (int u = 0; u < UNROLL; u++) any += E[u];
        if (sum<T>(any) == 0) {
          while (f < b.n_terms && b.term[f].channel == q) f++;
          continue;
        }
      }
      for (int u = 0; u < UNROLL; u++) {
        if constexpr (narrow) {
          third[u] = fc[u], dthird[u] = dfc[u];
          shape<T>(e.shape[b.shape[q]], load(t.rjk + at + u * W), third[u], dthird[u]);
        }
      }
      if constexpr (mode == Mode::gradient) {
        vec<T> A[UNROLL] = {}, D[UNROLL] = {};
        for (; f < b.n_terms && b.term[f].channel == q; f++) {
          const Term &m = b.term[f];
          const T wa = weight[m.index] * T(m.norm), wd = wa * T(m.slope);
          for (int u = 0; u < UNROLL; u++) {
            A[u] += wa * load(t.slot + m.power * TILE<T> + u * W);
            D[u] += wd * load(t.slot + m.derivative * TILE<T> + u * W);
          }
        }
        for (int u = 0; u < UNROLL; u++) {
          vec<T> AE = A[u];
          if constexpr (narrow) {
            ons[u] += A[u] * E[u] * dthird[u] * inv[u];
            AE *= third[u];
            E[u] *= third[u];
          }
          onj[u] += AE * load(t.Ej + q * t.cap + at + u * W);
          onk[u] += AE * load(t.Ek + q * t.cap + at + u * W);
          onc[u] += D[u] * E[u];
        }
      } else {
        for (int u = 0; u < UNROLL; u++) {
          if constexpr (mode == Mode::jvp) {
            dE[u] = load(t.Ej + q * t.cap + at + u * W);
            if constexpr (narrow) dE[u] = dE[u] * third[u] + E[u] * dthird[u] * inv[u] * load(t.drjk + at + u * W);
          }
          if constexpr (narrow) E[u] *= third[u];
        }
        for (; f < b.n_terms && b.term[f].channel == q; f++) {
          const Term &m = b.term[f];
          const T *P = t.slot + m.power * TILE<T>, *Q = t.slot + m.derivative * TILE<T>;
          vec<T> s = load(t.acc + f * W);
          for (int u = 0; u < UNROLL; u++) {
            if constexpr (mode == Mode::value) s += load(P + u * W) * E[u];
            else s += load(P + u * W) * dE[u] + T(m.slope) * load(Q + u * W) * (E[u] * load(t.dcos + at + u * W));
          }
          store<T>(t.acc + f * W, s);
        }
      }
    }
    if constexpr (mode == Mode::gradient)
      for (int u = 0; u < UNROLL; u++) {
        store<T>(t.onj + at + u * W, onj[u]), store<T>(t.onk + at + u * W, onk[u]), store<T>(t.onc + at + u * W, onc[u]);
        if constexpr (narrow) store<T>(t.ons + at + u * W, ons[u]);
      }
  }

  // dE/dd_ij = onj u_j + onc (u_k - cos u_j) / r_j + ons (d_ij - d_ik), and the same with j and k exchanged
  FASTMD_INLINE void hand_out(int row, int at) noexcept {
    const int j = t.row_j[row], k0 = t.row_k[row], n = t.row_n[row];
    const T jx = h.ux[j], jy = h.uy[j], jz = h.uz[j], jinv = h.inv[j], xj = h.x[j], yj = h.y[j], zj = h.z[j];
    vec<T> along{}, sx{}, sy{}, sz{}, s{}, tx{}, ty{}, tz{};
    auto step = [&](int k, auto only) __attribute__((always_inline)) {
      vec<T> c = load(t.cos + at + k), onc = only(load(t.onc + at + k)), onk = only(load(t.onk + at + k)), onj = only(load(t.onj + at + k));
      vec<T> ux = load(h.ux + k0 + k), uy = load(h.uy + k0 + k), uz = load(h.uz + k0 + k), tk = onc * load(h.inv + k0 + k), ak = onk - tk * c;
      along += onj - onc * c * jinv;
      sx += onc * ux, sy += onc * uy, sz += onc * uz;
      vec<T> px = load(h.px + k0 + k) + ak * ux + tk * jx, py = load(h.py + k0 + k) + ak * uy + tk * jy, pz = load(h.pz + k0 + k) + ak * uz + tk * jz;
      if constexpr (narrow) {
        vec<T> ons = only(load(t.ons + at + k)), x = load(h.x + k0 + k), y = load(h.y + k0 + k), z = load(h.z + k0 + k);
        s += ons, tx += ons * x, ty += ons * y, tz += ons * z;
        px += ons * (x - xj), py += ons * (y - yj), pz += ons * (z - zj);
      }
      store<T>(h.px + k0 + k, px), store<T>(h.py + k0 + k, py), store<T>(h.pz + k0 + k, pz);
    };
    int k = 0;
    for (; k + W <= n; k += W) step(k, [](vec<T> v) { return v; });
    if (k < n) {
      auto mine = iota<T>() < T(n - k);
      step(k, [mine](vec<T> v) { return mine ? v : vec<T>{}; });
    }
    const T a = sum<T>(along), q = narrow ? sum<T>(s) : T(0);
    h.px[j] += a * jx + jinv * sum<T>(sx) + (narrow ? q * xj - sum<T>(tx) : T(0));
    h.py[j] += a * jy + jinv * sum<T>(sy) + (narrow ? q * yj - sum<T>(ty) : T(0));
    h.pz[j] += a * jz + jinv * sum<T>(sz) + (narrow ? q * zj - sum<T>(tz) : T(0));
  }

  void work_off() noexcept {
    const int end = round_up(used, TILE<T>);
    for (int k = used; k < end; k++) {  // blank the lanes after the last triplet
      t.cos[k] = 0;
      if (narrow) t.rjk[k] = 1, t.drjk[k] = 0;
      if (mode == Mode::jvp) t.dcos[k] = 0;
      for (int q = 0; q < b.n_channels; q++) t.E[q * t.cap + k] = t.Ej[q * t.cap + k] = t.Ek[q * t.cap + k] = 0;
    }
    for (int at = 0; at < end; at += TILE<T>) tile(at);
    if constexpr (mode == Mode::gradient)
      for (int row = 0, at = 0; row < rows; at += t.row_n[row], row++) hand_out(row, at);
    used = rows = 0;
  }

  // Adds to G (value) or dG (jvp) of the block's functions; with gradient, to px, py, pz.
  void run(T *G) noexcept {
    if (mode != Mode::gradient) std::memset(t.acc, 0, sizeof(T) * W * b.n_terms);
    T low = T(e.reach), high = 0;
    for (int q = 0; q < b.n_channels; q++) low = std::min(low, T(e.shape[b.shape[q]].from)), high = std::max(high, T(e.shape[b.shape[q]].to));
    int j0, j1, k0, k1;
    h.stretch(b.a, low, high, j0, j1);
    h.stretch(b.b, low, high, k0, k1);
    for (int j = j0; j < j1; j++) {
      const int start = b.a == b.b ? j + 1 : k0;
      if (start < k1) fill(j, start, k1 - start);
      if (used >= CHUNK) work_off();
    }
    if (used) work_off();
    if (mode != Mode::gradient)
      for (int f = 0; f < b.n_terms; f++) G[b.term[f].index] += T(b.term[f].norm) * sum<T>(load(t.acc + f * W));
  }
};

template <class T, Mode mode> FASTMD_INLINE void angular(const ElementPlan &e, const Block &b, Neighbourhood<T> &h, Triplets<T> &t, const T *weight, T *G) noexcept {
  if (b.narrow) Angular<T, mode, true>{e, b, h, t, weight}.run(G);
  else Angular<T, mode, false>{e, b, h, t, weight}.run(G);
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
