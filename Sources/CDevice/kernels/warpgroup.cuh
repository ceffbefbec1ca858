// The warpgroup instructions of Hopper (sm_90a) and tiles in shared memory for them, heads of up to
// HEAD_DIM channels.
#pragma once
#include "attention_common.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

constexpr int DIM = HEAD_DIM, PANELS = (DIM + 63) / 64;
constexpr int CHUNKS = DIM > 64 ? 16 : DIM / 8;  // Of 16 bytes per row, as threads copy them.

// Tiles are panels of 64 channels (the last may go half unused); a panel's rows are 128 bytes, their
// eight chunks permuted by the row as the 128-byte swizzle of the matrix descriptors wants it. Tiles
// start at 1024 bytes.
template <int COUNT>
__device__ __forceinline__ int at(int row, int chunk) {
  return (chunk >> 3) * (COUNT * 64) + row * 64 + (((chunk & 7) ^ (row & 7)) << 3);
}

// Start, distance between panels, distance between groups of 8 rows (1024 bytes), 128-byte swizzle.
// A left or right operand whose products run along the channels ignores the distance of panels.
template <int COUNT>
__device__ __forceinline__ unsigned long long descriptor(const bf16 *tile) {
  return (unsigned long long)((address(tile) & 0x3ffff) >> 4) |
         (unsigned long long)(COUNT * 128 >> 4) << 16 | (unsigned long long)(1024 >> 4) << 32 |
         1ull << 62;
}

// Where step k of 16 channels begins, in the units of a descriptor: panel, then place in it.
template <int COUNT>
__device__ __forceinline__ int channels(int k) {
  return ((k >> 2) * (COUNT * 128) + (k & 3) * 32) >> 4;
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// All copies but those of the last `AFTER` commits are done, for the tensor cores too.
template <int AFTER>
__device__ __forceinline__ void finish_copies() {
  asm volatile("cp.async.wait_group %0;\nfence.proxy.async.shared::cta;" ::"n"(AFTER) : "memory");
}

__device__ __forceinline__ void barrier_init(unsigned long long *barrier, int count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(address(barrier)), "r"(count) : "memory");
}
__device__ __forceinline__ void barrier_arrive(unsigned long long *barrier) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(address(barrier)) : "memory");
}
// One arrival for the whole warp.
__device__ __forceinline__ void warp_arrive(unsigned long long *barrier) {
  __syncwarp();
  if ((threadIdx.x & 31) == 0) barrier_arrive(barrier);
}
__device__ __forceinline__ void barrier_wait(unsigned long long *barrier, int parity) {
  asm volatile(
      "{\n.reg .pred done;\nagain:\n"
      "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@!done bra again;\n}" ::"r"(
          address(barrier)),
      "r"(parity) : "memory");
}

__device__ __forceinline__ void multiply_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void multiply_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// All products but those of the last `AFTER` commits are done.
template <int AFTER>
__device__ __forceinline__ void multiply_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(AFTER) : "memory");
}

// Waits for the other warps of a warpgroup.
__device__ __forceinline__ void group_barrier(int group) {
  asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
}

#define FOUR(i) "+f"(x[i][0]), "+f"(x[i][1]), "+f"(x[i][2]), "+f"(x[i][3])
#define SUMS_4 FOUR(0), FOUR(1), FOUR(2), FOUR(3)
#define SUMS_8 SUMS_4, FOUR(4), FOUR(5), FOUR(6), FOUR(7)
#define SUMS_12 SUMS_8, FOUR(8), FOUR(9), FOUR(10), FOUR(11)
#define SUMS_16 SUMS_12, FOUR(12), FOUR(13), FOUR(14), FOUR(15)
#define NAMES_4 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define NAMES_8 NAMES_4 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_12 NAMES_8 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define NAMES_16 NAMES_12 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

#define MULTIPLY_SHARED(n, names, sums, a_at, b_at, add_at, turned)                                \
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %" add_at ", 0;\n"                            \
               "wgmma.mma_async.sync.aligned.m64n" n "k16.f32.bf16.bf16 {" names "}, %" a_at         \
               ", %" b_at ", add, 1, 1, 0, " turned ";\n}" : sums : "l"(a), "l"(b), "r"(add))
#define MULTIPLY_REGISTERS(n, names, sums, a0, a1, a2, a3, b_at)                                   \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" n "k16.f32.bf16.bf16 {" names "}, {%" a0 ", %"    \
               a1 ", %" a2 ", %" a3 "}, %" b_at ", 1, 1, 1, 1;"                                     \
               : sums : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

// x (+)= a bᵀ, 64 x 8 N x 16: both from shared memory, channels innermost.
template <int N>
__device__ __forceinline__ void multiply_shared(float (&x)[N][4], unsigned long long a,
                                                unsigned long long b, int add) {
  if constexpr (N == 8) MULTIPLY_SHARED("64", NAMES_8, SUMS_8, "32", "33", "34", "0");
  if constexpr (N == 16) MULTIPLY_SHARED("128", NAMES_16, SUMS_16, "64", "65", "66", "0");
}

