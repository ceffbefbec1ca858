// The C kernels of the CPU backend: a thread pool and a table of SIMD kernels per instruction set.
#ifndef HERD_CKERNELS_H
#define HERD_CKERNELS_H

#include "herd_finite.h"
#include "herd_kernels.h"
#include "herd_memory.h"
#include "herd_pool.h"

#endif
