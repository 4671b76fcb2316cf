// The 8-bit dynamic map (arXiv 2110.02861, section 2.1) as bitsandbytes has it: numbers of [-1, 1] or [0, 1] in codes
// that are finer towards zero. Values are 10^(i-6), i in 0..6, times the middles of 2^i (signed) or 2^(i+1) (unsigned)
// equal parts of [0.1, 1], with both signs where there are any, and 0 and 1.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace graft::core {

struct DynamicMap {
  std::array<float, 256> values;  // ascending
  std::array<float, 256> bounds;  // a number has the code c when c of these lie below it; the last one is infinite

  std::uint8_t code(float x) const;
};

const DynamicMap& signed_dynamic_map();

/** Its first bound is 0, so that no number above 0 has the code of 0. */
const DynamicMap& unsigned_dynamic_map();

/** The codes of a map without a search. Numbers that agree in sign, exponent and 7 bits of mantissa make a cell, which
 * holds one bound at most. */
class DynamicCodes {
 public:
  explicit DynamicCodes(const DynamicMap& map);

  /** The code of x in [-1, 1], as DynamicMap::code has it; some code for anything else. */
  std::uint8_t operator()(float x) const {
    const std::uint8_t lowest = lowest_[cell(x)];
    return static_cast<std::uint8_t>(lowest + (x > bounds_[lowest]));
  }

 private:
  static constexpr std::uint32_t kMantissaBits = 7, kShift = 23 - kMantissaBits;
  static constexpr std::uint32_t kFirst = (127u - 23) << kMantissaBits;  // 2^-23: below it, all round to 0
  static constexpr std::uint32_t kCells = (127u << kMantissaBits) - kFirst + 1;

  static std::size_t cell(float x) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x), key = (bits & 0x7FFFFFFFu) >> kShift;
    const std::uint32_t place = key < kFirst ? 0 : key - kFirst < kCells ? key - kFirst : kCells - 1;
    return (bits >> 31) * kCells + place;
  }

  std::array<float, 256> bounds_;
  std::array<std::uint8_t, 2 * kCells> lowest_;
};

}  // namespace graft::core
