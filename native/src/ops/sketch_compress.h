// Arguments of sketch_compress; the contract is graft/ops/sketch_compress.h.
#pragma once

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct SketchCompressFactor {
  const graft_tensor* h;
  double damping;
  bool by_diagonal;
  graft_tensor *order, *r;
  void check() const;
};

struct SketchCompressMatrix {
  const graft_tensor *matrix, *order, *r;
  double exponent;
  graft_weight* w;
  graft_tensor* loss;
  void check() const;
};

}  // namespace graft::ops
