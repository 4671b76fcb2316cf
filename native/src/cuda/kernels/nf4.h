// NF4 weights on their way to a product.
#pragma once

#include <string>

#include "core/context.h"
#include "graft/weight.h"

namespace graft::cuda {

/** to [rows, columns] of f32, bf16 or f16 = the part of w from (row, column) on, decoded in fp32 and rounded. */
struct Nf4Decode {
  const graft_weight* w;
  std::int64_t row, column;
  graft_tensor to;
};

void run(core::Context& context, const Nf4Decode& d);

}  // namespace graft::cuda
