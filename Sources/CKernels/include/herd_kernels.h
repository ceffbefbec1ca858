// A table of CPU kernels. Each instruction set compiles the same sources (template/) into its own
// table; the scalar table is the reference the others are tested against.
//
// Pointers are `void *` because one table type serves float and double: every "real" array holds
// the table's element type. Kernels are single-threaded; the caller splits rows among threads.
#ifndef HERD_KERNELS_H
#define HERD_KERNELS_H

#include <stdint.h>

#include "herd_attention.h"
#include "herd_linear_attention.h"

typedef enum { HK_SCALAR = 0, HK_AVX2 = 1, HK_AVX512 = 2 } hk_isa;

// 16-bit storage formats of weights.
typedef enum { HK_BF16 = 0, HK_F16 = 1 } hk_half;

// How the weights of a token's chosen experts follow from its router logits.
typedef enum {
  HK_RENORMALIZED = 0,  // scale * softmax over the chosen
  HK_SOFTMAX = 1,       // scale * softmax over all
  HK_GAINED = 2,        // 1 + softmax over all * gain
  HK_UNIFORM = 3,       // scale
  HK_SIGMOID = 4,       // scale * sigmoid
  HK_RENORMALIZED_SIGMOID = 5  // scale * sigmoid / sum over the chosen
} hk_combination;

// Elementwise functions of layers.
typedef enum {
  HK_IDENTITY = 0,
  HK_SILU = 1,
  HK_RELU = 2,
  HK_SIGMOID_GATE = 3,
  HK_ELU = 4,
  HK_ONE_PLUS_ELU = 5,
  HK_SQUARED_RELU = 6,
  HK_SQUARE = 7
} hk_activation;

// One AdamW step; the corrections are 1 - beta^step.
typedef struct {
  double learning_rate, beta1, beta2, epsilon, weight_decay, correction1, correction2;
  double gradient_scale;
} hk_adamw;

