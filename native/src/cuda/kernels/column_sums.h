// Sums down the columns of a matrix, and of parts that several blocks have made: in fp32, in a fixed order.
#pragma once

#include <string>

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** sums [C] f32 += Σ_t x[t, :], x [T, C] of f32, bf16 or f16. */
void column_sums(core::Context& context, const graft_tensor& x, float* sums);

/** to [C] += Σ_g parts[g, :], in order of g; parts [groups, C] without gaps. */
void add_parts(core::Context& context, const float* parts, std::int64_t groups, std::int64_t columns, float* to);

}  // namespace graft::cuda
