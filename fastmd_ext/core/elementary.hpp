// elementary.hpp: exp, tanh, sigmoid, softplus, sine and cosine, arc cosine, 1 / sqrt on vectors, by short polynomials (no library call, no table).
// exp, tanh, sigmoid, softplus: 4 units in the last place or better everywhere, in both precisions; zeros keep their sign, infinities and NaN
// come out as the limits say, results below the smallest normal number lose their digits one by one. Functions of a restricted range say so; outside
// of it they are anything. tests/test_elementary.py measures each over its range, through probe.hpp.
// Polynomials interpolate in Chebyshev nodes, which is within a factor of two of the best there are.
#pragma once
#include "simd.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

template <class T> constexpr bool f64 = sizeof(T) == 8;

template <class To, class From> FASTMD_INLINE To bits_of(From x) {
  static_assert(sizeof(To) == sizeof(From), "");
  To y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}
template <class T> FASTMD_INLINE vec<T> absolute(vec<T> x) { return bits_of<vec<T>>(bits_of<ivec<T>>(x) & ~bits_of<ivec<T>>(broadcast<T>(T(-0.0)))); }
template <class T> FASTMD_INLINE vec<T> with_sign_of(vec<T> x, vec<T> s) {  // x >= 0
  return bits_of<vec<T>>(bits_of<ivec<T>>(x) | (bits_of<ivec<T>>(s) & bits_of<ivec<T>>(broadcast<T>(T(-0.0)))));
}

// Coefficients in whole vectors, and not constant for all the compiler knows: so each is an operand in memory of the operation that wants it, where
// otherwise an instruction of its own would fill a register with it first.
template <class T, size_t N> struct Coefficients {
  alignas(64) T value[N][width<T>];
  constexpr Coefficients(const T (&c)[N]) : value{} {
    for (size_t k = 0; k < N; k++)
      for (int l = 0; l < width<T>; l++) value[k][l] = c[k];
  }
};

// c[0] + c[1] x + ...; even and odd powers by themselves, so that two chains of multiplications run side by side
template <class T, class V, size_t N> FASTMD_INLINE V polynomial(V x, const Coefficients<T, N> &c) {
  constexpr int E = (N - 1) / 2 * 2, O = N / 2 * 2 - 1;  // the highest even and odd power
  auto all = [&](int k) __attribute__((always_inline)) { return map<T>(x, [&](vec<T>, auto) __attribute__((always_inline)) { return load(c.value[k]); }); };
  V x2 = x * x, even = plus<T>(times<T>(x2, load(c.value[E])), load(c.value[E - 2])), odd;
  if constexpr (O < 3) odd = all(O);
  else odd = plus<T>(times<T>(x2, load(c.value[O])), load(c.value[O - 2]));
  for (int k = E - 4; k >= 0; k -= 2) even = plus<T>(even * x2, load(c.value[k]));
  for (int k = O - 4; k >= 1; k -= 2) odd = plus<T>(odd * x2, load(c.value[k]));
  return odd * x + even;
}

// Adding this to |x| < 2^31 or so (2^21) pushes the fraction out of the mantissa and leaves the nearest whole number in the lowest bits.
template <class T> constexpr T MAGIC = f64<T> ? T(6755399441055744.0) : T(12582912.0f);

// 2^n for n + MAGIC, -1022 <= n <= 1023 (-126 .. 127): the exponent is there
template <class T> FASTMD_INLINE vec<T> power_of_two(vec<T> shifted) {
  constexpr int mantissa = f64<T> ? 52 : 23;
  return bits_of<vec<T>>((bits_of<ivec<T>>(shifted) << mantissa) + bits_of<ivec<T>>(broadcast<T>(T(1))));
}

