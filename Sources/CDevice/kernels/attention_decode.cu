// Causal grouped-query attention of a few new tokens over a long cache, where the cost is reading the
// keys and values once: the cache is split among blocks, whose softmax parts are merged in order by a
// second kernel (Flash-Decoding, Dao, Haziza, Massa and Sizov 2023).
//
// Compiled per head size (HEAD_DIM, channels rounded up to a multiple of 32, 224 to 256) and number of
// query rows a block holds in registers (ROWS: 1, 2, 4 or 8). The rows of a key head are its query
// heads, token after token; more than ROWS of them are spread over the grid and read the keys again,
// from the cache of the chip.
//
// LANES threads hold a key, 16 bytes each, and the same channels of every row's query and output.
#include "element.cuh"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef ROWS
#define ROWS 4
#endif

constexpr int THREADS = 128, WARPS = THREADS / 32, CHUNKS = HEAD_DIM / VEC;
constexpr int LANES = CHUNKS <= 4 ? 4 : CHUNKS <= 8 ? 8 : CHUNKS <= 16 ? 16 : 32;
constexpr int PARTS = (CHUNKS + LANES - 1) / LANES, OWN = PARTS * VEC, GROUPS = THREADS / LANES;
constexpr int AHEAD = PARTS == 1 ? 4 : 2;  // Keys per thread in flight.
constexpr float LOG2E = 1.4426950408889634f;

// The thread's channels of a row, zeros past `dim`.
__device__ __forceinline__ void load_own(Vec (&x)[PARTS], const T *row, int dim, bool vectors,
                                         bool inside) {
#pragma unroll
  for (int i = 0; i < PARTS; i++) {
    const int c = (threadIdx.x % LANES + i * LANES) * VEC;
    if (vectors && inside && c < dim) {
      x[i] = load_vec(row + c);
    } else {
#pragma unroll
      for (int e = 0; e < VEC; e++) {
        x[i].v[e] = from_float(0.0f);
        if (!vectors && inside && c + e < dim) x[i].v[e] = row[c + e];
      }
    }
  }
}

// Grid: (splits, key heads, tiles of ROWS rows). Without splits the result goes straight to `output`
// and `log_sum_exp`, else to partials[key heads, rows, splits, dim + 2]: the sum of weighted values,
// the base-2 maximum and the sum of weights.
extern "C" __global__ void __launch_bounds__(THREADS)
    attention_decode(const T *query, const T *key, const T *value, const int *starts, T *output,
                     float *log_sum_exp, float *partials, int tokens, int keys, int heads,
                     int key_heads, int dim, int offset, int window, float scale) {
  __shared__ float parts[WARPS][ROWS][HEAD_DIM], maxima[WARPS][ROWS], sums[WARPS][ROWS];
  const int key_head = blockIdx.y, group = heads / key_heads, rows = tokens * group;
  wait_for_previous();
  let_next_begin();
  const int row = blockIdx.z * ROWS, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const i64 stride = (i64)key_heads * dim;
  const bool vectors = dim % VEC == 0 && (((size_t)key | (size_t)value | (size_t)query) & 15) == 0;
  key += key_head * dim, value += key_head * dim;

  float asked[ROWS][OWN], sum[ROWS][OWN], highest[ROWS], total[ROWS];
  int from[ROWS], to[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const int own = min(row + r, rows - 1), token = own / group, last = token + offset;
    const int start = starts ? starts[token] : 0, windowed = window > 0 ? last - window + 1 : 0;
    from[r] = min(max(max(start, windowed), 0), last), to[r] = last;
    Vec x[PARTS];
    load_own(x, query + ((i64)token * heads + key_head * group + own % group) * dim, dim, vectors,
             true);
#pragma unroll
    for (int e = 0; e < OWN; e++) {
      asked[r][e] = to_float(x[e / VEC].v[e % VEC]) * scale * LOG2E;
      sum[r][e] = 0.0f;
    }
    highest[r] = -1e30f, total[r] = 0.0f;
  }

  // The first query sees the least keys from below: only what it sees is split.
  const int start0 = starts ? starts[0] : 0, windowed0 = window > 0 ? offset - window + 1 : 0;
  const int low = min(max(max(start0, windowed0), 0), offset);
  const int share = (keys - low + (int)gridDim.x - 1) / (int)gridDim.x;
  const int begin = low + (int)blockIdx.x * share, end = min(begin + share, keys);
  for (int base = begin; base < end; base += GROUPS * AHEAD) {
    Vec k[AHEAD][PARTS], v[AHEAD][PARTS];
    float score[AHEAD][ROWS];
#pragma unroll
    for (int u = 0; u < AHEAD; u++) {
      const int own = base + u * GROUPS + threadIdx.x / LANES;
      load_own(k[u], key + own * stride, dim, vectors, own < end);
      load_own(v[u], value + own * stride, dim, vectors, own < end);
    }
#pragma unroll
    for (int u = 0; u < AHEAD; u++) {
#pragma unroll
      for (int r = 0; r < ROWS; r++) score[u][r] = 0.0f;
#pragma unroll
      for (int e = 0; e < OWN; e++) {
        const float x = to_float(k[u][e / VEC].v[e % VEC]);
#pragma unroll
        for (int r = 0; r < ROWS; r++) score[u][r] = fmaf(asked[r][e], x, score[u][r]);
      }
    }
#pragma unroll
    for (int s = LANES / 2; s > 0; s >>= 1)
#pragma unroll
      for (int u = 0; u < AHEAD; u++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) score[u][r] += __shfl_xor_sync(0xffffffffu, score[u][r], s);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      float most = highest[r];
#pragma unroll
      for (int u = 0; u < AHEAD; u++) {
        const int own = base + u * GROUPS + threadIdx.x / LANES;
        if (own >= end || own < from[r] || own > to[r]) score[u][r] = -__int_as_float(0x7f800000);
        most = fmaxf(most, score[u][r]);
      }
      const float correction = exp2f(highest[r] - most);
      highest[r] = most;
      total[r] *= correction;
#pragma unroll
      for (int e = 0; e < OWN; e++) sum[r][e] *= correction;
#pragma unroll
      for (int u = 0; u < AHEAD; u++) {
        score[u][r] = exp2f(score[u][r] - most);
        total[r] += score[u][r];
      }
    }
#pragma unroll
    for (int u = 0; u < AHEAD; u++)
#pragma unroll
      for (int e = 0; e < OWN; e++) {
        const float x = to_float(v[u][e / VEC].v[e % VEC]);
#pragma unroll
        for (int r = 0; r < ROWS; r++) sum[r][e] = fmaf(score[u][r], x, sum[r][e]);
      }
  }

  // Merge the groups of a warp, then the warps.
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
#pragma unroll
    for (int s = LANES; s < 32; s <<= 1) {
      const float other = __shfl_xor_sync(0xffffffffu, highest[r], s);
      const float most = fmaxf(highest[r], other), factor = exp2f(highest[r] - most);
      total[r] *= factor;
      total[r] += __shfl_xor_sync(0xffffffffu, total[r], s);
#pragma unroll
      for (int e = 0; e < OWN; e++) {
        sum[r][e] *= factor;
        sum[r][e] += __shfl_xor_sync(0xffffffffu, sum[r][e], s);
      }
      highest[r] = most;
    }
    if (lane < LANES)
