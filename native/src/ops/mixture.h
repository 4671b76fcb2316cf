// Arguments of mixture; the contract is graft/ops/mixture.h.
#pragma once

#include <cstdint>

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct MixtureRouteForward {
  const graft_tensor* logits;
  std::int64_t top_k;
  bool among_all;
  graft_tensor* gates;
  void check() const;
};

struct MixtureRouteBackward {
  const graft_tensor* logits;
  const graft_tensor* gates;
  const graft_tensor* dgates;  // may be NULL
  bool among_all;
  double balance;
  const graft_tensor* lengths;  // may be NULL
  graft_tensor* dlogits;
  graft_tensor* loss;  // may be NULL
  /** Whether a row counts in the balance. */
  bool counts(std::int64_t t) const {
    if (lengths == nullptr) return true;
    const std::int64_t length = logits->shape[0] / lengths->shape[0];
    return t % length < static_cast<const std::int32_t*>(lengths->data)[t / length];
  }
  void check() const;
};

struct MixtureBlocksForward {
  const graft_tensor* x;
  const graft_tensor* gates;
  double scale;
  graft_tensor* y;
  void check() const;
};

struct MixtureBlocksBackward {
  const graft_tensor* dy;
  const graft_tensor* x;
  const graft_tensor* gates;
  double scale;
  graft_tensor* dx;      // may be NULL
  graft_tensor* dgates;  // may be NULL
  void check() const;
};

struct MixtureVectorsForward {
  const graft_tensor* x;
  const graft_tensor* gates;
  const graft_tensor* v;
  bool accumulate;
  graft_tensor* y;
  void check() const;
};

struct MixtureVectorsBackward {
  const graft_tensor* dy;
  const graft_tensor* x;
  const graft_tensor* gates;
  const graft_tensor* v;
  graft_tensor* dx;      // may be NULL
  graft_tensor* dgates;  // may be NULL
  graft_tensor* dv;      // may be NULL
  void check() const;
};

struct MixtureCombineForward {
  const graft_tensor* x;
  const graft_tensor* gates;
  graft_tensor* y;
  void check() const;
};

struct MixtureCombineBackward {
  const graft_tensor* dy;
  const graft_tensor* x;      // may be NULL when dgates is
  const graft_tensor* gates;  // may be NULL when dx is
  bool accumulate;
  graft_tensor* dx;      // may be NULL
  graft_tensor* dgates;  // may be NULL
  void check() const;
};

}  // namespace graft::ops
