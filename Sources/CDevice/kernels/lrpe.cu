// The linearised relative position encoding: every channel becomes its products with the cosine and
// the sine of position · theta.
#include "sine_cosine.cuh"

__device__ __forceinline__ void turn(float theta, int position, float &sine, float &cosine) {
  const float angle = (float)position * theta;
  double s, c;
  sine_cosine((double)angle, s, c);
  sine = (float)s, cosine = (float)c;
}

// The head of a row that channel `index` of x belongs to, counted over all rows, its place in it, and its
// angle; shared theta has one row for all heads.
__device__ __forceinline__ i64 turn_of(i64 index, const float *theta, const int *positions, int heads,
                                       int dim, int shared, int &channel, float &sine,
                                       float &cosine) {
  const i64 run = index / dim, row = run / heads;
  const int head = (int)(run - row * heads);
  channel = (int)(index - run * dim);
  turn(theta[(shared ? 0 : head * dim) + channel], positions[row], sine, cosine);
  return run;
}

// A thread per channel of x.
extern "C" __global__ void __launch_bounds__(256) lrpe_forward(
    const T *x, const float *theta, const int *positions, T *y, i64 n, int heads, int dim,
    int shared) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= n) return;
  int channel;
  float sine, cosine;
  const i64 run = turn_of(index, theta, positions, heads, dim, shared, channel, sine, cosine);
  const float value = load(x + index);
  store(y + run * 2 * dim + channel, value * cosine);
  store(y + (run * 2 + 1) * dim + channel, value * sine);
}

extern "C" __global__ void __launch_bounds__(256) lrpe_backward(
    const T *dy, const float *theta, const int *positions, T *dx, i64 n, int heads, int dim,
    int shared) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= n) return;
  int channel;
  float sine, cosine;
  const i64 run = turn_of(index, theta, positions, heads, dim, shared, channel, sine, cosine);
  store(dx + index, load(dy + run * 2 * dim + channel) * cosine +
                        load(dy + (run * 2 + 1) * dim + channel) * sine);
}

// One block per angle: it sums over the rows, and over the heads that share it.
extern "C" __global__ void __launch_bounds__(256) lrpe_theta(
    const T *dy, const T *x, const float *theta, const int *positions, float *dtheta, i64 rows,
    int heads, int dim, int shared) {
  const int channel = blockIdx.x % dim;
  const int first = shared ? 0 : blockIdx.x / dim, count = shared ? heads : 1;
  float total = 0.0f;
  for (i64 row = threadIdx.x; row < rows; row += 256) {
    float sine, cosine;
    turn(theta[blockIdx.x], positions[row], sine, cosine);
    float sum = 0.0f;
    for (int h = first; h < first + count; h++) {
      const i64 run = row * heads + h;
      sum += load(x + run * dim + channel) * (load(dy + (run * 2 + 1) * dim + channel) * cosine -
                                              load(dy + run * 2 * dim + channel) * sine);
    }
    total += (float)positions[row] * sum;
  }
  total = block_sum(total);
  if (threadIdx.x == 0) dtheta[blockIdx.x] = total;
}
