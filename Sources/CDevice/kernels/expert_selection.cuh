// Top-k selection of one token's experts and their weights, by one warp.
#pragma once
#include "element.cuh"

enum {
  RENORMALIZED = 0, SOFTMAX = 1, GAINED = 2, UNIFORM = 3, SIGMOID = 4, RENORMALIZED_SIGMOID = 5
};

constexpr unsigned ALL = 0xffffffffu;

// Whether scores and probabilities are sigmoids.
__device__ __forceinline__ bool by_sigmoid(int combination) { return combination >= SIGMOID; }

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// What sums of sigmoids are raised by before they divide, as stock models do.
constexpr float SIGMOID_FLOOR = 1e-20f;

__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }

// Floats as unsigned integers of the same order, never 0; both zeros are one value.
__device__ __forceinline__ unsigned ordered(float x) {
  const unsigned bits = x == 0.0f ? 0u : __float_as_uint(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float rank_of(const float *logits, const float *bias, int combination,
                                         int e) {
  return (by_sigmoid(combination) ? sigmoid(logits[e]) : logits[e]) + (bias ? bias[e] : 0.0f);
}

__device__ __forceinline__ bool ranks_above(const float *logits, const float *bias, int combination,
                                            int a, int b) {
  return rank_of(logits, bias, combination, a) > rank_of(logits, bias, combination, b);
}

// Insertion in id order with a strict comparison, as the CPU does: what decides when something is
// not a number and there is no order. One thread.
__device__ __forceinline__ void insert_in_order(const float *logits, const float *bias,
                                                int combination, int *experts, int n, int k) {
  int held = 0;
  for (int e = 0; e < n; e++) {
    if (held == k && !ranks_above(logits, bias, combination, e, experts[k - 1])) continue;
    int at = held < k ? held++ : k - 1;
    for (; at > 0 && ranks_above(logits, bias, combination, e, experts[at - 1]); at--)
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
  const bool of_sigmoids = by_sigmoid(combination);
  bool unordered = false;
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int e = j * 32 + lane;
    key[j] = 0;
    if (e < n) {
      value[j] = of_sigmoids ? sigmoid(logits[e]) : logits[e];
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
      if (!of_sigmoids) value[j] = expf(value[j] - top);
      total += value[j];
    }
  total = warp_sum(total) + (of_sigmoids ? SIGMOID_FLOOR : 0.0f);
#pragma unroll
  for (int j = 0; j < HELD; j++)
    if (j * 32 + lane < n) probabilities[j * 32 + lane] = value[j] / total;

  if (__any_sync(ALL, unordered)) {
    if (lane == 0) insert_in_order(logits, bias, combination, experts, n, k);
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
  if (combination == RENORMALIZED_SIGMOID) {
    total = 0.0f;
    for (int j = lane; j < k; j += 32) total += sigmoid(logits[experts[j]]);
    share = scale / (warp_sum(total) + SIGMOID_FLOOR);
  }
  for (int j = lane; j < k; j += 32) {
    const int e = experts[j];
    float w = scale;
    if (combination == RENORMALIZED) w = expf(logits[e] - top) * share;
    if (combination == SOFTMAX) w = scale * probabilities[e];
    if (combination == GAINED) w = 1.0f + probabilities[e] * gain[e];
    if (of_sigmoids) w = sigmoid(logits[e]) * share;
    weights[j] = w;
    atomicAdd(&chosen[e], 1);
  }
}
