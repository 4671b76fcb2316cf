/** Rotations from the entries of skew-symmetric matrices (OFT, arXiv 2306.07280, section 4; the series:
 * arXiv 2506.19847).
 *
 * q [D, n·(n-1)/2] holds the entries above the diagonals of D matrices Q [n, n] = -Qᵀ, row by row; or q [D, n, n] any
 * matrices, and Q is (q - qᵀ) / 2. With terms 0 each gives the rotation R = (I - Q)(I + Q)⁻¹. With terms m > 0 it gives
 * R = I + 2Q + 2Q² + … + 2Q^(m-2) + Q^(m-1): the first m terms of (I + Q)(I - Q)⁻¹, the last one halved, as PEFT
 * computes them, where 2 terms are I + 2Q and 3 are those of 4. What is written is R - I, which a narrow dtype holds
 * far more exactly than R. */
#ifndef GRAFT_OPS_CAYLEY_H
#define GRAFT_OPS_CAYLEY_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** r [D, n, n] = R - I, row-major, of any float dtype; q float, n from r's shape. terms 0 to 16. */
GRAFT_API graft_status graft_cayley_forward(graft_context* context, const graft_tensor* q, int32_t terms,
                                            graft_tensor* r);

/** dq += the gradient of q, f32 (f64 where q is), as dr [D, n, n], row-major, is. */
GRAFT_API graft_status graft_cayley_backward(graft_context* context, const graft_tensor* dr, const graft_tensor* q,
                                             int32_t terms, graft_tensor* dq);

#ifdef __cplusplus
}
#endif
#endif
