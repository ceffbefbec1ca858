#include "herd_finite.h"

// Whole blocks are tested without branches, which vectorises; only a bad block is searched.
#define FIRST_NONFINITE(name, type, mask)               \
  long name(const type *bits, long n) {                 \
    for (long start = 0; start < n; start += 4096) {    \
      long end = start + 4096 < n ? start + 4096 : n;   \
      int bad = 0;                                      \
      for (long i = start; i < end; i++) bad |= (bits[i] & (mask)) == (mask); \
      if (!bad) continue;                               \
      for (long i = start; i < end; i++)                \
        if ((bits[i] & (mask)) == (mask)) return i;     \
    }                                                   \
    return -1;                                          \
  }

FIRST_NONFINITE(hk_first_nonfinite_bf16, uint16_t, (uint16_t)0x7f80)
FIRST_NONFINITE(hk_first_nonfinite_f16, uint16_t, (uint16_t)0x7c00)
FIRST_NONFINITE(hk_first_nonfinite_f32, uint32_t, 0x7f800000u)
FIRST_NONFINITE(hk_first_nonfinite_f64, uint64_t, 0x7ff0000000000000ull)
