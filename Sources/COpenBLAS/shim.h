#ifndef HERD_COPENBLAS_H
#define HERD_COPENBLAS_H
#include <cblas.h>
#endif
