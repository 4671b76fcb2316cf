/** Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). Element i depends on seed, offset + i only. */
#ifndef GRAFT_OPS_RANDOM_H
#define GRAFT_OPS_RANDOM_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y ~ U[low, high), row-major order of elements. */
GRAFT_API graft_status graft_random_uniform(graft_context* context, uint64_t seed, uint64_t offset, double low,
                                            double high, graft_tensor* y);

/** y ~ N(mean, deviation²), Box-Muller, row-major order of elements. */
GRAFT_API graft_status graft_random_normal(graft_context* context, uint64_t seed, uint64_t offset, double mean,
                                           double deviation, graft_tensor* y);

/** y += factor · z with z ~ N(0, 1), the numbers of graft_random_normal: a perturbation that can be taken back without
 * being stored (MeZO, arXiv 2305.17333, algorithm 1). */
GRAFT_API graft_status graft_random_add_normal(graft_context* context, uint64_t seed, uint64_t offset, double factor,
                                               graft_tensor* y);

/** y = y / keep with the probability keep, else 0, where the number of graft_random_uniform in [0, 1) is below keep: a
 * mask of gradients (Child-tuning, arXiv 2109.05687, section 3). 0 < keep <= 1. */
GRAFT_API graft_status graft_random_keep(graft_context* context, uint64_t seed, uint64_t offset, double keep,
                                         graft_tensor* y);

#ifdef __cplusplus
}
#endif
#endif
