// Arguments of khatri_rao; the contract is graft/ops/khatri_rao.h.
#pragma once

#include <cstdint>

#include "graft/ops/khatri_rao.h"
#include "ops/ops.h"

namespace graft::ops {

struct KhatriRaoForward {
  const graft_tensor* u;
  const graft_tensor* v;
  bool columns;
  graft_tensor* y;
  std::int64_t p() const { return u->shape[columns ? 1 : 0]; }
  std::int64_t q() const { return v->shape[columns ? 1 : 0]; }
  std::int64_t common() const { return u->shape[columns ? 0 : 1]; }
  void check() const;
};

struct KhatriRaoBackward {
  const graft_tensor* dy;
  const graft_tensor* u;
  const graft_tensor* v;
  bool columns;
  graft_tensor* du;  // may be NULL
  graft_tensor* dv;  // may be NULL
  std::int64_t p() const { return u->shape[columns ? 1 : 0]; }
  std::int64_t q() const { return v->shape[columns ? 1 : 0]; }
  std::int64_t common() const { return u->shape[columns ? 0 : 1]; }
  void check() const;
};

}  // namespace graft::ops
