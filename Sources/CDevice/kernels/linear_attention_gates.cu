// Linear attention with a decay per token and key channel (Yang et al. 2024, "Gated Linear Attention";
// Qin et al. 2024, "HGRN2") in bf16 on tensor cores, in chunks of 128 tokens of a document: what lies
// within a chunk. linear_attention_hopper.cu, compiled with GATES, carries the states from chunk to chunk.
//
// With b_i the sum of a chunk's log-decays up to token i, the weight of key j for query i >= j is
// Σ_c q_ic k_jc exp(b_ic - b_jc). No power of the decay that is not negative appears: tokens are split
// in halves again and again, and a query in the second half of a pair sees the keys of the first half by
// way of the last token r of that half, exp(b_i - r) and exp(r - b_j). A level of splits needs one
// factor per token and channel, so one tile holds the scaled queries of the second halves and the scaled
// keys of the first.
//
// Chunks are counted through all documents: document n has those from offsets[n] / 128 + n on, so some
// numbers stay unused. Needs channels in eights and tensors at multiples of 16 bytes.
#include "attention_common.cuh"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif

#ifdef BACKWARD
constexpr int THREADS = 256;
#else
constexpr int THREADS = 512;
#endif
constexpr int DIM = HEAD_DIM, CHUNK = 128;
#define LOG2E 1.4426950408889634f
// A gate below is closed: what is left is nothing beside what comes, and sums stay exact enough.
#define LOWEST -60.0f

// Where 16 bytes lie in a tile of rows of W elements.
template <int W>
__device__ __forceinline__ int at(int row, int chunk) {
  return row * W + ((chunk ^ (row & 7)) << 3);
}
// Where a pair of elements lies.
template <int W>
__device__ __forceinline__ unsigned *pair_at(bf16 *tile, int row, int column) {
  return reinterpret_cast<unsigned *>(tile + at<W>(row, column >> 3) + (column & 7));
}

__device__ __forceinline__ float low(unsigned x) { return __uint_as_float(x << 16); }
__device__ __forceinline__ float high(unsigned x) { return __uint_as_float(x & 0xffff0000u); }

extern __shared__ __align__(1024) unsigned char shared[];

// A chunk of a head.
struct Chunk {
  int first, tokens;  // None where the number is unused.

  __device__ __forceinline__ Chunk(const int *offsets, int documents, int all, int number) {
    int document = 0;
    if (offsets) {
      int above = documents;
      while (above - document > 1) {
        const int middle = (document + above) / 2;
        if (offsets[middle] / CHUNK + middle <= number) document = middle;
        else above = middle;
      }
    }
    const int start = offsets ? offsets[document] : 0, end = offsets ? offsets[document + 1] : all;
    first = start + (number - start / CHUNK - document) * CHUNK;
    tokens = max(0, min(CHUNK, end - first));
  }
};

// W channels of a chunk to a tile; zeros past its tokens and past `dim`.
template <int W>
__device__ __forceinline__ void load_rows(bf16 *tile, const bf16 *source, int stride, int rows,
                                          int dim) {
  const int c = threadIdx.x % (W / 8);
#pragma unroll
  for (int i = 0; i < CHUNK * W / 8 / THREADS; i++) {
    const int r = threadIdx.x / (W / 8) + i * (THREADS / (W / 8));
    const bool inside = r < rows && c * 8 < dim;
    copy16(tile + at<W>(r, c), inside ? source + (i64)r * stride + c * 8 : source, inside);
  }
}
__device__ __forceinline__ void finish_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

// The running sums of W channels' log-decays, in powers of 2, of all the chunk's tokens, laid out as a
// tile. All threads call it; starts and ends with the block in step.
template <int W>
__device__ __forceinline__ void sum_decays(float *sums, const float *log_decay, int stride, int rows,
                                           int dim) {
  constexpr int PARTS = THREADS / W, ROWS = CHUNK / PARTS, SOME = 16;  // Some are under way at a time.
  const int c = threadIdx.x % W, part = threadIdx.x / W;
  auto place = [&](int r) { return at<W>(r, c >> 3) + (c & 7); };
  float sum = 0.0f, x[SOME];
#pragma unroll
  for (int some = 0; some < ROWS; some += SOME) {
    const int first = part * ROWS + some;
#pragma unroll
    for (int i = 0; i < SOME; i++)
      x[i] = first + i < rows && c < dim ? log_decay[(i64)(first + i) * stride + c] : 0.0f;
#pragma unroll
    for (int i = 0; i < SOME; i++)
      sums[place(first + i)] = sum += fmaxf(x[i], LOWEST) * LOG2E;
  }
  __syncthreads();
  float before = 0.0f;
#pragma unroll
  for (int p = 0; p < PARTS - 1; p++)
    if (p < part) before += sums[place(p * ROWS + ROWS - 1)];
  __syncthreads();
#pragma unroll
  for (int some = 0; some < ROWS; some += SOME) {
    const int first = part * ROWS + some;
#pragma unroll
    for (int i = 0; i < SOME; i++) x[i] = sums[place(first + i)];
#pragma unroll
    for (int i = 0; i < SOME; i++) sums[place(first + i)] = x[i] + before;
  }
  __syncthreads();
}

