// Elementwise work over tensors of one shape. Dimensions that every tensor stores without a gap are merged into long
// rows; long rows are cut, and short ones gathered, into chunks of a fixed size for the threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "graft/tensor.h"

namespace graft::cpu::fast {

inline constexpr std::int64_t kElementsPerChunk = 1 << 14;

template <std::size_t N>
class Elements {
 public:
  explicit Elements(const std::array<const graft_tensor*, N>& tensors) {
    const graft_tensor& first = *tensors[0];
    int dimension = first.rank - 1;
    for (; dimension >= 0; --dimension) {
      bool merges = true;
      for (const graft_tensor* tensor : tensors) merges = merges && tensor->stride[dimension] == columns_;
      if (first.shape[dimension] != 1 && !merges) break;
      columns_ *= first.shape[dimension];
    }
    for (outer_ = dimension + 1; dimension >= 0; --dimension) {
      shape_[dimension] = first.shape[dimension];
      rows_ *= shape_[dimension];
      for (std::size_t i = 0; i < N; ++i) stride_[i][dimension] = tensors[i]->stride[dimension];
    }
  }

  std::int64_t chunks() const {
    if (rows_ == 0 || columns_ == 0) return 0;
    if (columns_ >= kElementsPerChunk) return rows_ * cuts();
    return (rows_ + rows_per_chunk() - 1) / rows_per_chunk();
  }

  /** Calls body(offset, first, count) for each run of elements that lie side by side: offset[i] is where it starts in
   * tensor i, first its place in row-major order. */
  template <class Body>
  void visit(std::int64_t chunk, Body&& body) const {
    if (columns_ >= kElementsPerChunk) {
      const std::int64_t row = chunk / cuts(), column = chunk % cuts() * kElementsPerChunk;
      std::array<std::int64_t, N> offset = offset_of(row);
      for (std::int64_t& o : offset) o += column;
      body(offset, row * columns_ + column, std::min(kElementsPerChunk, columns_ - column));
      return;
    }
    const std::int64_t last = std::min(rows_, (chunk + 1) * rows_per_chunk());
    for (std::int64_t row = chunk * rows_per_chunk(); row < last; ++row) body(offset_of(row), row * columns_, columns_);
  }

 private:
  std::int64_t cuts() const { return (columns_ + kElementsPerChunk - 1) / kElementsPerChunk; }
  std::int64_t rows_per_chunk() const { return kElementsPerChunk / columns_; }

  std::array<std::int64_t, N> offset_of(std::int64_t row) const {
    std::array<std::int64_t, N> offset{};
    for (int dimension = outer_ - 1; dimension >= 0; --dimension) {
      const std::int64_t index = row % shape_[dimension];
      row /= shape_[dimension];
      for (std::size_t i = 0; i < N; ++i) offset[i] += index * stride_[i][dimension];
    }
    return offset;
  }

  int outer_ = 0;  // dimensions that are not merged
  std::int64_t rows_ = 1, columns_ = 1;
  std::int64_t shape_[GRAFT_MAX_RANK] = {};
  std::int64_t stride_[N][GRAFT_MAX_RANK] = {};
};

}  // namespace graft::cpu::fast
