// Rotary position embedding (Su et al. 2021), pairs (i, i + half) within each head.
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

// Cosines and sines [rows, half] of position · inverse frequency.
extern "C" __global__ void __launch_bounds__(256) rope_table(
    const int *positions, const float *inverse_frequencies, float *cosines, float *sines, i64 rows,
    int half) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= rows * half) return;
  const i64 row = index / half;
  // The product rounds to float first: checkpoints were trained with angles in single precision.
  const float angle = (float)positions[row] * inverse_frequencies[index - row * half];
  double sine, cosine;
  sine_cosine((double)angle, sine, cosine);
  cosines[index] = (float)cosine;
  sines[index] = (float)sine;
}

// y (+)= x turned by its row's angles, or back by them; y may be x. One block per row.
extern "C" __global__ void __launch_bounds__(256) rope(
    const T *x, const float *cosines, const float *sines, T *y, int heads, int half, int inverse,
    int accumulate) {
  const i64 row = blockIdx.x;
  const float *cosine = cosines + row * half, *sine = sines + row * half;
  const i64 base = row * heads * 2 * half;
  const float sign = inverse ? -1.0f : 1.0f;
  if (half % VEC == 0 && aligned(x) && aligned(y)) {
    const int chunks = half / VEC;
    for (int i = threadIdx.x; i < heads * chunks; i += blockDim.x) {
      const int head = i / chunks, at = (i - head * chunks) * VEC;
      const i64 low = base + (i64)head * 2 * half + at, high = low + half;
      const Vec a = load_vec(x + low), b = load_vec(x + high);
      Vec p, q;
      if (accumulate) {
        p = load_vec(y + low);
        q = load_vec(y + high);
      }
#pragma unroll
      for (int j = 0; j < VEC; j++) {
        const float c = cosine[at + j], s = sign * sine[at + j];
        const float u = to_float(a.v[j]), v = to_float(b.v[j]);
        p.v[j] = from_float((accumulate ? to_float(p.v[j]) : 0.0f) + (u * c - v * s));
        q.v[j] = from_float((accumulate ? to_float(q.v[j]) : 0.0f) + (v * c + u * s));
      }
      store_vec(y + low, p);
      store_vec(y + high, q);
    }
  } else {
    for (int i = threadIdx.x; i < heads * half; i += blockDim.x) {
      const int head = i / half, at = i - head * half;
      const i64 low = base + (i64)head * 2 * half + at, high = low + half;
      const float c = cosine[at], s = sign * sine[at];
      const float u = load(x + low), v = load(x + high);
      store(y + low, (accumulate ? load(y + low) : 0.0f) + (u * c - v * s));
      store(y + high, (accumulate ? load(y + high) : 0.0f) + (v * c + u * s));
    }
  }
}
