// Choices of experts whose scores are too low become expert -1 with weight 0. All in float.
#include "element.cuh"

// A thread per slot t K + k; counts must be zero before.
extern "C" __global__ void __launch_bounds__(256) threshold_forward(
    const float *logits, const int *experts, const float *weights, float threshold, int *kept,
    float *kept_weights, int *counts, i64 slots, int n, int k) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= slots) return;
  const int e = experts[i];
  const bool keeps = i % k == 0 || logits[i / k * n + e] >= threshold;
  kept[i] = keeps ? e : -1;
  kept_weights[i] = keeps ? weights[i] : 0.0f;
  if (keeps) atomicAdd(&counts[e], 1);
}

// dweights (+)= dy where an expert was kept.
extern "C" __global__ void __launch_bounds__(256) threshold_backward(
    const float *dy, const int *kept, float *dweights, i64 slots, int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= slots) return;
  const float slope = kept[i] < 0 ? 0.0f : dy[i];
  dweights[i] = accumulate ? dweights[i] + slope : slope;
}
