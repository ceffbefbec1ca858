// Each routed token's part for its expert, to where that expert's tokens lie together and back.
//
// Position p of a dispatch is slot order[p]: token order[p] / top_k, expert experts[order[p]]. A row
// of x [T, columns] has one part of `width` channels per expert.
#include "element.cuh"

__device__ __forceinline__ void copy_part(const T *from, T *to, int width, bool vector) {
  if (vector) {
    for (int i = threadIdx.x * VEC; i < width; i += blockDim.x * VEC)
      store_vec(to + i, load_vec(from + i));
  } else {
    for (int i = threadIdx.x; i < width; i += blockDim.x) to[i] = from[i];
  }
}

// One block per position.
extern "C" __global__ void __launch_bounds__(256) pack_experts(
    const T *x, const int *experts, const int *order, T *y, int columns, int width, int top_k) {
  const int slot = order[blockIdx.x];
  const i64 from = (i64)(slot / top_k) * columns + (i64)experts[slot] * width;
  copy_part(x + from, y + (i64)blockIdx.x * width, width,
            width % VEC == 0 && aligned(x) && aligned(y));
}

// One block per position; y was set to zero. No two positions have the same token and expert.
extern "C" __global__ void __launch_bounds__(256) unpack_experts(
    const T *x, const int *experts, const int *order, T *y, int columns, int width, int top_k) {
  const int slot = order[blockIdx.x];
  const i64 to = (i64)(slot / top_k) * columns + (i64)experts[slot] * width;
  copy_part(x + (i64)blockIdx.x * width, y + to, width,
            width % VEC == 0 && aligned(x) && aligned(y));
}

// The first position of p's expert whose token is in p's document and window (0: no window). Tokens
// ascend within an expert, so it is found by halving.
extern "C" __global__ void __launch_bounds__(128) packed_starts(
    const int *document_starts, const int *experts, const int *order, const int *offsets,
    int *starts, int slots, int top_k, int window) {
  const int p = blockIdx.x * blockDim.x + threadIdx.x;
  if (p >= slots) return;
  const int slot = order[p], token = slot / top_k;
  int first = document_starts[token];
  if (window > 0) first = max(first, token - window + 1);
  int low = offsets[experts[slot]], high = p;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (order[middle] / top_k >= first) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  starts[p] = low;
}
