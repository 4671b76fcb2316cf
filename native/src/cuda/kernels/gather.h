// Columns of matrices that indices in device memory name.
#pragma once

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** to[t, j] = from[t, indices[j]], of one dtype. indices [r], i32 or i64, is the argument of that name of `op`: one
 * that is outside of `from` becomes the context's fault, and its column is 0. */
void gather_columns(core::Context& context, const char* op, const graft_tensor& indices, const graft_tensor& from,
                    const graft_tensor& to);

}  // namespace graft::cuda
