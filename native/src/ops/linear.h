// Arguments of linear; the contract is graft/ops/linear.h.
#pragma once

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct LinearForward {
  const graft_tensor* x;
  const graft_weight* w;
  const graft_tensor* bias;  // may be NULL
  bool accumulate;
  graft_tensor* y;
  void check() const;
};

struct LinearBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL when dw is
  const graft_weight* w;
  bool accumulate;
  graft_tensor* dx;     // may be NULL
  graft_tensor* dw;     // may be NULL
  graft_tensor* dbias;  // may be NULL
  void check() const;
};

/** The checks of y = x Wᵀ + bias, for every op that is built on a linear layer. */
void check_layer_forward(const graft_tensor* x, const graft_weight* w, const graft_tensor* bias, const graft_tensor* y);

/** The checks of its backward. x may be NULL unless the gradient `wanted`, called `name`, needs it. */
void check_layer_backward(const graft_tensor* dy, const graft_tensor* x, const graft_weight* w, const graft_tensor* dx,
                          const graft_tensor* dbias, const char* name, const graft_tensor* wanted);

}  // namespace graft::ops
