// The products of a mixture of experts on tensor cores: bf16 operands, float sums. Every product
// covers all experts in one launch. A fixed grid of blocks walks the tiles of all experts, which
// each block finds from `offsets` on the device, so ragged and empty experts cost nothing extra
// and no expert's tokens are padded (the grouped products of MegaBlocks, Gale et al. 2022; tokens
// are gathered while tiles are loaded, as in ScatterMoE, Tan et al. 2024, so they are never copied).
//
// On sm_90a a block's two warpgroups run wgmma straight from shared memory; elsewhere eight warps
// run mma.sync on 64 x 64 quarters. Both read the same tiles: rows of 128 bytes whose 16-byte
// chunks are xored with the row modulo 8 (the 128-byte swizzle), free of bank conflicts. Copies
// run AHEAD stages ahead, and those of a block's next tile start before it stores the last one.
//
// D (`model`) and I (`width`) must be multiples of 8 and all rows 16-byte aligned;
// grouped_gemm.cu takes the rest, and float.
#include "element.cuh"

#if defined(ELEMENT_BF16)

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) && !defined(NO_WGMMA)
#define WGMMA 1
#else
#define WGMMA 0
#endif

typedef unsigned long long u64;

constexpr int BM = 128, BN = 256, BK = 64, THREADS = 256;
constexpr int A_BYTES = BM * BK * 2, STAGE_BYTES = (BM + BN) * BK * 2, PANEL_BYTES = 64 * BK * 2;
// Stages that are copied ahead of the one that is multiplied: 1 where shared memory is short.
#ifndef AHEAD
#define AHEAD 2
#endif
// wgmma is still reading the stage before the last one issued; mma.sync is not.
constexpr int STAGES = WGMMA ? AHEAD + 2 : AHEAD + 1;
// Row tiles that are walked together: 16 by about 8 column tiles are on the chip at a time, which
// balances what they read of both operands.
constexpr int GROUP = 16;
constexpr unsigned ABSENT = 0xffffffffu;
#include "expert_tiles.cuh"

// Accumulators of a thread: MI row blocks of 16 by NJ column blocks of 8, in the layout that
// mma and wgmma share: rows lane / 4 and + 8, columns 2 (lane % 4) and + 1.
constexpr int MI = WGMMA ? 1 : 4, NJ = WGMMA ? 32 : 8;
struct Accumulator {
  float v[MI][NJ][4];
};

// ==== Instructions ====

__device__ __forceinline__ unsigned shared_address(const void *p) {
  return (unsigned)__cvta_generic_to_shared(p);
}

// 16 bytes to shared memory; zeros, and no read, when outside.
__device__ __forceinline__ void copy_16(unsigned to, const void *from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(inside ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Until at most `pending` of this thread's groups of copies are on their way.
template <int pending> __device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

#if WGMMA
__device__ __forceinline__ void fence_shared_writes() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void fence_registers() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int pending> __device__ __forceinline__ void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}
// Keeps the compiler from moving uses of the sums above a wait.
__device__ __forceinline__ void pin(Accumulator &c) {
#pragma unroll
  for (int j = 0; j < NJ; j++)
    asm volatile(""
                 : "+f"(c.v[0][j][0]), "+f"(c.v[0][j][1]), "+f"(c.v[0][j][2]), "+f"(c.v[0][j][3])::
                     "memory");
}

#define F4(j) "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3])
#define F16(j) F4(j), F4(j + 1), F4(j + 2), F4(j + 3)
// c += a b over 64 rows, 256 columns and a depth of 16.
template <bool A_BY_K, bool B_BY_K>
__device__ __forceinline__ void multiply_16(float (&d)[NJ][4], u64 a, u64 b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
      "%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,"
      "%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,"
      "%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,"
      "%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,"
      "%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127},"
      "%128, %129, 1, 1, 1, %130, %131;"
      : F16(0), F16(4), F16(8), F16(12), F16(16), F16(20), F16(24), F16(28)
      : "l"(a), "l"(b), "n"(A_BY_K ? 0 : 1), "n"(B_BY_K ? 0 : 1));
}
#undef F4
#undef F16
#else
__device__ __forceinline__ void load_matrices(unsigned (&r)[4], unsigned from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
}
__device__ __forceinline__ void load_transposed(unsigned (&r)[4], unsigned from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
}
__device__ __forceinline__ void multiply_16(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                            unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
               "{%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

// ==== Copies ====
// Thread i copies chunk i % 8 of rows i / 8, i / 8 + 32, ... of a tile.

__device__ __forceinline__ unsigned first_chunk() {
  const int row = threadIdx.x >> 3;
  return row * 128 + (((threadIdx.x ^ row) & 7) << 4);
}

// Where the rows of a tile of slots (of tokens, with an order) start, in 16-byte units.
__device__ __forceinline__ void locate_rows(unsigned (&at)[4], const Tile &t, const int *order,
                                            int top_k, int columns) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int r = t.m + (threadIdx.x >> 3) + 32 * i;
    if (r < t.rows) {
      const int row = order ? order[t.start + r] / top_k : t.start + r;
      at[i] = (unsigned)row * (unsigned)(columns >> 3);
    } else {
      at[i] = ABSENT;
    }
  }
}

