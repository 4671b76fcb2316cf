// Two bf16 values in one 32-bit word: the unit of the processors' bf16 dot products.
#pragma once

#include <cstdint>

namespace graft::cpu::fast {

struct Pair {
  std::uint32_t bits;
};

/** Elements in a word of an operand. */
template <class Word>
inline constexpr std::int64_t kPerWord = sizeof(Word) == sizeof(Pair) ? 1 : 0;
template <>
inline constexpr std::int64_t kPerWord<float> = 1;
template <>
inline constexpr std::int64_t kPerWord<Pair> = 2;

inline std::int64_t round_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

}  // namespace graft::cpu::fast