struct __align__(16) Eight {
  unsigned x[4];
};
__device__ __forceinline__ Eight load_eight(const bf16 *from) {
  return *reinterpret_cast<const Eight *>(from);
}
__device__ __forceinline__ void store_eight(bf16 *to, const Eight &x) {
  *reinterpret_cast<Eight *>(to) = x;
}

// Eight sums. Every other four threads read the second half first, so that eight together reach all
// banks.
__device__ __forceinline__ void load_sums(float (&x)[8], const float *from, int c) {
  const int half = c & 4;
  const float4 a = *reinterpret_cast<const float4 *>(from + half);
  const float4 b = *reinterpret_cast<const float4 *>(from + (half ^ 4));
  x[0] = half ? b.x : a.x, x[1] = half ? b.y : a.y, x[2] = half ? b.z : a.z, x[3] = half ? b.w : a.w;
  x[4] = half ? a.x : b.x, x[5] = half ? a.y : b.y, x[6] = half ? a.z : b.z, x[7] = half ? a.w : b.w;
}

// Eight values times 2^(sign (x - y)).
__device__ __forceinline__ Eight scale_eight(const Eight &values, const float (&x)[8],
                                             const float (&y)[8], float sign) {
  Eight result;
#pragma unroll
  for (int i = 0; i < 4; i++)
    result.x[i] = pack(low(values.x[i]) * power2(sign * (x[2 * i] - y[2 * i])),
                       high(values.x[i]) * power2(sign * (x[2 * i + 1] - y[2 * i + 1])));
  return result;
}

// Whether of row and column of a 16 x 16 square on the diagonal one is in the second and one in the
// first half of a pair of the level.
__device__ __forceinline__ bool apart(int row, int column, int level) {
  return (row >> level ^ column >> level) == 1;
}

#ifndef BACKWARD

constexpr int WARPS = THREADS / 32;

// 16 rows of `tile` times 8 rows, over the channels.
__device__ __forceinline__ void multiply_rows(float (&x)[4], const bf16 *tile, int left_row,
                                              int right_row) {
  const int lane = threadIdx.x & 31;
  float y[4] = {};
#pragma unroll
  for (int e = 0; e < 4; e++) x[e] = 0.0f;
#pragma unroll
  for (int k = 0; k < DIM / 32; k++) {
    unsigned a[4], b[4], right[4];
    load_matrices(right, tile + at<DIM>(right_row + (lane & 7), k * 4 + (lane >> 3)));
    load_matrices(a, tile + at<DIM>(left_row + (lane & 15), k * 4 + (lane >> 4)));
    load_matrices(b, tile + at<DIM>(left_row + (lane & 15), k * 4 + 2 + (lane >> 4)));
    multiply(x, a, right[0], right[1]);
    multiply(y, b, right[2], right[3]);
  }
#pragma unroll
  for (int e = 0; e < 4; e++) x[e] += y[e];
}

