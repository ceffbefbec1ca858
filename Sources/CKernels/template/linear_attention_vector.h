// Linear attention with a decay per token and key channel (Yang et al. 2024, "Gated Linear Attention";
// Qin et al. 2024, "HGRN2"). Between two tokens lies the product of the factors in between; all products
// here run over consecutive factors, none of which is above 1, so they may vanish but never overflow.
// Within a group of 16 tokens they are carried along token by token, between groups by one factor.

enum { FN(GROUP) = 16 };

// Factors exp(log_decay) of `rows` tokens from `at` on.
INLINE void FN(decay_factors)(const hk_linear_attention *s, long at, long rows, REAL *factors) {
  KERNEL_FP
  const long d = s->key_dim, pd = hk_linear_attention_padded(d), pitch = s->heads * d;
  for (long i = 0; i < rows; i++) {
    const REAL *source = (const REAL *)s->log_decay + at + i * pitch;
    for (long c = 0; c < pd; c++) factors[i * pd + c] = c < d ? FN(exponential)(source[c]) : (REAL)1;
  }
}

INLINE void FN(fill)(REAL value, REAL *x, long n) {
  for (long c = 0; c < n; c++) x[c] = value;
}

// x *= y
INLINE void FN(times)(const REAL *y, REAL *x, long n) {
  for (long c = 0; c < n; c++) x[c] *= y[c];
}

// y += factor · x
INLINE void FN(add_scaled)(REAL factor, const REAL *x, REAL *y, long n) {
  KERNEL_FP
  for (long c = 0; c < n; c++) y[c] += factor * x[c];
}

// The scores of one group among itself: row by row, while the keys (lanes of `keys`, GROUP of every
// channel's TOKENS) decay to that row.
INLINE void FN(group_scores)(long rows, long d, const REAL *query, long query_pitch,
                             const REAL *key, long key_pitch, const REAL *factors,
                             long factor_pitch, REAL scale, REAL *keys, REAL *scores) {
  KERNEL_FP
  for (long i = 0; i < rows; i++) {
    const REAL *q = query + i * query_pitch, *k = key + i * key_pitch;
    const REAL *f = factors + i * factor_pitch;
    VEC sums[16 / LANES], own[16 / LANES];
    for (long w = 0; w < 16 / LANES; w++) {
      REAL lanes[LANES];
      for (long j = 0; j < LANES; j++) lanes[j] = w * LANES + j == i ? (REAL)1 : (REAL)0;
      sums[w] = (VEC)((REAL)0);
      own[w] = FN(load)(lanes);
    }
    for (long c = 0; c < d; c++)
      for (long w = 0; w < 16 / LANES; w++) {
        REAL *place = keys + c * TOKENS + w * LANES;
        const VEC x = FN(load)(place) * f[c] + own[w] * k[c];
        FN(store)(place, x);
        sums[w] += x * (scale * q[c]);
      }
    for (long w = 0; w < 16 / LANES; w++) FN(store)(scores + i * TOKENS + w * LANES, sums[w]);
  }
}

// State only: keys decayed to the end of the block, and the block's whole decay.
INLINE void FN(decay_to_end)(long m, long pd, const REAL *factors, REAL *k, REAL *total) {
  FN(fill)((REAL)1, total, pd);
  for (long i = m - 1; i >= 0; i--) {
    FN(times)(total, k + i * pd, pd);
    FN(times)(factors + i * pd, total, pd);
  }
}

