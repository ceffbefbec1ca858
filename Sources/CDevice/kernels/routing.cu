// Top-k expert selection, combination weights and their gradients. All in float; a warp per token.
#include "expert_selection.cuh"

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

// One token's, by one warp: p = s / Σ s of sigmoids s, and weights scale · s or scale · s / Σ s over
// the chosen.
__device__ __forceinline__ void backward_of_sigmoids(
    const float *dw, const float *dp, const float *logits, int combination, float scale,
    const int *experts, const float *w, const float *p, float *dl, int n, int k, int accumulate) {
  const int lane = threadIdx.x & 31;
  float total = 0.0f, inner = 0.0f;
  for (int i = lane; i < n; i += 32) {
    total += sigmoid(logits[i]);
    if (dp) inner += p[i] * dp[i];
  }
  total = warp_sum(total) + SIGMOID_FLOOR;
  inner = warp_sum(inner);
  for (int i = lane; i < n; i += 32) {
    const float s = sigmoid(logits[i]);
    dl[i] = (accumulate ? dl[i] : 0.0f) + (dp ? (dp[i] - inner) / total : 0.0f) * s * (1.0f - s);
  }
  if (!dw) return;
  __syncwarp();
  float chosen = 0.0f, mean = 0.0f;
  if (combination == RENORMALIZED_SIGMOID)
    for (int j = lane; j < k; j += 32) {
      chosen += sigmoid(logits[experts[j]]);
      mean += w[j] * dw[j];
    }
  chosen = combination == RENORMALIZED_SIGMOID ? warp_sum(chosen) + SIGMOID_FLOOR : 1.0f;
  mean = warp_sum(mean);
  for (int j = lane; j < k; j += 32) {
    const float s = sigmoid(logits[experts[j]]);
    dl[experts[j]] += (scale * dw[j] - mean) / chosen * s * (1.0f - s);
  }
}

// dlogits (null or written, or added to) and gains' gradients: gain_partial[block] (null or [n])
// sums what the block's tokens give. Each warp walks consecutive tokens and has its own row of
// dynamic shared memory, [8, n] floats, so that the sums do not depend on timing.
extern "C" __global__ void __launch_bounds__(256) route_backward(
    const float *dweights, const float *dprobabilities, const float *logits, const float *gain,
    int combination, float scale, const int *experts, const float *weights, const float *probabilities,
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
    if (by_sigmoid(combination)) {
      backward_of_sigmoids(dw, dp, logits + r * n, combination, scale, e, w, p, dl, n, k,
                           accumulate);
      continue;
    }
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
