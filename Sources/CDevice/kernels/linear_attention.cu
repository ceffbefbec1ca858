// Linear attention with a constant decay per head, in chunks of a document: within a chunk of m tokens
// the masked product of queries and keys, between chunks a state in shared memory (Qin et al. 2024,
// "Various Lengths, Constant Speed"). Only powers of the decay that are not negative appear.
//
// One sweep serves forward and all gradients. With f(Q, K, V) the output forward in time and g the same
// backward in time, O = f(Q, K, V), dQ = f(dO, V, K), dK = g(V, dO, Q), dV = g(K, Q, dO); the state of
// the second and third is the transposed one. Backward in time the state, here the gradient of the
// state after the last token, is not decayed before the first token but after every one.
//
// With SLOPES the sweep sums the gradient of the log-decay instead: beside the state S its derivative R
// is carried, R_t = decay (R_(t-1) + S_(t-1)), which needs no difference of large sums.
//
// Compiled per DIM, the channels that queries and keys are multiplied over, rounded up to 32.
#include "element.cuh"

#ifndef DIM
#define DIM 128
#endif

constexpr int THREADS = 256, CHUNK = DIM > 128 ? 16 : 32, TILE = DIM > 128 ? 16 : 32;
constexpr int EACH = CHUNK / 16, PITCH = DIM + 1, SHORT = 33;

// Shared: (2 CHUNK PITCH + 2 CHUNK SHORT + DIM SHORT + CHUNK) floats, with SLOPES another
// (CHUNK + DIM) SHORT.
extern __shared__ float shared[];

__device__ __forceinline__ float power(float slope, int n) {
  return n == 0 ? 1.0f : expf(-slope * n);
}

