// Rows with zeros behind them, and sums of such rows back without the zeros: experts whose width is
// no multiple of eight for the products on tensor cores.
//
// A matrix of `rows` rows has `columns` values a row; the padded one has `padded`. One thread per
// value of the padded matrix.
#include "element.cuh"

extern "C" __global__ void __launch_bounds__(256)
    pad_rows(const T *x, T *y, i64 count, i64 columns, i64 padded) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= count) return;
  const i64 row = i / padded, column = i - row * padded;
  store(y + i, column < columns ? load(x + row * columns + column) : 0.0f);
}

// y (+)= x without the padding; always float.
extern "C" __global__ void __launch_bounds__(256)
    unpad_rows(const float *x, float *y, i64 count, i64 columns, i64 padded, int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= count) return;
  const i64 row = i / padded, column = i - row * padded;
  if (column >= columns) return;
  const i64 to = row * columns + column;
  y[to] = accumulate ? y[to] + x[i] : x[i];
}
