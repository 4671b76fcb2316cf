/** Linear layer: y = x Wᵀ + bias. */
#ifndef GRAFT_OPS_LINEAR_H
#define GRAFT_OPS_LINEAR_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** x [T, K], y [T, N], W [N, K]: one float dtype; bias [N] float or NULL. accumulate != 0: y += (a residual stream).
 * y may also be f32 when x and W are bf16 or f16. Where W is not dense, x and y have any float dtype, to which each
 * element of W is rounded when it is decoded (or not at all, which only comes closer). */
GRAFT_API graft_status graft_linear_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                            const graft_tensor* bias, int32_t accumulate, graft_tensor* y);

/** dx [T, K] = dy W (added to when accumulate != 0); dw [N, K] f32 (f64 with f64) += dyᵀ x; dbias [N] f32 += column
 * sums of dy. Each output may be NULL; x may be NULL when dw is. dw of a weight that is not dense is
 * UNSUPPORTED; graft_sketch_table_gradient is that of a sketch. */
GRAFT_API graft_status graft_linear_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                             const graft_weight* w, int32_t accumulate, graft_tensor* dx,
                                             graft_tensor* dw, graft_tensor* dbias);

#ifdef __cplusplus
}
#endif
#endif
