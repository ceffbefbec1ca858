// What the attention files share: what a query sees, and small instructions.
#pragma once
#include "element.cuh"

// The first key a query sees whose document starts at `start` and whose own key is `last`.
__device__ __forceinline__ int first_key(int start, int last, int window) {
  const int windowed = window > 0 ? last - window + 1 : 0;
  return min(max(max(start, windowed), 0), last);
}
__device__ __forceinline__ int first_key_of(const int *starts, int token, int offset, int window) {
  return first_key(starts ? starts[token] : 0, token + offset, window);
}

__device__ __forceinline__ unsigned address(const void *shared) {
  return (unsigned)__cvta_generic_to_shared(shared);
}

// Starts copying 16 bytes to shared memory, or zeros when not `inside`.
__device__ __forceinline__ void copy16(bf16 *target, const bf16 *source, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(target)), "l"(source),
               "r"(inside ? 16 : 0) : "memory");
}

// Two values rounded to bf16.
__device__ __forceinline__ unsigned pack(float low, float high) {
  unsigned x;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(high), "f"(low));
  return x;
}

// 2^x; denormal results are zero.
__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- Fragments of mma.m16n8k16. With g = lane / 4 and t = lane % 4 an accumulator holds rows g and
// g + 8 (elements 0, 1 and 2, 3) of columns 2t and 2t + 1.

__device__ __forceinline__ void load_matrices(unsigned (&x)[4], const bf16 *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address(row)));
}

__device__ __forceinline__ void load_transposed(unsigned (&x)[4], const bf16 *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address(row)));
}

__device__ __forceinline__ void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                         unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
