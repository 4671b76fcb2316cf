// Arguments of kronecker; the contract is graft/ops/kronecker.h.
#pragma once

#include <cstdint>

#include "graft/ops/kronecker.h"
#include "ops/ops.h"

namespace graft::ops {

/** D = scale · Σ_m w1[m] ⊗ (b[m] a[m]), and its sizes. */
struct KroneckerFactors {
  const graft_tensor* w1;
  const graft_tensor* b;
  const graft_tensor* a;  // NULL: b is w2
  double scale;

  std::int64_t sums() const { return w1->shape[0]; }
  std::int64_t p() const { return w1->shape[1]; }
  std::int64_t q() const { return w1->shape[2]; }
  std::int64_t high() const { return b->shape[1]; }                               // N/P
  std::int64_t inner() const { return b->shape[2]; }                              // r, or K/Q
  std::int64_t wide() const { return a == nullptr ? b->shape[2] : a->shape[2]; }  // K/Q
  std::int64_t n() const { return p() * high(); }
  std::int64_t k() const { return q() * wide(); }
  void check() const;
};

struct KroneckerForward {
  const graft_tensor* x;
  KroneckerFactors d;
  bool accumulate;
  graft_tensor* y;
  void check() const;
};

struct KroneckerBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL
  KroneckerFactors d;
  bool accumulate;
  graft_tensor* dx;   // may be NULL
  graft_tensor* dw1;  // may be NULL
  graft_tensor* db;   // may be NULL
  graft_tensor* da;   // may be NULL
  void check() const;
};

struct KroneckerMerge {
  const graft_weight* w;
  KroneckerFactors d;
  graft_tensor* merged;
  void check() const;
};

}  // namespace graft::ops
