// Conversions between element types. Values pass through float, as on the CPU.
//
// Types of both ends are in the kernels' names: this file does not depend on T.
#include "element.cuh"

__device__ __forceinline__ float to_float(double x) { return (float)x; }
__device__ __forceinline__ float to_float(int x) { return (float)x; }

__device__ __forceinline__ void assign(float &y, float x) { y = x; }
__device__ __forceinline__ void assign(bf16 &y, float x) { y = to_bf16(x); }
__device__ __forceinline__ void assign(half16 &y, float x) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
}
__device__ __forceinline__ void assign(double &y, float x) { y = (double)x; }
// Towards zero.
__device__ __forceinline__ void assign(int &y, float x) { y = (int)x; }

template <class X>
struct __align__(16) Eight {
  X v[8];
};

template <class X, class Y>
__device__ __forceinline__ void convert(const X *x, Y *y, i64 n) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * 8;
  if (start >= n) return;
  if (start + 8 <= n && aligned(x) && aligned(y)) {
    const Eight<X> in = *reinterpret_cast<const Eight<X> *>(x + start);
    Eight<Y> out;
#pragma unroll
    for (int j = 0; j < 8; j++) assign(out.v[j], to_float(in.v[j]));
    *reinterpret_cast<Eight<Y> *>(y + start) = out;
  } else {
    const i64 end = min(n, start + 8);
    for (i64 i = start; i < end; i++) assign(y[i], to_float(x[i]));
  }
}

#define CAST(NAME, X, Y)                                                                      \
  extern "C" __global__ void __launch_bounds__(256) NAME(const X *x, Y *y, i64 n) {           \
    convert(x, y, n);                                                                         \
  }

CAST(cast_f32_bf16, float, bf16)
CAST(cast_bf16_f32, bf16, float)
CAST(cast_f32_f16, float, half16)
CAST(cast_f16_f32, half16, float)
CAST(cast_bf16_f16, bf16, half16)
CAST(cast_f16_bf16, half16, bf16)
CAST(cast_f32_f64, float, double)
CAST(cast_f64_f32, double, float)
CAST(cast_f32_i32, float, int)
CAST(cast_i32_f32, int, float)
