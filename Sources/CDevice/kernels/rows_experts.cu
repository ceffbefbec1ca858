// Experts of a few tokens (rows_product.cuh): only the weights of the experts the tokens go to are
// read, in the type they have. Slot t K + k is token t's choice k. A shared MLP, if there is one, is
// computed along: `shared_width` is 0 or its neurons, `shared_scale` null or a factor per token.
//
// Hidden values are float between the two kernels. Blocks of four warps.
#include "rows_product.cuh"

constexpr int WARPS = 4;

// hidden[slot] = w silu(W_gate x) ⊙ (W_up x), a warp per neuron. Grid: (neurons / 4, slots + tokens),
// without the tokens if nothing is shared.
extern "C" __global__ void __launch_bounds__(128, 7) rows_expert_hidden(
    const T *x, const int *experts, const float *weights, const W *w_gate, const W *w_up,
    float *hidden, const W *shared_gate, const W *shared_up, const float *shared_scale,
    float *shared_hidden, int slots, int top_k, int model, int width, int shared_width,
    int vector) {
  wait_for_previous();
  let_next_begin();
  const bool shared = (int)blockIdx.y >= slots;
  const int slot = shared ? blockIdx.y - slots : blockIdx.y, lane = threadIdx.x & 31;
  const int neuron = blockIdx.x * WARPS + (threadIdx.x >> 5);
  const int neurons = shared ? shared_width : width;
  if (neuron >= neurons) return;
  const i64 start = ((shared ? 0 : (i64)experts[slot] * width) + neuron) * model;
  const W *first = (shared ? shared_gate : w_gate) + start;
  const W *second = (shared ? shared_up : w_up) + start;
  const i64 token = shared ? slot : slot / top_k;
  WeightStream<FEW_AHEAD> stream;
  stream.begin(first, second, model, vector);
  Sums<1> sums;
  multiply_rows<PLAIN>(stream, x + token * model, 0, 1, nullptr, model, vector, sums);
  sums.gather();
  if (lane > 0) return;
  const float g = sums.product[0][0], u = sums.product[1][0];
  const float scale = !shared ? weights[slot] : shared_scale ? shared_scale[slot] : 1.0f;
  (shared ? shared_hidden : hidden)[(i64)slot * neurons + neuron] =
      scale * u * (g / (1.0f + expf(-g)));
}

// y_t = residual_t + Σ_k W_down hidden[t K + k] + shared part; a warp for two channels.
// Grid: (model / 8, tokens). The experts are known before the previous kernel begins to work, so their
// weights are asked for early; `count` of them exist, whatever is read if that should not hold.
extern "C" __global__ void __launch_bounds__(128, BLOCKS) rows_expert_output(
    const float *hidden, const int *experts, const W *w_down, const float *shared_hidden,
    const W *shared_down, const T *residual, T *y, int count, int top_k, int model, int width,
    int shared_width, int vector) {
  const int token = blockIdx.y, lane = threadIdx.x & 31;
  const int own = (blockIdx.x * WARPS + (threadIdx.x >> 5)) * 2;
  const int a = min(own, model - 1), b = min(own + 1, model - 1);
  // Another multiprocessor chose them: not by way of the first cache.
  const int *chosen = experts + token * top_k;
  auto piece = [&](int first) {
    return min(max(__ldcg(chosen + min(first + lane, top_k - 1)), 0), count - 1);
  };
  PieceStream<AHEAD> pieces;
  pieces.begin(w_down, piece(0), min(top_k, 32), model, a, b, width, vector);
  wait_for_previous();
  let_next_begin();
  if (own >= model) return;
  Sums<1> sums;
  for (int first = 0; first < top_k; first += 32) {
    const int several = min(top_k - first, 32);
    if (first > 0) pieces.begin(w_down, piece(first), several, model, a, b, width, vector);
    multiply_rows<PLAIN>(pieces, hidden + ((i64)token * top_k + first) * width, 0, 1, nullptr,
                         several * width, vector, sums);
  }
  if (shared_width > 0) {
    WeightStream<AHEAD> stream;
    stream.begin(shared_down + (i64)a * shared_width, shared_down + (i64)b * shared_width,
                 shared_width, vector);
    multiply_rows<PLAIN>(stream, shared_hidden + (i64)token * shared_width, 0, 1, nullptr,
                         shared_width, vector, sums);
  }
  sums.gather();
  if (lane > 1 || own + lane >= model) return;
  const i64 place = (i64)token * model + own + lane;
  store(y + place, load(residual + place) + sums.at(lane, 0));
}
