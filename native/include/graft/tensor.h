/** A tensor: a strided view of memory. The descriptor is plain data; C callers may build one on the stack around their
 * own memory (never owned by Graft), or let Graft allocate both. */
#ifndef GRAFT_TENSOR_H
#define GRAFT_TENSOR_H

#include "graft/context.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRAFT_MAX_RANK 4

typedef enum graft_dtype {
  GRAFT_DTYPE_F32 = 0,
  GRAFT_DTYPE_BF16 = 1,
  GRAFT_DTYPE_F16 = 2,
  GRAFT_DTYPE_F64 = 3, /**< reference implementations only */
  GRAFT_DTYPE_I32 = 4,
  GRAFT_DTYPE_I64 = 5,
  GRAFT_DTYPE_U8 = 6
} graft_dtype;

/** shape and stride count elements; stride[rank-1] is 1. A "matrix" [rows, columns] may have a pitch: stride[0] >=
 * columns. Empty tensors (a zero in shape) are legal; data may then be NULL. */
typedef struct graft_tensor {
  void* data;
  graft_dtype dtype;
  graft_device device;
  int32_t rank;
  int32_t reserved; /**< 0 in a descriptor of the caller's own */
  int64_t shape[GRAFT_MAX_RANK];
  int64_t stride[GRAFT_MAX_RANK];
} graft_tensor;

/** Bytes of one element; 0 for an unknown dtype. */
GRAFT_API int64_t graft_dtype_bytes(graft_dtype dtype);

/** Allocates descriptor and memory (64-byte aligned, zeroed). stride NULL: row-major. With a stride the memory reaches
 * to the end of the last row's pitch. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
GRAFT_API graft_status graft_tensor_create(graft_context* context, graft_memory_category category, graft_dtype dtype,
                                           int32_t rank, const int64_t* shape, const int64_t* stride,
                                           graft_tensor** tensor);

/** Makes a descriptor around the caller's memory, which must outlive it. stride NULL: row-major. */
GRAFT_API graft_status graft_tensor_wrap(graft_context* context, void* data, graft_dtype dtype, int32_t rank,
                                         const int64_t* shape, const int64_t* stride, graft_tensor** tensor);

/** Makes a descriptor of a part of another tensor, which must outlive it: data starts `offset` elements in. The view
 * must lie inside the parent's memory. */
GRAFT_API graft_status graft_tensor_view(graft_context* context, const graft_tensor* parent, int64_t offset,
                                         int32_t rank, const int64_t* shape, const int64_t* stride,
                                         graft_tensor** tensor);

/** Copies all elements, row-major without gaps, from host memory of so many bytes into a tensor on any device, or back.
 * A download waits for what the context was given before; an upload reaches the tensor behind it, and has read the
 * host's memory when it returns. INVALID_ARGUMENT when bytes is not the tensor's size. */
GRAFT_API graft_status graft_tensor_upload(graft_context* context, graft_tensor* tensor, const void* host,
                                           int64_t bytes);
GRAFT_API graft_status graft_tensor_download(graft_context* context, const graft_tensor* tensor, void* host,
                                             int64_t bytes);

/** Frees what create, wrap or view made (memory only where create made it); NULL is allowed. */
GRAFT_API graft_status graft_tensor_destroy(graft_context* context, graft_tensor* tensor);

#ifdef __cplusplus
}
#endif
#endif
