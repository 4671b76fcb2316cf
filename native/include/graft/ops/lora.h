/** Low-rank adaptation (arXiv 2106.09685, section 4.1) folded into the frozen layer's GEMM. */
#ifndef GRAFT_OPS_LORA_H
#define GRAFT_OPS_LORA_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Writes the adapter into the weight's border: columns K.. = scale·B, rows N.. = A, in the weight's dtype. a [r, K], b
 * [N, r] float (usually f32 masters), r <= border; the rest of the border becomes zero. Call after every change of a or
 * b, e.g. once per optimiser step. */
GRAFT_API graft_status graft_lora_pack(graft_context* context, const graft_tensor* a, const graft_tensor* b,
                                       double scale, graft_weight* w);

/** y = x Wᵀ + bias + scale · S Bᵀ with S = drop(x) Aᵀ.
 *
 * x [T, K], y [T, N] of W's dtype; a [r, K], b [N, r] float masters; s [T, r] of x's dtype: S, kept for backward (NULL
 * in inference). dropout p in [0, 1), to the nearest 2^-16: element i = offset + t·K + k is kept when half i mod 8 of
 * Philox4x32-7 block i div 8 is >= p · 2^16 (docs/ops/random.md); kept values are scaled by 1/(1-p); no mask is stored.
 * accumulate != 0: y += (a residual stream).
 *
 * The bordered path (one plain GEMM over K+r) serves when w has a border >= r, which must hold this a, b and scale
 * (graft_lora_pack), and x a pitch >= K + border: those columns behind each row of x are then scratch and are
 * overwritten. Otherwise, or where another tensor of the call lies in those columns, the accumulating path serves. */
GRAFT_API graft_status graft_lora_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                          const graft_tensor* a, const graft_tensor* b, double scale,
                                          const graft_tensor* bias, double dropout, uint64_t seed, uint64_t offset,
                                          int32_t accumulate, graft_tensor* y, graft_tensor* s);

/** With dS = scale · dy B: dx = dy W + drop'(dS A) (added to when accumulate != 0); da [r, K] f32 += dSᵀ drop(x); db
 * [N, r] f32 += scale · dyᵀ S; dbias [N] f32 += column sums of dy. Gradients are f64 with f64. Each output may be NULL;
 * x may be NULL when da is, s when db is. The same dropout, seed and offset as in forward.
 *
 * Bordered like forward, when dy has a pitch >= N + border (scratch). With dropout the S and dS A terms are masked
 * element by element, so that dx takes the accumulating path. */
GRAFT_API graft_status graft_lora_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                           const graft_tensor* s, const graft_weight* w, const graft_tensor* a,
                                           const graft_tensor* b, double scale, double dropout, uint64_t seed,
                                           uint64_t offset, int32_t accumulate, graft_tensor* dx, graft_tensor* da,
                                           graft_tensor* db, graft_tensor* dbias);

/** merged [N, K] of W's dtype = W + scale · B A; may be W's own memory (merge in place). */
GRAFT_API graft_status graft_lora_merge(graft_context* context, const graft_weight* w, const graft_tensor* a,
                                        const graft_tensor* b, double scale, graft_tensor* merged);

#ifdef __cplusplus
}
#endif
#endif
