// Matrix times vector, one output per weight row: what decoding one token costs.
// Four rows at a time keep several memory streams in flight.

static void FN(gemv)(const void *x_, const void *w_, void *y_, long rows, long n, int accumulate) {
  KERNEL_FP
  const REAL *x = x_, *w = w_;
  REAL *y = y_;
  long r = 0;
  for (; r + 4 <= rows; r += 4) {
    const REAL *w0 = w + r * n, *w1 = w0 + n, *w2 = w1 + n, *w3 = w2 + n;
    REAL s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (long i = 0; i < n; i++) {
      s0 += x[i] * w0[i];
      s1 += x[i] * w1[i];
      s2 += x[i] * w2[i];
      s3 += x[i] * w3[i];
    }
    y[r] = (accumulate ? y[r] : 0) + s0;
    y[r + 1] = (accumulate ? y[r + 1] : 0) + s1;
    y[r + 2] = (accumulate ? y[r + 2] : 0) + s2;
    y[r + 3] = (accumulate ? y[r + 3] : 0) + s3;
  }
  for (; r < rows; r++) {
    REAL s = 0;
    for (long i = 0; i < n; i++) s += x[i] * w[r * n + i];
    y[r] = (accumulate ? y[r] : 0) + s;
  }
}

static void FN(gemv_bf16)(const REAL *x, const uint16_t *w, REAL *y, long rows, long n,
                          int accumulate) {
  KERNEL_FP
  long r = 0;
  for (; r + 4 <= rows; r += 4) {
    const uint16_t *w0 = w + r * n, *w1 = w0 + n, *w2 = w1 + n, *w3 = w2 + n;
    REAL s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (long i = 0; i < n; i++) {
      s0 += x[i] * (REAL)FN(bf16_value)(w0[i]);
      s1 += x[i] * (REAL)FN(bf16_value)(w1[i]);
      s2 += x[i] * (REAL)FN(bf16_value)(w2[i]);
      s3 += x[i] * (REAL)FN(bf16_value)(w3[i]);
    }
    y[r] = (accumulate ? y[r] : 0) + s0;
    y[r + 1] = (accumulate ? y[r + 1] : 0) + s1;
    y[r + 2] = (accumulate ? y[r + 2] : 0) + s2;
    y[r + 3] = (accumulate ? y[r + 3] : 0) + s3;
  }
  for (; r < rows; r++) {
    REAL s = 0;
    for (long i = 0; i < n; i++) s += x[i] * (REAL)FN(bf16_value)(w[r * n + i]);
    y[r] = (accumulate ? y[r] : 0) + s;
  }
}

static void FN(gemv_f16)(const REAL *x, const uint16_t *w_, REAL *y, long rows, long n,
                         int accumulate) {
  KERNEL_FP
  const _Float16 *w = (const _Float16 *)w_;
  for (long r = 0; r < rows; r++) {
    REAL s = 0;
    for (long i = 0; i < n; i++) s += x[i] * (REAL)(float)w[r * n + i];
    y[r] = (accumulate ? y[r] : 0) + s;
  }
}

static void FN(gemv_half)(hk_half format, const void *x, const uint16_t *w, void *y, long rows,
                          long n, int accumulate) {
  if (format == HK_BF16)
    FN(gemv_bf16)(x, w, y, rows, n, accumulate);
  else
    FN(gemv_f16)(x, w, y, rows, n, accumulate);
}
