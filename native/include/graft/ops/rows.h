/** Whole rows of a frozen weight are trained in place (S2FT, arXiv 2412.06289, section 3; FAR, arXiv 2205.01541).
 *
 * W[I, :] = W₀[I, :] + d with the trained delta d [r, K]. Forward and dx are the frozen layer's own, with the rows
 * written into W; here is what the rows need beside them.
 *
 * indices [r] i32 or i64, each in 0..N-1, in any order. */
#ifndef GRAFT_OPS_ROWS_H
#define GRAFT_OPS_ROWS_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** dd [r, K] f32 (f64 with f64) += dy[:, I]ᵀ x. dy [T, N], x [T, K] of one float dtype. The rows of dyᵀ x that are not
 * chosen are not calculated. Same bits for any number of threads. */
GRAFT_API graft_status graft_rows_gradient(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                           const graft_tensor* indices, graft_tensor* dd);

/** rows [r, K] of W's dtype = W[I, :]: the original to keep, from which graft_rows_write starts. */
GRAFT_API graft_status graft_rows_read(graft_context* context, const graft_weight* w, const graft_tensor* indices,
                                       graft_tensor* rows);

/** W[I, :] = original + d, rounded once to W's dtype; d [r, K] float (usually the f32 master), original [r, K] of W's
 * dtype. d NULL: W[I, :] = original, bit by bit. Call once after each optimiser step. Indices may not repeat. */
GRAFT_API graft_status graft_rows_write(graft_context* context, const graft_tensor* d, const graft_tensor* original,
                                        const graft_tensor* indices, graft_weight* w);

#ifdef __cplusplus
}
#endif
#endif
