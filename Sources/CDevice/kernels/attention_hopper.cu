// Causal grouped-query attention forward in bf16 for Hopper (sm_90a), heads of 65 to 128 channels: what
// attention_forward of attention.cu computes, on the warpgroup tensor-core instructions that alone
// reach the chip's rate. After FlashAttention-3 (Shah et al. 2024), without its bulk tensor copies.
//
// Three warpgroups: one copies keys and values into shared memory, two own 64 queries each. The owners
// are not in step, so that the softmax of one runs while the other multiplies.
#include "element.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL  // For other chips the file is empty.

constexpr int DIM = 128, QUERIES = 128, KEYS = 128, STAGES = 2, THREADS = 384;
constexpr int TILE = KEYS * DIM;  // Elements of any tile.
#define LOG2E 1.4426950408889634f

// Tiles are two panels of 64 channels; a panel's rows are 128 bytes, their eight chunks permuted by
// the row as the 128-byte swizzle of the matrix descriptors wants it. Tiles start at 1024 bytes.
__device__ __forceinline__ int at(int row, int chunk) {
  return (chunk >> 3) * (KEYS * 64) + row * 64 + (((chunk & 7) ^ (row & 7)) << 3);
}

__device__ __forceinline__ unsigned address(const void *shared) {
  return (unsigned)__cvta_generic_to_shared(shared);
}

// Start, distance between panels, distance between groups of 8 rows (1024 bytes), 128-byte swizzle.
// A left or right operand whose products run along the channels ignores the distance of panels.
__device__ __forceinline__ unsigned long long descriptor(const bf16 *tile) {
  return (unsigned long long)((address(tile) & 0x3ffff) >> 4) |
         (unsigned long long)(KEYS * 128 >> 4) << 16 | (unsigned long long)(1024 >> 4) << 32 |
         1ull << 62;
}

__device__ __forceinline__ void copy16(bf16 *target, const bf16 *source, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(target)), "l"(source),
               "r"(inside ? 16 : 0) : "memory");
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
__device__ __forceinline__ void multiply_wait() {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

// Waits for the other warps of a warpgroup.
__device__ __forceinline__ void group_barrier(int group) {
  asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
}

#define FOUR(i) "+f"(x[i][0]), "+f"(x[i][1]), "+f"(x[i][2]), "+f"(x[i][3])
#define SUMS                                                                                       \
  FOUR(0), FOUR(1), FOUR(2), FOUR(3), FOUR(4), FOUR(5), FOUR(6), FOUR(7), FOUR(8), FOUR(9),        \
      FOUR(10), FOUR(11), FOUR(12), FOUR(13), FOUR(14), FOUR(15)
#define SUM_NAMES                                                                                  \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "

// x (+)= a bᵀ, 64 x 128 x 16: both from shared memory, channels innermost.
__device__ __forceinline__ void multiply_shared(float (&x)[16][4], unsigned long long a,
                                                unsigned long long b, int add) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
               "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " SUM_NAMES
               "%64, %65, add, 1, 1, 0, 0;\n}" : SUMS : "l"(a), "l"(b), "r"(add));
}

// x += a b: `a` from registers, `b` with its rows along the products.
__device__ __forceinline__ void multiply_registers(float (&x)[16][4], const unsigned (&a)[4],
                                                   unsigned long long b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " SUM_NAMES
               "{%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
               : SUMS : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

__device__ __forceinline__ unsigned pack(float low, float high) {
  unsigned x;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(high), "f"(low));
  return x;
}

__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

template <int REGISTERS>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS>
__device__ __forceinline__ void leave_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

__device__ __forceinline__ int first_key_of(const int *starts, int token, int offset, int window) {
  const int last = token + offset, windowed = window > 0 ? last - window + 1 : 0;
  return min(max(max(starts ? starts[token] : 0, windowed), 0), last);
}

// One of 128 threads' part of a tile; zeros past `rows` and past `dim`.
__device__ __forceinline__ void load_tile(bf16 *tile, const bf16 *head, int stride, int row,
                                          int rows, int dim) {
  const int c = threadIdx.x % 16, r0 = threadIdx.x % 128 / 16;
#pragma unroll 4
  for (int i = 0; i < KEYS / 8; i++) {
    const int r = r0 + i * 8;
    const bool inside = row + r < rows && c * 8 < dim;
    copy16(tile + at(r, c), inside ? head + (i64)(row + r) * stride + c * 8 : head, inside);
  }
}

extern __shared__ __align__(1024) unsigned char shared[];

