/** AdamW with decoupled weight decay (arXiv 1711.05101, algorithm 2) and clipping by the global norm. */
#ifndef GRAFT_OPS_ADAMW_H
#define GRAFT_OPS_ADAMW_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** sum [1] f64 += Σ g² over one gradient (f32 or f64), in a fixed order. Start from a zeroed sum and call once for each
 * gradient to get the squared global norm. */
GRAFT_API graft_status graft_adamw_squared_norm(graft_context* context, const graft_tensor* g, graft_tensor* sum);

/** One step of one parameter. With c = 1, or min(1, max_norm / (sqrt(squared_norm) + 1e-6)) when squared_norm [1] f64
 * is not NULL and max_norm > 0: g ← c·g; p ← p(1 − lr·weight_decay); m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − lr
 * · (m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + eps), t = step >= 1.
 *
 * p, g, m, v: f32 (or all f64), one shape, matrices may have a pitch; p_out: the parameter in its compute dtype (any
 * float, same shape), written from p, or NULL.
 *
 * Without a master: p is bf16 and without gaps, g f32, p_out NULL. p is moved in f32, then rounded to one of the two
 * bf16 values next to it, to each with the share of the distance to the other as probability, so that steps below half
 * a unit of the last place are not lost but right in the mean (stochastic rounding: arXiv 1502.02551, section 3; in
 * training with bf16 arXiv 2010.06192, section 4). seed, read in this case only: of the random bits, of which element
 * i, counted in row-major order, takes the i-th 16; use another one for each parameter and step. */
GRAFT_API graft_status graft_adamw_step(graft_context* context, const graft_tensor* g, double lr, double beta1,
                                        double beta2, double eps, double weight_decay, int64_t step, double max_norm,
                                        const graft_tensor* squared_norm, uint64_t seed, graft_tensor* p,
                                        graft_tensor* m, graft_tensor* v, graft_tensor* p_out);

/** Elements that share a scale in graft_adamw_step_8bit. */
#define GRAFT_ADAMW_BLOCK 256

/** The same step with the moments in 8 bits (arXiv 2110.02861, section 2): each run of GRAFT_ADAMW_BLOCK elements in
 * row-major order has a scale, its largest |m| or v, and codes of the dynamic map, ascending, signed for m and unsigned
 * for v, as bitsandbytes has them. The step itself uses the new moments before they are rounded; v > 0 is never
 * rounded to 0, for the next step divides by its root.
 *
 * m, v: u8, the shape of p; m_scale, v_scale: f32 [ceil(elements / GRAFT_ADAMW_BLOCK)]. Zero scales mean zero moments,
 * whatever the codes: the start. g and p f32 (or both f64), or p bf16 without a master; seed and p_out as above; all
 * without gaps. */
GRAFT_API graft_status graft_adamw_step_8bit(graft_context* context, const graft_tensor* g, double lr, double beta1,
                                             double beta2, double eps, double weight_decay, int64_t step,
                                             double max_norm, const graft_tensor* squared_norm, uint64_t seed,
                                             graft_tensor* p, graft_tensor* m, graft_tensor* m_scale, graft_tensor* v,
                                             graft_tensor* v_scale, graft_tensor* p_out);

#ifdef __cplusplus
}
#endif
#endif
