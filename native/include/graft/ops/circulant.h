/** Products with a matrix of circulant blocks (C3A, arXiv 2407.19342, section 3): block m, n of D is the circulant
 * matrix of a vector w[m, n], so that D [N, K] has N·K / B numbers of its own and may have any rank. */
#ifndef GRAFT_OPS_CIRCULANT_H
#define GRAFT_OPS_CIRCULANT_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y [T, M·B] = x Dᵀ, or += with accumulate, where D[m·B + i, n·B + j] = scale · w[m, n, (j - i) mod B]. x [T, n·B] and
 * y of one float dtype; w [M, n, B] float (usually f32), row-major, no size 0. D is never made: x and w go to
 * frequencies, where a circulant block is a complex number for each. Nothing is kept for backward. */
GRAFT_API graft_status graft_circulant_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w,
                                               double scale, int32_t accumulate, graft_tensor* y);

/** dx = dy D, or += with accumulate; dw [M, n, B] f32 (f64 with f64) +=. Each output may be NULL; x may be NULL where
 * dw is. */
GRAFT_API graft_status graft_circulant_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                                const graft_tensor* w, double scale, int32_t accumulate,
                                                graft_tensor* dx, graft_tensor* dw);

/** merged [N, K] of W's dtype = W + D, rounded once; may be W's own memory. W is dense. */
GRAFT_API graft_status graft_circulant_merge(graft_context* context, const graft_weight* weight, const graft_tensor* w,
                                             double scale, graft_tensor* merged);

#ifdef __cplusplus
}
#endif
#endif
