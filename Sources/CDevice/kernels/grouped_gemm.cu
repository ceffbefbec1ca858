// The products of a mixture of experts in plain float arithmetic: exact float in float mode (no
// tf32), and bf16 operands of any shape, which grouped_mma.cu does not take. The same products,
// operands and walk over tiles as there: one launch covers all experts, whose tiles a fixed grid of
// blocks finds from `offsets` on the device, and rows are gathered while they are loaded.
//
// 128 x 128 tiles of depth 16; each of 256 threads sums 8 x 8 (four rows and columns, and those 64
// further), which reads shared memory 16 bytes at a time. The next depth loads while this one
// is multiplied. Everything goes in runs of four values; `vector` says whether these are aligned.
#include "element.cuh"

constexpr int BM = 128, BN = 128, BK = 16, THREADS = 256;
// Padded rows: two threads at most store to the same bank.
constexpr int STRIDE = 132;
constexpr int GROUP = 8;
#include "expert_tiles.cuh"

struct Accumulator {
  float v[8][8];
};

// ==== Runs of four values ====

struct __align__(4 * sizeof(T)) Four {
  T v[4];
};
struct Run {
  float v[4];
};

// Four values of which `left` exist; zeros for the rest.
__device__ __forceinline__ Run fetch(const T *p, int left, bool vector) {
  Run r;
  if (vector && left >= 4) {
    const Four x = *reinterpret_cast<const Four *>(p);
#pragma unroll
    for (int i = 0; i < 4; i++) r.v[i] = to_float(x.v[i]);
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++) r.v[i] = i < left ? load(p + i) : 0.0f;
  }
  return r;
}

__device__ __forceinline__ void put(T *p, const float *v, int left, bool vector) {
  if (vector && left >= 4) {
    Four x;
#pragma unroll
    for (int i = 0; i < 4; i++) x.v[i] = from_float(v[i]);
    *reinterpret_cast<Four *>(p) = x;
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (i < left) store(p + i, v[i]);
  }
}

// A thread's part of an operand's tile: two runs. Of an operand BY_K, along the depths
// 4 (i % 4) of rows i / 4 and 64 further; otherwise along rows 4 (i % 32) at depths i / 32 and 8
// further.
struct Part {
  Run r[2];
};
__device__ __forceinline__ int row_by_k(int half) { return (threadIdx.x >> 2) + 64 * half; }
__device__ __forceinline__ int depth_by_k() { return (threadIdx.x & 3) * 4; }
__device__ __forceinline__ int row_across() { return (threadIdx.x & 31) * 4; }
__device__ __forceinline__ int depth_across(int half) { return (threadIdx.x >> 5) + 8 * half; }

template <bool BY_K>
__device__ __forceinline__ void keep(float (*tile)[STRIDE], const Part &part) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (BY_K) {
#pragma unroll
      for (int i = 0; i < 4; i++) tile[depth_by_k() + i][row_by_k(half)] = part.r[half].v[i];
    } else {
      *reinterpret_cast<float4 *>(&tile[depth_across(half)][row_across()]) =
          *reinterpret_cast<const float4 *>(&part.r[half]);
    }
  }
}

// Runs a product P: `find` its tiles, `prepare` one, `load` its depths, `store` its sums.
template <class P> __device__ __forceinline__ void run(P p) {
  __shared__ __align__(16) float a[2][BK][STRIDE], b[2][BK][STRIDE];
  const int ty = threadIdx.x >> 4, tx = threadIdx.x & 15;
  Tile t;
  for (int index = blockIdx.x; p.find(t, index); index += gridDim.x) {
    p.prepare(t);
    Accumulator c;
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
      for (int j = 0; j < 8; j++) c.v[i][j] = 0;
    const int steps = p.steps(t);
    Part x, y;
    if (steps > 0) {
      p.load(t, 0, x, y);
      keep<P::A_BY_K>(a[0], x);
      keep<P::B_BY_K>(b[0], y);
    }
    __syncthreads();
    for (int step = 0; step < steps; step++) {
      const int now = step & 1;
      if (step + 1 < steps) p.load(t, step + 1, x, y);
// More would spill: 64 sums and 16 values on their way leave few registers.
#pragma unroll 2
      for (int k = 0; k < BK; k++) {
        const float4 u0 = *reinterpret_cast<const float4 *>(&a[now][k][ty * 4]);
        const float4 u1 = *reinterpret_cast<const float4 *>(&a[now][k][64 + ty * 4]);
        const float4 v0 = *reinterpret_cast<const float4 *>(&b[now][k][tx * 4]);
        const float4 v1 = *reinterpret_cast<const float4 *>(&b[now][k][64 + tx * 4]);
        const float u[8] = {u0.x, u0.y, u0.z, u0.w, u1.x, u1.y, u1.z, u1.w};
        const float v[8] = {v0.x, v0.y, v0.z, v0.w, v1.x, v1.y, v1.z, v1.w};
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
          for (int j = 0; j < 8; j++) c.v[i][j] += u[i] * v[j];
      }
      if (step + 1 < steps) {
        keep<P::A_BY_K>(a[now ^ 1], x);
        keep<P::B_BY_K>(b[now ^ 1], y);
      }
      __syncthreads();
    }
    p.store(t, c);
  }
}

