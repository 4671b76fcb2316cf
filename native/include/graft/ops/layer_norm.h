/** Layer norm (arXiv 1607.06450): y = (x − mean(x)) / sqrt(var(x) + eps) · w + b, row by row. */
#ifndef GRAFT_OPS_LAYER_NORM_H
#define GRAFT_OPS_LAYER_NORM_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** x, y [T, H] float, pitched, may be the same memory; w, b [H] float, b may be NULL: 0. var is the mean of squares
 * about the mean. stats [T, 2] f32 (f64 with f64): mean and 1 / sqrt(var + eps), kept for backward, may be NULL. eps >
 * 0. */
GRAFT_API graft_status graft_layer_norm_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w,
                                                const graft_tensor* b, double eps, graft_tensor* y,
                                                graft_tensor* stats);

/** dx [T, H]: overwritten, or added to when accumulate != 0 (the residual path of a block); may be dy's memory when not
 * accumulating; NULL: not wanted. dw, db [H] f32 (f64 with f64): accumulated, each NULL when not wanted. Fixed order.
 */
GRAFT_API graft_status graft_layer_norm_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                                 const graft_tensor* w, const graft_tensor* stats, int32_t accumulate,
                                                 graft_tensor* dx, graft_tensor* dw, graft_tensor* db);

#ifdef __cplusplus
}
#endif
#endif
