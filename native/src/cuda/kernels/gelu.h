// gelu by tanh is x·s(x), s being the sigmoid of u = √(8/π)·(x + 0.044715·x³): what gelu and swiglu need of it.
#pragma once

#include "cuda/device.h"

namespace graft::cuda {

inline constexpr float kGeluScale = 1.5957691216057308f, kGeluCubic = 0.044715f;

/** why clamped: beyond, the sigmoid is 0 or 1 in every dtype, and the powers of x would be infinite times zero. */
GRAFT_DEVICE float near_zero(float x) { return fminf(fmaxf(x, -40.0f), 40.0f); }

/** s. */
GRAFT_DEVICE float gelu_sigmoid(float x) {
  const float n = near_zero(x);
  return 1 / (1 + expf(-kGeluScale * (n + kGeluCubic * n * n * n)));
}

/** (1 − s)·u', 1 − s being the sigmoid of −u. */
GRAFT_DEVICE float gelu_rest(float x) {
  const float n = near_zero(x);
  return gelu_sigmoid(-x) * kGeluScale * (1 + 3 * kGeluCubic * n * n);
}

}  // namespace graft::cuda
