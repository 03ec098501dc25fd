// network.hpp: a multilayer perceptron forward and back, for a few atoms: each is a row, and vectors run over the nodes of a layer.
//   h_l = f_l(W_l h_(l-1) + b_l),  W_l of shape (n_l, n_(l-1));  dE/dh_(l-1) = W_l^T (f_l' * dE/dh_l)
// What is done for one atom, and in which order, does not depend on the others.
#pragma once
#include "neighbourhood.hpp"
#include "plan.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// f(x) and f'(x)
template <class T, int kind> FASTMD_INLINE void activate(vec<T> x, vec<T> &f, vec<T> &df) {
  const vec<T> one = broadcast<T>(1);
  switch (kind) {
    case ACT_TANH: f = tanh<T>(x), df = one - f * f; break;
    case ACT_SIGMOID: f = sigmoid<T>(x), df = f * (one - f); break;
    case ACT_RELU: f = x > T(0) ? x : vec<T>{}, df = x > T(0) ? one : vec<T>{}; break;
    case ACT_SOFTPLUS: f = softplus<T>(x), df = sigmoid<T>(x); break;
    case ACT_GAUSSIAN: f = exp<T>(x * x * T(-0.5)), df = -x * f; break;
    case ACT_COS: sincos<T>(x, df, f), df = -df; break;
    case ACT_REVLOGISTIC: f = sigmoid<T>(-x), df = f * (f - one); break;  // 1 - 1 / (1 + e^-x)
    case ACT_EXP: f = exp<T>(-x), df = -f; break;
    case ACT_HARMONIC: f = x * x, df = x + x; break;
    default: f = x, df = one;
  }
}
template <class T, int kind = 0> void activate(int which, int n, T *h, T *dh) noexcept {
  if constexpr (kind < N_ACTIVATIONS) {
    if (which != kind) return activate<T, kind + 1>(which, n, h, dh);
    for (int k = 0; k < n; k += width<T>) {
      vec<T> f, df;
      activate<T, kind>(load(h + k), f, df);
      store<T>(h + k, f), store<T>(dh + k, df);
    }
  }
}

// Keeps a vector in a register where the compiler would load it again for each use.
template <class T> FASTMD_INLINE void hold(vec<T> &v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
}

// y = (x w + start) * times, x: n x n_in, w: n_in x n_out
template <class T> struct Product {
  int n_in, n_out;
  const T *w, *across;   // w and its transpose, rows of whole lines
  const T *x;
  size_t x_row;
  const T *start;        // or NULL: 0
  size_t start_row;         // 0: the same for all atoms
  const T *times;        // or NULL: 1
  T *y;                  // as many numbers as whole vectors take; times as well
  size_t y_row;

  // V vectors of outputs of A atoms, all in registers. Even and odd inputs are added up by themselves: two chains are done in half the time of one.
  template <int A, int V> FASTMD_INLINE void tile(size_t b, size_t o) const noexcept {
    constexpr int W = width<T>;
    const Product p = *this;  // what is stored could be any of its numbers, for all the compiler knows
    const size_t w_row = whole_lines<T>(p.n_out);
    const T *wi = p.w + o, *xb = p.x + b * p.x_row;
    vec<T> even[A][V], odd[A][V];
    if (p.start)
      for (int a = 0; a < A; a++)
        for (int v = 0; v < V; v++) even[a][v] = load(p.start + (b + a) * p.start_row + o + v * W);
    else
      for (int a = 0; a < A; a++)
        for (int v = 0; v < V; v++) even[a][v] = vec<T>{};
    for (int a = 0; a < A; a++)
      for (int v = 0; v < V; v++) odd[a][v] = vec<T>{};
    auto add = [&](vec<T>(&to)[A][V], const T *row, size_t i) __attribute__((always_inline)) {
      vec<T> wv[V];
      for (int v = 0; v < V; v++) {
        wv[v] = load(row + v * W);
        if (A > 1) hold<T>(wv[v]);
      }
      for (int a = 0; a < A; a++) {
        vec<T> xa = broadcast<T>(xb[a * p.x_row + i]);
        for (int v = 0; v < V; v++) to[a][v] += xa * wv[v];
      }
    };
    const size_t n = p.n_in;
    if (2 * A * V <= 14) {
      size_t i = 0;
      for (; i + 1 < n; i += 2, wi += 2 * w_row) add(even, wi, i), add(odd, wi + w_row, i + 1);
      if (i < n) add(even, wi, i);
    } else {  // enough chains: the registers are worth more
      for (size_t i = 0; i < n; i += 2) add(even, wi + i * w_row, i);
      for (size_t i = 1; i < n; i += 2) add(odd, wi + i * w_row, i);
    }
    for (int a = 0; a < A; a++)
      for (int v = 0; v < V; v++) even[a][v] += odd[a][v];
    T *y = p.y + b * p.y_row + o;
    if (p.times)
      for (int a = 0; a < A; a++)
        for (int v = 0; v < V; v++) store<T>(y + a * p.y_row + v * W, even[a][v] * load(p.times + (b + a) * p.y_row + o + v * W));
    else
      for (int a = 0; a < A; a++)
        for (int v = 0; v < V; v++) store<T>(y + a * p.y_row + v * W, even[a][v]);
  }
  // V vectors of outputs of all atoms, so that their weights stay near.
  template <int A, int V> FASTMD_INLINE void strip(size_t n, size_t o) const noexcept {
    size_t b = 0;
    for (; b + A <= n; b += A) tile<A, V>(b, o);
    for (; b < n; b++) tile<1, V>(b, o);
  }
  template <int A, int most> FASTMD_INLINE void strips(size_t n) const noexcept {
    constexpr int W = width<T>;
    int left = round_up(n_out, W) / W;
    for (int o = 0, strips = (left + most - 1) / most; strips; strips--) {
      const int v = (left + strips - 1) / strips;
      switch (v) {
        case 1: strip<A, 1>(n, o); break;
        case 2: strip<A, 2>(n, o); break;
        case 3: strip<A, 3>(n, o); break;
        case 4: strip<A, 4>(n, o); break;
        case 5: strip<A, 5>(n, o); break;
        case 6: if constexpr (most > 5) strip<A, 6>(n, o); break;
        default: if constexpr (most > 5) strip<A, 7>(n, o);
      }
      left -= v, o += v * W;
    }
  }
  // A single output: vectors run over the inputs.
  void single(int b) const noexcept {
    constexpr int W = width<T>;
    const T *xb = x + b * x_row;
    vec<T> even{}, odd{};
    int i = 0;
    for (; i + W < n_in; i += 2 * W) even += load(xb + i) * load(across + i), odd += load(xb + i + W) * load(across + i + W);
    if (i < n_in) even += load(xb + i) * load(across + i);
    even += odd;
    for (int half = W / 2; half; half /= 2)
      for (int l = 0; l < half; l++) even[l] += even[l + half];
    vec<T> s{};
    s[0] = (even[0] + (start ? start[b * start_row] : T(0))) * (times ? times[b * y_row] : T(1));
    store<T>(y + b * y_row, s);
  }
  void operator()(int n) const noexcept {
    if (n_out == 1)
      for (int b = 0; b < n; b++) single(b);
    else if (n == 1) strips<1, 7>(n);
    else strips<2, 5>(n);
  }
};

