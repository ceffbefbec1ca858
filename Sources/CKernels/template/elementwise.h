// Sums, scaled sums and inner products.

static void FN(add)(const void *a_, const void *b_, void *y_, long n) {
  KERNEL_FP
  const REAL *a = a_, *b = b_;
  REAL *y = y_;
  for (long i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void FN(axpy)(double alpha, const void *x_, void *y_, long n) {
  KERNEL_FP
  const REAL *x = x_, c = (REAL)alpha;
  REAL *y = y_;
  for (long i = 0; i < n; i++) y[i] += c * x[i];
}

static void FN(scale)(double alpha, const void *x_, void *y_, long n) {
  KERNEL_FP
  const REAL *x = x_, c = (REAL)alpha;
  REAL *y = y_;
  for (long i = 0; i < n; i++) y[i] = c * x[i];
}

// Sums run in blocks whose totals are added in double: long arrays keep float's precision.
#define BLOCK 1024

#define BLOCKED_SUM(expression)                 \
  double total = 0;                             \
  for (long start = 0; start < n; start += BLOCK) { \
    long end = start + BLOCK < n ? start + BLOCK : n; \
    REAL part = 0;                              \
    for (long i = start; i < end; i++) part += (expression); \
    total += (double)part;                      \
  }                                             \
  return total;

static double FN(sum_of_squares)(const void *x_, long n) {
  KERNEL_FP
  const REAL *x = x_;
  BLOCKED_SUM(x[i] * x[i])
}

static double FN(sum)(const void *x_, long n) {
  KERNEL_FP
  const REAL *x = x_;
  BLOCKED_SUM(x[i])
}

static double FN(dot)(const void *a_, const void *b_, long n) {
  KERNEL_FP
  const REAL *a = a_, *b = b_;
  BLOCKED_SUM(a[i] * b[i])
}

static double FN(squared_distance)(const void *a_, const void *b_, long n) {
  KERNEL_FP
  const REAL *a = a_, *b = b_;
  BLOCKED_SUM((a[i] - b[i]) * (a[i] - b[i]))
}