// The row in the tile of sum `i`.
__device__ __forceinline__ int row_of(int i) {
  return (i >> 2) * 64 + (threadIdx.x >> 4) * 4 + (i & 3);
}
// The first column of sums 0...3; those of 4...7 are 64 further.
__device__ __forceinline__ int first_column() { return (threadIdx.x & 15) * 4; }

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The rows of a tile of slots (of tokens, with an order) that a thread loads; -1 where absent.
__device__ __forceinline__ void locate_rows(int (&at)[2], const Tile &t, const int *order,
                                            int top_k) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int r = t.m + row_by_k(half);
    at[half] = r >= t.rows ? -1 : order ? order[t.start + r] / top_k : t.start + r;
  }
}

__device__ __forceinline__ void load_rows(Part &to, const T *from, const int (&at)[2], int columns,
                                          int k, bool vector) {
#pragma unroll
  for (int half = 0; half < 2; half++)
    to.r[half] = fetch(from + (i64)max(at[half], 0) * columns + k, at[half] < 0 ? 0 : columns - k,
                       vector);
}

// ==== Forward ====

// hidden = w silu(x W_gateᵀ) ⊙ (x W_upᵀ). A tile's columns are 64 of gate, then the same of up.
struct GateUp {
  static constexpr bool A_BY_K = true, B_BY_K = true;
  const T *x;
  const int *order, *offsets;
  const T *w_gate, *w_up;
  const float *weights;
  T *hidden, *gate, *up;
  int experts, top_k, model, width, vector;
  int at[2];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(width, BN / 2), BN / 2);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, order, top_k); }
  __device__ int steps(const Tile &) const { return pieces(model, BK); }
  __device__ void load(const Tile &t, int step, Part &a, Part &b) {
    const int k = step * BK + depth_by_k(), row = t.n + row_by_k(0);
    load_rows(a, x, at, model, k, vector);
    const i64 start = ((i64)t.expert * width + row) * model + k;
    b.r[0] = fetch(w_gate + start, row < width ? model - k : 0, vector);
    b.r[1] = fetch(w_up + start, row < width ? model - k : 0, vector);
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
    const int column = t.n + first_column(), left = width - column;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int row = t.m + row_of(i);
      if (row >= t.rows || left <= 0) continue;
      const i64 position = t.start + row, at = position * width + column;
      const float w = weights[order[position]];
      float h[4];
#pragma unroll
      for (int v = 0; v < 4; v++) {
        const float g = c.v[i][v], u = c.v[i][v + 4];
        h[v] = w * u * (g * sigmoid(g));
      }
      put(hidden + at, h, left, vector);
      if (gate) {
        put(gate + at, c.v[i], left, vector);
        put(up + at, c.v[i] + 4, left, vector);
      }
    }
  }
};

__device__ __forceinline__ void store_by_slot(const Tile &t, const Accumulator &c,
                                              const int *order, T *part, int model, bool vector) {
  const int column = t.n + first_column();
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const int row = t.m + row_of(i);
    if (row >= t.rows) continue;
    T *to = part + (i64)order[t.start + row] * model + column;
    put(to, c.v[i], model - column, vector);
    put(to + 64, c.v[i] + 4, model - column - 64, vector);
  }
}

// Rows times W_downᵀ, each to its slot's row of `part`.
struct Down {
  static constexpr bool A_BY_K = true, B_BY_K = true;
  const T *hidden;
  const int *order, *offsets;
  const T *w_down;
  T *part;
  int experts, model, width, vector;
  int at[2];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(model, BN), BN);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, nullptr, 1); }
  __device__ int steps(const Tile &) const { return pieces(width, BK); }
  __device__ void load(const Tile &t, int step, Part &a, Part &b) {
    const int k = step * BK + depth_by_k();
    load_rows(a, hidden, at, width, k, vector);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = t.n + row_by_k(half);
      b.r[half] = fetch(w_down + ((i64)t.expert * model + row) * width + k,
                        row < model ? width - k : 0, vector);
    }
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
    store_by_slot(t, c, order, part, model, vector);
  }
};

