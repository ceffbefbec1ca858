// The parts of a mixture of experts that are not matrix products. A slot is t * top_k + j: the
// j-th choice of token t.

static void FN(gather_rows)(const void *x_, const int32_t *slots, long top_k, long stride,
                            void *y_, long rows, long cols) {
  REAL *y = y_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + slots[r] / top_k * stride;
    for (long i = 0; i < cols; i++) y[r * cols + i] = x[i];
  }
}

static void FN(scatter_add_rows)(const void *x_, const int32_t *slots, long top_k, long stride,
                                 void *y_, long rows, long cols) {
  KERNEL_FP
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    REAL *y = (REAL *)y_ + slots[r] / top_k * stride;
    for (long i = 0; i < cols; i++) y[i] += x[i];
  }
}

static void FN(expert_swiglu_forward)(const void *gate_, const void *up_, const void *weights_,
                                      const int32_t *slots, void *hidden_, long rows, long cols) {
  KERNEL_FP
  const REAL *weights = weights_;
  for (long r = 0; r < rows; r++) {
    const REAL *g = (const REAL *)gate_ + r * cols, *u = (const REAL *)up_ + r * cols;
    REAL *h = (REAL *)hidden_ + r * cols;
    const REAL w = weights[slots[r]];
    for (long i = 0; i < cols; i++) h[i] = w * u[i] * (g[i] / (1 + FN(exponential)(-g[i])));
  }
}

static void FN(expert_swiglu_backward)(void *gate_, void *up_, void *pulled_, const void *weights_,
                                       void *dweights_, const int32_t *slots, long rows, long cols,
                                       int accumulate_dweights) {
  KERNEL_FP
  const REAL *weights = weights_;
  REAL *dweights = dweights_;
  for (long r = 0; r < rows; r++) {
    REAL *g = (REAL *)gate_ + r * cols, *u = (REAL *)up_ + r * cols;
    REAL *z = (REAL *)pulled_ + r * cols;
    const REAL w = weights[slots[r]];
    REAL inner = 0;
    for (long i = 0; i < cols; i++) {
      const REAL sigmoid = 1 / (1 + FN(exponential)(-g[i]));
      const REAL silu = g[i] * sigmoid;
      const REAL h = silu * u[i], dh = w * z[i];
      inner += z[i] * h;
      g[i] = dh * u[i] * (sigmoid + silu * (1 - sigmoid));
      u[i] = dh * silu;
      z[i] = w * h;
    }
    if (dweights) dweights[slots[r]] = (accumulate_dweights ? dweights[slots[r]] : 0) + inner;
  }
}
