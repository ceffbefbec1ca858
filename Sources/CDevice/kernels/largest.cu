// Where rows of logits have their largest value, and whether that is where it should be.
//
// The largest value's lowest index. In comparisons what is not a number never counts, and a row of
// nothing else has index 0.
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

__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }

// All threads get the best of all.
__device__ __forceinline__ Best best_of_block(Best best) {
  __shared__ float values[32];
  __shared__ int indices[32];
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
    best = {held ? values[lane] : -infinity(), held ? indices[lane] : NONE};
  }
  return best;
}

// All threads get the index.
__device__ __forceinline__ int largest(const T *x, int columns) {
  Best best = {-infinity(), NONE};
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
  best = best_of_block(best);
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

// The index of the largest value of each row, ties to the lower one; -1 where a value is not a number
// or the largest is not finite. Grid: (parts, rows), one row unless there is one part. The parts of a
// row leave their best in `values` and `indices`; the last one to arrive compares them. `arrived` is
// zero before and after.
extern "C" __global__ void __launch_bounds__(512) largest_index(
    const T *x, int *result, float *values, int *indices, int *arrived, int columns) {
  __shared__ bool last;
  wait_for_previous();
  let_next_begin();
  const int parts = gridDim.x, share = (columns + parts - 1) / parts;
  const int begin = blockIdx.x * share, end = min(columns, begin + share);
  const T *row = x + (i64)blockIdx.y * columns;
  Best best = {-infinity(), NONE};
#pragma unroll 8
  for (int i = begin + threadIdx.x; i < end; i += 512) {
    const float value = load(row + i);
    // What is not a number ends up as not finite too.
    best.meet(value == value ? value : infinity(), i);
  }
  best = best_of_block(best);
  if (parts > 1) {
    if (threadIdx.x == 0) {
      values[blockIdx.x] = best.value;
      indices[blockIdx.x] = best.index;
      __threadfence();
      last = atomicAdd(arrived, 1) == parts - 1;
      if (last) *arrived = 0;
    }
    __syncthreads();
    if (!last) return;
    __threadfence();
    best = {-infinity(), NONE};
    for (int p = threadIdx.x; p < parts; p += 512) best.meet(__ldcg(values + p), __ldcg(indices + p));
    best = best_of_block(best);
  }
  if (threadIdx.x == 0) result[blockIdx.y] = fabsf(best.value) < infinity() ? best.index : -1;
}