// BM located rows, depth `k` of each.
__device__ __forceinline__ void copy_rows(unsigned to, const T *from, const unsigned (&at)[4],
                                          int k, bool inside) {
  to += first_chunk();
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const bool valid = inside && at[i] != ABSENT;
    copy_16(to + i * 4096, from + (valid ? (u64)(at[i] + (k >> 3)) * 8 : 0), valid);
  }
}

// COUNT * 32 consecutive rows of weights, of which `left` exist, depth `k` of each.
template <int COUNT>
__device__ __forceinline__ void copy_weights(unsigned to, const T *from, int columns, int left,
                                             int k, bool inside) {
  to += first_chunk();
  const int row = threadIdx.x >> 3;
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    const bool valid = inside && row + 32 * i < left;
    copy_16(to + i * 4096, valid ? from + (i64)(row + 32 * i) * columns + k : from, valid);
  }
}

// One of a thread's two rows of a tile that is a depth of 64 by PANELS * 64 values, of which `left`
// exist. `from` is the row's first value in the tile.
template <int PANELS>
__device__ __forceinline__ void copy_panels(unsigned to, int half, const T *from, bool inside,
                                            int left) {
  to += first_chunk() + half * 4096;
#pragma unroll
  for (int p = 0; p < PANELS; p++) {
    const int column = p * 64 + (threadIdx.x & 7) * 8;
    const bool valid = inside && column < left;
    copy_16(to + p * PANEL_BYTES, valid ? from + column : from, valid);
  }
}

// ==== Products ====

// c += a b over one stage. Operands BY_K lie as rows of 64 depths, others as depths by panels of
// 64 values.
template <bool A_BY_K, bool B_BY_K>
__device__ __forceinline__ void multiply(Accumulator &c, unsigned stage) {
  const int warp = threadIdx.x >> 5;
#if WGMMA
  // A descriptor: address, distance of panels, distance of 8 rows, 128-byte swizzle.
  const u64 form = (u64)(PANEL_BYTES >> 4) << 16 | (u64)(1024 >> 4) << 32 | 1ull << 62;
  // 64 rows BY_K take as many bytes as a panel.
  const u64 a = form | (stage + (warp >> 2) * PANEL_BYTES) >> 4;
  const u64 b = form | (stage + A_BYTES) >> 4;
  fence_registers();
#pragma unroll
  for (int k = 0; k < BK / 16; k++)
    multiply_16<A_BY_K, B_BY_K>(c.v[0], a + k * (A_BY_K ? 32 : 2048) / 16,
                                b + k * (B_BY_K ? 32 : 2048) / 16);
  commit_products();
#else
  // Lane l addresses row l % 8 of matrix l / 8 of the four that one instruction loads.
  const int lane = threadIdx.x & 31, row = lane & 7, low = lane >> 3 & 1, high = lane >> 4;
  const unsigned a = stage + (warp >> 2) * PANEL_BYTES, b = stage + A_BYTES;
#pragma unroll
  for (int k = 0; k < BK / 16; k++) {
    unsigned x[MI][4];
#pragma unroll
    for (int i = 0; i < MI; i++) {
      // Four 8 x 8 matrices: rows, rows + 8, then both at depth + 8.
      if (A_BY_K)
        load_matrices(x[i], a + (i * 16 + low * 8 + row) * 128 + (((k * 2 + high) ^ row) << 4));
      else
        load_transposed(x[i], a + (k * 16 + high * 8 + row) * 128 + (((i * 2 + low) ^ row) << 4));
    }
#pragma unroll
    for (int j = 0; j < NJ; j += 2) {
      // Two blocks of 8 columns: each at depth, then depth + 8.
      const int column = (warp & 3) * 32 + (j & 3) * 8 + (j >> 2) * 128 + high * 8;
      unsigned y[4];
      if (B_BY_K)
        load_matrices(y, b + (column + row) * 128 + (((k * 2 + low) ^ row) << 4));
      else
        load_transposed(y, b + (column >> 6) * PANEL_BYTES + (k * 16 + low * 8 + row) * 128 +
                               (((column >> 3 & 7) ^ row) << 4));
#pragma unroll
      for (int i = 0; i < MI; i++) {
        multiply_16(c.v[i][j], x[i], y[0], y[1]);
        multiply_16(c.v[i][j + 1], x[i], y[2], y[3]);
      }
    }
  }
#endif
}

