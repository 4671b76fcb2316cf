// Integers in device memory that a call cannot check: a kernel does, and graft_context_synchronize reports.
#pragma once

#include <optional>

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** The first element of `values` [T] (i32 or i64) that is neither in 0..limit-1 nor `allowed` becomes the context's
 * fault, if there is none yet. u8 of any shape without gaps are codes: one in each byte, of rank 3 two, the first in
 * the high nibble. */
void find_outside(core::Context& context, const char* op, const char* name, const graft_tensor& values,
                  std::int64_t limit, std::optional<std::int64_t> allowed = {});

}  // namespace graft::cuda
