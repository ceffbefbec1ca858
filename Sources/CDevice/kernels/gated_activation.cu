// Elementwise functions, alone or as the gate of something; KIND counts as Activation.allCases does.
#include "element.cuh"

__device__ __forceinline__ void value_and_slope(int kind, float x, float &value, float &slope) {
  const float s = 1.0f / (1.0f + expf(-x)), e = expf(fminf(x, 0.0f));
  switch (kind) {
    case 1:
      value = x * s, slope = s * (1.0f + x * (1.0f - s));
      break;
    case 2:
      value = fmaxf(x, 0.0f), slope = x > 0.0f ? 1.0f : 0.0f;
      break;
    case 3:
      value = s, slope = s * (1.0f - s);
      break;
    case 4:
      value = x > 0.0f ? x : e - 1.0f, slope = x > 0.0f ? 1.0f : e;
      break;
    case 5:
      value = x > 0.0f ? x + 1.0f : e, slope = x > 0.0f ? 1.0f : e;
      break;
    case 6:
      value = x > 0.0f ? x * x : 0.0f, slope = x > 0.0f ? 2.0f * x : 0.0f;
      break;
    case 7:
      value = x * x, slope = 2.0f * x;
      break;
    default:
      value = x, slope = 1.0f;
  }
}

// y = activation(gate) · up; a null up counts as 1.
extern "C" __global__ void __launch_bounds__(256) gated_forward(
    const T *gate, const T *up, T *y, i64 n, int kind) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC;
  if (start >= n) return;
  float value, slope;
  if (start + VEC <= n && aligned(gate) && aligned(up) && aligned(y)) {
    const Vec g = load_vec(gate + start);
    Vec u, out;
    if (up) u = load_vec(up + start);
#pragma unroll
    for (int j = 0; j < VEC; j++) {
      value_and_slope(kind, to_float(g.v[j]), value, slope);
      out.v[j] = from_float(up ? value * to_float(u.v[j]) : value);
    }
    store_vec(y + start, out);
  } else {
    const i64 end = min(n, start + VEC);
    for (i64 i = start; i < end; i++) {
      value_and_slope(kind, load(gate + i), value, slope);
      store(y + i, up ? value * load(up + i) : value);
    }
  }
}

// dgate and dup may be null.
extern "C" __global__ void __launch_bounds__(256) gated_backward(
    const T *dy, const T *gate, const T *up, T *dgate, T *dup, i64 n, int kind) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC;
  if (start >= n) return;
  float value, slope;
  if (start + VEC <= n && aligned(dy) && aligned(gate) && aligned(up) && aligned(dgate) &&
      aligned(dup)) {
    const Vec d = load_vec(dy + start), g = load_vec(gate + start);
    Vec u, p, q;
    if (up) u = load_vec(up + start);
#pragma unroll
    for (int j = 0; j < VEC; j++) {
      value_and_slope(kind, to_float(g.v[j]), value, slope);
      const float dj = to_float(d.v[j]);
      p.v[j] = from_float(dj * slope * (up ? to_float(u.v[j]) : 1.0f));
      q.v[j] = from_float(dj * value);
    }
    if (dgate) store_vec(dgate + start, p);
    if (dup) store_vec(dup + start, q);
  } else {
    const i64 end = min(n, start + VEC);
    for (i64 i = start; i < end; i++) {
      value_and_slope(kind, load(gate + i), value, slope);
      const float dj = load(dy + i), u = up ? load(up + i) : 1.0f;
      if (dgate) store(dgate + i, dj * slope * u);
      if (dup) store(dup + i, dj * value);
    }
  }
}
