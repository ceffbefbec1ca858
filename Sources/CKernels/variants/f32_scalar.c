#include <math.h>
#include <stdint.h>

#include "herd_kernels.h"

#define REAL float
#define IS_DOUBLE 0
#define VARIANT f32_scalar
#define FAST 0
#define VECTOR_BYTES 16

#include "../template/table.h"
