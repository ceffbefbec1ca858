// Heads repeated in place, and the sums of the copies. A thread per channel of the narrower side or of
// the wider one.
#include "element.cuh"

extern "C" __global__ void __launch_bounds__(256) repeat_heads(
    const T *x, T *y, i64 n, int dim, int times) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= n) return;
  const i64 run = index / dim;
  y[index] = x[run / times * dim + (index - run * dim)];
}

extern "C" __global__ void __launch_bounds__(256) sum_heads(
    const T *dy, T *dx, i64 n, int dim, int times) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= n) return;
  const i64 run = index / dim;
  const T *from = dy + run * times * dim + (index - run * dim);
  float total = 0.0f;
  for (int t = 0; t < times; t++) total += load(from + (i64)t * dim);
  store(dx + index, total);
}

// A number per run: a block adds up its copies.
extern "C" __global__ void __launch_bounds__(256) sum_scalars(
    const T *dy, T *dx, i64 n, int times) {
  const T *from = dy + (i64)blockIdx.x * times;
  float total = 0.0f;
  for (int t = threadIdx.x; t < times; t += 256) total += load(from + t);
  total = block_sum(total);
  if (threadIdx.x == 0) store(dx + blockIdx.x, total);
}
