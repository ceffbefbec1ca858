// What the linear attention kernels share with their caller: the problem and the sizes of work areas.
#ifndef HERD_LINEAR_ATTENTION_H
#define HERD_LINEAR_ATTENTION_H

// Tokens per block.
enum { HK_LINEAR_TOKENS = 64 };

// S_t = decay S_(t-1) + k_t' v_t, o_t = scale q_t S_t. Rows are tokens; a row holds its heads one after
// another. The decay is exp(-slopes[head]), or exp(log_decay[t, channel]) per row of the state, there with
// value_log_decay times exp of that per column, or exp(-steps[t, column] exp(log_rates[head, row, column]))
// per element, or 1 where all are NULL.
typedef struct {
  const void *query, *key, *value;
  const void *slopes, *log_decay, *value_log_decay, *steps, *log_rates;
  // NULL: only states are wanted.
  void *output;
  const void *doutput;
  // NULL (all three): only gradients of states are wanted.
  void *dquery, *dkey, *dvalue;
  // NULL unless wanted.
  void *dlog_decay, *dvalue_log_decay, *dsteps;
  long heads, key_dim, value_dim;
  double scale;
} hk_linear_attention;

// The delta rule: S_t = S' + k_t' beta_t r_t, S' = decay S_(t-1), r_t = v_t - k_t S'. The decay is not one
// of columns.
typedef struct {
  hk_linear_attention attention;
  // [tokens, heads].
  const void *beta;
  void *dbeta;
  // Work areas of the backward kernel, of the values' shape: r, and the gradients of beta r.
  void *residual, *dupdate;
} hk_delta_rule;

// Channels rounded up to whole vectors of every instruction set.
static inline long hk_linear_attention_padded(long dim) { return (dim + 15) / 16 * 16; }

// Sizes in elements: the work area of the forward kernel, and of the backward kernel over a span of
// `tokens`, which with `keeps_states` holds the state after every block.
static inline long hk_linear_attention_forward_scratch(const hk_linear_attention *s) {
  const long n = HK_LINEAR_TOKENS, d = hk_linear_attention_padded(s->key_dim);
  const long e = hk_linear_attention_padded(s->value_dim);
  const long rates = s->log_rates ? d * e : 0;
  return rates + d * e + 3 * n * d + 2 * n * e + n * n + 16 * d + 4 * n + 3 * d;
}
static inline long hk_linear_attention_backward_scratch(const hk_linear_attention *s, long tokens,
                                                        int keeps_states) {
  const long n = HK_LINEAR_TOKENS, d = hk_linear_attention_padded(s->key_dim);
  const long e = hk_linear_attention_padded(s->value_dim);
  const long states = keeps_states ? (tokens + n - 1) / n : 0;
  const long rates = s->log_rates ? d * e : 0;
  return rates + (2 + states) * d * e + 5 * n * d + 4 * n * e + 2 * n * n + 3 * 16 * d + 4 * n + 3 * d;
}

static inline long hk_delta_rule_scratch(const hk_delta_rule *rule) {
  const long e = hk_linear_attention_padded(rule->attention.value_dim);
  return rule->attention.key_dim * (e + 1) + 3 * e;
}

#endif
