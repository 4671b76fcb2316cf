// A tile of sums on its way to memory: bias and what is there are added in fp32, and the sum is rounded once.
#pragma once

#include <cstdint>

#include "cuda/device.h"

namespace graft::cuda::sm90 {

struct Result {
  void* y;
  std::int64_t pitch, rows, columns;
  bool wide, accumulate, pairs;  // y is f32, not bf16; added to; two neighbours from an even column on are aligned
  const void* bias;              // of y's type, or NULL

  template <class Y>
  GRAFT_DEVICE float sum_at(std::int64_t row, std::int64_t column, float sum) const {
    if (bias != nullptr) sum += to_float(static_cast<const Y*>(bias)[column]);
    return accumulate ? to_float(static_cast<const Y*>(y)[row * pitch + column]) + sum : sum;
  }

  template <class Y>
  GRAFT_DEVICE void store_pair(std::int64_t row, std::int64_t column, float first, float second) const {
    Y* const to = static_cast<Y*>(y) + row * pitch + column;
    const bool both = column + 1 < columns;
    first = sum_at<Y>(row, column, first);
    if (both) second = sum_at<Y>(row, column + 1, second);
    if (both && pairs) {
      struct alignas(2 * sizeof(Y)) Pair {
        Y low, high;
      };
      *reinterpret_cast<Pair*>(to) = Pair{from_float<Y>(first), from_float<Y>(second)};
    } else {
      to[0] = from_float<Y>(first);
      if (both) to[1] = from_float<Y>(second);
    }
  }

  /** This thread's sums of 64 rows from `row` on and of columns from `column` on (device/wgmma.h). */
  template <int Count>
  GRAFT_DEVICE void store(const float (&sums)[Count], std::int64_t row, std::int64_t column) const {
    const int thread = static_cast<int>(threadIdx.x) % 128, lane = thread % 32;
    row += thread / 32 * 16 + lane / 4;
    column += 2 * (lane % 4);
    GRAFT_UNROLL
    for (int i = 0; i < Count; i += 2) {
      const std::int64_t r = row + i % 4 / 2 * 8, c = column + i / 4 * 8;
      if (r >= rows || c >= columns) continue;
      wide ? store_pair<float>(r, c, sums[i], sums[i + 1]) : store_pair<bf16>(r, c, sums[i], sums[i + 1]);
    }
  }
};

}  // namespace graft::cuda::sm90
