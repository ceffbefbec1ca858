// Causal grouped-query attention in float, forward and backward, on the ordinary float units: what
// attention.cu does (FlashAttention-2, Dao 2023) without rounding anything to fewer bits.
//
// HEAD_DIM is the number of channels rounded up to a multiple of 32 (224 to 256). With BACKWARD the
// file holds the gradients, without it the forward pass.
//
// A block has 64 rows (queries, or keys for dKey and dValue) and goes through tiles of 64 of the
// other. Its 256 threads form a 16 x 16 grid; thread (y, x) owns the scores of rows y + 16i and
// columns x + 16j, and of every sum the rows y + 16i and WIDTH adjacent channels of each chunk.
// Operands pass through shared memory in chunks of channels, so its size does not grow with HEAD_DIM.
#include "attention_common.cuh"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif

constexpr int THREADS = 256, TILE = 64, CHUNK = HEAD_DIM % 64 == 0 ? 64 : 32;
constexpr int CHUNKS = HEAD_DIM / CHUNK, WIDTH = CHUNK / 16;
// Blocks per multiprocessor: one alone does not hide the latency of its loads.
constexpr int BLOCKS = HEAD_DIM <= 128 ? 2 : 1;
constexpr int PITCH = CHUNK + 4, SCORE_PITCH = TILE + 4;  // Rows shifted by 16 bytes of banks.

// Shared: (2 TILE PITCH + TILE SCORE_PITCH) floats.
extern __shared__ __align__(16) float shared[];

// Rows of one head, the first of a tile at `row`.
struct Rows {
  const float *head;
  int stride, row, rows, dim;
};

// Channels [CHUNK chunk, ...) of a tile, zeros outside.
__device__ __forceinline__ void load_chunk(float *tile, const Rows &source, int chunk) {
  const bool vectors = source.dim % 4 == 0 && ((size_t)source.head & 15) == 0;
#pragma unroll
  for (int i = 0; i < TILE * CHUNK / 4 / THREADS; i++) {
    const int index = threadIdx.x + i * THREADS;
    const int r = index / (CHUNK / 4), c = index % (CHUNK / 4) * 4, channel = chunk * CHUNK + c;
    const float *p = source.head + (i64)(source.row + r) * source.stride + channel;
    float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (source.row + r < source.rows) {
      if (vectors) {
        if (channel < source.dim) x = *reinterpret_cast<const float4 *>(p);
      } else {
        if (channel < source.dim) x.x = p[0];
        if (channel + 1 < source.dim) x.y = p[1];
        if (channel + 2 < source.dim) x.z = p[2];
        if (channel + 3 < source.dim) x.w = p[3];
      }
    }
    *reinterpret_cast<float4 *>(tile + r * PITCH + c) = x;
  }
}

// x = left rightᵀ over a tile of each.
__device__ __forceinline__ void product(float (&x)[4][4], const Rows &left, const Rows &right) {
  float *a = shared, *b = shared + TILE * PITCH;
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) x[i][j] = 0.0f;
  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    __syncthreads();
    load_chunk(a, left, chunk);
    load_chunk(b, right, chunk);
    __syncthreads();
#pragma unroll 4
    for (int k = 0; k < CHUNK; k += 4) {
      float4 u[4], v[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        u[i] = *reinterpret_cast<const float4 *>(a + (ty + 16 * i) * PITCH + k);
        v[i] = *reinterpret_cast<const float4 *>(b + (tx + 16 * i) * PITCH + k);
      }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
          x[i][j] = fmaf(u[i].x, v[j].x, x[i][j]);
          x[i][j] = fmaf(u[i].y, v[j].y, x[i][j]);
          x[i][j] = fmaf(u[i].z, v[j].z, x[i][j]);
          x[i][j] = fmaf(u[i].w, v[j].w, x[i][j]);
        }
    }
  }
}

// y += p right: the scores p, spread over the block, pass through shared memory.
__device__ __forceinline__ void add_product(float (&y)[CHUNKS][4][WIDTH], const float (&p)[4][4],
                                            const Rows &right) {
  float *b = shared + TILE * PITCH, *scores = b + TILE * PITCH;
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) scores[(ty + 16 * i) * SCORE_PITCH + tx + 16 * j] = p[i][j];
#pragma unroll
  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    if (chunk > 0) __syncthreads();
    load_chunk(b, right, chunk);
    __syncthreads();
