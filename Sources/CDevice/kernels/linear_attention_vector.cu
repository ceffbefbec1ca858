// Linear attention token by token: with a decay per token and key channel (Yang et al. 2024, "Gated
// Linear Attention"; Qin et al. 2024, "HGRN2"), and for single tokens with any decay. A warp holds some
// rows of the state for 32 columns in registers; the factors themselves are multiplied in, so nothing
// overflows.
//
// One sweep serves forward and all gradients, see linear_attention.cu. The decay belongs to the rows
// of the state, or, where the state is turned, to its columns, or, as an outer product, to both.
//
// Compiled per DIM, the rows of the state rounded up to 32.
#include "element.cuh"

#ifndef DIM
#define DIM 128
#endif

constexpr int WARPS = 8, THREADS = WARPS * 32, TILE = 32, ROWS = DIM / WARPS, STEPS = 16;

// Shared: STEPS (3 DIM + 2 TILE + WARPS TILE) floats.
extern __shared__ float shared[];

// Grid: documents * heads * tiles of `width`. States are [documents, heads, dim, width] in memory, or
// with `turned` [.., width, dim]. With `single`, document n is token n.
extern "C" __global__ void __launch_bounds__(THREADS)
    linear_attention_recurrence(const T *query, const T *key, const T *value, const float *slopes,
                                const float *row_decay, const float *column_decay,
                                const int *offsets, const float *initial, T *output, float *exact,
                                float *final_state, int tokens, int heads, int dim, int width,
                                float query_scale, float key_scale, int reverse, int turned,
                                int single) {
  float *q = shared, *k = q + STEPS * DIM, *factors = k + STEPS * DIM;
  float *columns = factors + STEPS * DIM, *v = columns + STEPS * TILE, *parts = v + STEPS * TILE;
  const int tiles = (width + TILE - 1) / TILE, first = blockIdx.x % tiles * TILE;
  const int sequence = blockIdx.x / tiles, head = sequence % heads, document = sequence / heads;
  const int start = single ? document : offsets ? offsets[document] : 0;
  const int end = single ? document + 1 : offsets ? offsets[document + 1] : tokens;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, column = first + lane;
  const float constant = slopes ? expf(-slopes[head]) : 1.0f;
  const i64 state_base = (i64)sequence * dim * width, pitch = (i64)heads * dim;
  const i64 width_pitch = (i64)heads * width;

  float state[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const int c = warp * ROWS + r;
    state[r] = 0.0f;
    if (initial && c < dim && column < width)
      state[r] = initial[state_base + (turned ? (i64)column * dim + c : (i64)c * width + column)];
  }

  for (int done = 0; done < end - start; done += STEPS) {
    const int m = min(STEPS, end - start - done);
    __syncthreads();
    for (int index = threadIdx.x; index < STEPS * DIM; index += THREADS) {
      const int i = index / DIM, c = index % DIM;
      const i64 row = reverse ? end - 1 - done - i : start + done + i;
      const i64 place = row * pitch + head * dim + c;
      const bool inside = i < m && c < dim;
      q[index] = inside ? query_scale * load(query + place) : 0.0f;
      k[index] = inside ? key_scale * load(key + place) : 0.0f;
      factors[index] = row_decay && inside ? expf(row_decay[place]) : constant;
    }
    for (int index = threadIdx.x; index < STEPS * TILE; index += THREADS) {
      const int i = index / TILE, x = index % TILE;
      const i64 row = reverse ? end - 1 - done - i : start + done + i;
      const i64 place = row * width_pitch + head * width + first + x;
      const bool inside = i < m && first + x < width;
      v[index] = inside ? load(value + place) : 0.0f;
      columns[index] = column_decay && inside ? expf(column_decay[place]) : 1.0f;
    }
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float own = v[i * TILE + lane], shrink = columns[i * TILE + lane];
      float sum = 0.0f;
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        const int c = i * DIM + warp * ROWS + r;
        const float factor = factors[c] * shrink;
        // Forward in time a state decays before the token is added, backward after.
        float s = reverse ? state[r] : factor * state[r];
        s = fmaf(k[c], own, s);
        sum = fmaf(q[c], s, sum);
        state[r] = reverse ? factor * s : s;
      }
      parts[(warp * STEPS + i) * TILE + lane] = sum;
    }
    __syncthreads();
    for (int index = threadIdx.x; index < m * TILE; index += THREADS) {
      const int i = index / TILE, x = index % TILE;
      if (first + x >= width) continue;
      const i64 row = reverse ? end - 1 - done - i : start + done + i;
      const i64 place = row * width_pitch + head * width + first + x;
      float sum = 0.0f;
#pragma unroll
      for (int w = 0; w < WARPS; w++) sum += parts[w * STEPS * TILE + index];
      if (output) store(output + place, sum);
      if (exact) exact[place] = sum;
    }
  }

  if (!final_state || column >= width) return;
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const int c = warp * ROWS + r;
    if (c < dim)
      final_state[state_base + (turned ? (i64)column * dim + c : (i64)c * width + column)] = state[r];
  }
}

// dlog_decay_t = Σ_(i >= t) (q_i dq_i - k_i dk_i) + row sums of dfinal · final, summed in double.
// Grid: documents * heads. States are [documents, heads, dim, width], or with `turned` [.., width, dim]:
// then outputs and values stand for queries and keys, and sums are those of columns.
extern "C" __global__ void linear_attention_log_decay(const T *query, const T *key,
                                                      const float *dquery, const float *dkey,
                                                      const float *final_state, const float *dfinal,
                                                      const int *offsets, float *dlog_decay,
                                                      int tokens, int heads, int dim, int width,
                                                      int turned) {
  const int head = blockIdx.x % heads, document = blockIdx.x / heads;
  const int start = offsets ? offsets[document] : 0, end = offsets ? offsets[document + 1] : tokens;
  for (int c = threadIdx.x; c < dim; c += blockDim.x) {
    double sum = 0.0;
    if (dfinal) {
      const i64 base = (i64)blockIdx.x * dim * width;
      for (int x = 0; x < width; x++) {
        const i64 place = base + (turned ? (i64)x * dim + c : (i64)c * width + x);
        sum += (double)dfinal[place] * final_state[place];
      }
    }
    for (i64 t = end - 1; t >= start; t--) {
      const i64 place = (t * heads + head) * dim + c;
      sum += (double)load(query + place) * dquery[place] - (double)load(key + place) * dkey[place];
      dlog_decay[place] = (float)sum;
    }
  }
}
