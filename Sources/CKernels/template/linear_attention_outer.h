// Linear attention with a decay per token, key channel and value channel: the outer product of two gates
// ("EosLayer" of arXiv 2405.17383, oscillation 1). Token by token: in a block the two factors of a weight
// come apart only by dividing by one of them, which overflows where a gate is shut.

// Row `t` of head `head` in a tensor of `width` channels per head, padded with `rest`.
INLINE void FN(token_row)(const hk_linear_attention *s, const void *tensor, long head, long t,
                          long width, REAL rest, REAL *row) {
  const long padded = hk_linear_attention_padded(width);
  const REAL *source = (const REAL *)tensor + (t * s->heads + head) * width;
  for (long i = 0; i < padded; i++) row[i] = i < width ? source[i] : rest;
}

// Moves the state over one token; y = scale · q S, and where dy is given dq_c = scale · dy · S_c.
INLINE void FN(outer_token)(const hk_linear_attention *s, long head, long t, REAL *state,
                            REAL *shrink, REAL *v, REAL *y, const REAL *dy, REAL *dq) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  const long at = (t * s->heads + head) * d;
  const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
  const REAL *gates = (const REAL *)s->log_decay + at;
  FN(token_row)(s, s->value_log_decay, head, t, e, (REAL)0, shrink);
  FN(exponentials)(shrink, shrink, pe);
  FN(token_row)(s, s->value, head, t, e, (REAL)0, v);
  FN(fill)((REAL)0, y, pe);
  for (long c = 0; c < d; c++) {
    const REAL f = FN(exponential)(gates[c]), own = k[c], factor = (REAL)s->scale * q[c];
    REAL *x = state + c * pe;
    for (long i = 0; i < pe; i++) {
      x[i] = f * shrink[i] * x[i] + own * v[i];
      y[i] += factor * x[i];
    }
    if (!dy) continue;
    REAL product = 0;
    for (long i = 0; i < pe; i++) product += x[i] * dy[i];
    dq[c] = (REAL)s->scale * product;
  }
}

static void FN(linear_attention_outer)(const hk_linear_attention *s, long head, long start,
                                       long end, REAL *target, REAL *scratch) {
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  REAL *state = scratch, *shrink = state + d * pe, *v = shrink + pe, *y = v + pe;
  FN(load_state)(target, d, e, state);
  for (long t = start; t < end; t++) {
    FN(outer_token)(s, head, t, state, shrink, v, y, 0, 0);
    FN(copy_rows)(y, pe, 1, e, (REAL *)s->output + (t * s->heads + head) * e, e);
  }
  FN(copy_rows)(state, pe, d, e, target, e);
}

// Gates: dg_t = Σ_(i >= t) (q_i dq_i - k_i dk_i) + row sums of dS · S at the end, and for those of value
// channels the same of y dy - v dv and column sums.
static void FN(linear_attention_backward_outer)(const hk_linear_attention *s, long head, long start,
                                                long end, const REAL *incoming, REAL *dstate,
                                                REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  REAL *state = scratch, *gradient = state + d * pe, *shrink = gradient + d * pe;
  REAL *v = shrink + pe, *y = v + pe, *dy = y + pe, *dv = dy + pe;
  double rows[256], columns[256];
  FN(load_state)(incoming, d, e, state);
  for (long t = start; t < end; t++) {
    FN(token_row)(s, s->doutput, head, t, e, (REAL)0, dy);
    FN(outer_token)(s, head, t, state, shrink, v, y, dy,
                    (REAL *)s->dquery + (t * s->heads + head) * d);
    if (!s->dvalue_log_decay) continue;
    REAL *products = (REAL *)s->dvalue_log_decay + (t * s->heads + head) * e;
    for (long i = 0; i < e; i++) products[i] = y[i] * dy[i];
  }
  FN(load_state)(dstate, d, e, gradient);
  for (long i = 0; i < e; i++) columns[i] = 0;
  for (long c = 0; c < d; c++) {
    rows[c] = 0;
    for (long i = 0; i < e; i++) {
      const double product = (double)gradient[c * pe + i] * (double)state[c * pe + i];
      rows[c] += product;
      columns[i] += product;
    }
  }
  for (long t = end - 1; t >= start; t--) {
    const long at = (t * s->heads + head) * d, value_at = (t * s->heads + head) * e;
    const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
    const REAL *gates = (const REAL *)s->log_decay + at, *dq = (const REAL *)s->dquery + at;
    REAL *dk = (REAL *)s->dkey + at;
    FN(token_row)(s, s->doutput, head, t, e, (REAL)0, dy);
    FN(token_row)(s, s->value, head, t, e, (REAL)0, v);
    FN(token_row)(s, s->value_log_decay, head, t, e, (REAL)0, shrink);
    FN(exponentials)(shrink, shrink, pe);
    FN(fill)((REAL)0, dv, pe);
    for (long c = 0; c < d; c++) {
      const REAL f = FN(exponential)(gates[c]), own = k[c], factor = (REAL)s->scale * q[c];
      REAL *x = gradient + c * pe, product = 0;
      for (long i = 0; i < pe; i++) {
        const REAL g = x[i] + factor * dy[i];
        product += g * v[i];
        dv[i] += own * g;
        x[i] = f * shrink[i] * g;
      }
      dk[c] = product;
      if (!s->dlog_decay) continue;
      rows[c] += (double)q[c] * (double)dq[c] - (double)k[c] * (double)product;
      ((REAL *)s->dlog_decay)[at + c] = (REAL)rows[c];
    }
    FN(copy_rows)(dv, pe, 1, e, (REAL *)s->dvalue + value_at, e);
    if (!s->dvalue_log_decay) continue;
    REAL *sums = (REAL *)s->dvalue_log_decay + value_at;
    for (long i = 0; i < e; i++) {
      columns[i] += (double)sums[i] - (double)v[i] * (double)dv[i];
      sums[i] = (REAL)columns[i];
    }
  }
  FN(copy_rows)(gradient, pe, d, e, dstate, e);
}
