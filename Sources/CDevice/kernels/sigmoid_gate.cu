// y = sigmoid(score) · x, one score per row: the gate of Qwen2-MoE's shared expert.
//
// One block per row.
#include "element.cuh"

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

extern "C" __global__ void __launch_bounds__(256) sigmoid_gate_forward(
    const T *x, const float *scores, T *y, int columns) {
  const i64 offset = (i64)blockIdx.x * columns;
  const float gate = sigmoid(scores[blockIdx.x]);
  if (columns % VEC == 0 && aligned(x) && aligned(y)) {
    for (int i = threadIdx.x * VEC; i < columns; i += blockDim.x * VEC) {
      Vec v = load_vec(x + offset + i);
#pragma unroll
      for (int j = 0; j < VEC; j++) v.v[j] = from_float(gate * to_float(v.v[j]));
      store_vec(y + offset + i, v);
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
      store(y + offset + i, gate * load(x + offset + i));
  }
}

extern "C" __global__ void __launch_bounds__(256) sigmoid_gate_backward(
    const T *dy, const T *x, const float *scores, T *dx, float *dscores, int columns) {
  const i64 offset = (i64)blockIdx.x * columns;
  const float gate = sigmoid(scores[blockIdx.x]);
  float inner = 0.0f;
  if (columns % VEC == 0 && aligned(dy) && aligned(x) && aligned(dx)) {
    for (int i = threadIdx.x * VEC; i < columns; i += blockDim.x * VEC) {
      Vec d = load_vec(dy + offset + i);
      const Vec v = load_vec(x + offset + i);
#pragma unroll
      for (int j = 0; j < VEC; j++) {
        const float g = to_float(d.v[j]);
        inner += g * to_float(v.v[j]);
        d.v[j] = from_float(gate * g);
      }
      store_vec(dx + offset + i, d);
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
      const float g = load(dy + offset + i);
      inner += g * load(x + offset + i);
      store(dx + offset + i, gate * g);
    }
  }
  inner = block_sum(inner);
  if (threadIdx.x == 0) dscores[blockIdx.x] = inner * gate * (1.0f - gate);
}
