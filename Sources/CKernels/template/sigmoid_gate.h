// y = sigmoid(score) · x, one score per row: the gate of Qwen2-MoE's shared expert.

static void FN(sigmoid_gate_forward)(const void *x_, const void *scores_, void *y_, long rows,
                                     long cols) {
  KERNEL_FP
  const REAL *scores = scores_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    REAL *y = (REAL *)y_ + r * cols;
    const REAL gate = 1 / (1 + FN(exponential)(-scores[r]));
    for (long i = 0; i < cols; i++) y[i] = gate * x[i];
  }
}

static void FN(sigmoid_gate_backward)(const void *dy_, const void *x_, const void *scores_,
                                      void *dx_, void *dscores_, long rows, long cols) {
  KERNEL_FP
  const REAL *scores = scores_;
  REAL *dscores = dscores_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols, *dy = (const REAL *)dy_ + r * cols;
    REAL *dx = (REAL *)dx_ + r * cols;
    const REAL gate = 1 / (1 + FN(exponential)(-scores[r]));
    REAL inner = 0;
    for (long i = 0; i < cols; i++) {
      inner += dy[i] * x[i];
      dx[i] = gate * dy[i];
    }
    dscores[r] = inner * gate * (1 - gate);
  }
}
