// Arguments of sketch; the contract is graft/ops/sketch.h.
#pragma once

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct SketchPack {
  const graft_tensor* codes;
  graft_weight* w;
  void check() const;
};

struct SketchUnpack {
  const graft_weight* w;
  graft_tensor* codes;
  void check() const;
};

struct SketchDecode {
  const graft_weight* w;
  graft_tensor* matrix;
  void check() const;
};

struct SketchTableGradient {
  const graft_tensor *dy, *x;
  const graft_weight* w;
  graft_tensor* dtable;
  void check() const;
};

}  // namespace graft::ops
