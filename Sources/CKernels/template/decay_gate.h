// The forget gate of linear attention, and its lower bounds.

// The smallest value a kept share counts as where something is divided by it.
#if IS_DOUBLE
#define LEAST_SHARE 1e-290
#else
#define LEAST_SHARE 1e-30f
#endif

// log_decay = ln(b + (1 - b) sigmoid(x)) / temperature, rest = 1 - exp(log_decay). Without bounds the
// logarithm is taken of the sigmoid as a whole: it stays finite where the sigmoid vanishes.
static void FN(decay_gate_forward)(const void *x_, const void *bounds_, double temperature,
                                   void *log_decay_, void *rest_, long rows, long cols) {
  KERNEL_FP
  const REAL *bounds = bounds_;
  const REAL factor = (REAL)(1 / temperature);
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    REAL *log_decay = (REAL *)log_decay_ + r * cols;
    for (long i = 0; i < cols; i++) {
      const REAL e = FN(exponential)(x[i] < 0 ? x[i] : -x[i]);
      const REAL b = bounds ? bounds[i] : 0;
      if (b > 0) {
        const REAL s = (x[i] < 0 ? e : (REAL)1) / ((REAL)1 + e);
        log_decay[i] = factor * (REAL)log((double)(b + ((REAL)1 - b) * s));
      } else {
        log_decay[i] = factor * ((x[i] < 0 ? x[i] : (REAL)0) - (REAL)log1p((double)e));
      }
    }
    if (rest_) {
      REAL *rest = (REAL *)rest_ + r * cols;
      for (long i = 0; i < cols; i++) rest[i] = -(REAL)expm1((double)log_decay[i]);
    }
  }
}

// Sets dx, adds to dbounds where it is not NULL; either of dlog_decay and drest may be NULL.
static void FN(decay_gate_backward)(const void *dlog_decay_, const void *drest_, const void *x_,
                                    const void *bounds_, double temperature, void *dx_,
                                    void *dbounds_, long rows, long cols) {
  KERNEL_FP
  const REAL *bounds = bounds_;
  REAL *dbounds = dbounds_;
  const REAL factor = (REAL)(1 / temperature);
  for (long r = 0; r < rows; r++) {
    const REAL *x = (const REAL *)x_ + r * cols;
    const REAL *dlog = dlog_decay_ ? (const REAL *)dlog_decay_ + r * cols : 0;
    const REAL *drest = drest_ ? (const REAL *)drest_ + r * cols : 0;
    REAL *dx = (REAL *)dx_ + r * cols;
    for (long i = 0; i < cols; i++) {
      const REAL e = FN(exponential)(x[i] < 0 ? x[i] : -x[i]);
      // The sigmoid and what it lacks to 1, both without cancellation.
      const REAL s = (x[i] < 0 ? e : (REAL)1) / ((REAL)1 + e);
      const REAL lacks = (x[i] < 0 ? (REAL)1 : e) / ((REAL)1 + e);
      const REAL b = bounds ? bounds[i] : 0;
      const REAL plain = b + ((REAL)1 - b) * s;
      const REAL share = plain > LEAST_SHARE ? plain : (REAL)LEAST_SHARE;
      REAL d = dlog ? dlog[i] : 0;
      if (drest) {
        // What is kept is share^(1/temperature).
        const REAL kept = factor == 1 ? plain : (REAL)pow((double)plain, (double)factor);
        d -= drest[i] * kept;
      }
      d *= factor;
      dx[i] = b > 0 ? d * ((REAL)1 - b) * s * lacks / share : d * lacks;
      if (dbounds) dbounds[i] += d * lacks / share;
    }
  }
}

// The largest of a column of table[rows, cols], the sum of the exponentials below it, and the part of
// that sum in rows 1...row: the column's bound.
INLINE REAL FN(bound_of)(const REAL *table, long rows, long cols, long column, long row,
                         REAL *largest, REAL *total) {
  REAL part = 0;
  *largest = table[column], *total = 0;
  for (long r = 1; r < rows; r++)
    *largest = table[r * cols + column] > *largest ? table[r * cols + column] : *largest;
  for (long r = 0; r < rows; r++) {
    const REAL e = FN(exponential)(table[r * cols + column] - *largest);
    *total += e;
    if (r > 0 && r <= row) part += e;
  }
  return part / *total;
}

// bound[c] = the sum over rows 1...row of the softmax over all rows of table[:, c].
static void FN(lower_bound)(const void *table, void *bound, long rows, long cols, long row) {
  REAL largest, total;
  for (long c = 0; c < cols; c++)
    ((REAL *)bound)[c] = FN(bound_of)(table, rows, cols, c, row, &largest, &total);
}

// dtable[r, c] = p[r, c] * dbound[c] * ((0 < r <= row) - bound[c]) with p the softmax over the rows.
static void FN(lower_bound_backward)(const void *dbound_, const void *table_, void *dtable_,
                                     long rows, long cols, long row) {
  const REAL *table = table_, *dbound = dbound_;
  REAL *dtable = dtable_, largest, total;
  for (long c = 0; c < cols; c++) {
    const REAL bound = FN(bound_of)(table, rows, cols, c, row, &largest, &total);
    for (long r = 0; r < rows; r++) {
      const REAL counts = r > 0 && r <= row ? 1 : 0;
      dtable[r * cols + c] =
          FN(exponential)(table[r * cols + c] - largest) * (dbound[c] / total * (counts - bound));
    }
  }
}
