// Thin matrices and vectors of any float type, as kernels take them: one read costs little beside those of large
// matrices.
#pragma once

#include "cuda/device.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** A thin matrix [size, rank] of any float type: element (i, j) at i·stride_i + j·stride_j. */
struct Thin {
  const void* data;
  graft_dtype dtype;
  std::int64_t size, stride_i, stride_j;
  int rank;
  GRAFT_DEVICE float at(std::int64_t i, int j) const {
    if (i >= size || j >= rank) return 0;
    const std::int64_t index = i * stride_i + j * stride_j;
    if (dtype == GRAFT_DTYPE_BF16) return to_float(static_cast<const bf16*>(data)[index]);
    if (dtype == GRAFT_DTYPE_F16) return to_float(static_cast<const f16*>(data)[index]);
    return static_cast<const float*>(data)[index];
  }
  /** The part from (i, j) on. */
  GRAFT_DEVICE Thin from(std::int64_t i, std::int64_t j, std::int64_t part_size, int part_rank) const {
    const std::int64_t bytes = (i * stride_i + j * stride_j) * (dtype == GRAFT_DTYPE_F32 ? 4 : 2);
    return {static_cast<const char*>(data) + bytes, dtype, part_size, stride_i, stride_j, part_rank};
  }
};

inline Thin thin(const graft_tensor* m, bool transposed) {
  if (m == nullptr) return {};
  return {m->data,
          m->dtype,
          m->shape[transposed ? 1 : 0],
          transposed ? 1 : m->stride[0],
          transposed ? m->stride[0] : 1,
          static_cast<int>(m->shape[transposed ? 0 : 1])};
}

/** A vector of any float type; ones where there is none. */
struct Vector {
  const void* data;
  graft_dtype dtype;
  GRAFT_DEVICE float at(std::int64_t i) const {
    if (data == nullptr) return 1;
    if (dtype == GRAFT_DTYPE_BF16) return to_float(static_cast<const bf16*>(data)[i]);
    if (dtype == GRAFT_DTYPE_F16) return to_float(static_cast<const f16*>(data)[i]);
    return static_cast<const float*>(data)[i];
  }
};

inline Vector vector(const graft_tensor* v) {
  return v == nullptr ? Vector{nullptr, GRAFT_DTYPE_F32} : Vector{v->data, v->dtype};
}

}  // namespace graft::cuda
