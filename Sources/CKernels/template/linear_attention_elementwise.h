// Linear attention whose state decays element by element, by exp(-step rate) with a step per token and value
// channel and a rate per key and value channel (Gu and Dao 2023, "Mamba", section 3.2), token by token.
// Products L = -step rate are at least LEAST_LOG, where nothing is left.
#define LEAST_LOG ((REAL)-1e4)

// The rates of a head, [d, padded e].
INLINE void FN(load_rates)(const hk_linear_attention *s, long head, REAL *rates) {
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  FN(load_state)((const REAL *)s->log_rates + head * d * e, d, e, rates);
  FN(exponentials)(rates, rates, d * pe);
}

INLINE REAL FN(log_left)(REAL step, REAL rate) {
  const REAL log = -step * rate;
  return log > LEAST_LOG ? log : LEAST_LOG;
}

static void FN(linear_attention_elementwise)(const hk_linear_attention *s, long head, long start,
                                             long end, REAL *target, REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  REAL *state = scratch, *rates = state + d * pe, *steps = rates + d * pe, *v = steps + pe;
  REAL *y = v + pe;
  FN(load_rates)(s, head, rates);
  FN(load_state)(target, d, e, state);
  for (long t = start; t < end; t++) {
    const long at = (t * s->heads + head) * d;
    const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
    FN(token_row)(s, s->steps, head, t, e, (REAL)0, steps);
    FN(token_row)(s, s->value, head, t, e, (REAL)0, v);
    FN(fill)((REAL)0, y, pe);
    for (long c = 0; c < d; c++) {
      const REAL own = k[c], factor = (REAL)s->scale * q[c];
      REAL *x = state + c * pe;
      const REAL *rate = rates + c * pe;
      for (long i = 0; i < pe; i++) {
        const REAL left = FN(exponential)(FN(log_left)(steps[i], rate[i]));
        x[i] = left * x[i] + own * v[i];
        y[i] += factor * x[i];
      }
    }
    FN(copy_rows)(y, pe, 1, e, (REAL *)s->output + (t * s->heads + head) * e, e);
  }
  FN(copy_rows)(state, pe, d, e, target, e);
}

