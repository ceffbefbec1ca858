// Top-k expert selection, combination weights and their gradients. All in float; a warp per token.
#include "element.cuh"

enum { RENORMALIZED = 0, SOFTMAX = 1, GAINED = 2, UNIFORM = 3 };

constexpr unsigned ALL = 0xffffffffu;

__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }

// Floats as unsigned integers of the same order, never 0; both zeros are one value.
__device__ __forceinline__ unsigned ordered(float x) {
  const unsigned bits = x == 0.0f ? 0u : __float_as_uint(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ bool ranks_above(const float *logits, const float *bias, int a, int b) {
  return logits[a] + (bias ? bias[a] : 0.0f) > logits[b] + (bias ? bias[b] : 0.0f);
}

// Insertion in id order with a strict comparison, as the CPU does: what decides when something is
// not a number and there is no order. One thread.
__device__ __forceinline__ void insert_in_order(const float *logits, const float *bias,
                                                int *experts, int n, int k) {
  int held = 0;
  for (int e = 0; e < n; e++) {
    if (held == k && !ranks_above(logits, bias, e, experts[k - 1])) continue;
    int at = held < k ? held++ : k - 1;
    for (; at > 0 && ranks_above(logits, bias, e, experts[at - 1]); at--)
      experts[at] = experts[at - 1];
    experts[at] = e;
  }
}

// Lane i holds experts i, i + 32, ...; n is at most 32 · HELD.
template <int HELD>
__device__ __forceinline__ void route(
    const float *logits, const float *bias, const float *gain, int combination, float scale,
    int *experts, float *weights, float *probabilities, int *chosen, int n, int k) {
  const int lane = threadIdx.x & 31;
  float value[HELD];
  unsigned key[HELD];
  float top = -infinity();
  bool unordered = false;
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int e = j * 32 + lane;
    key[j] = 0;
    if (e < n) {
      value[j] = logits[e];
      const float ranked = value[j] + (bias ? bias[e] : 0.0f);
      unordered |= ranked != ranked;
      key[j] = ordered(ranked);
      top = fmaxf(top, value[j]);
    }
  }
  top = warp_max(top);
  float total = 0.0f;
#pragma unroll
  for (int j = 0; j < HELD; j++)
    if (j * 32 + lane < n) {
      value[j] = expf(value[j] - top);
      total += value[j];
    }
  total = warp_sum(total);
#pragma unroll
  for (int j = 0; j < HELD; j++)
    if (j * 32 + lane < n) probabilities[j * 32 + lane] = value[j] / total;

  if (__any_sync(ALL, unordered)) {
    if (lane == 0) insert_in_order(logits, bias, experts, n, k);
  } else {
    // A bit per held expert already chosen: an array written by index would live in memory.
    unsigned best = 0, taken = 0;
    int id = n;
    for (int i = 0, winner = lane; i < k; i++) {
      // Only the lane that lost its best looks again; at first all do.
      if ((winner & 31) == lane) {
        if (i > 0) taken |= 1u << (winner >> 5);
        best = 0;
#pragma unroll
        for (int j = 0; j < HELD; j++)
          if (!(taken >> j & 1u) && key[j] > best) {
            best = key[j];
            id = j * 32 + lane;
          }
      }
      const unsigned largest = __reduce_max_sync(ALL, best);
      winner = (int)__reduce_min_sync(ALL, best == largest ? (unsigned)id : ALL);
      if (lane == 0) experts[i] = winner;
    }
  }
  __syncwarp();

  float share = scale;
  if (combination == RENORMALIZED) {
    top = -infinity();
    for (int j = lane; j < k; j += 32) top = fmaxf(top, logits[experts[j]]);
    top = warp_max(top);
    total = 0.0f;
    for (int j = lane; j < k; j += 32) total += expf(logits[experts[j]] - top);
    share = scale / warp_sum(total);
  }
  for (int j = lane; j < k; j += 32) {
    const int e = experts[j];
    float w = scale;
    if (combination == RENORMALIZED) w = expf(logits[e] - top) * share;
    if (combination == SOFTMAX) w = scale * probabilities[e];
    if (combination == GAINED) w = 1.0f + probabilities[e] * gain[e];
    weights[j] = w;
    atomicAdd(&chosen[e], 1);
  }
}

// counts must be zero before; integers, so the order of the additions does not matter. Dynamic
// shared memory: n ints.
template <int HELD>
__device__ __forceinline__ void route_rows(
    const float *logits, const float *bias, const float *gain, int combination, float scale,
    int *experts, float *weights, float *probabilities, int *counts, i64 rows, int n, int k) {
  extern __shared__ int chosen[];
  for (int e = threadIdx.x; e < n; e += 256) chosen[e] = 0;
  __syncthreads();
  for (i64 r = (i64)blockIdx.x * 8 + (threadIdx.x >> 5); r < rows; r += (i64)gridDim.x * 8)
    route<HELD>(logits + r * n, bias, gain, combination, scale, experts + r * k, weights + r * k,
                probabilities + r * n, chosen, n, k);
  __syncthreads();
  for (int e = threadIdx.x; e < n; e += 256)
    if (chosen[e]) atomicAdd(&counts[e], chosen[e]);
}

#define ROUTE(HELD)                                                                             \
  extern "C" __global__ void __launch_bounds__(256, HELD > 8 ? 2 : 4) route_forward_##HELD(\
      const float *logits, const float *bias, const float *gain, int combination, float scale,  \
      int *experts, float *weights, float *probabilities, int *counts, i64 rows, int n, int k) { \
    route_rows<HELD>(logits, bias, gain, combination, scale, experts, weights, probabilities,   \
                     counts, rows, n, k);                                                       \
  }

