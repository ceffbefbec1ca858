// The exponential function, inlined so that loops over it vectorise.

#if IS_DOUBLE
static inline REAL FN(exponential)(REAL x) { return exp(x); }
#else
// Relative error below 2e-7 on [-87, 88]; smaller arguments give 0, larger are clamped to exp(88).
static inline REAL FN(exponential)(REAL x) {
  KERNEL_FP
  float clamped = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  float scaled = clamped * 1.44269504088896341f;
  // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, also when vectorised.
  float shifted = __builtin_elementwise_roundeven(scaled);
  float r = __builtin_fmaf(shifted, -0.693359375f, clamped);
  r = __builtin_fmaf(shifted, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = __builtin_fmaf(p, r, 1.3981999507e-3f);
  p = __builtin_fmaf(p, r, 8.3334519073e-3f);
  p = __builtin_fmaf(p, r, 4.1665795894e-2f);
  p = __builtin_fmaf(p, r, 1.6666665459e-1f);
  p = __builtin_fmaf(p, r, 5.0000001201e-1f);
  float result = __builtin_fmaf(p, r * r, r) + 1.0f;
  union {
    int32_t i;
    float f;
  } power = {((int32_t)shifted + 127) << 23};
  return x < -87.0f ? 0.0f : result * power.f;
}
#endif
