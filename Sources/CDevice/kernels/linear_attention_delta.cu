// Linear attention by the delta rule (Yang et al. 2024, "Parallelizing Linear Transformers with the Delta
// Rule over Sequence Length"), token by token, with any decay of the state's rows: with S' = decay S_(t-1)
//
//   r = v - k S',  u = beta r,  S = S' + k^T u,  o = scale q S.
//
// Columns of the state (value channels) do not see each other once keys are known, so forward and the
// gradient du of u are sweeps over tiles of columns. With du known, and w = -beta du, the rows (key
// channels) do not see each other either: what sums over columns, the gradients of queries, keys and
// log-decays, are sweeps over tiles of rows. So nothing is summed across blocks, and no state is kept:
//
//   backward in time   G <- G + scale q^T do,  du = k G,  G <- decay (G + k^T w)
//   forward in time    S' = decay S,  dk_2 = S' w,  S = S' + k^T u,  dq = scale S do
//   backward in time   G as above,  dk_1 = G u,  dk = dk_1 + dk_2
//   gates              dg_t = sum over i >= t of (q dq - k dk_1 + k dk_2), from row sums of dfinal S.
//
// Shared: STEPS (3 DIM + 3 TILE + 1) floats at most.
#include "linear_attention_tiles.cuh"

// What is left of the rows of a state, staged alike.
template <int COLUMNS>
__device__ __forceinline__ void stage_decay(float *target, const float *log_decay, float constant,
                                            int m, i64 row, int direction, int heads, int head,
                                            int dim, int first) {
  for (int index = threadIdx.x; index < STEPS * COLUMNS; index += THREADS) {
    const int i = index / COLUMNS, c = first + index % COLUMNS;
    float x = constant;
    if (log_decay && i < m && c < dim)
      x = expf(log_decay[((row + (i64)i * direction) * heads + head) * dim + c]);
    target[index] = x;
  }
}

__device__ __forceinline__ void stage_beta(float *target, const T *beta, int m, i64 row,
                                           int direction, int heads, int head) {
  if (threadIdx.x < STEPS)
    target[threadIdx.x] =
        threadIdx.x < m ? load(beta + (row + (i64)threadIdx.x * direction) * heads + head) : 0.0f;
}

// Outputs, r and states; output and residual may be null, final_state may be initial. With `single`,
// document n is token n. Grid: documents * heads * tiles of width.
extern "C" __global__ void __launch_bounds__(THREADS)
    delta_rule_forward(const T *query, const T *key, const T *value, const T *beta,
                       const float *slopes, const float *log_decay, const int *offsets,
                       const float *initial, T *output, float *residual, float *final_state,
                       int tokens, int heads, int dim, int width, float scale, int single) {
  float *q = shared, *k = q + STEPS * DIM, *factors = k + STEPS * DIM;
  float *v = factors + STEPS * DIM, *b = v + STEPS * TILE;
  const Place p = place_of(offsets, tokens, heads, width, single);
  const float constant = slopes ? expf(-slopes[p.head]) : 1.0f;
  const i64 base = (i64)p.sequence * dim * width + p.channel;
  const bool inside = p.channel < width;

  float state[EACH];
  load_state(state, initial, base, width, dim, inside, p.part);
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done);
    const i64 row = p.start + done;
    __syncthreads();
    stage<DIM>(q, query, m, row, 1, heads, p.head, dim, 0, scale, (const T *)0);
    stage<DIM>(k, key, m, row, 1, heads, p.head, dim, 0, 1.0f, (const T *)0);
    stage_decay<DIM>(factors, log_decay, constant, m, row, 1, heads, p.head, dim, 0);
    stage<TILE>(v, value, m, row, 1, heads, p.head, width, p.channel - p.slot, 1.0f, (const T *)0);
    stage_beta(b, beta, m, row, 1, heads, p.head);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *qi = q + i * DIM + p.part, *ki = k + i * DIM + p.part;
      const float *fi = factors + i * DIM + p.part;
      float recalled = 0.0f, sum = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        state[r] *= fi[PARTS * r];
        recalled = fmaf(ki[PARTS * r], state[r], recalled);
      }
      const float rest = v[i * TILE + p.slot] - sum_of_parts(recalled), update = b[i] * rest;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        state[r] = fmaf(ki[PARTS * r], update, state[r]);
        sum = fmaf(qi[PARTS * r], state[r], sum);
      }
      sum = sum_of_parts(sum);
      if (p.part != 0 || !inside) continue;
      const i64 place = ((row + i) * heads + p.head) * width + p.channel;
      if (output) store(output + place, sum);
      if (residual) residual[place] = rest;
    }
  }
  if (final_state) store_state(state, final_state, base, width, dim, inside, p.part);
}

