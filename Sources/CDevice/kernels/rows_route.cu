// What a mixture of experts does first with a few tokens, in one kernel: RMSNorm, router scores,
// selection, and the score of a shared expert's gate. Compiled per number of tokens (ROWS) and of
// experts a lane holds (EXPERTS_PER_LANE, a power of two).
#include "expert_selection.cuh"
#include "rows_product.cuh"

#ifndef EXPERTS_PER_LANE
#define EXPERTS_PER_LANE 1
#endif

// A block takes eight experts: four pairs, each by four warps with a quarter of the columns.
constexpr int PARTS = 4, THREADS = 512;

// Writes normalized (T), logits, experts, weights, probabilities, counts and, where shared_gate is not
// null, shared_scale: the sigmoid of its score. Grid: experts / 8, the shared gate counting as one.
// The last block to arrive selects; `arrived` is zero before and after. Dynamic shared memory:
// (rows + 1) n words.
extern "C" __global__ void __launch_bounds__(512) rows_route(
    const T *x, const float *norm_gain, float epsilon, const float *router,
    const float *router_bias, const float *shared_gate, const float *selection_bias,
    const float *gain, int combination, float scale, T *normalized, float *logits, int *experts,
    float *weights, float *probabilities, int *counts, float *shared_scale, int *arrived, int rows,
    int columns, int n, int k, int vector) {
  extern __shared__ float held[];
  __shared__ float parts[4][PARTS][2][ROWS], squares[PARTS][ROWS], inverse[ROWS];
  __shared__ bool last;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, pair = warp / PARTS;
  const int part = warp % PARTS, total = n + (shared_gate ? 1 : 0);
  const int share = (columns + 4 * PARTS - 1) / (4 * PARTS) * 4;
  const int begin = min(part * share, columns), extent = min(share, columns - begin);
  const float *row[2];
#pragma unroll
  for (int r = 0; r < 2; r++) {
    const int e = min((int)blockIdx.x * 8 + pair * 2 + r, total - 1);
    row[r] = (e < n ? router + (i64)e * columns : shared_gate) + begin;
    prefetch_row(row[r], extent);
  }
  wait_for_previous();
  let_next_begin();
  Sums<ROWS> sums;
  multiply_rows<true>(row[0], row[1], x + begin, columns, rows, norm_gain + begin, extent, vector,
                      sums);
  sums.gather();
  if (lane < 2 * ROWS) parts[pair][part][lane & 1][lane >> 1] = sums.at(lane & 1, lane >> 1);
  if (pair == 0 && lane == 0)
#pragma unroll
    for (int m = 0; m < ROWS; m++) squares[part][m] = sums.squares[m];
  __syncthreads();
  if (threadIdx.x < rows) {
    float sum = 0.0f;
#pragma unroll
    for (int p = 0; p < PARTS; p++) sum += squares[p][threadIdx.x];
    inverse[threadIdx.x] = 1.0f / sqrtf(sum / (float)columns + epsilon);
  }
  __syncthreads();
  if (threadIdx.x < 8 * ROWS) {
    const int own = threadIdx.x & 7, m = threadIdx.x >> 3, e = blockIdx.x * 8 + own;
    float score = 0.0f;
#pragma unroll
    for (int p = 0; p < PARTS; p++) score += parts[own >> 1][p][own & 1][m];
    if (m < rows && e < total) {
      score *= inverse[m];
      if (e < n)
        logits[(i64)m * n + e] = score + (router_bias ? router_bias[e] : 0.0f);
      else
        shared_scale[m] = 1.0f / (1.0f + expf(-score));
    }
  }
  for (int m = 0; m < rows; m++)
    for (int i = blockIdx.x * THREADS + threadIdx.x; i < columns; i += gridDim.x * THREADS) {
      const i64 place = (i64)m * columns + i;
      store(normalized + place, norm_gain[i] * (load(x + place) * inverse[m]));
    }

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(arrived, 1) == (int)gridDim.x - 1;
    if (last) *arrived = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  int *chosen = reinterpret_cast<int *>(held + rows * n);
  // Other blocks wrote them: not by way of the first cache.
  for (int i = threadIdx.x; i < rows * n; i += THREADS) held[i] = __ldcg(logits + i);
  for (int e = threadIdx.x; e < n; e += THREADS) chosen[e] = 0;
  __syncthreads();
  if (warp < rows)
    route<EXPERTS_PER_LANE>(held + warp * n, selection_bias, gain, combination, scale, experts + warp * k,
                weights + warp * k, probabilities + (i64)warp * n, chosen, n, k);
  __syncthreads();
  for (int e = threadIdx.x; e < n; e += THREADS) counts[e] = chosen[e];
}
