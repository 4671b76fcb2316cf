// Whether two tensors share an element of memory.
#pragma once

#include "graft/tensor.h"

namespace graft::core {

/** Slices of one buffer whose rows hold both side by side share none; of other interleaved tensors it is not known, and
 * they count as sharing when the bytes from their first to their last elements meet. */
bool share_memory(const graft_tensor& a, const graft_tensor& b);

}  // namespace graft::core