// ==== Backward ====

// z = dy W_down, and from it, where forward kept its projections, their gradients; the weighted
// hidden values; and sums of 128 columns of <z, silu(g) u>, the gradients of the routing weights.
struct Pull {
  static constexpr bool A_BY_K = true, B_BY_K = false;
  const T *dy;
  const int *order, *offsets;
  const T *w_down;
  const float *weights;
  T *gate, *up, *hidden;
  float *sums;
  int experts, top_k, model, width, vector;
  int at[2];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(width, BN), BN);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, order, top_k); }
  __device__ int steps(const Tile &) const { return pieces(model, BK); }
  __device__ void load(const Tile &t, int step, Part &a, Part &b) {
    load_rows(a, dy, at, model, step * BK + depth_by_k(), vector);
    const int column = t.n + row_across();
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int depth = step * BK + depth_across(half);
      b.r[half] = fetch(w_down + ((i64)t.expert * model + depth) * width + column,
                        depth < model ? width - column : 0, vector);
    }
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int row = t.m + row_of(i);
      const bool present = row < t.rows;
      const i64 position = t.start + row;
      const float w = present ? weights[order[position]] : 0.0f;
      float inner = 0;
#pragma unroll
      for (int part = 0; part < 2; part++) {
        const int column = t.n + first_column() + part * 64, left = width - column;
        if (!present || left <= 0) continue;
        const i64 at = position * width + column;
        Run g = fetch(gate + at, left, vector), u = fetch(up + at, left, vector), h;
#pragma unroll
        for (int v = 0; v < 4; v++) {
          const float z = c.v[i][part * 4 + v];
          const float s = sigmoid(g.v[v]), silu = g.v[v] * s, dh = w * z;
          h.v[v] = silu * u.v[v];
          // Columns that do not exist came as zeros and add none.
          inner += z * h.v[v];
          h.v[v] *= w;
          g.v[v] = dh * u.v[v] * (s + silu * (1 - s));
          u.v[v] = dh * silu;
        }
        put(gate + at, g.v, left, vector);
        put(up + at, u.v, left, vector);
        put(hidden + at, h.v, left, vector);
      }
      // The 16 threads of these rows are half a warp.
#pragma unroll
      for (int shift = 8; shift > 0; shift >>= 1)
        inner += __shfl_xor_sync(0xffffffffu, inner, shift);
      if (sums && present && (threadIdx.x & 15) == 0)
        sums[position * pieces(width, BN) + t.n / BN] = inner;
    }
  }
};

// dGate W_gate + dUp W_up, each row to its slot's row of `part`.
struct InputGradient {
  static constexpr bool A_BY_K = true, B_BY_K = false;
  const T *d_gate, *d_up;
  const int *order, *offsets;
  const T *w_gate, *w_up;
  T *part;
  int experts, model, width, vector;
  int at[2];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(model, BN), BN);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, nullptr, 1); }
  __device__ int steps(const Tile &) const { return pieces(width, BK) * 2; }
  __device__ void load(const Tile &t, int step, Part &a, Part &b) {
    const int each = pieces(width, BK), column = t.n + row_across();
    const bool second = step >= each;
    if (second) step -= each;
    load_rows(a, second ? d_up : d_gate, at, width, step * BK + depth_by_k(), vector);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int depth = step * BK + depth_across(half);
      b.r[half] = fetch((second ? w_up : w_gate) + ((i64)t.expert * width + depth) * model + column,
                        depth < width ? model - column : 0, vector);
    }
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
    store_by_slot(t, c, order, part, model, vector);
  }
};

