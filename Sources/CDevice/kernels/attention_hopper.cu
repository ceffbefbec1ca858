// Causal grouped-query attention in bf16 for Hopper (sm_90a), heads of up to HEAD_DIM = 32, 64, 96 or
// 128 channels: what attention.cu computes, on the warpgroup tensor-core instructions that alone reach
// the chip's rate. After FlashAttention-3 (Shah et al. 2024), without its bulk tensor copies. With
// BACKWARD the file holds the gradients, without it the forward pass.
//
// One warpgroup copies tiles into shared memory, the others own 64 rows each of what is computed. The
// owners are not in step, so that the softmax of one runs while another multiplies.
//
// All need dim % 8 == 0 and tensors at multiples of 16 bytes.
#include "warpgroup.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL  // For other chips the file is empty.

#define LOG2E 1.4426950408889634f

#ifndef BACKWARD

// Groups that own 64 queries each; their turns to multiply (see below).
#ifndef GROUPS
#define GROUPS (DIM > 64 ? 2 : 3)
#endif
#ifndef TURNS
#define TURNS (DIM > 64)
#endif
constexpr int QUERIES = GROUPS * 64, KEYS = 128, STAGES = DIM > 64 ? 2 : 3;

// -inf where a thread's queries don't see the tile's key.
__device__ __forceinline__ void mask_scores(float (&score)[KEYS / 8][4], int key, int row_last,
                                            const int (&seen_from)[2]) {
  const int t = threadIdx.x & 3;
#pragma unroll
  for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const int column = key + n * 8 + 2 * t + (e & 1);
      if (column < seen_from[e >> 1] || column > row_last + (e >> 1) * 8)
        score[n][e] = -__int_as_float(0x7f800000);
    }
}

// Scores to weights; what was summed before has to be multiplied by `correction`.
__device__ __forceinline__ void soften(float (&score)[KEYS / 8][4], float (&highest)[2],
                                       float (&sum)[2], float (&correction)[2], float scale2) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    float most = highest[i];
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
      most = fmaxf(most, fmaxf(score[n][2 * i], score[n][2 * i + 1]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
    correction[i] = power2((highest[i] - most) * scale2);
    const float shift = most * scale2;
    highest[i] = most;
    sum[i] *= correction[i];
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
      for (int e = 2 * i; e < 2 * i + 2; e++) {
        score[n][e] = power2(fmaf(score[n][e], scale2, -shift));
        sum[i] += score[n][e];
      }
  }
}

__device__ __forceinline__ void multiply_keys(float (&score)[KEYS / 8][4], unsigned long long own,
                                              unsigned long long key_tile) {
#pragma unroll
  for (int k = 0; k < DIM / 16; k++)
    multiply_shared(score, own + channels<QUERIES>(k), key_tile + channels<KEYS>(k), k > 0);
  multiply_commit();
}

__device__ __forceinline__ void multiply_values(float (&out)[DIM / 8][4],
                                                const unsigned (&weight)[KEYS / 16][4],
                                                unsigned long long value_tile) {
#pragma unroll
  for (int k = 0; k < KEYS / 16; k++)
    multiply_registers(out, weight[k], value_tile + (k * 16 * 128 >> 4));
  multiply_commit();
}

// The groups multiply in turns, so that each has its softmax to itself while another multiplies. A
// turn is a hardware barrier of the group whose it is and the one before.
__device__ __forceinline__ void turn_wait(int group) {
  asm volatile("bar.sync %0, 256;" ::"r"(group + 1 + GROUPS) : "memory");
}
__device__ __forceinline__ void turn_pass(int group) {
  asm volatile("bar.arrive %0, 256;" ::"r"((group + 1) % GROUPS + 1 + GROUPS) : "memory");
}

