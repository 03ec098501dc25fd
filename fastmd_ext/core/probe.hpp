// probe.hpp: the elementary functions by their names, on arrays: how tests/test_elementary.py gets at what the kernels inline. Nothing else calls it.
#pragma once
#include "elementary.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

template <class T> struct Probe {
  const char *name;
  vec<T> (*f)(vec<T>);
};
template <class T> int probe(const char *name, int64_t n, const T *x, T *y) noexcept {
  static constexpr Probe<T> PROBES[] = {
      {"exp", [](vec<T> v) { return exp<T>(v); }},
      {"exp_neg", [](vec<T> v) { return exp_neg<T>(v); }},
      {"tanh", [](vec<T> v) { return tanh<T>(v); }},
      {"tanh_unit", [](vec<T> v) { return tanh_unit<T>(v); }},
      {"sigmoid", [](vec<T> v) { return sigmoid<T>(v); }},
      {"softplus", [](vec<T> v) { return softplus<T>(v); }},
      {"log1p_unit", [](vec<T> v) { return log1p_unit<T>(v); }},
      {"sin", [](vec<T> v) { vec<T> s, c; sincos<T>(v, s, c); return s; }},
      {"cos", [](vec<T> v) { vec<T> s, c; sincos<T>(v, s, c); return c; }},
      {"cos_cut", [](vec<T> v) { vec<T> f, g; cos_cut<T>(v, f, g); return f; }},
      {"cos_cut_slope", [](vec<T> v) { vec<T> f, g; cos_cut<T>(v, f, g); return g; }},
      {"acos", [](vec<T> v) { return acos<T>(v); }},
      {"rsqrt", [](vec<T> v) { return rsqrt<T>(v); }},
  };
  for (const Probe<T> &p : PROBES) {
    if (std::strcmp(p.name, name)) continue;
    for (int64_t k = 0; k < n; k += width<T>) {
      T some[width<T>] = {};
      const int m = n - k < width<T> ? int(n - k) : width<T>;
      std::memcpy(some, x + k, m * sizeof(T));
      store<T>(some, p.f(load<T>(some)));
      std::memcpy(y + k, some, m * sizeof(T));
    }
    return 1;
  }
  return 0;
}

}  // namespace FASTMD_ISA
}  // namespace fastmd

extern "C" __attribute__((visibility("default"))) int fastmd_probe_float64(const char *name, int64_t n, const double *x, double *y) { return fastmd::probe<double>(name, n, x, y); }
extern "C" __attribute__((visibility("default"))) int fastmd_probe_float32(const char *name, int64_t n, const float *x, float *y) { return fastmd::probe<float>(name, n, x, y); }
