#ifndef HERD_COPENBLAS_H
#define HERD_COPENBLAS_H
#include <cblas.h>

// LAPACK's Cholesky factorisation and solution, which OpenBLAS carries (Fortran calling convention).
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda,
             double *b, const int *ldb, int *info);
#endif
