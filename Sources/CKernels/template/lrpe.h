// The linearised relative position encoding.

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
