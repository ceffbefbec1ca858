// Linear attention by the delta rule (Yang et al. 2024, "Parallelizing Linear Transformers with the Delta
// Rule over Sequence Length"; with a decay Yang et al. 2025, "Gated Delta Networks"), token by token: with
// S' = decay S_(t-1), what a token adds is u = beta r, r = v - k S'.

// What is left of every row of a state, where the decay is not one constant.
INLINE void FN(delta_factors)(const hk_linear_attention *s, long head, long t, REAL *factors) {
  if (!s->log_decay) return;
  const REAL *gates = (const REAL *)s->log_decay + (t * s->heads + head) * s->key_dim;
  FN(exponentials)(gates, factors, s->key_dim);
}

// Lets the state decay over one token; recalled = k S', what it held for the token's key.
INLINE void FN(delta_recall)(long d, long pe, const REAL *factors, const REAL *k, REAL *state,
                             REAL *recalled) {
  KERNEL_FP
  FN(fill)((REAL)0, recalled, pe);
  for (long c = 0; c < d; c++) {
    const REAL f = factors[c], own = k[c];
    REAL *x = state + c * pe;
    for (long i = 0; i < pe; i++) {
      x[i] *= f;
      recalled[i] += own * x[i];
    }
  }
}

static void FN(delta_rule_forward)(const hk_delta_rule *rule, long head, long start, long end,
                                   void *target, void *scratch) {
  KERNEL_FP
  const hk_linear_attention *s = &rule->attention;
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  REAL *state = scratch, *factors = state + d * pe, *recalled = factors + d;
  REAL *v = recalled + pe, *y = v + pe;
  FN(fill)((REAL)exp(-FN(slope_of)(s, head)), factors, d);
  FN(load_state)(target, d, e, state);
  for (long t = start; t < end; t++) {
    const long at = (t * s->heads + head) * d;
    const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
    const REAL beta = ((const REAL *)rule->beta)[t * s->heads + head];
    FN(delta_factors)(s, head, t, factors);
    FN(token_row)(s, s->value, head, t, e, (REAL)0, v);
    FN(delta_recall)(d, pe, factors, k, state, recalled);
    for (long i = 0; i < pe; i++) v[i] = beta * (v[i] - recalled[i]);
    FN(fill)((REAL)0, y, pe);
    for (long c = 0; c < d; c++) {
      const REAL own = k[c], factor = (REAL)s->scale * q[c];
      REAL *x = state + c * pe;
      for (long i = 0; i < pe; i++) {
        x[i] += own * v[i];
        y[i] += factor * x[i];
      }
    }
    FN(copy_rows)(y, pe, 1, e, (REAL *)s->output + (t * s->heads + head) * e, e);
  }
  FN(copy_rows)(state, pe, d, e, target, e);
}

// Backward in time with G the gradient of the state: du_t = k_t G_t, where G_t has the token's output in
// it, and before the token G = decay (G_t + k_t' w_t) with w = -beta du. Needs no state.
static void FN(delta_rule_updates)(const hk_delta_rule *rule, long head, long start, long end,
                                   REAL *gradient, REAL *factors, REAL *dy, REAL *du) {
  KERNEL_FP
  const hk_linear_attention *s = &rule->attention;
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  for (long t = end - 1; t >= start; t--) {
    const long at = (t * s->heads + head) * d, value_at = (t * s->heads + head) * e;
    const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
    const REAL beta = ((const REAL *)rule->beta)[t * s->heads + head];
    REAL *kept = (REAL *)rule->dupdate + value_at, *dv = (REAL *)s->dvalue + value_at;
    FN(delta_factors)(s, head, t, factors);
    FN(token_row)(s, s->doutput, head, t, e, (REAL)0, dy);
    FN(fill)((REAL)0, du, pe);
    for (long c = 0; c < d; c++) {
      const REAL own = k[c], factor = (REAL)s->scale * q[c];
      REAL *x = gradient + c * pe;
      for (long i = 0; i < pe; i++) {
        x[i] += factor * dy[i];
        du[i] += own * x[i];
      }
    }
    for (long i = 0; i < e; i++) {
      kept[i] = du[i];
      dv[i] = beta * du[i];
    }
    for (long i = 0; i < pe; i++) du[i] *= -beta;
    for (long c = 0; c < d; c++) {
      const REAL f = factors[c], own = k[c];
      REAL *x = gradient + c * pe;
      for (long i = 0; i < pe; i++) x[i] = f * (x[i] + own * du[i]);
    }
  }
}