template <class P> __device__ __forceinline__ void start_tile(P &p, const Tile &t, unsigned base) {
  p.prepare(t);
#pragma unroll
  for (int s = 0; s < AHEAD; s++) {
    if (s < p.steps(t)) p.copy(t, s, base + s * STAGE_BYTES);
    commit_copies();
  }
}

// Runs a product P: `find` its tiles, `prepare` one, `copy` its stages, `store` its sums.
template <class P> __device__ __forceinline__ void run(P p) {
  extern __shared__ unsigned char raw[];
  const unsigned base = (shared_address(raw) + 1023) & ~1023u;
  Tile tile, next;
  int index = blockIdx.x;
  if (!p.find(tile, index)) return;
  start_tile(p, tile, base);
  for (;;) {
    Accumulator c;
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
      for (int j = 0; j < NJ; j++)
#pragma unroll
        for (int v = 0; v < 4; v++) c.v[i][j][v] = 0;
    const int steps = p.steps(tile);
    int current = 0, ahead = AHEAD;
    for (int step = 0; step < steps; step++) {
      wait_copies<AHEAD - 1>();
#if WGMMA
      fence_shared_writes();
      wait_products<1>();
#endif
      __syncthreads();
#if WGMMA
      multiply<P::A_BY_K, P::B_BY_K>(c, base + current * STAGE_BYTES);
#endif
      if (step + AHEAD < steps) p.copy(tile, step + AHEAD, base + ahead * STAGE_BYTES);
      commit_copies();
#if !WGMMA
      multiply<P::A_BY_K, P::B_BY_K>(c, base + current * STAGE_BYTES);
#endif
      current = current + 1 == STAGES ? 0 : current + 1;
      ahead = ahead + 1 == STAGES ? 0 : ahead + 1;
    }
#if WGMMA
    wait_products<0>();
    pin(c);
#endif
    __syncthreads();
    index += gridDim.x;
    const bool more = p.find(next, index);
    if (more) start_tile(p, next, base);
    p.store(tile, c);
    if (!more) return;
    tile = next;
  }
}

// ==== Sums ====

__device__ __forceinline__ int row_of(int i, int half) {
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  return (WGMMA ? warp * 16 : (warp >> 2) * 64 + i * 16) + half * 8 + (lane >> 2);
}

// The first of the four columns that `quad` gives this thread. Blocks NJ / 2 further are 128
// columns further.
__device__ __forceinline__ int column_of(int j) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int block = WGMMA ? j * 8 : (warp & 3) * 32 + (j & 3) * 8 + (j >> 2) * 128;
  return block + (lane & 1) * 8 + (lane & 2) * 2;
}

// Neighbours swap pairs of columns of blocks j and j + 1: each gets four in a row of one of them.
__device__ __forceinline__ void quad(const float (&c)[NJ][4], int j, int half, float (&v)[4]) {
  const bool odd = threadIdx.x & 1;
  const float a0 = c[j][half * 2], a1 = c[j][half * 2 + 1];
  const float b0 = c[j + 1][half * 2], b1 = c[j + 1][half * 2 + 1];
  const float r0 = __shfl_xor_sync(0xffffffffu, odd ? a0 : b0, 1);
  const float r1 = __shfl_xor_sync(0xffffffffu, odd ? a1 : b1, 1);
  v[0] = odd ? r0 : a0, v[1] = odd ? r1 : a1;
  v[2] = odd ? b0 : r0, v[3] = odd ? b1 : r1;
}

