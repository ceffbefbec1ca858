// Rotary position embedding (Su et al. 2021), pairs (i, i + half) within each head.
#include "sine_cosine.cuh"

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
