// A matrix times a diagonal matrix on either side, with the gradient of the diagonal in the same pass.
#pragma once

#include "cpu/gemm/gemm.h"

namespace graft::cpu::fast {

/** to[t, i] (+)= from[t, i] · down[t] · across[i] + shift[i], and sums[i] += Σ_t from[t, i] · other[t, i]. NULL scales
 * are 1, a NULL shift is 0; the matrices have one type; `to` may be `from`, and no data means not wanted. */
struct Scaling {
  Matrix from;
  const float* down = nullptr;
  const float* across = nullptr;
  const float* shift = nullptr;
  Matrix to{};
  bool accumulate = false;
  Matrix other{};  // where there are sums
  float* sums = nullptr;

  /** These rows and columns, all sums of which go to `part_sums`. */
  Scaling part(std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns, float* part_sums) const;
};

void scale(const Scaling& scaling);

/** The same, shared out over the threads by chunks of rows; the sums are added up chunk by chunk. */
void scale_columns(core::Context& context, const Scaling& whole);

}  // namespace graft::cpu::fast
