// The parts of a mixture of experts between its products: sums over a token's experts and over the
// parts of the routing weights' gradients, always in the same order, and weights in another type.
#include "element.cuh"

// y_t (+)= Σ_k part[t K + k]: a grid-stride loop over runs of VEC values when `vector`.
extern "C" __global__ __launch_bounds__(256) void combine_slots(const T *part, T *y, i64 count,
                                                                int top_k, int model,
                                                                int accumulate, int vector) {
  const i64 step = (i64)gridDim.x * blockDim.x;
  const i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (vector) {
    const int runs = model / VEC;
    for (i64 i = first; i < count / VEC; i += step) {
      const i64 token = i / runs, column = (i - token * runs) * VEC;
      const T *from = part + token * top_k * model + column;
      float sum[VEC];
#pragma unroll
      for (int v = 0; v < VEC; v++) sum[v] = 0;
      for (int k = 0; k < top_k; k++) {
        const Vec x = load_vec(from + (i64)k * model);
#pragma unroll
        for (int v = 0; v < VEC; v++) sum[v] += to_float(x.v[v]);
      }
      T *to = y + i * VEC;
      Vec out;
      if (accumulate) {
        const Vec old = load_vec(to);
#pragma unroll
        for (int v = 0; v < VEC; v++) sum[v] += to_float(old.v[v]);
      }
#pragma unroll
      for (int v = 0; v < VEC; v++) out.v[v] = from_float(sum[v]);
      store_vec(to, out);
    }
  } else {
    for (i64 i = first; i < count; i += step) {
      const i64 token = i / model, column = i - token * model;
      float sum = 0;
      for (int k = 0; k < top_k; k++) sum += load(part + (token * top_k + k) * model + column);
      store(y + i, accumulate ? load(y + i) + sum : sum);
    }
  }
}

// gradient[order[p]] (+)= Σ_j sums[p, j]: a thread per position that an expert has.
extern "C" __global__ __launch_bounds__(256) void sum_weight_gradients(const float *sums,
                                                                       const int *order,
                                                                       const int *offsets,
                                                                       int experts,
                                                                       float *gradient, int slots,
                                                                       int parts, int accumulate) {
  const int position = blockIdx.x * blockDim.x + threadIdx.x;
  if (position >= min(slots, offsets[experts])) return;
  float sum = 0;
  for (int j = 0; j < parts; j++) sum += sums[(i64)position * parts + j];
  float *to = gradient + order[position];
  *to = accumulate ? *to + sum : sum;
}