// What sweeps over chunks take: queries times scale · exp(b), keys times exp(b_last - b), the decay of a
// whole chunk, and the weights times `scale`, as fragments of left operands, with `turned` transposed.
// Grid: chunks * heads. Shared: CHUNK (6 DIM + 2 CHUNK) bytes.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    linear_attention_gate_weights(const bf16 *query, const bf16 *key, const float *log_decay,
                                  const int *offsets, bf16 *scaled_query, bf16 *scaled_key,
                                  float *decays, uint4 *fragments, int documents, int tokens,
                                  int heads, int dim, float scale, int turned) {
  constexpr int LANES = DIM / 8, OWN = CHUNK * LANES / THREADS;  // Threads of a row, rows of a thread.
  bf16 *scaled = reinterpret_cast<bf16 *>(shared), *weights = scaled + CHUNK * DIM;
  float *sums = reinterpret_cast<float *>(weights + CHUNK * CHUNK);
  const int head = blockIdx.x % heads, stride = heads * dim;
  const Chunk chunk(offsets, documents, tokens, blockIdx.x / heads);
  if (chunk.tokens == 0) return;
  const i64 place = (i64)chunk.first * stride + head * dim;
  const int warp = threadIdx.x / 32, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;

  // A thread keeps eight channels of its tokens.
  const int c = threadIdx.x % LANES, first = threadIdx.x / LANES * OWN;
  Eight q[OWN], k[OWN];
#pragma unroll
  for (int i = 0; i < OWN; i++) {
    const bool inside = first + i < chunk.tokens && c * 8 < dim;
    const i64 from = place + (i64)(first + i) * stride + c * 8;
    q[i] = inside ? load_eight(query + from) : Eight{};
    k[i] = inside ? load_eight(key + from) : Eight{};
  }
  for (int i = threadIdx.x; i < CHUNK * CHUNK / 8; i += THREADS)
    store_eight(weights + i * 8, Eight{});
  sum_decays<DIM>(sums, log_decay + place, stride, chunk.tokens, dim);
  if (threadIdx.x < DIM)
    decays[(i64)blockIdx.x * DIM + threadIdx.x] =
        power2(sums[at<DIM>(CHUNK - 1, threadIdx.x >> 3) + (threadIdx.x & 7)]);

  float own[OWN][8], last[8];
  load_sums(last, sums + at<DIM>(CHUNK - 1, c), c);
#pragma unroll
  for (int i = 0; i < OWN; i++) {
    load_sums(own[i], sums + at<DIM>(first + i, c), c);
    float dot = 0.0f;
    Eight x;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const float q0 = scale * low(q[i].x[j]), q1 = scale * high(q[i].x[j]);
      dot += q0 * low(k[i].x[j]) + q1 * high(k[i].x[j]);
      x.x[j] = pack(q0 * power2(own[i][2 * j]), q1 * power2(own[i][2 * j + 1]));
    }
#pragma unroll
    for (int apart = 1; apart < LANES; apart *= 2) dot += __shfl_xor_sync(0xffffffffu, dot, apart);
    const int r = first + i;
    if (c == 0) weights[at<CHUNK>(r, r >> 3) + (r & 7)] = to_bf16(dot);
    if (r < chunk.tokens && c * 8 < dim) {
      const i64 to = place + (i64)r * stride + c * 8;
      store_eight(scaled_query + to, x);
      store_eight(scaled_key + to, scale_eight(k[i], own[i], last, -1.0f));
    }
  }

  // Halves of 2^level tokens.
#pragma unroll 1
  for (int level = 6; level >= 0; level--) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      const int r = first + i, block = r >> level;
      if (i == 0 || level < 2) load_sums(last, sums + at<DIM>(((block | 1) << level) - 1, c), c);
      const bool isQuery = block & 1;
      Eight x;
#pragma unroll
      for (int j = 0; j < 4; j++) x.x[j] = isQuery ? q[i].x[j] : k[i].x[j];
      store_eight(scaled + at<DIM>(r, c), scale_eight(x, own[i], last, isQuery ? 1.0f : -1.0f));
    }
    __syncthreads();
    float x[4];
    if (level >= 4) {
      const int shift = level - 4, tiles = 1 << (level - 3);  // Eights of keys.
      for (int i = warp; i < 4 * tiles; i += WARPS) {
        // Sixteens of queries in second halves.
        const int other = i / tiles, block = (other >> shift << 1 | 1) << shift;
        const int row = (block + (other & ((1 << shift) - 1))) * 16;
        const int column = (block - (1 << shift)) * 16 + i % tiles * 8;
        multiply_rows(x, scaled, row, column);
        *pair_at<CHUNK>(weights, row + g, column + 2 * t) = pack(scale * x[0], scale * x[1]);
        *pair_at<CHUNK>(weights, row + 8 + g, column + 2 * t) = pack(scale * x[2], scale * x[3]);
      }
    } else {
      const int corner = warp / 2 * 16;
      multiply_rows(x, scaled, corner, corner + warp % 2 * 8);
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int row = g + (e >> 1) * 8, column = warp % 2 * 8 + 2 * t + (e & 1);
        if (row > column && apart(row, column, level))
          weights[at<CHUNK>(corner + row, corner + column >> 3) + (column & 7)] =
              to_bf16(scale * x[e]);
      }
    }
  }
  __syncthreads();

  // Those of a warp of the sweep: 16 rows of all columns.
  fragments += (i64)blockIdx.x * (CHUNK / 16) * 256 + warp % 8 * 32 + lane;