// Grid: (heads, tiles of 128 queries). Shared: 1024 + 5 TILE 2 bytes. Needs dim % 8 == 0 and tensors at
// multiples of 16 bytes; for scale > 0.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    attention_forward_hopper(const bf16 *query, const bf16 *key, const bf16 *value,
                             const int *starts, bf16 *output, float *log_sum_exp, int tokens,
                             int keys, int heads, int key_heads, int dim, int offset, int window,
                             float scale) {
  __shared__ unsigned long long query_full, key_full[STAGES], value_full[STAGES],
      key_empty[STAGES], value_empty[STAGES];
  bf16 *query_tile =
      reinterpret_cast<bf16 *>(shared + ((1024 - (address(shared) & 1023)) & 1023));
  bf16 *key_tiles = query_tile + TILE, *value_tiles = key_tiles + STAGES * TILE;
  const int head = blockIdx.x, stride = heads * dim, key_stride = key_heads * dim;
  const int token = (gridDim.y - 1 - blockIdx.y) * QUERIES, end = min(token + QUERIES, tokens);
  const int first = first_key_of(starts, token, offset, window) / KEYS;
  const int last = (end - 1 + offset) / KEYS;
  if (threadIdx.x == 0) {
    barrier_init(&query_full, 128);
    for (int s = 0; s < STAGES; s++) {
      barrier_init(key_full + s, 128), barrier_init(value_full + s, 128);
      barrier_init(key_empty + s, 256), barrier_init(value_empty + s, 256);
    }
  }
  __syncthreads();

  if (threadIdx.x >= 256) {
    leave_registers<40>();
    key += head / (heads / key_heads) * dim, value += head / (heads / key_heads) * dim;
    load_tile(query_tile, query + head * dim, stride, token, tokens, dim);
    commit_copies();
    for (int block = first; block <= last; block++) {
      // A fresh barrier counts as one whose odd phase has passed.
      const int step = block - first, stage = step % STAGES, empty = (step / STAGES & 1) ^ 1;
      barrier_wait(key_empty + stage, empty);
      load_tile(key_tiles + stage * TILE, key, key_stride, block * KEYS, keys, dim);
      commit_copies();
      finish_copies<1>();  // The copy before this one: queries or the last values.
      barrier_arrive(step == 0 ? &query_full : value_full + (step - 1) % STAGES);
      barrier_wait(value_empty + stage, empty);
      load_tile(value_tiles + stage * TILE, value, key_stride, block * KEYS, keys, dim);
      commit_copies();
      finish_copies<1>();
      barrier_arrive(key_full + stage);
    }
    finish_copies<0>();
    barrier_arrive(value_full + (last - first) % STAGES);
  } else {
    take_registers<232>();
    const int group = threadIdx.x / 128, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int warp_row = (threadIdx.x >> 5) * 16;  // Of all the tile's rows.
    const int top_key = first_key_of(starts, end - 1, offset, window);
    const int low_key = token + group * 64 + offset;
    const float scale2 = scale * LOG2E;
    float out[DIM / 8][4], score[KEYS / 8][4], highest[2], sum[2];
    int seen_from[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      highest[i] = -1e30f, sum[i] = 0.0f;
      seen_from[i] =
          first_key_of(starts, min(token + warp_row + i * 8 + g, tokens - 1), offset, window);
    }
#pragma unroll
    for (int n = 0; n < DIM / 8; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) out[n][e] = 0.0f;
    const unsigned long long own = descriptor(query_tile + group * 64 * 64);
    barrier_wait(&query_full, 0);

    for (int block = first; block <= last; block++) {
      const int step = block - first, stage = step % STAGES, full = step / STAGES & 1;
      barrier_wait(key_full + stage, full);
      const unsigned long long key_tile = descriptor(key_tiles + stage * TILE);
      multiply_fence();
#pragma unroll
      for (int k = 0; k < DIM / 16; k++) {
        const int skip = ((k >> 2) * (KEYS * 128) + (k & 3) * 32) >> 4;  // Panel, 16 channels in it.
        multiply_shared(score, own + skip, key_tile + skip, k > 0);
      }
      multiply_commit();
      multiply_wait();
      barrier_arrive(key_empty + stage);
      if (block * KEYS < top_key || block * KEYS + KEYS - 1 > low_key) {
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 0; e < 4; e++) {
            const int column = block * KEYS + n * 8 + 2 * t + (e & 1);
            const int row_last = token + warp_row + (e >> 1) * 8 + g + offset;
            if (column < seen_from[e >> 1] || column > row_last)
              score[n][e] = -__int_as_float(0x7f800000);
          }
      }
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float most = highest[i];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
          most = fmaxf(most, fmaxf(score[n][2 * i], score[n][2 * i + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        const float correction = power2((highest[i] - most) * scale2), shift = most * scale2;
        highest[i] = most;
        sum[i] *= correction;
#pragma unroll
        for (int n = 0; n < DIM / 8; n++)
          out[n][2 * i] *= correction, out[n][2 * i + 1] *= correction;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 2 * i; e < 2 * i + 2; e++) {
            score[n][e] = power2(fmaf(score[n][e], scale2, -shift));
            sum[i] += score[n][e];
          }
      }
      unsigned weight[KEYS / 16][4];
#pragma unroll
      for (int k = 0; k < KEYS / 16; k++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          weight[k][e] = pack(score[2 * k + (e >> 1)][(e & 1) * 2],
                              score[2 * k + (e >> 1)][(e & 1) * 2 + 1]);
      barrier_wait(value_full + stage, full);
      const unsigned long long value_tile = descriptor(value_tiles + stage * TILE);
      multiply_fence();
#pragma unroll
      for (int k = 0; k < KEYS / 16; k++)
        multiply_registers(out, weight[k], value_tile + (k * 16 * 128 >> 4));
      multiply_commit();
      multiply_wait();
      barrier_arrive(value_empty + stage);
    }

    group_barrier(group);  // Nobody multiplies the group's queries any more: they make room.
    bf16 *tile = query_tile;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 1);
      sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 2);
      const float inverse = 1.0f / sum[i];
      const int r = warp_row + i * 8 + g, row = token + r;
      if (t == 0 && row < tokens)
        log_sum_exp[(i64)head * tokens + row] = (highest[i] * scale2 + log2f(sum[i])) / LOG2E;
#pragma unroll
      for (int n = 0; n < DIM / 8; n++)
        *reinterpret_cast<unsigned *>(tile + at(r, n) + 2 * t) =
            pack(out[n][2 * i] * inverse, out[n][2 * i + 1] * inverse);
    }
    __syncwarp();
    for (int i = lane; i < 16 * DIM / 8; i += 32) {
      const int r = warp_row + i / (DIM / 8), c = i % (DIM / 8);
      if (token + r < tokens && c * 8 < dim)
        *reinterpret_cast<uint4 *>(output + (i64)(token + r) * stride + head * dim + c * 8) =
            *reinterpret_cast<const uint4 *>(tile + at(r, c));
    }
  }
}

#endif
