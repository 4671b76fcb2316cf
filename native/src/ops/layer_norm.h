// Arguments of layer_norm; the contract is graft/ops/layer_norm.h.
#pragma once

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct LayerNormForward {
  const graft_tensor* x;
  const graft_tensor* w;
  const graft_tensor* b;  // may be NULL
  double eps;
  graft_tensor* y;
  graft_tensor* stats;  // may be NULL
  void check() const;
};

struct LayerNormBackward {
  const graft_tensor* dy;
  const graft_tensor* x;
  const graft_tensor* w;
  const graft_tensor* stats;
  bool accumulate;
  graft_tensor* dx;  // may be NULL
  graft_tensor* dw;  // may be NULL
  graft_tensor* db;  // may be NULL
  void check() const;
};

}  // namespace graft::ops
