// The CUDA sources, embedded so that a program is one file. Add a kernel file in both lists.
#include "CDevice.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char element[] = {
#embed "kernels/element.cuh"
    , 0};
static const char attention_common_header[] = {
#embed "kernels/attention_common.cuh"
    , 0};
static const char expert_selection_header[] = {
#embed "kernels/expert_selection.cuh"
    , 0};
static const char expert_tiles_header[] = {
#embed "kernels/expert_tiles.cuh"
    , 0};
static const char linear_attention_tiles_header[] = {
#embed "kernels/linear_attention_tiles.cuh"
    , 0};
static const char rows_product_header[] = {
#embed "kernels/rows_product.cuh"
    , 0};
static const char sine_cosine_header[] = {
#embed "kernels/sine_cosine.cuh"
    , 0};
static const char warpgroup_header[] = {
#embed "kernels/warpgroup.cuh"
    , 0};
static const char absolute[] = {
#embed "kernels/absolute.cu"
    , 0};
static const char activation_energy[] = {
#embed "kernels/activation_energy.cu"
    , 0};
static const char adamw[] = {
#embed "kernels/adamw.cu"
    , 0};
static const char adamw_8bit[] = {
#embed "kernels/adamw_8bit.cu"
    , 0};
static const char alignment_loss[] = {
#embed "kernels/alignment_loss.cu"
    , 0};
static const char attention[] = {
#embed "kernels/attention.cu"
    , 0};
static const char attention_decode[] = {
#embed "kernels/attention_decode.cu"
    , 0};
static const char attention_f32[] = {
#embed "kernels/attention_f32.cu"
    , 0};
static const char attention_hopper[] = {
#embed "kernels/attention_hopper.cu"
    , 0};
static const char bias[] = {
#embed "kernels/bias.cu"
    , 0};
static const char cast[] = {
#embed "kernels/cast.cu"
    , 0};
static const char cross_entropy[] = {
#embed "kernels/cross_entropy.cu"
    , 0};
static const char decay_gate[] = {
#embed "kernels/decay_gate.cu"
    , 0};
static const char elementwise[] = {
#embed "kernels/elementwise.cu"
    , 0};
static const char embedding[] = {
#embed "kernels/embedding.cu"
    , 0};
static const char expert_dispatch[] = {
#embed "kernels/expert_dispatch.cu"
    , 0};
static const char expert_packing[] = {
#embed "kernels/expert_packing.cu"
    , 0};
static const char expert_padding[] = {
#embed "kernels/expert_padding.cu"
    , 0};
static const char gated_activation[] = {
#embed "kernels/gated_activation.cu"
    , 0};
static const char grouped_gemm[] = {
#embed "kernels/grouped_gemm.cu"
    , 0};
static const char grouped_mma[] = {
#embed "kernels/grouped_mma.cu"
    , 0};
static const char head_scale[] = {
#embed "kernels/head_scale.cu"
    , 0};
static const char indicator[] = {
#embed "kernels/indicator.cu"
    , 0};
static const char jitter[] = {
#embed "kernels/jitter.cu"
    , 0};
static const char largest[] = {
#embed "kernels/largest.cu"
    , 0};
static const char length_product[] = {
#embed "kernels/length_product.cu"
    , 0};
static const char linear_attention[] = {
#embed "kernels/linear_attention.cu"
    , 0};
static const char linear_attention_delta[] = {
#embed "kernels/linear_attention_delta.cu"
    , 0};
static const char linear_attention_elementwise[] = {
#embed "kernels/linear_attention_elementwise.cu"
    , 0};
static const char linear_attention_gates[] = {
#embed "kernels/linear_attention_gates.cu"
    , 0};
static const char linear_attention_hopper[] = {
#embed "kernels/linear_attention_hopper.cu"
    , 0};
static const char linear_attention_vector[] = {
#embed "kernels/linear_attention_vector.cu"
    , 0};
static const char lrpe[] = {
#embed "kernels/lrpe.cu"
    , 0};
static const char mixture_elementwise[] = {
#embed "kernels/mixture_elementwise.cu"
    , 0};
static const char repeat_heads[] = {
#embed "kernels/repeat_heads.cu"
    , 0};
static const char rms_norm[] = {
#embed "kernels/rms_norm.cu"
    , 0};
static const char rope[] = {
#embed "kernels/rope.cu"
    , 0};
static const char router_losses[] = {
#embed "kernels/router_losses.cu"
    , 0};
