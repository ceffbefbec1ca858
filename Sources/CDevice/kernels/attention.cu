// Causal grouped-query attention in bf16 on tensor cores (mma.sync, so any GPU since sm_80), forward
// and backward, without ever storing the scores: FlashAttention-2 (Dao 2023).
//
// Compiled per head size: HEAD_DIM is the number of channels rounded up to a multiple of 32 (224 to
// 256); channels past `dim` are zeros in shared memory. With BACKWARD the file holds the gradients,
// without it the forward pass, so that inference does not wait for the gradients to compile.
//
// Query t sees the keys from max(starts[t], t + offset - window + 1) to t + offset. Both ends grow
// with t, so a tile of queries sees one contiguous range of key tiles and the other way round.
//
// All kernels use four warps. A warp owns ROWS * 16 rows of its tile's scores and of what they are
// multiplied into, so a score never leaves the registers of its warp: the accumulator fragment of one
// product is, rounded to bf16, the left fragment of the next.
#include "attention_common.cuh"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef STAGES
#define STAGES 2  // 1 where shared memory is too small to load a tile while another is used.
#endif

constexpr int THREADS = 128, WARPS = THREADS / 32, CHUNKS = HEAD_DIM / 8;
#define LOG2E 1.4426950408889634f

// ---- Tiles in shared memory: rows of HEAD_DIM elements in chunks of 16 bytes, permuted within a row
// so that the eight rows of a chunk column, read together by ldmatrix, lie in different banks.

__device__ __forceinline__ int at(int row, int chunk) {
  return row * HEAD_DIM + ((chunk ^ (HEAD_DIM % 64 == 0 ? row & 7 : (row >> 1) & 3)) << 3);
}

// Starts copying `BYTES`, 4 or 8, or zeros when not `inside`.
template <int BYTES>
__device__ __forceinline__ void copy_word(void *target, const void *source, bool inside) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address(target)), "l"(source),
               "n"(BYTES), "r"(inside ? BYTES : 0) : "memory");
}

__device__ __forceinline__ void finish_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

// Rows [row, row + COUNT) of one head into a tile; zeros past `rows` and past `dim`.
template <int COUNT>
__device__ __forceinline__ void load_tile(bf16 *tile, const bf16 *head, int stride, int row,
                                          int rows, int dim, bool vectors) {
  static_assert(COUNT * CHUNKS % THREADS == 0, "whole rounds");
  if (vectors) {
#pragma unroll
    for (int i = 0; i < COUNT * CHUNKS / THREADS; i++) {
      int r, c;
      if constexpr (THREADS % CHUNKS == 0) {
        r = threadIdx.x / CHUNKS + i * (THREADS / CHUNKS), c = threadIdx.x % CHUNKS;
      } else {
        r = (threadIdx.x + i * THREADS) / CHUNKS, c = (threadIdx.x + i * THREADS) % CHUNKS;
      }
      const bool inside = row + r < rows && c * 8 < dim;
      copy16(tile + at(r, c), inside ? head + (i64)(row + r) * stride + c * 8 : head, inside);
    }
  } else {
    for (int i = threadIdx.x; i < COUNT * HEAD_DIM; i += THREADS) {
      const int r = i / HEAD_DIM, c = i % HEAD_DIM;
      bf16 x = {0};
      if (row + r < rows && c < dim) x = head[(i64)(row + r) * stride + c];
      tile[at(r, c >> 3) + (c & 7)] = x;
    }
  }
}

template <int M, int N>
__device__ __forceinline__ void clear(float (&x)[M][N][4]) {
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) x[m][n][e] = 0.0f;
}