#pragma unroll
  for (int i = warp / 8; i < CHUNK / 16; i += WARPS / 8) {
    unsigned x[4];
    if (turned)
      load_transposed(x, weights + at<CHUNK>(i * 16 + (lane & 7) + ((lane >> 4) << 3),
                                             warp % 8 * 2 + (lane >> 3 & 1)));
    else
      load_matrices(x, weights + at<CHUNK>(warp % 8 * 16 + (lane & 15), i * 2 + (lane >> 4)));
    fragments[i * 256] = make_uint4(x[0], x[1], x[2], x[3]);
  }
}

#else

constexpr int PART = 64;  // Channels of a block.

// The tile of a level whose halves are of 2^LEVEL tokens.
__device__ __forceinline__ void scale_level(bf16 *scaled, const bf16 *query, const bf16 *key,
                                            const float *sums, int level) {
  const int c = threadIdx.x % (PART / 8);
#pragma unroll 2
  for (int i = 0; i < CHUNK * PART / 8 / THREADS; i++) {
    const int r = threadIdx.x / (PART / 8) + i * (THREADS / (PART / 8)), block = r >> level;
    const int place = at<PART>(r, c);
    const bool isQuery = block & 1;
    float own[8], last[8];
    load_sums(own, sums + place, c);
    load_sums(last, sums + at<PART>(((block | 1) << level) - 1, c), c);
    store_eight(scaled + place, scale_eight(load_eight((isQuery ? query : key) + place), own, last,
                                            isQuery ? 1.0f : -1.0f));
  }
}

// x += a bᵀ, 16 rows of `a` times 16 rows of `b`.
__device__ __forceinline__ void add_square(float (&x)[2][4], const bf16 *a, int a_row, const bf16 *b,
                                           int b_row) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < DIM / 16; k++) {
    unsigned left[4], right[4];
    load_matrices(left, a + at<DIM>(a_row + (lane & 15), k * 2 + (lane >> 4)));
    load_matrices(right, b + at<DIM>(b_row + (lane & 7) + ((lane >> 4) << 3),
                                     k * 2 + (lane >> 3 & 1)));
    multiply(x[0], left, right[0], right[1]);
    multiply(x[1], left, right[2], right[3]);
  }
}

// Two sums where a thread has sums of products.
__device__ __forceinline__ float2 *sums_at(float *sums, int row, int column) {
  return reinterpret_cast<float2 *>(sums + at<PART>(row, column >> 3) + (column & 7));
}

// A thread's sums to a tile, and from there to memory.
__device__ __forceinline__ void write_part(const float (&x)[PART / 8][4], bf16 *tile, bf16 *target,
                                           int stride, int rows, int dim) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  __syncthreads();
#pragma unroll
  for (int n = 0; n < PART / 8; n++)
#pragma unroll
    for (int i = 0; i < 2; i++)
      *pair_at<PART>(tile, warp * 16 + i * 8 + g, n * 8 + 2 * t) =
          pack(x[n][2 * i], x[n][2 * i + 1]);
  __syncthreads();
  const int c = threadIdx.x % (PART / 8);
#pragma unroll
  for (int i = 0; i < CHUNK * PART / 8 / THREADS; i++) {
    const int r = threadIdx.x / (PART / 8) + i * (THREADS / (PART / 8));
    if (r < rows && c * 8 < dim)
      *reinterpret_cast<uint4 *>(target + (i64)r * stride + c * 8) =
          *reinterpret_cast<const uint4 *>(tile + at<PART>(r, c));
  }
}

