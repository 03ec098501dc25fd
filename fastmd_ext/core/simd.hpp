// simd.hpp: vectors of one register, made from the compiler's vector extensions; the width is the instruction set's.
// Nothing here knows physics. Everything is a template of the scalar type: float64 and float32 come from one source.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
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
  typedef double U __attribute__((vector_size(FASTMD_VECTOR_BYTES), aligned(8)));  // the same, unaligned in memory; GCC and Clang let a vector alias its elements, and nothing else
  typedef uint64_t I __attribute__((vector_size(FASTMD_VECTOR_BYTES)));
  typedef int64_t scalar_int;
  static constexpr int W = FASTMD_VECTOR_BYTES / 8;
};
template <> struct simd<float> {
  typedef float V __attribute__((vector_size(FASTMD_VECTOR_BYTES)));
  typedef float U __attribute__((vector_size(FASTMD_VECTOR_BYTES), aligned(4)));
  typedef uint32_t I __attribute__((vector_size(FASTMD_VECTOR_BYTES)));
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
// The sums of four vectors, added to four numbers in a row
template <class T> FASTMD_INLINE void add_sums(T *to, vec<T> a, vec<T> b, vec<T> c, vec<T> d) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (sizeof(T) == 8) {
    __m256d x = _mm256_hadd_pd((__m256d)a, (__m256d)b), y = _mm256_hadd_pd((__m256d)c, (__m256d)d);
    __m256d s = _mm256_add_pd(_mm256_permute2f128_pd(x, y, 0x20), _mm256_permute2f128_pd(x, y, 0x31));
    _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), s));
  } else {
    __m256 x = _mm256_hadd_ps(_mm256_hadd_ps((__m256)a, (__m256)b), _mm256_hadd_ps((__m256)c, (__m256)d));
    _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1))));
  }
#else
  to[0] += sum<T>(a), to[1] += sum<T>(b), to[2] += sum<T>(c), to[3] += sum<T>(d);
#endif
}
template <class T> FASTMD_INLINE vec<T> iota() {
  vec<T> v;
  for (int l = 0; l < width<T>; l++) v[l] = T(l);
  return v;
}
FASTMD_INLINE vec<double> sqrt(vec<double> v) {
#if defined(__AVX512F__)
  return (vec<double>)_mm512_maskz_sqrt_pd(0xff, (__m512d)v);
#elif defined(__AVX2__)
  return (vec<double>)_mm256_sqrt_pd((__m256d)v);
#else
  for (int l = 0; l < width<double>; l++) v[l] = __builtin_sqrt(v[l]);
  return v;
#endif
}
FASTMD_INLINE vec<float> sqrt(vec<float> v) {
#if defined(__AVX512F__)
  return (vec<float>)_mm512_maskz_sqrt_ps(0xffff, (__m512)v);
#elif defined(__AVX2__)
  return (vec<float>)_mm256_sqrt_ps((__m256)v);
#else
  for (int l = 0; l < width<float>; l++) v[l] = __builtin_sqrtf(v[l]);
  return v;
#endif
}
// The larger of two; b where a is no number
template <class T> FASTMD_INLINE vec<T> larger(vec<T> a, vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 8) return (vec<T>)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
  else return (vec<T>)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8) return (vec<T>)_mm256_max_pd((__m256d)a, (__m256d)b);
  else return (vec<T>)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
// Packing: the lanes whose bits are set in a mask, one after the other; and back. A whole vector is written either way. `Lanes` is made
// once for a mask and serves every array.
template <class T> FASTMD_INLINE unsigned less(vec<T> a, vec<T> b) {  // a bit for each lane
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 8) return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
  else return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8) return _mm256_movemask_pd((__m256d)(a < b));
  else return _mm256_movemask_ps((__m256)(a < b));
#else
  unsigned m = 0;
  for (int l = 0; l < width<T>; l++) m |= unsigned(a[l] < b[l]) << l;
  return m;
