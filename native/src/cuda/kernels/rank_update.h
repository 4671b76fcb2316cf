// A matrix and a product of two thin ones, element by element masked or not: what LoRA adds to dx and to merged
// weights.
#pragma once

#include "core/context.h"
#include "graft/tensor.h"
#include "ops/lora.h"

namespace graft::cuda {

struct SegmentTable;

/** to [T, C] = from + factor · drop'(left · right), with left [T, r] and right [r, C] of any float type but f64, summed
 * in fp32; drop' keeps the elements that dropout keeps, and scales them. from and to have one dtype and may be the same
 * memory. */
struct RankUpdate {
  const graft_tensor* left;
  const graft_tensor* right;
  double factor;
  ops::Dropout dropout;
  const graft_tensor* from;
  graft_tensor* to;
  const SegmentTable* segments = nullptr;  // each with its places of right [R, C], and of left those from 0 on
};

void run(core::Context& context, const RankUpdate& u);

}  // namespace graft::cuda
