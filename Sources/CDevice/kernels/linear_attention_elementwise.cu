// Linear attention whose state decays element by element, by exp(L) of L = -step rate, with a step per token
// and value channel and a rate per key and value channel (Gu and Dao 2023, "Mamba", section 3.2), token by
// token. L is at least LEAST_LOG, where nothing is left.
//
// What sums over key channels is a sweep over tiles of value channels, the columns of the state, and what
// sums over value channels one over tiles of its rows. With G the gradient of S_t from what follows token t:
//
//   log-rates   R = dS / dlog_rate moves with the state, R <- exp(L) (R + L S); sum scale q do R + dfinal R
//   steps       dstep_t = -B_(t-1), B_t the column sums of rate G S_t, with S' = exp(L) S_(t-1)
//               B_(t-1) = B_t + do_t (scale q_t (rate S')) - v_t (k_t (rate G))
//
// Shared: STEPS (3 DIM + 3 TILE) floats at most.
#include "linear_attention_tiles.cuh"

#define LEAST_LOG -1e4f

__device__ __forceinline__ float rate_of(float log_rate) { return fminf(expf(log_rate), 1e38f); }
__device__ __forceinline__ float log_left(float step, float rate) {
  return fmaxf(-step * rate, LEAST_LOG);
}

// A thread's part of the state of its channel and its rates, zeros where there is none: `extent` channels of
// the other axis, `pitch` apart.
__device__ __forceinline__ void load_state(float (&state)[EACH], float (&rate)[EACH],
                                           const float *source, const float *log_rates, i64 base,
                                           i64 own_rates, i64 pitch, int extent, bool inside,
                                           int part) {
#pragma unroll
  for (int r = 0; r < EACH; r++) {
    const int c = part + PARTS * r;
    const bool exists = inside && c < extent;
    state[r] = source && exists ? source[base + c * pitch] : 0.0f;
    rate[r] = exists ? rate_of(log_rates[own_rates + c * pitch]) : 0.0f;
  }
}

// Outputs and states; final_state may be initial. With `single`, document n is token n.
// Grid: documents * heads * tiles of width.
extern "C" __global__ void __launch_bounds__(THREADS)
    elementwise_forward(const T *query, const T *key, const T *value, const float *steps,
                        const float *log_rates, const int *offsets, const float *initial,
                        T *output, float *final_state, int tokens, int heads, int dim, int width,
                        float scale, int single) {
  float *q = shared, *k = q + STEPS * DIM, *v = k + STEPS * DIM, *span = v + STEPS * TILE;
  const Place p = place_of(offsets, tokens, heads, width, single);
  const i64 base = (i64)p.sequence * dim * width + p.channel;
  const i64 own_rates = (i64)p.head * dim * width + p.channel;
  const bool inside = p.channel < width;
  const int first = p.channel - p.slot;

  float state[EACH], rate[EACH];
  load_state(state, rate, initial, log_rates, base, own_rates, width, dim, inside, p.part);
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done);
    const i64 row = p.start + done;
    __syncthreads();
    stage<DIM>(q, query, m, row, 1, heads, p.head, dim, 0, scale, (const T *)0);
    stage<DIM>(k, key, m, row, 1, heads, p.head, dim, 0, 1.0f, (const T *)0);
    stage<TILE>(v, value, m, row, 1, heads, p.head, width, first, 1.0f, (const T *)0);
    stage<TILE>(span, steps, m, row, 1, heads, p.head, width, first, 1.0f, (const T *)0);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *qi = q + i * DIM + p.part, *ki = k + i * DIM + p.part;
      const float own = v[i * TILE + p.slot], step = span[i * TILE + p.slot];
      float sum = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        state[r] = fmaf(ki[PARTS * r], own, expf(log_left(step, rate[r])) * state[r]);
        sum = fmaf(qi[PARTS * r], state[r], sum);
      }
      sum = sum_of_parts(sum);
      if (p.part == 0 && inside)
        store(output + ((row + i) * heads + p.head) * width + p.channel, sum);
    }
  }
  store_state(state, final_state, base, width, dim, inside, p.part);
}