// Forward in time: r_t, dq_t = scale S_t dy_t, dbeta_t = du_t · r_t and, left in dkey, the part S'_t w_t of
// the keys' gradient.
static void FN(delta_rule_queries)(const hk_delta_rule *rule, long head, long start, long end,
                                   REAL *state, REAL *factors, REAL *dy, REAL *u, REAL *w) {
  KERNEL_FP
  const hk_linear_attention *s = &rule->attention;
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  for (long t = start; t < end; t++) {
    const long at = (t * s->heads + head) * d, row = t * s->heads + head;
    const REAL *k = (const REAL *)s->key + at;
    const REAL beta = ((const REAL *)rule->beta)[row];
    REAL *dq = (REAL *)s->dquery + at, *dk = (REAL *)s->dkey + at;
    REAL *rest = (REAL *)rule->residual + row * e;
    FN(delta_factors)(s, head, t, factors);
    FN(delta_recall)(d, pe, factors, k, state, u);
    FN(token_row)(s, s->doutput, head, t, e, (REAL)0, dy);
    FN(token_row)(s, rule->dupdate, head, t, e, (REAL)0, w);
    const REAL *v = (const REAL *)s->value + row * e;
    REAL dbeta = 0;
    for (long i = 0; i < e; i++) {
      rest[i] = v[i] - u[i];
      dbeta += w[i] * rest[i];
    }
    ((REAL *)rule->dbeta)[row] = dbeta;
    FN(fill)((REAL)0, u, pe);
    for (long i = 0; i < e; i++) u[i] = beta * rest[i];
    for (long i = 0; i < pe; i++) w[i] *= -beta;
    for (long c = 0; c < d; c++) {
      const REAL own = k[c];
      REAL *x = state + c * pe, product = 0, second = 0;
      for (long i = 0; i < pe; i++) {
        second += x[i] * w[i];
        x[i] += own * u[i];
        product += x[i] * dy[i];
      }
      dq[c] = (REAL)s->scale * product;
      dk[c] = second;
    }
  }
}

// Log-decays: dg_t = Σ_(i >= t) (q_i dq_i - k_i G_i u_i + k_i S'_i w_i) + row sums of dS · S at the end.
static void FN(delta_rule_backward)(const hk_delta_rule *rule, long head, long start, long end,
                                    const void *incoming, void *dstate, double *dslope,
                                    void *scratch) {
  KERNEL_FP
  const hk_linear_attention *s = &rule->attention;
  const long d = s->key_dim, e = s->value_dim, pe = hk_linear_attention_padded(e);
  REAL *state = scratch, *factors = state + d * pe, *dy = factors + d, *u = dy + pe, *w = u + pe;
  double rows[256], slope = 0;
  FN(fill)((REAL)exp(-FN(slope_of)(s, head)), factors, d);
  FN(load_state)(dstate, d, e, state);
  FN(delta_rule_updates)(rule, head, start, end, state, factors, dy, u);
  FN(load_state)(incoming, d, e, state);
  FN(delta_rule_queries)(rule, head, start, end, state, factors, dy, u, w);
  for (long c = 0; c < d; c++) {
    rows[c] = 0;
    for (long i = 0; i < e; i++)
      rows[c] += (double)((const REAL *)dstate)[c * e + i] * (double)state[c * pe + i];
  }
  REAL *gradient = state;
  FN(load_state)(dstate, d, e, gradient);
  for (long t = end - 1; t >= start; t--) {
    const long at = (t * s->heads + head) * d;
    const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
    const REAL *dq = (const REAL *)s->dquery + at;
    const REAL beta = ((const REAL *)rule->beta)[t * s->heads + head];
    REAL *dk = (REAL *)s->dkey + at;
    FN(delta_factors)(s, head, t, factors);
    FN(token_row)(s, s->doutput, head, t, e, (REAL)0, dy);
    FN(token_row)(s, rule->residual, head, t, e, (REAL)0, u);
    FN(token_row)(s, rule->dupdate, head, t, e, (REAL)0, w);
    for (long i = 0; i < pe; i++) {
      u[i] *= beta;
      w[i] *= -beta;
    }
    for (long c = 0; c < d; c++) {
      const REAL f = factors[c], own = k[c], factor = (REAL)s->scale * q[c], second = dk[c];
      REAL *x = gradient + c * pe, product = 0;
      for (long i = 0; i < pe; i++) {
        const REAL g = x[i] + factor * dy[i];
        product += g * u[i];
        x[i] = f * (g + own * w[i]);
      }
      dk[c] = product + second;
      rows[c] += (double)q[c] * (double)dq[c] - (double)own * ((double)product - (double)second);
      if (s->dlog_decay) ((REAL *)s->dlog_decay)[at + c] = (REAL)rows[c];
      slope -= rows[c];
    }
  }
  if (dslope) *dslope = slope;
  FN(copy_rows)(gradient, pe, d, e, dstate, e);
}

// One token of one head.
static void FN(delta_rule_step)(const hk_delta_rule *rule, long head, long row, void *state_) {
  KERNEL_FP
  const hk_linear_attention *s = &rule->attention;
  const long d = s->key_dim, e = s->value_dim, at = (row * s->heads + head) * d;
  const REAL *q = (const REAL *)s->query + at, *k = (const REAL *)s->key + at;
  const REAL *v = (const REAL *)s->value + (row * s->heads + head) * e;
  const REAL beta = ((const REAL *)rule->beta)[row * s->heads + head];
  REAL *y = (REAL *)s->output + (row * s->heads + head) * e, *state = state_;
  REAL factors[256], update[256];
  FN(fill)((REAL)exp(-FN(slope_of)(s, head)), factors, d);
  FN(delta_factors)(s, head, row, factors);
  FN(delta_recall)(d, e, factors, k, state, update);
  for (long i = 0; i < e; i++) update[i] = beta * (v[i] - update[i]);
  FN(fill)((REAL)0, y, e);
  for (long c = 0; c < d; c++) {
    const REAL factor = (REAL)s->scale * q[c], own = k[c];
    REAL *x = state + c * e;
    for (long i = 0; i < e; i++) {
      x[i] += own * update[i];
      y[i] += factor * x[i];
    }
  }
}
