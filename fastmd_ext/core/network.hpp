// network.hpp: a multilayer perceptron forward and back, for LANES atoms side by side: every number is a row of LANES, weights are broadcast.
//   h_l = f_l(W_l h_(l-1) + b_l),  W_l of shape (n_l, n_(l-1));  dE/dh_(l-1) = W_l^T (f_l' * dE/dh_l)
#pragma once
#include <type_traits>
#include "neighbourhood.hpp"
#include "plan.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// f(x) and f'(x)
template <class T> FASTMD_INLINE void activate(int kind, vec<T> x, vec<T> &f, vec<T> &df) {
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

// y[o] = sum_i w[o * so + i * si] x[i] (+ bias): four outputs at once share the loads of x
template <class T> FASTMD_INLINE void product(int n_out, int n_in, const double *w, int so, int si, const double *bias, const T *x, T *y) noexcept {
  constexpr int W = width<T>, NV = LANES / W;
  static_assert(NV * W == LANES, "a row is whole vectors");
  auto rows = [&](int o, auto count) __attribute__((always_inline)) {
    constexpr int R = decltype(count)::value;
    vec<T> a[R][NV];
    for (int r = 0; r < R; r++)
      for (int v = 0; v < NV; v++) a[r][v] = broadcast<T>(bias ? T(bias[o + r]) : T(0));
    for (int i = 0; i < n_in; i++)
      for (int r = 0; r < R; r++)
        for (int v = 0; v < NV; v++) a[r][v] += T(w[size_t(o + r) * so + size_t(i) * si]) * load(x + i * LANES + v * W);
    for (int r = 0; r < R; r++)
      for (int v = 0; v < NV; v++) store<T>(y + (o + r) * LANES + v * W, a[r][v]);
  };
  int o = 0;
  for (; o + 4 <= n_out; o += 4) rows(o, std::integral_constant<int, 4>{});
  for (; o < n_out; o++) rows(o, std::integral_constant<int, 1>{});
}

template <class T> struct Activations {
  T *h, *dh, *back;  // rows of all layers one after the other; two buffers of the widest
  int widest;
  void carve(Carver &w, const Plan &p) {
    size_t all = 0;
    widest = 0;
    for (int q = 0; q < p.n_elements; q++) {
      const ElementPlan &e = p.element[q];
      size_t n = 0;
      for (int l = 0; l < e.n_layers; l++) n += e.layer[l].n_out;
      if (n > all) all = n;
      if (e.widest > widest) widest = e.widest;
    }
    h = w.take<T>(all * LANES);
    dh = w.take<T>(all * LANES);
    back = w.take<T>(size_t(widest) * LANES * 2);
  }
};

// G (n_functions rows, scaled) -> energy (one row) and dE/dG (n_functions rows)
template <class T> void network(const ElementPlan &e, Activations<T> &a, const T *G, T *energy, T *dG) noexcept {
  if (!e.n_layers) {  // pair terms only
    for (int k = 0; k < LANES; k++) energy[k] = 0;
    return;
  }
  T *h = a.h, *dh = a.dh;
  const T *in = G;
  for (int l = 0; l < e.n_layers; l++) {
    const Layer &y = e.layer[l];
    product<T>(y.n_out, y.n_in, y.weights, y.n_in, 1, y.bias, in, h);
    for (int k = 0; k < y.n_out * LANES; k += width<T>) {
      vec<T> f, df;
      activate<T>(y.activation, load(h + k), f, df);
      store<T>(h + k, f), store<T>(dh + k, df);
    }
    in = h;
    h += y.n_out * LANES, dh += y.n_out * LANES;
  }
  std::memcpy(energy, in, sizeof(T) * LANES);
  T *delta = a.back, *next = a.back + a.widest * LANES;
  for (int k = 0; k < LANES; k++) delta[k] = 1;
  for (int l = e.n_layers - 1; l >= 0; l--) {
    const Layer &y = e.layer[l];
    dh -= y.n_out * LANES;
    for (int k = 0; k < y.n_out * LANES; k++) delta[k] *= dh[k];
    T *out = l ? next : dG;
    product<T>(y.n_in, y.n_out, y.weights, 1, y.n_in, nullptr, delta, out);
    next = delta, delta = out;
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
