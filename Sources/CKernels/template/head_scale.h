// Attention heads scaled by the weights of the experts they belong to: expert -1 has weight one, an
// expert that a token did not choose has zero.

static REAL FN(head_weight)(const int32_t *experts, const REAL *weights, long top_k, int expert) {
  if (expert < 0) return 1;
  for (long k = 0; k < top_k; k++)
    if (experts[k] == expert) return weights[k];
  return 0;
}

static void FN(head_scale_forward)(const void *x_, const int32_t *experts, const void *weights_,
                                   const int32_t *expert_of_head, void *y_, long rows, long heads,
                                   long dim, long top_k) {
  KERNEL_FP
  for (long r = 0; r < rows; r++) {
    const REAL *weights = (const REAL *)weights_ + r * top_k;
    for (long h = 0; h < heads; h++) {
      const long start = (r * heads + h) * dim;
      const REAL *x = (const REAL *)x_ + start;
      REAL *y = (REAL *)y_ + start;
      const REAL w = FN(head_weight)(experts + r * top_k, weights, top_k, expert_of_head[h]);
      for (long i = 0; i < dim; i++) y[i] = w * x[i];
    }
  }
}

static void FN(head_scale_backward)(const void *dy_, const void *x_, const int32_t *experts,
                                    const void *weights_, const int32_t *expert_of_head, void *dx_,
                                    void *dweights_, long rows, long heads, long dim, long top_k) {
  KERNEL_FP
  for (long r = 0; r < rows; r++) {
    const int32_t *chosen = experts + r * top_k;
    const REAL *weights = (const REAL *)weights_ + r * top_k;
    REAL *dweights = (REAL *)dweights_ + r * top_k;
    for (long k = 0; k < top_k; k++) dweights[k] = 0;
    for (long h = 0; h < heads; h++) {
      const long start = (r * heads + h) * dim;
      const REAL *x = (const REAL *)x_ + start, *dy = (const REAL *)dy_ + start;
      REAL *dx = (REAL *)dx_ + start;
      const int expert = expert_of_head[h];
      const REAL w = FN(head_weight)(chosen, weights, top_k, expert);
      REAL inner = 0;
      for (long i = 0; i < dim; i++) {
        inner += dy[i] * x[i];
        dx[i] = w * dy[i];
      }
      for (long k = 0; k < top_k; k++)
        if (expert >= 0 && chosen[k] == expert) dweights[k] += inner;
    }
  }
}
