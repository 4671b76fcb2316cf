// Arguments of rope; the contract is graft/ops/rope.h.
#pragma once

#include <cstdint>

#include "graft/ops/rope.h"
#include "ops/ops.h"

namespace graft::ops {

struct RopeFrequencies {
  double theta;
  std::int32_t scaling;
  double factor;
  double low;
  double high;
  double original;
  graft_tensor* inv_freq;
  double factor_or_one() const { return scaling == GRAFT_ROPE_NONE ? 1 : factor; }
  void check() const;
};

struct RopeForward {
  const graft_tensor* x;
  const graft_tensor* positions;
  const graft_tensor* inv_freq;
  bool interleaved;
  double magnitude;
  graft_tensor* y;
  void check() const;
};

struct RopeBackward {
  const graft_tensor* dy;
  const graft_tensor* positions;
  const graft_tensor* inv_freq;
  bool interleaved;
  double magnitude;
  graft_tensor* dx;
  void check() const;
};

}  // namespace graft::ops
