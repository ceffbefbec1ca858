// Root-mean-square normalisation (Zhang and Sennrich 2019), y = x / sqrt(mean(x²) + ε) · weight.
#include "element.cuh"

__device__ __forceinline__ void load_floats(const float *p, float *out) {
#pragma unroll
  for (int j = 0; j < VEC; j += 4) {
    const float4 v = *reinterpret_cast<const float4 *>(p + j);
    out[j] = v.x;
    out[j + 1] = v.y;
    out[j + 2] = v.z;
    out[j + 3] = v.w;
  }
}

__device__ __forceinline__ float reciprocal_rms(float total, int columns, float epsilon) {
  return 1.0f / sqrtf(total / (float)columns + epsilon);
}

__device__ __forceinline__ float sum_of_squares(const Vec &v) {
  float total = 0.0f;
#pragma unroll
  for (int j = 0; j < VEC; j++) total += to_float(v.v[j]) * to_float(v.v[j]);
  return total;
}

__device__ __forceinline__ void normalise(const Vec &x, const float *weight, float inverse, T *y) {
  float w[VEC];
  load_floats(weight, w);
  Vec out;
#pragma unroll
  for (int j = 0; j < VEC; j++) out.v[j] = from_float(w[j] * (to_float(x.v[j]) * inverse));
  store_vec(y, out);
}

// One block of 256 threads per row; rows of up to 1024 vectors stay in registers.
extern "C" __global__ void __launch_bounds__(256) rms_norm_forward(
    const T *x, const float *weight, float epsilon, T *y, float *reciprocal, int columns) {
  const i64 offset = (i64)blockIdx.x * columns;
  const T *in = x + offset;
  T *out = y + offset;
  float total = 0.0f;
  if (columns % VEC == 0 && aligned(x) && aligned(y) && aligned(weight)) {
    const int vectors = columns / VEC;
    Vec held[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const int i = threadIdx.x + k * 256;
      if (i < vectors) {
        held[k] = load_vec(in + i * VEC);
        total += sum_of_squares(held[k]);
      }
    }
    for (int i = threadIdx.x + 1024; i < vectors; i += 256)
      total += sum_of_squares(load_vec(in + i * VEC));
    const float inverse = reciprocal_rms(block_sum(total), columns, epsilon);
    if (threadIdx.x == 0) reciprocal[blockIdx.x] = inverse;
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const int i = threadIdx.x + k * 256;
      if (i < vectors) normalise(held[k], weight + i * VEC, inverse, out + i * VEC);
    }
    for (int i = threadIdx.x + 1024; i < vectors; i += 256)
      normalise(load_vec(in + i * VEC), weight + i * VEC, inverse, out + i * VEC);
  } else {
    for (int i = threadIdx.x; i < columns; i += 256) total += load(in + i) * load(in + i);
    const float inverse = reciprocal_rms(block_sum(total), columns, epsilon);
    if (threadIdx.x == 0) reciprocal[blockIdx.x] = inverse;
    for (int i = threadIdx.x; i < columns; i += 256)
      store(out + i, weight[i] * (load(in + i) * inverse));
  }
}

// Short rows: one warp each, eight rows per block.
extern "C" __global__ void __launch_bounds__(256) rms_norm_forward_narrow(
    const T *x, const float *weight, float epsilon, T *y, float *reciprocal, i64 rows,
    int columns) {
  const i64 row = (i64)blockIdx.x * 8 + (threadIdx.x >> 5);
  const int lane = threadIdx.x & 31;
  if (row >= rows) return;
  const T *in = x + row * columns;
  T *out = y + row * columns;
  const bool vector = columns % VEC == 0 && aligned(x) && aligned(y) && aligned(weight);
  float total = 0.0f;
  if (vector)
    for (int i = lane * VEC; i < columns; i += 32 * VEC) total += sum_of_squares(load_vec(in + i));
  else
    for (int i = lane; i < columns; i += 32) total += load(in + i) * load(in + i);
  const float inverse = reciprocal_rms(warp_sum(total), columns, epsilon);
  if (lane == 0) reciprocal[row] = inverse;
  if (vector)
    for (int i = lane * VEC; i < columns; i += 32 * VEC)
      normalise(load_vec(in + i), weight + i, inverse, out + i);
  else
    for (int i = lane; i < columns; i += 32) store(out + i, weight[i] * (load(in + i) * inverse));
}