struct __align__(8) Four {
  T v[4];
};
__device__ __forceinline__ void load_four(const T *p, float (&v)[4]) {
  const Four x = *reinterpret_cast<const Four *>(p);
#pragma unroll
  for (int i = 0; i < 4; i++) v[i] = to_float(x.v[i]);
}
__device__ __forceinline__ void store_four(T *p, const float (&v)[4]) {
  Four x;
#pragma unroll
  for (int i = 0; i < 4; i++) x.v[i] = from_float(v[i]);
  *reinterpret_cast<Four *>(p) = x;
}

__device__ __forceinline__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

// ==== Forward ====

// hidden = w silu(x W_gateᵀ) ⊙ (x W_upᵀ). A tile's columns are 128 of gate, then the same of up.
struct GateUp {
  static constexpr bool A_BY_K = true, B_BY_K = true;
  const T *x;
  const int *order, *offsets;
  const T *w_gate, *w_up;
  const float *weights;
  T *hidden, *gate, *up;
  int experts, top_k, model, width;
  unsigned at[4];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(width, BN / 2), BN / 2);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, order, top_k, model); }
  __device__ int steps(const Tile &) const { return pieces(model, BK); }
  __device__ void copy(const Tile &t, int step, unsigned to) {
    const int k = step * BK + (threadIdx.x & 7) * 8;
    const i64 start = ((i64)t.expert * width + t.n) * model;
    copy_rows(to, x, at, k, k < model);
    copy_weights<4>(to + A_BYTES, w_gate + start, model, width - t.n, k, k < model);
    copy_weights<4>(to + A_BYTES + BN * BK, w_up + start, model, width - t.n, k, k < model);
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = t.m + row_of(i, half);
        const i64 position = t.start + row;
        const float w = row < t.rows ? weights[order[position]] : 0.0f;
#pragma unroll
        for (int j = 0; j < NJ / 2; j += 2) {
          float g[4], u[4], h[4];
          quad(c.v[i], j, half, g);
          quad(c.v[i], j + NJ / 2, half, u);
          const int column = t.n + column_of(j);
          if (row >= t.rows || column >= width) continue;
          const i64 at = position * width + column;
#pragma unroll
          for (int v = 0; v < 4; v++) h[v] = w * u[v] * (g[v] * sigmoid(g[v]));
          store_four(hidden + at, h);
          if (gate) {
            store_four(gate + at, g);
            store_four(up + at, u);
          }
        }
      }
  }
};

// Rows times W_downᵀ, each to its slot's row of `part`.
struct Down {
  static constexpr bool A_BY_K = true, B_BY_K = true;
  const T *hidden;
  const int *order, *offsets;
  const T *w_down;
  T *part;
  int experts, model, width;
  unsigned at[4];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(model, BN), BN);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, nullptr, 1, width); }
  __device__ int steps(const Tile &) const { return pieces(width, BK); }
  __device__ void copy(const Tile &t, int step, unsigned to) {
    const int k = step * BK + (threadIdx.x & 7) * 8;
    copy_rows(to, hidden, at, k, k < width);
    copy_weights<8>(to + A_BYTES, w_down + ((i64)t.expert * model + t.n) * width, width,
                    model - t.n, k, k < width);
  }
  __device__ void store(const Tile &t, const Accumulator &c);
};

__device__ __forceinline__ void store_by_slot(const Tile &t, const Accumulator &c,
                                              const int *order, T *part, int model) {
#pragma unroll
  for (int i = 0; i < MI; i++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = t.m + row_of(i, half);
      const i64 slot = row < t.rows ? order[t.start + row] : 0;
#pragma unroll
      for (int j = 0; j < NJ; j += 2) {
        float v[4];
        quad(c.v[i], j, half, v);
        const int column = t.n + column_of(j);
        if (row < t.rows && column < model) store_four(part + slot * model + column, v);
      }
    }
}
__device__ __forceinline__ void Down::store(const Tile &t, const Accumulator &c) {
  store_by_slot(t, c, order, part, model);
}

// ==== Backward ====

