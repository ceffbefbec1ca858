// The softmax of short rows: one warp each, eight rows per block.
#include "element.cuh"

extern "C" __global__ void __launch_bounds__(256) softmax_forward(
    const T *x, T *y, i64 rows, int columns) {
  const i64 row = (i64)blockIdx.x * 8 + (threadIdx.x >> 5);
  const int lane = threadIdx.x & 31;
  if (row >= rows) return;
  const T *in = x + row * columns;
  T *out = y + row * columns;
  float largest = -__int_as_float(0x7f800000), total = 0.0f;
  for (int i = lane; i < columns; i += 32) largest = fmaxf(largest, load(in + i));
  largest = warp_max(largest);
  for (int i = lane; i < columns; i += 32) total += expf(load(in + i) - largest);
  const float factor = 1.0f / warp_sum(total);
  for (int i = lane; i < columns; i += 32) store(out + i, expf(load(in + i) - largest) * factor);
}

extern "C" __global__ void __launch_bounds__(256) softmax_backward(
    const T *dy, const T *y, T *dx, i64 rows, int columns) {
  const i64 row = (i64)blockIdx.x * 8 + (threadIdx.x >> 5);
  const int lane = threadIdx.x & 31;
  if (row >= rows) return;
  const i64 offset = row * columns;
  float inner = 0.0f;
  for (int i = lane; i < columns; i += 32) inner += load(dy + offset + i) * load(y + offset + i);
  inner = warp_sum(inner);
  for (int i = lane; i < columns; i += 32)
    store(dx + offset + i, load(y + offset + i) * (load(dy + offset + i) - inner));
}