// du, dv = beta du and the gradient of the initial state, which may be null. Grid as above.
extern "C" __global__ void __launch_bounds__(THREADS)
    delta_rule_updates(const T *query, const T *key, const T *doutput, const T *beta,
                       const float *slopes, const float *log_decay, const int *offsets,
                       const float *dfinal, T *dvalue, float *dupdate, float *dinitial, int tokens,
                       int heads, int dim, int width, float scale) {
  float *q = shared, *k = q + STEPS * DIM, *factors = k + STEPS * DIM;
  float *dy = factors + STEPS * DIM, *b = dy + STEPS * TILE;
  const Place p = place_of(offsets, tokens, heads, width, 0);
  const float constant = slopes ? expf(-slopes[p.head]) : 1.0f;
  const i64 base = (i64)p.sequence * dim * width + p.channel;
  const bool inside = p.channel < width;

  float state[EACH];
  load_state(state, dfinal, base, width, dim, inside, p.part);
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done);
    const i64 row = p.end - 1 - done;
    __syncthreads();
    stage<DIM>(q, query, m, row, -1, heads, p.head, dim, 0, scale, (const T *)0);
    stage<DIM>(k, key, m, row, -1, heads, p.head, dim, 0, 1.0f, (const T *)0);
    stage_decay<DIM>(factors, log_decay, constant, m, row, -1, heads, p.head, dim, 0);
    stage<TILE>(dy, doutput, m, row, -1, heads, p.head, width, p.channel - p.slot, 1.0f,
                (const T *)0);
    stage_beta(b, beta, m, row, -1, heads, p.head);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *qi = q + i * DIM + p.part, *ki = k + i * DIM + p.part;
      const float *fi = factors + i * DIM + p.part;
      const float own = dy[i * TILE + p.slot];
      float du = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        state[r] = fmaf(qi[PARTS * r], own, state[r]);
        du = fmaf(ki[PARTS * r], state[r], du);
      }
      du = sum_of_parts(du);
      const float dv = b[i] * du;
#pragma unroll
      for (int r = 0; r < EACH; r++)
        state[r] = fi[PARTS * r] * fmaf(-dv, ki[PARTS * r], state[r]);
      if (p.part != 0 || !inside) continue;
      const i64 place = ((row - i) * heads + p.head) * width + p.channel;
      store(dvalue + place, dv);
      dupdate[place] = du;
    }
  }
  if (dinitial) store_state(state, dinitial, base, width, dim, inside, p.part);
}

// From here on DIM is the width rounded up, and the key channels are cut into tiles.

// dq as elements and as floats, dk_2, and where dfinal is given the row sums of dfinal S at the end,
// [documents, heads, dim]. Grid: documents * heads * tiles of dim.
extern "C" __global__ void __launch_bounds__(THREADS)
    delta_rule_queries(const T *key, const T *doutput, const T *beta, const float *slopes,
                       const float *log_decay, const int *offsets, const float *initial,
                       const float *dfinal, const float *residual, const float *dupdate, T *dquery,
                       float *exact, float *second, double *row_sums, int tokens, int heads,
                       int dim, int width, float scale) {
  float *dy = shared, *u = dy + STEPS * DIM, *w = u + STEPS * DIM;
  float *k = w + STEPS * DIM, *factors = k + STEPS * TILE;
  const Place p = place_of(offsets, tokens, heads, dim, 0);
  const float constant = slopes ? expf(-slopes[p.head]) : 1.0f;
  const i64 base = ((i64)p.sequence * dim + p.channel) * width;
  const bool inside = p.channel < dim;

  float state[EACH];
  load_state(state, initial, base, 1, width, inside, p.part);
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done);
    const i64 row = p.start + done;
    __syncthreads();
    stage<DIM>(dy, doutput, m, row, 1, heads, p.head, width, 0, 1.0f, (const T *)0);
    stage<DIM>(u, residual, m, row, 1, heads, p.head, width, 0, 1.0f, beta);
    stage<DIM>(w, dupdate, m, row, 1, heads, p.head, width, 0, -1.0f, beta);
    stage<TILE>(k, key, m, row, 1, heads, p.head, dim, p.channel - p.slot, 1.0f, (const T *)0);
    stage_decay<TILE>(factors, log_decay, constant, m, row, 1, heads, p.head, dim,
                      p.channel - p.slot);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *di = dy + i * DIM + p.part, *ui = u + i * DIM + p.part;
      const float *wi = w + i * DIM + p.part;
      const float own = k[i * TILE + p.slot], f = factors[i * TILE + p.slot];
      float sum = 0.0f, pulled = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        const float decayed = f * state[r];
        pulled = fmaf(wi[PARTS * r], decayed, pulled);
        state[r] = fmaf(own, ui[PARTS * r], decayed);
        sum = fmaf(di[PARTS * r], state[r], sum);
      }
      sum = scale * sum_of_parts(sum);
      pulled = sum_of_parts(pulled);
      if (p.part != 0 || !inside) continue;
      const i64 place = ((row + i) * heads + p.head) * dim + p.channel;
      store(dquery + place, sum);
      exact[place] = sum;
      second[place] = pulled;
    }
  }
  if (!dfinal) return;
  double sum = 0.0;
