// Token by token sweeps over the states of linear attention, cut into tiles of 32 channels along one axis.
//
// A block of 8 warps has 32 channels of the axis that is cut into tiles, 4 in each warp; the 8 lanes of one
// of them share the other axis, of DIM channels when rounded up to 32, in registers.
#pragma once
#include "element.cuh"

#ifndef DIM
#define DIM 128
#endif

constexpr int THREADS = 256, TILE = 32, PARTS = 8, EACH = DIM / PARTS, STEPS = 16;

extern __shared__ float shared[];

// The tokens of one block's document, its head and its place in a tile.
struct Place {
  int head, sequence, start, end, channel, slot, part;
};

__device__ __forceinline__ Place place_of(const int *offsets, int tokens, int heads, int cut,
                                          int single) {
  Place p;
  const int tiles = (cut + TILE - 1) / TILE, lane = threadIdx.x % 32;
  p.sequence = blockIdx.x / tiles;
  p.head = p.sequence % heads;
  const int document = p.sequence / heads;
  p.start = single ? document : offsets ? offsets[document] : 0;
  p.end = single ? document + 1 : offsets ? offsets[document + 1] : tokens;
  p.slot = threadIdx.x / 32 * 4 + lane / PARTS;
  p.part = lane % PARTS;
  p.channel = blockIdx.x % tiles * TILE + p.slot;
  return p;
}

// The sum over the lanes that share a channel, in each of them.
__device__ __forceinline__ float sum_of_parts(float x) {
#pragma unroll
  for (int offset = PARTS / 2; offset > 0; offset >>= 1)
    x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

// A thread's part of the state of its channel, zeros where there is none: `extent` channels of the other
// axis, `pitch` apart.
__device__ __forceinline__ void load_state(float (&state)[EACH], const float *source, i64 base,
                                           i64 pitch, int extent, bool inside, int part) {
#pragma unroll
  for (int r = 0; r < EACH; r++) {
    const int c = part + PARTS * r;
    state[r] = source && inside && c < extent ? source[base + c * pitch] : 0.0f;
  }
}
__device__ __forceinline__ void store_state(const float (&state)[EACH], float *target, i64 base,
                                            i64 pitch, int extent, bool inside, int part) {
  if (!inside) return;
#pragma unroll
  for (int r = 0; r < EACH; r++) {
    const int c = part + PARTS * r;
    if (c < extent) target[base + c * pitch] = state[r];
  }
}

// Channels first..<first + COLUMNS of a head's `channels` in m tokens, from token `row` on forward or
// backward in time: [STEPS, COLUMNS], zeros outside. With beta each token is multiplied by its own.
template <int COLUMNS, typename E>
__device__ __forceinline__ void stage(float *target, const E *source, int m, i64 row, int direction,
                                      int heads, int head, int channels, int first, float factor,
                                      const T *beta) {
  for (int index = threadIdx.x; index < STEPS * COLUMNS; index += THREADS) {
    const int i = index / COLUMNS, c = first + index % COLUMNS;
    float x = 0.0f;
    if (i < m && c < channels) {
      const i64 place = (row + (i64)i * direction) * heads + head;
      x = factor * to_float(source[place * channels + c]);
      if (beta) x *= load(beta + place);
    }
    target[index] = x;
  }
}
