#if defined(__x86_64__)
#include <math.h>
#include <stdint.h>

#include "herd_kernels.h"

#define REAL float
#define IS_DOUBLE 0
#define VARIANT f32_avx512
#define FAST 1
#define VECTOR_BYTES 64

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2"))), apply_to = function)
#include "../template/table.h"
#pragma clang attribute pop
#endif
