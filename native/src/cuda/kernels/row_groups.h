// Sums down columns inside of a kernel: groups of rows for blocks, and their parts in a fixed order.
#pragma once

#include <algorithm>

#include "cuda/kernels/piece.h"

namespace graft::cuda {

/** How kernels share the rows of a matrix: at most 512 groups. */
struct RowGroups {
  explicit RowGroups(std::int64_t rows)
      : rows(rows),
        size(std::max<std::int64_t>(256, ceil_div<std::int64_t>(rows, 512))),
        count(ceil_div<std::int64_t>(rows, size)) {}
  dim3 grid(std::int64_t columns, int width) const {
    return {static_cast<unsigned>(ceil_div<std::int64_t>(columns, std::int64_t{32} * width)),
            static_cast<unsigned>(count)};
  }
  std::int64_t rows, size, count;
};

inline constexpr int kColumnThreads = 256;

/** The first of the Width columns that a thread of sum_group sums. */
template <int Width>
GRAFT_DEVICE std::int64_t sum_column() {
  return (std::int64_t{blockIdx.x} * 32 + threadIdx.x % 32) * Width;
}

/** parts[group, c] = Σ of values(t, c) over the rows of the block's group, for Width columns of each lane: the eight
 * warps take every eighth row, and meet in shared memory in order. A whole block calls; values gives a Piece. */
template <int Width, class Values>
GRAFT_DEVICE void sum_group(const RowGroups& groups, std::int64_t columns, float* parts, Values&& values) {
  constexpr int warps = kColumnThreads / 32;
  GRAFT_SHARED(float, of_warp, kColumnThreads* Width);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t column = sum_column<Width>(), first = blockIdx.y * groups.size;
  const std::int64_t end = first + groups.size < groups.rows ? first + groups.size : groups.rows;
  float sums[Width] = {};
  if (column < columns) {
    const auto add = [&](std::int64_t t) {
      const Piece<float, Width> piece = values(t, column);
      GRAFT_UNROLL
      for (int i = 0; i < Width; ++i) sums[i] += piece.at[i];
    };
    if constexpr (Width == 4) {  // f32: unrolled by four it spills on sm_100
      GRAFT_UNROLL_TWICE
      for (std::int64_t t = first + warp; t < end; t += warps) add(t);
    } else {
      for (std::int64_t t = first + warp; t < end; t += warps) add(t);
    }
  }
  GRAFT_UNROLL
  for (int i = 0; i < Width; ++i) of_warp[(warp * Width + i) * 32 + lane] = sums[i];
  if (!GRAFT_BUG(column_sums_no_barrier)) __syncthreads();
  if (warp != 0 || column >= columns) return;
  for (int i = 0; i < Width; ++i) {
    float sum = 0;
    for (int w = 0; w < warps; ++w) sum += of_warp[(w * Width + i) * 32 + lane];
    parts[blockIdx.y * columns + column + i] = sum;
  }
}

}  // namespace graft::cuda
