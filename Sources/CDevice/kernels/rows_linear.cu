// Linear maps of a few tokens (rows_product.cuh), with what comes before and after them in a block of
// a model: the RMSNorm of their input (Zhang and Sennrich 2019), biases, the residual connection, the
// gated activation (Shazeer 2020), rotary positions (Su et al. 2021).
//
// Blocks of four warps, each with two rows of weights. Rows of x are [rows, columns]; `vector` says
// whether 16-byte accesses may be used.
#include "rows_product.cuh"
#include "sine_cosine.cuh"

constexpr int WARPS = 4;

__device__ __forceinline__ int warp_index() { return blockIdx.x * WARPS + (threadIdx.x >> 5); }

// y = residual + bias + W x, of which bias and residual may be null; to y_float where that is not
// null. Grid: outputs / 8.
template <bool NORM>
__device__ __forceinline__ void linear(const T *x, const float *gain, float epsilon,
                                       const W *weight, const float *bias, const T *residual, T *y,
                                       float *y_float, int rows, int columns, int outputs,
                                       int vector) {
  const int own = warp_index() * 2, lane = threadIdx.x & 31;
  const int a = min(own, outputs - 1), b = min(own + 1, outputs - 1);
  const W *first = weight + (i64)a * columns, *second = weight + (i64)b * columns;
  prefetch_row(first, columns);
  prefetch_row(second, columns);
  wait_for_previous();
  let_next_begin();
  if (own >= outputs) return;
  Sums<ROWS> sums;
  multiply_rows<NORM>(first, second, x, columns, rows, gain, columns, vector, sums);
  sums.gather();
  const int m = lane >> 1, output = own + (lane & 1);
  if (m >= rows || output >= outputs) return;
  float value = sums.at(lane & 1, m);
  if (NORM) value *= sums.reciprocal_rms(m, columns, epsilon);
  if (bias) value += bias[output];
  const i64 place = (i64)m * outputs + output;
  if (residual) value += load(residual + place);
  if (y_float)
    y_float[place] = value;
  else
    store(y + place, value);
}

extern "C" __global__ void __launch_bounds__(128, BLOCKS) rows_linear(
    const T *x, const W *weight, const float *bias, const T *residual, T *y, int rows, int columns,
    int outputs, int vector) {
  linear<false>(x, nullptr, 0.0f, weight, bias, residual, y, nullptr, rows, columns, outputs,
                vector);
}

extern "C" __global__ void __launch_bounds__(128, BLOCKS) rows_normalized_linear(
    const T *x, const float *gain, float epsilon, const W *weight, const float *bias, T *y,
    float *y_float, int rows, int columns, int outputs, int vector) {
  linear<true>(x, gain, epsilon, weight, bias, nullptr, y, y_float, rows, columns, outputs, vector);
}

// hidden[t][i] = silu(gate_i x) (up_i x) of the normalised x. A warp per neuron; grid: width / 4.
extern "C" __global__ void __launch_bounds__(128, BLOCKS) rows_swiglu(
    const T *x, const float *gain, float epsilon, const W *w_gate, const W *w_up,
    const float *gate_bias, const float *up_bias, T *hidden, int rows, int columns, int width,
    int vector) {
  const int neuron = warp_index(), lane = threadIdx.x & 31;
  const i64 start = (i64)min(neuron, width - 1) * columns;
  prefetch_row(w_gate + start, columns);
  prefetch_row(w_up + start, columns);
  wait_for_previous();
  let_next_begin();
  if (neuron >= width) return;
  Sums<ROWS> sums;
  multiply_rows<true>(w_gate + start, w_up + start, x, columns, rows, gain, columns, vector, sums);
  sums.gather();
  if (lane >= rows) return;
  const float inverse = sums.reciprocal_rms(lane, columns, epsilon);
  const float g = sums.at(0, lane) * inverse + (gate_bias ? gate_bias[neuron] : 0.0f);
  const float u = sums.at(1, lane) * inverse + (up_bias ? up_bias[neuron] : 0.0f);
  store(hidden + (i64)lane * width + neuron, u * (g / (1.0f + expf(-g))));
}

// Queries and keys of the normalised x, turned by their positions, and values; keys and values go to
// their rows of the cache. A warp per pair (j, j + half) of a head's channels, queries first, then
// keys, then values. Grid: (heads + 2 key_heads) half / 4.
extern "C" __global__ void __launch_bounds__(128, BLOCKS) rows_attention_input(
    const T *x, const float *gain, float epsilon, const W *w_query, const W *w_key,
    const W *w_value, const float *query_bias, const float *key_bias, const float *value_bias,
    const int *positions, const float *inverse_frequencies, T *query, T *key, T *value, int rows,
    int columns, int heads, int key_heads, int half, int vector) {
  const int pair = warp_index(), lane = threadIdx.x & 31;
  const int pairs = (heads + 2 * key_heads) * half;
  int head = min(pair, pairs - 1) / half;
  const int j = min(pair, pairs - 1) - head * half;
  const bool turns = head < heads + key_heads;
  const W *weight = w_query;
  const float *bias = query_bias;
  T *out = query;
  int outputs = heads * 2 * half;
  if (head >= heads) {
    head -= heads;
    outputs = key_heads * 2 * half;
    weight = w_key, bias = key_bias, out = key;
    if (head >= key_heads) {
      head -= key_heads;
      weight = w_value, bias = value_bias, out = value;
    }
  }
  const int low = head * 2 * half + j, high = low + half;
  const W *first = weight + (i64)low * columns, *second = weight + (i64)high * columns;
  prefetch_row(first, columns);
  prefetch_row(second, columns);
  wait_for_previous();
  let_next_begin();
  if (pair >= pairs) return;
  Sums<ROWS> sums;
  multiply_rows<true>(first, second, x, columns, rows, gain, columns, vector, sums);
  float cosine = 1.0f, sine = 0.0f;
  if (turns && lane < rows) {
    // The product rounds to float first, as in rope.cu.
    const float angle = (float)positions[lane] * inverse_frequencies[j];
    double s, c;
    sine_cosine((double)angle, s, c);
    cosine = (float)c, sine = (float)s;
  }
  sums.gather();
  if (lane >= rows) return;
  const float inverse = sums.reciprocal_rms(lane, columns, epsilon);
  const float a = sums.at(0, lane) * inverse + (bias ? bias[low] : 0.0f);
  const float b = sums.at(1, lane) * inverse + (bias ? bias[high] : 0.0f);
  T *place = out + (i64)lane * outputs;
  store(place + low, a * cosine - b * sine);
  store(place + high, b * cosine + a * sine);
}
