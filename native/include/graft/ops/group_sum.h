/** Sums of groups of neighbouring columns: what QA-LoRA's adapter sees of a layer's inputs (arXiv 2309.14717, section
 * 3.3), so that its change of W is the same in all columns of a group. */
#ifndef GRAFT_OPS_GROUP_SUM_H
#define GRAFT_OPS_GROUP_SUM_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y [T, G] of x [T, G·g]: y[t, j] = scale · Σ_i x[t, j·g + i], summed in fp32. One float dtype; no overlap. */
GRAFT_API graft_status graft_group_sum_forward(graft_context* context, const graft_tensor* x, double scale,
                                               graft_tensor* y);

/** dx[t, j·g + i] = scale · dy[t, j], or += with accumulate. dx [T, G·g], dy [T, G] of one float dtype. */
GRAFT_API graft_status graft_group_sum_backward(graft_context* context, const graft_tensor* dy, double scale,
                                                int32_t accumulate, graft_tensor* dx);

#ifdef __cplusplus
}
#endif
#endif
