// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random bits as a pure function
// of (seed, counter). Element i of a stream takes word (i & 3) of block(seed, i >> 2), so any thread makes any element.
// For dropout 16 bits of 7 rounds do: the fewest that pass all of the authors' tests, with 10 as their safe choice.
#pragma once

#include <array>
#include <cstdint>

namespace graft::core {

struct Philox {
  static constexpr std::uint32_t kMultiplier0 = 0xd2511f53u, kMultiplier1 = 0xcd9e8d57u;
  static constexpr std::uint32_t kWeyl0 = 0x9e3779b9u, kWeyl1 = 0xbb67ae85u;
  static constexpr int kRounds = 10, kDropoutRounds = 7;

  /** Four words of 32 uniform bits. */
  static constexpr std::array<std::uint32_t, 4> block(std::uint64_t seed, std::uint64_t counter, int rounds = kRounds) {
    return block({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0u, 0u},
                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, rounds);
  }

  /** The generator of the paper, with its whole counter and key. */
  static constexpr std::array<std::uint32_t, 4> block(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k,
                                                      int rounds = kRounds) {
    for (int round = 0; round < rounds; ++round) {
      const std::uint64_t product0 = std::uint64_t{kMultiplier0} * c[0], product1 = std::uint64_t{kMultiplier1} * c[2];
      c = {static_cast<std::uint32_t>(product1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(product1),
           static_cast<std::uint32_t>(product0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(product0)};
      k = {k[0] + kWeyl0, k[1] + kWeyl1};
    }
    return c;
  }

  /** The word of element i. */
  static constexpr std::uint32_t word(std::uint64_t seed, std::uint64_t i) { return block(seed, i >> 2)[i & 3]; }

  /** The word of element i as a number in [0, 1). */
  static constexpr double uniform(std::uint64_t seed, std::uint64_t i) { return word(seed, i) * 0x1p-32; }

  /** The 16 bits of element i of a dropout mask: half (i & 7) of a block, the lower half of a word first. */
  static constexpr std::uint32_t half(std::uint64_t seed, std::uint64_t i) {
    return block(seed, i >> 3, kDropoutRounds)[i >> 1 & 3] >> (16 * (i & 1)) & 0xffff;
  }
};

// The known answers of the authors' Random123 distribution.
static_assert(Philox::block(std::array<std::uint32_t, 4>{0, 0, 0, 0}, {0, 0}) ==
              std::array<std::uint32_t, 4>{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
static_assert(Philox::block(std::array<std::uint32_t, 4>{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
                            {0xffffffffu, 0xffffffffu}) ==
              std::array<std::uint32_t, 4>{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
static_assert(Philox::block(std::array<std::uint32_t, 4>{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
                            {0xa4093822u, 0x299f31d0u}) ==
              std::array<std::uint32_t, 4>{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
static_assert(Philox::block(std::array<std::uint32_t, 4>{0, 0, 0, 0}, {0, 0}, 7) ==
              std::array<std::uint32_t, 4>{0x5f6fb709u, 0x0d893f64u, 0x4f121f81u, 0x4f730a48u});

}  // namespace graft::core
