// Dropout without a mask in memory: any thread finds out by Philox which elements are kept.
#pragma once

#include "cuda/device.h"
#include "ops/lora.h"

namespace graft::cuda {

struct Mask {
  bool active;
  std::uint64_t seed, offset;
  std::uint32_t bound;
  const std::int64_t* base;  // added to offset; NULL: nothing

  /** The same with base in offset: for many elements. */
  GRAFT_DEVICE Mask settled() const {
    return {active, seed, base == nullptr ? offset : offset + static_cast<std::uint64_t>(*base), bound, nullptr};
  }

  /** Bit i: element first + i of the matrix is kept, of Count <= 8. */
  template <int Count>
  GRAFT_DEVICE unsigned keeps(std::int64_t first) const {
    using core::Philox;
    const std::int64_t moved = base == nullptr ? first : first + *base;
    const std::uint64_t at = offset + static_cast<std::uint64_t>(moved);
    const int start = static_cast<int>(at & 7);
    unsigned keep = halves(Philox::block(seed, at >> 3, Philox::kDropoutRounds)) >> start;
    if (start + Count > 8) keep |= halves(Philox::block(seed, (at >> 3) + 1, Philox::kDropoutRounds)) << (8 - start);
    return keep;
  }

 private:
  GRAFT_DEVICE unsigned halves(const std::array<std::uint32_t, 4>& words) const {
    unsigned keep = 0;
    for (int i = 0; i < 8; ++i) keep |= (words[i / 2] >> (16 * (i % 2)) & 0xffff) >= bound ? 1u << i : 0u;
    return keep;
  }
};

inline Mask mask_of(const ops::Dropout& d) { return {d.active(), d.seed, d.offset, d.bound(), d.base}; }

/** What kept values are multiplied by. */
inline double mask_factor(const ops::Dropout& d) { return d.active() ? d.scale() : 1; }

}  // namespace graft::cuda