// z = dy W_down, and from it, where forward kept its projections, their gradients; the weighted
// hidden values; and sums of 64 columns of <z, silu(g) u>, the gradients of the routing weights.
struct Pull {
  static constexpr bool A_BY_K = true, B_BY_K = false;
  const T *dy;
  const int *order, *offsets;
  const T *w_down;
  const float *weights;
  T *gate, *up, *hidden;
  float *sums;
  int experts, top_k, model, width;
  unsigned at[4];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(width, BN), BN);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, order, top_k, model); }
  __device__ int steps(const Tile &) const { return pieces(model, BK); }
  __device__ void copy(const Tile &t, int step, unsigned to) {
    const int k = step * BK + (threadIdx.x & 7) * 8;
    copy_rows(to, dy, at, k, k < model);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int depth = step * BK + half * 32 + (threadIdx.x >> 3);
      const bool inside = depth < model;
      copy_panels<4>(to + A_BYTES, half,
                     w_down + ((i64)t.expert * model + (inside ? depth : 0)) * width + t.n, inside,
                     width - t.n);
    }
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
    const int warp = threadIdx.x >> 5, across = pieces(width, BN) * 4;
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = t.m + row_of(i, half);
        const bool present = row < t.rows;
        const i64 position = t.start + row;
        const float w = present ? weights[order[position]] : 0.0f;
        float inner = 0;
#pragma unroll
        for (int j = 0; j < NJ; j += 2) {
          float z[4];
          quad(c.v[i], j, half, z);
          const int column = t.n + column_of(j);
          if (present && column < width) {
            const i64 at = position * width + column;
            float g[4], u[4], h[4];
            load_four(gate + at, g);
            load_four(up + at, u);
#pragma unroll
            for (int v = 0; v < 4; v++) {
              const float s = sigmoid(g[v]), silu = g[v] * s, dh = w * z[v];
              h[v] = silu * u[v];
              inner += z[v] * h[v];
              h[v] *= w;
              g[v] = dh * u[v] * (s + silu * (1 - s));
              u[v] = dh * silu;
            }
            store_four(gate + at, g);
            store_four(up + at, u);
            store_four(hidden + at, h);
          }
          // Each warp's quarter of the columns under mma, every 64 under wgmma: four sums a tile.
          if (j % 8 == 6 && sums) {
            inner += __shfl_xor_sync(0xffffffffu, inner, 1);
            inner += __shfl_xor_sync(0xffffffffu, inner, 2);
            if (present && (threadIdx.x & 3) == 0)
              sums[position * across + t.n / BN * 4 + (WGMMA ? j / 8 : warp & 3)] = inner;
            inner = 0;
          }
        }
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
  int experts, model, width;
  unsigned at[4];

  __device__ bool find(Tile &t, int index) {
    return find_rows(t, index, offsets, experts, pieces(model, BN), BN);
  }
  __device__ void prepare(const Tile &t) { locate_rows(at, t, nullptr, 1, width); }
  __device__ int steps(const Tile &) const { return pieces(width, BK) * 2; }
  __device__ void copy(const Tile &t, int step, unsigned to) {
    const int each = pieces(width, BK);
    const bool second = step >= each;
    if (second) step -= each;
    const T *w = second ? w_up : w_gate;
    const int k = step * BK + (threadIdx.x & 7) * 8;
    copy_rows(to, second ? d_up : d_gate, at, k, k < width);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int depth = step * BK + half * 32 + (threadIdx.x >> 3);
      const bool inside = depth < width;
      copy_panels<4>(to + A_BYTES, half,
                     w + ((i64)t.expert * width + (inside ? depth : 0)) * model + t.n, inside,
                     model - t.n);
    }
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
    store_by_slot(t, c, order, part, model);
  }
};

