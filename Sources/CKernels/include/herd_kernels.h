// A table of CPU kernels. Each instruction set compiles the same sources (template/) into its own
// table; the scalar table is the reference the others are tested against.
//
// Pointers are `void *` because one table type serves float and double: every "real" array holds
// the table's element type. Kernels are single-threaded; the caller splits rows among threads.
#ifndef HERD_KERNELS_H
#define HERD_KERNELS_H

#include <stdint.h>

typedef enum { HK_SCALAR = 0, HK_AVX2 = 1, HK_AVX512 = 2 } hk_isa;

// 16-bit storage formats of weights.
typedef enum { HK_BF16 = 0, HK_F16 = 1 } hk_half;

typedef struct {
  const char *name;

  // elementwise.h -----------------------------------------------------------------------------
  // y = a + b
  void (*add)(const void *a, const void *b, void *y, long n);
  // y += alpha * x
  void (*axpy)(double alpha, const void *x, void *y, long n);
  // y = alpha * x
  void (*scale)(double alpha, const void *x, void *y, long n);
  // Σ x²
  double (*sum_of_squares)(const void *x, long n);
  // Σ x
  double (*sum)(const void *x, long n);
  // Σ a·b
  double (*dot)(const void *a, const void *b, long n);
  // Σ (a - b)²
  double (*squared_distance)(const void *a, const void *b, long n);

  // cast.h ------------------------------------------------------------------------------------
  // 16-bit float to real.
  void (*widen)(hk_half format, const uint16_t *x, void *y, long n);
  // real to 16-bit float, round to nearest even.
  void (*narrow)(hk_half format, const void *x, uint16_t *y, long n);

  // gemv.h ------------------------------------------------------------------------------------
  // y[r] = (accumulate ? y[r] : 0) + x · w[r, :] for 16-bit weights, rows of length n.
  void (*gemv_half)(hk_half format, const void *x, const uint16_t *w, void *y, long rows, long n,
                    int accumulate);
  // The same for weights of the table's element type.
  void (*gemv)(const void *x, const void *w, void *y, long rows, long n, int accumulate);

  // rms_norm.h --------------------------------------------------------------------------------
  // y = x / rms(x) * w ; reciprocal[r] = 1 / rms(x_r)
  void (*rms_norm_forward)(const void *x, const void *w, void *y, void *reciprocal, long rows,
                           long cols, double epsilon);
  // dx (+)= gradient of x; dw += gradient of w (both optional, NULL skips).
  void (*rms_norm_backward)(const void *dy, const void *x, const void *w, const void *reciprocal,
                            void *dx, void *dw, long rows, long cols, int accumulate_dx);

  // sigmoid_gate.h ----------------------------------------------------------------------------
  // y_r = sigmoid(score_r) · x_r
  void (*sigmoid_gate_forward)(const void *x, const void *scores, void *y, long rows, long cols);
  // Sets dx and dscores.
  void (*sigmoid_gate_backward)(const void *dy, const void *x, const void *scores, void *dx,
                                void *dscores, long rows, long cols);

  // exp.h -------------------------------------------------------------------------------------
  // y = e^x
  void (*exponential)(const void *x, void *y, long n);

  // rope.h ------------------------------------------------------------------------------------
  // cosines[r, i] = cos(positions[r] * inverse_frequencies[i]), sines likewise; [rows, half].
  void (*rope_table)(const int32_t *positions, const void *inverse_frequencies, void *cosines,
                     void *sines, long rows, long half);
  // y (+)= x with every pair (i, i + half) of every head turned by its angle, or back by it.
  void (*rope)(const void *x, const void *cosines, const void *sines, void *y, long rows,
               long heads, long half, int inverse, int accumulate);

  // swiglu.h ----------------------------------------------------------------------------------
  // y = gate * sigmoid(gate) * up
  void (*swiglu_forward)(const void *gate, const void *up, void *y, long n);
  // Gradients of gate and up, each set or added to; NULL skips one.
  void (*swiglu_backward)(const void *dy, const void *gate, const void *up, void *dgate, void *dup,
                          long n, int accumulate_gate, int accumulate_up);
} hk_kernels;

// The best instruction set this machine runs.
hk_isa hk_best_isa(void);

// Kernels for float, or NULL when the machine cannot run that instruction set.
const hk_kernels *hk_kernels_f32(hk_isa isa);

// Kernels for double; always the scalar ones: they serve gradient checks, not speed.
const hk_kernels *hk_kernels_f64(void);

#endif
