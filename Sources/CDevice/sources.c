// The CUDA sources, embedded so that a program is one file. Add a line for each new kernel file.
#include "CDevice.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char element[] = {
#embed "kernels/element.cuh"
    , 0};

static const cd_source sources[] = {
    {"element.cuh", element, sizeof element - 1},
};

const cd_source *cd_embedded_source(int index) {
  const int count = sizeof sources / sizeof *sources;
  return index >= 0 && index < count ? &sources[index] : NULL;
}
