// Arguments of rows; the contract is graft/ops/rows.h.
#pragma once

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct RowsGradient {
  const graft_tensor* dy;
  const graft_tensor* x;
  const graft_tensor* indices;
  graft_tensor* dd;
  void check() const;
};

struct RowsRead {
  const graft_weight* w;
  const graft_tensor* indices;
  graft_tensor* rows;
  void check() const;
};

struct RowsWrite {
  const graft_tensor* d;  // may be NULL
  const graft_tensor* original;
  const graft_tensor* indices;
  graft_weight* w;
  void check() const;
};

}  // namespace graft::ops
