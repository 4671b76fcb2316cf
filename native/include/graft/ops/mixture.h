/** Mixtures of experts inside a layer, for each row its own: a router's gates, and what they weigh, the blocks of a
 * low-rank product (MoELoRA, arXiv 2310.18339; MixLoRA, arXiv 2404.15159) or vectors of scales (MoV, arXiv 2309.05444).
 * All tensors of a call have one float dtype unless said otherwise; matrices may have a pitch. */
#ifndef GRAFT_OPS_MIXTURE_H
#define GRAFT_OPS_MIXTURE_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** gates [T, E]: for each row's top_k largest logits [T, E] their softmax among themselves or, when among_all != 0,
 * that of all logits; 0 elsewhere. 1 <= top_k <= E; of equal logits the first. gates may be logits. */
GRAFT_API graft_status graft_mixture_route_forward(graft_context* context, const graft_tensor* logits, int64_t top_k,
                                                   int32_t among_all, graft_tensor* gates);

/** dlogits [T, E] = gates ⊙ (dgates − Σ_e gates ⊙ dgates), with among_all != 0 gates ⊙ dgates − p Σ_e gates ⊙ dgates
 * for the softmax p of all logits; dgates NULL counting as 0; and, when balance > 0, + the gradient of balance · E ·
 * Σ_e f_e p_e (Switch, arXiv 2101.03961, section 2.2), which is added to loss [1] (f32, f64 with f64; may be NULL): f_e
 * the share of rows whose largest logit is e's, p_e the mean of the softmax of all logits. lengths [B] i32 with B a
 * divisor of T: of each T/B rows only the first lengths[b] count there; NULL: all. dlogits may be dgates. */
GRAFT_API graft_status graft_mixture_route_backward(graft_context* context, const graft_tensor* logits,
                                                    const graft_tensor* gates, const graft_tensor* dgates,
                                                    int32_t among_all, double balance, const graft_tensor* lengths,
                                                    graft_tensor* dlogits, graft_tensor* loss);

/** y [T, E·r]: block e of a row, which is r columns, is scale · gates[t, e] times that of x [T, E·r]. gates [T, E]; y
 * may be x. */
GRAFT_API graft_status graft_mixture_blocks_forward(graft_context* context, const graft_tensor* x,
                                                    const graft_tensor* gates, double scale, graft_tensor* y);

/** dx [T, E·r] = scale · gates ⊙ dy by blocks, may be dy; dgates [T, E] = scale · Σ dy ⊙ x over each block. Each output
 * may be NULL. */
GRAFT_API graft_status graft_mixture_blocks_backward(graft_context* context, const graft_tensor* dy,
                                                     const graft_tensor* x, const graft_tensor* gates, double scale,
                                                     graft_tensor* dx, graft_tensor* dgates);

/** y [T, N] = x ⊙ (gates v), or y += when accumulate != 0. x [T, N], gates [T, E], v [E, N] of any float dtype; y may
 * be x unless it is added to. */
GRAFT_API graft_status graft_mixture_vectors_forward(graft_context* context, const graft_tensor* x,
                                                     const graft_tensor* gates, const graft_tensor* v,
                                                     int32_t accumulate, graft_tensor* y);

/** dx [T, N] = dy ⊙ (gates v), may be dy; dgates [T, E] = (dy ⊙ x) vᵀ; dv [E, N] += gatesᵀ (dy ⊙ x), f32, f64 with f64.
 * Each output may be NULL. */
GRAFT_API graft_status graft_mixture_vectors_backward(graft_context* context, const graft_tensor* dy,
                                                      const graft_tensor* x, const graft_tensor* gates,
                                                      const graft_tensor* v, graft_tensor* dx, graft_tensor* dgates,
                                                      graft_tensor* dv);

/** y [T, N] = Σ_e gates[t, e] · block e of x [T, E·N]. gates [T, E]. */
GRAFT_API graft_status graft_mixture_combine_forward(graft_context* context, const graft_tensor* x,
                                                     const graft_tensor* gates, graft_tensor* y);

/** dx [T, E·N]: block e is gates[t, e] · dy [T, N], or added to when accumulate != 0; dgates [T, E] = the product of dy
 * with each block of x. Each output may be NULL; x may be NULL when dgates is, gates when dx is. */
GRAFT_API graft_status graft_mixture_combine_backward(graft_context* context, const graft_tensor* dy,
                                                      const graft_tensor* x, const graft_tensor* gates,
                                                      int32_t accumulate, graft_tensor* dx, graft_tensor* dgates);

#ifdef __cplusplus
}
#endif
#endif
