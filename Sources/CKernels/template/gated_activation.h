// Elementwise functions, alone or as the gate of something.

// VALUE and SLOPE of x for every activation; e is exp of the negative part of x.
#define FOR_ACTIVATIONS(DO)                                                          \
  DO(HK_IDENTITY, x, (REAL)1)                                                        \
  DO(HK_SILU, x * s, s * ((REAL)1 + x * ((REAL)1 - s)))                              \
  DO(HK_RELU, x > 0 ? x : (REAL)0, x > 0 ? (REAL)1 : (REAL)0)                        \
  DO(HK_SIGMOID_GATE, s, s * ((REAL)1 - s))                                          \
  DO(HK_ELU, x > 0 ? x : e - (REAL)1, x > 0 ? (REAL)1 : e)                           \
  DO(HK_ONE_PLUS_ELU, x > 0 ? x + (REAL)1 : e, x > 0 ? (REAL)1 : e)                  \
  DO(HK_SQUARED_RELU, x > 0 ? x * x : (REAL)0, x > 0 ? (REAL)2 * x : (REAL)0)        \
  DO(HK_SQUARE, x * x, (REAL)2 * x)

#define ACTIVATION_TERMS                                                             \
  const REAL x = gate[i];                                                            \
  const REAL s = (REAL)1 / ((REAL)1 + FN(exponential)(-x));                          \
  const REAL e = FN(exponential)(x < 0 ? x : (REAL)0);                               \
  (void)s, (void)e;

// y = activation(gate) * up; without up the activation alone.
static void FN(gated_forward)(hk_activation activation, const void *gate_, const void *up_, void *y_,
                              long n) {
  KERNEL_FP
  const REAL *gate = gate_, *up = up_;
  REAL *y = y_;
#define FORWARD(KIND, VALUE, SLOPE)                                                  \
  case KIND:                                                                         \
    if (up)                                                                          \
      for (long i = 0; i < n; i++) {                                                 \
        ACTIVATION_TERMS                                                             \
        y[i] = (VALUE)*up[i];                                                        \
      }                                                                              \
    else                                                                             \
      for (long i = 0; i < n; i++) {                                                 \
        ACTIVATION_TERMS                                                             \
        y[i] = (VALUE);                                                              \
      }                                                                              \
    break;
  switch (activation) { FOR_ACTIVATIONS(FORWARD) }
#undef FORWARD
}

// Sets dgate and dup, each where it is not NULL.
static void FN(gated_backward)(hk_activation activation, const void *dy_, const void *gate_,
                               const void *up_, void *dgate_, void *dup_, long n) {
  KERNEL_FP
  const REAL *dy = dy_, *gate = gate_, *up = up_;
  REAL *dgate = dgate_, *dup = dup_;
#define BACKWARD(KIND, VALUE, SLOPE)                                                 \
  case KIND:                                                                         \
    if (dgate && up)                                                                 \
      for (long i = 0; i < n; i++) {                                                 \
        ACTIVATION_TERMS                                                             \
        dgate[i] = dy[i] * up[i] * (SLOPE);                                          \
      }                                                                              \
    else if (dgate)                                                                  \
      for (long i = 0; i < n; i++) {                                                 \
        ACTIVATION_TERMS                                                             \
        dgate[i] = dy[i] * (SLOPE);                                                  \
      }                                                                              \
    if (dup)                                                                         \
      for (long i = 0; i < n; i++) {                                                 \
        ACTIVATION_TERMS                                                             \
        dup[i] = dy[i] * (VALUE);                                                    \
      }                                                                              \
    break;
  switch (activation) { FOR_ACTIVATIONS(BACKWARD) }
#undef BACKWARD
}
