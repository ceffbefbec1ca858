// Products of a few rows of activations with rows of weights, where reading the weights once is all
// the cost. A warp takes two whole rows of weights, 16 bytes a lane at a time, and asks for the next
// ones before it uses those it has: what is on its way is what bounds the speed.
//
// Compiled per number of rows of activations (ROWS: 1, 2, 4 or 8) and type of the weights.
#pragma once
#include "element.cuh"

#ifndef ROWS
#define ROWS 1
#endif

#if defined(WEIGHT_F16)
struct __align__(2) W {
  unsigned short bits;
};
__device__ __forceinline__ float to_float(W x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
#elif defined(WEIGHT_BF16)
typedef bf16 W;
#else
typedef float W;
#endif

// Values of weights in one access, and those a warp takes at a time.
constexpr int N = 16 / sizeof(W), STEP = 32 * N;

// Weights are read once: they need no place in the first cache. They stay packed until they are used:
// on their way they hold registers.
__device__ __forceinline__ uint4 load_streamed(const W *p) {
  uint4 bits;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(bits.x), "=r"(bits.y), "=r"(bits.z), "=r"(bits.w)
               : "l"(p));
  return bits;
}

__device__ __forceinline__ void unpack(const uint4 &bits, float (&out)[N]) {
  const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
#if defined(WEIGHT_F16)
    const W low = {(unsigned short)words[i]}, high = {(unsigned short)(words[i] >> 16)};
    out[2 * i] = to_float(low), out[2 * i + 1] = to_float(high);
#elif defined(WEIGHT_BF16)
    out[2 * i] = __uint_as_float(words[i] << 16);
    out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
#else
    out[i] = __uint_as_float(words[i]);
#endif
  }
}

// Asks for the beginning of a row of weights while there is nothing else to do. Whole warps.
__device__ __forceinline__ void prefetch_row(const W *row, int columns) {
#if __CUDA_ARCH__ >= 900
  const i64 byte = (threadIdx.x & 31) * 128;
  if (byte < (i64)columns * (int)sizeof(W))
    asm volatile("prefetch.global.L2 [%0];" ::"l"((const char *)row + byte));
#endif
}

// N values of x in as many 16-byte accesses as they take; half of one where they are shorter.
template <class X>
__device__ __forceinline__ void load_values(const X *p, float (&out)[N]) {
  constexpr int M = N * sizeof(X) < 16 ? N : 16 / sizeof(X);
  struct __align__(M * sizeof(X)) Piece {
    X v[M];
  };
#pragma unroll
  for (int k = 0; k < N / M; k++) {
    const Piece piece = *reinterpret_cast<const Piece *>(p + k * M);
#pragma unroll
    for (int v = 0; v < M; v++) out[k * M + v] = to_float(piece.v[v]);
  }
}

// Blocks of 128 threads that a multiprocessor holds at once: few rows of activations leave registers
// for more weights on their way.
constexpr int BLOCKS = ROWS == 1 ? 6 : 4;

// What a warp sums up of two rows of weights and M rows of activations.
template <int M>
struct Sums {
  float product[2][M], squares[M];

  __device__ __forceinline__ Sums() {
#pragma unroll
    for (int m = 0; m < M; m++) product[0][m] = product[1][m] = squares[m] = 0.0f;
  }

  // Every lane gets the sums over all lanes.
  __device__ __forceinline__ void gather() {
#pragma unroll
    for (int m = 0; m < M; m++) {
      product[0][m] = warp_sum(product[0][m]);
      product[1][m] = warp_sum(product[1][m]);
      squares[m] = warp_sum(squares[m]);
    }
  }

  // Row m's product with weight row r, m and r being known when the kernel runs.
  __device__ __forceinline__ float at(int r, int m) const {
    float x = 0.0f;
#pragma unroll
    for (int i = 0; i < M; i++)
      if (i == m) x = r ? product[1][i] : product[0][i];
    return x;
  }

  __device__ __forceinline__ float reciprocal_rms(int m, int columns, float epsilon) const {
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < M; i++)
      if (i == m) total = squares[i];
    return 1.0f / sqrtf(total / (float)columns + epsilon);
  }
};

// sums.product[r][m] += Σ_i weights[r][i] x[m][i], this lane's share. With NORM each x is scaled by
// `gain`, and squares[m] += Σ_i x[m][i]²: the reciprocal root mean square is a factor of the sums, so
// it need not be known before. `count` rows of x exist, `stride` apart; the last stands in for more.
template <bool NORM, int M, class X>
__device__ __forceinline__ void multiply_rows(const W *first, const W *second, const X *x,
                                              i64 stride, int count, const float *gain,
                                              int columns, bool vector, Sums<M> &sums) {
  const int lane = threadIdx.x & 31;
  if (!vector) {
    for (int i = lane; i < columns; i += 32) {
      const float g = NORM ? gain[i] : 1.0f, a = to_float(first[i]), b = to_float(second[i]);
#pragma unroll
      for (int m = 0; m < M; m++) {
        const float v = to_float(x[min(m, count - 1) * stride + i]);
        if (NORM) sums.squares[m] += v * v;
        sums.product[0][m] += a * (v * g);
        sums.product[1][m] += b * (v * g);
      }
    }
    return;
  }
  constexpr int AHEAD = M > 2 ? 2 : 4;
  first += lane * N, second += lane * N, x += lane * N;
  if (NORM) gain += lane * N;
  uint4 held[AHEAD][2];
  // Where to load next: the same in all lanes but for the lane's own place.
  int ahead = 0;
#pragma unroll
  for (int u = 0; u < AHEAD; u++, ahead += STEP)
    if (ahead + lane * N < columns) {
      held[u][0] = load_streamed(first + ahead);
      held[u][1] = load_streamed(second + ahead);
    }
  for (int base = 0; base < columns; base += AHEAD * STEP) {
#pragma unroll
    for (int u = 0; u < AHEAD; u++, ahead += STEP) {
      const int i = base + u * STEP;
      if (i + lane * N >= columns) continue;
      float a[N], b[N], g[N];
      unpack(held[u][0], a);
      unpack(held[u][1], b);
      if (ahead + lane * N < columns) {
        held[u][0] = load_streamed(first + ahead);
        held[u][1] = load_streamed(second + ahead);
      }
      if (NORM) load_values(gain + i, g);
#pragma unroll
      for (int m = 0; m < M; m++) {
        float values[N];
        load_values(x + min(m, count - 1) * stride + i, values);
#pragma unroll
        for (int v = 0; v < N; v++) {
          if (NORM) {
            sums.squares[m] += values[v] * values[v];
            values[v] *= g[v];
          }
          sums.product[0][m] += a[v] * values[v];
          sums.product[1][m] += b[v] * values[v];
        }
      }
    }
  }
}
