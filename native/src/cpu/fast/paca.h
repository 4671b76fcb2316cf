// What the two forms of paca, in place and beside the weight, share, and what adamw writes columns by.
#pragma once

#include "cpu/gemm/gemm.h"
#include "ops/linear.h"
#include "ops/paca.h"

namespace graft::cpu::fast {

std::string refuse(const ops::LinearForward&);
std::string refuse(const ops::LinearBackward&);

/** Rows of one call of gather_rows. */
inline constexpr std::int64_t kGatheredRows = 64;

/** to[t, j] = from[t, indices[j]] of up to kGatheredRows rows from `first` on. */
void gather_rows(const Matrix& from, const graft_tensor& indices, std::int64_t first, const Matrix& to);

/** Elements first, first + 1, … of D in row-major order go into their columns of W. */
void write_columns(const ops::PacaWrite& a, std::int64_t first, std::int64_t count);

}  // namespace graft::cpu::fast
