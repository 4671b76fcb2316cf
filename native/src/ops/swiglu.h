// Arguments of swiglu; the contract is graft/ops/swiglu.h.
#pragma once

#include <cstdint>

#include "graft/ops/swiglu.h"
#include "ops/ops.h"

namespace graft::ops {

struct SwigluForward {
  std::int32_t kind;
  const graft_tensor* gate;
  const graft_tensor* up;
  graft_tensor* y;
  void check() const;
};

struct SwigluBackward {
  std::int32_t kind;
  const graft_tensor* dy;
  const graft_tensor* gate;
  const graft_tensor* up;
  graft_tensor* dgate;  // may be NULL
  graft_tensor* dup;    // may be NULL
  void check() const;
};

}  // namespace graft::ops
