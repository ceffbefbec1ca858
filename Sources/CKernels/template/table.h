// Builds one kernel table. The including file defines REAL (float or double), VARIANT (a suffix),
// FAST (1 lets the compiler reorder sums so that it can vectorise them) and VECTOR_BYTES (the width
// of an explicitly written vector).
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FN(name) JOIN(name, VARIANT)

// Opens every kernel body: the scalar tables keep strict source order.
#if FAST
#define KERNEL_FP _Pragma("clang fp reassociate(on) contract(fast)")
// Opens a body that relies on where sums round.
#define ROUNDING_FP _Pragma("clang fp reassociate(off) contract(fast)")
#else
#define KERNEL_FP _Pragma("clang fp reassociate(off) contract(off)")
#define ROUNDING_FP KERNEL_FP
#endif

#include "vector.h"

#include "exp.h"
#include "elementwise.h"
#include "cast.h"
#include "gemv.h"
#include "rms_norm.h"
#include "sigmoid_gate.h"
#include "gated_activation.h"
#include "softmax.h"
#include "head_scale.h"

#include "block_product.h"

#include "attention.h"
#include "attention_backward.h"
#include "attention_decode.h"
#include "linear_attention.h"
#include "linear_attention_vector.h"
#include "linear_attention_outer.h"
#include "linear_attention_elementwise.h"
#include "linear_attention_table.h"
#include "linear_attention_delta.h"
#include "rope.h"
#include "repeat_heads.h"
#include "lrpe.h"
#include "decay_gate.h"
#include "swiglu.h"
#include "softmax_loss.h"
#include "routing.h"
#include "experts.h"
#include "training.h"
#include "adamw_8bit.h"
#include "activation_energy.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const hk_kernels JOIN(hk_table, VARIANT) = {
    .name = STRING(VARIANT),
    .add = FN(add),
    .axpy = FN(axpy),
    .scale = FN(scale),
    .sum_of_squares = FN(sum_of_squares),
    .sum = FN(sum),
    .dot = FN(dot),
    .squared_distance = FN(squared_distance),
    .widen = FN(widen),
    .narrow = FN(narrow),
    .gemv_half = FN(gemv_half),
    .gemv = FN(gemv),
    .rms_norm_forward = FN(rms_norm_forward),
    .rms_norm_backward = FN(rms_norm_backward),
    .sigmoid_gate_forward = FN(sigmoid_gate_forward),
    .sigmoid_gate_backward = FN(sigmoid_gate_backward),
    .gated_forward = FN(gated_forward),
    .gated_backward = FN(gated_backward),
    .softmax_forward = FN(softmax_forward),
    .softmax_backward = FN(softmax_backward),
    .head_scale_forward = FN(head_scale_forward),
    .head_scale_backward = FN(head_scale_backward),

    .exponential = FN(exponentials),
    .rope_table = FN(rope_table),
    .rope = FN(rope),
    .repeat_runs = FN(repeat_runs),
    .sum_runs = FN(sum_runs),
    .lrpe_forward = FN(lrpe_forward),
    .lrpe_backward = FN(lrpe_backward),
    .decay_gate_forward = FN(decay_gate_forward),
    .decay_gate_backward = FN(decay_gate_backward),
    .lower_bound = FN(lower_bound),
    .lower_bound_backward = FN(lower_bound_backward),
    .swiglu_forward = FN(swiglu_forward),
    .swiglu_backward = FN(swiglu_backward),
    .attention_pack = FN(attention_pack),
    .attention_forward = FN(attention_forward),
    .attention_decode = FN(attention_decode),
    .attention_merge = FN(attention_merge),
    .attention_gather = FN(attention_gather),
    .attention_backward = FN(attention_backward),
    .attention_scatter = FN(attention_scatter),
    .linear_attention_forward = FN(linear_attention_forward),
    .linear_attention_backward = FN(linear_attention_backward),
    .linear_attention_step = FN(linear_attention_step),
    .delta_rule_forward = FN(delta_rule_forward),
    .delta_rule_backward = FN(delta_rule_backward),
    .delta_rule_step = FN(delta_rule_step),
    .arg_max = FN(arg_max),
    .cross_entropy_rows = FN(cross_entropy_rows),
    .log_sum_exp = FN(log_sum_exp),
    .z_loss_backward = FN(z_loss_backward),
    .route_forward = FN(route_forward),
    .route_backward = FN(route_backward),
    .gather_rows = FN(gather_rows),
    .scatter_add_rows = FN(scatter_add_rows),
    .expert_swiglu_forward = FN(expert_swiglu_forward),
    .expert_swiglu_backward = FN(expert_swiglu_backward),
    .scaled_difference = FN(scaled_difference),
    .adamw = FN(adamw),
    .adamw_8bit = FN(adamw_8bit),
    .weighted_energy = FN(weighted_energy),
    .energy_shares = FN(energy_shares),
    .unit_roots = FN(unit_roots),
    .add_columns = FN(add_columns),
};
