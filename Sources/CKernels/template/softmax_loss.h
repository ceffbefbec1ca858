// Cross-entropy and Kullback-Leibler divergence of rows of logits, with their gradients.

enum { FN(max_lanes) = 64 };

// Independent lanes, because a single running maximum does not vectorise.
static inline REAL FN(row_max)(const REAL *x, long n) {
  REAL lanes[FN(max_lanes)];
  for (int j = 0; j < FN(max_lanes); j++) lanes[j] = -(REAL)INFINITY;
  long i = 0;
  for (; i + FN(max_lanes) <= n; i += FN(max_lanes))
    for (int j = 0; j < FN(max_lanes); j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  for (; i < n; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  REAL best = lanes[0];
  for (int j = 1; j < FN(max_lanes); j++) best = lanes[j] > best ? lanes[j] : best;
  return best;
}

static long FN(arg_max)(const void *x_, long n) {
  const REAL *x = x_;
  const REAL best = FN(row_max)(x, n);
  for (long i = 0; i < n; i++)
    if (x[i] == best) return i;
  return 0;
}

// x becomes exp(x - max); returns the sum.
static double FN(exponentiate)(REAL *x, REAL max, long n) {
  KERNEL_FP
  double total = 0;
  for (long start = 0; start < n; start += BLOCK) {
    const long end = start + BLOCK < n ? start + BLOCK : n;
    REAL part = 0;
    for (long i = start; i < end; i++) {
      const REAL e = FN(exponential)(x[i] - max);
      x[i] = e;
      part += e;
    }
    total += (double)part;
  }
  return total;
}

static void FN(cross_entropy_rows)(void *logits_, void *teacher_, const int32_t *targets,
                                   const void *ce_weights_, const void *kl_weights_,
                                   double ce_share, double kl_share, void *ce_, void *kl_,
                                   long rows, long cols) {
  KERNEL_FP
  const REAL *ce_weights = ce_weights_, *kl_weights = kl_weights_;
  REAL *ce = ce_, *kl = kl_;
  for (long r = 0; r < rows; r++) {
    REAL *l = (REAL *)logits_ + r * cols;
    REAL *s = teacher_ ? (REAL *)teacher_ + r * cols : 0;
    const long target = targets[r];
    const int has_target = target >= 0 && target < cols;
    const REAL max = FN(row_max)(l, cols);
    const double at_target = has_target ? (double)(l[target] - max) : 0;
    double total = 0, teacher_total = 0, cross = 0;
    if (s) {
      const REAL teacher_max = FN(row_max)(s, cols);
      for (long start = 0; start < cols; start += BLOCK) {
        const long end = start + BLOCK < cols ? start + BLOCK : cols;
        REAL part = 0, teacher_part = 0, cross_part = 0;
        for (long i = start; i < end; i++) {
          const REAL x = l[i] - max, y = s[i] - teacher_max;
          const REAL e = FN(exponential)(x), q = FN(exponential)(y);
          l[i] = e;
          s[i] = q;
          part += e;
          teacher_part += q;
          cross_part += q * (y - x);
        }
        total += (double)part;
        teacher_total += (double)teacher_part;
        cross += (double)cross_part;
      }
      kl[r] = (REAL)(cross / teacher_total - log(teacher_total) + log(total));
    } else {
      total = FN(exponentiate)(l, max, cols);
    }
    ce[r] = has_target ? (REAL)(log(total) - at_target) : 0;
    if (!ce_weights) continue;
    const double towards_target = has_target ? (double)ce_weights[r] * ce_share : 0;
    if (s) {
      const double towards_teacher = (double)kl_weights[r] * kl_share;
      const REAL student = (REAL)((towards_target + towards_teacher) / total);
      const REAL teacher = (REAL)(towards_teacher / teacher_total);
      for (long i = 0; i < cols; i++) l[i] = student * l[i] - teacher * s[i];
    } else {
      const REAL student = (REAL)(towards_target / total);
      for (long i = 0; i < cols; i++) l[i] *= student;
    }
    if (has_target) l[target] -= (REAL)towards_target;
  }
}

static void FN(log_sum_exp)(const void *x_, void *y_, long rows, long cols) {
  KERNEL_FP
  REAL *y = y_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    const REAL max = FN(row_max)(x, cols);
    REAL total = 0;
    for (long i = 0; i < cols; i++) total += FN(exponential)(x[i] - max);
    y[r] = max + (REAL)log((double)total);
  }
}

static void FN(z_loss_backward)(double alpha, const void *x_, const void *lse_, void *dx_,
                                long rows, long cols, int accumulate) {
  KERNEL_FP
  const REAL *lse = lse_;
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    REAL *dx = (REAL *)dx_ + r * cols;
    const REAL c = (REAL)alpha * lse[r], offset = lse[r];
    for (long i = 0; i < cols; i++)
      dx[i] = (accumulate ? dx[i] : 0) + c * FN(exponential)(x[i] - offset);
  }
}
