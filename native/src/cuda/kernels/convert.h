// A matrix into another type, a larger shape, or a sum.
#pragma once

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** to [rows, columns] = factor · from [from_rows, from_columns], and zero outside of it; added to what is there when
 * `accumulate`. Both of f32, bf16 or f16, with any pitch: with 0, each row of `from` is the same. */
struct Convert {
  const void* from;
  graft_dtype from_dtype;
  std::int64_t from_rows, from_columns, from_pitch;
  void* to;
  graft_dtype to_dtype;
  std::int64_t rows, columns, pitch;
  double factor = 1;
  bool accumulate = false;
};

void run(core::Context& context, const Convert& c);

}  // namespace graft::cuda