// asked = scale q (rate S') per token and value channel, the column sums of dfinal rate S at the end,
// [documents, heads, width], and each document's part of the gradient of log-rates,
// [documents, heads, dim, width]. Grid as above.
extern "C" __global__ void __launch_bounds__(THREADS)
    elementwise_asked(const T *query, const T *key, const T *value, const T *doutput,
                      const float *steps, const float *log_rates, const int *offsets,
                      const float *initial, const float *dfinal, float *asked,
                      double *column_sums, float *dlog_rates, int tokens, int heads, int dim,
                      int width, float scale) {
  float *q = shared, *k = q + STEPS * DIM, *v = k + STEPS * DIM, *span = v + STEPS * TILE;
  float *dy = span + STEPS * TILE;
  const Place p = place_of(offsets, tokens, heads, width, 0);
  const i64 base = (i64)p.sequence * dim * width + p.channel;
  const i64 own_rates = (i64)p.head * dim * width + p.channel;
  const bool inside = p.channel < width;
  const int first = p.channel - p.slot;

  float state[EACH], rate[EACH], moved[EACH], total[EACH];
  load_state(state, rate, initial, log_rates, base, own_rates, width, dim, inside, p.part);
#pragma unroll
  for (int r = 0; r < EACH; r++) moved[r] = total[r] = 0.0f;
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done);
    const i64 row = p.start + done;
    __syncthreads();
    stage<DIM>(q, query, m, row, 1, heads, p.head, dim, 0, scale, (const T *)0);
    stage<DIM>(k, key, m, row, 1, heads, p.head, dim, 0, 1.0f, (const T *)0);
    stage<TILE>(v, value, m, row, 1, heads, p.head, width, first, 1.0f, (const T *)0);
    stage<TILE>(span, steps, m, row, 1, heads, p.head, width, first, 1.0f, (const T *)0);
    stage<TILE>(dy, doutput, m, row, 1, heads, p.head, width, first, 1.0f, (const T *)0);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *qi = q + i * DIM + p.part, *ki = k + i * DIM + p.part;
      const float own = v[i * TILE + p.slot], step = span[i * TILE + p.slot];
      const float pull = dy[i * TILE + p.slot];
      float sum = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        const float log = log_left(step, rate[r]), left = expf(log), kept = left * state[r];
        moved[r] = fmaf(left, moved[r], log * kept);
        total[r] = fmaf(qi[PARTS * r] * pull, moved[r], total[r]);
        sum = fmaf(qi[PARTS * r] * rate[r], kept, sum);
        state[r] = fmaf(ki[PARTS * r], own, kept);
      }
      sum = sum_of_parts(sum);
      if (p.part == 0 && inside)
        asked[((row + i) * heads + p.head) * width + p.channel] = sum;
    }
  }
  double sum = 0.0;
#pragma unroll
  for (int r = 0; r < EACH; r++) {
    const int c = p.part + PARTS * r;
    if (!inside || c >= dim) continue;
    const i64 place = base + (i64)c * width;
    const float from_end = dfinal ? dfinal[place] : 0.0f;
    sum += (double)from_end * rate[r] * state[r];
    dlog_rates[place] = fmaf(from_end, moved[r], total[r]);
  }
#pragma unroll
  for (int offset = PARTS / 2; offset > 0; offset >>= 1)
    sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (p.part == 0 && inside) column_sums[(i64)p.sequence * width + p.channel] = sum;
}

