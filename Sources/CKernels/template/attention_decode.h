// Attention of a few new tokens over a long cache: the cost is reading keys and values, so they are
// read once, where they are, and the cache is cut into chunks whose results are merged in order.

enum { FN(KEYS_AHEAD) = 16 };

// Scores of one query row against `count` keys. A head's slice of the cache jumps from row to row,
// which no hardware prefetcher follows: with `value` given, keys are fetched some rows ahead and the
// values, needed next, on the way.
INLINE void FN(score_keys)(const REAL *query, const REAL *key, const REAL *value, long stride,
                           long count, long dim, REAL *score) {
  KERNEL_FP
  for (long j = 0; j < count; j++) {
    const REAL *k = key + j * stride;
    if (value)
      for (long c = 0; c < dim; c += 64 / (long)sizeof(REAL)) {
        __builtin_prefetch(k + FN(KEYS_AHEAD) * stride + c);
        __builtin_prefetch(value + j * stride + c, 0, 2);
      }
    VEC even = (VEC)((REAL)0), odd = (VEC)((REAL)0);
    long c = 0;
    for (; c + 2 * LANES <= dim; c += 2 * LANES) {
      even += FN(load)(query + c) * FN(load)(k + c);
      odd += FN(load)(query + c + LANES) * FN(load)(k + c + LANES);
    }
    for (; c + LANES <= dim; c += LANES) even += FN(load)(query + c) * FN(load)(k + c);
    REAL rest = 0;
    for (; c < dim; c++) rest += query[c] * k[c];
    score[j] = FN(lane_sum)(even + odd) + rest;
  }
}

// The partial result of one chunk: per row the unnormalised output, the maximum and the sum.
static void FN(attention_decode)(const hk_attention *s, long key_head, long key_start, long key_end,
                                 void *partial_, void *scratch) {
  KERNEL_FP
  const long dim = s->dim, padded = hk_attention_padded(dim), group = s->heads / s->key_heads;
  const long rows = s->tokens * group, stride = s->key_heads * dim, count = key_end - key_start;
  const long pitch = FN(whole_lanes)(count);
  REAL *out = partial_, *maxima = out + rows * padded, *sums = maxima + rows;
  REAL *query = scratch, *scores = query + padded;
  const long offset = key_start * stride + key_head * dim;
  const REAL *key = (const REAL *)s->key + offset, *value = (const REAL *)s->value + offset;
  for (long r = 0; r < rows; r++) {
    const long token = r / group, head = key_head * group + r % group;
    FN(pack_rows)((const REAL *)s->query + token * s->heads * dim + head * dim, 0, 1, 1, dim,
                  (REAL)s->scale, query);
    REAL *score = scores + r * pitch, sum[LANES] = {0};
    FN(score_keys)(query, key, r == 0 ? value : 0, stride, count, dim, score);
    for (long j = count; j < pitch; j++) score[j] = (REAL)-INFINITY;
    FN(mask)(s, token, key_start, pitch, score);
    maxima[r] = LOWEST;
    FN(softmax_step)(score, pitch, maxima + r, sum, out, 0);
    sums[r] = FN(lane_sum)(FN(load)(sum));
  }
  const long whole = dim / LANES * LANES;
  FN(block_product)(rows, whole, count, scores, pitch, 1, value, stride, out, padded, 0);
  for (long r = 0; r < rows; r++)
    for (long c = whole; c < dim; c++) {
      REAL total = 0;
      for (long j = 0; j < count; j++) total += scores[r * pitch + j] * value[j * stride + c];
      out[r * padded + c] = total;
    }
}

static void FN(attention_merge)(const hk_attention *s, long key_head, long chunks,
                                const void *partials_) {
  KERNEL_FP
  const long dim = s->dim, padded = hk_attention_padded(dim), group = s->heads / s->key_heads;
  const long rows = s->tokens * group, size = rows * (padded + 2);
  const REAL *partials = partials_;
  for (long r = 0; r < rows; r++) {
    const long token = r / group, head = key_head * group + r % group;
    REAL *target = (REAL *)s->output + (token * s->heads + head) * dim;
    REAL maximum = LOWEST, total = 0;
    for (long i = 0; i < chunks; i++) {
      const REAL other = partials[i * size + rows * padded + r];
      maximum = other > maximum ? other : maximum;
    }
    for (long c = 0; c < dim; c++) target[c] = 0;
    for (long i = 0; i < chunks; i++) {
      const REAL *out = partials + i * size + r * padded;
      const REAL *statistics = partials + i * size + rows * padded + r;
      const REAL factor = FN(exponential)(statistics[0] - maximum);
      total += factor * statistics[rows];
      for (long c = 0; c < dim; c++) target[c] += factor * out[c];
    }
    const REAL inverse = (REAL)1 / total;
    for (long c = 0; c < dim; c++) target[c] *= inverse;
    ((REAL *)s->log_sum_exp)[head * s->tokens + token] = maximum + (REAL)log((double)total);
  }
}
