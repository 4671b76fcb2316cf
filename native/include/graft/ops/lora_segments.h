/** Several low-rank adapters on one frozen layer: the rows of a batch name the adapter that they use, or none (Punica,
 * arXiv 2310.18547, section 4; with a backward, so that a batch trains several at once). */
#ifndef GRAFT_OPS_LORA_SEGMENTS_H
#define GRAFT_OPS_LORA_SEGMENTS_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y = x Wᵀ + bias, and in the rows of each segment + scale_e · S B_eᵀ with S = drop(x) A_eᵀ, e being its adapter.
 *
 * x [T, K], y [T, N] of W's dtype, any weight. segments [G, 2] i32: for each the row behind its last one, and its
 * adapter, or -1 for none; ends do not fall, the last is T; a segment may be empty, and an adapter have several. The E
 * adapters lie side by side: ranks [E] i32, r_e >= 0; scales [E] f64; a [R, K] and b [N, R] float masters, R = Σ r_e:
 * A_e is r_e rows of a, B_e r_e columns of b, in order. s [T, max r_e] of x's dtype: S, kept for backward (NULL in
 * inference); columns that a row's adapter does not have stay as they are. dropout, seed, offset: as in
 * graft_lora_forward. accumulate != 0: y += (a residual stream). segments, ranks and scales are in host memory. */
GRAFT_API graft_status graft_lora_segments_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                                   const graft_tensor* segments, const graft_tensor* ranks,
                                                   const graft_tensor* scales, const graft_tensor* a,
                                                   const graft_tensor* b, const graft_tensor* bias, double dropout,
                                                   uint64_t seed, uint64_t offset, int32_t accumulate, graft_tensor* y,
                                                   graft_tensor* s);

/** With dS = scale_e · dy B_e in the rows of each segment: dx = dy W + drop'(dS A_e) (added to when accumulate != 0);
 * da [R, K] f32 += dSᵀ drop(x) and db [N, R] f32 += scale_e · dyᵀ S, each segment into the part of its adapter; dbias
 * [N] f32 += column sums of dy. Gradients are f64 with f64. Each output may be NULL; x may be NULL when da is, s when
 * db is. The same segments, dropout, seed and offset as in forward. */
GRAFT_API graft_status graft_lora_segments_backward(graft_context* context, const graft_tensor* dy,
                                                    const graft_tensor* x, const graft_tensor* s, const graft_weight* w,
                                                    const graft_tensor* segments, const graft_tensor* ranks,
                                                    const graft_tensor* scales, const graft_tensor* a,
                                                    const graft_tensor* b, double dropout, uint64_t seed,
                                                    uint64_t offset, int32_t accumulate, graft_tensor* dx,
                                                    graft_tensor* da, graft_tensor* db, graft_tensor* dbias);

#ifdef __cplusplus
}
#endif
#endif
