// elementary.hpp: exp, sine and cosine, arc cosine, tanh, sigmoid and softplus on vectors, by short polynomials (no library call, no table).
// Tested against the C library over their whole range. tanh for small arguments: the rational function of Cephes (S. Moshier, public domain).
#pragma once
#include "simd.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// Round to the nearest whole number, |x| < 2^31 or so: adding 1.5 * 2^52 pushes the fraction out of the mantissa.
template <class T> FASTMD_INLINE vec<T> nearest(vec<T> x) {
  const T magic = sizeof(T) == 8 ? T(6755399441055744.0) : T(12582912.0f);
  vec<T> shifted = x + magic;
  return shifted - magic;
}

// exp(x) = 2^n exp(r), |r| <= ln2 / 2. Below the smallest normal number it is 0, above the largest infinity; NaN stays NaN.
template <class T> FASTMD_INLINE vec<T> exp(vec<T> x) {
  constexpr bool f64 = sizeof(T) == 8;
  const T low = f64 ? T(-708.0) : T(-87.0f), high = f64 ? T(709.7) : T(88.7f), magic = f64 ? T(6755399441055744.0) : T(12582912.0f);
  vec<T> y = x < low ? broadcast<T>(low) : x > high ? broadcast<T>(high) : x;
  vec<T> shifted = y * T(1.4426950408889634) + magic, n = shifted - magic, p;
  if constexpr (f64) {
    vec<T> r = (y - n * T(6.93147180369123816490e-01)) - n * T(1.90821492927058770002e-10);
    p = broadcast<T>(T(1.0 / 6227020800.0));
    const double c[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
    for (double a : c) p = p * r + T(a);
  } else {
    vec<T> r = (y - n * T(0.693359375)) + n * T(2.12194440e-4);
    p = broadcast<T>(T(1.0 / 5040));
    const float c[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    for (float a : c) p = p * r + T(a);
  }
  // 2^n by adding n to the exponent: `shifted` holds n in its low bits. In two halves, so that the largest results do not overflow on the way.
  ivec<T> bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  vec<T> m = broadcast<T>(magic);
  ivec<T> zero;
  std::memcpy(&zero, &m, sizeof zero);
  ivec<T> k = bits - zero, half = k >> 1;
  const typename simd<T>::scalar_int bias = f64 ? 1023 : 127;
  const int mantissa = f64 ? 52 : 23;
  ivec<T> b1 = (half + bias) << mantissa, b2 = (k - half + bias) << mantissa;
  vec<T> s1, s2;
  std::memcpy(&s1, &b1, sizeof s1);
  std::memcpy(&s2, &b2, sizeof s2);
  p = p * s1 * s2;
  p = x < low ? vec<T>{} : p;
  p = x > high ? broadcast<T>(T(INFINITY)) : p;
  return x != x ? x : p;
}

// sine and cosine together, for |x| up to about 10^5: reduced to [-pi/2, pi/2], then the Taylor series.
template <class T> FASTMD_INLINE void sincos(vec<T> x, vec<T> &sine, vec<T> &cosine) {
  vec<T> n = nearest<T>(x * T(0.31830988618379067)), y;
  if constexpr (sizeof(T) == 8) y = ((x - n * T(3.1415926553308964)) - n * T(-1.7411031384001463e-09)) - n * T(-7.00686879617986e-19);
  else y = (x - n * T(3.1416015625)) - n * T(-8.90890987648163e-06);
  vec<T> y2 = y * y, s, c;
  if constexpr (sizeof(T) == 8) {
    s = broadcast<T>(T(-1.0 / 25852016738884976640000.0));
    for (double a : {1.0 / 51090942171709440000.0, -1.0 / 121645100408832000.0, 1.0 / 355687428096000.0, -1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6, 1.0}) s = s * y2 + T(a);
    c = broadcast<T>(T(1.0 / 620448401733239439360000.0));
    for (double a : {-1.0 / 1124000727777607680000.0, 1.0 / 2432902008176640000.0, -1.0 / 6402373705728000.0, 1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5, 1.0}) c = c * y2 + T(a);
  } else {
    s = broadcast<T>(T(-1.0 / 39916800));
    for (float a : {1.0f / 362880, -1.0f / 5040, 1.0f / 120, -1.0f / 6, 1.0f}) s = s * y2 + T(a);
    c = broadcast<T>(T(1.0 / 479001600));
    for (float a : {-1.0f / 3628800, 1.0f / 40320, -1.0f / 720, 1.0f / 24, -0.5f, 1.0f}) c = c * y2 + T(a);
  }
  s *= y;
  vec<T> odd = n * T(0.5);  // (-1)^n
  odd = odd - nearest<T>(odd);
  sine = odd != T(0) ? -s : s;
  cosine = odd != T(0) ? -c : c;
}

// The largest |x| < 1
template <class T> FASTMD_INLINE vec<T> inside_unit(vec<T> x) {
  const T most = T(1) - (sizeof(T) == 8 ? T(1.1102230246251565e-16) : T(5.9604645e-8f));
  x = x < most ? x : broadcast<T>(most);
  return x > -most ? x : broadcast<T>(-most);
}

// acos(x) = pi/2 - asin(x) for |x| <= 1/2, 2 asin(sqrt((1 - |x|) / 2)) or pi less that beyond: its relative accuracy stays near x = 1.
// asin(t) = t + t^3 P(t^2), P fitted on 0 <= t^2 <= 1/4 (Chebyshev; the error of asin is below 4e-17).
template <class T> FASTMD_INLINE vec<T> acos(vec<T> x) {
  vec<T> a = x < T(0) ? -x : x;
  auto outer = a > T(0.5);
  vec<T> z = outer ? (T(1) - a) * T(0.5) : x * x, t = outer ? sqrt(z) : x, p = broadcast<T>(T(0.028169218060881412899));
  for (double c : {-0.010749050339697807562, 0.016035514349148823079, 0.0078029494773533171436, 0.0118754943826369232, 0.013929652902326633248, 0.017355259955786321748, 0.022372047631744510379, 0.030381947367098481126, 0.044642857103423643363, 0.075000000000207643609, 0.16666666666666648628}) p = p * z + T(c);
  vec<T> s = t + t * z * p;
  vec<T> far = x < T(0) ? T(M_PI) - (s + s) : s + s;
  return outer ? far : T(M_PI_2) - s;
}

// log(1 + t) for 0 <= t <= 1: 2 atanh(s), s = t / (2 + t) <= 1/3
template <class T> FASTMD_INLINE vec<T> log1p_unit(vec<T> t) {
  vec<T> s = t / (T(2) + t), z = s * s, p = broadcast<T>(T(1.0 / 35));
  for (int k = 33; k >= 1; k -= 2) p = p * z + T(1.0) / T(k);
  return T(2) * s * p;
}

template <class T> FASTMD_INLINE vec<T> tanh(vec<T> x) {
  vec<T> a = x < T(0) ? -x : x, z = x * x;
  vec<T> big = T(1) - T(2) / (exp<T>(a + a) + T(1));
  big = x < T(0) ? -big : big;
  vec<T> num = (T(-9.64399179425052238628e-1) * z + T(-9.92877231001918586564e1)) * z + T(-1.61468768441708447952e3);
  vec<T> den = ((z + T(1.12811678491632931402e2)) * z + T(2.23548839060100448583e3)) * z + T(4.84406305325125486048e3);
  vec<T> small = x + x * z * (num / den);
  return a < T(0.625) ? small : big;
}

template <class T> FASTMD_INLINE vec<T> sigmoid(vec<T> x) {  // e^x / (1 + e^x) on the left keeps its relative accuracy there
  vec<T> a = x < T(0) ? x : -x, e = exp<T>(a), q = T(1) / (T(1) + e);
  return x < T(0) ? e * q : q;
}

template <class T> FASTMD_INLINE vec<T> softplus(vec<T> x) {
  vec<T> a = x < T(0) ? x : -x;
  return (x < T(0) ? vec<T>{} : x) + log1p_unit<T>(exp<T>(a));
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
