// Top-k expert selection and combination weights.

static inline int FN(by_sigmoid)(hk_combination combination) {
  return combination == HK_SIGMOID || combination == HK_RENORMALIZED_SIGMOID;
}

static inline REAL FN(sigmoid)(REAL x) { return 1 / (1 + FN(exponential)(-x)); }

// What sums of sigmoids are raised by before they divide, as stock models do.
#define SIGMOID_FLOOR ((REAL)1e-20)

static inline int FN(ranks_above)(const REAL *scores, const REAL *bias, long a, long b) {
  const REAL x = scores[a] + (bias ? bias[a] : 0), y = scores[b] + (bias ? bias[b] : 0);
  return x > y;
}

static void FN(route_forward)(const void *logits_, const void *bias_, const void *gain_,
                              hk_combination combination, double scale, int32_t *experts_,
                              void *weights_, void *probabilities_, long rows, long n, long k) {
  KERNEL_FP
  const REAL *bias = bias_, *gain = gain_;
  for (long r = 0; r < rows; r++) {
    const REAL *logits = (const REAL *)logits_ + r * n;
    REAL *p = (REAL *)probabilities_ + r * n, *w = (REAL *)weights_ + r * k;
    int32_t *experts = experts_ + r * k;

    const int by_sigmoid = FN(by_sigmoid)(combination);
    REAL total = by_sigmoid ? SIGMOID_FLOOR : 0;
    const REAL max = FN(row_max)(logits, n);
    for (long e = 0; e < n; e++) {
      p[e] = by_sigmoid ? FN(sigmoid)(logits[e]) : FN(exponential)(logits[e] - max);
      total += p[e];
    }
    // Sigmoids are compared before they are divided by their sum.
    const REAL *scores = by_sigmoid ? p : logits;

    // Insertion in id order with a strict comparison: ties keep the lower id, and the list is
    // filled with distinct ids even when logits are not numbers.
    long held = 0;
    for (long e = 0; e < n; e++) {
      if (held == k && !FN(ranks_above)(scores, bias, e, experts[k - 1])) continue;
      long at = held < k ? held++ : k - 1;
      for (; at > 0 && FN(ranks_above)(scores, bias, e, experts[at - 1]); at--)
        experts[at] = experts[at - 1];
      experts[at] = (int32_t)e;
    }
    if (by_sigmoid) {
      REAL chosen = SIGMOID_FLOOR;
      for (long j = 0; j < k; j++) chosen += p[experts[j]];
      const REAL factor = combination == HK_SIGMOID ? (REAL)scale : (REAL)scale / chosen;
      for (long j = 0; j < k; j++) w[j] = p[experts[j]] * factor;
    }
    for (long e = 0; e < n; e++) p[e] /= total;

    if (combination == HK_RENORMALIZED) {
      REAL top = logits[experts[0]], chosen = 0;
      for (long j = 1; j < k; j++) top = logits[experts[j]] > top ? logits[experts[j]] : top;
      for (long j = 0; j < k; j++) {
        w[j] = FN(exponential)(logits[experts[j]] - top);
        chosen += w[j];
      }
      for (long j = 0; j < k; j++) w[j] *= (REAL)scale / chosen;
    } else if (combination == HK_SOFTMAX) {
      for (long j = 0; j < k; j++) w[j] = (REAL)scale * p[experts[j]];
    } else if (combination == HK_GAINED) {
      for (long j = 0; j < k; j++) w[j] = 1 + p[experts[j]] * gain[experts[j]];
    } else if (combination == HK_UNIFORM) {
      for (long j = 0; j < k; j++) w[j] = (REAL)scale;
    }
  }
}

