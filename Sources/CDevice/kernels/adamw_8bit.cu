// AdamW with block-wise 8-bit moments (Dettmers et al. 2022, "8-bit Optimizers via Block-wise
// Quantization"). T is the type of the parameter; gradients are float. A warp owns a block of 256
// elements, a lane eight of them in a row.
//
// Codes are ranks in the sorted values of a dynamic map (Numerics/Ops/DynamicMap.swift). With the
// bits read from the first one on, a rank r in 1 ... 127 is the fraction of decade 6 - log2(r).
#include "element.cuh"

constexpr int DECADES = 7;
// Magnitudes: zero, the decades from the smallest value on, one.
constexpr int WITH_SIGN = 129, WITHOUT_SIGN = 256;

struct Maps {
  float with_sign[WITH_SIGN], without_sign[WITHOUT_SIGN];
};

// 10^-decade.
__device__ __forceinline__ double power(int decade) {
  return decade == 0   ? 1.0
         : decade == 1 ? 1e-1
         : decade == 2 ? 1e-2
         : decade == 3 ? 1e-3
         : decade == 4 ? 1e-4
         : decade == 5 ? 1e-5
                       : 1e-6;
}

// The magnitude of rank r in a map whose first decade has 2^BITS values; in double without
// contraction, so that the host's table has the same bits.
template <int BITS>
__device__ __forceinline__ float magnitude(int r) {
  constexpr int LOWEST = 1 << (BITS - DECADES + 1);
  if (r == 0) return 0.0f;
  const int tree = r - 1 + LOWEST;
  if (tree == 2 << BITS) return 1.0f;
  int bits = 0;
  while (tree >> (bits + 1)) bits++;
  const double fraction = ((double)(tree - (1 << bits)) + 0.5) / (double)(1 << bits);
  return (float)__dmul_rn(__dadd_rn(0.1, __dmul_rn(0.9, fraction)), power(BITS - bits));
}

// The rank of the magnitude nearest to x (of equals the smaller), at most `last`; 0 for a NaN. A
// guess from the decade is off by one at most, and the neighbours decide.
template <int BITS>
__device__ __forceinline__ int nearest(float x, const float *magnitudes, int last) {
  constexpr int LOWEST = 1 << (BITS - DECADES + 1);
  if (!(x > 0.0f)) return 0;
  float whole = x;
  int decade = 0;
#pragma unroll
  for (int e = 1; e < DECADES; e++) {
    const float limit = e == 1 ? 1e-1f : e == 2 ? 1e-2f : e == 3 ? 1e-3f : e == 4 ? 1e-4f
                                                      : e == 5   ? 1e-5f
                                                                 : 1e-6f;
    const float factor = e == 1 ? 1e1f : e == 2 ? 1e2f : e == 3 ? 1e3f : e == 4 ? 1e4f
                                                     : e == 5   ? 1e5f
                                                                : 1e6f;
    if (x < limit) {
      decade = e;
      whole = x * factor;
    }
  }
  const int bins = 1 << (BITS - decade);
  const int bin = (int)((whole - 0.1f) * ((float)bins * (1.0f / 0.9f)));
  int rank = bins + max(0, min(bins - 1, bin)) + 1 - LOWEST;
  rank = min(rank, last);
  const float here = magnitudes[rank];
  if (rank < last && x > 0.5f * (here + magnitudes[rank + 1])) return rank + 1;
  if (x <= 0.5f * (magnitudes[rank - 1] + here)) return rank - 1;
  return rank;
}

// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011).
__device__ __forceinline__ void philox(unsigned long long counter, unsigned step,
                                       unsigned long long key, unsigned (&x)[4]) {
  x[0] = (unsigned)counter;
  x[1] = (unsigned)(counter >> 32);
  x[2] = step;
  x[3] = 0;
  unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned long long a = 0xD2511F53ull * x[0], b = 0xCD9E8D57ull * x[2];
    x[0] = (unsigned)(b >> 32) ^ x[1] ^ k0;
    x[1] = (unsigned)b;
    x[2] = (unsigned)(a >> 32) ^ x[3] ^ k1;
    x[3] = (unsigned)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

// Up with probability (value - below) / (above - below): sixteen random bits are added to those cut
// off. What is not finite stays so.
__device__ __forceinline__ bf16 round_randomly(float value, unsigned random) {
  const unsigned bits = __float_as_uint(value);
  if ((bits & 0x7f800000u) == 0x7f800000u) return to_bf16(value);
  bf16 result;
  result.bits = (unsigned short)((bits + (random & 0xffffu)) >> 16);
  return result;
}

struct Rates {
  float beta1, rest1, beta2, rest2, keep, rate, root, epsilon;
};

__device__ __forceinline__ float signed_value(const Maps &maps, unsigned code) {
  const int rank = (int)code - 127;
  return rank < 0 ? -maps.with_sign[-rank] : maps.with_sign[rank];
}

struct __align__(8) Codes {
  unsigned char v[8];
};
struct __align__(16) Values {
  T v[8];
};

// keep = 1 - ηλ, rate = η / (1 - β₁ˢ), root = 1 / sqrt(1 - β₂ˢ). A null scale counts as 1.
extern "C" __global__ void __launch_bounds__(256) adamw_8bit(
    T *value, const float *gradient, unsigned char *codes1, float *scales1, unsigned char *codes2,
    float *scales2, i64 n, float beta1, float rest1, float beta2, float rest2, float keep,
    float rate, float root, float epsilon, const float *gradient_scale, unsigned long long key,
    unsigned step) {
  __shared__ Maps maps;
  for (int r = threadIdx.x; r < WITH_SIGN; r += 256) maps.with_sign[r] = magnitude<6>(r);
  for (int r = threadIdx.x; r < WITHOUT_SIGN; r += 256) maps.without_sign[r] = magnitude<7>(r);
  __syncthreads();
  const float scale = gradient_scale ? *gradient_scale : 1.0f;
  const bool vectors =
      aligned(value) && aligned(gradient) && (((size_t)codes1 | (size_t)codes2) & 7) == 0;
  const i64 blocks = (n + 255) / 256;
  const int lane = threadIdx.x & 31;
  for (i64 block = (i64)blockIdx.x * 8 + (threadIdx.x >> 5); block < blocks;
       block += (i64)gridDim.x * 8) {
    const i64 start = block * 256 + lane * 8;
    const int count = start + 8 <= n ? 8 : start < n ? (int)(n - start) : 0;
    const bool whole = vectors && count == 8;
    Codes c1, c2;
    Values x;
    float g[8];
    if (whole) {
      c1 = *reinterpret_cast<const Codes *>(codes1 + start);
      c2 = *reinterpret_cast<const Codes *>(codes2 + start);
      x = *reinterpret_cast<const Values *>(value + start);
      const float4 low = *reinterpret_cast<const float4 *>(gradient + start);
      const float4 high = *reinterpret_cast<const float4 *>(gradient + start + 4);
      g[0] = low.x, g[1] = low.y, g[2] = low.z, g[3] = low.w;
      g[4] = high.x, g[5] = high.y, g[6] = high.z, g[7] = high.w;
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const bool inside = i < count;
        c1.v[i] = inside ? codes1[start + i] : 127;
        c2.v[i] = inside ? codes2[start + i] : 0;
        x.v[i] = inside ? value[start + i] : from_float(0.0f);
        g[i] = inside ? gradient[start + i] : 0.0f;
      }
    }
    const float old1 = scales1[block], old2 = scales2[block];
    float m[8], v[8], top1 = 0.0f, top2 = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const float s = scale * g[i];
      m[i] = beta1 * (old1 * signed_value(maps, c1.v[i])) + rest1 * s;
      v[i] = beta2 * (old2 * maps.without_sign[c2.v[i]]) + rest2 * s * s;
      top1 = fmaxf(top1, fabsf(m[i]));
      top2 = fmaxf(top2, v[i]);
    }
#if defined(ELEMENT_BF16)
    unsigned random[4];
    philox((unsigned long long)start / 8, step, key, random);
#endif
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const float moved =
          keep * to_float(x.v[i]) - rate * m[i] / (sqrtf(v[i]) * root + epsilon);
#if defined(ELEMENT_BF16)
      x.v[i] = round_randomly(moved, random[i / 2] >> (i % 2 * 16));
#else
      x.v[i] = moved;
#endif
    }
    top1 = warp_max(top1);
    top2 = warp_max(top2);
    // A block this small counts as zero, so that reciprocals are finite.
    const float least = 7.52316384526264e-37f;
    const float new1 = top1 < least ? 0.0f : top1, new2 = top2 < least ? 0.0f : top2;
    const float inverse1 = new1 > 0.0f ? 1.0f / new1 : 0.0f;
    const float inverse2 = new2 > 0.0f ? 1.0f / new2 : 0.0f;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      // -1 has no code: 255 is +1 alone.
      const bool negative = m[i] < 0.0f;
      const int rank1 = nearest<6>(fabsf(m[i]) * inverse1, maps.with_sign, negative ? 127 : 128);
      const int rank2 = nearest<7>(v[i] * inverse2, maps.without_sign, 255);
      c1.v[i] = (unsigned char)(negative ? 127 - rank1 : 127 + rank1);
      // Never zero above zero: a first moment over it would be a leap.
      c2.v[i] = (unsigned char)(rank2 == 0 && v[i] > 0.0f ? 1 : rank2);
    }
    // Every lane has read the old scales before the shuffles above.
    if (lane == 0) {
      scales1[block] = new1;
      scales2[block] = new2;
    }
    if (whole) {
      *reinterpret_cast<Codes *>(codes1 + start) = c1;
      *reinterpret_cast<Codes *>(codes2 + start) = c2;
      *reinterpret_cast<Values *>(value + start) = x;
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        if (i < count) {
          codes1[start + i] = c1.v[i];
          codes2[start + i] = c2.v[i];
          value[start + i] = x.v[i];
        }
      }
    }
  }
}
