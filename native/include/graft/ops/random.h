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

#ifdef __cplusplus
}
#endif
#endif
