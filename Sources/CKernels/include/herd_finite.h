// Finding NaN and infinity in stored weights.
#ifndef HERD_FINITE_H
#define HERD_FINITE_H

#include <stdint.h>

// Index of the first element whose exponent bits are all ones, or -1. Each works on raw bits, so
// the data needs no alignment beyond its element size.
long hk_first_nonfinite_bf16(const uint16_t *bits, long n);
long hk_first_nonfinite_f16(const uint16_t *bits, long n);
long hk_first_nonfinite_f32(const uint32_t *bits, long n);
long hk_first_nonfinite_f64(const uint64_t *bits, long n);

#endif
