// What neurons contribute per token, and sums over rows and columns of such tables.

// energy = (|h| · weight)², one weight per column; sums (double) += |h| · weight. Rows of h and
// energy lie `stride` apart.
static void FN(weighted_energy)(const void *h_, const void *weights_, void *energy_, double *sums,
                                long rows, long cols, long stride) {
  KERNEL_FP
  const REAL *weights = weights_;
  for (long r = 0; r < rows; r++) {
    const REAL *h = (const REAL *)h_ + r * stride;
    REAL *energy = (REAL *)energy_ + r * stride;
    for (long i = 0; i < cols; i++) {
      const REAL weighted = (h[i] < 0 ? -h[i] : h[i]) * weights[i];
      sums[i] += (double)weighted;
      energy[i] = weighted * weighted;
    }
  }
}

// shares[n - first, t] = energy[t, columns[n]] / totals[t] for neurons first..<end, 0 where the
// total is.
static void FN(energy_shares)(const void *energy_, const int32_t *columns, const void *totals_,
                              void *shares_, long tokens, long width, long first, long end) {
  KERNEL_FP
  const REAL *energy = energy_, *totals = totals_;
  REAL *shares = shares_;
  // Neighbouring neurons of one token share a cache line, so a tile is read line by line.
  enum { TOKENS = 64 };
  for (long start = 0; start < tokens; start += TOKENS) {
    const long stop = start + TOKENS < tokens ? start + TOKENS : tokens;
    REAL scales[TOKENS];
    for (long t = start; t < stop; t++) scales[t - start] = totals[t] > 0 ? 1 / totals[t] : 0;
    for (long n = first; n < end; n++) {
      const REAL *source = energy + columns[n];
      REAL *row = shares + (n - first) * tokens;
      for (long t = start; t < stop; t++) row[t] = source[t * width] * scales[t - start];
    }
  }
}

// y[r, :] = √(x[r, :] / totals[r]), 0 where the total is.
static void FN(unit_roots)(const void *x_, const void *totals_, void *y_, long rows, long cols) {
  KERNEL_FP
  const REAL *totals = totals_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    REAL *y = (REAL *)y_ + r * cols;
    const REAL scale = totals[r] > 0 ? 1 / totals[r] : 0;
    for (long i = 0; i < cols; i++) y[i] = SQUARE_ROOT(x[i] * scale);
  }
}

// sums (double) += the columns' sums, of squares if asked. Rows lie `stride` apart.
static void FN(add_columns)(const void *x_, double *sums, long rows, long cols, long stride,
                            int squared) {
  KERNEL_FP
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * stride;
    if (squared)
      for (long i = 0; i < cols; i++) sums[i] += (double)x[i] * (double)x[i];
    else
      for (long i = 0; i < cols; i++) sums[i] += (double)x[i];
  }
}
