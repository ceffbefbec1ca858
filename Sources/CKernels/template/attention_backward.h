// Gradients of attention. Scores are computed again block by block; with the saved log-sum-exp a
// weight is exp(score - log_sum_exp), and with D = sum of dy * y over a row
//   dValue = weightsᵀ dy,  dScores = weights * (dy Valueᵀ - D),
//   dQuery = scale dScores Key,  dKey = scale dScoresᵀ Query.

// Rows of all tokens for one key head: scaled queries, dy, D and log-sum-exp.
static void FN(attention_gather)(const hk_attention *s, const void *dy_, long key_head,
                                 long token_start, long token_end, void *packed_) {
  KERNEL_FP
  const long dim = s->dim, padded = hk_attention_padded(dim), group = s->heads / s->key_heads;
  const long rows = s->tokens * group;
  REAL *query = packed_, *dy = query + rows * padded, *inner = dy + rows * padded;
  REAL *log_sum_exp = inner + rows;
  for (long r = token_start * group; r < token_end * group; r++) {
    const long token = r / group, head = key_head * group + r % group;
    const long offset = (token * s->heads + head) * dim;
    const REAL *source = (const REAL *)dy_ + offset, *out = (const REAL *)s->output + offset;
    FN(pack_rows)((const REAL *)s->query + offset, 0, 1, 1, dim, (REAL)s->scale, query + r * padded);
    FN(pack_rows)(source, 0, 1, 1, dim, (REAL)1, dy + r * padded);
    REAL total = 0;
    for (long c = 0; c < dim; c++) total += source[c] * out[c];
    inner[r] = total;
    log_sum_exp[r] = ((const REAL *)s->log_sum_exp)[head * s->tokens + token];
  }
}

// One key block against the tokens that see it. dquery grows; dkey and dvalue are complete after.
static void FN(attention_backward)(const hk_attention *s, long key_head, long block,
                                   const void *packed_, void *dquery_, void *dkey_, void *dvalue_,
                                   void *scratch) {
  KERNEL_FP
  const long dim = s->dim, padded = hk_attention_padded(dim), group = s->heads / s->key_heads;
  const long all = s->tokens * group, base = block * KEYS, stride = s->key_heads * dim;
  const long count = s->keys - base < KEYS ? s->keys - base : KEYS;
  const long most = hk_attention_backward_tokens(s);
  const REAL *query = packed_, *dy = query + all * padded, *inner = dy + all * padded;
  const REAL *log_sum_exp = inner + all;
  REAL *dquery = dquery_;
  REAL *keys = scratch, *keys_transposed = keys + KEYS * padded;
  REAL *values_transposed = keys_transposed + KEYS * dim;
  REAL *dkey = values_transposed + KEYS * dim, *dvalue = dkey + KEYS * padded;
  REAL *weights = dvalue + KEYS * padded, *dscores = weights + most * group * KEYS;
  const long offset = base * stride + key_head * dim;
  FN(pack_rows)((const REAL *)s->key + offset, stride, count, KEYS, dim, (REAL)1, keys);
  FN(pack_transposed)((const REAL *)s->key + offset, stride, count, dim, keys_transposed);
  FN(pack_transposed)((const REAL *)s->value + offset, stride, count, dim, values_transposed);
  for (long i = 0; i < KEYS * padded; i++) dkey[i] = dvalue[i] = 0;
  for (long from = base > s->offset ? base - s->offset : 0; from < s->tokens; from += most) {
    const long to = from + most < s->tokens ? from + most : s->tokens;
    if (FN(first_key_of)(s, from, to) >= base + KEYS) continue;
    const long seen = to + s->offset - base < KEYS ? to + s->offset - base : KEYS;
    const long columns = FN(whole_lanes)(seen), rows = (to - from) * group, start = from * group;
    FN(block_product)(rows, columns, dim, query + start * padded, padded, 1, keys_transposed, KEYS,
                      weights, KEYS, 0);
    FN(block_product)(rows, columns, dim, dy + start * padded, padded, 1, values_transposed, KEYS,
                      dscores, KEYS, 0);
    for (long r = 0; r < rows; r++) {
      REAL *weight = weights + r * KEYS, *dscore = dscores + r * KEYS;
      FN(mask)(s, from + r / group, base, columns, weight);
      const VEC shift = (VEC)(log_sum_exp[start + r]), less = (VEC)(inner[start + r]);
      for (long j = 0; j < columns; j += LANES) {
        const VEC p = FN(exponential_lanes)(FN(load)(weight + j) - shift);
        FN(store)(weight + j, p);
        FN(store)(dscore + j, p * (FN(load)(dscore + j) - less));
      }
    }
    FN(block_product)(seen, padded, rows, weights, 1, KEYS, dy + start * padded, padded, dvalue,
                      padded, 1);
    FN(block_product)(seen, padded, rows, dscores, 1, KEYS, query + start * padded, padded, dkey,
                      padded, 1);
    FN(block_product)(rows, padded, seen, dscores, KEYS, 1, keys, padded, dquery + start * padded,
                      padded, 1);
  }
  for (long j = 0; j < count; j++)
    for (long c = 0; c < dim; c++) {
      ((REAL *)dkey_)[offset + j * stride + c] = dkey[j * padded + c];
      ((REAL *)dvalue_)[offset + j * stride + c] = dvalue[j * padded + c];
    }
}

// dquery rows of a key head: the partial sums added in order, scaled and put in place.
static void FN(attention_scatter)(const hk_attention *s, long key_head, long token_start,
                                  long token_end, const void *partials_, long parts,
                                  long part_stride, void *dquery_) {
  KERNEL_FP
  const long dim = s->dim, padded = hk_attention_padded(dim), group = s->heads / s->key_heads;
  const REAL scale = (REAL)s->scale;
  for (long r = token_start * group; r < token_end * group; r++) {
    const long token = r / group, head = key_head * group + r % group;
    const REAL *source = (const REAL *)partials_ + r * padded;
    REAL *target = (REAL *)dquery_ + (token * s->heads + head) * dim;
    for (long c = 0; c < dim; c++) target[c] = source[c];
    for (long part = 1; part < parts; part++)
      for (long c = 0; c < dim; c++) target[c] += source[part * part_stride + c];
    for (long c = 0; c < dim; c++) target[c] *= scale;
  }
}
