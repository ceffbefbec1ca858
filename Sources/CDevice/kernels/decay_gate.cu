// Forget gates with lower bounds, as log-decays.
#include "element.cuh"

// The sigmoid of x and what it lacks to 1, both without cancellation.
__device__ __forceinline__ void shares(float x, float &sigmoid, float &lacks) {
  const float e = expf(-fabsf(x)), part = 1.0f / (1.0f + e);
  sigmoid = x < 0.0f ? e * part : part;
  lacks = x < 0.0f ? part : e * part;
}

// log_decay = ln(b + (1 - b) sigmoid(x)) · factor; bounds and rest may be null. Without bounds the
// logarithm is taken of the sigmoid as a whole: it stays finite where the sigmoid vanishes.
extern "C" __global__ void __launch_bounds__(256) decay_gate_forward(
    const T *x, const float *bounds, float factor, float *log_decay, T *rest, i64 n, int columns) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= n) return;
  const float value = load(x + index), b = bounds ? bounds[index % columns] : 0.0f;
  float sigmoid, lacks, result;
  shares(value, sigmoid, lacks);
  if (b > 0.0f)
    result = logf(b + (1.0f - b) * sigmoid);
  else
    result = fminf(value, 0.0f) - log1pf(expf(-fabsf(value)));
  result *= factor;
  log_decay[index] = result;
  if (rest) store(rest + index, -expm1f(result));
}

// A block takes 32 columns and a part of the rows per blockIdx.y. dx is set; partial, which may be
// null, gets a row of sums for the bounds. Either of dlog_decay and drest may be null.
extern "C" __global__ void __launch_bounds__(256) decay_gate_backward(
    const float *dlog_decay, const T *drest, const T *x, const float *bounds, float factor, T *dx,
    float *partial, i64 rows, int columns) {
  __shared__ float parts[8][32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
  const i64 start = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  float sum = 0.0f;
  if (column < columns) {
    const float b = bounds ? bounds[column] : 0.0f;
    for (i64 r = start + warp; r < end; r += 8) {
      const i64 index = r * columns + column;
      float sigmoid, lacks;
      shares(load(x + index), sigmoid, lacks);
      const float plain = b + (1.0f - b) * sigmoid, share = fmaxf(plain, 1e-30f);
      float d = dlog_decay ? dlog_decay[index] : 0.0f;
      if (drest) d -= load(drest + index) * (factor == 1.0f ? plain : powf(plain, factor));
      d *= factor;
      store(dx + index, b > 0.0f ? d * (1.0f - b) * sigmoid * lacks / share : d * lacks);
      sum += d * lacks / share;
    }
  }
  if (!partial) return;
  parts[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && column < columns) {
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < 8; w++) total += parts[w][lane];
    partial[(i64)blockIdx.y * columns + column] = total;
  }
}

__device__ __forceinline__ float bound_of(
    const float *table, int rows, int columns, int column, int row, float &largest, float &total) {
  largest = table[column];
  for (int r = 1; r < rows; r++) largest = fmaxf(largest, table[(i64)r * columns + column]);
  float part = 0.0f;
  total = 0.0f;
  for (int r = 0; r < rows; r++) {
    const float e = expf(table[(i64)r * columns + column] - largest);
    total += e;
    if (r > 0 && r <= row) part += e;
  }
  return part / total;
}

// The sum over rows 1...row of the softmax over all rows.
extern "C" __global__ void __launch_bounds__(256) lower_bound(
    const float *table, float *bound, int rows, int columns, int row) {
  const int column = blockIdx.x * 256 + threadIdx.x;
  if (column >= columns) return;
  float largest, total;
  bound[column] = bound_of(table, rows, columns, column, row, largest, total);
}

extern "C" __global__ void __launch_bounds__(256) lower_bound_backward(
    const float *dbound, const float *table, float *dtable, int rows, int columns, int row) {
  const int column = blockIdx.x * 256 + threadIdx.x;
  if (column >= columns) return;
  float largest, total;
  const float bound = bound_of(table, rows, columns, column, row, largest, total);
  for (int r = 0; r < rows; r++) {
    const i64 index = (i64)r * columns + column;
    const float p = expf(table[index] - largest) / total;
    dtable[index] = p * dbound[column] * ((r > 0 && r <= row ? 1.0f : 0.0f) - bound);
  }
}
