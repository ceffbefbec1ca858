// Linear attention as the table holds it: the kernel for the problem's decay.

static void FN(linear_attention_forward)(const hk_linear_attention *s, long head, long start,
                                         long end, void *state, double *decay, void *scratch) {
  if (s->log_rates)
    FN(linear_attention_elementwise)(s, head, start, end, state, scratch);
  else if (s->value_log_decay)
    FN(linear_attention_outer)(s, head, start, end, state, scratch);
  else if (s->log_decay)
    FN(linear_attention_vector)(s, head, start, end, state, decay, scratch);
  else
    FN(linear_attention_constant)(s, head, start, end, state, decay, scratch);
}

static void FN(linear_attention_backward)(const hk_linear_attention *s, long head, long start,
                                          long end, const void *state, void *dstate, double *decay,
                                          double *dslope, void *scratch) {
  if (s->log_rates)
    FN(linear_attention_backward_elementwise)(s, head, start, end, state, dstate, dslope, scratch);
  else if (s->value_log_decay)
    FN(linear_attention_backward_outer)(s, head, start, end, state, dstate, scratch);
  else if (s->log_decay)
    FN(linear_attention_backward_vector)(s, head, start, end, state, dstate, decay, scratch);
  else
    FN(linear_attention_backward_constant)(s, head, start, end, state, dstate, decay, dslope,
                                           scratch);
}

// One token of one head.
static void FN(linear_attention_step)(const hk_linear_attention *s, long head, long row,
                                      void *state_) {
  KERNEL_FP
  if (s->log_rates) {
    FN(linear_attention_step_elementwise)(s, head, row, state_);
    return;
  }
  const long d = s->key_dim, e = s->value_dim, at = (row * s->heads + head) * d;
  const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
  const REAL *v = (const REAL *)s->value + (row * s->heads + head) * e;
  REAL *y = (REAL *)s->output + (row * s->heads + head) * e, *state = state_;
  const REAL constant = (REAL)exp(-FN(slope_of)(s, head));
  REAL columns[256];
  FN(fill)((REAL)1, columns, e);
  if (s->value_log_decay) {
    const REAL *gates = (const REAL *)s->value_log_decay + (row * s->heads + head) * e;
    for (long i = 0; i < e; i++) columns[i] = FN(exponential)(gates[i]);
  }
  FN(fill)((REAL)0, y, e);
  for (long c = 0; c < d; c++) {
    const REAL f = s->log_decay ? FN(exponential)(((const REAL *)s->log_decay)[at + c]) : constant;
    const REAL factor = (REAL)s->scale * q[c], own = k[c];
    REAL *x = state + c * e;
    for (long i = 0; i < e; i++) {
      x[i] = f * columns[i] * x[i] + own * v[i];
      y[i] += factor * x[i];
    }
  }
}