ROUTE(1)
ROUTE(2)
ROUTE(4)
ROUTE(8)
ROUTE(16)
ROUTE(32)

// dlogits (null or written, or added to) and gains' gradients: gain_partial[block] (null or [n])
// sums what the block's tokens give. Each warp walks consecutive tokens and has its own row of
// dynamic shared memory, [8, n] floats, so that the sums do not depend on timing.
extern "C" __global__ void __launch_bounds__(256) route_backward(
    const float *dweights, const float *dprobabilities, const float *gain, int combination,
    float scale, const int *experts, const float *weights, const float *probabilities,
    float *dlogits, float *gain_partial, i64 rows, int n, int k, int accumulate) {
  extern __shared__ float gains[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  if (gain_partial) {
    for (int i = threadIdx.x; i < 8 * n; i += 256) gains[i] = 0.0f;
    __syncthreads();
  }
  float *mine = gains + warp * n;
  const bool through_p = combination == SOFTMAX || combination == GAINED;
  const i64 part = (i64)blockIdx.x * 8 + warp, parts = (i64)gridDim.x * 8;
  const i64 end = rows * (part + 1) / parts;
  for (i64 r = rows * part / parts; r < end; r++) {
    const float *p = probabilities + r * n, *w = weights + r * k;
    const float *dp = dprobabilities ? dprobabilities + r * n : nullptr;
    const float *dw = dweights ? dweights + r * k : nullptr;
    const int *e = experts + r * k;
    if (dw && gain_partial && combination == GAINED) {
      // A token's experts are distinct: no two lanes meet.
      for (int j = lane; j < k; j += 32) mine[e[j]] += dw[j] * p[e[j]];
      __syncwarp();
    }
    if (!dlogits) continue;
    float *dl = dlogits + r * n;
    // With g = dL/dp, a softmax passes back p · (g - Σ p g).
    float inner = 0.0f;
    if (dp)
      for (int i = lane; i < n; i += 32) inner += p[i] * dp[i];
    if (dw && through_p)
      for (int j = lane; j < k; j += 32)
        inner += p[e[j]] * dw[j] * (combination == SOFTMAX ? scale : gain[e[j]]);
    inner = warp_sum(inner);
    for (int i = lane; i < n; i += 32)
      dl[i] = (accumulate ? dl[i] : 0.0f) + p[i] * ((dp ? dp[i] : 0.0f) - inner);
    if (!dw) continue;
    __syncwarp();
    if (through_p) {
      for (int j = lane; j < k; j += 32)
        dl[e[j]] += p[e[j]] * dw[j] * (combination == SOFTMAX ? scale : gain[e[j]]);
    } else if (combination == RENORMALIZED && scale != 0.0f) {
      float mean = 0.0f;
      for (int j = lane; j < k; j += 32) mean += w[j] * dw[j];
      mean = warp_sum(mean) / scale;
      for (int j = lane; j < k; j += 32) dl[e[j]] += w[j] * (dw[j] - mean);
    }
  }
  if (!gain_partial) return;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += 256) {
    float sum = 0.0f;
#pragma unroll
    for (int k8 = 0; k8 < 8; k8++) sum += gains[k8 * n + i];
    gain_partial[(i64)blockIdx.x * n + i] = sum;
  }
}
