/** The product with a block-diagonal matrix that is given as its difference from I: OFT rotates a layer's inputs by it
 * (arXiv 2306.07280, section 4). */
#ifndef GRAFT_OPS_BLOCK_DIAGONAL_H
#define GRAFT_OPS_BLOCK_DIAGONAL_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y [T, D·n] = x (I + diag(r_1 … r_D)): y[t, d·n + c] = x[t, d·n + c] + Σ_k x[t, d·n + k] · r[d, k, c]. x and y of one
 * float dtype, r float (usually f32), row-major: [D, n, n], or [1, n, n], the same for all blocks. y and x may not
 * overlap. columns [D·n] i32 or i64, or NULL: the order in which the blocks take x's columns and put y's, each once; so
 * a factor of BOFT's butterfly (arXiv 2311.06243, section 4) is P (I + diag(r_d)) Pᵀ. Blocks below 64 are multiplied
 * together with zeros beside them: an element of x that is not finite may spread within those, here and in backward. */
GRAFT_API graft_status graft_block_diagonal_forward(graft_context* context, const graft_tensor* x,
                                                    const graft_tensor* r, const graft_tensor* columns,
                                                    graft_tensor* y);

/** dx [T, D·n] = dy (I + diag(r_d))ᵀ, or += with accumulate; dr f32 (f64 with f64) in r's shape += Σ_t x[t, d]ᵀ dy[t,
 * d], with the same columns as forward. Each output may be NULL; x may be NULL where dr is. */
GRAFT_API graft_status graft_block_diagonal_backward(graft_context* context, const graft_tensor* dy,
                                                     const graft_tensor* x, const graft_tensor* r,
                                                     const graft_tensor* columns, int32_t accumulate, graft_tensor* dx,
                                                     graft_tensor* dr);

#ifdef __cplusplus
}
#endif
#endif