// Grid: documents * heads * tiles of `width`. States are [documents, heads, dim, width] in memory, or
// with `turned` [.., width, dim].
extern "C" __global__ void __launch_bounds__(THREADS)
#ifdef SLOPES
    linear_attention_slopes(
#else
    linear_attention_sweep(
#endif
        const T *query, const T *key, const T *value, const float *slopes, const int *offsets,
        const float *initial,
#ifdef SLOPES
        const T *doutput, const float *dfinal, double *parts,
#else
        T *output, float *final_state,
#endif
        int tokens, int heads, int dim, int width, float query_scale, float key_scale, int reverse,
        int turned) {
  float *q = shared, *k = q + CHUNK * PITCH, *v = k + CHUNK * PITCH, *a = v + CHUNK * SHORT;
  float *state = a + CHUNK * SHORT, *weights = state + DIM * SHORT;
#ifdef SLOPES
  float *b = weights + CHUNK, *moved = b + CHUNK * SHORT;
  double total = 0.0;
#endif
  const int tiles = (width + TILE - 1) / TILE, first = blockIdx.x % tiles * TILE;
  const int sequence = blockIdx.x / tiles, head = sequence % heads, document = sequence / heads;
  const int start = offsets ? offsets[document] : 0, end = offsets ? offsets[document + 1] : tokens;
  const float slope = slopes ? slopes[head] : 0.0f;
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  const i64 state_base = (i64)sequence * dim * width, pitch = (i64)heads * dim;
  const i64 width_pitch = (i64)heads * width;

  for (int index = threadIdx.x; index < DIM * TILE; index += THREADS) {
    const int c = index / TILE, x = index % TILE, column = first + x;
    float s = 0.0f;
    if (initial && c < dim && column < width)
      s = initial[state_base + (turned ? (i64)column * dim + c : (i64)c * width + column)];
    state[c * SHORT + x] = s;
#ifdef SLOPES
    moved[c * SHORT + x] = 0.0f;
#endif
  }

  for (int done = 0; done < end - start; done += CHUNK) {
    const int m = min(CHUNK, end - start - done);
    __syncthreads();
    for (int index = threadIdx.x; index < CHUNK * DIM; index += THREADS) {
      const int i = index / DIM, c = index % DIM;
      const i64 row = reverse ? end - 1 - done - i : start + done + i;
      const bool inside = i < m && c < dim;
      q[i * PITCH + c] = inside ? query_scale * load(query + row * pitch + head * dim + c) : 0.0f;
      k[i * PITCH + c] = inside ? key_scale * load(key + row * pitch + head * dim + c) : 0.0f;
    }
    for (int index = threadIdx.x; index < CHUNK * TILE; index += THREADS) {
      const int i = index / TILE, x = index % TILE;
      const i64 row = reverse ? end - 1 - done - i : start + done + i;
      v[i * SHORT + x] = i < m && first + x < width
                             ? load(value + row * width_pitch + head * width + first + x)
                             : 0.0f;
    }
    if (threadIdx.x < CHUNK)
      weights[threadIdx.x] =
          threadIdx.x < m ? power(slope, m - 1 - (int)threadIdx.x + reverse) : 0.0f;
    __syncthreads();

    float sums[EACH][EACH];
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
      for (int j = 0; j < EACH; j++) sums[i][j] = 0.0f;
#pragma unroll 8
    for (int c = 0; c < DIM; c++)
#pragma unroll
      for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++)
          sums[i][j] = fmaf(q[(ty + 16 * i) * PITCH + c], k[(tx + 16 * j) * PITCH + c], sums[i][j]);
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
      for (int j = 0; j < EACH; j++) {
        const int row = ty + 16 * i, column = tx + 16 * j, apart = row - column;
        const float x = apart >= 0 ? sums[i][j] * power(slope, apart) : 0.0f;
        a[row * SHORT + column] = x;
#ifdef SLOPES
        b[row * SHORT + column] = x * apart;
#endif
      }
    __syncthreads();

#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
      for (int j = 0; j < EACH; j++) {
        const int row = ty + 16 * i, x = tx + 16 * j;
        if (row >= m || first + x >= width) continue;
        const i64 token = reverse ? end - 1 - done - row : start + done + row;
        const i64 place = token * width_pitch + head * width + first + x;
        float within = 0.0f, before = 0.0f;
#ifdef SLOPES
        for (int u = 0; u <= row; u++) within = fmaf(b[row * SHORT + u], v[u * SHORT + x], within);
#pragma unroll 8
        for (int c = 0; c < DIM; c++)
          before = fmaf(q[row * PITCH + c],
                        fmaf((float)(row + 1), state[c * SHORT + x], moved[c * SHORT + x]), before);
        total += (double)load(doutput + place) * (within + power(slope, row + 1) * before);
#else
        for (int u = 0; u <= row; u++) within = fmaf(a[row * SHORT + u], v[u * SHORT + x], within);
#pragma unroll 8
        for (int c = 0; c < DIM; c++)
          before = fmaf(q[row * PITCH + c], state[c * SHORT + x], before);
        store(output + place, within + power(slope, row + 1 - reverse) * before);
#endif
      }
    __syncthreads();

    const float left = power(slope, m);
    for (int index = threadIdx.x; index < DIM * TILE; index += THREADS) {
      const int c = index / TILE, x = index % TILE;
      float s = 0.0f;
#ifdef SLOPES
      float r = 0.0f;
#endif
#pragma unroll 8
      for (int i = 0; i < CHUNK; i++) {
        const float part = weights[i] * k[i * PITCH + c] * v[i * SHORT + x];
        s += part;
#ifdef SLOPES
        r = fmaf((float)(m - 1 - i), part, r);
#endif
      }
#ifdef SLOPES
      moved[c * SHORT + x] = fmaf(left, fmaf((float)m, state[c * SHORT + x], moved[c * SHORT + x]), r);
#endif
      state[c * SHORT + x] = fmaf(left, state[c * SHORT + x], s);
    }
  }

  for (int index = threadIdx.x; index < DIM * TILE; index += THREADS) {
    const int c = index / TILE, x = index % TILE, column = first + x;
    if (c >= dim || column >= width) continue;
    const i64 place = state_base + (turned ? (i64)column * dim + c : (i64)c * width + column);
#ifdef SLOPES
    if (dfinal) total += (double)dfinal[place] * moved[c * SHORT + x];
#else
    if (final_state) final_state[place] = state[c * SHORT + x];
#endif
  }
#ifdef SLOPES
  total = block_sum_double(total);
  if (threadIdx.x == 0) parts[blockIdx.x] = total;
#endif
}

#ifdef SLOPES
// dslopes[head] = - the sum of the head's parts, [documents, heads, tiles]. Grid: heads.
extern "C" __global__ void linear_attention_slope_sums(const double *parts, float *dslopes,
                                                       int documents, int heads, int tiles) {
  const int head = blockIdx.x;
  double total = 0.0;
  for (i64 index = threadIdx.x; index < (i64)documents * tiles; index += blockDim.x)
    total += parts[(index / tiles * heads + head) * tiles + index % tiles];
  total = block_sum_double(total);
  if (threadIdx.x == 0) dslopes[head] = (float)-total;
}
#endif
