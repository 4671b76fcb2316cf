// Arguments of row_scale; the contract is graft/ops/row_scale.h.
#pragma once

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct RowScaleForward {
  const graft_tensor* x;
  const graft_tensor* s;
  graft_tensor* y;
  void check() const;
};

struct RowScaleBackward {
  const graft_tensor* dy;
  const graft_tensor* x;
  const graft_tensor* s;
  graft_tensor* dx;  // may be NULL
  graft_tensor* ds;  // may be NULL
  void check() const;
};

}  // namespace graft::ops
