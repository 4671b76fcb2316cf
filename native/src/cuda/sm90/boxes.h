// What launchers here share: matrices as boxes, and results.
#pragma once

#include "cuda/device_sm90.h"
#include "cuda/kernels/tensor.h"
#include "cuda/sm90/main_loop.h"
#include "cuda/sm90/result.h"

namespace graft::cuda::sm90 {

/** Rows begin at multiples of 16 bytes. */
inline bool in_boxes(const graft_tensor& m) {
  return m.stride[0] * graft_dtype_bytes(m.dtype) % 16 == 0 && reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0;
}

/** A matrix of bf16 in swizzled boxes of 64 columns. */
inline TensorMap map_of(const graft_tensor& m, int box_rows) {
  return tensor_map({m.data, m.shape[0], m.shape[1], m.stride[0], 2, box_rows, kSteps, !GRAFT_BUG(sm90_no_swizzle)});
}

/** [rows, columns] of bf16 in scratch, for boxes. */
inline graft_tensor boxes_matrix(core::Scratch& scratch, std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t eight = 8;
  graft_tensor m = scratch_matrix(scratch, GRAFT_DTYPE_BF16, rows, ceil_div(columns, eight) * eight);
  m.shape[1] = columns;
  return m;
}

inline int steps_over(std::int64_t sum) { return static_cast<int>(ceil_div<std::int64_t>(sum, kSteps)); }

inline Result result_of(const graft_tensor& y, bool accumulate, const void* bias) {
  const std::int64_t size = graft_dtype_bytes(y.dtype);
  const bool pairs = y.stride[0] % 2 == 0 && reinterpret_cast<std::uintptr_t>(y.data) % (2 * size) == 0;
  return {y.data, y.stride[0], y.shape[0], y.shape[1], y.dtype == GRAFT_DTYPE_F32, accumulate, pairs, bias};
}

inline dim3 tiles_of(const graft_tensor& y) {
  return dim3(static_cast<unsigned>(ceil_div<std::int64_t>(y.shape[0], kTile)),
              static_cast<unsigned>(ceil_div<std::int64_t>(y.shape[1], kTile)));
}

}  // namespace graft::cuda::sm90