// x = n ln2 + r, |r| <= ln2 / 2: r and n + MAGIC
template <class T, class V> FASTMD_INLINE V reduce(V x, V &shifted) {
  shifted = x * T(1.4426950408889634) + MAGIC<T>;
  V n = shifted - MAGIC<T>;
  if constexpr (f64<T>) return (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  else return (x - n * 0.693359375f) + n * 2.12194440e-4f;
}

// e^r - 1 for |r| <= ln2 / 2: r + r^2 Q(r)
template <class T, class V> FASTMD_INLINE V expm1_reduced(V r) {
  if constexpr (f64<T>) {
    static Coefficients c({0.5000000000000001, 0.16666666666666669, 0.04166666666662404, 0.008333333333330055, 0.0013888888917258759, 0.00019841269863088255, 2.4801521225986432e-05, 2.7557268406190795e-06, 2.7620121717381933e-07, 2.51004110820149e-08});
    return r + r * r * polynomial<T>(r, c);
  } else {
    static Coefficients c({0.5f, 0.166666314f, 0.0416666232f, 0.00835721754f, 0.00139187358f});
    return r + r * r * polynomial<T>(r, c);
  }
}

// e^x = 2^n e^r. 2^n in two factors: the largest results do not overflow on the way, and the smallest are rounded once, by the last product.
template <class T> FASTMD_INLINE vec<T> exp(vec<T> x) {
  constexpr T low = f64<T> ? T(-746) : T(-104), high = f64<T> ? T(710) : T(89);
  vec<T> y = x < low ? broadcast<T>(low) : x, shifted;
  y = y > high ? broadcast<T>(high) : y;
  vec<T> p = T(1) + expm1_reduced<T>(reduce<T>(y, shifted)), n = shifted - MAGIC<T>, half = n * T(0.5) + MAGIC<T>;
  return p * power_of_two<T>(half) * power_of_two<T>((n - (half - MAGIC<T>)) + MAGIC<T>);
}

// e^x for x <= 0; 0 below -700 (float: -86), where e^x is 1e-304 (5e-38)
template <class T, class V> FASTMD_INLINE V exp_neg(V x) {
  constexpr int mantissa = f64<T> ? 52 : 23;
  V shifted, r = reduce<T>(x, shifted), p = T(1) + expm1_reduced<T>(r);
  return map<T>(x, [&](vec<T> y, auto k) __attribute__((always_inline)) {
    vec<T> q = bits_of<vec<T>>(bits_of<ivec<T>>(each<T>(p, k)) + (bits_of<ivec<T>>(each<T>(shifted, k)) << mantissa));
    return y < (f64<T> ? T(-700) : T(-86)) ? vec<T>{} : q;
  });
}

// tanh(x) = E / (E + 2), E = e^(2x) - 1 = 2^n (e^r - 1) + (2^n - 1)
template <class T> FASTMD_INLINE vec<T> tanh(vec<T> x) {
  constexpr T high = f64<T> ? T(20) : T(10);  // 1 to the last bit
  vec<T> a = absolute<T>(x), shifted;
  a = a > high ? broadcast<T>(high) : a;
  vec<T> e = expm1_reduced<T>(reduce<T>(a + a, shifted)), s = power_of_two<T>(shifted), E = e * s + (s - T(1));
  return with_sign_of<T>(E / (E + T(2)), x);
}

// tanh(x) for 0 <= x <= 1: x + x^3 P(x^2)
template <class T, class V> FASTMD_INLINE V tanh_unit(V x) {
  V z = x * x;
  if constexpr (f64<T>) {
    static Coefficients c({-0.33333333333333326, 0.13333333333330813, -0.05396825396636394, 0.02186948847999737, -0.00886323465252544, 0.0035921197425441464, -0.0014557829138450453, 0.0005898067307783174, -0.00023845344045191568, 9.540778823530722e-05, -3.679721325874468e-05, 1.2889423623414145e-05, -3.6986096809521603e-06, 7.386981472384082e-07, -7.41114097654018e-08});
    return x + x * z * polynomial<T>(z, c);
  } else {
    static Coefficients c({-0.333333313f, 0.133331284f, -0.0539347902f, 0.0216601156f, -0.00821892172f, 0.0025104594f, -0.000420695491f});
    return x + x * z * polynomial<T>(z, c);
  }
}

template <class T> FASTMD_INLINE vec<T> sigmoid(vec<T> x) {  // e^x / (1 + e^x) on the left keeps its relative accuracy there
  vec<T> a = x < T(0) ? x : -x, e = exp<T>(a), q = T(1) / (T(1) + e);
  return x < T(0) ? e * q : q;
}

// log(1 + t) for 0 <= t <= 1: 2 atanh(s / 2) = s + s^3 P(s^2), s = 2 t / (2 + t) <= 2/3
template <class T> FASTMD_INLINE vec<T> log1p_unit(vec<T> t) {
  vec<T> s = (t + t) / (T(2) + t), z = s * s;
  if constexpr (f64<T>) {
    static Coefficients c({0.08333333333333333, 0.012500000000004558, 0.0022321428568053718, 0.00043402778744976297, 8.877826873111747e-05, 1.8781213458201444e-05, 4.063154360856609e-06, 9.156091926262446e-07, 1.6786076519288395e-07, 7.707617574664846e-08});
    return s + s * z * polynomial<T>(z, c);
  } else {
    static Coefficients c({0.0833332986f, 0.012502363f, 0.00220598583f, 0.000524443341f});
    return s + s * z * polynomial<T>(z, c);
  }
}

template <class T> FASTMD_INLINE vec<T> softplus(vec<T> x) {  // log(1 + e^x)
  vec<T> a = x < T(0) ? x : -x;
  return (x < T(0) ? vec<T>{} : x) + log1p_unit<T>(exp<T>(a));
}

// sine and cosine together, |x| <= 10^5 (float: 8000): x = n pi/2 + y, |y| <= pi/4, and n mod 4 says which is which and their signs.
// Absolute error below 2.5e-16 (1.2e-7), and 2 units in the last place for the sine of |x| < pi/4.
template <class T> FASTMD_INLINE void sincos(vec<T> x, vec<T> &sine, vec<T> &cosine) {
  constexpr int sign = sizeof(T) * 8 - 2;
  vec<T> shifted = x * T(0.63661977236758134) + MAGIC<T>, n = shifted - MAGIC<T>, s, c;
  if constexpr (f64<T>) {
    vec<T> y = ((x - n * 1.57079632673412561417e+00) - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21, z = y * y;
    static Coefficients cs({-0.16666666666666666, 0.008333333333330936, -0.00019841269836740532, 2.7557316093198404e-06, -2.5051129896450185e-08, 1.5917988979397435e-10});
    static Coefficients cc({0.041666666666666664, -0.0013888888888887389, 2.48015872987544e-05, -2.755731726587808e-07, 2.087614504941318e-09, -1.138254464534925e-11});
    s = y + y * z * polynomial<T>(z, cs), c = (T(1) - T(0.5) * z) + z * z * polynomial<T>(z, cc);
  } else {
    vec<T> y = ((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978995489188216e-8f, z = y * y;
    static Coefficients cs({-0.166666642f, 0.00833274703f, -0.00019587639f});
    static Coefficients cc({0.0416666642f, -0.00138883013f, 2.45476895e-05f});
    s = y + y * z * polynomial<T>(z, cs), c = (T(1) - T(0.5) * z) + z * z * polynomial<T>(z, cc);
  }
  ivec<T> k = bits_of<ivec<T>>(shifted), odd = -(k & 1);
  ivec<T> si = bits_of<ivec<T>>(s), ci = bits_of<ivec<T>>(c), swap = (si ^ ci) & odd;
  sine = bits_of<vec<T>>((si ^ swap) ^ ((k & 2) << sign));
  cosine = bits_of<vec<T>>((ci ^ swap) ^ (((k + 1) & 2) << sign));
}

// The cosine cutoff of z = x^2, 0 <= z <= 1, with no square root: f = (cos(pi x) + 1) / 2 = cos^2(pi x / 2), and g = f'(x) / x = -pi cos(pi x / 2) sin(pi x / 2) / x.
// cos(pi x / 2) = (1 - z) (1 + z C(z)): relative to f and g, which go to 0 with (1 - x)^2 and 1 - x, the error stays within 5 units in the last place.
template <class T, class V> FASTMD_INLINE void cos_cut(V z, V &f, V &g) {
  V c = T(1) - z, s;
  if constexpr (f64<T>) {
    static Coefficients cc({-0.23370055013616978, 0.019968957764872036, -0.0008945229983763158, 2.4737275773497334e-05, -4.6476431737358344e-07, 6.3189839135998725e-09, -6.331774444873279e-11});
    static Coefficients cs({-4.934802200544679, 2.029356063208384, -0.2503617691602311, 0.014708164397385483, -0.0005040408472278916, 1.1306098794522838e-05, -1.788237398574549e-07, 2.0999714812491036e-09, -1.8450497454574567e-11});
    c = c + c * z * polynomial<T>(z, cc), s = polynomial<T>(z, cs);
  } else {
    static Coefficients cc({-0.233700544f, 0.019968845f, -0.00089395605f, 2.38249177e-05f});
    static Coefficients cs({-4.93480206f, 2.02935505f, -0.250353277f, 0.0146842562f, -0.000476490706f});
    c = c + c * z * polynomial<T>(z, cc), s = polynomial<T>(z, cs);
  }
  f = c * c;
  g = c * s;
}

// The largest |x| < 1
template <class T> FASTMD_INLINE vec<T> inside_unit(vec<T> x) {
  constexpr T most = T(1) - (f64<T> ? T(1.1102230246251565e-16) : T(5.9604645e-8f));
  x = x < most ? x : broadcast<T>(most);
  return x > -most ? x : broadcast<T>(-most);
}

// acos(x) = pi/2 - asin(x) for |x| <= 1/2, 2 asin(sqrt((1 - |x|) / 2)) or pi less that beyond: its relative accuracy stays near x = 1.
// asin(t) = t + t^3 P(t^2), 0 <= t^2 <= 1/4. Within 2 units in the last place.
template <class T> FASTMD_INLINE vec<T> acos(vec<T> x) {
  vec<T> a = absolute<T>(x);
  auto outer = a > T(0.5);
  vec<T> z = outer ? (T(1) - a) * T(0.5) : x * x, t = outer ? sqrt(z) : x, p;
  if constexpr (f64<T>) {
    static Coefficients c({0.1666666666666665, 0.07500000000020764, 0.044642857103423646, 0.03038194736709848, 0.02237204763174451, 0.017355259955786323, 0.013929652902326633, 0.011875494382636922, 0.0078029494773533175, 0.01603551434914882, -0.010749050339697808, 0.028169218060881414});
    p = polynomial<T>(z, c);
  } else {
    static Coefficients c({0.166666731f, 0.0749885514f, 0.0450013801f, 0.0265545417f, 0.0380850248f});
    p = polynomial<T>(z, c);
  }
  vec<T> s = t + t * z * p;
  vec<T> far = x < T(0) ? T(M_PI) - (s + s) : s + s;
  return outer ? far : T(M_PI_2) - s;
}

// sqrt(x) and 1 / sqrt(x) for 1e-37 <= x <= 1e38, within 2 units in the last place. Where there is an estimate y, with e = 1 - x y^2 its error:
// y (1 - e)^(-1/2) = y (1 + e/2 + 3/8 e^2 + ..). AVX2 has none for float64, and there the unit that takes roots and divides works beside the others.
template <class T, class V> FASTMD_INLINE V root(V x, V &inverse) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
  constexpr bool estimated = true;
#else
  constexpr bool estimated = !f64<T>;
#endif
  if constexpr (estimated) {
    V y = map<T>(x, [](vec<T> x, auto) __attribute__((always_inline)) {
#if defined(__AVX512F__)
      if constexpr (f64<T>) return (vec<T>)_mm512_maskz_rsqrt14_pd(0xff, (__m512d)x);
      else return (vec<T>)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)x);
#else
      return (vec<T>)_mm256_rsqrt_ps((__m256)x);
#endif
    });
    V e = T(1) - x * y * y;
    y = y + y * e * (T(0.5) + T(0.375) * e);
    if constexpr (f64<T>) {
      e = T(1) - x * y * y;
      y = y + y * e * T(0.5);
    }
    inverse = y;
    return x * y;
  }
#endif
  V r = map<T>(x, [](vec<T> x, auto) __attribute__((always_inline)) { return sqrt(x); });
  inverse = map<T>(r, [](vec<T> r, auto) __attribute__((always_inline)) { return T(1) / r; });
  return r;
}
template <class T, class V> FASTMD_INLINE V rsqrt(V x) {
  V y;
  root<T>(x, y);
  return y;
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
