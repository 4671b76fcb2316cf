// Arguments of ia3; the contract is graft/ops/ia3.h.
#pragma once

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct Ia3Forward {
  const graft_tensor* x;
  const graft_weight* w;
  const graft_tensor* l_in;   // may be NULL
  const graft_tensor* l_out;  // may be NULL
  const graft_tensor* bias;   // may be NULL
  bool accumulate;
  graft_tensor* y;
  graft_tensor* z;  // may be NULL
  void check() const;
};

struct Ia3Backward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL when dl_in is
  const graft_tensor* z;  // may be NULL when dl_out is
  const graft_weight* w;
  const graft_tensor* l_in;   // may be NULL
  const graft_tensor* l_out;  // may be NULL
  bool accumulate;
  graft_tensor* dx;      // may be NULL
  graft_tensor* dl_in;   // may be NULL
  graft_tensor* dl_out;  // may be NULL
  graft_tensor* dbias;   // may be NULL
  void check() const;
};

struct Ia3Merge {
  const graft_weight* w;
  const graft_tensor* l_in;   // may be NULL
  const graft_tensor* l_out;  // may be NULL
  graft_tensor* merged;
  void check() const;
};

}  // namespace graft::ops
