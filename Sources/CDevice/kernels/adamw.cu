// The optimizer: AdamW (Loshchilov and Hutter 2019), the norm of all gradients, the clip factor.
// Parameters, gradients and moments are float.
#include "element.cuh"

struct Rates {
  float beta1, rest1, beta2, rest2, keep, rate, root, epsilon;
};

__device__ __forceinline__ void update(const Rates &a, float g, float &value, float &m, float &v) {
  m = a.beta1 * m + a.rest1 * g;
  v = a.beta2 * v + a.rest2 * g * g;
  value = a.keep * value - a.rate * m / (sqrtf(v) * a.root + a.epsilon);
}

// keep = 1 - ηλ, rate = η / (1 - β₁ˢ), root = 1 / sqrt(1 - β₂ˢ). A null scale counts as 1. Each
// thread owns four elements.
extern "C" __global__ void __launch_bounds__(256) adamw(
    float *value, const float *gradient, float *moment1, float *moment2, i64 n, float beta1,
    float rest1, float beta2, float rest2, float keep, float rate, float root, float epsilon,
    const float *gradient_scale) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * 4;
  if (start >= n) return;
  const Rates rates = {beta1, rest1, beta2, rest2, keep, rate, root, epsilon};
  const float scale = gradient_scale ? *gradient_scale : 1.0f;
  if (start + 4 <= n && aligned(value) && aligned(gradient) && aligned(moment1) &&
      aligned(moment2)) {
    const float4 g = *reinterpret_cast<const float4 *>(gradient + start);
    float4 x = *reinterpret_cast<float4 *>(value + start);
    float4 m = *reinterpret_cast<float4 *>(moment1 + start);
    float4 v = *reinterpret_cast<float4 *>(moment2 + start);
    update(rates, scale * g.x, x.x, m.x, v.x);
    update(rates, scale * g.y, x.y, m.y, v.y);
    update(rates, scale * g.z, x.z, m.z, v.z);
    update(rates, scale * g.w, x.w, m.w, v.w);
    *reinterpret_cast<float4 *>(value + start) = x;
    *reinterpret_cast<float4 *>(moment1 + start) = m;
    *reinterpret_cast<float4 *>(moment2 + start) = v;
  } else {
    const i64 end = min(n, start + 4);
    for (i64 i = start; i < end; i++)
      update(rates, scale * gradient[i], value[i], moment1[i], moment2[i]);
  }
}

// partial[block] = Σ x² over the block's vectors of one tensor (of type T); a vector in float, the
// rest in double.
extern "C" __global__ void __launch_bounds__(256) squares_partial(
    const T *x, double *partial, i64 n) {
  const bool vector = aligned(x);
  double sum = 0.0;
  for (i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC; start < n;
       start += (i64)gridDim.x * 256 * VEC) {
    float s = 0.0f;
    if (vector && start + VEC <= n) {
      const Vec v = load_vec(x + start);
#pragma unroll
      for (int j = 0; j < VEC; j++) s += to_float(v.v[j]) * to_float(v.v[j]);
    } else {
      const i64 end = min(n, start + VEC);
      for (i64 i = start; i < end; i++) s += load(x + i) * load(x + i);
    }
    sum += (double)s;
  }
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// norm = sqrt(Σ partial); one block.
extern "C" __global__ void __launch_bounds__(1024) norm_finish(
    const double *partial, int parts, float *norm) {
  double sum = 0.0;
  for (int p = threadIdx.x; p < parts; p += 1024) sum += partial[p];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) *norm = (float)sqrt(sum);
}

// factor = min(1, maximum / norm); in this order a norm that is not a number stays visible.
extern "C" __global__ void clip_factor(const float *norm, float maximum, float *factor) {
  const float ratio = maximum / *norm;
  *factor = ratio > 1.0f ? 1.0f : ratio;
}
