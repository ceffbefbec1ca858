#include "herd_memory.h"

#if defined(__linux__)
#include <malloc.h>
#endif

void hk_release_free_pages(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}
