/** Which devices there are beside the CPU. */
#ifndef GRAFT_DEVICE_H
#define GRAFT_DEVICE_H

#include "graft/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Number of CUDA devices that the process can use: their ordinals are 0 … count - 1. Errors: DEVICE_UNAVAILABLE with
 * the reason (no driver, no device, a library without CUDA); count is 0 then. */
GRAFT_API graft_status graft_cuda_device_count(int32_t* count);

/** Name of a CUDA device, cut to name_bytes with its final 0, and the bytes of its memory; each may be NULL. Errors:
 * DEVICE_UNAVAILABLE, INVALID_ARGUMENT. */
GRAFT_API graft_status graft_cuda_device_describe(int32_t ordinal, char* name, int64_t name_bytes,
                                                  int64_t* memory_bytes);

#ifdef __cplusplus
}
#endif
#endif
