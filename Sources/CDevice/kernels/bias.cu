// Bias of a linear layer: added to every row; its gradient is the sum over rows.
#include "element.cuh"

// One block per row.
extern "C" __global__ void __launch_bounds__(256) add_bias(T *x, const float *bias, int columns) {
  T *row = x + (i64)blockIdx.x * columns;
  if (columns % VEC == 0 && aligned(x)) {
    for (int i = threadIdx.x * VEC; i < columns; i += blockDim.x * VEC) {
      Vec v = load_vec(row + i);
#pragma unroll
      for (int j = 0; j < VEC; j++) v.v[j] = from_float(to_float(v.v[j]) + bias[i + j]);
      store_vec(row + i, v);
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += blockDim.x) store(row + i, load(row + i) + bias[i]);
  }
}

// partial[part][column]: the sum of one of gridDim.y consecutive ranges of rows. A block is 8 warps
// over 32 · VEC columns; each warp takes every eighth row, and the warps are added in order.
extern "C" __global__ void __launch_bounds__(256) column_sums(
    const T *x, float *partial, i64 rows, int columns) {
  __shared__ float parts[8][32 * VEC];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int base = blockIdx.x * 32 * VEC, width = min(32 * VEC, columns - base);
  const i64 start = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  float sums[VEC] = {};
  // Lane-strided columns when rows are not aligned: still neighbouring accesses within a warp.
  const bool whole = columns % VEC == 0 && aligned(x);
  if (whole) {
    if (lane * VEC < width) {
#pragma unroll 4
      for (i64 r = start + warp; r < end; r += 8) {
        const Vec v = load_vec(x + r * columns + base + lane * VEC);
#pragma unroll
        for (int j = 0; j < VEC; j++) sums[j] += to_float(v.v[j]);
      }
    }
  } else {
    for (i64 r = start + warp; r < end; r += 8)
#pragma unroll
      for (int j = 0; j < VEC; j++)
        if (lane + 32 * j < width) sums[j] += load(x + r * columns + base + lane + 32 * j);
  }
#pragma unroll
  for (int j = 0; j < VEC; j++) parts[warp][whole ? lane * VEC + j : lane + 32 * j] = sums[j];
  __syncthreads();
  for (int c = threadIdx.x; c < width; c += 256) {
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < 8; w++) total += parts[w][c];
    partial[(i64)blockIdx.y * columns + base + c] = total;
  }
}

// sum[column] += Σ over parts of partial[part][column], in a fixed order. A block is 32 columns by
// 32 groups of parts.
extern "C" __global__ void __launch_bounds__(1024) add_partial_sums(
    const float *partial, float *sum, int parts, int columns) {
  __shared__ float groups[32][33];
  const int lane = threadIdx.x & 31, group = threadIdx.x >> 5;
  const int column = blockIdx.x * 32 + lane;
  float total = 0.0f;
  if (column < columns)
    for (int p = group; p < parts; p += 32) total += partial[(i64)p * columns + column];
  groups[group][lane] = total;
  __syncthreads();
  // Warp g now sums column g of the block over the groups.
  total = warp_sum(groups[lane][group]);
  const int out = blockIdx.x * 32 + group;
  if (lane == 0 && out < columns) sum[out] += total;
}
