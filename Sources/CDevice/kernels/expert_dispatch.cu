// A stable counting sort, in three kernels: count keys per tile of 1024 slots, turn the counts into
// where each tile's slots of a key start, place every slot by its rank among equals in its tile.
// Nothing depends on the order in which blocks run.
//
// The key of slot s is (ids[s] >> shift) & mask with ids outside 0..<limit counted as limit: with
// shift 0 and a wide mask the id itself (experts), else one digit of a radix sort (vocabularies).
#include "element.cuh"

constexpr int TILE = 1024, THREADS = 256, WARPS = THREADS / 32, ROUNDS = TILE / THREADS;

__device__ __forceinline__ int key_of(int id, int limit, int shift, int mask) {
  return (((unsigned)id < (unsigned)limit ? id : limit) >> shift) & mask;
}

// counts[key][tile]; with totals also their sum over tiles, added to what is there. Slots come in
// the order `order`, or in their own when that is null. Keys from `keys` on are left out.
extern "C" __global__ void __launch_bounds__(256) count_keys(
    const int *ids, const int *order, int *counts, int *totals, int slots, int keys, int limit,
    int shift, int mask) {
  extern __shared__ int histogram[];
  for (int k = threadIdx.x; k < keys; k += THREADS) histogram[k] = 0;
  __syncthreads();
  const int start = blockIdx.x * TILE, end = min(slots, start + TILE);
  for (int i = start + threadIdx.x; i < end; i += THREADS) {
    const int key = key_of(ids[order ? order[i] : i], limit, shift, mask);
    if (key < keys) atomicAdd(&histogram[key], 1);
  }
  __syncthreads();
  for (int k = threadIdx.x; k < keys; k += THREADS) {
    const int count = histogram[k];
    counts[(i64)k * gridDim.x + blockIdx.x] = count;
    if (totals && count) atomicAdd(&totals[k], count);
  }
}

__device__ __forceinline__ int warp_prefix(int x) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int offset = 1; offset < 32; offset <<= 1) {
    const int other = __shfl_up_sync(0xffffffffu, x, offset);
    if (lane >= offset) x += other;
  }
  return x;
}

// One block per key: its counts become the positions where its tiles start. offsets (null or
// [keys + 1]) gets where each key starts, and the total.
extern "C" __global__ void __launch_bounds__(256) place_tiles(
    int *counts, const int *totals, int *offsets, int tiles, int keys) {
  __shared__ int sums[WARPS];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, key = blockIdx.x;
  int before = 0;
  for (int k = threadIdx.x; k < key; k += THREADS) before += totals[k];
  before = __shfl_sync(0xffffffffu, warp_prefix(before), 31);
  if (lane == 0) sums[warp] = before;
  __syncthreads();
  int carry = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) carry += sums[w];
  if (offsets && threadIdx.x == 0) {
    offsets[key] = carry;
    if (key == keys - 1) offsets[keys] = carry + totals[key];
  }
  int *row = counts + (i64)key * tiles;
  for (int base = 0; base < tiles; base += THREADS) {
    const int i = base + threadIdx.x;
    const int count = i < tiles ? row[i] : 0;
    const int inclusive = warp_prefix(count);
    __syncthreads();
    if (lane == 31) sums[warp] = inclusive;
    __syncthreads();
    int start = carry;
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      if (w < warp) start += sums[w];
      carry += sums[w];
    }
    if (i < tiles) row[i] = start + inclusive - count;
  }
}

// sorted[position] = slot. Each warp ranks 128 consecutive slots, 32 at a time.
extern "C" __global__ void __launch_bounds__(256) scatter_slots(
    const int *ids, const int *order, const int *starts, int *sorted, int slots, int keys,
    int limit, int shift, int mask) {
  extern __shared__ int counts[];  // [WARPS][keys]
  for (int k = threadIdx.x; k < WARPS * keys; k += THREADS) counts[k] = 0;
  __syncthreads();
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int *mine = counts + warp * keys;
  int slot[ROUNDS], key[ROUNDS], rank[ROUNDS];
#pragma unroll
  for (int r = 0; r < ROUNDS; r++) {
    const int i = blockIdx.x * TILE + warp * (TILE / WARPS) + r * 32 + lane;
    slot[r] = i >= slots ? -1 : order ? order[i] : i;
    key[r] = i >= slots ? keys : min(keys, key_of(ids[slot[r]], limit, shift, mask));
    const unsigned equal = __match_any_sync(0xffffffffu, key[r]);
    const int before = __popc(equal & ((1u << lane) - 1u));
    const bool counted = key[r] < keys;
    rank[r] = counted ? mine[key[r]] + before : 0;
    __syncwarp();
    if (counted && before == 0) mine[key[r]] += __popc(equal);
    __syncwarp();
  }
  __syncthreads();
  for (int k = threadIdx.x; k < keys; k += THREADS) {
    int start = starts[(i64)k * gridDim.x + blockIdx.x];
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      const int count = counts[w * keys + k];
      counts[w * keys + k] = start;
      start += count;
    }
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < ROUNDS; r++)
    if (key[r] < keys) {
      const int position = mine[key[r]] + rank[r];
      if (position < slots) sorted[position] = slot[r];
    }
}