template <class T> const Weights<T> &weights(const Layer &y) {
  if constexpr (sizeof(T) == 8) return y.f64;
  else return y.f32;
}
template <class T> double mean(const T *x, int n) {
  double s = 0;
  for (int k = 0; k < n; k++) s += double(x[k]);
  return s / n;
}

template <class T> struct Activations {
  T *h[2], *dh;  // of one layer and the next, later dE/dh; f' of all layers
  int members;
  void carve(Carver &w, const Plan &p) {
    size_t all = 0, widest = 0;
    members = 1;
    for (int q = 0; q < p.n_elements; q++) {
      const ElementPlan &e = p.element[q];
      size_t n = 0;
      for (int l = 0; l < e.n_layers * e.n_members; l++) n = (l % e.n_layers ? n : 0) + round_up(e.layer[l].n_out, width<T>), all = std::max(all, n);
      widest = std::max(widest, size_t(round_up(e.widest, width<T>)));
      members = std::max(members, e.n_members);
    }
    for (T *&a : h) a = w.take<T>(widest * LANES);
    dh = w.take<T>(all * LANES);
  }
};

constexpr int ALL_MEMBERS = -1;

// For n <= LANES atoms: G, n rows of `stride` numbers: scaled functions and zeros up to a whole vector -> dE/dG alike, and E.
// A committee: energies of its members, n x n_members, and dG of their mean; or of one member alone, energies n x 1.
template <class T> void network(const ElementPlan &e, Activations<T> &a, int n, const T *G, T *energy, T *dG, int stride, int member = ALL_MEMBERS) noexcept {
  const int first = member == ALL_MEMBERS ? 0 : member, members = member == ALL_MEMBERS ? e.n_members : 1;
  if (!e.n_layers) {  // pair terms only
    std::fill_n(energy, n * members, T(0));
    std::fill_n(dG, n * stride, T(0));
    return;
  }
  for (int m = 0; m < members; m++) {
    const Layer *layer = e.layer + (first + m) * e.n_layers, *y = layer;
    T *in = a.h[0], *out = a.h[1], *dh = a.dh;
    size_t row = 0;
    const size_t G_row = stride;
    for (int l = 0; l < e.n_layers; l++, y++) {
      const Weights<T> &w = weights<T>(*y);
      const size_t next = round_up(y->n_out, width<T>);
      Product<T>{y->n_in, y->n_out, w.forward, w.back, l ? in : G, l ? row : G_row, w.bias, 0, nullptr, out, next}(n);
      activate<T>(y->activation, n * next, out, dh);
      std::swap(in, out);
      row = next, dh += n * next;
    }
    for (int b = 0; b < n; b++) energy[b * members + m] = in[b * row];
    dh -= n * row;
    for (int b = 0; b < n; b++) in[b * row] = dh[b * row] / T(members);
    while (y-- > layer) {
      const Weights<T> &w = weights<T>(*y);
      const bool last = y == layer;
      const size_t next = round_up(y->n_in, width<T>);
      dh -= last ? 0 : n * next;
      Product<T>{y->n_out, y->n_in, w.back, w.forward, in, row, last && m ? dG : nullptr, G_row, last ? nullptr : dh, last ? dG : out, last ? G_row : next}(n);
      std::swap(in, out);
      row = next;
    }
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
