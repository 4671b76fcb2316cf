/** Copy with conversion, fill, add and transpose. */
#ifndef GRAFT_OPS_TENSOR_COPY_H
#define GRAFT_OPS_TENSOR_COPY_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y = x, converted to y's dtype (round to nearest even). Same shape, any strides; floats to floats, integers to
 * integers. */
GRAFT_API graft_status graft_tensor_copy(graft_context* context, const graft_tensor* x, graft_tensor* y);

/** Every element of y = value. */
GRAFT_API graft_status graft_tensor_fill(graft_context* context, double value, graft_tensor* y);

/** y += x, floats of one shape, any strides; sums in fp32. */
GRAFT_API graft_status graft_tensor_add(graft_context* context, const graft_tensor* x, graft_tensor* y);

/** y [C, R] = xᵀ, x [R, C] of the same dtype, one of the floats. */
GRAFT_API graft_status graft_tensor_transpose(graft_context* context, const graft_tensor* x, graft_tensor* y);

#ifdef __cplusplus
}
#endif
#endif
