// How a grid of blocks walks the tiles of all experts' products. The file that includes this defines
// BM, the rows of a tile, and GROUP, the row tiles that are walked together.
#pragma once
#include "element.cuh"

// A tile of one expert's product: its first row and column, and where the expert's slots are.
struct Tile {
  int expert, start, rows, m, n;
};

__device__ __forceinline__ int pieces(int count, int size) { return (count + size - 1) / size; }

// Numbers the tiles of one expert such that neighbours share operands.
__device__ __forceinline__ void place(Tile &t, int local, int down, int across, int columns) {
  const int first = local / (GROUP * across) * GROUP, rest = local - first * across;
  const int height = min(GROUP, down - first);
  t.m = (first + rest % height) * BM;
  t.n = rest / height * columns;
}

// The tile of this number among products whose rows are the experts' slots, `across` tiles of
// `columns` columns wide. Each warp scans 32 experts at a time.
__device__ __forceinline__ bool find_rows(Tile &t, int index, const int *offsets, int experts,
                                          int across, int columns) {
  const int lane = threadIdx.x & 31;
  for (int e = 0; e < experts; e += 32) {
    const int start = offsets[min(e + lane, experts)];
    const int rows = offsets[min(e + lane + 1, experts)] - start;
    const int tiles = pieces(rows, BM) * across;
    int upTo = tiles;
#pragma unroll
    for (int shift = 1; shift < 32; shift <<= 1) {
      const int other = __shfl_up_sync(0xffffffffu, upTo, shift);
      if (lane >= shift) upTo += other;
    }
    const int total = __shfl_sync(0xffffffffu, upTo, 31);
    if (index < total) {
      const int owner = __ffs(__ballot_sync(0xffffffffu, index < upTo)) - 1;
      t.expert = e + owner;
      t.start = __shfl_sync(0xffffffffu, start, owner);
      t.rows = __shfl_sync(0xffffffffu, rows, owner);
      const int before = __shfl_sync(0xffffffffu, upTo - tiles, owner);
      place(t, index - before, pieces(t.rows, BM), across, columns);
      return true;
    }
    index -= total;
  }
  return false;
}
