// What all fast implementations share: the storage types they serve, and their common refusals.
#pragma once

#include <string>

#include "core/float_types.h"
#include "core/tensor_check.h"

namespace graft::cpu::fast {

/** Calls body(T{}) for f32, bf16 and f16. */
template <class Body>
void visit_small_float(graft_dtype dtype, Body&& body) {
  switch (dtype) {
    case GRAFT_DTYPE_F32:
      return body(float{});
    case GRAFT_DTYPE_BF16:
      return body(core::bf16{});
    case GRAFT_DTYPE_F16:
      return body(core::f16{});
    default:
      core::fail(GRAFT_INTERNAL, "dtype %d has no fast path", dtype);
  }
}

inline std::string refuse_f64(const graft_tensor& tensor) {
  return tensor.dtype == GRAFT_DTYPE_F64 ? "fp64 is for the reference" : "";
}

/** Memory of row t of a matrix. */
template <class T>
T* row(const graft_tensor& matrix, std::int64_t t) {
  return static_cast<T*>(matrix.data) + t * matrix.stride[0];
}

/** Rows are shared out to threads in chunks of this many, whatever the number of threads. */
inline constexpr std::int64_t kRowsPerChunk = 32;

inline std::int64_t chunks_of(std::int64_t rows, std::int64_t rows_per_chunk = kRowsPerChunk) {
  return (rows + rows_per_chunk - 1) / rows_per_chunk;
}

}  // namespace graft::cpu::fast
