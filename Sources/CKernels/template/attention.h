// Causal attention in blocks of queries and keys with a running softmax (Milakov and Gimelshein 2018;
// Dao et al. 2022): the scores of a block exist only in the cache.
//
// The query heads that share a key head are handled together: row r of a block of queries is token
// r / group, head r % group of the group.

enum { FN(MAX_ROWS) = 12 };  // Rows whose scores are alive at once; a multiple of the tile heights.

#define KEYS HK_ATTENTION_KEYS
// Finite, so that a row which has seen no key yet still gives differences that are numbers.
#define LOWEST ((REAL)-1e30)

INLINE long FN(first_key)(const hk_attention *s, long token) {
  const long last = token + s->offset;
  long first = s->window > 0 && last >= s->window ? last - s->window + 1 : 0;
  if (s->document_starts && s->document_starts[token] > first) first = s->document_starts[token];
  return first < last ? first : last;
}

INLINE long FN(first_key_of)(const hk_attention *s, long token, long end) {
  long first = FN(first_key)(s, token);
  for (long t = token + 1; t < end; t++) {
    const long other = FN(first_key)(s, t);
    if (other < first) first = other;
  }
  return first;
}

INLINE long FN(whole_lanes)(long n) { return (n + LANES - 1) / LANES * LANES; }

// Excludes the keys a row does not see from `columns` scores whose first belongs to key `base`.
INLINE void FN(mask)(const hk_attention *s, long token, long base, long columns, REAL *score) {
  const long first = FN(first_key)(s, token) - base, end = token + s->offset - base + 1;
  for (long j = 0; j < first && j < columns; j++) score[j] = (REAL)-INFINITY;
  for (long j = end > 0 ? end : 0; j < columns; j++) score[j] = (REAL)-INFINITY;
}

// source[count rows, dim] with a row stride, transposed into target[dim, KEYS], zeros behind.
INLINE void FN(pack_transposed)(const REAL *source, long stride, long count, long dim,
                                REAL *target) {
  for (long j = 0; j < KEYS; j++)
    for (long c = 0; c < dim; c++)
      target[c * KEYS + j] = j < count ? source[j * stride + c] : (REAL)0;
}

// source[count rows, dim] copied into target[total, padded], times a factor, zeros around.
INLINE void FN(pack_rows)(const REAL *source, long stride, long count, long total, long dim,
                          REAL factor, REAL *target) {
  const long padded = hk_attention_padded(dim);
  for (long j = 0; j < total; j++)
    for (long c = 0; c < padded; c++)
      target[j * padded + c] = j < count && c < dim ? factor * source[j * stride + c] : (REAL)0;
}

static void FN(attention_pack)(const hk_attention *s, long key_head, long block, void *packed_) {
  REAL *packed = packed_;
  const long stride = s->key_heads * s->dim, start = block * KEYS;
  const long count = s->keys - start < KEYS ? s->keys - start : KEYS;
  const long offset = start * stride + key_head * s->dim;
  FN(pack_transposed)((const REAL *)s->key + offset, stride, count, s->dim, packed);
  FN(pack_rows)((const REAL *)s->value + offset, stride, count, KEYS, s->dim, (REAL)1,
                packed + s->dim * KEYS);
}

// Turns a row's scores into weights relative to the running maximum and keeps the running sum.
INLINE void FN(softmax_step)(REAL *score, long columns, REAL *maximum, REAL *sum, REAL *out,
                             long padded) {
  KERNEL_FP
  VEC top = FN(load)(score);
  for (long j = LANES; j < columns; j += LANES) {
    VEC next = FN(load)(score + j);
    top = next > top ? next : top;
  }
  const REAL highest = FN(lane_max)(top);
  VEC total = FN(load)(sum);
  if (highest > *maximum) {
    const REAL correction = FN(exponential)(*maximum - highest);
    *maximum = highest;
    total *= correction;
    for (long c = 0; c < padded; c += LANES) FN(store)(out + c, FN(load)(out + c) * correction);
  }
  const VEC shift = (VEC)(*maximum);
  for (long j = 0; j < columns; j += LANES) {
    VEC weight = FN(exponential_lanes)(FN(load)(score + j) - shift);
    total += weight;
    FN(store)(score + j, weight);
  }
  FN(store)(sum, total);
}

static void FN(attention_forward)(const hk_attention *s, long key_head, long token_start,
                                  long token_end, const void *packed_, long first_block,
                                  void *scratch) {
  KERNEL_FP
  const long dim = s->dim, padded = hk_attention_padded(dim), group = s->heads / s->key_heads;
  const long rows = (token_end - token_start) * group, block_size = dim * KEYS + KEYS * padded;
  REAL *query = scratch, *out = query + rows * padded, *sums = out + rows * padded;
  REAL *maxima = sums + rows * LANES, *scores = maxima + rows;
  const long stride = s->heads * dim;
  for (long r = 0; r < rows; r++) {
    const long token = token_start + r / group, head = key_head * group + r % group;
    FN(pack_rows)((const REAL *)s->query + token * stride + head * dim, 0, 1, 1, dim,
                  (REAL)s->scale, query + r * padded);
    for (long c = 0; c < padded; c++) out[r * padded + c] = 0;
    for (long c = 0; c < LANES; c++) sums[r * LANES + c] = 0;
    maxima[r] = LOWEST;
  }
  const long begin = FN(first_key_of)(s, token_start, token_end) / KEYS;
  const long end = (token_end - 1 + s->offset) / KEYS;
  for (long block = begin; block <= end; block++) {
    const REAL *keys = (const REAL *)packed_ + (block - first_block) * block_size;
    const REAL *values = keys + dim * KEYS;
    const long base = block * KEYS;
    for (long r = 0; r < rows; r += FN(MAX_ROWS)) {
      const long count = rows - r < FN(MAX_ROWS) ? rows - r : FN(MAX_ROWS);
      const long from = token_start + r / group, to = token_start + (r + count - 1) / group + 1;
      const long seen = to - 1 + s->offset - base + 1 < KEYS ? to - 1 + s->offset - base + 1 : KEYS;
      if (seen <= 0 || FN(first_key_of)(s, from, to) >= base + KEYS) continue;
      const long columns = FN(whole_lanes)(seen);
      FN(block_product)(count, columns, dim, query + r * padded, padded, 1, keys, KEYS, scores,
                        KEYS, 0);
      for (long i = 0; i < count; i++) {
        FN(mask)(s, token_start + (r + i) / group, base, columns, scores + i * KEYS);
        FN(softmax_step)(scores + i * KEYS, columns, maxima + r + i, sums + (r + i) * LANES,
                         out + (r + i) * padded, padded);
      }
      FN(block_product)(count, padded, seen, scores, KEYS, 1, values, padded, out + r * padded,
                        padded, 1);
    }
  }
  for (long r = 0; r < rows; r++) {
    const long token = token_start + r / group, head = key_head * group + r % group;
    const REAL total = FN(lane_sum)(FN(load)(sums + r * LANES)), inverse = (REAL)1 / total;
    REAL *target = (REAL *)s->output + token * stride + head * dim;
    for (long c = 0; c < dim; c++) target[c] = out[r * padded + c] * inverse;
    ((REAL *)s->log_sum_exp)[head * s->tokens + token] = maxima[r] + (REAL)log((double)total);
  }
}
