#include "herd_kernels.h"

extern const hk_kernels hk_table_f32_scalar;
extern const hk_kernels hk_table_f64_scalar;
#if defined(__x86_64__)
extern const hk_kernels hk_table_f32_avx2;
extern const hk_kernels hk_table_f32_avx512;
#endif

hk_isa hk_best_isa(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return HK_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c"))
    return HK_AVX2;
#endif
  return HK_SCALAR;
}

const hk_kernels *hk_kernels_f32(hk_isa isa) {
  if (isa > hk_best_isa()) return 0;
#if defined(__x86_64__)
  if (isa == HK_AVX512) return &hk_table_f32_avx512;
  if (isa == HK_AVX2) return &hk_table_f32_avx2;
#endif
  return &hk_table_f32_scalar;
}

const hk_kernels *hk_kernels_f64(void) { return &hk_table_f64_scalar; }
