/** The product of a diagonal matrix and a matrix, with gradients: how a vector turns a fixed low-rank factor into a
 * trained one (VeRA, arXiv 2310.11454, section 3.1). */
#ifndef GRAFT_OPS_ROW_SCALE_H
#define GRAFT_OPS_ROW_SCALE_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y [R, C] = diag(s) x. x, y float matrices of one dtype, s [R] float; y may be x. */
GRAFT_API graft_status graft_row_scale_forward(graft_context* context, const graft_tensor* x, const graft_tensor* s,
                                               graft_tensor* y);

/** dx [R, C] += diag(s) dy; ds [R] += Σ_c dy ⊙ x: f32, or f64 with f64, as dy is; x [R, C] and s [R] float. Each output
 * may be NULL. */
GRAFT_API graft_status graft_row_scale_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                                const graft_tensor* s, graft_tensor* dx, graft_tensor* ds);

#ifdef __cplusplus
}
#endif
#endif
