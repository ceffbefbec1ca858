// Linear attention with a constant decay, in blocks (Qin et al. 2024, "Various Lengths, Constant
// Speed"): within a block of m tokens the masked product of queries and keys, between blocks the state.
// Only powers of the decay that are not negative appear, so nothing overflows.

#define TOKENS HK_LINEAR_TOKENS
_Static_assert(TOKENS == KEYS, "pack_transposed writes rows of KEYS");

// The decay's powers 0..TOKENS, and the same backwards followed by zeros: TOKENS - 1 - i elements on
// lie the weights that row i of a block gives its columns.
INLINE void FN(decay_powers)(double slope, REAL *powers, REAL *backwards) {
  for (long i = 0; i <= TOKENS; i++) powers[i] = i == 0 ? (REAL)1 : (REAL)exp(-slope * (double)i);
  for (long i = 0; i < TOKENS; i++) {
    backwards[TOKENS - 1 - i] = powers[i];
    backwards[TOKENS + i] = 0;
  }
}

INLINE double FN(slope_of)(const hk_linear_attention *s, long head) {
  return s->slopes ? (double)((const REAL *)s->slopes)[head] : 0;
}

// source[rows, columns], of any pitch, transposed.
INLINE void FN(transpose)(const REAL *source, long pitch, long rows, long columns, REAL *target,
                          long target_pitch) {
  for (long c = 0; c < columns; c++)
    for (long r = 0; r < rows; r++) target[c * target_pitch + r] = source[r * pitch + c];
}

// source[rows, columns] to rows of another pitch, and back.
INLINE void FN(copy_rows)(const REAL *source, long pitch, long rows, long columns, REAL *target,
                          long target_pitch) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < columns; c++) target[r * target_pitch + c] = source[r * pitch + c];
}

// A state [rows, columns] into padded rows, zeros behind.
INLINE void FN(load_state)(const REAL *source, long rows, long columns, REAL *target) {
  const long padded = hk_linear_attention_padded(columns);
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < padded; c++)
      target[r * padded + c] = c < columns ? source[r * columns + c] : (REAL)0;
}

INLINE void FN(scale_row)(REAL factor, REAL *x, long n) {
  for (long c = 0; c < n; c++) x[c] *= factor;
}

// The lower triangle of factor · a b, weighed: rows of TOKENS scores of which those up to the end of a
// row's group of 16 are set. b is [k, TOKENS].
INLINE void FN(lower_scores)(long m, long k, const REAL *a, long pitch, const REAL *b,
                             const REAL *backwards, REAL factor, REAL *scores) {
  KERNEL_FP
  for (long r = 0; r < m; r += 16) {
    const long rows = m - r < 16 ? m - r : 16, columns = r + 16;
    FN(block_product)(rows, columns, k, a + r * pitch, pitch, 1, b, TOKENS, scores + r * TOKENS,
                      TOKENS, 0);
    for (long i = r; i < r + rows; i++) {
      const REAL *weights = backwards + TOKENS - 1 - i;
      for (long j = 0; j < columns; j++) scores[i * TOKENS + j] *= factor * weights[j];
    }
  }
}

// y[m, n] += scores b, and y += scoresᵀ b, for lower triangles.
INLINE void FN(add_lower)(long m, long n, const REAL *scores, const REAL *b, REAL *y) {
  for (long r = 0; r < m; r += 16) {
    const long rows = m - r < 16 ? m - r : 16;
    FN(block_product)(rows, n, r + rows, scores + r * TOKENS, TOKENS, 1, b, n, y + r * n, n, 1);
  }
}
INLINE void FN(add_upper)(long m, long n, const REAL *scores, const REAL *b, REAL *y) {
  for (long r = 0; r < m; r += 16) {
    const long rows = m - r < 16 ? m - r : 16;
    FN(block_product)(rows, n, m - r, scores + r * TOKENS + r, 1, TOKENS, b + r * n, n, y + r * n,
                      n, 1);
  }
}

