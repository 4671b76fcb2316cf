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

/** A parameter of graft_adamw_steps. What may be NULL says so.
 *
 * g, p, m, v, p_out: as in graft_adamw_step, and m, v with m_scale, v_scale as in graft_adamw_step_8bit where both
 * scales are there. lr, weight_decay, seed: this parameter's own.
 *
 * w (PaCA, graft/ops/paca.h): p [N, r] f32 or f64 is the delta D of columns of a dense weight, which get it in the same
 * pass: w[:, indices] = original + scale · p, bit by bit as graft_paca_write does it. original [N, r] of w's dtype,
 * indices [r] i32 or i64, different from each other, each in 0..K-1; p_out NULL. On CUDA an index outside names no
 * column; graft_paca_forward reports it. */
typedef struct graft_adamw_parameter {
  const graft_tensor* g;
  double lr;
  double weight_decay;
  uint64_t seed;
  graft_tensor* p;
  graft_tensor* m;
  graft_tensor* m_scale; /**< or NULL */
  graft_tensor* v;
  graft_tensor* v_scale;        /**< or NULL */
  graft_tensor* p_out;          /**< or NULL */
  const graft_tensor* original; /**< read where w is there, as indices and scale are */
  const graft_tensor* indices;
  double scale;
  graft_weight* w; /**< or NULL */
} graft_adamw_parameter;

/** sum [1] f64 += Σ g² over the gradients of parameters [count], of which it reads no more: the bits of a call of
 * graft_adamw_squared_norm for each, in order, by the one implementation that serves the whole table, in few launches
 * on CUDA and one parallel part on the CPU. */
GRAFT_API graft_status graft_adamw_squared_norms(graft_context* context, const graft_adamw_parameter* parameters,
                                                 int64_t count, graft_tensor* sum);

/** The step of each of parameters [count]: the bits of a call of graft_adamw_step or graft_adamw_step_8bit for each,
 * and of graft_paca_write where w is there, by the one implementation that serves the whole table. Small parameters (an
 * adapter has hundreds) so cost a launch for many of them. The table is in host memory and is read before the call
 * returns. No tensor that is written may be another parameter's, which is not checked. An error names the first
 * parameter that is wrong, before any is moved. */
GRAFT_API graft_status graft_adamw_steps(graft_context* context, const graft_adamw_parameter* parameters, int64_t count,
                                         double beta1, double beta2, double eps, int64_t step, double max_norm,
                                         const graft_tensor* squared_norm);

#ifdef __cplusplus
}
#endif
#endif
