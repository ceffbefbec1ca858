// Attention heads scaled by the weights of the experts they belong to (MoH, Jin et al. 2024, eq. 5):
// expert -1 has weight one, an expert that a token did not choose has zero.
//
// One block per token; dynamic shared memory holds the token's weight of each head, in backward
// also <dy, x> of each head.
#include "element.cuh"

__device__ __forceinline__ void head_weights(const int *experts, const float *weights,
                                             const int *expert_of_head, float *w, int heads,
                                             int top_k) {
  for (int h = threadIdx.x; h < heads; h += blockDim.x) {
    const int expert = expert_of_head[h];
    float weight = expert < 0 ? 1.0f : 0.0f;
    for (int k = 0; k < top_k && expert >= 0; k++)
      if (experts[k] == expert) {
        weight = weights[k];
        break;
      }
    w[h] = weight;
  }
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(128) head_scale_forward(
    const T *x, const int *experts, const float *weights, const int *expert_of_head, T *y,
    int heads, int dim, int top_k) {
  extern __shared__ float w[];
  const i64 choice = (i64)blockIdx.x * top_k;
  head_weights(experts + choice, weights + choice, expert_of_head, w, heads, top_k);
  const int columns = heads * dim;
  const i64 offset = (i64)blockIdx.x * columns;
  if (dim % VEC == 0 && aligned(x) && aligned(y)) {
    for (int i = threadIdx.x * VEC; i < columns; i += blockDim.x * VEC) {
      Vec v = load_vec(x + offset + i);
      const float weight = w[i / dim];
#pragma unroll
      for (int j = 0; j < VEC; j++) v.v[j] = from_float(weight * to_float(v.v[j]));
      store_vec(y + offset + i, v);
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
      store(y + offset + i, w[i / dim] * load(x + offset + i));
  }
}

// One warp per head at a time; sums are in the order of heads and channels whatever the schedule.
extern "C" __global__ void __launch_bounds__(128) head_scale_backward(
    const T *dy, const T *x, const int *experts, const float *weights, const int *expert_of_head,
    T *dx, float *dweights, int heads, int dim, int top_k) {
  extern __shared__ float w[];
  float *inner = w + heads;
  const i64 choice = (i64)blockIdx.x * top_k;
  head_weights(experts + choice, weights + choice, expert_of_head, w, heads, top_k);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  const bool vector = dim % VEC == 0 && aligned(dy) && aligned(x) && aligned(dx);
  for (int h = warp; h < heads; h += warps) {
    const i64 offset = ((i64)blockIdx.x * heads + h) * dim;
    const float weight = w[h];
    float sum = 0.0f;
    if (vector) {
      for (int i = lane * VEC; i < dim; i += 32 * VEC) {
        Vec d = load_vec(dy + offset + i);
        const Vec v = load_vec(x + offset + i);
#pragma unroll
        for (int j = 0; j < VEC; j++) {
          const float g = to_float(d.v[j]);
          sum += g * to_float(v.v[j]);
          d.v[j] = from_float(weight * g);
        }
        store_vec(dx + offset + i, d);
      }
    } else {
      for (int i = lane; i < dim; i += 32) {
        const float g = load(dy + offset + i);
        sum += g * load(x + offset + i);
        store(dx + offset + i, weight * g);
      }
    }
    sum = warp_sum(sum);
    if (lane == 0) inner[h] = sum;
  }
  __syncthreads();
  for (int k = threadIdx.x; k < top_k; k += blockDim.x) {
    const int expert = experts[choice + k];
    float sum = 0.0f;
    for (int h = 0; h < heads; h++)
      if (expert >= 0 && expert_of_head[h] == expert) sum += inner[h];
    dweights[choice + k] = sum;
  }
}
