// Arguments of rope; the contract is graft/ops/rope.h.
#pragma once

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct RopeFrequencies {
  double theta;
  double factor;  // 0: no scaling, and the next three have no meaning
  double low;
  double high;
  double original;
  graft_tensor* inv_freq;
  void check() const;
};

struct RopeForward {
  const graft_tensor* x;
  const graft_tensor* positions;
  const graft_tensor* inv_freq;
  bool interleaved;
  graft_tensor* y;
  void check() const;
};

struct RopeBackward {
  const graft_tensor* dy;
  const graft_tensor* positions;
  const graft_tensor* inv_freq;
  bool interleaved;
  graft_tensor* dx;
  void check() const;
};

}  // namespace graft::ops
