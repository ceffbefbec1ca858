// Load balance (Fedus et al. 2021, eq. 4), router z-loss (Zoph et al. 2022, eq. 5) and the update
// of the selection bias (Wang et al. 2024). All in float.
#include "element.cuh"

__device__ __forceinline__ float slot_share(int count, int slots) {
  return (float)((double)count / (double)max(1, slots));
}

// partial[block] = Σ p_te · counts_e / slots over the block's tokens, a warp each at a time.
// Dynamic shared memory: one float per expert.
extern "C" __global__ void __launch_bounds__(256) load_balance_partial(
    const float *probabilities, const int *counts, double *partial, i64 rows, int experts,
    int slots) {
  extern __shared__ float shares[];
  for (int e = threadIdx.x; e < experts; e += 256) shares[e] = slot_share(counts[e], slots);
  __syncthreads();
  const int lane = threadIdx.x & 31;
  double sum = 0.0;
  for (i64 r = (i64)blockIdx.x * 8 + (threadIdx.x >> 5); r < rows; r += (i64)gridDim.x * 8)
    for (int e = lane; e < experts; e += 32)
      sum += (double)probabilities[r * experts + e] * (double)shares[e];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// loss = E / T · Σ partial; one block.
extern "C" __global__ void __launch_bounds__(256) load_balance_finish(
    const double *partial, int parts, i64 rows, int experts, float *loss) {
  double sum = 0.0;
  for (int p = threadIdx.x; p < parts; p += 256) sum += partial[p];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) *loss = (float)(sum * (double)experts / (double)max((i64)1, rows));
}

// dprobabilities (+)= upstream · E · counts / slots / T; one thread per element.
extern "C" __global__ void __launch_bounds__(256) load_balance_backward(
    const float *upstream, const int *counts, int slots, float *dprobabilities, i64 rows,
    int experts, int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * experts) return;
  const float slope = *upstream * ((float)experts / (float)rows) *
                      slot_share(counts[i % experts], slots);
  dprobabilities[i] = accumulate ? dprobabilities[i] + slope : slope;
}

// The log-sum-exp of each row; a warp per row.
extern "C" __global__ void __launch_bounds__(256) log_sum_exp(
    const float *logits, float *lse, i64 rows, int experts) {
  const i64 r = (i64)blockIdx.x * 8 + (threadIdx.x >> 5);
  const int lane = threadIdx.x & 31;
  if (r >= rows) return;
  const float *x = logits + r * experts;
  float top = -__int_as_float(0x7f800000);
  for (int e = lane; e < experts; e += 32) top = fmaxf(top, x[e]);
  top = warp_max(top);
  float total = 0.0f;
  for (int e = lane; e < experts; e += 32) total += expf(x[e] - top);
  total = warp_sum(total);
  if (lane == 0) lse[r] = top + logf(total);
}

// loss = mean(lse²); one block.
extern "C" __global__ void __launch_bounds__(1024) mean_square(
    const float *lse, float *loss, i64 rows) {
  double sum = 0.0;
  for (i64 i = threadIdx.x; i < rows; i += 1024) sum += (double)lse[i] * (double)lse[i];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) *loss = (float)(sum / (double)max((i64)1, rows));
}

// dlogits (+)= upstream · 2 / T · lse · softmax(logits); one thread per element.
extern "C" __global__ void __launch_bounds__(256) z_loss_backward(
    const float *upstream, const float *logits, const float *lse, float *dlogits, i64 rows,
    int experts, int accumulate) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * experts) return;
  const float offset = lse[i / experts];
  const float d = 2.0f * *upstream / (float)rows * offset * expf(logits[i] - offset);
  dlogits[i] = accumulate ? dlogits[i] + d : d;
}

// bias += rate · sign(mean(counts) - counts); one block. Compared as integers, count · E with the
// total, so that equality is exact.
extern "C" __global__ void __launch_bounds__(256) update_selection_bias(
    float *bias, const int *counts, float rate, int experts) {
  __shared__ unsigned long long total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  unsigned long long sum = 0;
  for (int e = threadIdx.x; e < experts; e += 256) sum += counts[e];
  atomicAdd(&total, sum);
  __syncthreads();
  for (int e = threadIdx.x; e < experts; e += 256) {
    const i64 excess = (i64)total - (i64)counts[e] * experts;
    bias[e] += rate * (float)((excess > 0) - (excess < 0));
  }
}
