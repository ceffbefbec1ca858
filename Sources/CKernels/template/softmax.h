// The softmax of rows, and its gradient.
static void FN(softmax_forward)(const void *x_, void *y_, long rows, long cols) {
  KERNEL_FP
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    REAL *y = (REAL *)y_ + r * cols;
    REAL largest = x[0], total = 0;
    for (long i = 1; i < cols; i++) largest = x[i] > largest ? x[i] : largest;
    for (long i = 0; i < cols; i++) {
      y[i] = FN(exponential)(x[i] - largest);
      total += y[i];
    }
    const REAL factor = (REAL)1 / total;
    for (long i = 0; i < cols; i++) y[i] *= factor;
  }
}

static void FN(softmax_backward)(const void *dy_, const void *y_, void *dx_, long rows, long cols) {
  KERNEL_FP
  for (long r = 0; r < rows; r++) {
    const REAL *dy = (const REAL *)dy_ + r * cols, *y = (const REAL *)y_ + r * cols;
    REAL *dx = (REAL *)dx_ + r * cols;
    REAL inner = 0;
    for (long i = 0; i < cols; i++) inner += dy[i] * y[i];
    for (long i = 0; i < cols; i++) dx[i] = y[i] * (dy[i] - inner);
  }
}
