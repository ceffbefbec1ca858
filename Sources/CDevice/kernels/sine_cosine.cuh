#pragma once
#include "element.cuh"

// Sine and cosine in double: reduced by multiples of pi/2 in pieces, then Taylor polynomials on
// [-pi/4, pi/4], as on the CPU. The library's functions would need local memory for large angles.
__device__ __forceinline__ void sine_cosine(double angle, double &sine, double &cosine) {
  const double rounder = 6755399441055744.0;  // 1.5 * 2^52
  const double shifted = angle * 0.63661977236758134308 + rounder;
  const double n = shifted - rounder;
  double r = angle - n * 1.57079632673412561417e+00;
  r = r - n * 6.07710050630396597660e-11;
  r = r - n * 2.02226624879595063154e-21;
  const double z = r * r;
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
  const i64 quadrant = __double_as_longlong(shifted);
  const double swapped_s = (quadrant & 1) ? c : s, swapped_c = (quadrant & 1) ? s : c;
  sine = (quadrant & 2) ? -swapped_s : swapped_s;
  cosine = ((quadrant + 1) & 2) ? -swapped_c : swapped_c;
}
