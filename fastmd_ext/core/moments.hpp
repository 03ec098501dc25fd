// moments.hpp: G5 whose zeta is a small whole number, without triplets. (1 + lambda cos)^zeta is a polynomial sum_n p_n cos^n, and
//   cos^n = (u_j . u_k)^n = sum_{a+b+c=n} n! / (a! b! c!) (x_j^a y_j^b z_j^c) (x_k^a y_k^b z_k^c),
// so that the sum over pairs is one over products of moments M_abc = sum_j phi(r_j) x_j^a y_j^b z_j^c (x, y, z: of the unit vector):
//   S_n = sum_{j,k} phi_j phi_k cos^n = sum_{a+b+c=n} n! / (a! b! c!) M_abc M'_abc;   G = norm sum_n p_n S_n
// For two neighbours of one element, j < k: (S_n - sum_j phi_j^2) / 2. The work grows as the number of neighbours, not of their pairs, but as
// zeta^3: build.hpp says which zeta is small. What cancels costs digits: where a function is less than a hundredth of what it would be were all cosines
// the best, as with (1 - cos)^zeta of a linear molecule, the atom's triplets are gone through after all.
// The identity is the one behind the power spectrum of A. Bartok, R. Kondor, G. Csanyi, Phys. Rev. B 87, 184115 (2013), in Cartesian form.
#pragma once
#include "neighbourhood.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

constexpr int count_monomials(int degree) { return (degree + 1) * (degree + 2) * (degree + 3) / 6; }

// x^a y^b z^c with a + b + c = n, n = 0 first, then by falling a, then b. So the first of degree n are x times all of degree n - 1 in their
// order, then come y times those of them without x, the last n, and then z times the last.
struct Monomials {
  static constexpr int MOST = count_monomials(MAX_MOMENT_DEGREE);
  int degree[MOST];
  double count[MOST];  // n! / (a! b! c!)
  constexpr Monomials() : degree{}, count{} {
    int n = 0;
    for (int d = 0; d <= MAX_MOMENT_DEGREE; d++)
      for (int a = d; a >= 0; a--)
        for (int b = d - a; b >= 0; b--, n++) {
          double ways = 1;
          for (int q = 1; q <= b; q++) ways = ways * (a + q) / q;
          for (int q = 1; q <= d - a - b; q++) ways = ways * (a + b + q) / q;
          degree[n] = d, count[n] = ways;
        }
  }
};
inline constexpr Monomials MONOMIALS;

// Calls step(monomial, its parent, the axis that makes it of that) for each but the first: in order, or backwards.
template <class F> FASTMD_INLINE void each_product(int degree, F step) {
  for (int d = 1, m = 1, below = 0; d <= degree; d++) {
    const int n = d * (d + 1) / 2;  // of degree d - 1, from `below` on
    for (int i = 0; i < n; i++) step(m++, below + i, std::integral_constant<int, 0>{});
    for (int i = n - d; i < n; i++) step(m++, below + i, std::integral_constant<int, 1>{});
    step(m++, below + n - 1, std::integral_constant<int, 2>{});
    below += n;
  }
}
template <class F> FASTMD_INLINE void each_product_backwards(int degree, F step) {
  for (int d = degree, m = count_monomials(degree) - 1; d; d--) {
    const int n = d * (d + 1) / 2, below = count_monomials(d - 1) - n;
    step(m--, below + n - 1, std::integral_constant<int, 2>{});
    for (int i = n - 1; i >= n - d; i--) step(m--, below + i, std::integral_constant<int, 1>{});
    for (int i = n - 1; i >= 0; i--) step(m--, below + i, std::integral_constant<int, 0>{});
  }
}

template <class T> struct Moments {
  T *mono;            // monomial m of every neighbour: mono + m * cap
  T *M, *dM;          // of set s: M + set.first; dM: jvp, their changes; gradient: dE/dM
  T *self, *dself;    // of set s: sum phi^2; jvp: its change; gradient: dE/dself
  T *bar;             // gradient and jvp: two vectors per monomial
  bool *wanted;       // gradient: is there a weight on this set?
  T *S;               // of block q: S_n at S + q * (MAX_MOMENT_DEGREE + 1)
  bool *poor;         // of block q: does it need triplets?
  void carve(Carver &w, const Plan &p, int cap) {
    const int n = p.max_sets ? count_monomials(p.max_degree) : 0;
    mono = w.take<T>(size_t(cap) * n);
    bar = w.take<T>(size_t(n) * 2 * width<T>);
    for (T **a : {&M, &dM}) *a = w.take<T>(p.max_moments);
    for (T **a : {&self, &dself}) *a = w.take<T>(p.max_sets);
    wanted = w.take<bool>(p.max_sets);
    S = w.take<T>(size_t(p.max_moment_blocks) * (MAX_MOMENT_DEGREE + 1));
    poor = w.take<bool>(p.max_moment_blocks);
  }
};

