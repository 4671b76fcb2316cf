/** A context owns a device, its threads, the scratch arena and the byte counters. One context serves one caller at a
 * time; several contexts may run side by side. */
#ifndef GRAFT_CONTEXT_H
#define GRAFT_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "graft/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct graft_context graft_context;

typedef enum graft_device { GRAFT_DEVICE_CPU = 0, GRAFT_DEVICE_CUDA = 1 } graft_device;

/** What a block of memory is for: the rows of every memory report. */
typedef enum graft_memory_category {
  GRAFT_MEMORY_BASE = 0,       /**< frozen weights */
  GRAFT_MEMORY_ADAPTER = 1,    /**< trained parameters and their masters */
  GRAFT_MEMORY_GRADIENT = 2,   /**< parameter gradients */
  GRAFT_MEMORY_OPTIMIZER = 3,  /**< optimiser state */
  GRAFT_MEMORY_ACTIVATION = 4, /**< inputs, outputs and what backward keeps */
  GRAFT_MEMORY_WORKSPACE = 5,  /**< scratch of the arena */
  GRAFT_MEMORY_CATEGORIES = 6
} graft_memory_category;

/** Creates a context. threads: 0 takes the number of processors the process may use. Results are the same bits for any
 * number of threads. Errors: DEVICE_UNAVAILABLE, INVALID_ARGUMENT (threads outside 0..1024), OUT_OF_MEMORY (a thread
 * cannot start). */
GRAFT_API graft_status graft_context_create(graft_device device, int32_t threads, graft_context** context);

/** A context that plans memory: ops check their arguments, choose an implementation and take its scratch, but compute
 * nothing; tensors, weights and scratch are counted as ever and are addresses only, which hold zeros and take memory
 * where somebody writes. A program that runs on it as on another one learns what its bytes will be. Errors: as above.
 */
GRAFT_API graft_status graft_context_create_planning(graft_device device, int32_t threads, graft_context** context);

/** Creates a context on CUDA device `ordinal` (0, 1, …). Its work goes into the caller's stream (a cudaStream_t, which
 * must outlive it), or into one of its own when stream is NULL. Ops return when their work is in the stream. Errors:
 * DEVICE_UNAVAILABLE (no driver, no such device, a library without CUDA), INVALID_ARGUMENT. */
GRAFT_API graft_status graft_context_create_cuda(int32_t ordinal, void* stream, graft_context** context);

/** Destroys a context; NULL is allowed. INVALID_ARGUMENT while tensors, weights or graphs made from it live. */
GRAFT_API graft_status graft_context_destroy(graft_context* context);

/** Number of threads the context computes with. */
GRAFT_API graft_status graft_context_threads(const graft_context* context, int32_t* threads);

/** Waits until all work given to the context is done; returns the first asynchronous failure. */
GRAFT_API graft_status graft_context_synchronize(graft_context* context);

/** Bytes now held and the most ever held in one category (GRAFT_MEMORY_CATEGORIES: all together). */
GRAFT_API graft_status graft_context_memory(const graft_context* context, graft_memory_category category,
                                            int64_t* current, int64_t* peak);

/** Sets every peak back to what is held now. */
GRAFT_API graft_status graft_context_reset_peak(graft_context* context);

/** Number of contexts, tensors and weights made by the library and not yet destroyed, in the whole process. */
GRAFT_API int64_t graft_live_handles(void);

/** Name of the implementation that ran the last op of this context, e.g. "lora_forward:cpu/bordered"; "" before the
 * first one. Valid until the next op. The environment's GRAFT_VERBOSE=dispatch prints every choice and every refusal
 * with its reason to stderr; GRAFT_VERBOSE=profile prints how long each op took in all contexts together, when the last
 * of them is destroyed. */
GRAFT_API const char* graft_context_last_dispatch(const graft_context* context);

/** Considers only implementations of this name ("reference", "fast", …) from now on, so that checks can hold one
 * against the other; NULL considers all again. The text is copied. Ops that have none of that name answer UNSUPPORTED.
 */
GRAFT_API graft_status graft_context_prefer(graft_context* context, const char* implementation);

#ifdef __cplusplus
}
#endif
#endif
