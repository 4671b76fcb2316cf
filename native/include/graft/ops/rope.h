/** Rotary position embedding (arXiv 2104.09864), half-split or interleaved pairs, whole or partial heads. */
#ifndef GRAFT_OPS_ROPE_H
#define GRAFT_OPS_ROPE_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Inverse frequencies theta^(-2i/R), i < R/2 = length of inv_freq [R/2] f32, computed in double. factor > 0 applies
 * the llama3 scaling: wavelengths longer than original/low are divided by factor, shorter than original/high kept,
 * between interpolated by (original/wavelength − low)/(high − low). factor = 0: none. */
GRAFT_API graft_status graft_rope_frequencies(graft_context* context, double theta, double factor, double low,
                                              double high, double original, graft_tensor* inv_freq);

/** x, y [B, T, H, D] float, may be the same memory; positions [B, T] i32; inv_freq [R/2] f32 or f64, R <= D even: only
 * the first R of D are turned. interleaved != 0: pairs (2i, 2i+1), else (i, i+R/2). */
GRAFT_API graft_status graft_rope_forward(graft_context* context, const graft_tensor* x, const graft_tensor* positions,
                                          const graft_tensor* inv_freq, int32_t interleaved, graft_tensor* y);

/** dx = the inverse rotation of dy; may be the same memory. */
GRAFT_API graft_status graft_rope_backward(graft_context* context, const graft_tensor* dy,
                                           const graft_tensor* positions, const graft_tensor* inv_freq,
                                           int32_t interleaved, graft_tensor* dx);

#ifdef __cplusplus
}
#endif
#endif