// A block walks one of gridDim.x consecutive ranges of rows; a thread keeps to HELD vectors of
// columns, so that it can hold their weights and sum their weight gradients in registers.
template <int HELD>
__device__ __forceinline__ void backward(
    const T *dy, const T *x, const float *weight, const float *reciprocal, T *dx, float *partial,
    i64 rows, int columns, int accumulate) {
  const int vectors = columns / VEC;
  float w[HELD][VEC], dw[HELD][VEC];
#pragma unroll
  for (int k = 0; k < HELD; k++) {
    const int i = threadIdx.x + k * 256;
#pragma unroll
    for (int j = 0; j < VEC; j++) w[k][j] = dw[k][j] = 0.0f;
    if (i < vectors) load_floats(weight + i * VEC, w[k]);
  }
  const i64 start = rows * blockIdx.x / gridDim.x, end = rows * (blockIdx.x + 1) / gridDim.x;
  for (i64 row = start; row < end; row++) {
    const i64 offset = row * columns;
    const float inverse = reciprocal[row];
    Vec g[HELD], v[HELD];
    float inner = 0.0f;
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      const int i = threadIdx.x + k * 256;
      if (i < vectors) {
        g[k] = load_vec(dy + offset + i * VEC);
        v[k] = load_vec(x + offset + i * VEC);
#pragma unroll
        for (int j = 0; j < VEC; j++) {
          const float a = to_float(g[k].v[j]), b = to_float(v[k].v[j]);
          inner += a * w[k][j] * b;
          dw[k][j] += a * (b * inverse);
        }
      }
    }
    if (!dx) continue;
    const float pull = block_sum(inner) * inverse * inverse * inverse / (float)columns;
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      const int i = threadIdx.x + k * 256;
      if (i < vectors) {
        T *target = dx + offset + i * VEC;
        Vec out;
        if (accumulate) out = load_vec(target);
#pragma unroll
        for (int j = 0; j < VEC; j++) {
          const float d =
              to_float(g[k].v[j]) * w[k][j] * inverse - to_float(v[k].v[j]) * pull;
          out.v[j] = from_float(accumulate ? to_float(out.v[j]) + d : d);
        }
        store_vec(target, out);
      }
    }
  }
  if (!partial) return;
#pragma unroll
  for (int k = 0; k < HELD; k++) {
    const int i = threadIdx.x + k * 256;
    if (i < vectors)
#pragma unroll
      for (int j = 0; j < VEC; j++)
        partial[(i64)blockIdx.x * columns + i * VEC + j] = dw[k][j];
  }
}

// For columns a multiple of VEC, at most HELD · 256 · VEC, and arrays aligned to 16 bytes; dx and
// partial (a row of weight gradients per block) may be null.
#define BACKWARD(HELD)                                                                          \
  extern "C" __global__ void __launch_bounds__(256) rms_norm_backward_##HELD(                   \
      const T *dy, const T *x, const float *weight, const float *reciprocal, T *dx,             \
      float *partial, i64 rows, int columns, int accumulate) {                                  \
    backward<HELD>(dy, x, weight, reciprocal, dx, partial, rows, columns, accumulate);          \
  }

BACKWARD(1)
BACKWARD(2)
BACKWARD(4)
// Eight 4-byte vectors hold as many columns as four of 2-byte elements.
#if defined(ELEMENT_F32)
BACKWARD(8)
#endif

// dx for any shape: a warp per row.
extern "C" __global__ void __launch_bounds__(256) rms_norm_backward_rows(
    const T *dy, const T *x, const float *weight, const float *reciprocal, T *dx, i64 rows,
    int columns, int accumulate) {
  const i64 row = (i64)blockIdx.x * 8 + (threadIdx.x >> 5);
  const int lane = threadIdx.x & 31;
  if (row >= rows) return;
  const i64 offset = row * columns;
  float inner = 0.0f;
  for (int i = lane; i < columns; i += 32)
    inner += load(dy + offset + i) * weight[i] * load(x + offset + i);
  const float inverse = reciprocal[row];
  const float pull = warp_sum(inner) * inverse * inverse * inverse / (float)columns;
  for (int i = lane; i < columns; i += 32) {
    const float d = load(dy + offset + i) * weight[i] * inverse - load(x + offset + i) * pull;
    store(dx + offset + i, accumulate ? load(dx + offset + i) + d : d);
  }
}

// Weight gradients for any shape: 32 columns by 8 rows at a time, a part of the rows per
// blockIdx.y.
extern "C" __global__ void __launch_bounds__(256) rms_norm_backward_weight(
    const T *dy, const T *x, const float *reciprocal, float *partial, i64 rows, int columns) {
  __shared__ float parts[8][32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
  const i64 start = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  float sum = 0.0f;
  if (column < columns)
    for (i64 r = start + warp; r < end; r += 8)
      sum += load(dy + r * columns + column) * (load(x + r * columns + column) * reciprocal[r]);
  parts[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && column < columns) {
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < 8; w++) total += parts[w][lane];
    partial[(i64)blockIdx.y * columns + column] = total;
  }
}
