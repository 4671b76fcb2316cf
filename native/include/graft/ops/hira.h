/** Hadamard high-rank adaptation (HiRA, ICLR 2025, section 3): a frozen weight times, element by element, a low-rank
 * matrix; also the scales of GLoRA (arXiv 2306.07967, equation 10). */
#ifndef GRAFT_OPS_HIRA_H
#define GRAFT_OPS_HIRA_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y [T, N] = x W'ᵀ, or y += with accumulate, where W' = W ⊙ (1 + b a). x [T, K], y of one float dtype, W's where it is
 * dense; a [r, K], b [N, r] float (usually f32 masters), r at least 1. W' is made in panels, of W in any form, each
 * element rounded to x's dtype. Nothing is kept for backward. */
GRAFT_API graft_status graft_hira_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                          const graft_tensor* a, const graft_tensor* b, int32_t accumulate,
                                          graft_tensor* y);

/** dx [T, K] = dy W', or += with accumulate; with H = (dyᵀ x) ⊙ W, da [r, K] f32 (f64 with f64) += bᵀ H and db [N, r]
 * += H aᵀ. H is made in tiles. Each output may be NULL; x may be NULL where da and db are. */
GRAFT_API graft_status graft_hira_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                           const graft_weight* w, const graft_tensor* a, const graft_tensor* b,
                                           int32_t accumulate, graft_tensor* dx, graft_tensor* da, graft_tensor* db);

/** merged [N, K] of W's dtype = W', rounded once; may be W's own memory. W is dense. */
GRAFT_API graft_status graft_hira_merge(graft_context* context, const graft_weight* w, const graft_tensor* a,
                                        const graft_tensor* b, graft_tensor* merged);

#ifdef __cplusplus
}
#endif
#endif