static void FN(linear_attention_constant)(const hk_linear_attention *s, long head, long start,
                                          long end, REAL *target, double *decay, REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pd = hk_linear_attention_padded(d);
  const long pe = hk_linear_attention_padded(e), key_pitch = s->heads * d;
  const long value_pitch = s->heads * e;
  REAL *state = scratch, *k = state + d * pe, *q = k + TOKENS * pd, *keys = q + TOKENS * pd;
  REAL *v = keys + TOKENS * pd, *out = v + TOKENS * pe, *scores = out + TOKENS * pe;
  REAL *powers = scores + TOKENS * TOKENS, *backwards = powers + TOKENS + 1;
  const double slope = FN(slope_of)(s, head);
  FN(decay_powers)(slope, powers, backwards);
  FN(load_state)(target, d, e, state);
  for (long t = start; t < end; t += TOKENS) {
    const long m = end - t < TOKENS ? end - t : TOKENS, at = t * key_pitch + head * d;
    FN(pack_rows)((const REAL *)s->key + at, key_pitch, m, m, d, (REAL)1, k);
    FN(pack_rows)((const REAL *)s->value + t * value_pitch + head * e, value_pitch, m, m, e,
                  (REAL)1, v);
    if (s->output) {
      FN(pack_rows)((const REAL *)s->query + at, key_pitch, m, m, d, (REAL)1, q);
      FN(pack_transposed)(k, pd, m, d, keys);
      FN(lower_scores)(m, d, q, pd, keys, backwards, (REAL)s->scale, scores);
      FN(block_product)(m, pe, d, q, pd, 1, state, pe, out, pe, 0);
      for (long i = 0; i < m; i++)
        FN(scale_row)((REAL)s->scale * powers[i + 1], out + i * pe, pe);
      FN(add_lower)(m, pe, scores, v, out);
      FN(copy_rows)(out, pe, m, e, (REAL *)s->output + t * value_pitch + head * e, value_pitch);
    }
    for (long i = 0; i < m; i++) FN(scale_row)(powers[m - 1 - i], k + i * pd, pd);
    FN(scale_row)(powers[m], state, d * pe);
    FN(block_product)(d, pe, m, k, 1, pd, v, pe, state, pe, 1);
  }
  FN(copy_rows)(state, pe, d, e, target, e);
  if (decay)
    for (long c = 0; c < d; c++) decay[c] = end > start ? exp(-slope * (double)(end - start)) : 1;
}

// dQuery, block by block forward; keeps the (transposed) state after every block if asked.
static void FN(linear_attention_dquery)(const hk_linear_attention *s, long head, long start,
                                        long end, const REAL *powers, const REAL *backwards,
                                        REAL *state, REAL *kept, REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pd = hk_linear_attention_padded(d);
  const long pe = hk_linear_attention_padded(e), key_pitch = s->heads * d;
  const long value_pitch = s->heads * e;
  REAL *k = scratch, *dq = k + TOKENS * pd, *v = dq + TOKENS * pd, *dy = v + TOKENS * pe;
  REAL *values = dy + TOKENS * pe, *scores = values + TOKENS * pe;
  for (long t = start; t < end; t += TOKENS) {
    const long m = end - t < TOKENS ? end - t : TOKENS;
    const long at = t * key_pitch + head * d, value_at = t * value_pitch + head * e;
    FN(pack_rows)((const REAL *)s->key + at, key_pitch, m, m, d, (REAL)1, k);
    FN(pack_rows)((const REAL *)s->value + value_at, value_pitch, m, m, e, (REAL)1, v);
    FN(pack_rows)((const REAL *)s->doutput + value_at, value_pitch, m, m, e, (REAL)1, dy);
    FN(pack_transposed)(v, pe, m, e, values);
    FN(lower_scores)(m, e, dy, pe, values, backwards, (REAL)s->scale, scores);
    FN(block_product)(m, pd, e, dy, pe, 1, state, pd, dq, pd, 0);
    for (long i = 0; i < m; i++) FN(scale_row)((REAL)s->scale * powers[i + 1], dq + i * pd, pd);
    FN(add_lower)(m, pd, scores, k, dq);
    FN(copy_rows)(dq, pd, m, d, (REAL *)s->dquery + at, key_pitch);
    for (long i = 0; i < m; i++) FN(scale_row)(powers[m - 1 - i], v + i * pe, pe);
    FN(scale_row)(powers[m], state, e * pd);
    FN(block_product)(e, pd, m, v, 1, pe, k, pd, state, pd, 1);
    if (kept) FN(copy_rows)(state, pd, e, pd, kept + (t - start) / TOKENS * e * pd, pd);
  }
}

// The gradient of a block's log-decay from the identity that dγ_t = Σ_(i >= t) (q_i dq_i - k_i dk_i) +
// <G, S>, with S the state after the block and G its gradient from there on.
INLINE double FN(block_slope)(const hk_linear_attention *s, long at, long m, const REAL *dk,
                              const REAL *gradient, const REAL *kept) {
  KERNEL_FP
  const long d = s->key_dim, pd = hk_linear_attention_padded(d), pitch = s->heads * d;
  double total = 0, product = 0;
  for (long i = 0; i < m; i++) {
    const REAL *q = (const REAL *)s->query + at + i * pitch;
    const REAL *k = (const REAL *)s->key + at + i * pitch;
    const REAL *dq = (const REAL *)s->dquery + at + i * pitch;
    double difference = 0;
    for (long c = 0; c < d; c++)
      difference += (double)q[c] * (double)dq[c] - (double)k[c] * (double)dk[i * pd + c];
    total += (double)(i + 1) * difference;
  }
  for (long x = 0; x < s->value_dim * pd; x++) product += (double)gradient[x] * (double)kept[x];
  return total + (double)m * product;
}

