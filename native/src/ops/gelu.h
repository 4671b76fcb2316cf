// Arguments of gelu; the contract is graft/ops/gelu.h.
#pragma once

#include <cstdint>

#include "graft/ops/gelu.h"
#include "ops/ops.h"

namespace graft::ops {

struct GeluForward {
  std::int32_t kind;
  const graft_tensor* x;
  graft_tensor* y;
  void check() const;
};

struct GeluBackward {
  std::int32_t kind;
  const graft_tensor* dy;
  const graft_tensor* x;
  graft_tensor* dx;
  void check() const;
};

}  // namespace graft::ops
