// Arguments of block_diagonal; the contract is graft/ops/block_diagonal.h.
#pragma once

#include "graft/ops/block_diagonal.h"
#include "ops/ops.h"

namespace graft::ops {

struct BlockDiagonalForward {
  const graft_tensor* x;
  const graft_tensor* r;
  const graft_tensor* columns;  // may be NULL
  graft_tensor* y;
  void check() const;
};

struct BlockDiagonalBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL
  const graft_tensor* r;
  const graft_tensor* columns;  // may be NULL
  bool accumulate;
  graft_tensor* dx;  // may be NULL
  graft_tensor* dr;  // may be NULL
  void check() const;
};

}  // namespace graft::ops
