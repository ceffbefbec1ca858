// What every kernel shares: the element type T chosen at compile time, conversions, reductions.
#pragma once

typedef long long i64;

struct __align__(2) bf16 {
  unsigned short bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) {
  return __uint_as_float((unsigned)x.bits << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN.
__device__ __forceinline__ bf16 to_bf16(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

#if defined(ELEMENT_BF16)
typedef bf16 T;
__device__ __forceinline__ T from_float(float x) { return to_bf16(x); }
#else
typedef float T;
__device__ __forceinline__ T from_float(float x) { return x; }
#endif

__device__ __forceinline__ float load(const T *p) { return to_float(*p); }
__device__ __forceinline__ void store(T *p, float v) { *p = from_float(v); }

// Kernels that are launched to overlap their predecessor (programmatic dependent launch) call both, in
// this order, before they read what other kernels wrote and before they write: the first returns
// when everything before is done, the second lets the next kernel begin. So at most two overlap, and
// what a kernel does before waiting may use whatever was complete when its predecessor began to work.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// One 16-byte access.
constexpr int VEC = 16 / sizeof(T);
struct __align__(16) Vec {
  T v[VEC];
};
// Whether 16-byte accesses may start here.
__device__ __forceinline__ bool aligned(const void *p) { return ((size_t)p & 15) == 0; }
__device__ __forceinline__ Vec load_vec(const T *p) { return *reinterpret_cast<const Vec *>(p); }
__device__ __forceinline__ void store_vec(T *p, const Vec &v) { *reinterpret_cast<Vec *>(p) = v; }

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1)
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

// The sum or maximum over a block of whole warps, the same in every thread. Adds in a fixed order.
// All threads must call it; it may be called again right after.
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float parts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = (blockDim.x + 31) >> 5;
  x = warp_sum(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warp_sum(lane < warps ? parts[lane] : 0.0f);
}

__device__ __forceinline__ float block_max(float x) {
  __shared__ float parts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = (blockDim.x + 31) >> 5;
  x = warp_max(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warp_max(lane < warps ? parts[lane] : -__int_as_float(0x7f800000));
}

// The same sum in double.
__device__ __forceinline__ double block_sum_double(double x) {
  __shared__ double parts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  x = lane < warps ? parts[lane] : 0.0;
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}
