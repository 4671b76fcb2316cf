/** Sketched weights (SketchTune, arXiv 2410.06364): W[i, j] = table[i, g, code[i, j]], where each of a row's G groups
 * of K/G neighbouring columns has a table of L = 16, 8 or 4 values. The tables are trained, the codes frozen. The
 * layout is that of graft_weight; linear and lora take such a weight as it is, and here is what only it has. */
#ifndef GRAFT_OPS_SKETCH_H
#define GRAFT_OPS_SKETCH_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The codes of w from codes u8 in one of two layouts, row-major: [N, K], a byte each, or [N, G, K/G/2], which needs an
 * even K/G: the even column in the high nibble and the odd one in the low nibble, whatever the bits (the layout of the
 * published files). A code that is not below L is INVALID_ARGUMENT, and nothing is written; on CUDA
 * graft_context_synchronize reports the first one, and w is not to be used. */
GRAFT_API graft_status graft_sketch_pack(graft_context* context, const graft_tensor* codes, graft_weight* w);

/** codes, in either layout, from w. */
GRAFT_API graft_status graft_sketch_unpack(graft_context* context, const graft_weight* w, graft_tensor* codes);

/** matrix [N, K] float = W, each value of the table rounded once to its dtype. */
GRAFT_API graft_status graft_sketch_decode(graft_context* context, const graft_weight* w, graft_tensor* matrix);

/** dtable [N, G, L] f32 (f64 with f64), row-major: dtable[i, g, c] += Σ (dyᵀ x)[i, j] over the columns j of group g
 * with code c. dy [T, N], x [T, K] of one float dtype. dyᵀ x exists in small tiles only, in fp32. */
GRAFT_API graft_status graft_sketch_table_gradient(graft_context* context, const graft_tensor* dy,
                                                   const graft_tensor* x, const graft_weight* w, graft_tensor* dtable);

#ifdef __cplusplus
}
#endif
#endif
