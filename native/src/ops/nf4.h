// Arguments of nf4; the contract is graft/ops/nf4.h.
#pragma once

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct Nf4Quantize {
  const graft_tensor* matrix;
  graft_weight* w;
  void check() const;
};

struct Nf4Dequantize {
  const graft_weight* w;
  graft_tensor* matrix;
  void check() const;
};

}  // namespace graft::ops
