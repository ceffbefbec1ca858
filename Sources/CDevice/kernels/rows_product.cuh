// Products of a few rows of activations with rows of weights, where reading the weights once is all
// the cost. A warp takes two whole rows of weights, 16 bytes a lane at a time, and asks for the next
// ones before it uses those it has, the first before the kernel's predecessor ends: what is on its
// way is what bounds the speed.
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

// N values of x as they lie in memory, in as many 16-byte accesses as they take; half of one where
// they are shorter. Nothing waits for them before they are widened.
template <class X>
struct Values {
  static constexpr int M = N * sizeof(X) < 16 ? N : 16 / sizeof(X);
  struct __align__(M * sizeof(X)) Piece {
    X v[M];
  };
  Piece pieces[N / M];

  __device__ __forceinline__ void read(const X *p) {
#pragma unroll
    for (int k = 0; k < N / M; k++) pieces[k] = *reinterpret_cast<const Piece *>(p + k * M);
  }
  __device__ __forceinline__ float operator[](int i) const { return to_float(pieces[i / M].v[i % M]); }
};

// A value after RMSNorm as activations hold it.
__device__ __forceinline__ float normalized(float x, float inverse, float gain) {
  return to_float(from_float(gain * (x * inverse)));
}

// Blocks of 128 threads that a multiprocessor holds at once, so that registers are left for weights on
// their way: for grids of several rounds or of less than one.
constexpr int BLOCKS = 4;
// For grids that would need a second round for few blocks: more of them at once, each with less on
// its way.
constexpr int MANY_BLOCKS = ROWS == 1 ? 6 : 4;

// Two rows of weights on their way. Loads past the end of a row are of its end instead, so that none
// depends on a condition: a register that keeps its value otherwise would have to be waited for.
template <int STEPS>
struct WeightStream {
  uint4 held[STEPS][2];
  const W *first, *second;
  int last;

  // Starts two rows of `columns` weights; nothing that other kernels write is read.
  __device__ __forceinline__ void begin(const W *a, const W *b, int columns, bool vector) {
    first = a, second = b, last = columns - N;
    if (!vector || columns == 0) return;
#pragma unroll
    for (int u = 0; u < STEPS; u++) ask(u, u * STEP + (threadIdx.x & 31) * N);
  }
  // Asks for more of both rows than registers hold, for kernels whose predecessor leaves the memory
  // idle. Whole warps.
  __device__ __forceinline__ void prefetch(int columns) const {
#if __CUDA_ARCH__ >= 900
    const int end = min(columns * (int)sizeof(W), 8192);
    for (int byte = STEPS * STEP * (int)sizeof(W) + (threadIdx.x & 31) * 128; byte < end;
         byte += 32 * 128) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"((const char *)first + byte));
      asm volatile("prefetch.global.L2 [%0];" ::"l"((const char *)second + byte));
    }
#endif
  }
  __device__ __forceinline__ void ask(int u, int column) {
    const int at = min(column, last);
    held[u][0] = load_streamed(first + at);
    held[u][1] = load_streamed(second + at);
  }
  __device__ __forceinline__ W value(int row, int column) const {
    return (row ? second : first)[column];
  }
};

// Two rows of each of up to 32 matrices, end to end as if they were two rows, so that the next matrix
// is on its way while one is multiplied. Lane i holds which matrix is the i-th.
template <int STEPS>
struct PieceStream {
  uint4 held[STEPS][2];
  const W *weights;
  i64 second, matrix;
  int width, piece, last;

