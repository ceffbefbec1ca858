#define _GNU_SOURCE
#include "herd_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

// About 20 microseconds: long enough to bridge the glue between two operations of a training step.
enum { SPIN_LIMIT = 4000 };

// A run's tasks are handed out through `ticket`: the run's number in the upper half, the next index
// in the lower. Taking a task is one compare-and-swap, so a worker that wakes late can never take a
// task of a run that is over, and the caller waits for tasks that were taken, not for workers: where
// a worker gets no processor, the caller does the work alone.
struct hk_pool {
  int workers;
  pthread_t *threads;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  atomic_int sleeping;
  atomic_int stopping;
  _Alignas(64) atomic_uint_fast64_t ticket;
  _Alignas(64) atomic_long finished;
  _Alignas(64) atomic_long count;
  _Atomic(void (*)(void *, long)) body;
  _Atomic(void *) context;
};

#define RUN_OF(ticket) ((ticket) >> 32)
#define INDEX_OF(ticket) ((long)((ticket) & 0xffffffffu))
// An index no run reaches: the run is being set up and gives out nothing yet.
#define CLOSED 0xffffffffu

static _Thread_local int inside_task = 0;

// Takes and runs tasks until none is left to take.
static void drain(hk_pool *pool) {
  inside_task = 1;
  for (;;) {
    uint_fast64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    long index = INDEX_OF(ticket);
    if (index >= atomic_load_explicit(&pool->count, memory_order_relaxed)) break;
    if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1,
                                               memory_order_acq_rel, memory_order_relaxed))
      continue;
    // The run cannot end before this task is counted, so its body and context are still those.
    void (*body)(void *, long) = atomic_load_explicit(&pool->body, memory_order_relaxed);
    body(atomic_load_explicit(&pool->context, memory_order_relaxed), index);
    atomic_fetch_add_explicit(&pool->finished, 1, memory_order_release);
  }
  inside_task = 0;
}

static int has_news(hk_pool *pool, uint_fast64_t seen) {
  uint_fast64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
  return (RUN_OF(ticket) != seen && INDEX_OF(ticket) != CLOSED) ||
         atomic_load_explicit(&pool->stopping, memory_order_acquire);
}

static void *work(void *argument) {
  hk_pool *pool = argument;
  uint_fast64_t seen = 0;
  for (;;) {
    for (int spins = 0; !has_news(pool, seen); spins++) {
      if (spins < SPIN_LIMIT) {
        PAUSE();
        continue;
      }
      pthread_mutex_lock(&pool->mutex);
      atomic_fetch_add_explicit(&pool->sleeping, 1, memory_order_seq_cst);
      // Pairs with the fence in wake_workers: an acquire load alone may move above the addition.
      atomic_thread_fence(memory_order_seq_cst);
      while (!has_news(pool, seen)) pthread_cond_wait(&pool->wake, &pool->mutex);
      atomic_fetch_sub_explicit(&pool->sleeping, 1, memory_order_seq_cst);
      pthread_mutex_unlock(&pool->mutex);
    }
    if (atomic_load_explicit(&pool->stopping, memory_order_acquire)) return NULL;
    seen = RUN_OF(atomic_load_explicit(&pool->ticket, memory_order_acquire));
    drain(pool);
  }
}

hk_pool *hk_pool_create(int threads) {
  hk_pool *pool = NULL;
  if (posix_memalign((void **)&pool, 64, sizeof *pool) != 0) return NULL;
  memset(pool, 0, sizeof *pool);
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
  // Both sides have a full fence between their write and their read: either a worker about to sleep
  // sees the news, or it is seen here as sleeping.
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load_explicit(&pool->sleeping, memory_order_seq_cst) == 0) return;
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
}

void hk_pool_destroy(hk_pool *pool) {
  if (!pool) return;
  atomic_store_explicit(&pool->stopping, 1, memory_order_seq_cst);
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
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
  uint_fast64_t run = (RUN_OF(atomic_load_explicit(&pool->ticket, memory_order_relaxed)) + 1)
                      & 0xffffffffu;
  atomic_store_explicit(&pool->ticket, run << 32 | CLOSED, memory_order_seq_cst);
  atomic_store_explicit(&pool->body, body, memory_order_relaxed);
  atomic_store_explicit(&pool->context, context, memory_order_relaxed);
  atomic_store_explicit(&pool->count, count, memory_order_relaxed);
  atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->ticket, run << 32, memory_order_seq_cst);
  wake_workers(pool);
  drain(pool);
  for (long spins = 0; atomic_load_explicit(&pool->finished, memory_order_acquire) < count; spins++) {
    PAUSE();
    // A taken task whose thread lost its processor: give ours away instead of burning it.
    if (spins > SPIN_LIMIT) sched_yield();
  }
}

#if defined(__linux__)
// The processors a container may use at once by its cgroup's quota, rounded up; 0 where there is none.
static int quota_cores(void) {
  long long quota = 0, period = 0;
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (!file) return 0;
  int found = fscanf(file, "%lld %lld", &quota, &period);
  fclose(file);
  if (found != 2 || quota <= 0 || period <= 0) return 0;
  return (int)((quota + period - 1) / period);
}
#endif

int hk_available_cores(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    int cores = CPU_COUNT(&set), quota = quota_cores();
    return quota > 0 && quota < cores ? quota : cores;
  }
#endif
  return 1;
}