#pragma unroll
  for (int r = 0; r < EACH; r++) {
    const int x = p.part + PARTS * r;
    if (inside && x < width) sum += (double)dfinal[base + x] * state[r];
  }
#pragma unroll
  for (int offset = PARTS / 2; offset > 0; offset >>= 1)
    sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (p.part == 0 && inside) row_sums[(i64)p.sequence * dim + p.channel] = sum;
}

// dk, and the gradient of log-decays, which may be null. Grid as above.
extern "C" __global__ void __launch_bounds__(THREADS)
    delta_rule_keys(const T *query, const T *key, const T *doutput, const T *beta,
                    const float *slopes, const float *log_decay, const int *offsets,
                    const float *dfinal, const float *residual, const float *dupdate,
                    const float *exact, const float *second, const double *row_sums, T *dkey,
                    float *dlog_decay, int tokens, int heads, int dim, int width, float scale) {
  float *dy = shared, *u = dy + STEPS * DIM, *w = u + STEPS * DIM;
  float *q = w + STEPS * DIM, *k = q + STEPS * TILE, *factors = k + STEPS * TILE;
  const Place p = place_of(offsets, tokens, heads, dim, 0);
  const float constant = slopes ? expf(-slopes[p.head]) : 1.0f;
  const i64 base = ((i64)p.sequence * dim + p.channel) * width;
  const bool inside = p.channel < dim;
  double gate = dfinal && inside ? row_sums[(i64)p.sequence * dim + p.channel] : 0.0;

  float state[EACH];
  load_state(state, dfinal, base, 1, width, inside, p.part);
  for (int done = 0; done < p.end - p.start; done += STEPS) {
    const int m = min(STEPS, p.end - p.start - done), first = p.channel - p.slot;
    const i64 row = p.end - 1 - done;
    __syncthreads();
    stage<DIM>(dy, doutput, m, row, -1, heads, p.head, width, 0, scale, (const T *)0);
    stage<DIM>(u, residual, m, row, -1, heads, p.head, width, 0, 1.0f, beta);
    stage<DIM>(w, dupdate, m, row, -1, heads, p.head, width, 0, -1.0f, beta);
    stage<TILE>(q, query, m, row, -1, heads, p.head, dim, first, 1.0f, (const T *)0);
    stage<TILE>(k, key, m, row, -1, heads, p.head, dim, first, 1.0f, (const T *)0);
    stage_decay<TILE>(factors, log_decay, constant, m, row, -1, heads, p.head, dim, first);
    __syncthreads();
    for (int i = 0; i < m; i++) {
      const float *di = dy + i * DIM + p.part, *ui = u + i * DIM + p.part;
      const float *wi = w + i * DIM + p.part;
      const float asked = q[i * TILE + p.slot], own = k[i * TILE + p.slot];
      const float f = factors[i * TILE + p.slot];
      float sum = 0.0f;
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        const float g = fmaf(asked, di[PARTS * r], state[r]);
        sum = fmaf(ui[PARTS * r], g, sum);
        state[r] = f * fmaf(own, wi[PARTS * r], g);
      }
      sum = sum_of_parts(sum);
      if (p.part != 0 || !inside) continue;
      const i64 place = ((row - i) * heads + p.head) * dim + p.channel;
      const float pulled = second[place];
      store(dkey + place, sum + pulled);
      if (!dlog_decay) continue;
      gate += (double)asked * exact[place] - (double)own * ((double)sum - pulled);
      dlog_decay[place] = (float)gate;
    }
  }
}

// dbeta = du · r, a warp for each token and head.
extern "C" __global__ void __launch_bounds__(256)
    delta_rule_beta(const float *dupdate, const float *residual, T *dbeta, i64 rows, int width) {
  const i64 row = (i64)blockIdx.x * 8 + threadIdx.x / 32;
  if (row >= rows) return;
  float sum = 0.0f;
  for (int x = threadIdx.x % 32; x < width; x += 32)
    sum = fmaf(dupdate[row * width + x], residual[row * width + x], sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) store(dbeta + row, sum);
}

// The gradient of the slopes from that of log-decays per token and channel. Grid: heads.
extern "C" __global__ void __launch_bounds__(256)
    delta_rule_slopes(const float *dlog_decay, float *dslopes, i64 tokens, int heads, int dim) {
  const int head = blockIdx.x;
  double sum = 0.0;
  for (i64 index = threadIdx.x; index < tokens * dim; index += 256)
    sum += dlog_decay[(index / dim * heads + head) * dim + index % dim];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) dslopes[head] = (float)-sum;
}