#endif
}
#if defined(__AVX512F__)
template <class T> struct Lanes {
  unsigned mask;
  __m512i index;
};
template <class T> FASTMD_INLINE Lanes<T> packing(unsigned m) {
  if constexpr (sizeof(T) == 8) return {m, _mm512_maskz_compress_epi64(m, _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7))};
  else return {m, _mm512_maskz_compress_epi32(m, _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))};
}
template <class T> FASTMD_INLINE Lanes<T> unpacking(unsigned m) {
  if constexpr (sizeof(T) == 8) return {m, _mm512_maskz_expand_epi64(m, _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7))};
  else return {m, _mm512_maskz_expand_epi32(m, _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))};
}
template <class T> FASTMD_INLINE void pack(T *p, vec<T> v, const Lanes<T> &n) {
  if constexpr (sizeof(T) == 8) store<T>(p, (vec<T>)_mm512_permutexvar_pd(n.index, (__m512d)v));
  else store<T>(p, (vec<T>)_mm512_permutexvar_ps(n.index, (__m512)v));
}
template <class T> FASTMD_INLINE vec<T> unpack(const T *p, const Lanes<T> &n) {
  if constexpr (sizeof(T) == 8) return (vec<T>)_mm512_maskz_permutexvar_pd(n.mask, n.index, (__m512d)load(p));
  else return (vec<T>)_mm512_maskz_permutexvar_ps(n.mask, n.index, (__m512)load(p));
}
#elif defined(__AVX2__)
template <class T> struct Permutations {  // by mask; in lanes of 32 bits, of which a double has two
  alignas(32) int pack[1 << width<T>][8], unpack[1 << width<T>][2][8];  // [1]: which lanes are not 0 then
};
template <class T> constexpr Permutations<T> make_permutations() {
  Permutations<T> p{};
  constexpr int part = sizeof(T) / 4;
  for (int m = 0; m < 1 << width<T>; m++)
    for (int l = 0, at = 0; l < width<T>; l++) {
      const bool set = m >> l & 1;
      for (int q = 0; q < part; q++) {
        if (set) p.pack[m][part * at + q] = part * l + q;
        p.unpack[m][0][part * l + q] = (part * at + q) & 7;
        p.unpack[m][1][part * l + q] = set ? -1 : 0;
      }
      at += set;
    }
  return p;
}
template <class T> inline constexpr Permutations<T> permutations = make_permutations<T>();
template <class T> struct Lanes {
  __m256i index, keep;
};
template <class T> FASTMD_INLINE Lanes<T> packing(unsigned m) { return {*(const __m256i *)permutations<T>.pack[m], _mm256_setzero_si256()}; }
template <class T> FASTMD_INLINE Lanes<T> unpacking(unsigned m) { return {*(const __m256i *)permutations<T>.unpack[m][0], *(const __m256i *)permutations<T>.unpack[m][1]}; }
template <class T> FASTMD_INLINE void pack(T *p, vec<T> v, const Lanes<T> &n) { store<T>(p, (vec<T>)_mm256_permutevar8x32_ps((__m256)v, n.index)); }
template <class T> FASTMD_INLINE vec<T> unpack(const T *p, const Lanes<T> &n) {
  return (vec<T>)_mm256_and_ps(_mm256_permutevar8x32_ps((__m256)load(p), n.index), (__m256)n.keep);
}
#else
template <class T> struct Lanes {
  unsigned mask;
};
template <class T> FASTMD_INLINE Lanes<T> packing(unsigned m) { return {m}; }
template <class T> FASTMD_INLINE Lanes<T> unpacking(unsigned m) { return {m}; }
template <class T> FASTMD_INLINE void pack(T *p, vec<T> v, const Lanes<T> &n) {
  vec<T> out{};
  for (int l = 0, at = 0; l < width<T>; l++)
    if (n.mask >> l & 1) out[at++] = v[l];
  store<T>(p, out);
}
template <class T> FASTMD_INLINE vec<T> unpack(const T *p, const Lanes<T> &n) {
  vec<T> out{};
  for (int l = 0; l < width<T>; l++)
    if (n.mask >> l & 1) out[l] = *p++;
  return out;
}
#endif
// f(0), f(1), ... f(N - 1), written out: arrays of vectors that are only indexed so live in registers
template <class F, int... k> FASTMD_INLINE void unrolled([[maybe_unused]] F f, std::integer_sequence<int, k...>) { (f(std::integral_constant<int, k>{}), ...); }
template <int N, class F> FASTMD_INLINE void unrolled(F f) { unrolled(f, std::make_integer_sequence<int, N>{}); }

