// Sums and scaled sums of arrays of one element type.
//
// Every thread owns VEC consecutive elements: one 16-byte access each where all arrays are aligned.
#include "element.cuh"

// y = a + b; y may be a or b.
extern "C" __global__ void __launch_bounds__(256) elementwise_add(
    const T *a, const T *b, T *y, i64 n) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC;
  if (start >= n) return;
  if (start + VEC <= n && aligned(a) && aligned(b) && aligned(y)) {
    const Vec left = load_vec(a + start), right = load_vec(b + start);
    Vec sum;
#pragma unroll
    for (int j = 0; j < VEC; j++) sum.v[j] = from_float(to_float(left.v[j]) + to_float(right.v[j]));
    store_vec(y + start, sum);
  } else {
    const i64 end = min(n, start + VEC);
    for (i64 i = start; i < end; i++) store(y + i, load(a + i) + load(b + i));
  }
}

// y = alpha · scalar · x (+ y); a null scalar counts as 1.
extern "C" __global__ void __launch_bounds__(256) elementwise_scale(
    const T *x, float alpha, const float *scalar, T *y, i64 n, int accumulate) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC;
  if (start >= n) return;
  const float factor = scalar ? alpha * *scalar : alpha;
  // The usual case in backward, where the loss's own gradient is 1: nothing to move.
  if (factor == 1.0f && !accumulate && x == y) return;
  if (start + VEC <= n && aligned(x) && aligned(y)) {
    const Vec in = load_vec(x + start);
    Vec out;
    if (accumulate) out = load_vec(y + start);
#pragma unroll
    for (int j = 0; j < VEC; j++)
      out.v[j] = from_float(factor * to_float(in.v[j]) + (accumulate ? to_float(out.v[j]) : 0.0f));
    store_vec(y + start, out);
  } else {
    const i64 end = min(n, start + VEC);
    for (i64 i = start; i < end; i++)
      store(y + i, factor * load(x + i) + (accumulate ? load(y + i) : 0.0f));
  }
}
