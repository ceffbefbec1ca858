// The length of each group of `width` values of a times that of b. All in float.
//
// One thread per group: groups are a handful of values.
#include "element.cuh"

__device__ __forceinline__ float length_of(const float *x, int width) {
  float sum = 0.0f;
  for (int i = 0; i < width; i++) sum += x[i] * x[i];
  return sqrtf(sum);
}

extern "C" __global__ void __launch_bounds__(256)
    length_product_forward(const float *a, const float *b, float *y, i64 groups, int width) {
  const i64 g = (i64)blockIdx.x * 256 + threadIdx.x;
  if (g < groups) y[g] = length_of(a + g * width, width) * length_of(b + g * width, width);
}

extern "C" __global__ void __launch_bounds__(256) length_product_backward(
    const float *dy, const float *a, const float *b, float *da, float *db, i64 groups, int width) {
  const i64 g = (i64)blockIdx.x * 256 + threadIdx.x;
  if (g >= groups) return;
  const i64 start = g * width;
  const float length_a = length_of(a + start, width), length_b = length_of(b + start, width);
  const float slope_a = length_a > 0.0f ? dy[g] * length_b / length_a : 0.0f;
  const float slope_b = length_b > 0.0f ? dy[g] * length_a / length_b : 0.0f;
  for (int i = 0; i < width; i++) {
    da[start + i] = slope_a * a[start + i];
    db[start + i] = slope_b * b[start + i];
  }
}
