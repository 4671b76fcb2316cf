// Arguments of cayley; the contract is graft/ops/cayley.h.
#pragma once

#include <cstdint>

#include "graft/ops/cayley.h"
#include "ops/ops.h"

namespace graft::ops {

struct CayleyForward {
  const graft_tensor* q;
  int terms;
  graft_tensor* r;
  void check() const;
};

struct CayleyBackward {
  const graft_tensor* dr;
  const graft_tensor* q;
  int terms;
  graft_tensor* dq;
  void check() const;
};

}  // namespace graft::ops
