/** A sketch weight out of a matrix and what its layer's inputs were like: the compressor of SketchTune (arXiv
 * 2410.06364), which is LeanQuant (arXiv 2407.10032) with exact clusters. The error that it keeps small is
 * Σ_i D_i H D_iᵀ / 2 over the rows D_i of W - Ŵ, where H [K, K] is a multiple of xᵀ x over calibration tokens. */
#ifndef GRAFT_OPS_SKETCH_COMPRESS_H
#define GRAFT_OPS_SKETCH_COMPRESS_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The factor of H that all layers with the same inputs share. order [K] i32 is the sequence in which columns are given
 * their codes: ascending, or with `by_diagonal` by falling diagonal of H (equal ones ascending). r [K, K] is upper
 * triangular, zero below, with
 *
 *     (r rᵀ)[i, j] = H[order[i], order[j]] + (i == j)·damping·mean diagonal of H
 *
 * h and r: f32 or both f64, pitched, apart from each other; only the part of h on and above its diagonal in that
 * sequence is read. A column whose diagonal is 0 had no inputs: its diagonal counts as 1 and the rest of its row and
 * column as 0, and it is marked by a negative diagonal of r. damping >= 0. INVALID_ARGUMENT for a diagonal that is
 * negative or not finite, and where the damped H is not positive definite in the precision of r, with the column; r is
 * then undefined. */
GRAFT_API graft_status graft_sketch_compress_factor(graft_context* context, const graft_tensor* h, double damping,
                                                    int32_t by_diagonal, graft_tensor* order, graft_tensor* r);

/** Fills codes and table of a sketch weight [N, K] from a matrix [N, K] float, row by row.
 *
 * 1. The table of a row's group is the optimum of weighted k-means in one dimension: the L values, ascending, with the
 *    least Σ_j s_j (W[i, j] - nearest value)², where s_j = |r_jj|^exponent, at least 1e-30 of the largest. Fewer
 *    different weights than L leave entries that repeat others.
 * 2. Columns in sequence: the code is that of the entry nearest to w' = W[i, j] + Σ_{m before j} D_m r_mj / r_jj, with
 *    D_m = W[i, m] - Ŵ[i, m] of the columns before.
 *
 * Weights of a column with negative r_jj count as 0. order and r as above, or both NULL: H = 1, which needs no memory
 * and no calibration, and in which each weight gets its nearest entry. The table is f32 (f64 only with r f64 or NULL);
 * 0 <= exponent <= 16. loss [N] f32: Σ_j (w' - Ŵ[i, j])² r_jj² / 2, which is D_i (r rᵀ) D_iᵀ / 2; may be NULL. A weight
 * that is not finite is INVALID_ARGUMENT, and nothing is written. */
GRAFT_API graft_status graft_sketch_compress_matrix(graft_context* context, const graft_tensor* matrix,
                                                    const graft_tensor* order, const graft_tensor* r, double exponent,
                                                    graft_weight* w, graft_tensor* loss);

#ifdef __cplusplus
}
#endif
#endif
