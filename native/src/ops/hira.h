// Arguments of hira; the contract is graft/ops/hira.h.
#pragma once

#include "graft/ops/hira.h"
#include "ops/ops.h"

namespace graft::ops {

struct HiraForward {
  const graft_tensor* x;
  const graft_weight* w;
  const graft_tensor* a;
  const graft_tensor* b;
  bool accumulate;
  graft_tensor* y;
  void check() const;
};

struct HiraBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL
  const graft_weight* w;
  const graft_tensor* a;
  const graft_tensor* b;
  bool accumulate;
  graft_tensor* dx;  // may be NULL
  graft_tensor* da;  // may be NULL
  graft_tensor* db;  // may be NULL
  void check() const;
};

struct HiraMerge {
  const graft_weight* w;
  const graft_tensor* a;
  const graft_tensor* b;
  graft_tensor* merged;
  void check() const;
};

}  // namespace graft::ops
