// The libraries of a CUDA machine as tables of functions, filled from libraries opened at run time.
//
// Only what Herd calls is declared, after the public interfaces of the CUDA driver (12 and later),
// NVRTC and cuBLASLt; nothing of CUDA is needed to build. Statuses are 0 for success throughout.
#ifndef HERD_CDEVICE_H
#define HERD_CDEVICE_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef struct cd_object *cd_handle;

// How a kernel is launched: the driver's CUlaunchAttribute and CUlaunchConfig.
typedef struct cd_launch_attribute {
  int id;
  int padding;
  union {
    char bytes[64];
    int flag;
  } value;
} cd_launch_attribute;
typedef struct cd_launch_configuration {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
  cd_handle stream;
  const cd_launch_attribute *_Nullable attributes;
  unsigned attribute_count;
} cd_launch_configuration;

// libcuda: devices, memory, streams, modules.
typedef struct cd_driver {
  int (*init)(unsigned flags);
  int (*driver_version)(int *version);
  int (*error_string)(int status, const char *_Nullable *_Nonnull text);
  int (*device_count)(int *count);
  int (*device_get)(int *device, int ordinal);
  int (*device_name)(char *name, int size, int device);
  int (*device_attribute)(int *value, int attribute, int device);
  int (*device_memory)(size_t *bytes, int device);
  int (*context_retain)(cd_handle _Nullable *_Nonnull context, int device);
  int (*context_release)(int device);
  int (*context_set)(cd_handle context);
  int (*memory_allocate)(uint64_t *address, size_t bytes);
  int (*memory_free)(uint64_t address);
  int (*memory_info)(size_t *free, size_t *total);
  int (*copy_to_device)(uint64_t target, const void *source, size_t bytes, cd_handle stream);
  int (*copy_to_host)(void *target, uint64_t source, size_t bytes, cd_handle stream);
  int (*copy_on_device)(uint64_t target, uint64_t source, size_t bytes, cd_handle stream);
  int (*fill_bytes)(uint64_t target, unsigned char value, size_t count, cd_handle stream);
  int (*stream_create)(cd_handle _Nullable *_Nonnull stream, unsigned flags);
  int (*stream_destroy)(cd_handle stream);
  int (*stream_wait)(cd_handle stream);
  int (*event_create)(cd_handle _Nullable *_Nonnull event, unsigned flags);
  int (*event_destroy)(cd_handle event);
  int (*event_record)(cd_handle event, cd_handle stream);
  int (*event_wait)(cd_handle event);
  int (*event_elapsed)(float *milliseconds, cd_handle start, cd_handle end);
  int (*module_load)(cd_handle _Nullable *_Nonnull module, const void *image);
  int (*module_unload)(cd_handle module);
  int (*module_function)(cd_handle _Nullable *_Nonnull function, cd_handle module,
                         const char *name);
  int (*function_set)(cd_handle function, int attribute, int value);
  int (*launch)(const cd_launch_configuration *configuration, cd_handle function,
                           void *_Nullable *_Nullable arguments,
                           void *_Nullable *_Nullable extra);
} cd_driver;

// NVRTC: the run-time compiler.
typedef struct cd_compiler {
  int (*version)(int *major, int *minor);
  const char *_Nonnull (*_Nonnull error_string)(int status);
  int (*create)(cd_handle _Nullable *_Nonnull program, const char *source, const char *name,
                int header_count, const char *_Nullable const *_Nullable headers,
                const char *_Nullable const *_Nullable header_names);
  int (*destroy)(cd_handle _Nullable *_Nonnull program);
  int (*compile)(cd_handle program, int option_count,
                 const char *_Nullable const *_Nullable options);
  int (*binary_size)(cd_handle program, size_t *bytes);
  int (*binary)(cd_handle program, char *target);
  int (*log_size)(cd_handle program, size_t *bytes);
  int (*log)(cd_handle program, char *target);
} cd_compiler;

// An algorithm cuBLASLt proposes for a product.
typedef struct cd_algorithm {
  uint64_t algorithm[8];
  size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
} cd_algorithm;

// cuBLASLt: matrix products.
typedef struct cd_blas {
  size_t (*version)(void);
  int (*create)(cd_handle _Nullable *_Nonnull handle);
  int (*destroy)(cd_handle handle);
  int (*product_create)(cd_handle _Nullable *_Nonnull product, int compute_type, int scale_type);
  int (*product_destroy)(cd_handle product);
  int (*product_set)(cd_handle product, int attribute, const void *value, size_t bytes);
  int (*layout_create)(cd_handle _Nullable *_Nonnull layout, int type, uint64_t rows,
                       uint64_t columns, int64_t leading);
  int (*layout_destroy)(cd_handle layout);
  int (*preference_create)(cd_handle _Nullable *_Nonnull preference);
  int (*preference_destroy)(cd_handle preference);
  int (*preference_set)(cd_handle preference, int attribute, const void *value, size_t bytes);
  int (*propose)(cd_handle handle, cd_handle product, cd_handle a, cd_handle b, cd_handle c,
                 cd_handle d, cd_handle preference, int wanted, cd_algorithm *results, int *count);
  int (*multiply)(cd_handle handle, cd_handle product, const void *alpha, const void *a,
                  cd_handle a_layout, const void *b, cd_handle b_layout, const void *beta,
                  const void *c, cd_handle c_layout, void *d, cd_handle d_layout,
                  const cd_algorithm *_Nullable algorithm, void *_Nullable workspace, size_t workspace_bytes,
                  cd_handle stream);
} cd_blas;

// Each fills its table from an opened library. Returns the first name the library does not have, or
// NULL when the table is complete.
const char *_Nullable cd_load_driver(void *library, cd_driver *table);
const char *_Nullable cd_load_compiler(void *library, cd_compiler *table);
const char *_Nullable cd_load_blas(void *library, cd_blas *table);

// A kernel source that was embedded when this target was compiled.
typedef struct cd_source {
  const char *name;
  const char *text;
  size_t bytes;
} cd_source;

// The source at `index`, in no particular order; NULL past the last.
const cd_source *_Nullable cd_embedded_source(int index);

#pragma clang assume_nonnull end

#endif