// With p = s / Σ s of sigmoids s, and weights scale · s or scale · s / Σ s over the chosen.
static void FN(route_backward_sigmoid)(const REAL *dw, const REAL *dp, const REAL *logits,
                                       hk_combination combination, REAL scale,
                                       const int32_t *experts, const REAL *w, const REAL *p,
                                       REAL *dl, long n, long k, int accumulate) {
  REAL total = SIGMOID_FLOOR, inner = 0;
  for (long e = 0; e < n; e++) total += FN(sigmoid)(logits[e]);
  if (dp)
    for (long e = 0; e < n; e++) inner += p[e] * dp[e];
  for (long e = 0; e < n; e++) {
    const REAL s = FN(sigmoid)(logits[e]);
    dl[e] = (accumulate ? dl[e] : 0) + (dp ? (dp[e] - inner) / total : 0) * s * (1 - s);
  }
  if (!dw) return;
  REAL chosen = 1, mean = 0;
  if (combination == HK_RENORMALIZED_SIGMOID) {
    chosen = SIGMOID_FLOOR;
    for (long j = 0; j < k; j++) {
      chosen += FN(sigmoid)(logits[experts[j]]);
      mean += w[j] * dw[j];
    }
  }
  for (long j = 0; j < k; j++) {
    const REAL s = FN(sigmoid)(logits[experts[j]]);
    dl[experts[j]] += (scale * dw[j] - mean) / chosen * s * (1 - s);
  }
}

static void FN(route_backward)(const void *dweights_, const void *dprobabilities_,
                               const void *logits_, const void *gain_, hk_combination combination, double scale,
                               const int32_t *experts_, const void *weights_,
                               const void *probabilities_, void *dlogits_, void *dgain_, long rows,
                               long n, long k, int accumulate) {
  KERNEL_FP
  const REAL *gain = gain_;
  REAL *dgain = dgain_;
  for (long r = 0; r < rows; r++) {
    const REAL *p = (const REAL *)probabilities_ + r * n, *w = (const REAL *)weights_ + r * k;
    const REAL *dp = dprobabilities_ ? (const REAL *)dprobabilities_ + r * n : 0;
    const REAL *dw = dweights_ ? (const REAL *)dweights_ + r * k : 0;
    const int32_t *experts = experts_ + r * k;
    const int through_p = combination == HK_SOFTMAX || combination == HK_GAINED;
    if (dw && dgain && combination == HK_GAINED)
      for (long j = 0; j < k; j++) dgain[experts[j]] += dw[j] * p[experts[j]];
    if (!dlogits_) continue;
    REAL *dl = (REAL *)dlogits_ + r * n;
    if (FN(by_sigmoid)(combination)) {
      FN(route_backward_sigmoid)(dw, dp, (const REAL *)logits_ + r * n, combination, (REAL)scale,
                                 experts, w, p, dl, n, k, accumulate);
      continue;
    }

    // With g = dL/dp, a softmax passes back p · (g - Σ p g).
    REAL inner = 0;
    if (dp)
      for (long e = 0; e < n; e++) inner += p[e] * dp[e];
    if (dw && through_p)
      for (long j = 0; j < k; j++) {
        const REAL slope = combination == HK_SOFTMAX ? (REAL)scale : gain[experts[j]];
        inner += p[experts[j]] * dw[j] * slope;
      }
    for (long e = 0; e < n; e++)
      dl[e] = (accumulate ? dl[e] : 0) + p[e] * ((dp ? dp[e] : 0) - inner);
    if (!dw) continue;
    if (through_p) {
      for (long j = 0; j < k; j++) {
        const REAL slope = combination == HK_SOFTMAX ? (REAL)scale : gain[experts[j]];
        dl[experts[j]] += p[experts[j]] * dw[j] * slope;
      }
    } else if (combination == HK_RENORMALIZED && scale != 0) {
      REAL mean = 0;
      for (long j = 0; j < k; j++) mean += w[j] * dw[j];
      mean /= (REAL)scale;
      for (long j = 0; j < k; j++) dl[experts[j]] += w[j] * (dw[j] - mean);
    }
  }
}