// Grid: as many blocks as run at a time; each takes another (head, tile of QUERIES queries) whenever it
// is done, by `taken`, which starts as 0. Shared: 1024 + the tiles. For scale > 0. The scores of the
// next keys are multiplied together with the values of the last ones, of which the softmax doesn't
// have to wait for the latter.
extern "C" __global__ void __launch_bounds__(GROUPS * 128 + 128, 1)
    attention_forward_hopper(const bf16 *query, const bf16 *key, const bf16 *value,
                             const int *starts, bf16 *output, float *log_sum_exp, int tokens,
                             int keys, int heads, int key_heads, int dim, int offset, int window,
                             float scale, int *taken) {
  constexpr int TILE = KEYS * PANELS * 64;
  __shared__ unsigned long long key_full[STAGES], value_full[STAGES], key_empty[STAGES],
      value_empty[STAGES], query_empty, work_full[2];
  __shared__ int work_next[2];
  bf16 *query_tile = first_tile(), *output_tile = query_tile + QUERIES * PANELS * 64;
  bf16 *key_tiles = output_tile + QUERIES * PANELS * 64, *value_tiles = key_tiles + STAGES * TILE;
  const int stride = heads * dim, key_stride = key_heads * dim;
  const int tiles = (tokens + QUERIES - 1) / QUERIES;
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) {
      barrier_init(key_full + s, 4), barrier_init(value_full + s, 4);
      barrier_init(key_empty + s, GROUPS * 4), barrier_init(value_empty + s, GROUPS * 4);
    }
    barrier_init(&query_empty, GROUPS * 4);
    barrier_init(work_full, 1), barrier_init(work_full + 1, 1);
  }
  __syncthreads();

  if (threadIdx.x >= GROUPS * 128) {
    leave_registers<GROUPS == 2 ? 40 : 32>();
    int at_step = 0;  // Steps of all the work before.
#pragma unroll 1
    for (int round = 0, work = blockIdx.x; work < heads * tiles; round++) {
      const int head = work % heads, token = (tiles - 1 - work / heads) * QUERIES;
      const int first = first_key_of(starts, token, offset, window) / KEYS;
      const int steps = (min(token + QUERIES, tokens) - 1 + offset) / KEYS - first + 1;
      const bf16 *own_key = key + head / (heads / key_heads) * dim;
      const bf16 *own_value = value + head / (heads / key_heads) * dim;
      // The queries count as the first keys'. Keys are copied a step ahead of values, as used. A
      // fresh barrier counts as one whose odd phase has passed.
      barrier_wait(key_empty + at_step % STAGES, (at_step / STAGES & 1) ^ 1);
      load_tile<KEYS>(key_tiles + at_step % STAGES * TILE, own_key, key_stride, first * KEYS, keys,
                      dim);
      barrier_wait(&query_empty, (round & 1) ^ 1);
      load_tile<QUERIES>(query_tile, query + head * dim, stride, token, tokens, dim);
      commit_copies();
      // By now nobody needs the number of two rounds ago any more.
      int taking = 0;
      if (threadIdx.x == GROUPS * 128) taking = gridDim.x + atomicAdd(taken, 1);
#pragma unroll 1
      for (int step = 0; step < steps; step++, at_step++) {
        const int stage = at_step % STAGES, next = (at_step + 1) % STAGES;
        if (step + 1 < steps) {
          barrier_wait(key_empty + next, ((at_step + 1) / STAGES & 1) ^ 1);
          load_tile<KEYS>(key_tiles + next * TILE, own_key, key_stride, (first + step + 1) * KEYS,
                          keys, dim);
        }
        commit_copies();
        finish_copies<1>();  // The first keys or the last values.
        warp_arrive(step == 0 ? key_full + stage : value_full + (at_step - 1) % STAGES);
        barrier_wait(value_empty + stage, (at_step / STAGES & 1) ^ 1);
        load_tile<KEYS>(value_tiles + stage * TILE, own_value, key_stride, (first + step) * KEYS,
                        keys, dim);
        commit_copies();
        finish_copies<1>();
        if (step + 1 < steps) warp_arrive(key_full + next);
      }
      finish_copies<0>();
      warp_arrive(value_full + (at_step - 1) % STAGES);
      if (threadIdx.x == GROUPS * 128) {
        work_next[round & 1] = taking;
        barrier_arrive(work_full + (round & 1));
      }
      barrier_wait(work_full + (round & 1), round >> 1 & 1);
      work = __shfl_sync(0xffffffffu, work_next[round & 1], 0);
    }
  } else {
    take_registers<GROUPS == 2 ? 232 : 160>();
    // By shuffles what decides how often products run is the same for a warp as the compiler sees it.
    const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int warp_row = (threadIdx.x >> 5) * 16;  // Of all the tile's rows.
    const float scale2 = scale * LOG2E;
    const unsigned long long own = descriptor<QUERIES>(query_tile + group * 64 * 64);
    const unsigned long long key_tile = descriptor<KEYS>(key_tiles);
    const unsigned long long value_tile = descriptor<KEYS>(value_tiles);
    if (TURNS && group == GROUPS - 1) turn_pass(group);

    int at_step = 0;
#pragma unroll 1
    for (int round = 0, work = blockIdx.x; work < heads * tiles; round++) {
      const int head = work % heads, token = (tiles - 1 - work / heads) * QUERIES;
      const int end = min(token + QUERIES, tokens);
      const int first = first_key_of(starts, token, offset, window) / KEYS;
      const int steps = (end - 1 + offset) / KEYS - first + 1;
      const int top_key = first_key_of(starts, end - 1, offset, window);
      const int low_key = token + group * 64 + offset, row_last = token + warp_row + g + offset;
      // In turns all go along to the last tile, which they might not see.
      const int own_steps = TURNS ? steps : min(steps, (low_key + 63) / KEYS - first + 1);
      float out[DIM / 8][4], score[KEYS / 8][4], highest[2], sum[2], correction[2];
      unsigned weight[KEYS / 16][4];
      int seen_from[2];
#pragma unroll
      for (int i = 0; i < 2; i++) {
        highest[i] = -1e30f, sum[i] = 0.0f;
        seen_from[i] =
            first_key_of(starts, min(token + warp_row + i * 8 + g, tokens - 1), offset, window);
      }
      clear(out);

      int stage = at_step % STAGES;
      barrier_wait(key_full + stage, at_step / STAGES & 1);
      if (TURNS) turn_wait(group);
      multiply_fence();
      multiply_keys(score, own, key_tile + (stage * TILE * 2 >> 4));
      if (TURNS) turn_pass(group);
      multiply_wait<0>();
      hold(score);
      warp_arrive(key_empty + stage);
      if (own_steps == 1) warp_arrive(&query_empty);
      if (first * KEYS < top_key || first * KEYS + KEYS - 1 > low_key)
        mask_scores(score, first * KEYS, row_last, seen_from);
      soften(score, highest, sum, correction, scale2);
      as_left<KEYS / 8>(weight, score);

#pragma unroll 1
      for (int step = 1; step < own_steps; step++) {
        const int now = at_step + step, before = (now - 1) % STAGES, column = (first + step) * KEYS;
        stage = now % STAGES;
        barrier_wait(key_full + stage, now / STAGES & 1);
        if (TURNS) turn_wait(group);
        multiply_fence();
        multiply_keys(score, own, key_tile + (stage * TILE * 2 >> 4));
        barrier_wait(value_full + before, (now - 1) / STAGES & 1);
        multiply_values(out, weight, value_tile + (before * TILE * 2 >> 4));
        if (TURNS) turn_pass(group);
        multiply_wait<1>();
        hold(score);
        warp_arrive(key_empty + stage);
        if (step == own_steps - 1) warp_arrive(&query_empty);
        if (column < top_key || column + KEYS - 1 > low_key)
          mask_scores(score, column, row_last, seen_from);
        soften(score, highest, sum, correction, scale2);
        multiply_wait<0>();
        hold(out);
        warp_arrive(value_empty + before);
#pragma unroll
        for (int n = 0; n < DIM / 8; n++)
#pragma unroll
          for (int e = 0; e < 4; e++) out[n][e] *= correction[e >> 1];
        as_left<KEYS / 8>(weight, score);
      }
      barrier_wait(value_full + stage, (at_step + own_steps - 1) / STAGES & 1);
      if (TURNS) turn_wait(group);
      multiply_fence();
      multiply_values(out, weight, value_tile + (stage * TILE * 2 >> 4));
      if (TURNS) turn_pass(group);
      multiply_wait<0>();
      hold(out);
      warp_arrive(value_empty + stage);
      for (int now = at_step + own_steps; now < at_step + steps; now++) {
        barrier_wait(key_full + now % STAGES, now / STAGES & 1);
        warp_arrive(key_empty + now % STAGES);
        barrier_wait(value_full + now % STAGES, now / STAGES & 1);
        warp_arrive(value_empty + now % STAGES);
      }
      at_step += steps;

#pragma unroll
      for (int i = 0; i < 2; i++) {
        sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 1);
        sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 2);
        const int row = token + warp_row + i * 8 + g;
        if (t == 0 && row < tokens)
          log_sum_exp[(i64)head * tokens + row] = (highest[i] * scale2 + log2f(sum[i])) / LOG2E;
      }
      write_rows<QUERIES>(out, 1.0f / sum[0], 1.0f / sum[1], output_tile,
                          output + (i64)token * stride + head * dim, stride, tokens - token, dim);
      barrier_wait(work_full + (round & 1), round >> 1 & 1);
      work = __shfl_sync(0xffffffffu, work_next[round & 1], 0);
    }
    if (TURNS && group == 0) turn_wait(group);  // What the last group passed on.
  }
}

