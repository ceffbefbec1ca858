// Noise on router scores (Shazeer et al. 2017, eq. 4). All in float.
#include "element.cuh"

// y = scores + noise · (softplus(spread) + least); a null spread leaves noise · least.
extern "C" __global__ void __launch_bounds__(256) noisy_forward(
    const float *scores, const float *noise, const float *spread, float least, float *y, i64 n) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const float x = spread ? spread[i] : 0.0f;
  const float size = spread ? fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))) + least : least;
  y[i] = scores[i] + noise[i] * size;
}

// dspread (+)= dy · noise · sigmoid(spread).
extern "C" __global__ void __launch_bounds__(256) noisy_backward(
    const float *dy, const float *noise, const float *spread, float *dspread, i64 n,
    int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const float slope = dy[i] * noise[i] / (1.0f + expf(-spread[i]));
  dspread[i] = accumulate ? dspread[i] + slope : slope;
}
