#include "CDevice.h"

#include <dlfcn.h>

typedef struct {
  const char *name;
  size_t place;
} entry;

// A function pointer is stored at each place: POSIX lets dlsym's result be one.
static const char *fill(void *library, void *table, const entry *entries, size_t count) {
  for (size_t i = 0; i < count; i++) {
    void *symbol = dlsym(library, entries[i].name);
    if (!symbol) return entries[i].name;
    *(void **)((char *)table + entries[i].place) = symbol;
  }
  return NULL;
}

#define COUNT(entries) (sizeof entries / sizeof *entries)

const char *cd_load_driver(void *library, cd_driver *table) {
  static const entry entries[] = {
      {"cuInit", offsetof(cd_driver, init)},
      {"cuDriverGetVersion", offsetof(cd_driver, driver_version)},
      {"cuGetErrorString", offsetof(cd_driver, error_string)},
      {"cuDeviceGetCount", offsetof(cd_driver, device_count)},
      {"cuDeviceGet", offsetof(cd_driver, device_get)},
      {"cuDeviceGetName", offsetof(cd_driver, device_name)},
      {"cuDeviceGetAttribute", offsetof(cd_driver, device_attribute)},
      {"cuDeviceTotalMem_v2", offsetof(cd_driver, device_memory)},
      {"cuDevicePrimaryCtxRetain", offsetof(cd_driver, context_retain)},
      {"cuDevicePrimaryCtxRelease_v2", offsetof(cd_driver, context_release)},
      {"cuCtxSetCurrent", offsetof(cd_driver, context_set)},
      {"cuMemAlloc_v2", offsetof(cd_driver, memory_allocate)},
      {"cuMemFree_v2", offsetof(cd_driver, memory_free)},
      {"cuMemGetInfo_v2", offsetof(cd_driver, memory_info)},
      {"cuMemcpyHtoDAsync_v2", offsetof(cd_driver, copy_to_device)},
      {"cuMemcpyDtoHAsync_v2", offsetof(cd_driver, copy_to_host)},
      {"cuMemcpyDtoDAsync_v2", offsetof(cd_driver, copy_on_device)},
      {"cuMemsetD8Async", offsetof(cd_driver, fill_bytes)},
      {"cuStreamCreate", offsetof(cd_driver, stream_create)},
      {"cuStreamDestroy_v2", offsetof(cd_driver, stream_destroy)},
      {"cuStreamSynchronize", offsetof(cd_driver, stream_wait)},
      {"cuEventCreate", offsetof(cd_driver, event_create)},
      {"cuEventDestroy_v2", offsetof(cd_driver, event_destroy)},
      {"cuEventRecord", offsetof(cd_driver, event_record)},
      {"cuEventSynchronize", offsetof(cd_driver, event_wait)},
      {"cuEventElapsedTime", offsetof(cd_driver, event_elapsed)},
      {"cuModuleLoadData", offsetof(cd_driver, module_load)},
      {"cuModuleUnload", offsetof(cd_driver, module_unload)},
      {"cuModuleGetFunction", offsetof(cd_driver, module_function)},
      {"cuFuncSetAttribute", offsetof(cd_driver, function_set)},
      {"cuLaunchKernelEx", offsetof(cd_driver, launch)},
  };
  return fill(library, table, entries, COUNT(entries));
}

const char *cd_load_compiler(void *library, cd_compiler *table) {
  static const entry entries[] = {
      {"nvrtcVersion", offsetof(cd_compiler, version)},
      {"nvrtcGetErrorString", offsetof(cd_compiler, error_string)},
      {"nvrtcCreateProgram", offsetof(cd_compiler, create)},
      {"nvrtcDestroyProgram", offsetof(cd_compiler, destroy)},
      {"nvrtcCompileProgram", offsetof(cd_compiler, compile)},
      {"nvrtcGetCUBINSize", offsetof(cd_compiler, binary_size)},
      {"nvrtcGetCUBIN", offsetof(cd_compiler, binary)},
      {"nvrtcGetProgramLogSize", offsetof(cd_compiler, log_size)},
      {"nvrtcGetProgramLog", offsetof(cd_compiler, log)},
  };
  return fill(library, table, entries, COUNT(entries));
}

const char *cd_load_blas(void *library, cd_blas *table) {
  static const entry entries[] = {
      {"cublasLtGetVersion", offsetof(cd_blas, version)},
      {"cublasLtCreate", offsetof(cd_blas, create)},
      {"cublasLtDestroy", offsetof(cd_blas, destroy)},
      {"cublasLtMatmulDescCreate", offsetof(cd_blas, product_create)},
      {"cublasLtMatmulDescDestroy", offsetof(cd_blas, product_destroy)},
      {"cublasLtMatmulDescSetAttribute", offsetof(cd_blas, product_set)},
      {"cublasLtMatrixLayoutCreate", offsetof(cd_blas, layout_create)},
      {"cublasLtMatrixLayoutDestroy", offsetof(cd_blas, layout_destroy)},
      {"cublasLtMatmulPreferenceCreate", offsetof(cd_blas, preference_create)},
      {"cublasLtMatmulPreferenceDestroy", offsetof(cd_blas, preference_destroy)},
      {"cublasLtMatmulPreferenceSetAttribute", offsetof(cd_blas, preference_set)},
      {"cublasLtMatmulAlgoGetHeuristic", offsetof(cd_blas, propose)},
      {"cublasLtMatmul", offsetof(cd_blas, multiply)},
  };
  return fill(library, table, entries, COUNT(entries));
}
