// A matrix into another type, a larger shape, or a sum; a vector into another type.
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

/** A matrix in f32: the tensor itself, or a copy in scratch. */
graft_tensor as_floats(core::Context& context, core::Scratch& scratch, const graft_tensor& m);

/** A vector [N] in `dtype`: the tensor's memory, or a copy in scratch; NULL for NULL. */
const void* vector_as(core::Context& context, core::Scratch& scratch, const graft_tensor* vector, graft_dtype dtype);

}  // namespace graft::cuda
