/** The Khatri-Rao product of two matrices: all products of a row of the one and a row of the other, element by element.
 * It turns a Hadamard product of low-rank matrices into one low-rank product (LoHa, arXiv 2108.06098, proposition 1):
 * (B1 A1) ⊙ (B2 A2) = B A, with B [N, r²] and A [r², K] the products of the factors' columns and rows. */
#ifndef GRAFT_OPS_KHATRI_RAO_H
#define GRAFT_OPS_KHATRI_RAO_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Of rows, with columns 0: u [P, C], v [Q, C], y [P·Q, C], y[i·Q + j, c] = u[i, c] · v[j, c].
 * Of columns, else:         u [C, P], v [C, Q], y [C, P·Q], y[c, i·Q + j] = u[c, i] · v[c, j].
 * u and v float of one dtype (usually f32 masters), y any float dtype, overlapping neither. */
GRAFT_API graft_status graft_khatri_rao_forward(graft_context* context, const graft_tensor* u, const graft_tensor* v,
                                                int32_t columns, graft_tensor* y);

/** du += Σ_j dy ⊙ v, dv += Σ_i dy ⊙ u, in the shapes of u and v: f32, or f64 where u is, as dy is, in y's shape. Each
 * output may be NULL. */
GRAFT_API graft_status graft_khatri_rao_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* u,
                                                 const graft_tensor* v, int32_t columns, graft_tensor* du,
                                                 graft_tensor* dv);

#ifdef __cplusplus
}
#endif
#endif
