// Whether rows of logits have their largest value where they should.
//
// The largest value's lowest index; what is not a number never counts, and a row of nothing else
// has index 0.
#include "element.cuh"

constexpr int NONE = 0x7fffffff;

struct Best {
  float value;
  int index;

  __device__ __forceinline__ void meet(float v, int i) {
    if (v > value || (v == value && i < index)) {
      value = v;
      index = i;
    }
  }
};

// All threads get the index.
__device__ __forceinline__ int largest(const T *x, int columns) {
  __shared__ float values[32];
  __shared__ int indices[32];
  Best best = {-__int_as_float(0x7f800000), NONE};
  if (columns % VEC == 0 && aligned(x)) {
#pragma unroll 2
    for (int i = threadIdx.x; i < columns / VEC; i += blockDim.x) {
      const Vec v = load_vec(x + (i64)i * VEC);
#pragma unroll
      for (int j = 0; j < VEC; j++) best.meet(to_float(v.v[j]), i * VEC + j);
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += blockDim.x) best.meet(load(x + i), i);
  }
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll
  for (int round = 0; round < 2; round++) {
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) {
      const float value = __shfl_xor_sync(0xffffffffu, best.value, offset);
      const int index = __shfl_xor_sync(0xffffffffu, best.index, offset);
      best.meet(value, index);
    }
    if (round == 1) break;
    __syncthreads();
    if (lane == 0) {
      values[warp] = best.value;
      indices[warp] = best.index;
    }
    __syncthreads();
    const bool held = lane < blockDim.x >> 5;
    best = {held ? values[lane] : -__int_as_float(0x7f800000), held ? indices[lane] : NONE};
  }
  return best.index == NONE ? 0 : best.index;
}

// One block per row.
extern "C" __global__ void __launch_bounds__(512) largest_agree(
    const T *a, const T *b, float *agreement, int columns) {
  const i64 offset = (i64)blockIdx.x * columns;
  const int first = largest(a + offset, columns), second = largest(b + offset, columns);
  if (threadIdx.x == 0) agreement[blockIdx.x] = first == second ? 1.0f : 0.0f;
}

extern "C" __global__ void __launch_bounds__(512) largest_is_target(
    const T *logits, const int *targets, float *correct, int columns) {
  const int index = largest(logits + (i64)blockIdx.x * columns, columns);
  if (threadIdx.x == 0) correct[blockIdx.x] = index == targets[blockIdx.x] ? 1.0f : 0.0f;
}