// Calls body(element, first set, sets, degree) for each element that has sets.
template <class F> FASTMD_INLINE void each_element(const ElementPlan &e, F body) {
  for (int s = 0, n; s < e.n_sets; s += n) {
    int degree = 0;
    for (n = 0; s + n < e.n_sets && e.set[s + n].element == e.set[s].element; n++) degree = std::max(degree, e.set[s + n].degree);
    body(e.set[s].element, s, n, degree);
  }
}

// Block q: from moments the sums S_n over pairs; or with dM and dself their changes
template <class T, bool change> FASTMD_INLINE void pair_sums(const ElementPlan &e, const Moments<T> &t, int q, T *S) noexcept {
  const MomentBlock &b = e.moment_block[q];
  const T *A = t.M + e.set[b.a].first, *B = t.M + e.set[b.b].first, *dA = t.dM + e.set[b.a].first, *dB = t.dM + e.set[b.b].first;
  for (int n = 0; n <= b.degree; n++) S[n] = 0;
  for (int m = 0; m < count_monomials(b.degree); m++) S[MONOMIALS.degree[m]] += T(MONOMIALS.count[m]) * (change ? dA[m] * B[m] + A[m] * dB[m] : A[m] * B[m]);
  if (b.a == b.b)
    for (int n = 0; n <= b.degree; n++) S[n] = T(0.5) * (S[n] - (change ? t.dself : t.self)[b.a]);
}
template <class T> FASTMD_INLINE T of_sums(const MomentTerm &f, const T *S, int degree) noexcept {
  T g = 0;
  for (int n = 0; n <= degree; n++) g += T(f.coefficient[n]) * S[n];
  return g;
}

// The moments, the monomials for the second pass, the sums over pairs
template <class T> void moments(const ElementPlan &e, const Neighbourhood<T> &h, Moments<T> &t) noexcept {
  constexpr int W = width<T>;
  each_element(e, [&](int element, int first, int sets, int degree) __attribute__((always_inline)) {
    const int from = h.from[element], to = from + h.count[element], cap = h.cap;
    const T *axis[3] = {h.ux, h.uy, h.uz};
    for (int k = from; k < to; k += W) store<T>(t.mono + k, broadcast<T>(1));
    each_product(degree, [&](int m, int parent, auto x) __attribute__((always_inline)) {
      T *out = t.mono + m * cap;
      const T *in = t.mono + parent * cap, *u = axis[x];
      for (int k = from; k < to; k += W) store<T>(out + k, load(in + k) * load(u + k));
    });
    for (int s = first; s < first + sets; s++) {
      const T *phi = h.phi + e.set[s].shape * cap;
      const int mine = count_monomials(e.set[s].degree);
      vec<T> self{};
      for (int k = from; k < to; k += W) self += load(phi + k) * load(phi + k);
      t.self[s] = sum<T>(self);
      T *M = t.M + e.set[s].first;
      int m = 0;
      auto some = [&](auto count) __attribute__((always_inline)) {  // so many at once share the loads of phi
        constexpr int N = decltype(count)::value;
        const T *x = t.mono + m * cap;
        vec<T> a[N] = {};
        for (int k = from; k < to; k += W) {
          vec<T> f = load(phi + k);
          unrolled<N>([&](auto i) __attribute__((always_inline)) { a[i] += f * load(x + i * cap + k); });
        }
        unrolled<N>([&](auto i) __attribute__((always_inline)) { M[m + i] = sum<T>(a[i]); });
        m += N;
      };
      while (m + 5 <= mine) some(std::integral_constant<int, 5>{});
      while (m < mine) some(std::integral_constant<int, 1>{});
    }
  });
  for (int q = 0; q < e.n_moment_blocks; q++) {
    const MomentBlock &b = e.moment_block[q];
    T *S = t.S + q * (MAX_MOMENT_DEGREE + 1);
    pair_sums<T, false>(e, t, q, S);
    const T all = t.M[e.set[b.a].first] * t.M[e.set[b.b].first] * T(b.a == b.b ? 0.005 : 0.01);
    t.poor[q] = false;
    for (int f = 0; f < b.n_terms; f++) t.poor[q] |= of_sums(b.term[f], S, b.degree) < T(b.term[f].most) * all;
  }
}