// dv, and where wanted the gradients of steps and of the initial state. Grid as above.
extern "C" __global__ void __launch_bounds__(THREADS)
    elementwise_values(const T *query, const T *key, const T *value, const T *doutput,
                       const float *steps, const float *log_rates, const int *offsets,
                       const float *dfinal, const float *asked, const double *column_sums,
                       T *dvalue, float *dsteps, float *dinitial, int tokens, int heads, int dim,
                       int width, float scale) {
  float *q = shared, *k = q + STEPS * DIM, *v = k + STEPS * DIM, *span = v + STEPS * TILE;
  float *dy = span + STEPS * TILE;
  const Place p = place_of(offsets, tokens, heads, width, 0);
  const i64 base = (i64)p.sequence * dim * width + p.channel;
  const i64 own_rates = (i64)p.head * dim * width + p.channel;
  const bool inside = p.channel < width;
  const int first = p.channel - p.slot;
  double column = dsteps && inside ? column_sums[(i64)p.sequence * width + p.channel] : 0.0;

  float state[EACH], rate[EACH];
  load_state(state, rate, dfinal, log_rates, base, own_rates, width, dim, inside, p.part);
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done);
    const i64 row = p.end - 1 - done;
    __syncthreads();
    stage<DIM>(q, query, m, row, -1, heads, p.head, dim, 0, scale, (const T *)0);
    stage<DIM>(k, key, m, row, -1, heads, p.head, dim, 0, 1.0f, (const T *)0);
    stage<TILE>(v, value, m, row, -1, heads, p.head, width, first, 1.0f, (const T *)0);
    stage<TILE>(span, steps, m, row, -1, heads, p.head, width, first, 1.0f, (const T *)0);
    stage<TILE>(dy, doutput, m, row, -1, heads, p.head, width, first, 1.0f, (const T *)0);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *qi = q + i * DIM + p.part, *ki = k + i * DIM + p.part;
      const float own = v[i * TILE + p.slot], step = span[i * TILE + p.slot];
      const float pull = dy[i * TILE + p.slot];
      float dv = 0.0f, pulled = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        pulled = fmaf(ki[PARTS * r] * rate[r], state[r], pulled);
        const float g = fmaf(qi[PARTS * r], pull, state[r]);
        dv = fmaf(ki[PARTS * r], g, dv);
        state[r] = expf(log_left(step, rate[r])) * g;
      }
      dv = sum_of_parts(dv);
      pulled = sum_of_parts(pulled);
      if (p.part != 0 || !inside) continue;
      const i64 place = ((row - i) * heads + p.head) * width + p.channel;
      store(dvalue + place, dv);
      if (!dsteps) continue;
      column += (double)pull * asked[place] - (double)own * pulled;
      dsteps[place] = (float)-column;
    }
  }
  if (dinitial) store_state(state, dinitial, base, width, dim, inside, p.part);
}

// dq: own = k, added = v, wanted = do, from the initial state. dk: backward in time, own = q, added = do,
// wanted = v, from dfinal. DIM is the width rounded up. Grid: documents * heads * tiles of dim.
extern "C" __global__ void __launch_bounds__(THREADS)
    elementwise_rows(const T *own, const T *added, const T *wanted, const float *steps,
                     const float *log_rates, const int *offsets, const float *initial, T *output,
                     int tokens, int heads, int dim, int width, float scale, int reverse) {
  float *x = shared, *y = x + STEPS * DIM, *span = y + STEPS * DIM, *k = span + STEPS * DIM;
  const Place p = place_of(offsets, tokens, heads, dim, 0);
  const i64 base = ((i64)p.sequence * dim + p.channel) * width;
  const i64 own_rates = ((i64)p.head * dim + p.channel) * width;
  const bool inside = p.channel < dim;
  const int direction = reverse ? -1 : 1;

  float state[EACH], rate[EACH];
  load_state(state, rate, initial, log_rates, base, own_rates, 1, width, inside, p.part);
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done);
    const i64 row = reverse ? p.end - 1 - done : p.start + done;
    __syncthreads();
    stage<DIM>(x, added, m, row, direction, heads, p.head, width, 0, 1.0f, (const T *)0);
    stage<DIM>(y, wanted, m, row, direction, heads, p.head, width, 0, reverse ? 1.0f : scale,
               (const T *)0);
    stage<DIM>(span, steps, m, row, direction, heads, p.head, width, 0, 1.0f, (const T *)0);
    stage<TILE>(k, own, m, row, direction, heads, p.head, dim, p.channel - p.slot,
                reverse ? scale : 1.0f, (const T *)0);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *xi = x + i * DIM + p.part, *yi = y + i * DIM + p.part;
      const float *si = span + i * DIM + p.part;
      const float factor = k[i * TILE + p.slot];
      float sum = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        const float left = expf(log_left(si[PARTS * r], rate[r]));
        // Forward in time a state decays before the token is added, backward after.
        const float s = fmaf(factor, xi[PARTS * r], reverse ? state[r] : left * state[r]);
        sum = fmaf(yi[PARTS * r], s, sum);
        state[r] = reverse ? left * s : s;
      }
      sum = sum_of_parts(sum);
      if (p.part == 0 && inside)
        store(output + ((row + i * direction) * heads + p.head) * dim + p.channel, sum);
    }
  }
}

// The sum over documents of their parts of a gradient of `count` numbers.
extern "C" __global__ void __launch_bounds__(256)
    elementwise_rates(const float *parts, float *dlog_rates, i64 count, int documents) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= count) return;
  double sum = 0.0;
  for (int document = 0; document < documents; document++) sum += parts[document * count + index];
  dlog_rates[index] = (float)sum;
}
