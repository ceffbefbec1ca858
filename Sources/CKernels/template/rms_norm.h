// Root-mean-square normalisation (Zhang and Sennrich 2019).

static void FN(rms_norm_forward)(const void *x_, const void *w_, void *y_, void *reciprocal_,
                                 long rows, long cols, double epsilon) {
  KERNEL_FP
  const REAL *w = w_;
  REAL *reciprocal = reciprocal_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    REAL *y = (REAL *)y_ + r * cols;
    REAL total = 0;
    for (long i = 0; i < cols; i++) total += x[i] * x[i];
    REAL inverse = (REAL)(1.0 / sqrt((double)total / (double)cols + epsilon));
    reciprocal[r] = inverse;
    for (long i = 0; i < cols; i++) y[i] = w[i] * (x[i] * inverse);
  }
}

static void FN(rms_norm_backward)(const void *dy_, const void *x_, const void *w_,
                                  const void *reciprocal_, void *dx_, void *dw_, long rows,
                                  long cols, int accumulate_dx) {
  KERNEL_FP
  const REAL *w = w_, *reciprocal = reciprocal_;
  REAL *dw = dw_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols, *dy = (const REAL *)dy_ + r * cols;
    const REAL inverse = reciprocal[r];
    if (dw)
      for (long i = 0; i < cols; i++) dw[i] += dy[i] * (x[i] * inverse);
    if (!dx_) continue;
    REAL *dx = (REAL *)dx_ + r * cols;
    REAL inner = 0;
    for (long i = 0; i < cols; i++) inner += dy[i] * w[i] * x[i];
    const REAL pull = inner * inverse * inverse * inverse / (REAL)cols;
    if (accumulate_dx)
      for (long i = 0; i < cols; i++) dx[i] += dy[i] * w[i] * inverse - x[i] * pull;
    else
      for (long i = 0; i < cols; i++) dx[i] = dy[i] * w[i] * inverse - x[i] * pull;
  }
}