// dW_e (+)= aᵀ b over an expert's slots: a by position and b by token, or the other way round.
template <bool A_BY_TOKEN> struct WeightGradient {
  static constexpr bool A_BY_K = false, B_BY_K = false;
  const T *a, *b;
  const int *order, *offsets;
  float *gradient;
  int experts, top_k, rows, columns, accumulate;
  int slot[2];

  __device__ bool find(Tile &t, int index) {
    const int down = pieces(rows, BM), across = pieces(columns, BN);
    if (index >= experts * down * across) return false;
    t.expert = index / (down * across);
    t.start = offsets[t.expert];
    t.rows = offsets[t.expert + 1] - t.start;
    place(t, index % (down * across), down, across, BN);
    return true;
  }
  // The slots of a step are read a step early, so that copies need not wait for them.
  __device__ void look_up(const Tile &t, int step) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int r = step * BK + half * 32 + (threadIdx.x >> 3);
      slot[half] = r < t.rows ? order[t.start + r] : -1;
    }
  }
  __device__ void prepare(const Tile &t) { look_up(t, 0); }
  __device__ int steps(const Tile &t) const { return pieces(t.rows, BK); }
  __device__ void copy(const Tile &t, int step, unsigned to) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const bool inside = slot[half] >= 0;
      const i64 token = inside ? slot[half] / top_k : 0;
      const i64 position = inside ? t.start + step * BK + half * 32 + (threadIdx.x >> 3) : 0;
      copy_panels<2>(to, half, a + (A_BY_TOKEN ? token : position) * rows + t.m, inside,
                     rows - t.m);
      copy_panels<4>(to + A_BYTES, half, b + (A_BY_TOKEN ? position : token) * columns + t.n,
                     inside, columns - t.n);
    }
    look_up(t, step + 1);
  }
  __device__ void store(const Tile &t, const Accumulator &c) {
    // Nothing to add; without accumulation the zeros are written.
    if (accumulate && t.rows == 0) return;
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = t.m + row_of(i, half);
#pragma unroll
        for (int j = 0; j < NJ; j += 2) {
          float v[4];
          quad(c.v[i], j, half, v);
          const int column = t.n + column_of(j);
          if (row >= rows || column >= columns) continue;
          float4 *to = reinterpret_cast<float4 *>(
              gradient + ((i64)t.expert * rows + row) * columns + column);
          float4 sum = make_float4(v[0], v[1], v[2], v[3]);
          if (accumulate) {
            const float4 old = *to;
            sum.x += old.x, sum.y += old.y, sum.z += old.z, sum.w += old.w;
          }
          *to = sum;
        }
      }
  }
};

// ==== Kernels ====
// Blocks of 256 threads, one per multiprocessor, with STAGES * STAGE_BYTES + 1024 bytes of shared
// memory. Parameters are those of grouped_gemm.cu; all is aligned here, so the last says nothing.

extern "C" __global__ __launch_bounds__(THREADS, 1) void expert_gate_up(
    const T *x, const int *order, const int *offsets, const T *w_gate, const T *w_up,
    const float *weights, T *hidden, T *gate, T *up, int experts, int top_k, int model, int width,
    int) {
  run(GateUp{x, order, offsets, w_gate, w_up, weights, hidden, gate, up, experts, top_k, model,
             width});
}

extern "C" __global__ __launch_bounds__(THREADS, 1) void expert_down(
    const T *hidden, const int *order, const int *offsets, const T *w_down, T *part, int experts,
    int model, int width, int) {
  run(Down{hidden, order, offsets, w_down, part, experts, model, width});
}

extern "C" __global__ __launch_bounds__(THREADS, 1) void expert_pull(
    const T *dy, const int *order, const int *offsets, const T *w_down, const float *weights,
    T *gate, T *up, T *hidden, float *sums, int experts, int top_k, int model, int width, int) {
  run(Pull{dy, order, offsets, w_down, weights, gate, up, hidden, sums, experts, top_k, model,
           width});
}

extern "C" __global__ __launch_bounds__(THREADS, 1) void expert_input_gradient(
    const T *d_gate, const T *d_up, const int *order, const int *offsets, const T *w_gate,
    const T *w_up, T *part, int experts, int model, int width, int) {
  run(InputGradient{d_gate, d_up, order, offsets, w_gate, w_up, part, experts, model, width});
}

// [E, rows, columns] from a [slots, rows] by position and b [tokens, columns].
extern "C" __global__ __launch_bounds__(THREADS, 1) void expert_projection_gradient(
    const T *a, const T *b, const int *order, const int *offsets, float *gradient, int experts,
    int top_k, int rows, int columns, int accumulate, int) {
  run(WeightGradient<false>{a, b, order, offsets, gradient, experts, top_k, rows, columns,
                            accumulate});
}

// [E, rows, columns] from a [tokens, rows] and b [slots, columns] by position.
extern "C" __global__ __launch_bounds__(THREADS, 1) void expert_down_gradient(
    const T *a, const T *b, const int *order, const int *offsets, float *gradient, int experts,
    int top_k, int rows, int columns, int accumulate, int) {
  run(WeightGradient<true>{a, b, order, offsets, gradient, experts, top_k, rows, columns,
                           accumulate});
}

#endif
