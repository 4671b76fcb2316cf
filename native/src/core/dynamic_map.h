// The 8-bit dynamic map (arXiv 2110.02861, section 2.1) as bitsandbytes has it: numbers of [-1, 1] or [0, 1] in codes
// that are finer towards zero. Values are 10^(i-6), i in 0..6, times the middles of 2^i (signed) or 2^(i+1) (unsigned)
// equal parts of [0.1, 1], with both signs where there are any, and 0 and 1.
#pragma once

#include <array>
#include <cstdint>

namespace graft::core {

struct DynamicMap {
  /** Equal parts between two powers of ten. The number x with |x| > from, and no later decade's, lies floor(start +
   * slope·|x|), but at most last, codes from the code of 0. */
  struct Decade {
    float from, slope, start, last;
  };

  std::array<float, 256> values;  // ascending
  std::array<float, 255> bounds;  // a number has the code c when c of these lie below it
  std::array<Decade, 8> decades;  // ascending; the last one is the value 1
  std::uint8_t zero;              // the code of 0
  std::uint8_t furthest_below;    // codes below that of 0

  std::uint8_t code(float x) const;
};

const DynamicMap& signed_dynamic_map();

/** Its first bound is 0, so that no number above 0 has the code of 0. */
const DynamicMap& unsigned_dynamic_map();

}  // namespace graft::core