static void FN(linear_attention_vector)(const hk_linear_attention *s, long head, long start,
                                        long end, REAL *target, double *decay, REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pd = hk_linear_attention_padded(d);
  const long pe = hk_linear_attention_padded(e), key_pitch = s->heads * d;
  const long value_pitch = s->heads * e;
  const REAL scale = (REAL)s->scale;
  REAL *state = scratch, *factors = state + d * pe, *q = factors + TOKENS * pd;
  REAL *keys = q + TOKENS * pd, *v = keys + TOKENS * pd, *out = v + TOKENS * pe;
  REAL *scores = out + TOKENS * pe, *near = scores + TOKENS * TOKENS;
  REAL *total = near + FN(GROUP) * pd, *prefix = total + pd;
  FN(load_state)(target, d, e, state);
  if (decay)
    for (long c = 0; c < d; c++) decay[c] = 1;
  for (long t = start; t < end; t += TOKENS) {
    const long m = end - t < TOKENS ? end - t : TOKENS, at = t * key_pitch + head * d;
    FN(decay_factors)(s, at, m, factors);
    FN(pack_rows)((const REAL *)s->value + t * value_pitch + head * e, value_pitch, m, m, e,
                  (REAL)1, v);
    if (s->output) {
      const REAL *query = (const REAL *)s->query + at, *key = (const REAL *)s->key + at;
      FN(fill)((REAL)0, keys, d * TOKENS);
      FN(fill)((REAL)1, total, pd);
      for (long r = 0; r < m; r += FN(GROUP)) {
        const long rows = m - r < FN(GROUP) ? m - r : FN(GROUP);
        // near: queries decayed since the group began; q: since the block began.
        FN(fill)((REAL)1, prefix, pd);
        for (long i = 0; i < rows; i++) {
          FN(times)(factors + (r + i) * pd, prefix, pd);
          for (long c = 0; c < pd; c++) {
            const REAL x = c < d ? scale * query[(r + i) * key_pitch + c] * prefix[c] : (REAL)0;
            near[i * pd + c] = x;
            q[(r + i) * pd + c] = x * total[c];
          }
        }
        if (r > 0)
          FN(block_product)(rows, r, d, near, pd, 1, keys, TOKENS, scores + r * TOKENS, TOKENS, 0);
        FN(group_scores)(rows, d, query + r * key_pitch, key_pitch, key + r * key_pitch, key_pitch,
                         factors + r * pd, pd, scale, keys + r, scores + r * TOKENS + r);
        for (long c = 0; c < d; c++) FN(scale_row)(prefix[c], keys + c * TOKENS, r);
        FN(times)(prefix, total, pd);
      }
      FN(block_product)(m, pe, d, q, pd, 1, state, pe, out, pe, 0);
      FN(add_lower)(m, pe, scores, v, out);
      FN(copy_rows)(out, pe, m, e, (REAL *)s->output + t * value_pitch + head * e, value_pitch);
      for (long c = 0; c < d; c++) FN(scale_row)(total[c], state + c * pe, pe);
      FN(block_product)(d, pe, m, keys, TOKENS, 1, v, pe, state, pe, 1);
    } else {
      REAL *k = q;
      FN(pack_rows)((const REAL *)s->key + at, key_pitch, m, m, d, (REAL)1, k);
      FN(decay_to_end)(m, pd, factors, k, total);
      for (long c = 0; c < d; c++) FN(scale_row)(total[c], state + c * pe, pe);
      FN(block_product)(d, pe, m, k, 1, pd, v, pe, state, pe, 1);
    }
    if (decay)
      for (long c = 0; c < d; c++) decay[c] *= (double)total[c];
  }
  FN(copy_rows)(state, pe, d, e, target, e);
}

// dQuery as in linear_attention_dquery; the state is transposed, [e, d].
static void FN(linear_attention_vector_dquery)(const hk_linear_attention *s, long head, long start,
                                               long end, const REAL *ones, REAL *state, REAL *kept,
                                               REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pd = hk_linear_attention_padded(d);
  const long pe = hk_linear_attention_padded(e), key_pitch = s->heads * d;
  const long value_pitch = s->heads * e;
  REAL *k = scratch, *dq = k + TOKENS * pd, *factors = dq + TOKENS * pd;
  REAL *v = factors + TOKENS * pd, *dy = v + TOKENS * pe, *values = dy + TOKENS * pe;
  REAL *scores = values + TOKENS * pe, *near = scores + TOKENS * TOKENS;
  REAL *total = near + FN(GROUP) * pd, *prefix = total + pd;
  for (long t = start; t < end; t += TOKENS) {
    const long m = end - t < TOKENS ? end - t : TOKENS;
    const long at = t * key_pitch + head * d, value_at = t * value_pitch + head * e;
    FN(decay_factors)(s, at, m, factors);
    FN(pack_rows)((const REAL *)s->key + at, key_pitch, m, m, d, (REAL)1, k);
    FN(pack_rows)((const REAL *)s->value + value_at, value_pitch, m, m, e, (REAL)1, v);
    FN(pack_rows)((const REAL *)s->doutput + value_at, value_pitch, m, m, e, (REAL)s->scale, dy);
    FN(pack_transposed)(v, pe, m, e, values);
    FN(lower_scores)(m, e, dy, pe, values, ones, (REAL)1, scores);
    FN(block_product)(m, pd, e, dy, pe, 1, state, pd, dq, pd, 0);
    FN(fill)((REAL)1, total, pd);
    for (long r = 0; r < m; r += FN(GROUP)) {
      const long rows = m - r < FN(GROUP) ? m - r : FN(GROUP);
      if (r > 0)
        FN(block_product)(rows, pd, r, scores + r * TOKENS, TOKENS, 1, k, pd, near, pd, 0);
      FN(fill)((REAL)1, prefix, pd);
      for (long i = r; i < r + rows; i++) {
        const REAL *f = factors + i * pd, *weights = scores + i * TOKENS;
        REAL *y = dq + i * pd;
        FN(times)(f, prefix, pd);
        for (long c = 0; c < pd; c++)
          y[c] = prefix[c] * (total[c] * y[c] + (r > 0 ? near[(i - r) * pd + c] : (REAL)0));
        for (long j = r; j < i; j++) {
          FN(times)(f, k + j * pd, pd);
          FN(add_scaled)(weights[j], k + j * pd, y, pd);
        }
        FN(add_scaled)(weights[i], k + i * pd, y, pd);
      }
      for (long j = 0; j < r; j++) FN(times)(prefix, k + j * pd, pd);
      FN(times)(prefix, total, pd);
    }
    FN(copy_rows)(dq, pd, m, d, (REAL *)s->dquery + at, key_pitch);
    for (long x = 0; x < e; x++) FN(times)(total, state + x * pd, pd);
    FN(block_product)(e, pd, m, v, 1, pe, k, pd, state, pd, 1);
    if (kept) FN(copy_rows)(state, pd, e, pd, kept + (t - start) / TOKENS * e * pd, pd);
  }
}

