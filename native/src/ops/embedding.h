// Arguments of embedding; the contract is graft/ops/embedding.h.
#pragma once

#include <cstdint>

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct EmbeddingForward {
  const graft_tensor* table;
  const graft_tensor* ids;
  double scale;
  graft_tensor* y;
  void check() const;
};

struct EmbeddingBackward {
  const graft_tensor* ids;
  const graft_tensor* dy;
  double scale;
  graft_tensor* dtable;
  void check() const;
};

}  // namespace graft::ops
