// Sums over the rows or columns of a matrix, or of its squares. Sums of columns are in double.
#include "element.cuh"

__device__ __forceinline__ float term(float x, int squared) { return squared ? x * x : x; }

// One block per row.
extern "C" __global__ void __launch_bounds__(256) row_sums(
    const T *x, float *sums, int columns, int squared) {
  const T *row = x + (i64)blockIdx.x * columns;
  float total = 0.0f;
  if (columns % VEC == 0 && aligned(x)) {
    for (int i = threadIdx.x * VEC; i < columns; i += 256 * VEC) {
      const Vec v = load_vec(row + i);
#pragma unroll
      for (int j = 0; j < VEC; j++) total += term(to_float(v.v[j]), squared);
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += 256) total += term(load(row + i), squared);
  }
  total = block_sum(total);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

// partial[part][column]: the sum of one of gridDim.y consecutive ranges of rows. A block is 8 warps
// over 32 columns; each warp takes every eighth row, and the warps are added in order.
extern "C" __global__ void __launch_bounds__(256) column_sums_double(
    const T *x, double *partial, i64 rows, int columns, int squared) {
  __shared__ double parts[8][32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
  const i64 start = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  double sum = 0.0;
  if (column < columns) {
#pragma unroll 4
    for (i64 r = start + warp; r < end; r += 8) {
      const double v = (double)load(x + r * columns + column);
      sum += squared ? v * v : v;
    }
  }
  parts[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= columns) return;
  double total = 0.0;
#pragma unroll
  for (int w = 0; w < 8; w++) total += parts[w][lane];
  partial[(i64)blockIdx.y * columns + column] = total;
}

// sums[column] += Σ over parts of partial[part][column], in order.
extern "C" __global__ void __launch_bounds__(256) add_column_parts(
    const double *partial, double *sums, int parts, int columns) {
  const int column = blockIdx.x * 256 + threadIdx.x;
  if (column >= columns) return;
  double total = 0.0;
  for (int p = 0; p < parts; p++) total += partial[(i64)p * columns + column];
  sums[column] += total;
}
