/** Rotary position embedding (arXiv 2104.09864), half-split or interleaved pairs, whole or partial heads. */
#ifndef GRAFT_OPS_ROPE_H
#define GRAFT_OPS_ROPE_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How frequencies are scaled for more positions than a model was trained on. original: how many those were; a
 * frequency's turns: original / wavelength. */
typedef enum graft_rope_scaling {
  GRAFT_ROPE_NONE = 0,   /**< not; factor, low, high and original have no meaning */
  GRAFT_ROPE_LINEAR = 1, /**< all are divided by factor; low, high and original have no meaning */
  GRAFT_ROPE_LLAMA3 =
      2, /**< those with turns < low are divided, > high kept, between (turns − low)/(high − low) kept */
  GRAFT_ROPE_YARN = 3 /**< as llama3 (arXiv 2309.00071, section 3.2), between by i: from the place that has high turns,
                           rounded down, to that which has low, rounded up, less and less kept */
} graft_rope_scaling;

/** Inverse frequencies theta^(-2i/R), i < R/2 = length of inv_freq [R/2] f32, computed in double. scaling: a
 * graft_rope_scaling; factor > 0, 0 < low < high, original > 0 where they have a meaning. */
GRAFT_API graft_status graft_rope_frequencies(graft_context* context, double theta, int32_t scaling, double factor,
                                              double low, double high, double original, graft_tensor* inv_freq);

/** x, y [B, T, H, D] float, may be the same memory; positions [B, T] i32; inv_freq [R/2] f32 or f64, R <= D even: only
 * the first R of D are turned. interleaved != 0: pairs (2i, 2i+1), else (i, i+R/2). magnitude > 0: what cosines and
 * sines are multiplied with, and so the first R of D (YaRN's attention factor; 1 without). */
GRAFT_API graft_status graft_rope_forward(graft_context* context, const graft_tensor* x, const graft_tensor* positions,
                                          const graft_tensor* inv_freq, int32_t interleaved, double magnitude,
                                          graft_tensor* y);

/** dx = magnitude · the inverse rotation of dy, the transpose of forward; may be the same memory. */
GRAFT_API graft_status graft_rope_backward(graft_context* context, const graft_tensor* dy,
                                           const graft_tensor* positions, const graft_tensor* inv_freq,
                                           int32_t interleaved, double magnitude, graft_tensor* dx);

#ifdef __cplusplus
}
#endif
#endif