static const char router_noise[] = {
#embed "kernels/router_noise.cu"
    , 0};
static const char routing[] = {
#embed "kernels/routing.cu"
    , 0};
static const char routing_threshold[] = {
#embed "kernels/routing_threshold.cu"
    , 0};
static const char rows_experts[] = {
#embed "kernels/rows_experts.cu"
    , 0};
static const char rows_linear[] = {
#embed "kernels/rows_linear.cu"
    , 0};
static const char rows_route[] = {
#embed "kernels/rows_route.cu"
    , 0};
static const char sigmoid_gate[] = {
#embed "kernels/sigmoid_gate.cu"
    , 0};
static const char softmax[] = {
#embed "kernels/softmax.cu"
    , 0};
static const char sums[] = {
#embed "kernels/sums.cu"
    , 0};
static const char swiglu[] = {
#embed "kernels/swiglu.cu"
    , 0};

#define SOURCE(file, text) {file, text, sizeof text - 1}

static const cd_source sources[] = {
    SOURCE("element.cuh", element),
    SOURCE("attention_common.cuh", attention_common_header),
    SOURCE("expert_selection.cuh", expert_selection_header),
    SOURCE("expert_tiles.cuh", expert_tiles_header),
    SOURCE("linear_attention_tiles.cuh", linear_attention_tiles_header),
    SOURCE("rows_product.cuh", rows_product_header),
    SOURCE("sine_cosine.cuh", sine_cosine_header),
    SOURCE("warpgroup.cuh", warpgroup_header),
    SOURCE("absolute.cu", absolute),
    SOURCE("activation_energy.cu", activation_energy),
    SOURCE("adamw.cu", adamw),
    SOURCE("adamw_8bit.cu", adamw_8bit),
    SOURCE("alignment_loss.cu", alignment_loss),
    SOURCE("attention.cu", attention),
    SOURCE("attention_decode.cu", attention_decode),
    SOURCE("attention_f32.cu", attention_f32),
    SOURCE("attention_hopper.cu", attention_hopper),
    SOURCE("bias.cu", bias),
    SOURCE("cast.cu", cast),
    SOURCE("cross_entropy.cu", cross_entropy),
    SOURCE("decay_gate.cu", decay_gate),
    SOURCE("elementwise.cu", elementwise),
    SOURCE("embedding.cu", embedding),
    SOURCE("expert_dispatch.cu", expert_dispatch),
    SOURCE("expert_packing.cu", expert_packing),
    SOURCE("expert_padding.cu", expert_padding),
    SOURCE("gated_activation.cu", gated_activation),
    SOURCE("grouped_gemm.cu", grouped_gemm),
    SOURCE("grouped_mma.cu", grouped_mma),
    SOURCE("head_scale.cu", head_scale),
    SOURCE("indicator.cu", indicator),
    SOURCE("jitter.cu", jitter),
    SOURCE("largest.cu", largest),
    SOURCE("length_product.cu", length_product),
    SOURCE("linear_attention.cu", linear_attention),
    SOURCE("linear_attention_delta.cu", linear_attention_delta),
    SOURCE("linear_attention_elementwise.cu", linear_attention_elementwise),
    SOURCE("linear_attention_gates.cu", linear_attention_gates),
    SOURCE("linear_attention_hopper.cu", linear_attention_hopper),
    SOURCE("linear_attention_vector.cu", linear_attention_vector),
    SOURCE("lrpe.cu", lrpe),
    SOURCE("mixture_elementwise.cu", mixture_elementwise),
    SOURCE("repeat_heads.cu", repeat_heads),
    SOURCE("rms_norm.cu", rms_norm),
    SOURCE("rope.cu", rope),
    SOURCE("router_losses.cu", router_losses),
    SOURCE("router_noise.cu", router_noise),
    SOURCE("routing.cu", routing),
    SOURCE("routing_threshold.cu", routing_threshold),
    SOURCE("rows_experts.cu", rows_experts),
    SOURCE("rows_linear.cu", rows_linear),
    SOURCE("rows_route.cu", rows_route),
    SOURCE("sigmoid_gate.cu", sigmoid_gate),
    SOURCE("softmax.cu", softmax),
    SOURCE("sums.cu", sums),
    SOURCE("swiglu.cu", swiglu),
};

const cd_source *cd_embedded_source(int index) {
  const int count = sizeof sources / sizeof *sources;
  return index >= 0 && index < count ? &sources[index] : NULL;
}