// The gradient of a block's log-decays: dg_t = Σ_(i >= t) (q_i dq_i - k_i dk_i) + row sums of G · S,
// with S the state after the block and G its gradient from there on, both transposed.
INLINE void FN(block_log_decay)(const hk_linear_attention *s, long at, long m, const REAL *dk,
                                const REAL *gradient, const REAL *kept, REAL *sums) {
  const long d = s->key_dim, pd = hk_linear_attention_padded(d), pitch = s->heads * d;
  FN(fill)((REAL)0, sums, pd);
  for (long x = 0; x < s->value_dim; x++)
    for (long c = 0; c < pd; c++) sums[c] += gradient[x * pd + c] * kept[x * pd + c];
  for (long i = m - 1; i >= 0; i--) {
    const long row = at + i * pitch;
    const REAL *q = (const REAL *)s->query + row, *k = (const REAL *)s->key + row;
    const REAL *dq = (const REAL *)s->dquery + row;
    for (long c = 0; c < d; c++) {
      sums[c] += q[c] * dq[c] - k[c] * dk[i * pd + c];
      ((REAL *)s->dlog_decay)[row + c] = sums[c];
    }
  }
}

static void FN(linear_attention_backward_vector)(const hk_linear_attention *s, long head,
                                                 long start, long end, const REAL *incoming,
                                                 REAL *dstate, double *decay, REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pd = hk_linear_attention_padded(d);
  const long pe = hk_linear_attention_padded(e), key_pitch = s->heads * d;
  const long value_pitch = s->heads * e, group = FN(GROUP);
  REAL *gradient = scratch, *turned = gradient + pd * pe, *ones = turned + pd * pe;
  REAL *total = ones + 2 * TOKENS, *through = total + pd, *sums = through + pd;
  REAL *near = sums + pd, *suffix = near + group * pd, *turned_keys = suffix + group * pd;
  REAL *work = turned_keys + group * pd;
  REAL *q = work, *k = q + TOKENS * pd, *decayed = k + TOKENS * pd, *dk = decayed + TOKENS * pd;
  REAL *factors = dk + TOKENS * pd, *v = factors + TOKENS * pd, *dy = v + TOKENS * pe;
  REAL *values = dy + TOKENS * pe, *dv = values + TOKENS * pe, *scores = dv + TOKENS * pe;
  REAL *dscores = scores + TOKENS * TOKENS, *kept = dscores + TOKENS * TOKENS;
  for (long i = 0; i < 2 * TOKENS; i++) ones[i] = i < TOKENS ? (REAL)1 : (REAL)0;
  if (s->dquery) {
    FN(fill)((REAL)0, turned, e * pd);
    FN(transpose)(incoming, e, d, e, turned, pd);
    FN(linear_attention_vector_dquery)(s, head, start, end, ones, turned, s->dlog_decay ? kept : 0,
                                       work);
    FN(fill)((REAL)0, turned, e * pd);
  }
  FN(load_state)(dstate, d, e, gradient);
  if (decay)
    for (long c = 0; c < d; c++) decay[c] = 1;
  for (long t = start + (end - start - 1) / TOKENS * TOKENS; t >= start && end > start; t -= TOKENS) {
    const long m = end - t < TOKENS ? end - t : TOKENS;
    const long at = t * key_pitch + head * d, value_at = t * value_pitch + head * e;
    FN(decay_factors)(s, at, m, factors);
    FN(pack_rows)((const REAL *)s->query + at, key_pitch, m, m, d, (REAL)s->scale, q);
    FN(pack_rows)((const REAL *)s->doutput + value_at, value_pitch, m, m, e, (REAL)1, dy);
    FN(fill)((REAL)1, total, pd);
    if (s->dquery) {
      FN(pack_rows)((const REAL *)s->key + at, key_pitch, m, m, d, (REAL)1, k);
      FN(pack_rows)((const REAL *)s->value + value_at, value_pitch, m, m, e, (REAL)1, v);
      FN(pack_transposed)(v, pe, m, e, values);
      FN(transpose)(gradient, pe, d, e, turned, pd);
      FN(lower_scores)(m, e, dy, pe, values, ones, (REAL)1, dscores);
      FN(block_product)(m, pd, e, v, pe, 1, turned, pd, dk, pd, 0);
      // Backwards over groups; queries behind a group are decayed since the group's last token.
      for (long r = (m - 1) / group * group; r >= 0; r -= group) {
        const long rows = m - r < group ? m - r : group, later = r + rows;
        FN(fill)((REAL)1, through, pd);
        for (long j = rows - 1; j >= 0; j--) {
          for (long c = 0; c < pd; c++) {
            suffix[j * pd + c] = through[c];
            decayed[(r + j) * pd + c] = through[c] * k[(r + j) * pd + c];
          }
          FN(times)(factors + (r + j) * pd, through, pd);
        }
        if (later < m) {
          FN(block_product)(rows, pd, m - later, dscores + later * TOKENS + r, 1, TOKENS,
                            q + later * pd, pd, near, pd, 0);
          FN(fill)((REAL)0, turned_keys, d * group);
          FN(transpose)(decayed + r * pd, pd, rows, d, turned_keys, group);
          FN(block_product)(m - later, group, d, q + later * pd, pd, 1, turned_keys, group,
                            scores + later * TOKENS + r, TOKENS, 0);
        }
        for (long j = rows - 1; j >= 0; j--) {
          REAL *y = dk + (r + j) * pd, *own = k + (r + j) * pd, *after = suffix + j * pd;
          const REAL *f = factors + (r + j + 1) * pd;
          for (long c = 0; c < pd; c++)
            y[c] = after[c] * (total[c] * y[c] + (later < m ? near[j * pd + c] : (REAL)0));
          for (long i = 0; i < rows; i++) {
            REAL *x = q + (r + i) * pd, *place = scores + (r + i) * TOKENS + r + j;
            *place = 0;
            if (i < j) continue;
            if (i > j) FN(times)(f, x, pd);
            FN(add_scaled)(dscores[(r + i) * TOKENS + r + j], x, y, pd);
            REAL product = 0;
            for (long c = 0; c < d; c++) product += x[c] * own[c];
            *place = product;
          }
          FN(times)(total, decayed + (r + j) * pd, pd);
        }
        for (long i = r; i < later; i++) FN(times)(factors + r * pd, q + i * pd, pd);
        for (long i = later; i < m; i++) FN(times)(through, q + i * pd, pd);
        FN(times)(through, total, pd);
      }
      FN(block_product)(m, pe, d, decayed, pd, 1, gradient, pe, dv, pe, 0);
      FN(add_upper)(m, pe, scores, dy, dv);
      if (s->dlog_decay)
        FN(block_log_decay)(s, at, m, dk, turned, kept + (t - start) / TOKENS * e * pd, sums);
      FN(copy_rows)(dk, pd, m, d, (REAL *)s->dkey + at, key_pitch);
      FN(copy_rows)(dv, pe, m, e, (REAL *)s->dvalue + value_at, value_pitch);
    } else {
      for (long i = 0; i < m; i++) {
        FN(times)(factors + i * pd, total, pd);
        FN(times)(total, q + i * pd, pd);
      }
    }
    for (long c = 0; c < d; c++) FN(scale_row)(total[c], gradient + c * pe, pe);
    FN(block_product)(d, pe, m, q, 1, pd, dy, pe, gradient, pe, 1);
    if (decay)
      for (long c = 0; c < d; c++) decay[c] *= (double)total[c];
  }
  FN(copy_rows)(gradient, pe, d, e, dstate, e);
}
