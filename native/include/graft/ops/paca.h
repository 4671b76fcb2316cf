/** Partial connection adaptation (arXiv 2503.01905): r columns of W are trained in place, chosen by I.
 *
 * W[:, I] = W₀[:, I] + scale · D with the trained delta D [N, r]. The layer stays one plain GEMM; backward needs r
 * columns of x instead of all K, and makes no other weight gradient. */
#ifndef GRAFT_OPS_PACA_H
#define GRAFT_OPS_PACA_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y = x Wᵀ + bias, and x_i = x[:, I].
 *
 * x [T, K], y [T, N] of W's dtype, bias [N] float or NULL; indices [r] i32 or i64, each in 0..K-1, in any order; x_i
 * [T, r] of x's dtype, kept for backward (NULL in inference). accumulate != 0: y += (a residual stream). Equations 7
 * and 8. */
GRAFT_API graft_status graft_paca_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                          const graft_tensor* indices, const graft_tensor* bias, int32_t accumulate,
                                          graft_tensor* y, graft_tensor* x_i);

/** dx [T, K] = dy W (added to when accumulate != 0); dd [N, r] f32 (f64 with f64) += scale · dyᵀ x_i; dbias [N] f32 +=
 * column sums of dy. Each output may be NULL; x_i may be NULL when dd is. Equation 9. */
GRAFT_API graft_status graft_paca_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x_i,
                                           const graft_weight* w, double scale, int32_t accumulate, graft_tensor* dx,
                                           graft_tensor* dd, graft_tensor* dbias);

/** The same layer with the trained part beside W, which stays as it is and may be of any kind (QPaCA: NF4), and is not
 * read at I: y = x Wᵀ + scale · x_i dᵀ + bias.
 *
 * d [N, r] float (usually the f32 master), not NULL; x, indices, bias, y, x_i as for graft_paca_forward, x and y of a
 * type that W is multiplied with. x_i and d are rounded to x's dtype for the product. */
GRAFT_API graft_status graft_paca_slab_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                               const graft_tensor* indices, const graft_tensor* d, double scale,
                                               const graft_tensor* bias, int32_t accumulate, graft_tensor* y,
                                               graft_tensor* x_i);

/** dx [T, K] = dy W, dx[:, I] += scale · dy d (all added to what is there when accumulate != 0); dd and dbias as for
 * graft_paca_backward. */
GRAFT_API graft_status graft_paca_slab_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x_i,
                                                const graft_weight* w, const graft_tensor* indices,
                                                const graft_tensor* d, double scale, int32_t accumulate,
                                                graft_tensor* dx, graft_tensor* dd, graft_tensor* dbias);

/** columns [N, r] of W's dtype = W[:, I]: the original to keep, from which graft_paca_write starts. */
GRAFT_API graft_status graft_paca_read(graft_context* context, const graft_weight* w, const graft_tensor* indices,
                                       graft_tensor* columns);

/** W[:, I] = original + scale · d, rounded once to W's dtype; d [N, r] float (usually the f32 master), original [N, r]
 * of W's dtype. d NULL: W[:, I] = original, bit by bit. Call once after each optimiser step. Indices may not repeat. */
GRAFT_API graft_status graft_paca_write(graft_context* context, const graft_tensor* d, const graft_tensor* original,
                                        const graft_tensor* indices, double scale, graft_weight* w);

/** norms [K] f32 (f64 with f64) = the 2-norm of each column of W: for selection by norm. For selection by gradient, W
 * is a weight that describes an accumulated dW. */
GRAFT_API graft_status graft_paca_column_norms(graft_context* context, const graft_weight* w, graft_tensor* norms);

#ifdef __cplusplus
}
#endif
#endif
