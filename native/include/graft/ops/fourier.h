/** Products with a matrix that is given by a few entries of its two-dimensional spectrum (FourierFT, arXiv 2405.03003,
 * section 3). */
#ifndef GRAFT_OPS_FOURIER_H
#define GRAFT_OPS_FOURIER_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y [T, N] = x Dᵀ, or += with accumulate. D is the real part of the inverse two-dimensional Fourier transform of the
 * matrix that has c[l] at (u[l], v[l]) and else zeros, times scale:
 *
 *   D[n, k] = scale / (N·K) · Σ_l c[l] · cos(2π (u[l]·n / N + v[l]·k / K))
 *
 * x [T, K] and y of one float dtype; c [L] float (usually f32); places [2, L] i32 or i64, u in 0..N-1 above v in
 * 0..K-1. D is never made: x goes to its frequencies, L of them are moved and weighed, and what they make is y. Nothing
 * is kept for backward. */
GRAFT_API graft_status graft_fourier_forward(graft_context* context, const graft_tensor* x, const graft_tensor* c,
                                             const graft_tensor* places, double scale, int32_t accumulate,
                                             graft_tensor* y);

/** dx [T, K] = dy D, or += with accumulate; dc [L] f32 (f64 with f64) +=. Each output may be NULL; x may be NULL where
 * dc is. `inputs` is K. */
GRAFT_API graft_status graft_fourier_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                              const graft_tensor* c, const graft_tensor* places, double scale,
                                              int64_t inputs, int32_t accumulate, graft_tensor* dx, graft_tensor* dc);

/** merged [N, K] of W's dtype = W + D, rounded once; may be W's own memory. W is dense. */
GRAFT_API graft_status graft_fourier_merge(graft_context* context, const graft_weight* w, const graft_tensor* c,
                                           const graft_tensor* places, double scale, graft_tensor* merged);

#ifdef __cplusplus
}
#endif
#endif