// Log-rates, whose gradient is added up over documents: dS/dlog_rate = R moves with the state, R_t = left (R_(t-1) + L S_(t-1)).
//
// Steps: with G the gradient of S_t from what follows token t, S' = left S_(t-1) and B_t = Σ_c rate G S_t,
// column by column, dstep_t = -B_(t-1) and
// B_(t-1) = B_t + dy_t · scale Σ_c q_c rate S'_c - v_t · Σ_c rate k_c G_c.
static void FN(linear_attention_backward_elementwise)(const hk_linear_attention *s, long head,
                                                      long start, long end, const REAL *incoming,
                                                      REAL *dstate, double *dlog_rates,
                                                      REAL *scratch) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  REAL *state = scratch, *moved = state + d * pe, *rates = moved + d * pe;
  REAL *steps = rates + d * pe, *v = steps + pe, *dy = v + pe, *sums = dy + pe, *dv = sums + pe;
  double columns[256];
  FN(load_rates)(s, head, rates);
  FN(load_state)(incoming, d, e, state);
  FN(fill)((REAL)0, moved, d * pe);
  for (long t = start; t < end; t++) {
    const long at = (t * s->heads + head) * d;
    const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
    REAL *dq = (REAL *)s->dquery + at;
    FN(token_row)(s, s->steps, head, t, e, (REAL)0, steps);
    FN(token_row)(s, s->value, head, t, e, (REAL)0, v);
    FN(token_row)(s, s->doutput, head, t, e, (REAL)0, dy);
    FN(fill)((REAL)0, sums, pe);
    for (long c = 0; c < d; c++) {
      const REAL own = k[c], factor = (REAL)s->scale * q[c];
      REAL *x = state + c * pe, *m = moved + c * pe, product = 0;
      const REAL *rate = rates + c * pe;
      for (long i = 0; i < pe; i++) {
        const REAL log = FN(log_left)(steps[i], rate[i]), left = FN(exponential)(log);
        const REAL kept = left * x[i];
        m[i] = left * m[i] + log * kept;
        sums[i] += factor * rate[i] * kept;
        x[i] = kept + own * v[i];
        product += x[i] * dy[i];
      }
      dq[c] = (REAL)s->scale * product;
      if (!dlog_rates) continue;
      for (long i = 0; i < e; i++)
        dlog_rates[c * e + i] += (double)(factor * dy[i]) * (double)m[i];
    }
    if (!s->dsteps) continue;
    REAL *products = (REAL *)s->dsteps + (t * s->heads + head) * e;
    for (long i = 0; i < e; i++) products[i] = dy[i] * sums[i];
  }
  for (long i = 0; i < e; i++) columns[i] = 0;
  for (long c = 0; c < d; c++)
    for (long i = 0; i < e; i++) {
      const double from_end = dstate[c * e + i];
      columns[i] += from_end * (double)rates[c * pe + i] * (double)state[c * pe + i];
      if (dlog_rates) dlog_rates[c * e + i] += from_end * (double)moved[c * pe + i];
    }
  REAL *gradient = state;
  FN(load_state)(dstate, d, e, gradient);
  for (long t = end - 1; t >= start; t--) {
    const long at = (t * s->heads + head) * d, value_at = (t * s->heads + head) * e;
    const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
    REAL *dk = (REAL *)s->dkey + at;
    FN(token_row)(s, s->steps, head, t, e, (REAL)0, steps);
    FN(token_row)(s, s->value, head, t, e, (REAL)0, v);
    FN(token_row)(s, s->doutput, head, t, e, (REAL)0, dy);
    FN(fill)((REAL)0, sums, pe);
    FN(fill)((REAL)0, dv, pe);
    for (long c = 0; c < d; c++) {
      const REAL own = k[c], factor = (REAL)s->scale * q[c];
      REAL *x = gradient + c * pe, product = 0;
      const REAL *rate = rates + c * pe;
      for (long i = 0; i < pe; i++) {
        const REAL g = x[i] + factor * dy[i];
        sums[i] += own * rate[i] * x[i];
        product += g * v[i];
        dv[i] += own * g;
        x[i] = FN(exponential)(FN(log_left)(steps[i], rate[i])) * g;
      }
      dk[c] = product;
    }
    FN(copy_rows)(dv, pe, 1, e, (REAL *)s->dvalue + value_at, e);
    if (!s->dsteps) continue;
    REAL *dsteps = (REAL *)s->dsteps + value_at;
    for (long i = 0; i < e; i++) {
      columns[i] += (double)dsteps[i] - (double)v[i] * (double)sums[i];
      dsteps[i] = (REAL)-columns[i];
    }
  }
  FN(copy_rows)(gradient, pe, d, e, dstate, e);
}

// One token of one head.
static void FN(linear_attention_step_elementwise)(const hk_linear_attention *s, long head, long row,
                                                  REAL *state) {
  KERNEL_FP
  const long d = s->key_dim, e = s->value_dim, at = (row * s->heads + head) * d;
  const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
  const REAL *v = (const REAL *)s->value + (row * s->heads + head) * e;
  const REAL *steps = (const REAL *)s->steps + (row * s->heads + head) * e;
  REAL *y = (REAL *)s->output + (row * s->heads + head) * e;
  FN(fill)((REAL)0, y, e);
  for (long c = 0; c < d; c++) {
    const REAL factor = (REAL)s->scale * q[c], own = k[c];
    const REAL *log_rates = (const REAL *)s->log_rates + (head * d + c) * e;
    REAL *x = state + c * e;
    for (long i = 0; i < e; i++) {
      const REAL log = FN(log_left)(steps[i], FN(exponential)(log_rates[i]));
      x[i] = FN(exponential)(log) * x[i] + own * v[i];
      y[i] += factor * x[i];
    }
  }
}