// x = a bᵀ: `a` the warp's M * 16 rows, `b` N * 8 rows.
template <int M, int N>
__device__ __forceinline__ void product(float (&x)[M][N][4], const bf16 *a, const bf16 *b) {
  const int lane = threadIdx.x & 31;
  const int b_row = (lane & 7) + ((lane >> 4) << 3), b_chunk = (lane >> 3) & 1;
  clear(x);
#pragma unroll
  for (int k = 0; k < HEAD_DIM / 16; k++) {
    unsigned left[M][4];
#pragma unroll
    for (int m = 0; m < M; m++)
      load_matrices(left[m], a + at(m * 16 + (lane & 15), k * 2 + (lane >> 4)));
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      unsigned right[4];
      load_matrices(right, b + at(n * 8 + b_row, k * 2 + b_chunk));
#pragma unroll
      for (int m = 0; m < M; m++) {
        multiply(x[m][n], left[m], right[0], right[1]);
        multiply(x[m][n + 1], left[m], right[2], right[3]);
      }
    }
  }
}

// y += p b: `p` accumulators of K * 8 columns, `b` K * 8 rows, of which N * 8 columns from `chunk` on.
template <int M, int N, int K>
__device__ __forceinline__ void add_product(float (&y)[M][N][4], const float (&p)[M][K][4],
                                            const bf16 *b, int chunk) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < K; k += 2) {
    unsigned left[M][4];
#pragma unroll
    for (int m = 0; m < M; m++) {
      left[m][0] = pack(p[m][k][0], p[m][k][1]);
      left[m][1] = pack(p[m][k][2], p[m][k][3]);
      left[m][2] = pack(p[m][k + 1][0], p[m][k + 1][1]);
      left[m][3] = pack(p[m][k + 1][2], p[m][k + 1][3]);
    }
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      unsigned right[4];
      load_transposed(right, b + at(k * 8 + (lane & 15), chunk + n + (lane >> 4)));
#pragma unroll
      for (int m = 0; m < M; m++) {
        multiply(y[m][n], left[m], right[0], right[1]);
        multiply(y[m][n + 1], left[m], right[2], right[3]);
      }
    }
  }
}

// A warp's accumulators times a factor per row to memory: `rows` of `columns`, by way of the warp's
// own rows of a tile nobody else reads, which makes the stores whole.
template <int M, int N>
__device__ __forceinline__ void write_rows(const float (&x)[M][N][4], const float (&factor)[M][2],
                                           bf16 *tile, bf16 *target, int stride, int rows,
                                           int columns, bool vectors) {
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  __syncwarp();
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int i = 0; i < 2; i++)
        *reinterpret_cast<unsigned *>(tile + at(m * 16 + i * 8 + g, n) + 2 * t) =
            pack(x[m][n][2 * i] * factor[m][i], x[m][n][2 * i + 1] * factor[m][i]);
  __syncwarp();
  if (vectors) {
    for (int i = lane; i < M * 16 * N; i += 32) {
      const int r = i / N, c = i % N;
      if (r < rows && c * 8 < columns)
        *reinterpret_cast<uint4 *>(target + (i64)r * stride + c * 8) =
            *reinterpret_cast<const uint4 *>(tile + at(r, c));
    }
  } else {
    for (int i = lane; i < M * 16 * N * 8; i += 32) {
      const int r = i / (N * 8), c = i % (N * 8);
      if (r < rows && c < columns) target[(i64)r * stride + c] = tile[at(r, c >> 3) + (c & 7)];
    }
  }
}

extern __shared__ __align__(128) unsigned char shared[];

#ifndef BACKWARD

constexpr int ROWS = HEAD_DIM <= 128 ? 2 : 1;  // 32 rows per warp read each key half as often.
constexpr int QUERIES = WARPS * ROWS * 16, KEYS = HEAD_DIM <= 128 ? 64 : 32;

