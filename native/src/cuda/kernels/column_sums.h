// Sums down the columns of a matrix, and of parts that several blocks have made: in fp32, in a fixed order.
#pragma once

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** The most groups of rows whose parts are added. */
inline constexpr std::int64_t kMostGroups = 512;

enum class Terms { kValues, kSquares };

/** sums [C] f32 += factor · Σ_t x[t, :], or of their squares, x [T, C] of f32, bf16 or f16; factor [C] of any float
 * type, or NULL for 1. */
void column_sums(core::Context& context, const graft_tensor& x, float* sums, Terms of = Terms::kValues,
                 const graft_tensor* factor = nullptr);

/** to [C] += factor · Σ_g parts[g, :], in order of g; parts [groups, C] without gaps. */
void add_parts(core::Context& context, const float* parts, std::int64_t groups, std::int64_t columns, float* to,
               const graft_tensor* factor = nullptr);

}  // namespace graft::cuda
