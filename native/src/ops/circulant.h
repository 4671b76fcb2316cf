// Arguments of circulant; the contract is graft/ops/circulant.h.
#pragma once

#include <cstdint>

#include "graft/ops/circulant.h"
#include "ops/ops.h"

namespace graft::ops {

struct CirculantForward {
  const graft_tensor* x;
  const graft_tensor* w;
  double scale;
  bool accumulate;
  graft_tensor* y;
  void check() const;
};

struct CirculantBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL
  const graft_tensor* w;
  double scale;
  bool accumulate;
  graft_tensor* dx;  // may be NULL
  graft_tensor* dw;  // may be NULL
  void check() const;
};

struct CirculantMerge {
  const graft_weight* weight;
  const graft_tensor* w;
  double scale;
  graft_tensor* merged;
  void check() const;
};

}  // namespace graft::ops
