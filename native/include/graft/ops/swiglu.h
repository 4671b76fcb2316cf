/** Gated linear units (arXiv 2002.05202): y = f(gate) · up, SwiGLU with f(x) = x · sigmoid(x), GEGLU with GELU. */
#ifndef GRAFT_OPS_SWIGLU_H
#define GRAFT_OPS_SWIGLU_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum graft_glu_kind {
  GRAFT_GLU_SILU = 0,     /**< f(x) = x · sigmoid(x) */
  GRAFT_GLU_GELU_TANH = 1 /**< GELU in its tanh form, as graft/ops/gelu.h has it */
} graft_glu_kind;

/** gate, up, y [T, F] float, pitched; y may be gate or up. kind: a graft_glu_kind. */
GRAFT_API graft_status graft_swiglu_forward(graft_context* context, int32_t kind, const graft_tensor* gate,
                                            const graft_tensor* up, graft_tensor* y);

/** dgate, dup [T, F]: overwritten, may be gate and up themselves; either may be NULL. */
GRAFT_API graft_status graft_swiglu_backward(graft_context* context, int32_t kind, const graft_tensor* dy,
                                             const graft_tensor* gate, const graft_tensor* up, graft_tensor* dgate,
                                             graft_tensor* dup);

#ifdef __cplusplus
}
#endif
#endif
