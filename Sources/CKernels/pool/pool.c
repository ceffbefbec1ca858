#define _GNU_SOURCE
#include "herd_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

// About 20 microseconds: long enough to bridge the glue between two operations of a training step.
enum { SPIN_LIMIT = 4000 };

struct hk_pool {
  int workers;
  pthread_t *threads;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  atomic_long generation;
  atomic_int stopping;
  atomic_int busy;
  atomic_long next;
  long count;
  void (*body)(void *, long);
  void *context;
};

static _Thread_local int inside_task = 0;

static void drain(hk_pool *pool) {
  inside_task = 1;
  for (;;) {
    long index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (index >= pool->count) break;
    pool->body(pool->context, index);
  }
  inside_task = 0;
}

static void *work(void *argument) {
  hk_pool *pool = argument;
  long seen = 0;
  for (;;) {
    int spins = 0;
    while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen) {
      if (++spins < SPIN_LIMIT) {
        PAUSE();
        continue;
      }
      pthread_mutex_lock(&pool->mutex);
      while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
      pthread_mutex_unlock(&pool->mutex);
    }
    seen = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (atomic_load_explicit(&pool->stopping, memory_order_acquire)) return NULL;
    drain(pool);
    atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_acq_rel);
  }
}

hk_pool *hk_pool_create(int threads) {
  hk_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return NULL;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  int wanted = threads > 1 ? threads - 1 : 0;
  pool->threads = calloc((size_t)wanted + 1, sizeof *pool->threads);
  if (!pool->threads) {
    free(pool);
    return NULL;
  }
  while (pool->workers < wanted &&
         pthread_create(&pool->threads[pool->workers], NULL, work, pool) == 0)
    pool->workers++;
  return pool;
}

static void wake_workers(hk_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
}

void hk_pool_destroy(hk_pool *pool) {
  if (!pool) return;
  atomic_store_explicit(&pool->stopping, 1, memory_order_release);
  wake_workers(pool);
  for (int i = 0; i < pool->workers; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->threads);
  free(pool);
}

void hk_pool_run(hk_pool *pool, long count, void (*body)(void *, long), void *context) {
  if (count <= 0) return;
  if (inside_task || count == 1 || pool->workers == 0) {
    for (long i = 0; i < count; i++) body(context, i);
    return;
  }
  pool->body = body;
  pool->context = context;
  pool->count = count;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->busy, pool->workers, memory_order_release);
  wake_workers(pool);
  drain(pool);
  while (atomic_load_explicit(&pool->busy, memory_order_acquire) > 0) PAUSE();
}

int hk_available_cores(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return 1;
}
