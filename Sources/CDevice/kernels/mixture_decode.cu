// A mixture of experts over a few tokens, where reading the chosen experts' weights is all the
// cost: every warp takes whole rows of weights, 16 bytes a lane at a time, and nothing is read
// twice from memory. Weights stay in their own type (float, bf16 or f16) whatever x is.
//
// A slot's expert is found from the dispatch (positions of one expert are consecutive in `order`),
// so the host never reads it. Hidden values are float between the two kernels.
#include "element.cuh"

struct __align__(2) half16 {
  unsigned short bits;
};
__device__ __forceinline__ float to_float(half16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}

template <class W> struct __align__(16) Chunk {
  W v[16 / sizeof(W)];
};

// sums[r] += <rows[r], x> over this lane's share; `x` is T or float.
template <int ROWS, class W, class X>
__device__ __forceinline__ void dot(const W *const (&rows)[ROWS], const X *x, int columns,
                                    bool vector, float (&sums)[ROWS]) {
  const int lane = threadIdx.x & 31;
  if (vector) {
    constexpr int N = 16 / sizeof(W);
#pragma unroll 2
    for (int i = lane * N; i < columns; i += 32 * N) {
      Chunk<W> w[ROWS];
#pragma unroll
      for (int r = 0; r < ROWS; r++) w[r] = *reinterpret_cast<const Chunk<W> *>(rows[r] + i);
      // As many 16-byte loads as N values of x take; half of one where they are shorter.
      float u[N];
      constexpr int M = N * sizeof(X) < 16 ? N : 16 / sizeof(X);
      struct __align__(M * sizeof(X)) Piece {
        X v[M];
      };
#pragma unroll
      for (int p = 0; p < N / M; p++) {
        const Piece piece = *reinterpret_cast<const Piece *>(x + i + p * M);
#pragma unroll
        for (int v = 0; v < M; v++) u[p * M + v] = to_float(piece.v[v]);
      }
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int v = 0; v < N; v++) sums[r] += to_float(w[r].v[v]) * u[v];
    }
  } else {
    for (int i = lane; i < columns; i += 32) {
      const float u = to_float(x[i]);
#pragma unroll
      for (int r = 0; r < ROWS; r++) sums[r] += to_float(rows[r][i]) * u;
    }
  }
}

// hidden[slot] = w silu(W_gate x) ⊙ (W_up x). Grid: (rows / 16, positions), blocks of 8 warps, each
// with two neurons. Also writes which expert each slot went to.
template <class W>
__device__ __forceinline__ void gate_up(const T *x, const int *order, const int *offsets,
                                        const W *w_gate, const W *w_up, const float *weights,
                                        float *hidden, int *slot_experts, int experts, int top_k,
                                        int model, int width, int vector) {
  const int position = blockIdx.y, lane = threadIdx.x & 31;
  // Experts that end at or before this position come before its own.
  int expert = 0;
  for (int e = 0; e < experts; e += 32) {
    const bool before = e + lane < experts && offsets[e + lane + 1] <= position;
    expert += __popc(__ballot_sync(0xffffffffu, before));
  }
  const int slot = order[position];
  if (blockIdx.x == 0 && threadIdx.x == 0) slot_experts[slot] = expert;
  const int first = (blockIdx.x * 8 + (threadIdx.x >> 5)) * 2;
  if (first >= width) return;
  const int second = min(first + 1, width - 1);
  const i64 start = (i64)expert * width;
  const W *const rows[4] = {w_gate + (start + first) * model, w_up + (start + first) * model,
                            w_gate + (start + second) * model, w_up + (start + second) * model};
  float sums[4] = {0, 0, 0, 0};
  dot(rows, x + (i64)(slot / top_k) * model, model, vector, sums);
#pragma unroll
  for (int r = 0; r < 4; r++) sums[r] = warp_sum(sums[r]);
  if (lane < 2 && first + lane < width) {
    const float g = lane ? sums[2] : sums[0], u = lane ? sums[3] : sums[1];
    hidden[(i64)slot * width + first + lane] = weights[slot] * u * (g / (1.0f + expf(-g)));
  }
}

// y_t = Σ_k W_down hidden[t K + k]. Grid: (rows / 16, tokens), blocks of 8 warps, each with two
// rows.
template <class W>
__device__ __forceinline__ void down(const float *hidden, const int *slot_experts, const W *w_down,
                                     T *y, int top_k, int model, int width, int vector) {
  const int token = blockIdx.y, lane = threadIdx.x & 31;
  const int first = (blockIdx.x * 8 + (threadIdx.x >> 5)) * 2;
  if (first >= model) return;
  const int second = min(first + 1, model - 1);
  float sums[2] = {0, 0};
  for (int slot = token * top_k; slot < (token + 1) * top_k; slot++) {
    const i64 start = (i64)slot_experts[slot] * model;
    const W *const rows[2] = {w_down + (start + first) * width, w_down + (start + second) * width};
    dot(rows, hidden + (i64)slot * width, width, vector, sums);
  }
  sums[0] = warp_sum(sums[0]);
  sums[1] = warp_sum(sums[1]);
  if (lane < 2 && first + lane < model)
    store(y + (i64)token * model + first + lane, lane ? sums[1] : sums[0]);
}

#define DECODE(W, suffix)                                                                         \
  extern "C" __global__ __launch_bounds__(256) void decode_gate_up_##suffix(                      \
      const T *x, const int *order, const int *offsets, const W *w_gate, const W *w_up,           \
      const float *weights, float *hidden, int *slot_experts, int experts, int top_k, int model,  \
      int width, int vector) {                                                                    \
    gate_up(x, order, offsets, w_gate, w_up, weights, hidden, slot_experts, experts, top_k,       \
            model, width, vector);                                                                \
  }                                                                                               \
  extern "C" __global__ __launch_bounds__(256) void decode_down_##suffix(                         \
      const float *hidden, const int *slot_experts, const W *w_down, T *y, int top_k, int model,  \
      int width, int vector) {                                                                    \
    down(hidden, slot_experts, w_down, y, top_k, model, width, vector);                           \
  }

DECODE(float, f32)
DECODE(bf16, bf16)
DECODE(half16, f16)
