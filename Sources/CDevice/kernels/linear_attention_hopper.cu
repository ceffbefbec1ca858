// Linear attention with a constant decay per head in bf16 for Hopper (sm_90a), heads of up to HEAD_DIM =
// 64 or 128 channels: the sweeps of linear_attention.cu on warpgroup tensor-core instructions, in chunks
// of 128 tokens.
//
// One warpgroup copies chunks into shared memory, two own 64 tokens each of the output and half of the
// state, in f32 in registers; a copy of the state in bf16 in shared memory is what the next chunk's
// queries are multiplied with. A document may be cut into `parts` that blocks sweep at a time: then
// linear_attention_states_hopper sums each part's state on its own first.
//
// With GATES the decay is one per token and channel: linear_attention_gates.cu has put it into queries
// and keys, and gives the weights within a chunk and the decay of the whole. It belongs to the state's
// rows, or, turned, to its columns.
//
// All need channels in eights and tensors at multiples of 16 bytes.
#include "warpgroup.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL  // For other chips the file is empty.

constexpr int CHUNK = 128, STAGES = 2, TILE = CHUNK * PANELS * 64;
constexpr int STEPS = CHUNK / 16;                // Products of 16 tokens.
constexpr int COLUMNS = DIM > 64 ? 16 : 4;       // Eights of state columns per group: all or half.
constexpr int SUMS = COLUMNS * 4;                // Of the state per thread.
#define LOG2E 1.4426950408889634f

struct Sweep {
  const bf16 *query, *key, *value;
  const float *slopes, *initial;
  const int *offsets;
  int tokens, heads, dim, width, parts, reverse, turned;
  float query_scale, key_scale;
#ifdef GATES
  const float *decays;   // Of whole chunks.
  const uint4 *weights;  // Within a chunk, as fragments of left operands.
  uint2 *saved;          // The states after the chunks, in bf16; or from a sweep before, with `ends`,
  float *ends;           // sums of their products with this sweep's states, see linear_attention_gates.cu.
#endif
};

// The tokens of a block: a part of one head of one document.
struct Part {
  int head, document, sequence, index, start, first, end, stop, length;

  // `block` counts parts of sequences.
  __device__ __forceinline__ Part(const Sweep &sweep, int block) {
    index = block % sweep.parts, sequence = block / sweep.parts;
    head = sequence % sweep.heads;
    document = sequence / sweep.heads;
    start = sweep.offsets ? sweep.offsets[document] : 0;
    stop = sweep.offsets ? sweep.offsets[document + 1] : sweep.tokens;
    const int chunks = (stop - start + CHUNK - 1) / CHUNK;
    length = (chunks + sweep.parts - 1) / sweep.parts * CHUNK;
    first = begin(index), end = begin(index + 1);
  }

  __device__ __forceinline__ int begin(int part) const {
    return start + (int)min((i64)part * length, (i64)(stop - start));
  }
  __device__ __forceinline__ int chunks() const { return (end - first + CHUNK - 1) / CHUNK; }
  // Where the chunk begins that is swept in the given place.
  __device__ __forceinline__ int chunk(int place, int reverse) const {
    return first + (reverse ? chunks() - 1 - place : place) * CHUNK;
  }
  // The number of a chunk's head among all, as linear_attention_gates.cu counts.
  __device__ __forceinline__ i64 number(const Sweep &sweep, int token) const {
    return (i64)(start / CHUNK + document + (token - start) / CHUNK) * sweep.heads + head;
  }
};

// decay^n.
__device__ __forceinline__ float power(float slope, int n) {
  return n == 0 ? 1.0f : power2(-slope * LOG2E * n);
}

__device__ __forceinline__ void owners_barrier(int id) {
  asm volatile("bar.sync %0, 256;" ::"r"(id) : "memory");
}

// Row and column of a thread's sums in the state, less what the eight and the element add.
__device__ __forceinline__ int state_row() {
  const int warp = DIM > 64 ? threadIdx.x >> 5 : threadIdx.x >> 5 & 3;
  return warp * 16 + (threadIdx.x >> 2 & 7);
}
__device__ __forceinline__ int state_column() {
  return (DIM > 64 ? 0 : (threadIdx.x >> 7) * 32) + (threadIdx.x & 3) * 2;
}