  // Starts rows `a` and `b` of matrices of `rows` rows of `width` weights; `pieces` of them.
  __device__ __forceinline__ void begin(const W *all, int own_piece, int pieces, int rows, int a,
                                        int b, int row_width, bool vector) {
    weights = all + (i64)a * row_width, second = (i64)(b - a) * row_width;
    matrix = (i64)rows * row_width, width = row_width, piece = own_piece;
    last = pieces * row_width - N;
    if (!vector || row_width == 0) return;
#pragma unroll
    for (int u = 0; u < STEPS; u++) ask(u, u * STEP + (threadIdx.x & 31) * N);
  }
  // Whole warps.
  __device__ __forceinline__ const W *place(int column) const {
    const int index = column / width;
    return weights + __shfl_sync(0xffffffffu, piece, index) * matrix + (column - index * width);
  }
  __device__ __forceinline__ void ask(int u, int column) {
    const W *at = place(min(column, last));
    held[u][0] = load_streamed(at);
    held[u][1] = load_streamed(at + second);
  }
  __device__ __forceinline__ W value(int row, int column) const {
    return place(column)[row ? second : 0];
  }
};

// Steps of two rows on their way, by rows of activations.
constexpr int FEW_AHEAD = 2, AHEAD = ROWS > 2 ? FEW_AHEAD : 4;

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

// What is multiplied: values as they are, scaled by a gain, or normalized and rounded to T.
enum Operand { PLAIN, SCALED, NORMALIZED };

// sums.product[r][m] += Σ_i weights[r][i] x[m][i], this lane's share. SCALED, each x is multiplied by
// `gain`, and squares[m] += Σ_i x[m][i]²: the reciprocal root mean square is a factor of the sums, so
// it need not be known before. NORMALIZED, it is known for each row, in `inverse`. `count` rows of x
// exist, `stride` apart; the last stands in for more. `weights` has begun.
template <Operand OPERAND, template <int> class Stream, int STEPS, int M, class X>
__device__ __forceinline__ void multiply_rows(Stream<STEPS> &weights, const X *x, i64 stride,
                                              int count, const float *gain, int columns, bool vector,
                                              Sums<M> &sums, const float *inverse = nullptr) {
  const int lane = threadIdx.x & 31;
  if (!vector) {
    for (int base = 0; base < columns; base += 32) {
      const int i = min(base + lane, columns - 1);
      const bool inside = base + lane < columns;
      const float g = OPERAND == PLAIN ? 1.0f : gain[i];
      const float a = to_float(weights.value(0, i)), b = to_float(weights.value(1, i));
#pragma unroll
      for (int m = 0; m < M; m++) {
        float v = inside ? to_float(x[min(m, count - 1) * stride + i]) : 0.0f;
        if (OPERAND == SCALED) sums.squares[m] += v * v;
        v = OPERAND == NORMALIZED ? normalized(v, inverse[m], g) : v * g;
        sums.product[0][m] += a * v;
        sums.product[1][m] += b * v;
      }
    }
    return;
  }
  for (int base = lane * N; base < columns + lane * N; base += STEPS * STEP) {
    // One row of activations and its gains are asked for together.
    Values<X> asked[STEPS];
    Values<float> gains[STEPS];
    if (M == 1)
#pragma unroll
      for (int u = 0; u < STEPS; u++) {
        const int at = min(base + u * STEP, weights.last);
        asked[u].read(x + at);
        if (OPERAND != PLAIN) gains[u].read(gain + at);
      }
#pragma unroll
    for (int u = 0; u < STEPS; u++) {
      const int i = base + u * STEP, at = min(i, weights.last);
      float a[N], b[N];
      unpack(weights.held[u][0], a);
      unpack(weights.held[u][1], b);
      weights.ask(u, i + STEPS * STEP);
      if (M > 1 && OPERAND != PLAIN) gains[u].read(gain + at);
#pragma unroll
      for (int m = 0; m < M; m++) {
        Values<X> other;
        if (M > 1) other.read(x + min(m, count - 1) * stride + at);
        const Values<X> &values = M > 1 ? other : asked[u];
#pragma unroll
        for (int v = 0; v < N; v++) {
          float value = i < columns ? values[v] : 0.0f;
          if (OPERAND == SCALED) {
            sums.squares[m] += value * value;
            value *= gains[u][v];
          }
          if (OPERAND == NORMALIZED) value = normalized(value, inverse[m], gains[u][v]);
          sums.product[0][m] += a[v] * value;
          sums.product[1][m] += b[v] * value;
        }
      }
    }
  }
}