// x (+)= a b: both from shared memory, `a` with its channels and `b` with its rows along the products.
template <int N>
__device__ __forceinline__ void multiply_turned(float (&x)[N][4], unsigned long long a,
                                                unsigned long long b, int add) {
  if constexpr (N == 8) MULTIPLY_SHARED("64", NAMES_8, SUMS_8, "32", "33", "34", "1");
  if constexpr (N == 16) MULTIPLY_SHARED("128", NAMES_16, SUMS_16, "64", "65", "66", "1");
}

// x += a b: `a` from registers, `b` with its rows along the products.
template <int N>
__device__ __forceinline__ void multiply_registers(float (&x)[N][4], const unsigned (&a)[4],
                                                   unsigned long long b) {
  if constexpr (N == 4) MULTIPLY_REGISTERS("32", NAMES_4, SUMS_4, "16", "17", "18", "19", "20");
  if constexpr (N == 8) MULTIPLY_REGISTERS("64", NAMES_8, SUMS_8, "32", "33", "34", "35", "36");
  if constexpr (N == 12) MULTIPLY_REGISTERS("96", NAMES_12, SUMS_12, "48", "49", "50", "51", "52");
  if constexpr (N == 16) MULTIPLY_REGISTERS("128", NAMES_16, SUMS_16, "64", "65", "66", "67", "68");
}

// Nothing reads sums that were in flight before this place.
template <int N>
__device__ __forceinline__ void hold(float (&x)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; n++)
    asm volatile("" : FOUR(n)::"memory");
}

template <int REGISTERS>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS>
__device__ __forceinline__ void leave_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// One of 128 threads' part of a tile; zeros past `rows` and past `dim`.
template <int COUNT>
__device__ __forceinline__ void load_tile(bf16 *tile, const bf16 *head, int stride, int row,
                                          int rows, int dim) {
  constexpr int STEP = 128 / CHUNKS;  // A multiple of 8, so that the swizzle stays.
  const int c = threadIdx.x % CHUNKS, r0 = threadIdx.x % 128 / CHUNKS;
  if (c >= DIM / 8) return;
  bf16 *target = tile + at<COUNT>(r0, c);
  const bool known = c * 8 < dim;
  const bf16 *source = known ? head + (i64)(row + r0) * stride + c * 8 : head;
  const i64 skip = known ? (i64)STEP * stride : 0;
  if (row + COUNT <= rows) {
#pragma unroll 4
    for (int i = 0; i < COUNT / STEP; i++, source += skip)
      copy16(target + i * STEP * 64, source, known);
  } else {
#pragma unroll 1
    for (int i = 0; i < COUNT / STEP; i++, source += skip) {
      const bool inside = known && row + r0 + i * STEP < rows;
      copy16(target + i * STEP * 64, inside ? source : head, inside);
    }
  }
}

// A thread's sums as the left operand of the next product.
template <int N>
__device__ __forceinline__ void as_left(unsigned (&a)[N / 2][4], const float (&x)[N][4]) {
#pragma unroll
  for (int k = 0; k < N / 2; k++)
#pragma unroll
    for (int e = 0; e < 4; e++)
      a[k][e] = pack(x[2 * k + (e >> 1)][(e & 1) * 2], x[2 * k + (e >> 1)][(e & 1) * 2 + 1]);
}

template <int N>
__device__ __forceinline__ void clear(float (&x)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int e = 0; e < 4; e++) x[n][e] = 0.0f;
}

// A warp's sums times a factor per row to memory, by way of its rows of a tile no product reads any
// more, which makes the stores whole. `target` is the tile's first row, of `rows`.
template <int OWNED>
__device__ __forceinline__ void write_rows(const float (&x)[DIM / 8][4], float factor0, float factor1,
                                           bf16 *tile, bf16 *target, int stride, int rows,
                                           int dim) {
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const int warp_row = (threadIdx.x >> 5) * 16;
#pragma unroll
  for (int n = 0; n < DIM / 8; n++) {
    *reinterpret_cast<unsigned *>(tile + at<OWNED>(warp_row + g, n) + 2 * t) =
        pack(x[n][0] * factor0, x[n][1] * factor0);
    *reinterpret_cast<unsigned *>(tile + at<OWNED>(warp_row + 8 + g, n) + 2 * t) =
        pack(x[n][2] * factor1, x[n][3] * factor1);
  }
  __syncwarp();
  for (int i = lane; i < 16 * CHUNKS; i += 32) {
    const int r = warp_row + i / CHUNKS, c = i % CHUNKS;
    if (r < rows && c * 8 < dim)
      *reinterpret_cast<uint4 *>(target + (i64)r * stride + c * 8) =
          *reinterpret_cast<const uint4 *>(tile + at<OWNED>(r, c));
  }
}

extern __shared__ __align__(1024) unsigned char shared[];

__device__ __forceinline__ bf16 *first_tile() {
  return reinterpret_cast<bf16 *>(shared + ((1024 - (address(shared) & 1023)) & 1023));
}

#endif
