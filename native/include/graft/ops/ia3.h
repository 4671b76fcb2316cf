/** (IA)³ (arXiv 2205.05638, section 3.3): a frozen linear layer whose inputs or outputs are rescaled by trained
 * vectors. */
#ifndef GRAFT_OPS_IA3_H
#define GRAFT_OPS_IA3_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y = z ⊙ l_out with z = (x ⊙ l_in) Wᵀ + bias.
 *
 * x [T, K], y and z [T, N] of W's dtype; l_in [K], l_out [N], bias [N] float (usually f32 masters), each NULL for none.
 * z: kept for the gradient of l_out, else NULL; it is the layer's output before scaling, since l_out may be 0.
 * accumulate != 0: y += (a residual stream). */
GRAFT_API graft_status graft_ia3_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                         const graft_tensor* l_in, const graft_tensor* l_out, const graft_tensor* bias,
                                         int32_t accumulate, graft_tensor* y, graft_tensor* z);

/** With dxs = (dy ⊙ l_out) W: dx [T, K] = dxs ⊙ l_in (added to when accumulate != 0); dl_in [K] f32 += Σ_t dxs ⊙ x;
 * dl_out [N] f32 += Σ_t dy ⊙ z; dbias [N] f32 += l_out ⊙ Σ_t dy. Gradients are f64 with f64. Each output may be NULL; x
 * may be NULL when dl_in is, z when dl_out is; a gradient of a vector that is NULL is an error. */
GRAFT_API graft_status graft_ia3_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                          const graft_tensor* z, const graft_weight* w, const graft_tensor* l_in,
                                          const graft_tensor* l_out, int32_t accumulate, graft_tensor* dx,
                                          graft_tensor* dl_in, graft_tensor* dl_out, graft_tensor* dbias);

/** merged [N, K] of W's dtype = diag(l_out) W diag(l_in); may be W's own memory (merge in place). A bias is merged as a
 * weight [N, 1] without l_in. */
GRAFT_API graft_status graft_ia3_merge(graft_context* context, const graft_weight* w, const graft_tensor* l_in,
                                       const graft_tensor* l_out, graft_tensor* merged);

#ifdef __cplusplus
}
#endif
#endif
