// Table lookup and its gradient.
#include "element.cuh"

template <class X>
struct __align__(16) Eight {
  X v[8];
};

// One block per token. An id outside the table gives not-a-number, which shows in every loss.
template <class W>
__device__ __forceinline__ void lookup(const int *ids, const W *weight, T *y, int vocabulary,
                                       int columns) {
  const int id = ids[blockIdx.x];
  T *out = y + (i64)blockIdx.x * columns;
  if ((unsigned)id >= (unsigned)vocabulary) {
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
      store(out + i, __int_as_float(0x7fc00000));
    return;
  }
  const W *row = weight + (i64)id * columns;
  if (columns % 8 == 0 && aligned(weight) && aligned(y)) {
    for (int i = threadIdx.x * 8; i < columns; i += blockDim.x * 8) {
      const Eight<W> in = *reinterpret_cast<const Eight<W> *>(row + i);
      Eight<T> result;
#pragma unroll
      for (int j = 0; j < 8; j++) result.v[j] = from_float(to_float(in.v[j]));
      *reinterpret_cast<Eight<T> *>(out + i) = result;
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += blockDim.x) store(out + i, to_float(row[i]));
  }
}

#define LOOKUP(NAME, W)                                                                  \
  extern "C" __global__ void __launch_bounds__(256) NAME(                                \
      const int *ids, const W *weight, T *y, int vocabulary, int columns) {              \
    lookup(ids, weight, y, vocabulary, columns);                                         \
  }

LOOKUP(embedding_f32, float)
LOOKUP(embedding_bf16, bf16)
LOOKUP(embedding_f16, half16)

// dweight[id] += dy of the id's tokens, in token order. `order` holds the tokens sorted stably by
// id (expert_dispatch.cu; ids outside the table last). Blocks are [token, columns / (VEC · 128)]:
// the one at the first token of an id adds up them all, the others leave.
extern "C" __global__ void __launch_bounds__(128, 8) embedding_backward(
    const T *dy, const int *ids, const int *order, float *dweight, int tokens, int vocabulary,
    int columns) {
  const int position = blockIdx.x, lane = threadIdx.x & 31;
  const int id = ids[order[position]];
  if ((unsigned)id >= (unsigned)vocabulary) return;
  if (position > 0 && ids[order[position - 1]] == id) return;
  const int base = blockIdx.y * 128 * VEC;
  float *target = dweight + (i64)id * columns;
  const bool vector = columns % VEC == 0 && aligned(dy) && aligned(dweight);
  float sums[VEC];
#pragma unroll
  for (int j = 0; j < VEC; j++) {
    const int c = base + (vector ? (int)threadIdx.x * VEC + j : (int)threadIdx.x + 128 * j);
    sums[j] = c < columns ? target[c] : 0.0f;
  }
  const int column = base + threadIdx.x * VEC;
  for (int start = position;; start += 32) {
    // Lanes look at 32 positions at once; a run of this id's tokens starts at lane 0.
    const int mine = start + lane < tokens ? order[start + lane] : -1;
    const unsigned same = __ballot_sync(0xffffffffu, mine >= 0 && ids[max(mine, 0)] == id);
    const int run = __ffs(~same) == 0 ? 32 : __ffs(~same) - 1;
    if (vector) {
#pragma unroll 4
      for (int k = 0; k < run; k++) {
        const int token = __shfl_sync(0xffffffffu, mine, k);
        if (column < columns) {
          const Vec d = load_vec(dy + (i64)token * columns + column);
#pragma unroll
          for (int j = 0; j < VEC; j++) sums[j] += to_float(d.v[j]);
        }
      }
    } else {
      for (int k = 0; k < run; k++) {
        const int token = __shfl_sync(0xffffffffu, mine, k);
#pragma unroll
        for (int j = 0; j < VEC; j++) {
          const int c = base + threadIdx.x + 128 * j;
          if (c < columns) sums[j] += load(dy + (i64)token * columns + c);
        }
      }
    }
    if (run < 32) break;
  }
#pragma unroll
  for (int j = 0; j < VEC; j++) {
    const int c = base + (vector ? (int)threadIdx.x * VEC + j : (int)threadIdx.x + 128 * j);
    if (c < columns) target[c] = sums[j];
  }
}
