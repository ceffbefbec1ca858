#ifndef HERD_CKERNELS_H
#define HERD_CKERNELS_H
#endif