#pragma unroll 2
    for (int k = 0; k < TILE; k += 4) {
      float u[4][4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        *reinterpret_cast<float4 *>(u[i]) =
            *reinterpret_cast<const float4 *>(scores + (ty + 16 * i) * SCORE_PITCH + k);
#pragma unroll
      for (int kk = 0; kk < 4; kk++) {
        float v[WIDTH];
        const float *source = b + (k + kk) * PITCH + tx * WIDTH;
        if constexpr (WIDTH == 4)
          *reinterpret_cast<float4 *>(v) = *reinterpret_cast<const float4 *>(source);
        else
          *reinterpret_cast<float2 *>(v) = *reinterpret_cast<const float2 *>(source);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int w = 0; w < WIDTH; w++) y[chunk][i][w] = fmaf(u[i][kk], v[w], y[chunk][i][w]);
      }
    }
  }
}

__device__ __forceinline__ void clear(float (&y)[CHUNKS][4][WIDTH]) {
#pragma unroll
  for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int w = 0; w < WIDTH; w++) y[chunk][i][w] = 0.0f;
}

// Row i of a thread's sums, times a factor, to a row in memory.
__device__ __forceinline__ void write_row(const float (&y)[CHUNKS][4][WIDTH], int i, float factor,
                                          float *row, int dim) {
#pragma unroll
  for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
    for (int w = 0; w < WIDTH; w++) {
      const int c = chunk * CHUNK + threadIdx.x % 16 * WIDTH + w;
      if (c < dim) row[c] = y[chunk][i][w] * factor;
    }
}

#ifndef BACKWARD

// Grid: (heads, tiles of queries).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_forward_f32(const float *query, const float *key, const float *value,
                          const int *starts, float *output, float *log_sum_exp, int tokens,
                          int keys, int heads, int key_heads, int dim, int offset, int window,
                          float scale) {
  const int head = blockIdx.x, stride = heads * dim, key_stride = key_heads * dim;
  const int token = (gridDim.y - 1 - blockIdx.y) * TILE;  // The longest blocks first.
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  const int key_head = head / (heads / key_heads);
  Rows queries = {query + head * dim, stride, token, tokens, dim};
  Rows all_keys = {key + key_head * dim, key_stride, 0, keys, dim};
  Rows values = {value + key_head * dim, key_stride, 0, keys, dim};
  float out[CHUNKS][4][WIDTH], score[4][4], highest[4], sum[4];
  int seen_from[4];
  clear(out);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    highest[i] = -1e30f, sum[i] = 0.0f;  // Finite: a row that has seen nothing yet gives numbers.
    seen_from[i] = first_key_of(starts, min(token + ty + 16 * i, tokens - 1), offset, window);
  }
  const int first = first_key_of(starts, token, offset, window) / TILE;
  const int last = (min(token + TILE, tokens) - 1 + offset) / TILE;
  for (int block = first; block <= last; block++) {
    all_keys.row = values.row = block * TILE;
    product(score, queries, all_keys);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float most = highest[i];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int column = block * TILE + tx + 16 * j;
        const bool seen = column >= seen_from[i] && column <= token + ty + 16 * i + offset;
        score[i][j] = seen ? score[i][j] * scale : -__int_as_float(0x7f800000);
        most = fmaxf(most, score[i][j]);
      }
#pragma unroll
      for (int s = 8; s > 0; s >>= 1) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, s));
      const float correction = expf(highest[i] - most);
      highest[i] = most;
      sum[i] *= correction;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        score[i][j] = expf(score[i][j] - most);
        sum[i] += score[i][j];
      }
#pragma unroll
      for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
        for (int w = 0; w < WIDTH; w++) out[chunk][i][w] *= correction;
    }
    add_product(out, score, values);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int s = 8; s > 0; s >>= 1) sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], s);
    const int row = token + ty + 16 * i;
    if (row >= tokens) continue;
    if (tx == 0) log_sum_exp[(i64)head * tokens + row] = highest[i] + logf(sum[i]);
    write_row(out, i, 1.0f / sum[i], output + (i64)row * stride + head * dim, dim);
  }
}

#else

// The gradients as in attention.cu: two kernels that compute the scores again, no atomics.

// statistics[head, token] = (log_sum_exp, Σ dy·y). Grid: one warp per row of [tokens, heads].
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_statistics_f32(const float *doutput, const float *output, const float *log_sum_exp,
                             float2 *statistics, int tokens, int heads, int dim) {
  const i64 row = (i64)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
  if (row >= (i64)tokens * heads) return;
  float total = 0.0f;
  for (int c = threadIdx.x % 32; c < dim; c += 32)
    total = fmaf(doutput[row * dim + c], output[row * dim + c], total);
  total = warp_sum(total);
  const i64 place = row % heads * tokens + row / heads;
  if (threadIdx.x % 32 == 0) statistics[place] = make_float2(log_sum_exp[place], total);
}

