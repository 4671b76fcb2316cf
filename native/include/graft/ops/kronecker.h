/** Sums of Kronecker products as a change of a linear layer (LoKr, arXiv 2309.14859, section 3.2; KronA, arXiv
 * 2212.10650; parametrised hypercomplex multiplication, arXiv 2106.04647).
 *
 * D [N, K] = scale · Σ_m w1[m] ⊗ w2[m] with w1 [M, P, Q], w2[m] [N/P, K/Q], so that D[p·N/P + j, q·K/Q + k] is
 * scale · Σ_m w1[m, p, q] · w2[m, j, k]. w2[m] is b[m] a[m] with b [M, N/P, r] and a [M, r, K/Q], or where a is NULL b
 * itself, [M, N/P, K/Q]. D is never made: x is seen as [T, Q, K/Q], multiplied by a, mixed by w1, multiplied by b.
 *
 * w1, b, a: float of any dtype (usually f32 masters), last two dimensions without a gap; M, P, Q and r at least 1; P
 * divides N and Q divides K. */
#ifndef GRAFT_OPS_KRONECKER_H
#define GRAFT_OPS_KRONECKER_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y [T, N] = x Dᵀ, or y += x Dᵀ with accumulate. x [T, K] and y of one float dtype. Nothing is kept for backward. */
GRAFT_API graft_status graft_kronecker_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w1,
                                               const graft_tensor* b, const graft_tensor* a, double scale,
                                               int32_t accumulate, graft_tensor* y);

/** dx [T, K] = dy D, or += with accumulate; dw1, db, da f32 (f64 with f64) are added to, in the shapes of w1, b, a.
 * Each output may be NULL, x too where none of dw1, db and da is wanted, and da must be NULL where a is. dy [T, N], x
 * and dx of one float dtype. */
GRAFT_API graft_status graft_kronecker_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                                const graft_tensor* w1, const graft_tensor* b, const graft_tensor* a,
                                                double scale, int32_t accumulate, graft_tensor* dx, graft_tensor* dw1,
                                                graft_tensor* db, graft_tensor* da);

/** merged [N, K] of W's dtype = W + D, rounded once; may be W's own memory. W is dense. */
GRAFT_API graft_status graft_kronecker_merge(graft_context* context, const graft_weight* w, const graft_tensor* w1,
                                             const graft_tensor* b, const graft_tensor* a, double scale,
                                             graft_tensor* merged);

#ifdef __cplusplus
}
#endif
#endif