// G of the functions from the sums over pairs; or, with dM and dself, dG from the changes of these
template <class T, bool change> void moment_functions(const ElementPlan &e, const Moments<T> &t, T *G) noexcept {
  for (int q = 0; q < e.n_moment_blocks; q++) {
    if (t.poor[q]) continue;
    const MomentBlock &b = e.moment_block[q];
    T changes[MAX_MOMENT_DEGREE + 1], *S = change ? changes : t.S + q * (MAX_MOMENT_DEGREE + 1);
    if (change) pair_sums<T, true>(e, t, q, S);
    for (int f = 0; f < b.n_terms; f++) G[b.term[f].index] += of_sums(b.term[f], S, b.degree);
  }
}

// Adds to a, bx, by, bz what the weights on these functions' G make: dE/dM first, then dE/dphi and dE/du of each neighbour
template <class T> void moment_gradient(const ElementPlan &e, Neighbourhood<T> &h, Moments<T> &t, const T *weight) noexcept {
  constexpr int W = width<T>;
  for (int s = 0; s < e.n_sets; s++) {
    t.wanted[s] = false, t.dself[s] = 0;
    std::memset(t.dM + e.set[s].first, 0, sizeof(T) * count_monomials(e.set[s].degree));
  }
  for (int q = 0; q < e.n_moment_blocks; q++) {
    if (t.poor[q]) continue;
    const MomentBlock &b = e.moment_block[q];
    T w[MAX_MOMENT_DEGREE + 1] = {}, all = 0;
    for (int f = 0; f < b.n_terms; f++)
      for (int n = 0; n <= b.degree; n++) w[n] += weight[b.term[f].index] * T(b.term[f].coefficient[n]);
    const T *A = t.M + e.set[b.a].first, *B = t.M + e.set[b.b].first;
    T *dA = t.dM + e.set[b.a].first, *dB = t.dM + e.set[b.b].first;
    t.wanted[b.a] = t.wanted[b.b] = true;
    for (int m = 0; m < count_monomials(b.degree); m++) {
      const T x = w[MONOMIALS.degree[m]] * T(MONOMIALS.count[m]);
      dA[m] += x * B[m];
      if (b.a != b.b) dB[m] += x * A[m];
    }
    for (int n = 0; n <= b.degree; n++) all += w[n];
    if (b.a == b.b) t.dself[b.a] -= all;  // of self / 2, with respect to phi: times phi
  }
  each_element(e, [&](int element, int first, int sets, int degree) __attribute__((always_inline)) {
    bool any = false;
    for (int s = first; s < first + sets; s++) any |= t.wanted[s];
    if (!any) return;
    const int n = count_monomials(degree), cap = h.cap;
    // V vectors of neighbours: dE/dmonomial, and of each set dE/dphi, two sets at a time; then dE/du, back through the products that made the monomials
    auto some = [&](int k, auto vectors) __attribute__((always_inline)) {
      constexpr int V = decltype(vectors)::value;
      vec<T> a[V] = {}, d[3][V] = {}, u[3][V];
      bool fresh = true;
      for (int s = first; s < first + sets;) {
        const int r = s++;
        if (!t.wanted[r]) continue;
        while (s < first + sets && !t.wanted[s]) s++;
        const int q = s < first + sets && e.set[s].degree == e.set[r].degree ? s++ : r, mine = count_monomials(e.set[r].degree);
        const T *A = t.dM + e.set[r].first, *B = t.dM + e.set[q].first;
        const T *dphi = h.dphi + e.set[r].shape * cap + k, *dpsi = h.dphi + e.set[q].shape * cap + k;
        vec<T> phi[V], psi[V], P[V], Q[V];
        unrolled<V>([&](auto v) __attribute__((always_inline)) {
          phi[v] = load(h.phi + e.set[r].shape * cap + k + v * W), psi[v] = load(h.phi + e.set[q].shape * cap + k + v * W);
          P[v] = t.dself[r] * phi[v], Q[v] = t.dself[q] * psi[v];
          if (q == r) psi[v] = vec<T>{};
        });
        for (int m = mine; m < n && fresh; m++) unrolled<V>([&](auto v) __attribute__((always_inline)) { store<T>(t.bar + (m * V + v) * W, vec<T>{}); });
        const T *x = t.mono + k;
        for (int m = 0; m < mine; m++, x += cap) {
          const vec<T> am = broadcast<T>(A[m]), bm = broadcast<T>(B[m]);
          T *bar = t.bar + m * V * W;
          unrolled<V>([&](auto v) __attribute__((always_inline)) {
            vec<T> y = load(x + v * W), both = am * phi[v] + bm * psi[v];
            P[v] += am * y, Q[v] += bm * y;
            store<T>(bar + v * W, fresh ? both : both + load(bar + v * W));
          });
        }
        fresh = false;
        unrolled<V>([&](auto v) __attribute__((always_inline)) {
          a[v] += P[v] * load(dphi + v * W);
          if (q != r) a[v] += Q[v] * load(dpsi + v * W);
        });
      }
      unrolled<V>([&](auto v) __attribute__((always_inline)) { u[0][v] = load(h.ux + k + v * W), u[1][v] = load(h.uy + k + v * W), u[2][v] = load(h.uz + k + v * W); });
      each_product_backwards(degree, [&](int m, int parent, auto x) __attribute__((always_inline)) {
        const T *in = t.bar + m * V * W, *y = t.mono + parent * cap + k;
        T *out = t.bar + parent * V * W;
        unrolled<V>([&](auto v) __attribute__((always_inline)) {
          vec<T> bar = load(in + v * W);
          d[x][v] += bar * load(y + v * W);
          store<T>(out + v * W, load(out + v * W) + bar * u[x][v]);
        });
      });
      unrolled<V>([&](auto v) __attribute__((always_inline)) {
        const int at = k + v * W;
        vec<T> inv = load(h.inv + at), radial = d[0][v] * u[0][v] + d[1][v] * u[1][v] + d[2][v] * u[2][v];
        store<T>(h.a + at, load(h.a + at) + a[v] - radial * load(h.inv2 + at));
        store<T>(h.bx + at, load(h.bx + at) + d[0][v] * inv), store<T>(h.by + at, load(h.by + at) + d[1][v] * inv), store<T>(h.bz + at, load(h.bz + at) + d[2][v] * inv);
      });
    };
    int k = h.from[element];
    const int to = k + h.count[element];
    for (; k + W < to; k += 2 * W) some(k, std::integral_constant<int, 2>{});
    if (k < to) some(k, std::integral_constant<int, 1>{});
  });
}

