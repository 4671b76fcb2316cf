/** SwiGLU (arXiv 2002.05202): y = gate · sigmoid(gate) · up. */
#ifndef GRAFT_OPS_SWIGLU_H
#define GRAFT_OPS_SWIGLU_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** gate, up, y [T, F] float, pitched; y may be gate or up. */
GRAFT_API graft_status graft_swiglu_forward(graft_context* context, const graft_tensor* gate, const graft_tensor* up,
                                            graft_tensor* y);

/** dgate, dup [T, F]: overwritten, may be gate and up themselves; either may be NULL. */
GRAFT_API graft_status graft_swiglu_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* gate,
                                             const graft_tensor* up, graft_tensor* dgate, graft_tensor* dup);

#ifdef __cplusplus
}
#endif
#endif
