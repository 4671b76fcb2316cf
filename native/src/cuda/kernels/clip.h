// Clipping of gradients by their global norm, which never comes back to the host.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels/tensor.h"
#include "ops/adamw.h"

namespace graft::cuda {

struct Clip {
  const double* squared_norm;  // NULL: none
  double most;
  GRAFT_DEVICE float factor() const {
    if (squared_norm == nullptr) return 1;
    const double c = most / (sqrt(*squared_norm) + 1e-6);
    return c >= 1 ? 1 : static_cast<float>(c);  // a norm of NaN does not pass as 1
  }
};

inline Clip clip_of(const ops::AdamWStep& a) {
  return {a.max_norm > 0 ? data<const double>(a.squared_norm) : nullptr, a.max_norm};
}

}  // namespace graft::cuda
