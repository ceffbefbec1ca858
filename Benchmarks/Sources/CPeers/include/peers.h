// What herd's own code is measured against on the CPU.
#ifndef HERD_BENCH_PEERS_H
#define HERD_BENCH_PEERS_H

#include <stddef.h>

// c = a · b by one cblas_sgemm call with `threads` BLAS threads; all n × n, row-major.
void peer_sgemm(const float *a, const float *b, float *c, int n, int threads);

// Reads `bytes` bytes with `threads` threads and returns bytes per second.
double peer_read_bandwidth(const void *memory, size_t bytes, int threads);

#endif
