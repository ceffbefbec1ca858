// What prepares keys, queries and decays of linear attention.

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

// Cosines and sines of position * theta; the product rounds to REAL first, as in rope.
INLINE void FN(lrpe_angles)(const REAL *theta, REAL position, REAL *cosines, REAL *sines, long dim) {
  for (long i = 0; i < dim; i++) {
    const REAL angle = position * theta[i];
    double sine, cosine;
    FN(sine_cosine)((double)angle, &sine, &cosine);
    cosines[i] = (REAL)cosine;
    sines[i] = (REAL)sine;
  }
}

#define LRPE_DIM 128

// y[r, h] = [x cos, x sin]; theta has one row or one per head.
static void FN(lrpe_forward)(const void *x_, const void *theta_, const int32_t *positions, void *y_,
                             long rows, long heads, long dim, long theta_rows) {
  KERNEL_FP
  REAL cosines[LRPE_DIM], sines[LRPE_DIM];
  for (long r = 0; r < rows; r++)
    for (long h = 0; h < heads; h++) {
      if (h < theta_rows)
        FN(lrpe_angles)((const REAL *)theta_ + h * dim, (REAL)positions[r], cosines, sines, dim);
      const REAL *x = (const REAL *)x_ + (r * heads + h) * dim;
      REAL *y = (REAL *)y_ + (r * heads + h) * 2 * dim;
      for (long i = 0; i < dim; i++) {
        y[i] = x[i] * cosines[i];
        y[dim + i] = x[i] * sines[i];
      }
    }
}

// Sets dx, adds to dtheta; each where it is not NULL.
static void FN(lrpe_backward)(const void *dy_, const void *x_, const void *theta_,
                              const int32_t *positions, void *dx_, void *dtheta_, long rows,
                              long heads, long dim, long theta_rows) {
  KERNEL_FP
  REAL cosines[LRPE_DIM], sines[LRPE_DIM];
  for (long r = 0; r < rows; r++)
    for (long h = 0; h < heads; h++) {
      const REAL position = (REAL)positions[r];
      if (h < theta_rows)
        FN(lrpe_angles)((const REAL *)theta_ + h * dim, position, cosines, sines, dim);
      const REAL *x = (const REAL *)x_ + (r * heads + h) * dim;
      const REAL *dy = (const REAL *)dy_ + (r * heads + h) * 2 * dim;
      if (dx_) {
        REAL *dx = (REAL *)dx_ + (r * heads + h) * dim;
        for (long i = 0; i < dim; i++) dx[i] = dy[i] * cosines[i] + dy[dim + i] * sines[i];
      }
      if (dtheta_) {
        REAL *dtheta = (REAL *)dtheta_ + (h < theta_rows ? h : 0) * dim;
        for (long i = 0; i < dim; i++)
          dtheta[i] += position * x[i] * (dy[dim + i] * cosines[i] - dy[i] * sines[i]);
      }
    }
}

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

// bound[c] = the sum over rows 1...row of the softmax over all rows of table[:, c].
static void FN(lower_bound)(const void *table_, void *bound_, long rows, long cols, long row) {
  const REAL *table = table_;
  REAL *bound = bound_;
  for (long c = 0; c < cols; c++) {
    REAL largest = table[c], total = 0, part = 0;
    for (long r = 1; r < rows; r++)
      largest = table[r * cols + c] > largest ? table[r * cols + c] : largest;
    for (long r = 0; r < rows; r++) {
      const REAL e = FN(exponential)(table[r * cols + c] - largest);
      total += e;
      if (r > 0 && r <= row) part += e;
    }
    bound[c] = part / total;
  }
}

// dtable[r, c] = p[r, c] * dbound[c] * ((0 < r <= row) - bound[c]) with p the softmax over the rows.
static void FN(lower_bound_backward)(const void *dbound_, const void *table_, void *dtable_,
                                     long rows, long cols, long row) {
  const REAL *table = table_, *dbound = dbound_;
  REAL *dtable = dtable_;
  for (long c = 0; c < cols; c++) {
    REAL largest = table[c], total = 0, part = 0;
    for (long r = 1; r < rows; r++)
      largest = table[r * cols + c] > largest ? table[r * cols + c] : largest;
    for (long r = 0; r < rows; r++) {
      const REAL e = FN(exponential)(table[r * cols + c] - largest);
      dtable[r * cols + c] = e;
      total += e;
      if (r > 0 && r <= row) part += e;
    }
    const REAL bound = part / total;
    for (long r = 0; r < rows; r++)
      dtable[r * cols + c] *= dbound[c] / total * ((r > 0 && r <= row ? (REAL)1 : (REAL)0) - bound);
  }
}
