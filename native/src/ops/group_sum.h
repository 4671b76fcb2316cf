// Arguments of group_sum; the contract is graft/ops/group_sum.h.
#pragma once

#include "graft/ops/group_sum.h"
#include "ops/ops.h"

namespace graft::ops {

struct GroupSumForward {
  const graft_tensor* x;
  double scale;
  graft_tensor* y;
  void check() const;
};

struct GroupSumBackward {
  const graft_tensor* dy;
  double scale;
  bool accumulate;
  graft_tensor* dx;
  void check() const;
};

}  // namespace graft::ops