#else

// The kernels of attention.cu of the same names, with `statistics` of attention_statistics.

// Groups that own 64 rows each.
#ifndef BACKWARD_GROUPS
#define BACKWARD_GROUPS 2
#endif
constexpr int OWNED = BACKWARD_GROUPS * 64, THREADS = OWNED * 2 + 128;
constexpr int QUERY_KEYS = BACKWARD_GROUPS == 2 ? 128 : 64, QUERY_STAGES = DIM > 64 ? 2 : 3;
// Grid: (heads, tiles of OWNED queries). Shared: 1024 + the tiles.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    attention_backward_query_hopper(const bf16 *doutput, const bf16 *query, const bf16 *key,
                                    const bf16 *value, const float2 *statistics, const int *starts,
                                    bf16 *dquery, int tokens, int keys, int heads, int key_heads,
                                    int dim, int offset, int window, float scale) {
  constexpr int KEYS = QUERY_KEYS, STAGES = QUERY_STAGES, TILE = KEYS * PANELS * 64;
  __shared__ unsigned long long full[STAGES], empty[STAGES];
  bf16 *query_tile = first_tile(), *doutput_tile = query_tile + OWNED * PANELS * 64;
  bf16 *pairs = doutput_tile + OWNED * PANELS * 64;
  const int head = blockIdx.x, stride = heads * dim, key_stride = key_heads * dim;
  const int token = (gridDim.y - 1 - blockIdx.y) * OWNED, end = min(token + OWNED, tokens);
  const int first = first_key_of(starts, token, offset, window) / KEYS;
  const int last = (end - 1 + offset) / KEYS;
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) barrier_init(full + s, 4), barrier_init(empty + s, OWNED / 16);
  }
  __syncthreads();

  if (threadIdx.x >= OWNED * 2) {
    leave_registers<BACKWARD_GROUPS == 2 ? 40 : 32>();
    key += head / (heads / key_heads) * dim, value += head / (heads / key_heads) * dim;
    load_tile<OWNED>(query_tile, query + head * dim, stride, token, tokens, dim);
    load_tile<OWNED>(doutput_tile, doutput + head * dim, stride, token, tokens, dim);
    // The copies of the own rows count as the first pair's. With two stages, waiting for the next
    // to be free before telling of the last would keep the owners in step.
    for (int block = first; block <= last; block++) {
      const int step = block - first, stage = step % STAGES;
      barrier_wait(empty + stage, (step / STAGES & 1) ^ 1);
      bf16 *pair = pairs + stage * 2 * TILE;
      load_tile<KEYS>(pair, key, key_stride, block * KEYS, keys, dim);
      load_tile<KEYS>(pair + TILE, value, key_stride, block * KEYS, keys, dim);
      commit_copies();
      if (STAGES == 2) {
        finish_copies<0>();
        warp_arrive(full + stage);
      } else if (step > 0) {
        finish_copies<1>();
        warp_arrive(full + (step - 1) % STAGES);
      }
    }
    if (STAGES > 2) {
      finish_copies<0>();
      warp_arrive(full + (last - first) % STAGES);
    }
  } else {
    take_registers<BACKWARD_GROUPS == 2 ? 232 : 160>();
    const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int warp_row = (threadIdx.x >> 5) * 16;
    const int top_key = first_key_of(starts, end - 1, offset, window);
    const int low_key = token + group * 64 + offset;
    const float scale2 = scale * LOG2E;
    float sum[DIM / 8][4], weight[KEYS / 8][4], dscore[KEYS / 8][4];
    float2 known[2];
    int seen_from[2];
    clear(sum);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int row = min(token + warp_row + i * 8 + g, tokens - 1);
      known[i] = statistics[(i64)head * tokens + row];
      seen_from[i] = first_key_of(starts, row, offset, window);
    }
    const unsigned long long own_query = descriptor<OWNED>(query_tile + group * 64 * 64);
    const unsigned long long own_doutput = descriptor<OWNED>(doutput_tile + group * 64 * 64);

    for (int block = first; block <= last; block++) {
      const int step = block - first, stage = step % STAGES;
      barrier_wait(full + stage, step / STAGES & 1);
      const unsigned long long key_tile = descriptor<KEYS>(pairs + stage * 2 * TILE);
      const unsigned long long value_tile = descriptor<KEYS>(pairs + stage * 2 * TILE + TILE);
      multiply_fence();
#pragma unroll
      for (int k = 0; k < DIM / 16; k++)
        multiply_shared(weight, own_query + channels<OWNED>(k), key_tile + channels<KEYS>(k),
                        k > 0);
      multiply_commit();
#pragma unroll
      for (int k = 0; k < DIM / 16; k++)
        multiply_shared(dscore, own_doutput + channels<OWNED>(k), value_tile + channels<KEYS>(k),
                        k > 0);
      multiply_commit();
      multiply_wait<1>();
      hold(weight);
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          weight[n][e] = power2(fmaf(weight[n][e], scale2, -known[e >> 1].x));
      if (block * KEYS < top_key || block * KEYS + KEYS - 1 > low_key) {
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 0; e < 4; e++) {
            const int column = block * KEYS + n * 8 + 2 * t + (e & 1);
            const int row_last = token + warp_row + (e >> 1) * 8 + g + offset;
            if (column < seen_from[e >> 1] || column > row_last) weight[n][e] = 0.0f;
          }
      }
      multiply_wait<0>();
      hold(dscore);
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) weight[n][e] *= dscore[n][e] - known[e >> 1].y;
      unsigned left[KEYS / 16][4];
      as_left<KEYS / 8>(left, weight);
      multiply_fence();