// Where a thread's sums of the state lie in [dim, width], `turned` [width, dim]; below 0 outside.
__device__ __forceinline__ int state_place(const Sweep &sweep, int n, int e) {
  const int row = state_row() + (e >> 1) * 8, column = state_column() + n * 8 + (e & 1);
  if (row >= sweep.dim || column >= sweep.width) return -1;
  return sweep.turned ? column * sweep.dim + row : row * sweep.width + column;
}

// A part's own state, in the order the threads hold it: [SUMS / 4, 256] times 4.
__device__ __forceinline__ float4 *part_state(float4 *states, i64 sequence, int parts, int part) {
  return states + ((sequence * parts + part) * (SUMS / 4)) * 256 + threadIdx.x;
}

// The state before a part: what came in, and the parts before.
__device__ __forceinline__ void begin_state(float (&state)[COLUMNS][4], const Sweep &sweep,
                                            const Part &part, float slope, float4 *states) {
  clear(state);
  if (sweep.initial) {
    const float *initial = sweep.initial + (i64)part.sequence * sweep.dim * sweep.width;
    const float left =
        power(slope, sweep.reverse ? part.stop - part.end : part.first - part.start);
#pragma unroll
    for (int n = 0; n < COLUMNS; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int place = state_place(sweep, n, e);
        if (place >= 0) state[n][e] = left * initial[place];
      }
  }
  // From the farthest to the nearest.
  const int count = sweep.reverse ? sweep.parts - 1 - part.index : part.index;
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    const int other = sweep.reverse ? sweep.parts - 1 - i : i;
    const int apart =
        sweep.reverse ? part.begin(other) - part.end : part.first - part.begin(other + 1);
    if (part.begin(other) == part.begin(other + 1)) continue;
    const float left = power(slope, apart);
    if (left == 0.0f) continue;
    const float4 *from = part_state(states, part.sequence, sweep.parts, other);
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
      const float4 x = from[n * 256];
      state[n][0] = fmaf(left, x.x, state[n][0]), state[n][1] = fmaf(left, x.y, state[n][1]);
      state[n][2] = fmaf(left, x.z, state[n][2]), state[n][3] = fmaf(left, x.w, state[n][3]);
    }
  }
}

// A group's half of the chunk's keys, turned and weighted, as the left operand of what is added to the
// state. `weights` is the weight of the chunk's first token; those of later ones lie before it.
__device__ __forceinline__ void weigh_keys(unsigned (&a)[STEPS][4], const bf16 *key_tile,
                                           const float *weights) {
  const int lane = threadIdx.x & 31;
  const int warp = DIM > 64 ? threadIdx.x >> 5 : threadIdx.x >> 5 & 3;
  const int row = (lane & 7) + (lane >> 4 & 1) * 8, chunk = warp * 2 + (lane >> 3 & 1);
  const unsigned from = address(key_tile + at<CHUNK>(row, chunk));  // Eights of rows keep the swizzle.
#pragma unroll
  for (int k = 0; k < STEPS; k++) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(a[k][0]), "=r"(a[k][1]), "=r"(a[k][2]), "=r"(a[k][3])
                 : "r"(from + k * 16 * 128));
#ifndef GATES
    const float *w = weights - k * 16 - 2 * (lane & 3);
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const float low = __uint_as_float(a[k][e] << 16), high = __uint_as_float(a[k][e] & 0xffff0000u);
      a[k][e] = pack(low * w[-(e >> 1) * 8], high * w[-(e >> 1) * 8 - 1]);
    }
#endif
  }
}

// Starts state += the product of the weighted keys and the values.
__device__ __forceinline__ void add_values(float (&state)[COLUMNS][4],
                                           const unsigned (&keys)[STEPS][4],
                                           unsigned long long values) {
#pragma unroll
  for (int k = 0; k < STEPS; k++)
    multiply_registers(state, keys[k], values + (k * 16 * 128 >> 4));
  multiply_commit();
}

