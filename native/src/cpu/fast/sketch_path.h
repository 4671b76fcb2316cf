// Sorted values cut into ranges, whatever their number, where each range costs its spread and a price: the cheapest
// path from 0 to n over links of the values between two places. Its number of ranges falls as the price rises.
#pragma once

#include <cstdint>

namespace graft::cpu::fast {

/** Over the n values in ascending order, the sums of what lies before each: Σ s, Σ s·value, Σ s·value². */
struct SketchSums {
  static constexpr std::int64_t kPadding = 64;  // doubles behind each array's n + 1, which vectors may read

  /** Σ s·(value - mean)² of the values from first to last. */
  double spread(std::int64_t first, std::int64_t last) const {
    const double s = weight[last] - weight[first], sum = moment[last] - moment[first];
    return s > 0 ? square[last] - square[first] - sum * sum / s : 0;
  }

  std::int64_t n;
  double *weight, *moment, *square;
};

/** best [n + 1 and padding]: what the first b values cost; begins [n + 1]: where their last range begins. The first of
 * several. `block` > 0 is how many are looked at together at first, which changes the time alone. */
void cheapest_path(const SketchSums& sums, double price, std::int64_t block, double* best, std::int32_t* begins);

}  // namespace graft::cpu::fast
