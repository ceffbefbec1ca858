// AdamW with block-wise 8-bit moments (Dettmers et al. 2022). Codes are ranks in the sorted values of
// a map: with sign, 127 is zero and smaller codes are negative; without, 0 is zero.

#undef SQUARE_ROOT
#if IS_DOUBLE
#define SQUARE_ROOT sqrt
#else
#define SQUARE_ROOT sqrtf
#endif

// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011).
static inline void FN(philox)(uint64_t counter, uint32_t step, uint64_t key, uint32_t out[4]) {
  uint32_t x0 = (uint32_t)counter, x1 = (uint32_t)(counter >> 32), x2 = step, x3 = 0;
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t a = (uint64_t)0xD2511F53u * x0, b = (uint64_t)0xCD9E8D57u * x2;
    x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
    x1 = (uint32_t)b;
    x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
    x3 = (uint32_t)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

// Up with probability (value - below) / (above - below): sixteen random bits are added to those cut
// off. What is not finite stays so.
static inline uint16_t FN(bf16_random)(float value, uint32_t random) {
  union {
    float f;
    uint32_t i;
  } v = {value};
  if ((v.i & 0x7f800000u) == 0x7f800000u) return FN(bf16_bits)(value);
  return (uint16_t)((v.i + (random & 0xffffu)) >> 16);
}

// The rank of the magnitude nearest to x (of equals the smaller), at most `last`; 0 for a NaN. The
// first decade of the map has 2^bits values. A guess from the decade is off by one at most, and the
// neighbours decide.
static inline int FN(nearest)(REAL x, const float *magnitudes, int bits, int last) {
  if (!(x > 0)) return 0;
  REAL whole = x;
  int decade = 0;
  while (decade < 6 && whole < (REAL)0.1) {
    whole *= 10;
    decade++;
  }
  const int bins = 1 << (bits - decade);
  int bin = (int)((whole - (REAL)0.1) * (bins / (REAL)0.9));
  bin = whole < (REAL)0.1 ? 0 : bin < bins ? bin : bins - 1;
  // Below a decade lie as many values as it has, but for the decades that the map leaves out.
  int rank = bins + bin + 1 - (1 << (bits - 6));
  if (rank > last) rank = last;
  const REAL here = magnitudes[rank];
  if (rank < last && x > (REAL)0.5 * (here + (REAL)magnitudes[rank + 1])) return rank + 1;
  if (x <= (REAL)0.5 * ((REAL)magnitudes[rank - 1] + here)) return rank - 1;
  return rank;
}

static inline REAL FN(largest_magnitude)(const REAL *x, long n) {
  REAL largest = 0;
  for (long i = 0; i < n; i++) {
    const REAL a = x[i] < 0 ? -x[i] : x[i];
    if (a > largest) largest = a;
  }
  return largest;
}

static void FN(adamw_8bit)(void *value_, const void *gradient_, uint8_t *codes1, float *scales1,
                           uint8_t *codes2, float *scales2, long first, long n,
                           const hk_adamw_8bit *settings) {
  KERNEL_FP
  const hk_adamw *a = &settings->rates;
  const REAL *gradient = gradient_;
  const REAL scale = (REAL)a->gradient_scale;
  const REAL beta1 = (REAL)a->beta1, rest1 = (REAL)(1 - a->beta1);
  const REAL beta2 = (REAL)a->beta2, rest2 = (REAL)(1 - a->beta2);
  const REAL keep = (REAL)(1 - a->learning_rate * a->weight_decay);
  const REAL rate = (REAL)(a->learning_rate / a->correction1);
  const REAL root = (REAL)(1 / sqrt(a->correction2)), epsilon = (REAL)a->epsilon;
  const float *with_sign = settings->with_sign, *without_sign = settings->without_sign;
  for (long start = 0; start < n; start += 256) {
    const long count = n - start < 256 ? n - start : 256;
    const REAL old1 = scales1[start / 256], old2 = scales2[start / 256];
    REAL m[256], v[256];
    for (long i = 0; i < count; i++) {
      const REAL g = scale * gradient[start + i];
      const int code = (int)codes1[start + i] - 127;
      const REAL m_old = old1 * (REAL)(code < 0 ? -with_sign[-code] : with_sign[code]);
      const REAL v_old = old2 * (REAL)without_sign[codes2[start + i]];
      m[i] = beta1 * m_old + rest1 * g;
      v[i] = beta2 * v_old + rest2 * g * g;
    }
    uint32_t random[4];
    for (long i = 0; i < count; i++) {
      const REAL step = rate * m[i] / (SQUARE_ROOT(v[i]) * root + epsilon);
      if (settings->value_is_bf16) {
        uint16_t *value = (uint16_t *)value_ + start + i;
        const uint64_t element = (uint64_t)(first + start + i);
        if (i % 8 == 0) FN(philox)(element / 8, settings->step, settings->key, random);
        const REAL moved = keep * (REAL)FN(bf16_value)(*value) - step;
        *value = FN(bf16_random)((float)moved, random[i % 8 / 2] >> (i % 2 * 16));
      } else {
        REAL *value = (REAL *)value_ + start + i;
        *value = keep * *value - step;
      }
    }
    // As in the map's description: a block this small counts as zero.
    const float least = 0x1p-120f;
    const REAL top1 = FN(largest_magnitude)(m, count), top2 = FN(largest_magnitude)(v, count);
    const float new1 = (float)top1 < least ? 0 : (float)top1;
    const float new2 = (float)top2 < least ? 0 : (float)top2;
    const REAL inverse1 = new1 > 0 ? 1 / (REAL)new1 : 0, inverse2 = new2 > 0 ? 1 / (REAL)new2 : 0;
    for (long i = 0; i < count; i++) {
      // -1 has no code: 255 is +1 alone.
      const int rank1 = m[i] < 0 ? -FN(nearest)(-m[i] * inverse1, with_sign, 6, 127)
                                 : FN(nearest)(m[i] * inverse1, with_sign, 6, 128);
      const int rank2 = FN(nearest)(v[i] * inverse2, without_sign, 7, 255);
      codes1[start + i] = (uint8_t)(127 + rank1);
      codes2[start + i] = (uint8_t)(rank2 == 0 && v[i] > 0 ? 1 : rank2);
    }
    scales1[start / 256] = new1;
    scales2[start / 256] = new2;
  }
}
