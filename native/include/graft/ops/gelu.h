/** GELU (arXiv 1606.08415, section 2): y = x Φ(x), Φ the normal distribution, or Φ by a hyperbolic tangent. */
#ifndef GRAFT_OPS_GELU_H
#define GRAFT_OPS_GELU_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum graft_gelu_kind {
  GRAFT_GELU_TANH = 0, /**< y = x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))) */
  GRAFT_GELU_ERF = 1   /**< y = x/2 · (1 + erf(x/√2)) */
} graft_gelu_kind;

/** x, y [T, F] of one float dtype, pitched; y may be x. kind: a graft_gelu_kind. */
GRAFT_API graft_status graft_gelu_forward(graft_context* context, int32_t kind, const graft_tensor* x, graft_tensor* y);

/** dx = dy · gelu'(x), all [T, F] of one float dtype; dx is overwritten and may be dy or x. */
GRAFT_API graft_status graft_gelu_backward(graft_context* context, int32_t kind, const graft_tensor* dy,
                                           const graft_tensor* x, graft_tensor* dx);

#ifdef __cplusplus
}
#endif
#endif
