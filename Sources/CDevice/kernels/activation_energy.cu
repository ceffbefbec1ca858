// What neurons contribute per token: squared weighted activations, their shares of a token's total
// by neuron, and the shares' roots as rows of unit length.
#include "element.cuh"

// energy = (|h| · weight)², and partial[part][column] the sum of |h| · weight over one of gridDim.y
// consecutive ranges of rows. A block is 8 warps over 32 columns; each warp takes every eighth row,
// and the warps are added in order.
extern "C" __global__ void __launch_bounds__(256) weighted_energy(
    const T *h, const float *weights, float *energy, double *partial, i64 rows, int columns) {
  __shared__ double parts[8][32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
  const i64 start = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  double sum = 0.0;
  if (column < columns) {
    const float weight = weights[column];
#pragma unroll 4
    for (i64 r = start + warp; r < end; r += 8) {
      const i64 i = r * columns + column;
      const float weighted = fabsf(load(h + i)) * weight;
      sum += (double)weighted;
      energy[i] = weighted * weighted;
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

// shares[n][t] = energy[t][columns[n]] / totals[t], 0 where the total is. A block turns 32 tokens
// (blockIdx.x) by 32 neurons (blockIdx.y) over in shared memory: both sides are accessed in rows.
extern "C" __global__ void __launch_bounds__(256) energy_shares(
    const float *energy, const int *columns, const float *totals, float *shares, int tokens,
    int width, int neurons) {
  __shared__ float tile[32][33];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int token = blockIdx.x * 32, neuron = blockIdx.y * 32;
  const int column = neuron + lane < neurons ? columns[neuron + lane] : -1;
#pragma unroll
  for (int r = warp; r < 32; r += 8) {
    const int t = token + r;
    if (t < tokens && column >= 0) {
      const float total = totals[t], scale = total > 0.0f ? 1.0f / total : 0.0f;
      tile[r][lane] = energy[(i64)t * width + column] * scale;
    }
  }
  __syncthreads();
#pragma unroll
  for (int r = warp; r < 32; r += 8) {
    const int n = neuron + r;
    if (n < neurons && token + lane < tokens)
      shares[(i64)n * tokens + token + lane] = tile[lane][r];
  }
}

// y[r][c] = √(x[r][c] / totals[r]), 0 where the total is. One block per row.
extern "C" __global__ void __launch_bounds__(256) unit_roots(
    const float *x, const float *totals, float *y, int columns) {
  const i64 offset = (i64)blockIdx.x * columns;
  const float total = totals[blockIdx.x], scale = total > 0.0f ? 1.0f / total : 0.0f;
#pragma unroll 4
  for (int i = threadIdx.x; i < columns; i += 256) y[offset + i] = sqrtf(x[offset + i] * scale);
}