template <int N>
__device__ __forceinline__ void scale_rows(float (&x)[N][4], float factor0, float factor1) {
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int e = 0; e < 4; e++) x[n][e] *= e < 2 ? factor0 : factor1;
}

// A thread's sums of the state to the copy that products read, which nobody reads at the time.
__device__ __forceinline__ void copy_state(const float (&state)[COLUMNS][4], bf16 *tile) {
  const int t = threadIdx.x & 3, chunk = DIM > 64 ? 0 : (threadIdx.x >> 7) * 4;
#pragma unroll
  for (int n = 0; n < COLUMNS; n++)
#pragma unroll
    for (int r = 0; r < 2; r++)
      *reinterpret_cast<unsigned *>(tile + at<DIM>(state_row() + r * 8, chunk + n) + 2 * t) =
          pack(state[n][2 * r], state[n][2 * r + 1]);
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  owners_barrier(1);
}

#ifdef GATES

// The state after a chunk, but for what the chunk adds.
__device__ __forceinline__ void decay_state(float (&state)[COLUMNS][4], const Sweep &sweep,
                                            i64 number) {
  const float *decays = sweep.decays + number * DIM;
  if (!sweep.turned) return scale_rows(state, decays[state_row()], decays[state_row() + 8]);
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    const float2 x = *reinterpret_cast<const float2 *>(decays + state_column() + n * 8);
    state[n][0] *= x.x, state[n][1] *= x.y, state[n][2] *= x.x, state[n][3] *= x.y;
  }
}

__device__ __forceinline__ uint2 *saved_state(const Sweep &sweep, i64 number) {
  return sweep.saved + number * COLUMNS * 256 + threadIdx.x;
}

__device__ __forceinline__ void save_state(const float (&state)[COLUMNS][4], const Sweep &sweep,
                                           i64 number) {
#pragma unroll
  for (int n = 0; n < COLUMNS; n++)
    saved_state(sweep, number)[n * 256] =
        make_uint2(pack(state[n][0], state[n][1]), pack(state[n][2], state[n][3]));
}

// Sums the products of the state and a saved one over each warp's rows.
__device__ __forceinline__ void sum_ends(const float (&state)[COLUMNS][4],
                                         const uint2 (&saved)[COLUMNS], const Sweep &sweep,
                                         i64 number) {
  float *ends = sweep.ends + number * (DIM / 16) * DIM + (state_row() >> 4) * DIM + state_column();
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    const uint2 other = saved[n];
    float2 sum = make_float2(state[n][0] * __uint_as_float(other.x << 16) +
                                 state[n][2] * __uint_as_float(other.y << 16),
                             state[n][1] * __uint_as_float(other.x & 0xffff0000u) +
                                 state[n][3] * __uint_as_float(other.y & 0xffff0000u));
#pragma unroll
    for (int apart = 4; apart < 32; apart *= 2) {
      sum.x += __shfl_xor_sync(0xffffffffu, sum.x, apart);
      sum.y += __shfl_xor_sync(0xffffffffu, sum.y, apart);
    }
    if ((threadIdx.x & 31) < 4) *reinterpret_cast<float2 *>(ends + n * 8) = sum;
  }
}

#endif

// The weights of N eights of keys, from `column` on, for an owner's queries, as the left operand of
// what they take from the values. Copies the state meanwhile.
template <int N>
__device__ __forceinline__ void weigh_values(unsigned (&weight)[STEPS][4], unsigned long long own,
                                             unsigned long long keys, const float *apart,
                                             const float (&state)[COLUMNS][4], bf16 *state_tile) {
  float score[N][4];
  multiply_fence();
#pragma unroll
  for (int k = 0; k < DIM / 16; k++)
    multiply_shared(score, own + channels<CHUNK>(k), keys + channels<CHUNK>(k), k > 0);
  multiply_commit();
  copy_state(state, state_tile);
  multiply_wait<0>();
  hold(score);
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int e = 0; e < 4; e++) score[n][e] *= apart[(e >> 1) * 8 - n * 8 - (e & 1)];
#pragma unroll
  for (int k = 0; k < N / 2; k++)
