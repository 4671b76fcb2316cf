/** Embedding: y[t] = scale · table[ids[t]]. */
#ifndef GRAFT_OPS_EMBEDDING_H
#define GRAFT_OPS_EMBEDDING_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** table [V, H] float, pitched; ids [T] i32 or i64, each in 0..V-1 (else INVALID_ARGUMENT naming position and value);
 * y [T, H] of table's dtype. */
GRAFT_API graft_status graft_embedding_forward(graft_context* context, const graft_tensor* table,
                                               const graft_tensor* ids, double scale, graft_tensor* y);

/** dtable [V, H] f32 (f64 with f64) += scale · dy by row; repeated ids are added in order of t. */
GRAFT_API graft_status graft_embedding_backward(graft_context* context, const graft_tensor* ids, const graft_tensor* dy,
                                                double scale, graft_tensor* dtable);

#ifdef __cplusplus
}
#endif
#endif
