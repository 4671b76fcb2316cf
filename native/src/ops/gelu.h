// Arguments of gelu; the contract is graft/ops/gelu.h.
#pragma once

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct GeluForward {
  const graft_tensor* x;
  graft_tensor* y;
  void check() const;
};

struct GeluBackward {
  const graft_tensor* dy;
  const graft_tensor* x;
  graft_tensor* dx;
  void check() const;
};

}  // namespace graft::ops