// dW_e (+)= aᵀ b over an expert's slots: a by position and b by token, or the other way round.
template <bool A_BY_TOKEN> struct WeightGradient {
  static constexpr bool A_BY_K = false, B_BY_K = false;
  const T *a, *b;
  const int *order, *offsets;
  float *gradient;
  int experts, top_k, rows, columns, accumulate, vector;

  __device__ bool find(Tile &t, int index) {
    const int down = pieces(rows, BM), across = pieces(columns, BN);
    if (index >= experts * down * across) return false;
    t.expert = index / (down * across);
    t.start = offsets[t.expert];
    t.rows = offsets[t.expert + 1] - t.start;
    place(t, index % (down * across), down, across, BN);
    return true;
  }
  __device__ void prepare(const Tile &) {}
  __device__ int steps(const Tile &t) const { return pieces(t.rows, BK); }
  __device__ void load(const Tile &t, int step, Part &x, Part &y) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int r = step * BK + depth_across(half);
      const bool inside = r < t.rows;
      const i64 position = inside ? t.start + r : 0;
      const i64 token = inside ? order[position] / top_k : 0;
      const int row = t.m + row_across(), column = t.n + row_across();
      x.r[half] = fetch(a + (A_BY_TOKEN ? token : position) * rows + row, inside ? rows - row : 0,
                        vector);
      y.r[half] = fetch(b + (A_BY_TOKEN ? position : token) * columns + column,
                        inside ? columns - column : 0, vector);
    }
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
    // Nothing to add; without accumulation the zeros are written.
    if (accumulate && t.rows == 0) return;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int row = t.m + row_of(i);
      if (row >= rows) continue;
#pragma unroll
      for (int part = 0; part < 2; part++) {
        const int column = t.n + first_column() + part * 64;
        float *to = gradient + ((i64)t.expert * rows + row) * columns + column;
        if (vector && column + 4 <= columns) {
          float4 sum = *reinterpret_cast<const float4 *>(&c.v[i][part * 4]);
          if (accumulate) {
            const float4 old = *reinterpret_cast<float4 *>(to);
            sum.x += old.x, sum.y += old.y, sum.z += old.z, sum.w += old.w;
          }
          *reinterpret_cast<float4 *>(to) = sum;
        } else {
#pragma unroll
          for (int v = 0; v < 4; v++)
            if (column + v < columns)
              to[v] = (accumulate ? to[v] : 0.0f) + c.v[i][part * 4 + v];
        }
      }
    }
  }
};

// ==== Kernels ====
// Blocks of 256 threads, two per multiprocessor.

extern "C" __global__ __launch_bounds__(THREADS, 2) void expert_gate_up(
    const T *x, const int *order, const int *offsets, const T *w_gate, const T *w_up,
    const float *weights, T *hidden, T *gate, T *up, int experts, int top_k, int model, int width,
    int vector) {
  run(GateUp{x, order, offsets, w_gate, w_up, weights, hidden, gate, up, experts, top_k, model,
             width, vector});
}

extern "C" __global__ __launch_bounds__(THREADS, 2) void expert_down(
    const T *hidden, const int *order, const int *offsets, const T *w_down, T *part, int experts,
    int model, int width, int vector) {
  run(Down{hidden, order, offsets, w_down, part, experts, model, width, vector});
}

extern "C" __global__ __launch_bounds__(THREADS, 2) void expert_pull(
    const T *dy, const int *order, const int *offsets, const T *w_down, const float *weights,
    T *gate, T *up, T *hidden, float *sums, int experts, int top_k, int model, int width,
    int vector) {
  run(Pull{dy, order, offsets, w_down, weights, gate, up, hidden, sums, experts, top_k, model,
           width, vector});
}

extern "C" __global__ __launch_bounds__(THREADS, 2) void expert_input_gradient(
    const T *d_gate, const T *d_up, const int *order, const int *offsets, const T *w_gate,
    const T *w_up, T *part, int experts, int model, int width, int vector) {
  run(InputGradient{d_gate, d_up, order, offsets, w_gate, w_up, part, experts, model, width,
                    vector});
}

// [E, rows, columns] from a [slots, rows] by position and b [tokens, columns].
extern "C" __global__ __launch_bounds__(THREADS, 2) void expert_projection_gradient(
    const T *a, const T *b, const int *order, const int *offsets, float *gradient, int experts,
    int top_k, int rows, int columns, int accumulate, int vector) {
  run(WeightGradient<false>{a, b, order, offsets, gradient, experts, top_k, rows, columns,
                            accumulate, vector});
}

// [E, rows, columns] from a [tokens, rows] and b [slots, columns] by position.
extern "C" __global__ __launch_bounds__(THREADS, 2) void expert_down_gradient(
    const T *a, const T *b, const int *order, const int *offsets, float *gradient, int experts,
    int top_k, int rows, int columns, int accumulate, int vector) {
  run(WeightGradient<true>{a, b, order, offsets, gradient, experts, top_k, rows, columns,
                           accumulate, vector});
}
