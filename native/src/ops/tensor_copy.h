// Arguments of tensor_copy, tensor_fill, tensor_add and tensor_transpose; the contract is graft/ops/tensor_copy.h.
#pragma once

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct TensorCopy {
  const graft_tensor* x;
  graft_tensor* y;
  void check() const;
};

struct TensorFill {
  double value;
  graft_tensor* y;
  void check() const;
};

struct TensorAdd {
  const graft_tensor* x;
  graft_tensor* y;
  void check() const;
};

struct TensorTranspose {
  const graft_tensor* x;
  graft_tensor* y;
  void check() const;
};

/** INVALID_ARGUMENT with place and value for an integer that y's dtype cannot hold. For implementations whose x is in
 * host memory: to be called before anything is written. */
void check_integers_fit(const TensorCopy& copy);

}  // namespace graft::ops
