// Runs of numbers repeated in place, and their sums.

// Every run of dim numbers becomes `times` equal runs; `runs` runs in all.
static void FN(repeat_runs)(const void *x_, void *y_, long runs, long dim, long times) {
  const REAL *x = x_;
  REAL *y = y_;
  for (long r = 0; r < runs; r++)
    for (long t = 0; t < times; t++)
      for (long i = 0; i < dim; i++) y[(r * times + t) * dim + i] = x[r * dim + i];
}

// The sum of every `times` runs.
static void FN(sum_runs)(const void *dy_, void *dx_, long runs, long dim, long times) {
  KERNEL_FP
  const REAL *dy = dy_;
  for (long r = 0; r < runs; r++) {
    REAL *dx = (REAL *)dx_ + r * dim;
    const REAL *from = dy + r * times * dim;
    if (dim == 1) {
      REAL total = 0;
      for (long t = 0; t < times; t++) total += from[t];
      dx[0] = total;
      continue;
    }
    for (long i = 0; i < dim; i++) dx[i] = from[i];
    for (long t = 1; t < times; t++)
      for (long i = 0; i < dim; i++) dx[i] += from[t * dim + i];
  }
}