// Grid: (heads, tiles of QUERIES queries). Shared: (QUERIES + 2 STAGES KEYS) HEAD_DIM elements.
extern "C" __global__ void __launch_bounds__(THREADS)
    attention_forward(const bf16 *query, const bf16 *key, const bf16 *value, const int *starts,
                      bf16 *output, float *log_sum_exp, int tokens, int keys, int heads,
                      int key_heads, int dim, int offset, int window, float scale) {
  bf16 *query_tile = reinterpret_cast<bf16 *>(shared), *pairs = query_tile + QUERIES * HEAD_DIM;
  const int head = blockIdx.x, stride = heads * dim, key_stride = key_heads * dim;
  // The last queries see most keys: longest blocks first.
  const int token = (gridDim.y - 1 - blockIdx.y) * QUERIES, end = min(token + QUERIES, tokens);
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const int warp_row = (threadIdx.x >> 5) * ROWS * 16;
  const bool vectors = dim % 8 == 0 && aligned(query) && aligned(key) && aligned(value) &&
                       aligned(output);
  query += head * dim, output += head * dim;
  key += head / (heads / key_heads) * dim, value += head / (heads / key_heads) * dim;

  const int top_key = first_key_of(starts, end - 1, offset, window);  // All see it and what follows,
  const int low_key = token + offset;                                 // up to here.
  const int first = first_key_of(starts, token, offset, window) / KEYS;
  const int last = (end - 1 + offset) / KEYS;

  auto load_pair = [&](int block, int stage) {
    bf16 *tile = pairs + stage * 2 * KEYS * HEAD_DIM;
    load_tile<KEYS>(tile, key, key_stride, block * KEYS, keys, dim, vectors);
    load_tile<KEYS>(tile + KEYS * HEAD_DIM, value, key_stride, block * KEYS, keys, dim, vectors);
  };
  load_tile<QUERIES>(query_tile, query, stride, token, tokens, dim, vectors);
  load_pair(first, 0);

  // The softmax takes its maximum before scaling, which a negative scale would turn around; a zero
  // scale is a tiny one, which leaves a masked score minus infinity.
  const bool negative = scale < 0.0f;
  const float scale2 = fmaxf(fabsf(scale), 1e-30f) * LOG2E;
  float out[ROWS][CHUNKS][4], score[ROWS][KEYS / 8][4], highest[ROWS][2], sum[ROWS][2];
  int seen_from[ROWS][2];
  clear(out);
#pragma unroll
  for (int m = 0; m < ROWS; m++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      highest[m][i] = -1e30f;  // Finite: a row that has seen nothing yet gives numbers.
      sum[m][i] = 0.0f;
      const int row = min(token + warp_row + m * 16 + i * 8 + g, tokens - 1);
      seen_from[m][i] = first_key_of(starts, row, offset, window);
    }

  for (int block = first; block <= last; block++) {
    const int stage = STAGES == 2 ? (block - first) & 1 : 0;
    const bf16 *key_tile = pairs + stage * 2 * KEYS * HEAD_DIM;
    finish_copies();
    __syncthreads();
    if (STAGES == 2 && block < last) load_pair(block + 1, stage ^ 1);

    product(score, query_tile + warp_row * HEAD_DIM, key_tile);
    if (negative)
#pragma unroll
      for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 0; e < 4; e++) score[m][n][e] = -score[m][n][e];
    if (block * KEYS < top_key || block * KEYS + KEYS - 1 > low_key) {
#pragma unroll
      for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 0; e < 4; e++) {
            const int column = block * KEYS + n * 8 + 2 * t + (e & 1);
            const int row_last = low_key + warp_row + m * 16 + (e >> 1) * 8 + g;
            if (column < seen_from[m][e >> 1] || column > row_last)
              score[m][n][e] = -__int_as_float(0x7f800000);
          }
    }
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float most = highest[m][i];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
          most = fmaxf(most, fmaxf(score[m][n][2 * i], score[m][n][2 * i + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        const float correction = power2((highest[m][i] - most) * scale2), shift = most * scale2;
        highest[m][i] = most;
        sum[m][i] *= correction;
#pragma unroll
        for (int n = 0; n < CHUNKS; n++)
          out[m][n][2 * i] *= correction, out[m][n][2 * i + 1] *= correction;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 2 * i; e < 2 * i + 2; e++) {
            score[m][n][e] = power2(fmaf(score[m][n][e], scale2, -shift));
            sum[m][i] += score[m][n][e];
          }
      }
    add_product(out, score, key_tile + KEYS * HEAD_DIM, 0);
    if (STAGES == 1 && block < last) {
      __syncthreads();
      load_pair(block + 1, 0);
    }
  }

  float inverse[ROWS][2];
