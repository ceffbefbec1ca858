// What a mixture of experts does first with a few tokens, in one kernel: RMSNorm, router scores,
// selection, and the score of a shared expert's gate. Compiled per number of tokens (ROWS) and of
// experts a lane holds (EXPERTS_PER_LANE, a power of two).
#include "expert_selection.cuh"
#include "rows_product.cuh"

#ifndef EXPERTS_PER_LANE
#define EXPERTS_PER_LANE 1
#endif

// Eight blocks share the experts, two at a time: pair p of a layer's is one of block p mod 8, where
// `each` warps take a part of the columns each. The blocks are a cluster where the chip has those, and
// hand their scores to the first of them; elsewhere the last to arrive fetches them.
constexpr int TOGETHER = 8, THREADS = 512, WARPS = THREADS / 32;
#if __CUDA_ARCH__ >= 900
#define CLUSTER __cluster_dims__(TOGETHER, 1, 1)
#else
#define CLUSTER
#endif

// For parameters, which nothing writes while a model runs: no need to wait for previous kernels.
__device__ __forceinline__ void ask_early(const float *p, int count) {
  if (p)
    for (int i = threadIdx.x * 32; i < count; i += THREADS * 32)
      asm volatile("prefetch.global.L1 [%0];" ::"l"(p + i));
}

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// To the same place of the first block's shared memory.
__device__ __forceinline__ void store_to_first(float *own, float value) {
  unsigned first;
  asm volatile("mapa.shared::cluster.u32 %0, %1, 0;"
               : "=r"(first)
               : "r"((unsigned)__cvta_generic_to_shared(own)));
  asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(first), "f"(value) : "memory");
}
#endif

// Writes normed (T), logits, experts, weights, probabilities, counts and, where shared_gate is not
// null, shared_scale: the sigmoid of its score, which counts as one more expert's. Grid: TOGETHER. Few
// registers, so that it begins beside the blocks of its predecessor.
// `arrived` is zero before and after. Dynamic shared memory: (rows + 1) n words.
extern "C" __global__ void CLUSTER __launch_bounds__(THREADS, ROWS == 1 ? 2 : 1) rows_route(
    const T *x, const float *norm_gain, float epsilon, const float *router,
    const float *router_bias, const float *shared_gate, const float *selection_bias,
    const float *gain, int combination, float scale, T *normed, float *logits, int *experts,
    float *weights, float *probabilities, int *counts, float *shared_scale, int *arrived, int rows,
    int columns, int n, int k, int vector) {
  extern __shared__ float held[];
  __shared__ float parts[WARPS][2][ROWS], squares[WARPS][ROWS];
#if __CUDA_ARCH__ >= 900
  cluster_arrive();
#endif
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, block = blockIdx.x;
  const int total = n + (shared_gate ? 1 : 0), pairs = ((total + 1) / 2 + TOGETHER - 1) / TOGETHER;
  int at_once = 1;
  while (at_once < pairs && at_once < WARPS) at_once *= 2;
  const int each = WARPS / at_once, place = warp / each;
  const int share = (columns + 4 * each - 1) / (4 * each) * 4;
  const int begin = min(warp % each * share, columns), extent = min(share, columns - begin);
  WeightStream<FEW_AHEAD> stream;
  auto start = [&](int first) {
    const float *row[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
      const int e = min((block + TOGETHER * (first + place)) * 2 + r, total - 1);
      row[r] = (e < n ? router + (i64)e * columns : shared_gate) + begin;
    }
    stream.begin(row[0], row[1], extent, vector);
  };
  start(0);
  stream.prefetch(extent);
  ask_early(norm_gain, columns);
  ask_early(router_bias, n), ask_early(selection_bias, n), ask_early(gain, n);
  int *chosen = reinterpret_cast<int *>(held + rows * n);
  for (int e = threadIdx.x; e < n; e += THREADS) chosen[e] = 0;
  wait_for_previous();
  let_next_begin();
  // The norm before the product: scores are those of the rounded activations that more tokens at a
  // time would be scored by, else the same token might be sent elsewhere.
  float square[ROWS], inverse[ROWS];
#pragma unroll
  for (int m = 0; m < ROWS; m++) square[m] = 0.0f;
  const int step = vector ? N : 1;
#pragma unroll 2
  for (int i = threadIdx.x * step; i < columns; i += THREADS * step)
#pragma unroll
    for (int m = 0; m < ROWS; m++) {
      const T *own = x + (i64)min(m, rows - 1) * columns + i;
      if (vector) {
        Values<T> values;
        values.read(own);
#pragma unroll
        for (int v = 0; v < N; v++) square[m] += values[v] * values[v];
      } else {
        const float v = load(own);
        square[m] += v * v;
      }
    }
#pragma unroll
  for (int m = 0; m < ROWS; m++) {
    square[m] = warp_sum(square[m]);
    if (lane == 0) squares[warp][m] = square[m];
  }
  __syncthreads();
#pragma unroll
  for (int m = 0; m < ROWS; m++) {
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < WARPS; w++) sum += squares[w][m];
    inverse[m] = 1.0f / sqrtf(sum / (float)columns + epsilon);
  }
#if __CUDA_ARCH__ >= 900
  cluster_wait();  // All blocks have begun: their shared memory is there.
#endif
  for (int first = 0; first < pairs; first += at_once) {
    if (first > 0) start(first);
    Sums<ROWS> sums;
    multiply_rows<NORMALIZED>(stream, x + begin, columns, rows, norm_gain + begin, extent, vector,
                              sums, inverse);
    sums.gather();
    if (first > 0) __syncthreads();
    if (lane < 2 * ROWS) parts[warp][lane & 1][lane >> 1] = sums.at(lane & 1, lane >> 1);
    __syncthreads();
    const int own = threadIdx.x % (2 * at_once), m = threadIdx.x / (2 * at_once);
    const int e = (block + TOGETHER * (first + own / 2)) * 2 + own % 2;
    if (m < rows && e < total) {
      float score = 0.0f;
      for (int p = 0; p < each; p++) score += parts[own / 2 * each + p][own % 2][m];
      if (e < n) {
        score += router_bias ? router_bias[e] : 0.0f;
        logits[(i64)m * n + e] = score;
#if __CUDA_ARCH__ >= 900
        store_to_first(held + m * n + e, score);
#endif
      } else {
        shared_scale[m] = 1.0f / (1.0f + expf(-score));
      }
    }
  }
#if __CUDA_ARCH__ >= 900
  __syncwarp();
  cluster_arrive();
#endif
#pragma unroll
  for (int m = 0; m < ROWS; m++)
    if (m < rows)
      for (int i = block * THREADS + threadIdx.x; i < columns; i += TOGETHER * THREADS) {
        const i64 at = (i64)m * columns + i;
        store(normed + at, norm_gain[i] * (load(x + at) * inverse[m]));
      }
#if __CUDA_ARCH__ >= 900
  cluster_wait();
  if (block > 0) return;
#else
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(arrived, 1) == TOGETHER - 1;
    if (last) *arrived = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  // Other blocks wrote them: not by way of the first cache.
  for (int i = threadIdx.x; i < rows * n; i += THREADS) held[i] = __ldcg(logits + i);
  __syncthreads();
#endif
  if (warp < rows)
    route<EXPERTS_PER_LANE>(held + warp * n, selection_bias, gain, combination, scale,
                            experts + warp * k, weights + warp * k, probabilities + (i64)warp * n,
                            chosen, n, k);
  __syncthreads();
  for (int e = threadIdx.x; e < n; e += THREADS) counts[e] = chosen[e];
}