#pragma unroll
      for (int k = 0; k < KEYS / 16; k++)
        multiply_registers(sum, left[k], key_tile + (k * 16 * 128 >> 4));
      multiply_commit();
      multiply_wait<0>();
      hold(sum);
      warp_arrive(empty + stage);
    }
    group_barrier(group);
    write_rows<OWNED>(sum, scale, scale, query_tile, dquery + (i64)token * stride + head * dim, stride,
               tokens - token, dim);
  }
}

// Grid: (key heads, tiles of OWNED keys). Shared: 1024 + the tiles + 3 * 768 bytes.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    attention_backward_key_hopper(const bf16 *doutput, const bf16 *query, const bf16 *key,
                                  const bf16 *value, const float2 *statistics, const int *starts,
                                  bf16 *dkey, bf16 *dvalue, int tokens, int keys, int heads,
                                  int key_heads, int dim, int offset, int window, float scale) {
  constexpr int QUERIES = 64, STAGES = 3, TILE = QUERIES * PANELS * 64;
  __shared__ unsigned long long full[STAGES], empty[STAGES];
  bf16 *key_tile = first_tile(), *value_tile = key_tile + OWNED * PANELS * 64;
  bf16 *pairs = value_tile + OWNED * PANELS * 64;
  float2 *known = reinterpret_cast<float2 *>(pairs + STAGES * 2 * TILE);
  int *known_starts = reinterpret_cast<int *>(known + STAGES * QUERIES);
  const int key_head = blockIdx.x, heads_each = heads / key_heads, row = blockIdx.y * OWNED;
  const int stride = heads * dim, key_stride = key_heads * dim;
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) barrier_init(full + s, 128), barrier_init(empty + s, OWNED * 2);
  }
  // The query tiles that see a key of this tile.
  const int all = (tokens + QUERIES - 1) / QUERIES, first = max(0, row - offset) / QUERIES;
  int tiles = 0;
  for (int base = first; base < all; base += THREADS) {
    const int tile = base + threadIdx.x;
    const bool seen =
        tile < all && first_key_of(starts, tile * QUERIES, offset, window) < row + OWNED;
    const int count = __syncthreads_count(seen);
    tiles += count;
    if (count < THREADS) break;
  }
  __syncthreads();
  const int rounds = tiles * heads_each;

  if (threadIdx.x >= OWNED * 2) {
    leave_registers<BACKWARD_GROUPS == 2 ? 40 : 32>();
    if (rounds > 0) {
      load_tile<OWNED>(key_tile, key + key_head * dim, key_stride, row, keys, dim);
      load_tile<OWNED>(value_tile, value + key_head * dim, key_stride, row, keys, dim);
    }
    int head = key_head * heads_each, tile = first;
    for (int step = 0; step < rounds; step++) {
      const int stage = step % STAGES, token = tile * QUERIES, thread = threadIdx.x - OWNED * 2;
      const bool inside = thread < QUERIES && token + thread < tokens;
      const float2 own = inside ? statistics[(i64)head * tokens + token + thread]
                                : make_float2(0.0f, 0.0f);
      const int own_start = inside && starts ? starts[token + thread] : 0;
      barrier_wait(empty + stage, (step / STAGES & 1) ^ 1);
      // Told of by the same arrival as the copies, each thread's own.
      if (thread < QUERIES) {
        known[stage * QUERIES + thread] = own;
        known_starts[stage * QUERIES + thread] = own_start;
      }
      bf16 *pair = pairs + stage * 2 * TILE;
      load_tile<QUERIES>(pair, query + head * dim, stride, token, tokens, dim);
      load_tile<QUERIES>(pair + TILE, doutput + head * dim, stride, token, tokens, dim);
      commit_copies();
      if (step > 0) {
        finish_copies<1>();
        barrier_arrive(full + (step - 1) % STAGES);
      }
      if (++tile == first + tiles) head++, tile = first;
    }
    finish_copies<0>();
    if (rounds > 0) barrier_arrive(full + (rounds - 1) % STAGES);
  } else {
    take_registers<BACKWARD_GROUPS == 2 ? 232 : 160>();
    const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int warp_row = (threadIdx.x >> 5) * 16, group_row = row + group * 64;
    const float scale2 = scale * LOG2E;
    float key_sum[DIM / 8][4], value_sum[DIM / 8][4];
    float weight[QUERIES / 8][4], dscore[QUERIES / 8][4];
    clear(key_sum);
    clear(value_sum);
    const unsigned long long own_key = descriptor<OWNED>(key_tile + group * 64 * 64);
    const unsigned long long own_value = descriptor<OWNED>(value_tile + group * 64 * 64);

    int tile = first;
    for (int step = 0; step < rounds; step++) {
      const int stage = step % STAGES, token = tile * QUERIES;
      if (++tile == first + tiles) tile = first;
      barrier_wait(full + stage, step / STAGES & 1);
      const unsigned long long query_tile = descriptor<QUERIES>(pairs + stage * 2 * TILE);
      const unsigned long long doutput_tile = descriptor<QUERIES>(pairs + stage * 2 * TILE + TILE);
      multiply_fence();
#pragma unroll
      for (int k = 0; k < DIM / 16; k++)
        multiply_shared(weight, own_key + channels<OWNED>(k), query_tile + channels<QUERIES>(k),
                        k > 0);
      multiply_commit();
#pragma unroll
      for (int k = 0; k < DIM / 16; k++)
        multiply_shared(dscore, own_value + channels<OWNED>(k),
                        doutput_tile + channels<QUERIES>(k), k > 0);
      multiply_commit();
      multiply_wait<1>();
      hold(weight);
      // Rows past the last token are zeros, with zero statistics: their weight of 1 adds nothing.
      const float4 *pair = reinterpret_cast<const float4 *>(known + stage * QUERIES) + t;
#pragma unroll
      for (int n = 0; n < QUERIES / 8; n++) {
        const float4 two = pair[n * 4];  // Queries n * 8 + 2t and the next.
#pragma unroll
        for (int e = 0; e < 4; e++)
          weight[n][e] = power2(fmaf(weight[n][e], scale2, e & 1 ? -two.z : -two.x));
      }
      const int *own_starts = known_starts + stage * QUERIES;
      const int final = min(token + QUERIES, tokens) - 1;
      const int top_key = first_key(starts ? own_starts[final - token] : 0, final + offset, window);
      if (group_row < top_key || group_row + 63 > token + offset) {
#pragma unroll
        for (int n = 0; n < QUERIES / 8; n++)
#pragma unroll
          for (int c = 0; c < 2; c++) {
            const int column = n * 8 + 2 * t + c, row_last = token + column + offset;
            const int row_first = first_key(starts ? own_starts[column] : 0, row_last, window);
#pragma unroll
            for (int i = 0; i < 2; i++) {
              const int own = row + warp_row + i * 8 + g;
              if (own < row_first || own > row_last) weight[n][2 * i + c] = 0.0f;
            }
          }
      }
      unsigned left[QUERIES / 16][4], right[QUERIES / 16][4];
      as_left<QUERIES / 8>(left, weight);
      multiply_fence();
#pragma unroll
      for (int k = 0; k < QUERIES / 16; k++)
        multiply_registers(value_sum, left[k], doutput_tile + (k * 16 * 128 >> 4));
      multiply_commit();
      multiply_wait<1>();  // dscore is there.
      hold(dscore);
#pragma unroll
      for (int n = 0; n < QUERIES / 8; n++) {
        const float4 two = pair[n * 4];
#pragma unroll
        for (int e = 0; e < 4; e++) weight[n][e] *= dscore[n][e] - (e & 1 ? two.w : two.y);
      }
      as_left<QUERIES / 8>(right, weight);
      multiply_fence();
#pragma unroll
      for (int k = 0; k < QUERIES / 16; k++)
        multiply_registers(key_sum, right[k], query_tile + (k * 16 * 128 >> 4));
      multiply_commit();
      multiply_wait<0>();
      hold(key_sum), hold(value_sum);
      barrier_arrive(empty + stage);
    }
    group_barrier(group);
    const i64 place = (i64)row * key_stride + key_head * dim;
    write_rows<OWNED>(key_sum, scale, scale, key_tile, dkey + place, key_stride, keys - row, dim);
    write_rows<OWNED>(value_sum, 1.0f, 1.0f, value_tile, dvalue + place, key_stride, keys - row, dim);
  }
}

#endif
#endif
