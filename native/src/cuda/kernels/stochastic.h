// A parameter as adamw finds and leaves it: a master in fp32 with or without a copy in the compute dtype, or, without a
// master, that copy alone, rounded at random.
#pragma once

#include <bit>
#include <type_traits>

#include "core/philox.h"
#include "cuda/device.h"

namespace graft::cuda {

/** One of the two bf16 next to value, by 16 random bits. */
GRAFT_DEVICE bf16 round_at_random(float value, std::uint32_t random) {
  if (value != value) return from_float<bf16>(value);
  return from_float<bf16>(std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + random) & 0xffff0000u));
}

/** One element. master NULL: `copy` is bf16 and all there is; copy NULL: there is only the master. */
template <class Out>
struct Moved {
  float* master;
  Out* copy;

  GRAFT_DEVICE float value() const { return master != nullptr ? *master : to_float(*copy); }
  GRAFT_DEVICE void set(float value, std::uint64_t seed, std::int64_t element) const {
    if (master != nullptr) {
      *master = value;
      if (copy != nullptr) *copy = from_float<Out>(value);
    } else if constexpr (std::is_same_v<Out, bf16>) {
      *copy = round_at_random(value, core::Philox::half(seed, static_cast<std::uint64_t>(element)));
    }
  }
};

}  // namespace graft::cuda