// jvp: the changes of the moments
template <class T> void moment_changes(const ElementPlan &e, const Neighbourhood<T> &h, Moments<T> &t) noexcept {
  constexpr int W = width<T>;
  each_element(e, [&](int element, int first, int sets, int degree) __attribute__((always_inline)) {
    for (int s = first; s < first + sets; s++) {
      t.dself[s] = 0;
      std::memset(t.dM + e.set[s].first, 0, sizeof(T) * count_monomials(e.set[s].degree));
    }
    const T *axis[3] = {h.ux, h.uy, h.uz};
    for (int k = h.from[element]; k < h.from[element] + h.count[element]; k += W) {
      vec<T> inv = load(h.inv + k), along = load(h.along + k) * load(h.inv2 + k);
      const vec<T> du[3] = {load(h.vx + k) * inv - along * load(h.ux + k), load(h.vy + k) * inv - along * load(h.uy + k), load(h.vz + k) * inv - along * load(h.uz + k)};
      store<T>(t.bar, vec<T>{});
      each_product(degree, [&](int m, int parent, auto x) __attribute__((always_inline)) {
        store<T>(t.bar + m * W, load(t.bar + parent * W) * load(axis[x] + k) + load(t.mono + parent * h.cap + k) * du[x]);
      });
      for (int s = first; s < first + sets; s++) {
        vec<T> phi = load(h.phi + e.set[s].shape * h.cap + k), dphi = load(h.dphi + e.set[s].shape * h.cap + k) * load(h.along + k);
        t.dself[s] += T(2) * sum<T>(phi * dphi);
        T *dM = t.dM + e.set[s].first;
        for (int m = 0; m < count_monomials(e.set[s].degree); m++) dM[m] += sum<T>(dphi * load(t.mono + m * h.cap + k) + phi * load(t.bar + m * W));
      }
    }
  });
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
