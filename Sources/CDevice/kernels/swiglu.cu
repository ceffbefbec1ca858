// The gated activation silu(gate) · up (Shazeer 2020), elementwise.
#include "element.cuh"

__device__ __forceinline__ float sigmoid(float x) {
#if defined(ELEMENT_BF16)
  // Far more exact than the rounding of the result; the exact functions would bound the kernel.
  return __fdividef(1.0f, 1.0f + __expf(-x));
#else
  return 1.0f / (1.0f + expf(-x));
#endif
}

// Every thread owns VEC consecutive elements.
extern "C" __global__ void __launch_bounds__(256) swiglu_forward(
    const T *gate, const T *up, T *y, i64 n) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC;
  if (start >= n) return;
  if (start + VEC <= n && aligned(gate) && aligned(up) && aligned(y)) {
    const Vec g = load_vec(gate + start), u = load_vec(up + start);
    Vec out;
#pragma unroll
    for (int j = 0; j < VEC; j++) {
      const float x = to_float(g.v[j]);
      out.v[j] = from_float(x * sigmoid(x) * to_float(u.v[j]));
    }
    store_vec(y + start, out);
  } else {
    const i64 end = min(n, start + VEC);
    for (i64 i = start; i < end; i++) {
      const float x = load(gate + i);
      store(y + i, x * sigmoid(x) * load(up + i));
    }
  }
}

__device__ __forceinline__ void gradients(float dy, float gate, float up, float &dgate,
                                          float &dup) {
  const float s = sigmoid(gate);
  dgate = dy * up * (s * (1.0f + gate * (1.0f - s)));
  dup = dy * (gate * s);
}

// dgate and dup may be null; each is added to or written.
extern "C" __global__ void __launch_bounds__(256) swiglu_backward(
    const T *dy, const T *gate, const T *up, T *dgate, T *dup, i64 n, int accumulate_gate,
    int accumulate_up) {
  const i64 start = ((i64)blockIdx.x * 256 + threadIdx.x) * VEC;
  if (start >= n) return;
  const bool vector = start + VEC <= n && aligned(dy) && aligned(gate) && aligned(up) &&
                      aligned(dgate) && aligned(dup);
  if (vector) {
    const Vec d = load_vec(dy + start), g = load_vec(gate + start), u = load_vec(up + start);
    Vec p, q;
    if (dgate && accumulate_gate) p = load_vec(dgate + start);
    if (dup && accumulate_up) q = load_vec(dup + start);
#pragma unroll
    for (int j = 0; j < VEC; j++) {
      float a, b;
      gradients(to_float(d.v[j]), to_float(g.v[j]), to_float(u.v[j]), a, b);
      p.v[j] = from_float(dgate && accumulate_gate ? to_float(p.v[j]) + a : a);
      q.v[j] = from_float(dup && accumulate_up ? to_float(q.v[j]) + b : b);
    }
    if (dgate) store_vec(dgate + start, p);
    if (dup) store_vec(dup + start, q);
  } else {
    const i64 end = min(n, start + VEC);
    for (i64 i = start; i < end; i++) {
      float a, b;
      gradients(load(dy + i), load(gate + i), load(up + i), a, b);
      if (dgate) store(dgate + i, accumulate_gate ? load(dgate + i) + a : a);
      if (dup) store(dup + i, accumulate_up ? load(dup + i) + b : b);
    }
  }
}
