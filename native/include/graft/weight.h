/** A linear layer's weight W [N, K] (out, in). How it is stored is a field, never another op. */
#ifndef GRAFT_WEIGHT_H
#define GRAFT_WEIGHT_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum graft_weight_kind { GRAFT_WEIGHT_DENSE = 0 } graft_weight_kind;

/** Dense and bordered: one buffer [N+R, K+R] of pitch K+R (rounded up so that a row starts on 64 bytes).
 *
 *     rows 0..N-1, columns 0..K-1     W
 *     rows 0..N-1, columns K..K+R-1   s·B   (see graft_lora_pack)
 *     rows N..N+R-1, columns 0..K-1   A
 *
 * so that y = [x│S]·[W│sB]ᵀ and dx = [dy│dS]·[W;A] are one plain GEMM each. border R = 0 is a plain matrix. */
typedef struct graft_weight {
  graft_weight_kind kind;
  int32_t border;       /**< R */
  int64_t n;            /**< out features N */
  int64_t k;            /**< in features K */
  graft_tensor storage; /**< [N+R, K+R] with its pitch */
} graft_weight;

/** Allocates a zeroed dense weight. dtype: f32, bf16, f16 or f64. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
GRAFT_API graft_status graft_weight_create_dense(graft_context* context, graft_memory_category category,
                                                 graft_dtype dtype, int64_t n, int64_t k, int32_t border,
                                                 graft_weight** weight);

/** Describes the caller's own matrix [N, K] (any pitch, no border), which must outlive the weight. */
GRAFT_API graft_status graft_weight_wrap_dense(graft_context* context, const graft_tensor* matrix,
                                               graft_weight** weight);

/** Frees a weight; NULL is allowed. */
GRAFT_API graft_status graft_weight_destroy(graft_context* context, graft_weight* weight);

#ifdef __cplusplus
}
#endif
#endif
