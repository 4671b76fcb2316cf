/** GELU in its tanh form (arXiv 1606.08415, section 2): y = x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). */
#ifndef GRAFT_OPS_GELU_H
#define GRAFT_OPS_GELU_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** x, y [T, F] of one float dtype, pitched; y may be x. */
GRAFT_API graft_status graft_gelu_forward(graft_context* context, const graft_tensor* x, graft_tensor* y);

/** dx = dy · gelu'(x), all [T, F] of one float dtype; dx is overwritten and may be dy or x. */
GRAFT_API graft_status graft_gelu_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                           graft_tensor* dx);

#ifdef __cplusplus
}
#endif
#endif
