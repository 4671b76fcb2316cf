// Weights of codes (NF4, sketch) on their way to a product. Many rows of x: W is decoded, panel by panel, for the
// library, and each panel is read while it lies in the L2. Few rows: the product reads the codes themselves, and W
// never exists.
#pragma once

#include <string>

#include "core/context.h"
#include "graft/weight.h"
#include "ops/linear.h"

namespace graft::cuda {

/** to [rows, columns] of f32, bf16 or f16 = the part of w from (row, column) on, each element rounded once. */
struct Decode {
  const graft_weight* w;
  std::int64_t row, column;
  graft_tensor to;
};

void decode_nf4(core::Context& context, const Decode& d);
void decode_sketch(core::Context& context, const Decode& d);

/** Why `few_rows` does not serve. */
std::string refuse_few_rows(const ops::LinearForward& a);

/** y = x Wᵀ + bias (+ y) from the codes. */
void few_rows(core::Context& context, const ops::LinearForward& a);

}  // namespace graft::cuda