static void FN(linear_attention_backward_constant)(const hk_linear_attention *s, long head,
                                                   long start, long end, const REAL *incoming,
                                                   REAL *dstate, double *decay, double *dslope,
                                                   REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pd = hk_linear_attention_padded(d);
  const long pe = hk_linear_attention_padded(e), key_pitch = s->heads * d;
  const long value_pitch = s->heads * e;
  REAL *gradient = scratch, *turned = gradient + pd * pe, *powers = turned + pd * pe;
  REAL *backwards = powers + TOKENS + 1, *work = backwards + 2 * TOKENS;
  REAL *q = work, *k = q + TOKENS * pd, *keys = k + TOKENS * pd, *dk = keys + TOKENS * pd;
  REAL *v = dk + TOKENS * pd, *dy = v + TOKENS * pe, *values = dy + TOKENS * pe;
  REAL *dv = values + TOKENS * pe, *scores = dv + TOKENS * pe;
  REAL *dscores = scores + TOKENS * TOKENS, *kept = dscores + TOKENS * TOKENS;
  const double slope = FN(slope_of)(s, head);
  const REAL scale = (REAL)s->scale;
  FN(decay_powers)(slope, powers, backwards);
  if (s->dquery) {
    for (long i = 0; i < e * pd; i++) turned[i] = 0;
    FN(transpose)(incoming, e, d, e, turned, pd);
    FN(linear_attention_dquery)(s, head, start, end, powers, backwards, turned,
                                dslope ? kept : 0, work);
    for (long i = 0; i < e * pd; i++) turned[i] = 0;
  }
  FN(load_state)(dstate, d, e, gradient);
  double sum = 0;
  for (long t = start + (end - start - 1) / TOKENS * TOKENS; t >= start && end > start; t -= TOKENS) {
    const long m = end - t < TOKENS ? end - t : TOKENS;
    const long at = t * key_pitch + head * d, value_at = t * value_pitch + head * e;
    FN(pack_rows)((const REAL *)s->query + at, key_pitch, m, m, d, (REAL)1, q);
    FN(pack_rows)((const REAL *)s->doutput + value_at, value_pitch, m, m, e, (REAL)1, dy);
    if (s->dquery) {
      FN(pack_rows)((const REAL *)s->key + at, key_pitch, m, m, d, (REAL)1, k);
      FN(pack_rows)((const REAL *)s->value + value_at, value_pitch, m, m, e, (REAL)1, v);
      FN(pack_transposed)(k, pd, m, d, keys);
      FN(pack_transposed)(v, pe, m, e, values);
      FN(transpose)(gradient, pe, d, e, turned, pd);
      FN(lower_scores)(m, d, q, pd, keys, backwards, scale, scores);
      FN(lower_scores)(m, e, dy, pe, values, backwards, scale, dscores);
      for (long i = 0; i < m; i++) {
        FN(scale_row)(powers[m - 1 - i], k + i * pd, pd);
        FN(scale_row)(powers[m - 1 - i], v + i * pe, pe);
      }
      FN(block_product)(m, pd, e, v, pe, 1, turned, pd, dk, pd, 0);
      FN(add_upper)(m, pd, dscores, q, dk);
      FN(block_product)(m, pe, d, k, pd, 1, gradient, pe, dv, pe, 0);
      FN(add_upper)(m, pe, scores, dy, dv);
      if (dslope)
        sum += FN(block_slope)(s, at, m, dk, turned, kept + (t - start) / TOKENS * e * pd);
      FN(copy_rows)(dk, pd, m, d, (REAL *)s->dkey + at, key_pitch);
      FN(copy_rows)(dv, pe, m, e, (REAL *)s->dvalue + value_at, value_pitch);
    }
    for (long i = 0; i < m; i++) FN(scale_row)(scale * powers[i + 1], q + i * pd, pd);
    FN(scale_row)(powers[m], gradient, d * pe);
    FN(block_product)(d, pe, m, q, 1, pd, dy, pe, gradient, pe, 1);
  }
  FN(copy_rows)(gradient, pe, d, e, dstate, e);
  if (dslope) *dslope = -sum;
  if (decay)
    for (long c = 0; c < d; c++) decay[c] = end > start ? exp(-slope * (double)(end - start)) : 1;
}
