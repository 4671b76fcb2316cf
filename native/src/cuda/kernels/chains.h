// Positions of the same id, linked in order: one thread may then add what belongs to an id, in the order of the
// positions, without atomics or sorting.
#pragma once

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** next[t]: the next position with t's id, or the number of ids; is_first[t]: there is none before. */
struct Chains {
  const std::int64_t* next;
  const std::uint8_t* is_first;
};

/** Of ids [T], i32 or i64; lives as long as `scratch`. */
Chains find_chains(core::Context& context, core::Scratch& scratch, const graft_tensor& ids);

}  // namespace graft::cuda
