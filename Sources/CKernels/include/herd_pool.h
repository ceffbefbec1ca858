// A persistent pool of worker threads that spin briefly and then park.
#ifndef HERD_POOL_H
#define HERD_POOL_H

typedef struct hk_pool hk_pool;

// Creates a pool that runs `threads` tasks at a time, the calling thread included. NULL when out of memory.
hk_pool *hk_pool_create(int threads);

// Stops and joins the workers and frees the pool.
void hk_pool_destroy(hk_pool *pool);

// Calls `body(context, index)` once for every index in 0..<count and returns when all calls returned.
// Indices are handed out in order to whichever thread is free. A call from inside a task runs inline.
void hk_pool_run(hk_pool *pool, long count, void (*body)(void *context, long index), void *context);

// Cores this process may run on.
int hk_available_cores(void);

#endif
