// Arguments of activation; the contract is graft/ops/activation.h.
#pragma once

#include <cstdint>

#include "graft/ops/activation.h"
#include "ops/ops.h"

namespace graft::ops {

struct ActivationForward {
  std::int32_t kind;
  const graft_tensor* x;
  graft_tensor* y;
  void check() const;
};

struct ActivationBackward {
  std::int32_t kind;
  const graft_tensor* dy;
  const graft_tensor* y;
  graft_tensor* dx;
  void check() const;
};

}  // namespace graft::ops
