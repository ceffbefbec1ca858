#include <math.h>
#include <stdint.h>

#include "herd_kernels.h"

#define REAL double
#define IS_DOUBLE 1
#define VARIANT f64_scalar
#define FAST 0
#define VECTOR_BYTES 16

#include "../template/table.h"