// Grid: (heads, tiles of queries).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_backward_query_f32(const float *doutput, const float *query, const float *key,
                                 const float *value, const float2 *statistics, const int *starts,
                                 float *dquery, int tokens, int keys, int heads, int key_heads,
                                 int dim, int offset, int window, float scale) {
  const int head = blockIdx.x, stride = heads * dim, key_stride = key_heads * dim;
  const int token = (gridDim.y - 1 - blockIdx.y) * TILE;
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  const int key_head = head / (heads / key_heads);
  Rows queries = {query + head * dim, stride, token, tokens, dim};
  Rows doutputs = {doutput + head * dim, stride, token, tokens, dim};
  Rows all_keys = {key + key_head * dim, key_stride, 0, keys, dim};
  Rows values = {value + key_head * dim, key_stride, 0, keys, dim};
  float out[CHUNKS][4][WIDTH], weight[4][4], dscore[4][4];
  float2 known[4];
  int seen_from[4];
  clear(out);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = min(token + ty + 16 * i, tokens - 1);
    known[i] = statistics[(i64)head * tokens + row];
    seen_from[i] = first_key_of(starts, row, offset, window);
  }
  const int first = first_key_of(starts, token, offset, window) / TILE;
  const int last = (min(token + TILE, tokens) - 1 + offset) / TILE;
  for (int block = first; block <= last; block++) {
    all_keys.row = values.row = block * TILE;
    product(weight, queries, all_keys);
    product(dscore, doutputs, values);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int column = block * TILE + tx + 16 * j;
        const bool seen = column >= seen_from[i] && column <= token + ty + 16 * i + offset;
        weight[i][j] = seen ? expf(weight[i][j] * scale - known[i].x) : 0.0f;
        dscore[i][j] = weight[i][j] * (dscore[i][j] - known[i].y);
      }
    add_product(out, dscore, all_keys);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = token + ty + 16 * i;
    if (row < tokens) write_row(out, i, scale, dquery + (i64)row * stride + head * dim, dim);
  }
}

// Grid: (key heads, tiles of keys). Scores transposed: rows are keys, columns queries.
extern "C" __global__ void __launch_bounds__(THREADS, HEAD_DIM <= 64 ? 2 : 1)
    attention_backward_key_f32(const float *doutput, const float *query, const float *key,
                               const float *value, const float2 *statistics, const int *starts,
                               float *dkey, float *dvalue, int tokens, int keys, int heads,
                               int key_heads, int dim, int offset, int window, float scale) {
  const int key_head = blockIdx.x, group = heads / key_heads, row = blockIdx.y * TILE;
  const int stride = heads * dim, key_stride = key_heads * dim;
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  const Rows own_keys = {key + key_head * dim, key_stride, row, keys, dim};
  const Rows own_values = {value + key_head * dim, key_stride, row, keys, dim};
  float key_sum[CHUNKS][4][WIDTH], value_sum[CHUNKS][4][WIDTH], weight[4][4], dscore[4][4];
  clear(key_sum);
  clear(value_sum);
  for (int head = key_head * group; head < (key_head + 1) * group; head++) {
    Rows queries = {query + head * dim, stride, 0, tokens, dim};
    Rows doutputs = {doutput + head * dim, stride, 0, tokens, dim};
    // From the first tile with a query whose last key is not before this tile, while the first key
    // is not behind it.
    for (int token = max(0, row - offset) / TILE * TILE;
         token < tokens && first_key_of(starts, token, offset, window) < row + TILE; token += TILE) {
      queries.row = doutputs.row = token;
      product(weight, own_keys, queries);
      product(dscore, own_values, doutputs);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int column = token + tx + 16 * j;
        const bool inside = column < tokens;
        const int from = inside ? first_key_of(starts, column, offset, window) : 0;
        const float2 known =
            inside ? statistics[(i64)head * tokens + column] : make_float2(0.0f, 0.0f);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int own = row + ty + 16 * i;
          const bool seen = inside && own >= from && own <= column + offset;
          weight[i][j] = seen ? expf(weight[i][j] * scale - known.x) : 0.0f;
          dscore[i][j] = weight[i][j] * (dscore[i][j] - known.y);
        }
      }
      add_product(value_sum, weight, doutputs);
      add_product(key_sum, dscore, queries);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int own = row + ty + 16 * i;
    if (own >= keys) continue;
    const i64 place = (i64)own * key_stride + key_head * dim;
    write_row(key_sum, i, scale, dkey + place, dim);
    write_row(value_sum, i, 1.0f, dvalue + place, dim);
  }
}

#endif
