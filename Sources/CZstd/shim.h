#ifndef HERD_CZSTD_H
#define HERD_CZSTD_H
#include <zstd.h>
#include <zstd_errors.h>
#endif