#pragma unroll
      for (int e = 0; e < OWN; e++) {
        const int c = (lane + e / VEC * LANES) * VEC + e % VEC;
        if (c < dim) parts[warp][r][c] = sum[r][e];
      }
    if (lane == 0) maxima[warp][r] = highest[r], sums[warp][r] = total[r];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < ROWS * dim; i += THREADS) {
    const int r = i / dim, c = i % dim, own = row + r;
    if (own >= rows) break;
    float most = maxima[0][r], weights = 0.0f, x = 0.0f;
#pragma unroll
    for (int w = 1; w < WARPS; w++) most = fmaxf(most, maxima[w][r]);
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      const float factor = exp2f(maxima[w][r] - most);
      weights += factor * sums[w][r];
      x += factor * parts[w][r][c];
    }
    if (gridDim.x == 1) {
      const int head = key_head * group + own % group, token = own / group;
      store(output + ((i64)token * heads + head) * dim + c, x / weights);
      if (c == 0) log_sum_exp[(i64)head * tokens + token] = (most + log2f(weights)) / LOG2E;
    } else {
      float *place =
          partials + (((i64)key_head * rows + own) * gridDim.x + blockIdx.x) * (dim + 2);
      place[c] = x;
      if (c == 0) place[dim] = most, place[dim + 1] = weights;
    }
  }
}

// Grid: key heads * rows. The splits of a row (at most 1024), merged in order.
extern "C" __global__ void __launch_bounds__(THREADS)
    attention_merge(const float *partials, T *output, float *log_sum_exp, int splits, int tokens,
                    int heads, int key_heads, int dim) {
  __shared__ float factors[1024];
  wait_for_previous();
  let_next_begin();
  const int group = heads / key_heads, rows = tokens * group;
  const int key_head = blockIdx.x / rows, row = blockIdx.x % rows;
  const int head = key_head * group + row % group, token = row / group;
  const float *source = partials + (i64)blockIdx.x * splits * (dim + 2);
  float most = -1e30f, weights = 0.0f;
  for (int s = threadIdx.x; s < splits; s += THREADS)
    most = fmaxf(most, source[(i64)s * (dim + 2) + dim]);
  most = block_max(most);
  for (int s = threadIdx.x; s < splits; s += THREADS) {
    const float *statistics = source + (i64)s * (dim + 2) + dim;
    factors[s] = exp2f(statistics[0] - most);
    weights += factors[s] * statistics[1];
  }
  weights = block_sum(weights);
  __syncthreads();
  for (int c = threadIdx.x; c < dim; c += THREADS) {
    float x = 0.0f;
#pragma unroll 8
    for (int s = 0; s < splits; s++) x = fmaf(factors[s], source[(i64)s * (dim + 2) + c], x);
    store(output + ((i64)token * heads + head) * dim + c, x / weights);
  }
  if (threadIdx.x == 0) log_sum_exp[(i64)head * tokens + token] = (most + log2f(weights)) / LOG2E;
}