// The gradients of queries, keys and log-decays: what the sweeps found (`outer_query` is still to be
// multiplied with exp(b), `outer_key` with exp(b_last - b)) and what lies within the chunk. `ends` are
// sums that add up to the products of state and its gradient after the chunk, [chunks, heads, DIM / 16,
// DIM]. Grid: chunks * heads * DIM / PART. Shared: CHUNK (2 CHUNK + max(4 DIM, 10 PART)) bytes.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    linear_attention_gate_gradients(const bf16 *query, const bf16 *key, const bf16 *value,
                                    const float *log_decay, const bf16 *doutput, const int *offsets,
                                    const bf16 *outer_query, const bf16 *outer_key,
                                    const float *ends, bf16 *dquery, bf16 *dkey, float *dlog_decay,
                                    int documents, int tokens, int heads, int dim, int width,
                                    float scale) {
  bf16 *dweights = reinterpret_cast<bf16 *>(shared), *v = dweights + CHUNK * CHUNK;
  bf16 *dout = v + CHUNK * DIM, *q = v, *k = q + CHUNK * PART, *scaled = k + CHUNK * PART;
  float *sums = reinterpret_cast<float *>(scaled + CHUNK * PART);
  const int first = blockIdx.x % (DIM / PART) * PART, both = blockIdx.x / (DIM / PART);
  const int head = both % heads, stride = heads * dim, own_dim = dim - first;
  const Chunk chunk(offsets, documents, tokens, both / heads);
  if (chunk.tokens == 0 || own_dim <= 0) return;
  const int rows = chunk.tokens;
  const i64 place = (i64)chunk.first * stride + head * dim + first;
  const i64 value_place = ((i64)chunk.first * heads + head) * width;
  const int warp = threadIdx.x / 32, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const int row = warp * 16 + g;

  load_rows<DIM>(v, value + value_place, heads * width, rows, width);
  load_rows<DIM>(dout, doutput + value_place, heads * width, rows, width);
  finish_copies();
  __syncthreads();
#pragma unroll 1
  for (int column = 0; column <= warp * 16; column += 16) {
    float x[2][4] = {};
    add_square(x, dout, warp * 16, v, column);
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int i = 0; i < 2; i++)
        *pair_at<CHUNK>(dweights, row + i * 8, column + n * 8 + 2 * t) =
            pack(scale * x[n][2 * i], scale * x[n][2 * i + 1]);
  }
  __syncthreads();
  load_rows<PART>(q, query + place, stride, rows, own_dim);
  load_rows<PART>(k, key + place, stride, rows, own_dim);
  sum_decays<PART>(sums, log_decay + place, stride, rows, own_dim);
  finish_copies();
  __syncthreads();

  float dq[PART / 8][4] = {}, dk[PART / 8][4] = {};
  {
    const float own[2] = {to_float(dweights[at<CHUNK>(row, row >> 3) + (row & 7)]),
                          to_float(dweights[at<CHUNK>(row + 8, (row + 8) >> 3) + (row & 7)])};
#pragma unroll
    for (int n = 0; n < PART / 8; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const unsigned x = *pair_at<PART>(q, row + i * 8, n * 8 + 2 * t);
        const unsigned y = *pair_at<PART>(k, row + i * 8, n * 8 + 2 * t);
        dq[n][2 * i] = own[i] * low(y), dq[n][2 * i + 1] = own[i] * high(y);
        dk[n][2 * i] = own[i] * low(x), dk[n][2 * i + 1] = own[i] * high(x);
      }
  }
#pragma unroll 1
  for (int level = 6; level >= 0; level--) {
    __syncthreads();
    scale_level(scaled, q, k, sums, level);
    __syncthreads();
    // A second half takes from the keys of the first, a first from the queries of the second.
    const int block = warp * 16 >> level, from = level >= 4 ? (block ^ 1) << level : warp * 16;
    float x[PART / 8][4] = {};
#pragma unroll 1
    for (int step = 0; step < max(1 << level, 16); step += 16) {
      unsigned left[4];
      const bf16 *straight = dweights + at<CHUNK>(warp * 16 + (lane & 15), (from + step) / 8 + (lane >> 4));
      const bf16 *turned = dweights + at<CHUNK>(from + step + (lane & 7) + ((lane >> 4) << 3),
                                                warp * 2 + (lane >> 3 & 1));
      if (level >= 4) {
        if (block & 1) load_matrices(left, straight);
        else load_transposed(left, turned);
      } else {
        unsigned other[4];
        load_matrices(left, straight);
        load_transposed(other, turned);
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const int r = g + (e & 1) * 8, c = 2 * t + (e >> 1) * 8;
          const unsigned a = r > c ? left[e] : other[e], b = r > c + 1 ? left[e] : other[e];
          left[e] = (apart(r, c, level) ? a & 0xffffu : 0) | (apart(r, c + 1, level) ? b & 0xffff0000u : 0);
        }
      }
#pragma unroll
      for (int n = 0; n < PART / 8; n += 2) {
        unsigned right[4];
        load_transposed(right, scaled + at<PART>(from + step + (lane & 15), n + (lane >> 4)));
        multiply(x[n], left, right[0], right[1]);
        multiply(x[n + 1], left, right[2], right[3]);
      }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int r = row + i * 8, pair = r >> level;
      const bool isQuery = pair & 1;
      const float sign = isQuery ? 1.0f : -1.0f;
      const int last = ((pair | 1) << level) - 1;
#pragma unroll
      for (int n = 0; n < PART / 8; n++) {
        const float2 a = *sums_at(sums, r, n * 8 + 2 * t), b = *sums_at(sums, last, n * 8 + 2 * t);
        const float y0 = x[n][2 * i] * power2(sign * (a.x - b.x));
        const float y1 = x[n][2 * i + 1] * power2(sign * (a.y - b.y));
        dq[n][2 * i] += isQuery ? y0 : 0.0f, dq[n][2 * i + 1] += isQuery ? y1 : 0.0f;
        dk[n][2 * i] += isQuery ? 0.0f : y0, dk[n][2 * i + 1] += isQuery ? 0.0f : y1;
      }
    }
  }

