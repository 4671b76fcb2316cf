/** Hard-concrete gates (arXiv 1712.01312, section 2.2) on a difference to a frozen weight: Diff pruning (arXiv
 * 2012.07463).
 *
 * W = W₀ + factor · z ∘ d, with a gate z in 0..1 for each entry that is exactly 0 or 1 with a probability that its
 * logit a says: s = σ(log u − log(1 − u) + a) with u ~ U(0, 1), s̄ = s · (upper − lower) + lower, z = min(1, max(0, s̄)).
 *
 * d and a [N, K] f32 (f64 with f64). Element i of u is that of graft_random_uniform for seed and offset + i, pulled in
 * by 2⁻²⁴ at both ends. lower < 0, upper > 1. */
#ifndef GRAFT_OPS_HARD_CONCRETE_H
#define GRAFT_OPS_HARD_CONCRETE_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where z comes from. */
typedef enum graft_gate_mode {
  GRAFT_GATE_SAMPLED = 0, /**< with u */
  GRAFT_GATE_MEAN = 1,    /**< with u = 1/2 */
  GRAFT_GATE_FIXED = 2    /**< 1 where a > 0, else 0 */
} graft_gate_mode;

/** W = original + factor · z ∘ d, rounded once to W's dtype; original [N, K] of W's dtype. */
GRAFT_API graft_status graft_hard_concrete_write(graft_context* context, const graft_tensor* d, const graft_tensor* a,
                                                 const graft_tensor* original, graft_gate_mode mode, uint64_t seed,
                                                 uint64_t offset, double lower, double upper, double factor,
                                                 graft_weight* w);

/** g [N, K] f32 (f64) is dW on entry and becomes the gradient of d, factor · z ∘ dW; da [N, K] += factor · dW ∘ d ∘
 * dz/da + penalty · dp/da with p = σ(a − log(−lower / upper)), the probability that z > 0; sums [2] f64 += (Σ p, Σ dW ∘
 * d ∘ z). With fixed gates da is not changed and p is z. Same bits for any number of threads. */
GRAFT_API graft_status graft_hard_concrete_backward(graft_context* context, const graft_tensor* d,
                                                    const graft_tensor* a, graft_gate_mode mode, uint64_t seed,
                                                    uint64_t offset, double lower, double upper, double factor,
                                                    double penalty, graft_tensor* g, graft_tensor* da,
                                                    graft_tensor* sums);

#ifdef __cplusplus
}
#endif
#endif
