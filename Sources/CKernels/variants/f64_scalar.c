#include <math.h>
#include <stdint.h>

#include "herd_kernels.h"

#define REAL double
#define IS_DOUBLE 1
#define VARIANT f64_scalar
#define FAST 0

#include "../template/table.h"
