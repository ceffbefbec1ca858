// Squared-error gradients and the AdamW update.

#undef SQUARE_ROOT
#if IS_DOUBLE
#define SQUARE_ROOT sqrt
#else
#define SQUARE_ROOT sqrtf
#endif

// y = alpha * (a - b) (+ y)
static void FN(scaled_difference)(double alpha, const void *a_, const void *b_, void *y_, long n,
                                  int accumulate) {
  KERNEL_FP
  const REAL *a = a_, *b = b_, c = (REAL)alpha;
  REAL *y = y_;
  if (accumulate)
    for (long i = 0; i < n; i++) y[i] += c * (a[i] - b[i]);
  else
    for (long i = 0; i < n; i++) y[i] = c * (a[i] - b[i]);
}

static void FN(adamw)(void *restrict value_, const void *restrict gradient_,
                      void *restrict moment1_, void *restrict moment2_, long n,
                      const hk_adamw *settings) {
  KERNEL_FP
  REAL *restrict value = value_, *restrict m = moment1_, *restrict v = moment2_;
  const REAL *restrict gradient = gradient_;
  const REAL scale = (REAL)settings->gradient_scale;
  const REAL beta1 = (REAL)settings->beta1, rest1 = (REAL)(1 - settings->beta1);
  const REAL beta2 = (REAL)settings->beta2, rest2 = (REAL)(1 - settings->beta2);
  const REAL keep = (REAL)(1 - settings->learning_rate * settings->weight_decay);
  const REAL rate = (REAL)(settings->learning_rate / settings->correction1);
  const REAL root = (REAL)(1 / sqrt(settings->correction2)), epsilon = (REAL)settings->epsilon;
  for (long i = 0; i < n; i++) {
    const REAL g = scale * gradient[i];
    m[i] = beta1 * m[i] + rest1 * g;
    v[i] = beta2 * v[i] + rest2 * g * g;
    value[i] = keep * value[i] - rate * m[i] / (SQUARE_ROOT(v[i]) * root + epsilon);
  }
}
