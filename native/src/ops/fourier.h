// Arguments of fourier; the contract is graft/ops/fourier.h.
#pragma once

#include <cstdint>

#include "graft/ops/fourier.h"
#include "ops/ops.h"

namespace graft::ops {

struct FourierForward {
  const graft_tensor* x;
  const graft_tensor* c;
  const graft_tensor* places;
  double scale;
  bool accumulate;
  graft_tensor* y;
  void check() const;
};

struct FourierBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL
  const graft_tensor* c;
  const graft_tensor* places;
  double scale;
  std::int64_t inputs;
  bool accumulate;
  graft_tensor* dx;  // may be NULL
  graft_tensor* dc;  // may be NULL
  void check() const;
};

struct FourierMerge {
  const graft_weight* w;
  const graft_tensor* c;
  const graft_tensor* places;
  double scale;
  graft_tensor* merged;
  void check() const;
};

/** Element l of row 0 (u) or 1 (v) of places. */
std::int64_t fourier_place(const graft_tensor& places, int row, std::int64_t l);

}  // namespace graft::ops
