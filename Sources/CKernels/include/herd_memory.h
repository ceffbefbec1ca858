// Returning freed memory.
#ifndef HERD_MEMORY_H
#define HERD_MEMORY_H

// Asks the C library to give freed pages back to the system.
void hk_release_free_pages(void);

#endif