#pragma unroll
  for (int m = 0; m < ROWS; m++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      sum[m][i] += __shfl_xor_sync(0xffffffffu, sum[m][i], 1);
      sum[m][i] += __shfl_xor_sync(0xffffffffu, sum[m][i], 2);
      inverse[m][i] = 1.0f / sum[m][i];
      const int row = token + warp_row + m * 16 + i * 8 + g;
      if (t == 0 && row < tokens)
        log_sum_exp[(i64)head * tokens + row] = (highest[m][i] * scale2 + log2f(sum[m][i])) / LOG2E;
    }
  write_rows(out, inverse, query_tile + warp_row * HEAD_DIM,
             output + (i64)(token + warp_row) * stride, stride, tokens - token - warp_row, dim,
             vectors);
}

#else

// With D = Σ dy·y of a row and a weight p = exp(score - log_sum_exp):
//   dValue = pᵀ dy,  dScore = p (dy Valueᵀ - D),  dQuery = scale dScore Key,
//   dKey = scale dScoreᵀ Query.
// dQuery and (dKey, dValue) come from two kernels that both compute the scores again: each gradient
// is then summed inside one block in a fixed order, without atomics.

struct __align__(16) Eight {
  bf16 v[8];
};

// statistics[head, token] = (log_sum_exp log2(e), D). Grid: groups of LANES threads over
// [tokens, heads].
extern "C" __global__ void __launch_bounds__(256)
    attention_statistics(const bf16 *doutput, const bf16 *output, const float *log_sum_exp,
                         float2 *statistics, int tokens, int heads, int dim) {
  constexpr int LANES = HEAD_DIM <= 32 ? 4 : HEAD_DIM <= 64 ? 8 : HEAD_DIM <= 128 ? 16 : 32;
  const i64 row = ((i64)blockIdx.x * 256 + threadIdx.x) / LANES;
  const int lane = threadIdx.x % LANES;
  const bool inside = row < (i64)tokens * heads;
  float total = 0.0f;
  if (inside) {
    const bf16 *a = doutput + row * dim, *b = output + row * dim;
    if (dim % 8 == 0 && aligned(doutput) && aligned(output)) {
      if (lane * 8 < dim) {
        const Eight x = *reinterpret_cast<const Eight *>(a + lane * 8);
        const Eight y = *reinterpret_cast<const Eight *>(b + lane * 8);
#pragma unroll
        for (int e = 0; e < 8; e++) total += to_float(x.v[e]) * to_float(y.v[e]);
      }
    } else {
      for (int c = lane; c < dim; c += LANES) total += to_float(a[c]) * to_float(b[c]);
    }
  }
#pragma unroll
  for (int s = LANES / 2; s > 0; s >>= 1) total += __shfl_xor_sync(0xffffffffu, total, s);
  if (inside && lane == 0) {
    const i64 place = row % heads * tokens + row / heads;
    statistics[place] = make_float2(log_sum_exp[place] * LOG2E, total);
  }
}

constexpr int DQ_ROWS = HEAD_DIM <= 128 ? 2 : 1;
constexpr int DQ_QUERIES = WARPS * DQ_ROWS * 16, DQ_KEYS = HEAD_DIM <= 64 ? 64 : 32;

