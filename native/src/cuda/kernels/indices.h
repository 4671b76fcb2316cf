// Rows or columns that indices in device memory name, as kernels read them.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels/fault.h"

namespace graft::cuda {

/** Indices [count], i32 or i64. */
struct Indices {
  const void* data;
  bool wide;
  std::int64_t limit, count;
  /** -1: outside of 0..limit-1. */
  GRAFT_DEVICE std::int64_t at(std::int64_t j) const {
    const std::int64_t i = wide ? static_cast<const std::int64_t*>(data)[j] : static_cast<const std::int32_t*>(data)[j];
    return i >= 0 && i < limit ? i : -1;
  }
};

/** An argument of `op`; the first index outside becomes the context's fault. */
inline Indices indices_of(core::Context& context, const char* op, const graft_tensor& indices, std::int64_t limit,
                          const char* name = "indices") {
  if (indices.shape[0] > 0) find_outside(context, op, name, indices, limit);
  return {indices.data, indices.dtype == GRAFT_DTYPE_I64, limit, indices.shape[0]};
}

}  // namespace graft::cuda
