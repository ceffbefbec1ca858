// The absolute value, elementwise. All in float.
#include "element.cuh"

extern "C" __global__ void __launch_bounds__(256) absolute_forward(const float *x, float *y, i64 n) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i < n) y[i] = fabsf(x[i]);
}

// dx (+)= sign(x) · dy.
extern "C" __global__ void __launch_bounds__(256) absolute_backward(
    const float *dy, const float *x, float *dx, i64 n, int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const float slope = x[i] > 0.0f ? dy[i] : x[i] < 0.0f ? -dy[i] : 0.0f;
  dx[i] = accumulate ? dx[i] + slope : slope;
}