// Grid: (heads, tiles of DQ_QUERIES queries). Shared: 2 (DQ_QUERIES + STAGES DQ_KEYS) HEAD_DIM
// elements.
extern "C" __global__ void __launch_bounds__(THREADS)
    attention_backward_query(const bf16 *doutput, const bf16 *query, const bf16 *key,
                             const bf16 *value, const float2 *statistics, const int *starts,
                             bf16 *dquery, int tokens, int keys, int heads, int key_heads, int dim,
                             int offset, int window, float scale) {
  constexpr int ROWS = DQ_ROWS, QUERIES = DQ_QUERIES, KEYS = DQ_KEYS;
  bf16 *query_tile = reinterpret_cast<bf16 *>(shared);
  bf16 *doutput_tile = query_tile + QUERIES * HEAD_DIM, *pairs = doutput_tile + QUERIES * HEAD_DIM;
  const int head = blockIdx.x, stride = heads * dim, key_stride = key_heads * dim;
  const int token = (gridDim.y - 1 - blockIdx.y) * QUERIES, end = min(token + QUERIES, tokens);
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const int warp_row = (threadIdx.x >> 5) * ROWS * 16;
  const bool vectors = dim % 8 == 0 && aligned(doutput) && aligned(query) && aligned(key) &&
                       aligned(value) && aligned(dquery);
  doutput += head * dim, query += head * dim, dquery += head * dim;
  key += head / (heads / key_heads) * dim, value += head / (heads / key_heads) * dim;
  const int top_key = first_key_of(starts, end - 1, offset, window), low_key = token + offset;
  const int first = first_key_of(starts, token, offset, window) / KEYS;
  const int last = (end - 1 + offset) / KEYS;

  auto load_pair = [&](int block, int stage) {
    bf16 *tile = pairs + stage * 2 * KEYS * HEAD_DIM;
    load_tile<KEYS>(tile, key, key_stride, block * KEYS, keys, dim, vectors);
    load_tile<KEYS>(tile + KEYS * HEAD_DIM, value, key_stride, block * KEYS, keys, dim, vectors);
  };
  load_tile<QUERIES>(query_tile, query, stride, token, tokens, dim, vectors);
  load_tile<QUERIES>(doutput_tile, doutput, stride, token, tokens, dim, vectors);
  load_pair(first, 0);

  const float scale2 = scale * LOG2E;
  float sum[ROWS][CHUNKS][4], weight[ROWS][KEYS / 8][4], dscore[ROWS][KEYS / 8][4];
  float2 known[ROWS][2];
  int seen_from[ROWS][2];
  clear(sum);
#pragma unroll
  for (int m = 0; m < ROWS; m++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int row = min(token + warp_row + m * 16 + i * 8 + g, tokens - 1);
      known[m][i] = statistics[(i64)head * tokens + row];
      seen_from[m][i] = first_key_of(starts, row, offset, window);
    }

  for (int block = first; block <= last; block++) {
    const int stage = STAGES == 2 ? (block - first) & 1 : 0;
    const bf16 *key_tile = pairs + stage * 2 * KEYS * HEAD_DIM;
    finish_copies();
    __syncthreads();
    if (STAGES == 2 && block < last) load_pair(block + 1, stage ^ 1);

    product(weight, query_tile + warp_row * HEAD_DIM, key_tile);
    product(dscore, doutput_tile + warp_row * HEAD_DIM, key_tile + KEYS * HEAD_DIM);
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          weight[m][n][e] = power2(fmaf(weight[m][n][e], scale2, -known[m][e >> 1].x));
    if (block * KEYS < top_key || block * KEYS + KEYS - 1 > low_key) {
#pragma unroll
      for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 0; e < 4; e++) {
            const int column = block * KEYS + n * 8 + 2 * t + (e & 1);
            const int row_last = low_key + warp_row + m * 16 + (e >> 1) * 8 + g;
            if (column < seen_from[m][e >> 1] || column > row_last) weight[m][n][e] = 0.0f;
          }
    }
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          dscore[m][n][e] = weight[m][n][e] * (dscore[m][n][e] - known[m][e >> 1].y);
    add_product(sum, dscore, key_tile, 0);
    if (STAGES == 1 && block < last) {
      __syncthreads();
      load_pair(block + 1, 0);
    }
  }
  float factor[ROWS][2];
#pragma unroll
  for (int m = 0; m < ROWS; m++) factor[m][0] = factor[m][1] = scale;
  write_rows(sum, factor, query_tile + warp_row * HEAD_DIM,
             dquery + (i64)(token + warp_row) * stride, stride, tokens - token - warp_row, dim,
             vectors);
}

