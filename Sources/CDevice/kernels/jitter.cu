// y (+)= x · f with random factors f near one, element by element (Fedus et al. 2021). T is the type
// of the activations: into float on the way forward, from float on the way back.
#include "element.cuh"

// 1 + size · (2u - 1), u the upper 24 bits of draw i of SplitMix64.
__device__ __forceinline__ float factor(i64 i, unsigned long long seed, float size) {
  unsigned long long z = seed + ((unsigned long long)i + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  const float unit = (float)(unsigned)(z >> 40) * (1.0f / 16777216.0f);
  return 1.0f + size * (2.0f * unit - 1.0f);
}

extern "C" __global__ void __launch_bounds__(256) jitter_wide(
    const T *x, float size, i64 seed, float *y, i64 n, int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const float value = load(x + i) * factor(i, (unsigned long long)seed, size);
  y[i] = accumulate ? y[i] + value : value;
}

extern "C" __global__ void __launch_bounds__(256) jitter_narrow(
    const float *x, float size, i64 seed, T *y, i64 n, int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const float value = x[i] * factor(i, (unsigned long long)seed, size);
  store(y + i, accumulate ? load(y + i) + value : value);
}
