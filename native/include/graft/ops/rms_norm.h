/** Root mean square norm (arXiv 1910.07467): y = x / sqrt(mean(x²) + eps) · w, row by row. */
#ifndef GRAFT_OPS_RMS_NORM_H
#define GRAFT_OPS_RMS_NORM_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** x, y [T, H] float, pitched, may be the same memory; w [H] float; rstd [T] f32 (f64 with f64), kept for backward, may
 * be NULL. eps > 0. */
GRAFT_API graft_status graft_rms_norm_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w,
                                              double eps, graft_tensor* y, graft_tensor* rstd);

/** dx [T, H]: overwritten, or added to when accumulate != 0 (the residual path of a block); may be dy's memory when not
 * accumulating; NULL: not wanted. dw [H] f32 (f64 with f64): accumulated, NULL when w is frozen. Fixed order. */
GRAFT_API graft_status graft_rms_norm_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                               const graft_tensor* w, const graft_tensor* rstd, int32_t accumulate,
                                               graft_tensor* dx, graft_tensor* dw);

#ifdef __cplusplus
}
#endif
#endif