#pragma unroll
    for (int e = 0; e < 4; e++)
      weight[k][e] =
          pack(score[2 * k + (e >> 1)][(e & 1) * 2], score[2 * k + (e >> 1)][(e & 1) * 2 + 1]);
}

// Copies the chunks of a part, each when its stage is free.
template <bool STATES>
__device__ __forceinline__ void copy_chunks(const Sweep &sweep, const Part &part, bf16 *tiles,
                                            unsigned long long *full, unsigned long long *empty) {
  constexpr int PER_STAGE = STATES ? 2 : 3;
  const int stride = sweep.heads * sweep.dim, width_stride = sweep.heads * sweep.width;
  const bf16 *query = sweep.query + part.head * sweep.dim, *key = sweep.key + part.head * sweep.dim;
  const bf16 *value = sweep.value + part.head * sweep.width;
  const int count = part.chunks();
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    const int stage = i % STAGES, token = part.chunk(i, sweep.reverse);
    bf16 *tile = tiles + stage * PER_STAGE * TILE;
    barrier_wait(empty + stage, (i / STAGES & 1) ^ 1);
    load_tile<CHUNK>(tile, key, stride, token, part.end, sweep.dim);
    load_tile<CHUNK>(tile + TILE, value, width_stride, token, part.end, sweep.width);
    if (!STATES) load_tile<CHUNK>(tile + 2 * TILE, query, stride, token, part.end, sweep.dim);
    commit_copies();
    if (i + 1 < STAGES && i + 1 < count) continue;  // At first there is room for more.
    if (i < STAGES) {
#pragma unroll 1
      for (int early = 0; early < i; early++) {
        finish_copies<1>();
        warp_arrive(full + early);
      }
    }
    finish_copies<0>();
    warp_arrive(full + stage);
  }
}
static_assert(STAGES == 2, "one early chunk");

