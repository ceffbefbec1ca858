// The gated activation silu(gate) * up (Shazeer 2020).

static void FN(swiglu_forward)(const void *gate_, const void *up_, void *y_, long n) {
  KERNEL_FP
  const REAL *gate = gate_, *up = up_;
  REAL *y = y_;
  for (long i = 0; i < n; i++)
    y[i] = gate[i] / ((REAL)1 + FN(exponential)(-gate[i])) * up[i];
}

static void FN(swiglu_backward)(const void *dy_, const void *gate_, const void *up_, void *dgate_,
                                void *dup_, long n, int accumulate_gate, int accumulate_up) {
  KERNEL_FP
  const REAL *dy = dy_, *gate = gate_, *up = up_;
#define SIGMOID REAL s = (REAL)1 / ((REAL)1 + FN(exponential)(-gate[i]));
#define D_GATE (dy[i] * up[i] * (s * ((REAL)1 + gate[i] * ((REAL)1 - s))))
#define D_UP (dy[i] * (gate[i] * s))
  REAL *dgate = dgate_, *dup = dup_;
  if (dgate && dup && !accumulate_gate && !accumulate_up) {
    for (long i = 0; i < n; i++) {
      SIGMOID
      dgate[i] = D_GATE;
      dup[i] = D_UP;
    }
    return;
  }
  if (dgate && accumulate_gate)
    for (long i = 0; i < n; i++) {
      SIGMOID
      dgate[i] += D_GATE;
    }
  else if (dgate)
    for (long i = 0; i < n; i++) {
      SIGMOID
      dgate[i] = D_GATE;
    }
  if (dup && accumulate_up)
    for (long i = 0; i < n; i++) {
      SIGMOID
      dup[i] += D_UP;
    }
  else if (dup)
    for (long i = 0; i < n; i++) {
      SIGMOID
      dup[i] = D_UP;
    }
#undef SIGMOID
#undef D_GATE
#undef D_UP
}
