// lora's forward by the main loop of this folder: y = [x|S]·[W|sB]ᵀ + bias in one sum, over W as it is: no border is
// needed. S is the skinny pass of kernels/lora.cu; S and sB are scratch in bf16, whose rows begin at multiples of 16
// bytes. Bytes beside the product's: x once for S, and 2·r for each row of y and of W, written and read.
#include "cuda/kernels/convert.h"
#include "cuda/kernels/lora.h"
#include "cuda/kernels/skinny.h"
#include "cuda/sm90/boxes.h"
#include "cuda/sm90/product.h"

namespace graft::cuda::sm90 {
std::string refuse(const ops::LoraForward& a) {
  const std::string refusal = refuse_here();
  if (!refusal.empty()) return refusal;
  if (a.a->shape[0] == 0) return "the rank is 0";
  if (a.a->dtype == GRAFT_DTYPE_F64 || a.b->dtype == GRAFT_DTYPE_F64)
    return "f64 is for references, which run on the CPU";
  if (a.bias != nullptr && a.bias->dtype == GRAFT_DTYPE_F64) return refuse_f64(*a.bias);
  return refuse_factors(*a.x, *a.w, *a.y);
}

void run(core::Context& context, const ops::LoraForward& a) {
  const std::int64_t rows = a.x->shape[0], rank = a.a->shape[0];
  core::Scratch scratch(context.arena);
  graft_tensor low = boxes_matrix(scratch, rows, rank);
  const graft_tensor up = boxes_matrix(scratch, a.w->n, rank);
  graft::cuda::run(context, Convert{a.b->data, a.b->dtype, a.w->n, rank, a.b->stride[0], up.data, up.dtype, a.w->n,
                                    rank, up.stride[0], a.scale});
  graft::cuda::run(context, SkinnyForward{a.x, a.a, a.dropout, a.s, &low});
  run(context,
      Product{*a.x, a.w, false, &low, &up, *a.y, a.accumulate, vector_as(context, scratch, a.bias, a.y->dtype)});
}

}  // namespace graft::cuda::sm90
