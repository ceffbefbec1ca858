#include "peers.h"

#include <cblas.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

void peer_sgemm(const float *a, const float *b, float *c, int n, int threads) {
  openblas_set_num_threads(threads);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, n, 1, a, n, b, n, 0, c, n);
  openblas_set_num_threads(1);
}

typedef struct {
  const uint64_t *start;
  size_t words;
  uint64_t sum;
} slice;

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t
sum_words(const uint64_t *words, size_t count) {
  uint64_t total = 0;
  for (size_t i = 0; i < count; i++) total += words[i];
  return total;
}

static void *read_slice(void *argument) {
  slice *part = argument;
  part->sum = sum_words(part->start, part->words);
  return NULL;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double peer_read_bandwidth(const void *memory, size_t bytes, int threads) {
  enum { LIMIT = 64 };
  if (threads > LIMIT) threads = LIMIT;
  pthread_t handles[LIMIT];
  slice parts[LIMIT];
  size_t words = bytes / 8;
  double start = now();
  for (int i = 0; i < threads; i++) {
    size_t begin = words * (size_t)i / (size_t)threads;
    size_t end = words * (size_t)(i + 1) / (size_t)threads;
    parts[i] = (slice){(const uint64_t *)memory + begin, end - begin, 0};
    pthread_create(&handles[i], NULL, read_slice, &parts[i]);
  }
  volatile uint64_t sink = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(handles[i], NULL);
    sink += parts[i].sum;
  }
  return (double)bytes / (now() - start);
}