constexpr int DKV_ROWS = HEAD_DIM <= 64 ? 2 : 1;
constexpr int DKV_KEYS = WARPS * DKV_ROWS * 16;
constexpr int DKV_QUERIES = HEAD_DIM <= 64 || HEAD_DIM > 128 ? 32 : 64;
// Both gradients of a wide head do not fit in the registers: blocks of a third grid dimension take
// half of the channels each.
constexpr int DKV_SPLIT = HEAD_DIM <= 128 ? 1 : 2, DKV_CHUNKS = CHUNKS / DKV_SPLIT;

// Grid: (key heads, tiles of DKV_KEYS keys, DKV_SPLIT). Shared: 2 (DKV_KEYS + STAGES DKV_QUERIES)
// HEAD_DIM elements and STAGES DKV_QUERIES 12 bytes.
//
// The scores are computed transposed, keys by queries. The query heads of the key head follow one
// another, so its gradients are summed over them in order.
extern "C" __global__ void __launch_bounds__(THREADS)
    attention_backward_key(const bf16 *doutput, const bf16 *query, const bf16 *key,
                           const bf16 *value, const float2 *statistics, const int *starts,
                           bf16 *dkey, bf16 *dvalue, int tokens, int keys, int heads, int key_heads,
                           int dim, int offset, int window, float scale) {
  constexpr int ROWS = DKV_ROWS, QUERIES = DKV_QUERIES, KEYS = DKV_KEYS;
  bf16 *key_tile = reinterpret_cast<bf16 *>(shared), *value_tile = key_tile + KEYS * HEAD_DIM;
  bf16 *pairs = value_tile + KEYS * HEAD_DIM;
  float2 *known = reinterpret_cast<float2 *>(pairs + STAGES * 2 * QUERIES * HEAD_DIM);
  int *known_starts = reinterpret_cast<int *>(known + STAGES * QUERIES);
  const int key_head = blockIdx.x, group = heads / key_heads, row = blockIdx.y * KEYS;
  const int stride = heads * dim, key_stride = key_heads * dim;
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const int warp_row = (threadIdx.x >> 5) * ROWS * 16;
  const bool vectors = dim % 8 == 0 && aligned(doutput) && aligned(query) && aligned(key) &&
                       aligned(value) && aligned(dkey) && aligned(dvalue);
  doutput += key_head * group * dim, query += key_head * group * dim;
  statistics += (i64)key_head * group * tokens;
  key += key_head * dim, value += key_head * dim;
  load_tile<KEYS>(key_tile, key, key_stride, row, keys, dim, vectors);
  load_tile<KEYS>(value_tile, value, key_stride, row, keys, dim, vectors);

  // The query tiles that see a key of this tile: from the first whose last key is not before, while
  // the first key is not behind.
  const int all = (tokens + QUERIES - 1) / QUERIES, first = max(0, row - offset) / QUERIES;
  int tiles = 0;
  for (int base = first; base < all; base += THREADS) {
    const int tile = base + threadIdx.x;
    const bool seen =
        tile < all && first_key_of(starts, tile * QUERIES, offset, window) < row + KEYS;
    const int count = __syncthreads_count(seen);
    tiles += count;
    if (count < THREADS) break;
  }

  auto load_pair = [&](int head, int tile, int stage) {
    bf16 *target = pairs + stage * 2 * QUERIES * HEAD_DIM;
    const int token = tile * QUERIES;
    load_tile<QUERIES>(target, query + head * dim, stride, token, tokens, dim, vectors);
    load_tile<QUERIES>(target + QUERIES * HEAD_DIM, doutput + head * dim, stride, token, tokens,
                       dim, vectors);
    if (threadIdx.x < QUERIES) {
      const int own = token + threadIdx.x;
      const bool inside = own < tokens;
      copy_word<8>(known + stage * QUERIES + threadIdx.x,
              statistics + (inside ? (i64)head * tokens + own : 0), inside);
      if (starts)
        copy_word<4>(known_starts + stage * QUERIES + threadIdx.x, starts + (inside ? own : 0),
                     inside);
    }
  };
  const int rounds = tiles * group;
  if (rounds > 0) load_pair(0, first, 0);

  const float scale2 = scale * LOG2E;
  const int chunk = blockIdx.z * DKV_CHUNKS;
  float key_sum[ROWS][DKV_CHUNKS][4], value_sum[ROWS][DKV_CHUNKS][4];
  float weight[ROWS][QUERIES / 8][4], dscore[ROWS][QUERIES / 8][4];
  clear(key_sum);
  clear(value_sum);

  int head = 0, tile = first;
  for (int round = 0; round < rounds; round++) {
    const int stage = STAGES == 2 ? round & 1 : 0, token = tile * QUERIES;
    const bf16 *query_tile = pairs + stage * 2 * QUERIES * HEAD_DIM;
    const bf16 *doutput_tile = query_tile + QUERIES * HEAD_DIM;
    if (++tile == first + tiles) head++, tile = first;
    finish_copies();
    __syncthreads();
    if (STAGES == 2 && round + 1 < rounds) load_pair(head, tile, stage ^ 1);

    // Rows past the last token are zeros, with zero statistics: their weight of 1 adds nothing.
    product(weight, key_tile + warp_row * HEAD_DIM, query_tile);
    const float4 *pair = reinterpret_cast<const float4 *>(known + stage * QUERIES) + t;
#pragma unroll
    for (int n = 0; n < QUERIES / 8; n++) {
      const float4 two = pair[n * 4];  // Queries n * 8 + 2t and the next.
#pragma unroll
      for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          weight[m][n][e] = power2(fmaf(weight[m][n][e], scale2, e & 1 ? -two.z : -two.x));
    }
    const int *own_starts = known_starts + stage * QUERIES;
    const int final = min(token + QUERIES, tokens) - 1;
    const int top_key =
        first_key(starts ? own_starts[final - token] : 0, final + offset, window);
    if (row < top_key || row + KEYS - 1 > token + offset) {
#pragma unroll
      for (int n = 0; n < QUERIES / 8; n++)
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const int column = n * 8 + 2 * t + c, row_last = token + column + offset;
          const int row_first = first_key(starts ? own_starts[column] : 0, row_last, window);
#pragma unroll
          for (int m = 0; m < ROWS; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
              const int own = row + warp_row + m * 16 + i * 8 + g;
              if (own < row_first || own > row_last) weight[m][n][2 * i + c] = 0.0f;
            }
        }
    }
    add_product(value_sum, weight, doutput_tile, chunk);
    product(dscore, value_tile + warp_row * HEAD_DIM, doutput_tile);
#pragma unroll
    for (int n = 0; n < QUERIES / 8; n++) {
      const float4 two = pair[n * 4];
#pragma unroll
      for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          dscore[m][n][e] = weight[m][n][e] * (dscore[m][n][e] - (e & 1 ? two.w : two.y));
    }
    add_product(key_sum, dscore, query_tile, chunk);
    if (STAGES == 1 && round + 1 < rounds) {
      __syncthreads();
      load_pair(head, tile, 0);
    }
  }
  finish_copies();
  __syncthreads();  // Without a round the tiles are still being written.
  float factor[ROWS][2], one[ROWS][2];
#pragma unroll
  for (int m = 0; m < ROWS; m++) {
    factor[m][0] = factor[m][1] = scale;
    one[m][0] = one[m][1] = 1.0f;
  }
  const i64 place = (i64)(row + warp_row) * key_stride + key_head * dim + chunk * 8;
  const int count = keys - row - warp_row, columns = dim - chunk * 8;
  write_rows(key_sum, factor, key_tile + warp_row * HEAD_DIM, dkey + place, key_stride, count,
             columns, vectors);
  write_rows(value_sum, one, value_tile + warp_row * HEAD_DIM, dvalue + place, key_stride, count,
             columns, vectors);
}

#endif
