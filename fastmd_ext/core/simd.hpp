// simd.hpp: vectors of one register, made from the compiler's vector extensions; the width is the instruction set's.
// Nothing here knows physics. Everything is a template of the scalar type: float64 and float32 come from one source.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define FASTMD_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define FASTMD_VECTOR_BYTES 32
#else
#define FASTMD_VECTOR_BYTES 16 /* SSE2, NEON */
#endif
#define FASTMD_INLINE inline __attribute__((always_inline))

namespace fastmd {
inline namespace FASTMD_ISA {

template <class T> struct simd;
template <> struct simd<double> {
  typedef double V __attribute__((vector_size(FASTMD_VECTOR_BYTES)));
  typedef double U __attribute__((vector_size(FASTMD_VECTOR_BYTES), aligned(8), may_alias));  // the same, unaligned in memory
  typedef int64_t I __attribute__((vector_size(FASTMD_VECTOR_BYTES)));
  typedef int64_t scalar_int;
  static constexpr int W = FASTMD_VECTOR_BYTES / 8;
};
template <> struct simd<float> {
  typedef float V __attribute__((vector_size(FASTMD_VECTOR_BYTES)));
  typedef float U __attribute__((vector_size(FASTMD_VECTOR_BYTES), aligned(4), may_alias));
  typedef int32_t I __attribute__((vector_size(FASTMD_VECTOR_BYTES)));
  typedef int32_t scalar_int;
  static constexpr int W = FASTMD_VECTOR_BYTES / 4;
};
template <class T> using vec = typename simd<T>::V;
template <class T> using ivec = typename simd<T>::I;
template <class T> constexpr int width = simd<T>::W;

template <class T> FASTMD_INLINE vec<T> load(const T *p) { return *(const typename simd<T>::U *)p; }
template <class T> FASTMD_INLINE void store(T *p, vec<T> v) { *(typename simd<T>::U *)p = v; }
template <class T> FASTMD_INLINE vec<T> broadcast(T a) { return a - vec<T>{}; }
template <class T> FASTMD_INLINE T sum(vec<T> v) {  // outside inner loops only
  T s = 0;
  for (int l = 0; l < width<T>; l++) s += v[l];
  return s;
}
template <class T> FASTMD_INLINE vec<T> iota() {
  vec<T> v;
  for (int l = 0; l < width<T>; l++) v[l] = T(l);
  return v;
}
FASTMD_INLINE vec<double> sqrt(vec<double> v) {
#if defined(__AVX512F__)
  return (vec<double>)_mm512_sqrt_pd((__m512d)v);
#elif defined(__AVX2__)
  return (vec<double>)_mm256_sqrt_pd((__m256d)v);
#else
  for (int l = 0; l < width<double>; l++) v[l] = __builtin_sqrt(v[l]);
  return v;
#endif
}
FASTMD_INLINE vec<float> sqrt(vec<float> v) {
#if defined(__AVX512F__)
  return (vec<float>)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__)
  return (vec<float>)_mm256_sqrt_ps((__m256)v);
#else
  for (int l = 0; l < width<float>; l++) v[l] = __builtin_sqrtf(v[l]);
  return v;
#endif
}
constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }

}  // namespace FASTMD_ISA
}  // namespace fastmd
