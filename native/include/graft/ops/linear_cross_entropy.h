/** Linear head and cross-entropy in one pass over row blocks: logits never exist whole (cf. arXiv 2410.10989,
 * section 3.2). */
#ifndef GRAFT_OPS_LINEAR_CROSS_ENTROPY_H
#define GRAFT_OPS_LINEAR_CROSS_ENTROPY_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Over the rows t with labels[t] != ignore_index: loss = Σ (lse_t − logit_{t,label}) / n, n = normalizer, or the
 * number of those rows when normalizer = 0 (0 rows: loss 0).
 *
 * softcap c > 0: the logits are c · tanh(h wᵀ / c) (arXiv 2408.00118, section 2); 0: h wᵀ.
 * h [T, K], w [V, K] of one float dtype; labels [T] i32 or i64, each ignore_index or in 0..V-1; loss [1] f32 (f64 with
 * f64), overwritten; count [1] i64, rows counted, may be NULL. When dh [T, K] (overwritten) or dw [V, K] f32
 * (accumulated) is not NULL, the gradients of loss · gradient_scale are made in the same pass; the logits are then
 * computed once. */
GRAFT_API graft_status graft_linear_cross_entropy_forward(graft_context* context, const graft_tensor* h,
                                                          const graft_weight* w, const graft_tensor* labels,
                                                          int64_t ignore_index, double softcap, double normalizer,
                                                          double gradient_scale, graft_tensor* loss,
                                                          graft_tensor* count, graft_tensor* dh, graft_tensor* dw);

#ifdef __cplusplus
}
#endif
#endif
