// Cross-entropy and Kullback-Leibler divergence of rows of logits, with their gradients in place.
//
// One block per row, two passes over it: maxima and sums at once, rescaled whenever the maximum
// grows (Milakov and Gimelshein 2018), then the gradient. A thread adds up a vector in float, its
// vectors in double.
#include "element.cuh"

__device__ __forceinline__ float exponential(float x) {
#if defined(ELEMENT_BF16)
  return __expf(x);
#else
  return expf(x);
#endif
}

// Finite, so that a row may begin with any number of minus infinities.
constexpr float LOWEST = -3.0e38f;

// What a thread knows of its part of the row. With q = exp(teacher - teacher_top):
// cross = Σ q · (teacher - student - shift); a shift near the rows' usual distance keeps it small.
struct Sums {
  float top = LOWEST, teacher_top = LOWEST, shift = 0.0f;
  double total = 0.0, teacher_total = 0.0, cross = 0.0;

  template <int N, bool TEACHER>
  __device__ __forceinline__ void add(const float *l, const float *s) {
    float largest = l[0];
#pragma unroll
    for (int j = 1; j < N; j++) largest = fmaxf(largest, l[j]);
    if (largest > top) {
      total *= (double)exponential(top - largest);
      top = largest;
    }
    float part = 0.0f;
#pragma unroll
    for (int j = 0; j < N; j++) part += exponential(l[j] - top);
    total += (double)part;
    if (!TEACHER) return;
    largest = s[0];
#pragma unroll
    for (int j = 1; j < N; j++) largest = fmaxf(largest, s[j]);
    if (largest > teacher_top) {
      const double factor = (double)exponential(teacher_top - largest);
      teacher_total *= factor;
      cross *= factor;
      teacher_top = largest;
    }
    float teacher_part = 0.0f, cross_part = 0.0f;
#pragma unroll
    for (int j = 0; j < N; j++) {
      const float q = exponential(s[j] - teacher_top);
      teacher_part += q;
      cross_part += q * (s[j] - l[j] - shift);
    }
    teacher_total += (double)teacher_part;
    cross += (double)cross_part;
  }
};

__device__ __forceinline__ void widen(const Vec &v, float *out) {
#pragma unroll
  for (int j = 0; j < VEC; j++) out[j] = to_float(v.v[j]);
}

