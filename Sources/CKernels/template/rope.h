// Rotary position embedding (Su et al. 2021), pairs (i, i + half) within each head.

// Sine and cosine in double: reduced by multiples of pi/2 in two pieces, then Taylor polynomials on
// [-pi/4, pi/4]. Angles below 2^31 keep far more than float's precision.
INLINE void FN(sine_cosine)(double angle, double *sine, double *cosine) {
  ROUNDING_FP
  const double rounder = 6755399441055744.0;  // 1.5 * 2^52
  union {
    double f;
    uint64_t u;
  } shifted;
  shifted.f = angle * 0.63661977236758134308 + rounder;
  double n = shifted.f - rounder;
  // pi/2 in pieces of 33 bits, so that n times a piece is exact without a fused multiply-add.
  double r = angle - n * 1.57079632673412561417e+00;
  r = r - n * 6.07710050630396597660e-11;
  r = r - n * 2.02226624879595063154e-21;
  double z = r * r;
  double s = -1.0 / 1307674368000.0;
  s = s * z + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  s = r + r * z * s;
  double c = 1.0 / 20922789888000.0;
  c = c * z - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  c = c * z - 0.5;
  c = 1.0 + z * c;
  uint64_t quadrant = shifted.u;
  double swapped_s = (quadrant & 1) ? c : s;
  double swapped_c = (quadrant & 1) ? s : c;
  *sine = (quadrant & 2) ? -swapped_s : swapped_s;
  *cosine = ((quadrant + 1) & 2) ? -swapped_c : swapped_c;
}

static void FN(rope_table)(const int32_t *positions, const void *inverse_frequencies_,
                           void *cosines_, void *sines_, long rows, long half) {
  const REAL *inverse_frequencies = inverse_frequencies_;
  for (long r = 0; r < rows; r++) {
    REAL *cosines = (REAL *)cosines_ + r * half, *sines = (REAL *)sines_ + r * half;
    const REAL position = (REAL)positions[r];
    for (long i = 0; i < half; i++) {
      // The product rounds to REAL first: checkpoints were trained with angles in single precision.
      REAL angle = position * inverse_frequencies[i];
      double sine, cosine;
      FN(sine_cosine)((double)angle, &sine, &cosine);
      cosines[i] = (REAL)cosine;
      sines[i] = (REAL)sine;
    }
  }
}

static void FN(rope)(const void *x_, const void *cosines_, const void *sines_, void *y_, long rows,
                     long heads, long half, int inverse, int accumulate) {
  KERNEL_FP
  const REAL sign = inverse ? (REAL)-1 : (REAL)1;
  for (long r = 0; r < rows; r++) {
    const REAL *cosine = (const REAL *)cosines_ + r * half;
    const REAL *sine = (const REAL *)sines_ + r * half;
    for (long h = 0; h < heads; h++) {
      const REAL *x = (const REAL *)x_ + (r * heads + h) * 2 * half;
      REAL *y = (REAL *)y_ + (r * heads + h) * 2 * half;
      if (accumulate)
        for (long i = 0; i < half; i++) {
          const REAL a = x[i], b = x[i + half], s = sign * sine[i];
          y[i] += a * cosine[i] - b * s;
          y[i + half] += b * cosine[i] + a * s;
        }
      else
        for (long i = 0; i < half; i++) {
          const REAL a = x[i], b = x[i + half], s = sign * sine[i];
          y[i] = a * cosine[i] - b * s;
          y[i + half] = b * cosine[i] + a * s;
        }
    }
  }
}
