// Builds one kernel table. The including file defines REAL (float or double), VARIANT (a suffix)
// and FAST (1 lets the compiler reorder sums so that it can vectorise them).
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FN(name) JOIN(name, VARIANT)

// Opens every kernel body: the scalar tables keep strict source order.
#if FAST
#define KERNEL_FP _Pragma("clang fp reassociate(on) contract(fast)")
#else
#define KERNEL_FP _Pragma("clang fp reassociate(off) contract(off)")
#endif

#include "exp.h"
#include "elementwise.h"
#include "cast.h"
#include "gemv.h"
#include "rms_norm.h"
#include "softmax_loss.h"
#include "routing.h"
#include "experts.h"
#include "training.h"

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
};