template <bool TEACHER>
__device__ __forceinline__ void row(
    T *l, const T *s, int target, const float *ce_weight, const float *kl_weight, float ce_share,
    float kl_share, float *ce, float *kl, int columns, bool vector) {
  const int threads = blockDim.x;
  const bool has_target = target >= 0 && target < columns;
  const float target_logit = has_target ? load(l + target) : 0.0f;
  Sums sums;
  if (TEACHER) {
    const float distance = load(s) - load(l);
    if (fabsf(distance) < 1.0e30f) sums.shift = distance;
  }
  if (vector) {
    const int vectors = columns / VEC;
    for (int i = threadIdx.x; i < vectors; i += 2 * threads) {
      // Two at a time keeps more loads under way.
      const int next = i + threads;
      const Vec a = load_vec(l + (i64)i * VEC);
      Vec b, c, d;
      if (TEACHER) c = load_vec(s + (i64)i * VEC);
      if (next < vectors) {
        b = load_vec(l + (i64)next * VEC);
        if (TEACHER) d = load_vec(s + (i64)next * VEC);
      }
      float x[VEC], y[VEC];
      widen(a, x);
      if (TEACHER) widen(c, y);
      sums.add<VEC, TEACHER>(x, y);
      if (next < vectors) {
        widen(b, x);
        if (TEACHER) widen(d, y);
        sums.add<VEC, TEACHER>(x, y);
      }
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += threads) {
      const float x = load(l + i), y = TEACHER ? load(s + i) : 0.0f;
      sums.add<1, TEACHER>(&x, &y);
    }
  }

  const float top = block_max(sums.top);
  const double total = block_sum_double(sums.total * (double)exponential(sums.top - top));
  float teacher_top = 0.0f;
  double teacher_total = 1.0, cross = 0.0;
  if (TEACHER) {
    teacher_top = block_max(sums.teacher_top);
    const double factor = (double)exponential(sums.teacher_top - teacher_top);
    teacher_total = block_sum_double(sums.teacher_total * factor);
    cross = block_sum_double(sums.cross * factor);
  }
  if (threadIdx.x == 0) {
    *ce = has_target ? (float)(log(total) - ((double)target_logit - (double)top)) : 0.0f;
    if (TEACHER)
      *kl = (float)(cross / teacher_total + (double)sums.shift - (double)teacher_top + (double)top -
                    log(teacher_total) + log(total));
  }
  if (!ce_weight) return;

  const float towards = has_target ? (float)((double)*ce_weight * ce_share) : 0.0f;
  const double taught = TEACHER ? (double)*kl_weight * kl_share : 0.0;
  const float student = (float)(((double)towards + taught) / total);
  const float pull = TEACHER ? (float)(taught / teacher_total) : 0.0f;
  const int hit = has_target ? target : -1;
  if (vector) {
#pragma unroll 2
    for (int i = threadIdx.x; i < columns / VEC; i += threads) {
      float x[VEC], y[VEC];
      widen(load_vec(l + (i64)i * VEC), x);
      if (TEACHER) widen(load_vec(s + (i64)i * VEC), y);
      const int at = hit - i * VEC;
      Vec out;
#pragma unroll
      for (int j = 0; j < VEC; j++) {
        float d = student * exponential(x[j] - top);
        if (TEACHER) d -= pull * exponential(y[j] - teacher_top);
        out.v[j] = from_float(j == at ? d - towards : d);
      }
      store_vec(l + (i64)i * VEC, out);
    }
  } else {
    for (int i = threadIdx.x; i < columns; i += threads) {
      float d = student * exponential(load(l + i) - top);
      if (TEACHER) d -= pull * exponential(load(s + i) - teacher_top);
      store(l + i, i == hit ? d - towards : d);
    }
  }
}

// kl is null without a teacher. With weights (one of each per row) the logits become the gradient of
// Σ ce_share · ce_weight · ce + kl_share · kl_weight · kl; without they stay.
extern "C" __global__ void __launch_bounds__(512, 2) cross_entropy_rows(
    T *logits, const int *targets, const float *weights, float ce_share, float *ce, int columns) {
  const i64 r = blockIdx.x;
  row<false>(logits + r * columns, nullptr, targets[r], weights ? weights + r : nullptr, nullptr,
             ce_share, 0.0f, ce + r, nullptr, columns, columns % VEC == 0 && aligned(logits));
}

extern "C" __global__ void __launch_bounds__(512, 2) cross_entropy_rows_with_teacher(
    T *logits, const T *teacher, const int *targets, const float *ce_weights,
    const float *kl_weights, float ce_share, float kl_share, float *ce, float *kl, int columns) {
  const i64 r = blockIdx.x;
  row<true>(logits + r * columns, teacher + r * columns, targets[r],
            ce_weights ? ce_weights + r : nullptr, kl_weights ? kl_weights + r : nullptr, ce_share,
            kl_share, ce + r, kl + r, columns,
            columns % VEC == 0 && aligned(logits) && aligned(teacher));
}

// total = Σ ce_share · ce_weight · ce + kl_share · kl_weight · kl in double; one block.
extern "C" __global__ void __launch_bounds__(1024) weighted_loss_total(
    const float *ce, const float *kl, const float *ce_weights, const float *kl_weights,
    float ce_share, float kl_share, float *total, i64 n) {
  double ce_sum = 0.0, kl_sum = 0.0;
  for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
    ce_sum += (double)ce_weights[i] * (double)ce[i];
    if (kl) kl_sum += (double)kl_weights[i] * (double)kl[i];
  }
  ce_sum = block_sum_double(ce_sum);
  kl_sum = block_sum_double(kl_sum);
  if (threadIdx.x == 0)
    *total = (float)((double)ce_share * ce_sum + (kl ? (double)kl_share * kl_sum : 0.0));
}