// With INNER the output has what lies within a chunk, else only what comes from the state.
template <bool STATES, bool INNER>
__device__ __forceinline__ void sweep_part(const Sweep &sweep, const Part &part, bf16 *output,
                                           float *final_state, float4 *states) {
  constexpr int PER_STAGE = STATES ? 2 : 3;
  __shared__ unsigned long long full[STAGES], empty[STAGES];
  // The decay's powers by the distance from the key to the query, times the keys' scale; 0 where the
  // key comes later.
  __shared__ float powers[2 * CHUNK];
  bf16 *tiles = first_tile(), *state_tile = tiles + STAGES * PER_STAGE * TILE;
  const float slope = sweep.slopes ? sweep.slopes[part.head] : 0.0f;
  if (threadIdx.x == 0)
    for (int s = 0; s < STAGES; s++) barrier_init(full + s, 4), barrier_init(empty + s, 8);
  if (threadIdx.x < 2 * CHUNK) {
    const int apart = sweep.reverse ? CHUNK - (int)threadIdx.x : (int)threadIdx.x - CHUNK;
    powers[threadIdx.x] = apart >= 0 ? sweep.key_scale * power(slope, apart) : 0.0f;
  }
  __syncthreads();

  if (threadIdx.x >= 256) {
    leave_registers<40>();
    copy_chunks<STATES>(sweep, part, tiles, full, empty);
  } else {
    take_registers<232>();
    // By a shuffle the compiler sees that it is the same for a warp.
    const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
    const int count = part.chunks();
    float state[COLUMNS][4];
    if (STATES)
      clear(state);
    else
      begin_state(state, sweep, part, slope, states);

#pragma unroll 1
    for (int i = 0; i < count; i++) {
      const int stage = i % STAGES, token = part.chunk(i, sweep.reverse);
      const int m = min(CHUNK, part.end - token);
      bf16 *key_tile = tiles + stage * PER_STAGE * TILE, *value_tile = key_tile + TILE;
      bf16 *query_tile = value_tile + TILE;
      const unsigned long long values = descriptor<CHUNK>(value_tile);
      const float *weights = powers + CHUNK + (sweep.reverse ? -1 : m - 1);
      const unsigned long long own_values = values + (DIM > 64 ? 0 : group * 64 >> 4);
      unsigned keys[STEPS][4];
#ifdef GATES
      const i64 number = part.number(sweep, token);
      uint2 saved[COLUMNS];
      if (!INNER && sweep.ends)
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) saved[n] = saved_state(sweep, number)[n * 256];
#endif
      barrier_wait(full + stage, i / STAGES & 1);
      if (STATES) {
        weigh_keys(keys, key_tile, weights);
        scale_rows(state, power(slope, m), power(slope, m));
        hold(state);
        multiply_fence();
        add_values(state, keys, own_values);
        multiply_wait<0>();
        hold(state);
        warp_arrive(empty + stage);
        continue;
      }

      // One group's tokens see half of the keys.
      const bool isHalf = group == sweep.reverse;
      const int column = isHalf ? group * 64 : 0;
      const unsigned long long own = descriptor<CHUNK>(query_tile + group * 64 * 64);
      unsigned weight[STEPS][4];
#ifdef GATES
      if (INNER) {
        const uint4 *fragments = sweep.weights + (number * STEPS + column / 16) * 256 + threadIdx.x;
#pragma unroll
        for (int k = 0; k < STEPS; k++)
          if (!isHalf || k < STEPS / 2) {
            const uint4 x = fragments[k * 256];
            weight[k][0] = x.x, weight[k][1] = x.y, weight[k][2] = x.z, weight[k][3] = x.w;
          }
      }
      copy_state(state, state_tile);
#else
      const int row = (threadIdx.x >> 5) * 16 + (threadIdx.x >> 2 & 7);
      const float *apart = powers + CHUNK + row - column - 2 * (threadIdx.x & 3);
      const unsigned long long first_key = descriptor<CHUNK>(key_tile) + (column * 128 >> 4);
      if (isHalf)
        weigh_values<8>(weight, own, first_key, apart, state, state_tile);
      else
        weigh_values<16>(weight, own, first_key, apart, state, state_tile);
#endif

      float out[DIM / 8][4];
      multiply_fence();
#pragma unroll
      for (int k = 0; k < DIM / 16; k++)
        multiply_turned(out, own + channels<CHUNK>(k),
                        descriptor<DIM>(state_tile) + (k * 16 * 128 >> 4), k > 0);
      multiply_commit();
#ifdef GATES
      if (!INNER && sweep.ends) sum_ends(state, saved, sweep, number);
      decay_state(state, sweep, number);
#else
      scale_rows(state, power(slope, m), power(slope, m));
#endif
      weigh_keys(keys, key_tile, weights);
      multiply_wait<0>();
      hold(out);
#ifndef GATES
      scale_rows(out, power(slope, sweep.reverse ? max(m - 1 - row, 0) : row + 1),
                 power(slope, sweep.reverse ? max(m - 9 - row, 0) : row + 9));
#endif
      hold(out), hold(state);
      multiply_fence();
      if (INNER) {
#pragma unroll
        for (int k = 0; k < STEPS / 2; k++)
          multiply_registers(out, weight[k], values + ((column + k * 16) * 128 >> 4));
        if (!isHalf)
#pragma unroll
          for (int k = STEPS / 2; k < STEPS; k++)
            multiply_registers(out, weight[k], values + (k * 16 * 128 >> 4));
      }
      multiply_commit();
      add_values(state, keys, own_values);
      multiply_wait<1>();
      hold(out);
      write_rows<CHUNK>(out, sweep.query_scale, sweep.query_scale, query_tile,
                        output + (i64)token * sweep.heads * sweep.width + part.head * sweep.width,
                        sweep.heads * sweep.width, m, sweep.width);
      multiply_wait<0>();
      hold(state);
      warp_arrive(empty + stage);
#ifdef GATES
      if (!INNER && sweep.saved && !sweep.ends) save_state(state, sweep, number);
#endif
      owners_barrier(2);  // Nobody reads the copy of the state any more.
    }

    if constexpr (STATES) {
      float4 *to = part_state(states, part.sequence, sweep.parts, part.index);
#pragma unroll
      for (int n = 0; n < COLUMNS; n++)
        to[n * 256] = make_float4(state[n][0], state[n][1], state[n][2], state[n][3]);
    } else if (final_state && part.index == (sweep.reverse ? 0 : sweep.parts - 1)) {
      final_state += (i64)part.sequence * sweep.dim * sweep.width;
#pragma unroll
      for (int n = 0; n < COLUMNS; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const int place = state_place(sweep, n, e);
          if (place >= 0) final_state[place] = state[n][e];
        }
    }
  }
}