// The same with 8-bit moments. The maps are sorted absolute values: 129 for codes with sign, of
// which 127 is zero, and 256 for codes without. Values may be bf16, rounded by random bits that are
// a function of key, step and element.
typedef struct {
  hk_adamw rates;
  const float *with_sign, *without_sign;
  uint64_t key;
  uint32_t step;
  int value_is_bf16;
} hk_adamw_8bit;

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

  // gated_activation.h ------------------------------------------------------------------------
  // y = activation(gate) · up; up may be NULL for the activation alone.
  void (*gated_forward)(hk_activation activation, const void *gate, const void *up, void *y, long n);
  // Sets dgate and dup (both optional, NULL skips).
  void (*gated_backward)(hk_activation activation, const void *dy, const void *gate, const void *up,
                         void *dgate, void *dup, long n);
  // softmax.h ---------------------------------------------------------------------------------
  // y_r = softmax(x_r), and its gradient from y.
  void (*softmax_forward)(const void *x, void *y, long rows, long cols);
  void (*softmax_backward)(const void *dy, const void *y, void *dx, long rows, long cols);

  // repeat_heads.h ----------------------------------------------------------------------------
  // Every run of dim numbers `times` times; the sum of every `times` runs.
  void (*repeat_runs)(const void *x, void *y, long runs, long dim, long times);
  void (*sum_runs)(const void *dy, void *dx, long runs, long dim, long times);
  // lrpe.h ------------------------------------------------------------------------------------
  // y[r, h] = [x cos(position · theta), x sin(...)]; dim at most 128; theta of 1 or `heads` rows.
  void (*lrpe_forward)(const void *x, const void *theta, const int32_t *positions, void *y,
                       long rows, long heads, long dim, long theta_rows);
  // Sets dx, dtheta += (both optional, NULL skips).
  void (*lrpe_backward)(const void *dy, const void *x, const void *theta, const int32_t *positions,
                        void *dx, void *dtheta, long rows, long heads, long dim, long theta_rows);
  // decay_gate.h ------------------------------------------------------------------------------
  // log_decay = ln(bound + (1 - bound) sigmoid(x)) / temperature; rest = 1 - exp(log_decay). bounds
  // [cols] and rest may be NULL.
  void (*decay_gate_forward)(const void *x, const void *bounds, double temperature,
                             void *log_decay, void *rest, long rows, long cols);
  // Sets dx; dbounds += (NULL skips).
  void (*decay_gate_backward)(const void *dlog_decay, const void *drest, const void *x,
                              const void *bounds, double temperature, void *dx, void *dbounds,
                              long rows, long cols);
  // bound[c] = Σ of rows 1...row of the softmax over the rows of table[rows, cols].
  void (*lower_bound)(const void *table, void *bound, long rows, long cols, long row);
  void (*lower_bound_backward)(const void *dbound, const void *table, void *dtable, long rows,
                               long cols, long row);

  // head_scale.h ------------------------------------------------------------------------------
  // y[r, h] = x[r, h] times the weight of the choice of r that is expert_of_head[h] (0 when r did
  // not choose it, 1 for expert -1); rows of heads * dim.
  void (*head_scale_forward)(const void *x, const int32_t *experts, const void *weights,
                             const int32_t *expert_of_head, void *y, long rows, long heads,
                             long dim, long top_k);
  // Sets dx and dweights.
  void (*head_scale_backward)(const void *dy, const void *x, const int32_t *experts,
                              const void *weights, const int32_t *expert_of_head, void *dx,
                              void *dweights, long rows, long heads, long dim, long top_k);

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

  // attention.h -------------------------------------------------------------------------------
  // Packs one block of one head's keys (transposed) and values.
  void (*attention_pack)(const hk_attention *s, long key_head, long block, void *packed);
  // Output and log-sum-exp of some tokens for the queries of one key head, from its packed blocks,
  // the first of which is `first_block`.
  void (*attention_forward)(const hk_attention *s, long key_head, long token_start, long token_end,
                            const void *packed, long first_block, void *scratch);

  // attention_decode.h ------------------------------------------------------------------------
  // All tokens over keys key_start..<key_end only, and the merge of consecutive such chunks.
  void (*attention_decode)(const hk_attention *s, long key_head, long key_start, long key_end,
                           void *partial, void *scratch);
  void (*attention_merge)(const hk_attention *s, long key_head, long chunks, const void *partials);

  // attention_backward.h ----------------------------------------------------------------------
  // Gathers rows of one key head for the next kernel.
  void (*attention_gather)(const hk_attention *s, const void *dy, long key_head, long token_start,
                           long token_end, void *gathered);
  // Sets dkey and dvalue of one block and head; adds to that head's dquery rows.
  void (*attention_backward)(const hk_attention *s, long key_head, long block, const void *gathered,
                             void *dquery_rows, void *dkey, void *dvalue, void *scratch);
  // Sums partial dquery rows of one key head into the tensor.
  void (*attention_scatter)(const hk_attention *s, long key_head, long token_start, long token_end,
                            const void *dquery_rows, long parts, long part_stride, void *dquery);

  // linear_attention_table.h ------------------------------------------------------------------
  // Tokens start..<end of one head, which belong to one document: sets their outputs and moves the
  // state, [key_dim, value_dim], from before the first to after the last. decay (NULL skips) is what
  // is left of a state over these tokens, per key channel.
  void (*linear_attention_forward)(const hk_linear_attention *s, long head, long start, long end,
                                   void *state, double *decay, void *scratch);
  // Sets the gradients of those tokens and moves the gradient of the state from after the last to
  // before the first; `state` is the one before the first. dslope (NULL skips) is set to these
  // tokens' part of the slope's gradient; the gradient of log_rates, [key_dim, value_dim], is added.
  void (*linear_attention_backward)(const hk_linear_attention *s, long head, long start, long end,
                                    const void *state, void *dstate, double *decay,
                                    double *dslope, void *scratch);
  // One row of one head: sets its output and moves its state.
  void (*linear_attention_step)(const hk_linear_attention *s, long head, long row, void *state);

  // linear_attention_delta.h ------------------------------------------------------------------
  // As those of linear attention, by the delta rule and without the decay of a stretch.
  void (*delta_rule_forward)(const hk_delta_rule *rule, long head, long start, long end, void *state,
                             void *scratch);
  void (*delta_rule_backward)(const hk_delta_rule *rule, long head, long start, long end,
                              const void *state, void *dstate, double *dslope, void *scratch);
  void (*delta_rule_step)(const hk_delta_rule *rule, long head, long row, void *state);

  // softmax_loss.h ----------------------------------------------------------------------------
  // Index of the largest value, the first of equals.
  long (*arg_max)(const void *x, long n);
  // ce[r] = logsumexp(logits_r) - logits_r[target] (0 when the target is out of range) and, with a
  // teacher, kl[r] = KL(softmax(teacher_r) || softmax(logits_r)). Overwrites both arrays: with
  // weights, logits become the gradient of
  // Σ_r ce_share * ce_weights[r] * ce[r] + kl_share * kl_weights[r] * kl[r].
  void (*cross_entropy_rows)(void *logits, void *teacher, const int32_t *targets,
                             const void *ce_weights, const void *kl_weights, double ce_share,
                             double kl_share, void *ce, void *kl, long rows, long cols);
  // y[r] = log Σ exp(x_r)
  void (*log_sum_exp)(const void *x, void *y, long rows, long cols);
  // dx (+)= alpha * lse[r] * softmax(x_r)
  void (*z_loss_backward)(double alpha, const void *x, const void *lse, void *dx, long rows,
                          long cols, int accumulate);

  // routing.h ---------------------------------------------------------------------------------
  // Chooses the k largest of logits + bias per row (ties: lower id) and weighs them. With the sigmoid
  // rules scores and probabilities are sigmoids instead, the latter divided by their sum.
  void (*route_forward)(const void *logits, const void *bias, const void *gain,
                        hk_combination combination, double scale, int32_t *experts, void *weights,
                        void *probabilities, long rows, long n, long k);
  // dlogits (+)=, dgain +=; every gradient array may be NULL.
  void (*route_backward)(const void *dweights, const void *dprobabilities, const void *logits,
                         const void *gain, hk_combination combination, double scale,
                         const int32_t *experts, const void *weights, const void *probabilities,
                         void *dlogits, void *dgain, long rows, long n, long k, int accumulate);

  // experts.h ---------------------------------------------------------------------------------
  // y[r] = x[slots[r] / top_k], where rows of x lie `stride` apart.
  void (*gather_rows)(const void *x, const int32_t *slots, long top_k, long stride, void *y,
                      long rows, long cols);
  // y[slots[r] / top_k] += x[r], where rows of y lie `stride` apart.
  void (*scatter_add_rows)(const void *x, const int32_t *slots, long top_k, long stride, void *y,
                           long rows, long cols);
  // hidden = weights[slots[r]] * silu(gate) * up
  void (*expert_swiglu_forward)(const void *gate, const void *up, const void *weights,
                                const int32_t *slots, void *hidden, long rows, long cols);
  // In: gate, up, and the gradient of silu(gate) * up before weighting in `pulled`.
  // Out: gradients of gate and up in their place, the weighted hidden values in `pulled`, and
  // dweights[slots[r]] (+)= <pulled, silu(gate) * up> (NULL skips).
  void (*expert_swiglu_backward)(void *gate, void *up, void *pulled, const void *weights,
                                 void *dweights, const int32_t *slots, long rows, long cols,
                                 int accumulate_dweights);

  // training.h --------------------------------------------------------------------------------
  // y = alpha * (a - b) (+ y)
  void (*scaled_difference)(double alpha, const void *a, const void *b, void *y, long n,
                            int accumulate);
  // Decoupled weight decay, then Adam's step; value and moments change in place.
  void (*adamw)(void *value, const void *gradient, void *moment1, void *moment2, long n,
                const hk_adamw *settings);

  // adamw_8bit.h ------------------------------------------------------------------------------
  // The step with moments as codes and a scale per 256 elements. `first`, a multiple of 256, is the
  // place of element 0 in its parameter.
  void (*adamw_8bit)(void *value, const void *gradient, uint8_t *codes1, float *scales1,
                     uint8_t *codes2, float *scales2, long first, long n,
                     const hk_adamw_8bit *settings);
  // activation_energy.h -----------------------------------------------------------------------
  // energy = (|h| * weight)^2 with a weight per column; sums += |h| * weight.
  void (*weighted_energy)(const void *h, const void *weights, void *energy, double *sums,
                          long rows, long cols, long stride);
  // shares[n - first, t] = energy[t, columns[n]] / totals[t], 0 where the total is.
  void (*energy_shares)(const void *energy, const int32_t *columns, const void *totals,
                        void *shares, long tokens, long width, long first, long end);
  // y[r, :] = sqrt(x[r, :] / totals[r]), 0 where the total is.
  void (*unit_roots)(const void *x, const void *totals, void *y, long rows, long cols);
  // sums += the columns' sums, of squares if asked.
  void (*add_columns)(const void *x, double *sums, long rows, long cols, long stride,
                      int squared);
} hk_kernels;

// The best instruction set this machine runs.
hk_isa hk_best_isa(void);

// Kernels for float, or NULL when the machine cannot run that instruction set.
const hk_kernels *hk_kernels_f32(hk_isa isa);

// Kernels for double; always the scalar ones: they serve gradient checks, not speed.
const hk_kernels *hk_kernels_f64(void);

#endif
