// The exponential function, for scalars (inlined, so that loops over it vectorise) and vectors.

#if IS_DOUBLE
INLINE REAL FN(exponential)(REAL x) { return exp(x); }

INLINE VEC FN(exponential_lanes)(VEC x) {
  for (int i = 0; i < LANES; i++) x[i] = exp(x[i]);
  return x;
}
#else
// Relative error below 2e-7 on [-87, 88]; smaller arguments give 0, larger are clamped to exp(88).
//
// x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial for e^r and n put into the exponent bits. Adding
// 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
#define EXPONENTIAL(name, F, U)                                         \
  INLINE F name(F x) {                                                  \
    ROUNDING_FP                                                         \
    union {                                                             \
      F f;                                                              \
      U u;                                                              \
    } shifted, power;                                                   \
    F low = x < -87.0f ? (F)(-87.0f) : x;                               \
    F clamped = low > 88.0f ? (F)(88.0f) : low;                         \
    shifted.f = clamped * 1.44269504088896341f + 12582912.0f;           \
    F n = shifted.f - 12582912.0f;                                      \
    F r = clamped - n * 0.693359375f;                                   \
    r = r + n * 2.12194440e-4f;                                         \
    F p = r * 1.9875691500e-4f + 1.3981999507e-3f;                      \
    p = p * r + 8.3334519073e-3f;                                       \
    p = p * r + 4.1665795894e-2f;                                       \
    p = p * r + 1.6666665459e-1f;                                       \
    p = p * r + 5.0000001201e-1f;                                       \
    F result = (p * (r * r) + r) + 1.0f;                                \
    power.u = (shifted.u << 23) + 0x3f800000u;                          \
    return x < -87.0f ? (F)(0.0f) : result * power.f;                   \
  }

typedef uint32_t FN(lanes_u32) __attribute__((ext_vector_type(LANES)));

EXPONENTIAL(FN(exponential), float, uint32_t)
EXPONENTIAL(FN(exponential_lanes), VEC, FN(lanes_u32))
#endif

static void FN(exponentials)(const void *x_, void *y_, long n) {
  KERNEL_FP
  const REAL *x = x_;
  REAL *y = y_;
  for (long i = 0; i < n; i++) y[i] = FN(exponential)(x[i]);
}