#ifndef GATES

// Grid: documents * heads * parts. Shared: 1024 + tiles of (STAGES * 3 CHUNK + DIM) rows. States as in
// linear_attention.cu.
extern "C" __global__ void __launch_bounds__(384, 1)
    linear_attention_sweep_hopper(const bf16 *query, const bf16 *key, const bf16 *value,
                                  const float *slopes, const int *offsets, const float *initial,
                                  bf16 *output, float *final_state, float4 *states, int tokens,
                                  int heads, int dim, int width, int parts, float query_scale,
                                  float key_scale, int reverse, int turned) {
  const Sweep sweep = {query, key,   value, slopes, initial, offsets,     tokens,   heads,
                       dim,   width, parts, reverse, turned, query_scale, key_scale};
  sweep_part<false, true>(sweep, Part(sweep, blockIdx.x), output, final_state, states);
}

// The states of all parts but the last in the sweep's direction, each as if it were the first. Grid:
// documents * heads * (parts - 1). Shared: 1024 + tiles of STAGES * 2 CHUNK rows.
extern "C" __global__ void __launch_bounds__(384, 1)
    linear_attention_states_hopper(const bf16 *key, const bf16 *value, const float *slopes,
                                   const int *offsets, float4 *states, int tokens, int heads,
                                   int dim, int width, int parts, float key_scale, int reverse) {
  const Sweep sweep = {nullptr, key,   value, slopes,  nullptr, offsets, tokens,   heads,
                       dim,     width, parts, reverse, 0,       1.0f,    key_scale};
  Part part(sweep, blockIdx.x / (parts - 1) * parts + blockIdx.x % (parts - 1) + reverse);
  // What decays to exp(-32) on the way is lost in the rounding of what follows.
  const float slope = slopes ? slopes[part.head] : 0.0f;
  if (slope * part.length > 32.0f) {
    const int chunks = (int)(32.0f / (slope * CHUNK)) + 1;
    if (reverse)
      part.end = min(part.end, part.first + chunks * CHUNK);
    else
      part.first = max(part.first, part.begin(part.index + 1) - chunks * CHUNK);
  }
  sweep_part<true, false>(sweep, part, nullptr, nullptr, states);
}

#else

// Grid: documents * heads. Shared: as linear_attention_sweep_hopper.
#define GATED(name, inner)                                                                          \
  extern "C" __global__ void __launch_bounds__(384, 1)                                              \
      name(const bf16 *query, const bf16 *key, const bf16 *value, const float *decays,              \
           const uint4 *weights, const int *offsets, const float *initial, bf16 *output,            \
           float *final_state, uint2 *saved, float *ends, int tokens, int heads, int dim, int width, \
           float query_scale, int reverse, int turned) {                                            \
    const Sweep sweep = {query,   key,    value,       nullptr, initial, offsets, tokens, heads,    \
                         dim,     width,  1,           reverse, turned,  query_scale, 1.0f, decays,  \
                         weights, saved,  ends};                                                    \
    sweep_part<false, inner>(sweep, Part(sweep, blockIdx.x), output, final_state, nullptr);          \
  }
GATED(linear_attention_gated_sweep, true)
GATED(linear_attention_gated_outer, false)

#endif

#endif
