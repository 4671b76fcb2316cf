/** Weight-decomposed low-rank adaptation, DoRA (arXiv 2402.09353, section 4): each row of W + scale · B A is brought to
 * a trained length m. The merged matrix is never formed, neither for the layer nor for its norms. */
#ifndef GRAFT_OPS_DORA_H
#define GRAFT_OPS_DORA_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** squared [N] f32 (f64 with f64) = the squared 2-norm of each row of W: once per base weight. */
GRAFT_API graft_status graft_dora_squared_norms(graft_context* context, const graft_weight* w, graft_tensor* squared);

/** norm [N] f32 (f64 with f64) = the 2-norm of each row of W + scale · B A, by
 * ‖w + s·b A‖² = ‖w‖² + 2s·(W Aᵀ)·b + s²·b (A Aᵀ) bᵀ with squared as graft_dora_squared_norms gave it. a [r, K], b [N,
 * r] float masters. Call after every change of a or b, e.g. once per optimiser step: 2·N·K·r FLOPs, one read of W. */
GRAFT_API graft_status graft_dora_norms(graft_context* context, const graft_weight* w, const graft_tensor* squared,
                                        const graft_tensor* a, const graft_tensor* b, double scale, graft_tensor* norm);

/** y = g ⊙ v + bias with v = x Wᵀ + scale · drop(x) Aᵀ Bᵀ and g = m / norm, row by row of W (0 where norm is 0).
 *
 * x [T, K], y [T, N] of W's dtype; a [r, K], b [N, r], m [N], norm [N] (graft_dora_norms), bias [N] float; kept
 * [T, N + r] of x's dtype for backward: v, and behind it S = drop(x) Aᵀ (NULL in inference). Dropout, seed, offset,
 * accumulate, border and scratch columns as in graft_lora_forward, whose border this uses. Dropout acts on the input of
 * A alone, as in LoRA. Equation 5. */
GRAFT_API graft_status graft_dora_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                          const graft_tensor* a, const graft_tensor* b, double scale,
                                          const graft_tensor* m, const graft_tensor* norm, const graft_tensor* bias,
                                          double dropout, uint64_t seed, uint64_t offset, int32_t accumulate,
                                          graft_tensor* y, graft_tensor* kept);

/** With dv = g ⊙ dy and dS = scale · dv B: dx = dv W + drop'(dS A) (added to when accumulate != 0); da [r, K] f32 +=
 * dSᵀ drop(x); db [N, r] f32 += scale · dvᵀ S; dm [N] f32 += Σ_t dy ⊙ v / norm; dbias [N] f32 += Σ_t dy. norm counts as
 * a constant (section 4.3). Gradients are f64 with f64. Each output may be NULL; x may be NULL when da is, kept when db
 * and dm are. */
GRAFT_API graft_status graft_dora_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                           const graft_tensor* kept, const graft_weight* w, const graft_tensor* a,
                                           const graft_tensor* b, double scale, const graft_tensor* m,
                                           const graft_tensor* norm, double dropout, uint64_t seed, uint64_t offset,
                                           int32_t accumulate, graft_tensor* dx, graft_tensor* da, graft_tensor* db,
                                           graft_tensor* dm, graft_tensor* dbias);

/** merged [N, K] of W's dtype = g ⊙ (W + scale · B A), row by row; may be W's own memory (merge in place). */
GRAFT_API graft_status graft_dora_merge(graft_context* context, const graft_weight* w, const graft_tensor* a,
                                        const graft_tensor* b, double scale, const graft_tensor* m,
                                        const graft_tensor* norm, graft_tensor* merged);

#ifdef __cplusplus
}
#endif
#endif
