// Indicator matrices: a value in the named columns of each row, 0 elsewhere.
#include "element.cuh"

// One thread per entry of y, [n / columns, columns]; k names a row.
extern "C" __global__ void __launch_bounds__(256) indicator(
    const int *names, float value, float *y, i64 n, int k, int columns) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const i64 row = i / columns;
  const int column = (int)(i - row * columns);
  bool named = false;
  for (int j = 0; j < k; j++) named |= names[row * k + j] == column;
  y[i] = named ? value : 0.0f;
}
