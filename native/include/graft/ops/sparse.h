/** Sparse fine-tuning (SHiRA, arXiv 2406.13175; FishMask, arXiv 2111.09839): chosen entries of W are trained in place.
 *
 * W[i_p, j_p] = W₀[i_p, j_p] + d_p with the trained delta d [nnz]. Forward and dx are the frozen layer's own, with the
 * entries written into W; here is what the entries need beside them.
 *
 * indices [2, nnz] i32 or i64: rows i in 0..N-1 above columns j in 0..K-1, strictly ascending by row and then column,
 * so that none repeats. Another order is INVALID_ARGUMENT, before anything is written. */
#ifndef GRAFT_OPS_SPARSE_H
#define GRAFT_OPS_SPARSE_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** dd [nnz] f32 (f64 with f64): dd[p] += Σ_t dy[t, i_p] · x[t, j_p]. dy [T, N], x [T, K] of one float dtype. dyᵀ x
 * exists in small tiles at most, in fp32. Same bits for any number of threads. */
GRAFT_API graft_status graft_sparse_gradient(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                             const graft_tensor* indices, graft_tensor* dd);

/** entries [nnz] of W's dtype = W[i, j]: the original to keep, from which graft_sparse_write starts. */
GRAFT_API graft_status graft_sparse_read(graft_context* context, const graft_weight* w, const graft_tensor* indices,
                                         graft_tensor* entries);

/** W[i, j] = original + d, rounded once to W's dtype; d [nnz] float (usually the f32 master), original [nnz] of W's
 * dtype. d NULL: W[i, j] = original, bit by bit. Call once after each optimiser step. */
GRAFT_API graft_status graft_sparse_write(graft_context* context, const graft_tensor* d, const graft_tensor* original,
                                          const graft_tensor* indices, graft_weight* w);

/** sums [N, K] f32 (f64 with f64) += g ∘ g, g [N, K] of the same dtype: over the gradients of single examples, the
 * diagonal of the empirical Fisher information (FishMask, equation 4, but for its factor). */
GRAFT_API graft_status graft_sparse_add_squares(graft_context* context, const graft_tensor* g, graft_tensor* sums);

/** What an entry is chosen by. */
typedef enum graft_sparse_score {
  GRAFT_SPARSE_ABSOLUTE = 0,  /**< |a|; b is NULL */
  GRAFT_SPARSE_PRODUCT = 1,   /**< |a · b|, as of weight and gradient */
  GRAFT_SPARSE_DIFFERENCE = 2 /**< |a − b|, as of a trained weight and its start */
} graft_sparse_score;

/** indices = the nnz entries with the largest score, or with the smallest where largest is 0; of equal ones those that
 * come first by row and column. a, b [N, K] float, nnz <= N · K. Scores are calculated in fp32; NaN is above all
 * numbers. */
GRAFT_API graft_status graft_sparse_select(graft_context* context, graft_sparse_score score, const graft_tensor* a,
                                           const graft_tensor* b, int32_t largest, graft_tensor* indices);

#ifdef __cplusplus
}
#endif
#endif
