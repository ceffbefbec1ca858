// Matrix times vector, one output per weight row: what decoding one token costs, and that is reading
// the weights once. Several rows are read at a time because one stream does not fill the memory bus,
// each a little ahead of its use. Rows shorter than a few pages are taken from distant parts of the
// matrix, so that every stream runs on from row to row.

typedef uint16_t FN(lanes_u16) __attribute__((ext_vector_type(LANES)));
typedef float FN(lanes_f32) __attribute__((ext_vector_type(LANES)));
typedef _Float16 FN(lanes_f16) __attribute__((ext_vector_type(LANES)));
typedef uint32_t FN(lanes_bits) __attribute__((ext_vector_type(LANES)));

INLINE VEC FN(load_bf16)(const uint16_t *p) {
  FN(lanes_u16) half;
  __builtin_memcpy(&half, p, sizeof half);
  union {
    FN(lanes_bits) u;
    FN(lanes_f32) f;
  } wide = {__builtin_convertvector(half, FN(lanes_bits)) << 16};
  return __builtin_convertvector(wide.f, VEC);
}

INLINE VEC FN(load_f16)(const _Float16 *p) {
  FN(lanes_f16) half;
  __builtin_memcpy(&half, p, sizeof half);
  return __builtin_convertvector(__builtin_convertvector(half, FN(lanes_f32)), VEC);
}

INLINE REAL FN(real_f16)(_Float16 value) { return (REAL)(float)value; }
INLINE REAL FN(real_bf16)(uint16_t bits) { return (REAL)FN(bf16_value)(bits); }
INLINE REAL FN(real_own)(REAL value) { return value; }

enum {
  FN(PREFETCH_BYTES) = 448,
  FN(LONG_ROW_BYTES) = 16384,
};

// `height` outputs from rows `gap` apart. A step of the loop covers one cache line of each row.
#define GEMV(name, TYPE, LOAD, VALUE)                                                            \
  INLINE void FN(name##_rows)(const int height, const REAL *x, const TYPE *w, REAL *y, long gap, \
                              long n, int accumulate) {                                          \
    KERNEL_FP                                                                                    \
    enum { STEPS = 64 / (LANES * (int)sizeof(TYPE)) };                                           \
    VEC sums[12];                                                                                \
    _Pragma("clang loop unroll(full)") for (int a = 0; a < height; a++) sums[a] = (VEC)((REAL)0); \
    long i = 0;                                                                                  \
    for (; i + STEPS * LANES <= n; i += STEPS * LANES) {                                         \
      VEC part[STEPS];                                                                           \
      _Pragma("clang loop unroll(full)") for (int u = 0; u < STEPS; u++)                         \
          part[u] = FN(load)(x + i + u * LANES);                                                 \
      _Pragma("clang loop unroll(full)") for (int a = 0; a < height; a++) {                      \
        const TYPE *row = w + a * gap * n + i;                                                   \
        __builtin_prefetch((const char *)row + FN(PREFETCH_BYTES));                              \
        _Pragma("clang loop unroll(full)") for (int u = 0; u < STEPS; u++)                       \
            sums[a] += part[u] * LOAD(row + u * LANES);                                          \
      }                                                                                          \
    }                                                                                            \
    for (int a = 0; a < height; a++) {                                                           \
      REAL total = FN(lane_sum)(sums[a]);                                                        \
      for (long j = i; j < n; j++) total += x[j] * VALUE(w[a * gap * n + j]);                    \
      y[a * gap] = (accumulate ? y[a * gap] : 0) + total;                                        \
    }                                                                                            \
  }                                                                                              \
  static void FN(name)(const REAL *x, const TYPE *w, REAL *y, long rows, long n,                 \
                       int accumulate) {                                                         \
    long r = 0;                                                                                  \
    if (n * (long)sizeof(TYPE) >= FN(LONG_ROW_BYTES)) {                                          \
      for (; r + 12 <= rows; r += 12)                                                            \
        FN(name##_rows)(12, x, w + r * n, y + r, 1, n, accumulate);                              \
    } else {                                                                                     \
      const long gap = rows / 8;                                                                 \
      for (; r < gap; r++) FN(name##_rows)(8, x, w + r * n, y + r, gap, n, accumulate);          \
      r = 8 * gap;                                                                               \
    }                                                                                            \
    for (; r + 4 <= rows; r += 4)                                                                \
      FN(name##_rows)(4, x, w + r * n, y + r, 1, n, accumulate);                                 \
    for (; r < rows; r++) FN(name##_rows)(1, x, w + r * n, y + r, 1, n, accumulate);             \
  }

GEMV(gemv_own, REAL, FN(load), FN(real_own))
GEMV(gemv_bf16, uint16_t, FN(load_bf16), FN(real_bf16))
GEMV(gemv_f16, _Float16, FN(load_f16), FN(real_f16))

static void FN(gemv)(const void *x, const void *w, void *y, long rows, long n, int accumulate) {
  FN(gemv_own)(x, w, y, rows, n, accumulate);
}

static void FN(gemv_half)(hk_half format, const void *x, const uint16_t *w, void *y, long rows,
                          long n, int accumulate) {
  if (format == HK_BF16)
    FN(gemv_bf16)(x, w, y, rows, n, accumulate);
  else
    FN(gemv_f16)(x, (const _Float16 *)w, y, rows, n, accumulate);
}
