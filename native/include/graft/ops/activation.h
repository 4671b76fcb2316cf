/** Elementwise functions whose derivative is a function of their result: max(x, 0), tanh and sigmoid. */
#ifndef GRAFT_OPS_ACTIVATION_H
#define GRAFT_OPS_ACTIVATION_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum graft_activation_kind {
  GRAFT_ACTIVATION_RELU = 0, /**< max(x, 0); NaN stays NaN */
  GRAFT_ACTIVATION_TANH = 1,
  GRAFT_ACTIVATION_SIGMOID = 2 /**< 1 / (1 + exp(−x)) */
} graft_activation_kind;

/** y = f(x). x, y [T, F] of one float dtype, pitched; y may be x. kind: a graft_activation_kind. */
GRAFT_API graft_status graft_activation_forward(graft_context* context, int32_t kind, const graft_tensor* x,
                                                graft_tensor* y);

/** dx = dy · f'(x), from y = f(x): 1 where y > 0 and else 0 for relu, 1 − y² for tanh, y (1 − y)
 * for sigmoid. All [T, F] of one float dtype;
 * dx is overwritten and may be dy or y. */
GRAFT_API graft_status graft_activation_backward(graft_context* context, int32_t kind, const graft_tensor* dy,
                                                 const graft_tensor* y, graft_tensor* dx);

#ifdef __cplusplus
}
#endif
#endif
