// Conversions between reals and 16-bit floats.

static inline float FN(bf16_value)(uint16_t bits) {
  union {
    uint32_t i;
    float f;
  } v = {(uint32_t)bits << 16};
  return v.f;
}

static inline uint16_t FN(bf16_bits)(float value) {
  union {
    float f;
    uint32_t i;
  } v = {value};
  // A NaN keeps its sign and becomes quiet; everything else rounds to nearest even.
  uint32_t rounded = (v.i + 0x7fffu + ((v.i >> 16) & 1u)) >> 16;
  uint32_t quiet = (v.i >> 16) | 0x40u;
  return (uint16_t)((v.i & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

static void FN(widen)(hk_half format, const uint16_t *x, void *y_, long n) {
  REAL *y = y_;
  if (format == HK_BF16) {
    for (long i = 0; i < n; i++) y[i] = (REAL)FN(bf16_value)(x[i]);
  } else {
    const _Float16 *h = (const _Float16 *)x;
    for (long i = 0; i < n; i++) y[i] = (REAL)(float)h[i];
  }
}

static void FN(narrow)(hk_half format, const void *x_, uint16_t *y, long n) {
  const REAL *x = x_;
  if (format == HK_BF16) {
    for (long i = 0; i < n; i++) y[i] = FN(bf16_bits)((float)x[i]);
  } else {
    _Float16 *h = (_Float16 *)y;
    for (long i = 0; i < n; i++) h[i] = (_Float16)(float)x[i];
  }
}