// N vectors at once, element by element: where a long chain of operations is done for many vectors, doing it for a few side by side keeps the
// processor busy while each waits. What is written for `vec` or `Several` alike takes the type as V.
constexpr int ABREAST = 2;  // more want more registers than there are
template <class T, int N> struct Several {
  vec<T> v[N];
};
template <class T> FASTMD_INLINE vec<T> each(vec<T> a, int) { return a; }
template <class T, int N> FASTMD_INLINE vec<T> each(const Several<T, N> &a, int k) { return a.v[k]; }
template <class T> FASTMD_INLINE void set(vec<T> &a, int, vec<T> x) { a = x; }
template <class T, int N> FASTMD_INLINE void set(Several<T, N> &a, int k, vec<T> x) { a.v[k] = x; }
template <class T, int N, class F> FASTMD_INLINE Several<T, N> build(F f) {
  Several<T, N> r;
  unrolled<N>([&](auto k) __attribute__((always_inline)) { r.v[k] = f(k); });
  return r;
}
#define FASTMD_OPERATOR(op)                                                                                                                       \
  template <class T, int N> FASTMD_INLINE Several<T, N> operator op(const Several<T, N> &a, const Several<T, N> &b) {                             \
    return build<T, N>([&](auto k) __attribute__((always_inline)) { return a.v[k] op b.v[k]; });                                                  \
  }                                                                                                                                               \
  template <class T, int N> FASTMD_INLINE Several<T, N> operator op(const Several<T, N> &a, T b) {                                                \
    return build<T, N>([&](auto k) __attribute__((always_inline)) { return a.v[k] op b; });                                                       \
  }                                                                                                                                               \
  template <class T, int N> FASTMD_INLINE Several<T, N> operator op(T a, const Several<T, N> &b) {                                                \
    return build<T, N>([&](auto k) __attribute__((always_inline)) { return a op b.v[k]; });                                                       \
  }
FASTMD_OPERATOR(+)
FASTMD_OPERATOR(-)
FASTMD_OPERATOR(*)
#undef FASTMD_OPERATOR
template <class T> FASTMD_INLINE vec<T> times(vec<T> a, vec<T> b) { return a * b; }
template <class T, int N> FASTMD_INLINE Several<T, N> times(const Several<T, N> &a, vec<T> b) {
  return build<T, N>([&](auto k) __attribute__((always_inline)) { return a.v[k] * b; });
}
template <class T> FASTMD_INLINE vec<T> plus(vec<T> a, vec<T> b) { return a + b; }  // b: the same for all of several
template <class T, int N> FASTMD_INLINE Several<T, N> plus(const Several<T, N> &a, vec<T> b) {
  return build<T, N>([&](auto k) __attribute__((always_inline)) { return a.v[k] + b; });
}
// f of each, whatever x is
template <class T, class F> FASTMD_INLINE vec<T> map(vec<T> x, F f) { return f(x, std::integral_constant<int, 0>{}); }
template <class T, int N, class F> FASTMD_INLINE Several<T, N> map(const Several<T, N> &x, F f) {
  return build<T, N>([&](auto k) __attribute__((always_inline)) { return f(x.v[k], k); });
}
constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }

}  // namespace FASTMD_ISA
}  // namespace fastmd
