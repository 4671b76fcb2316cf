// The constants of NF4 and of its double quantisation, and the scale of a block. QLoRA (arXiv 2305.14314, section 3);
// the values are those of bitsandbytes.
#pragma once

#include <array>
#include <cstdint>

#include "graft/weight.h"

namespace graft::core {

inline constexpr std::int64_t kNf4Block = 64;
inline constexpr std::int64_t kNestedBlock = 256;  // scales that share a scale
inline constexpr int kNf4Zero = 7;                 // the code of 0

/** Quantiles of the normal distribution, 7 below zero and 8 above, by the largest. */
inline constexpr std::array<float, 16> kNf4Levels{-1.0f,
                                                  -0.6961928009986877f,
                                                  -0.5250730514526367f,
                                                  -0.39491748809814453f,
                                                  -0.28444138169288635f,
                                                  -0.18477343022823334f,
                                                  -0.09105003625154495f,
                                                  0.0f,
                                                  0.07958029955625534f,
                                                  0.16093020141124725f,
                                                  0.24611230194568634f,
                                                  0.33791524171829224f,
                                                  0.44070982933044434f,
                                                  0.5626170039176941f,
                                                  0.7229568362236023f,
                                                  1.0f};

/** A value has the code c when c of these lie below it. */
inline constexpr std::array<float, 15> kNf4Bounds = [] {
  std::array<float, 15> bounds{};
  for (std::size_t i = 0; i < 15; ++i)
    bounds[i] = static_cast<float>((static_cast<double>(kNf4Levels[i]) + static_cast<double>(kNf4Levels[i + 1])) / 2);
  return bounds;
}();

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

/** The scales of an NF4 weight's blocks. */
class Nf4Scales {
 public:
  explicit Nf4Scales(const graft_weight& w);
  float operator[](std::int64_t block) const {
    if (codes_ == nullptr) return absmax_[block];
    const float scaled = map_[codes_[block]] * absmax_[block / kNestedBlock];
    return scaled + offset_;
  }
  /** to [count] = those of blocks first... */
  void decode(std::int64_t first, std::int64_t count, float* to) const;

 private:
  const std::uint8_t* codes_ = nullptr;  // double quantised
  const float* absmax_;
  const float* map_;
  float offset_ = 0;
};

/** Double quantises absmax [count] into the weight's absmax, nested_absmax and nested_offset: the mean first, then each
 * kNestedBlock scales by themselves. */
void nest_mean(const float* absmax, std::int64_t count, const graft_weight& w);
void nest_block(const float* absmax, std::int64_t count, std::int64_t block, const graft_weight& w);

}  // namespace graft::core