#pragma unroll
  for (int kind = 0; kind < 2; kind++) {
    __syncthreads();
    load_rows<PART>(scaled, (kind ? outer_key : outer_query) + place, stride, rows, own_dim);
    finish_copies();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
      for (int n = 0; n < PART / 8; n++) {
        const unsigned y = *pair_at<PART>(scaled, row + i * 8, n * 8 + 2 * t);
        const float2 a = *sums_at(sums, row + i * 8, n * 8 + 2 * t);
        if (kind == 0) {
          dq[n][2 * i] = fmaf(power2(a.x), low(y), dq[n][2 * i]);
          dq[n][2 * i + 1] = fmaf(power2(a.y), high(y), dq[n][2 * i + 1]);
        } else {
          const float2 b = *sums_at(sums, CHUNK - 1, n * 8 + 2 * t);
          dk[n][2 * i] = fmaf(power2(b.x - a.x), low(y), dk[n][2 * i]);
          dk[n][2 * i + 1] = fmaf(power2(b.y - a.y), high(y), dk[n][2 * i + 1]);
        }
      }
    }
  }
  write_part(dq, scaled, dquery + place, stride, rows, own_dim);
  write_part(dk, scaled, dkey + place, stride, rows, own_dim);
  if (!dlog_decay) return;

  // dlog_decay_i = Σ_(j >= i) (q_j dq_j - k_j dk_j), and what is beyond the chunk.
  __syncthreads();
#pragma unroll
  for (int n = 0; n < PART / 8; n++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const unsigned x = *pair_at<PART>(q, row + i * 8, n * 8 + 2 * t);
      const unsigned y = *pair_at<PART>(k, row + i * 8, n * 8 + 2 * t);
      *sums_at(sums, row + i * 8, n * 8 + 2 * t) =
          make_float2(low(x) * dq[n][2 * i] - low(y) * dk[n][2 * i],
                      high(x) * dq[n][2 * i + 1] - high(y) * dk[n][2 * i + 1]);
    }
  __syncthreads();
  constexpr int PARTS = THREADS / PART, ROWS = CHUNK / PARTS;
  const int c = threadIdx.x % PART, part = threadIdx.x / PART;
  auto sum_of = [&](int r) -> float & { return sums[at<PART>(r, c >> 3) + (c & 7)]; };
  float sum = 0.0f;
#pragma unroll
  for (int some = ROWS - 8; some >= 0; some -= 8) {
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = sum_of(part * ROWS + some + i);
#pragma unroll
    for (int i = 7; i >= 0; i--) sum_of(part * ROWS + some + i) = sum += x[i];
  }
  __syncthreads();
  if (c >= own_dim) return;
  float beyond = 0.0f;
  for (int p = part + 1; p < PARTS; p++) beyond += sum_of(p * ROWS);
  for (int i = 0; i < DIM / 16; i++) beyond += ends[((i64)both * (DIM / 16) + i) * DIM + first + c];
#pragma unroll 8
  for (int i = 0; i < ROWS; i++) {
    const int r = part * ROWS + i;
    if (r < rows) dlog_decay[place + (i64)r * stride + c] = sum_of(r) + beyond;
  }
}

#endif
