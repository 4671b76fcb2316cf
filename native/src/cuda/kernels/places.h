// Where the elements of a strided tensor are, in row-major order.
#pragma once

#include "core/tensor_check.h"
#include "cuda/device.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** places[i]: where element i is. */
struct Places {
  std::int64_t shape[GRAFT_MAX_RANK], stride[GRAFT_MAX_RANK];
  int rank;
  GRAFT_DEVICE std::int64_t operator[](std::int64_t i) const {
    std::int64_t at = 0;
    for (int d = rank - 1; d >= 0; --d) {
      at += i % shape[d] * stride[d];
      i /= shape[d];
    }
    return at;
  }
};

inline Places places(const graft_tensor& t) {
  if (core::is_contiguous(t)) return {{core::elements(t)}, {1}, 1};
  Places p{{}, {}, t.rank};
  for (int d = 0; d < t.rank; ++d) p.shape[d] = t.shape[d], p.stride[d] = t.stride[d];
  return p;
}

}  // namespace graft::cuda
