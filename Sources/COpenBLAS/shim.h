#ifndef HERD_COPENBLAS_H
#define HERD_COPENBLAS_H
#include <cblas.h>

// LAPACK's Cholesky factorisation and solution, which OpenBLAS carries (Fortran calling convention).
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda,
             double *b, const int *ldb, int *info);
// LAPACK's eigenvalues and vectors of a symmetric matrix.
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info);
#endif
