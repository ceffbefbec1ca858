// Small matrix products that stay in registers: c[m, n] (+)= a[m, k] · b[k, n].
//
// a has any strides (so it may be read transposed); b and c have contiguous rows and n is a multiple
// of LANES. A tile of the result, `height` rows by `width` vectors, is kept in registers over k.

#if VECTOR_BYTES >= 64
#define TILE_WIDTH 4  // 32 registers: 6 x 4 sums
#else
#define TILE_WIDTH 2  // 16 registers: 6 x 2 sums
#endif

INLINE void FN(tile)(const int height, const int width, long k, const REAL *a, long row_stride,
                     long column_stride, const REAL *b, long ldb, REAL *c, long ldc,
                     int accumulate) {
  KERNEL_FP
  VEC sums[12][4];
#pragma clang loop unroll(full)
  for (int i = 0; i < height; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < width; j++)
      sums[i][j] = accumulate ? FN(load)(c + i * ldc + j * LANES) : (VEC)((REAL)0);
#pragma clang loop unroll(disable)
  for (long p = 0; p < k; p++) {
    VEC row[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < width; j++) row[j] = FN(load)(b + p * ldb + j * LANES);
#pragma clang loop unroll(full)
    for (int i = 0; i < height; i++) {
      const VEC factor = (VEC)(a[i * row_stride + p * column_stride]);
#pragma clang loop unroll(full)
      for (int j = 0; j < width; j++) sums[i][j] += factor * row[j];
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < height; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < width; j++) FN(store)(c + i * ldc + j * LANES, sums[i][j]);
}

#define TILE(height, width)                                                                    \
  FN(tile)(height, width, k, a + i * row_stride, row_stride, column_stride, b + j, ldb,        \
           c + i * ldc + j, ldc, accumulate)

#define PANEL(height, width)                                   \
  for (; j + (width) * LANES <= n; j += (width) * LANES) {     \
    long i = 0;                                                \
    for (; i + (height) <= m; i += (height)) TILE(height, width); \
    for (; i + 4 <= m; i += 4) TILE(4, width);                 \
    for (; i + 2 <= m; i += 2) TILE(2, width);                 \
    if (i < m) TILE(1, width);                                 \
  }

static __attribute__((noinline)) void FN(block_product)(long m, long n, long k, const REAL *a,
                                                        long row_stride, long column_stride,
                                                        const REAL *b, long ldb, REAL *c, long ldc,
                                                        int accumulate) {
  KERNEL_FP
  long j = 0;
#if TILE_WIDTH == 4
  PANEL(6, 4)
  PANEL(12, 2)
#else
  PANEL(6, 2)
#endif
  PANEL(12, 1)
}
