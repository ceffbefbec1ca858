// Squared errors between activations, relative to the target's energy or the mean.
#include "element.cuh"

// partial[2 b] = Σ (x - target)² and partial[2 b + 1] = Σ target² over block b's vectors. A vector
// is added up in float, a thread's vectors in double.
extern "C" __global__ void __launch_bounds__(256) squared_error_partial(
    const T *x, const T *target, double *partial, i64 n) {
  const bool vector = aligned(x) && aligned(target);
  double error = 0.0, size = 0.0;
  for (i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC; start < n;
       start += (i64)gridDim.x * 256 * VEC) {
    float e = 0.0f, s = 0.0f;
    if (vector && start + VEC <= n) {
      const Vec a = load_vec(x + start), b = load_vec(target + start);
#pragma unroll
      for (int j = 0; j < VEC; j++) {
        const float t = to_float(b.v[j]), d = to_float(a.v[j]) - t;
        e += d * d;
        s += t * t;
      }
    } else {
      const i64 end = min(n, start + VEC);
      for (i64 i = start; i < end; i++) {
        const float t = load(target + i), d = load(x + i) - t;
        e += d * d;
        s += t * t;
      }
    }
    error += (double)e;
    size += (double)s;
  }
  error = block_sum_double(error);
  size = block_sum_double(size);
  if (threadIdx.x == 0) {
    partial[2 * blockIdx.x] = error;
    partial[2 * blockIdx.x + 1] = size;
  }
}

// One block. factor = 1 / Σ target² or 1 / n; loss = factor · error.
extern "C" __global__ void __launch_bounds__(256) squared_error_finish(
    const double *partial, int parts, i64 n, int relative, float *loss, float *factor) {
  double error = 0.0, size = 0.0;
  for (int p = threadIdx.x; p < parts; p += 256) {
    error += partial[2 * p];
    size += partial[2 * p + 1];
  }
  error = block_sum_double(error);
  size = block_sum_double(size);
  if (threadIdx.x != 0) return;
  if (!relative) size = (double)n;
  // A target of zeros has no relative error to speak of; the bound keeps it finite. Written so that
  // what is not a number stays.
  const double scale = 1.0 / (size <= 1e-30 ? 1e-30 : size);
  *loss = (float)(scale * error);
  *factor = (float)scale;
}

// dx (+)= 2 · upstream · factor · (x - target)
extern "C" __global__ void __launch_bounds__(256) squared_error_backward(
    const float *upstream, const float *factor, const T *x, const T *target, T *dx, i64 n,
    int accumulate) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC;
  if (start >= n) return;
  const float alpha = 2.0f * *upstream * *factor;
  if (start + VEC <= n && aligned(x) && aligned(target) && aligned(dx)) {
    const Vec a = load_vec(x + start), b = load_vec(target + start);
    Vec out;
    if (accumulate) out = load_vec(dx + start);
#pragma unroll
    for (int j = 0; j < VEC; j++)
      out.v[j] = from_float((accumulate ? to_float(out.v[j]) : 0.0f) +
                            alpha * (to_float(a.v[j]) - to_float(b.v[j])));
    store_vec(dx + start, out);
  } else {
    const i64 end = min(n, start + VEC);
    for (i64 i = start; i < end; i++)
      store(dx + i, (accumulate ? load(dx + i) : 0.0f) + alpha * (load(x + i) - load(target + i)));
  }
}
