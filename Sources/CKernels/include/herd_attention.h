// What the attention kernels share with their caller: the problem and the sizes of work areas.
#ifndef HERD_ATTENTION_H
#define HERD_ATTENTION_H

#include <stdint.h>

// Keys per block.
enum { HK_ATTENTION_KEYS = 64 };

// Causal attention of `tokens` queries over `keys = tokens + offset` keys. Rows are tokens; a row
// holds its heads one after another, `dim` channels each. `heads` is a multiple of `key_heads`.
// log_sum_exp is [heads, tokens].
typedef struct {
  const void *query, *key, *value;
  void *output, *log_sum_exp;
  // First key row of each token's document; NULL: row 0.
  const int32_t *document_starts;
  long tokens, keys, heads, key_heads, dim, offset;
  // Keys a token sees, itself included; 0: all.
  long window;
  double scale;
} hk_attention;

// Channels per head rounded up to whole vectors of every instruction set.
static inline long hk_attention_padded(long dim) { return (dim + 15) / 16 * 16; }

// Tokens per forward task.
static inline long hk_attention_forward_tokens(const hk_attention *s) {
  long tokens = 96 / (s->heads / s->key_heads);
  return tokens > 0 ? tokens : 1;
}

// Tokens handled at once by backward.
static inline long hk_attention_backward_tokens(const hk_attention *s) {
  long tokens = 48 / (s->heads / s->key_heads);
  return tokens > 0 ? tokens : 1;
}

// Sizes below are in elements. One packed block of keys and values:
static inline long hk_attention_block_size(const hk_attention *s) {
  return HK_ATTENTION_KEYS * (s->dim + hk_attention_padded(s->dim));
}

// Work area of one forward task.
static inline long hk_attention_forward_scratch(const hk_attention *s) {
  long rows = hk_attention_forward_tokens(s) * (s->heads / s->key_heads);
  return rows * (2 * hk_attention_padded(s->dim) + 16 + 1) + 12 * HK_ATTENTION_KEYS;
}

// Work area of one decode task over a chunk of keys, and its partial result.
static inline long hk_attention_decode_scratch(const hk_attention *s, long chunk) {
  return hk_attention_padded(s->dim) + s->tokens * (s->heads / s->key_heads) * (chunk + 16);
}
static inline long hk_attention_decode_partial(const hk_attention *s) {
  return s->tokens * (s->heads / s->key_heads) * (hk_attention_padded(s->dim) + 2);
}

// All tokens' rows of one key head gathered for backward, the query gradient of one key head, and
// the work area of one backward task.
static inline long hk_attention_gathered_size(const hk_attention *s) {
  return s->tokens * (s->heads / s->key_heads) * (2 * hk_attention_padded(s->dim) + 2);
}
static inline long hk_attention_dquery_size(const hk_attention *s) {
  return s->tokens * (s->heads / s->key_heads) * hk_attention_padded(s->dim);
}
static inline long hk_attention_backward_scratch(const hk_attention *s) {
  long rows = hk_attention_backward_tokens(s) * (s->heads / s->key_heads);
  return HK_ATTENTION_KEYS * (3 * hk_attention_padded(s->dim) + 2 * s->dim + 2 * rows);
}

#endif
