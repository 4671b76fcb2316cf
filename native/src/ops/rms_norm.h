// Arguments of rms_norm; the contract is graft/ops/rms_norm.h.
#pragma once

#include <cstdint>

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct RmsNormForward {
  const graft_tensor* x;
  const graft_tensor* w;
  double eps;
  graft_tensor* y;
  graft_tensor* rstd;  // may be NULL
  void check() const;
};

struct RmsNormBackward {
  const graft_tensor* dy;
  const graft_tensor* x;
  const graft_tensor* w;
  const graft_tensor* rstd;
  bool accumulate;
  graft_tensor* dx;  // may be NULL
  graft_tensor* dw;  // may be NULL
  void check() const;
};

}  // namespace graft::ops
