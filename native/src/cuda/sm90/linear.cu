// linear by the main loop of this folder: y = x Wᵀ + bias, dx = dy W; dbias by column_sums. dW is the library's.
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/tensor.h"
#include "cuda/sm90/product.h"

namespace graft::cuda::sm90 {

std::string refuse(const ops::LinearForward& a) {
  const std::string refusal = refuse_here();
  if (!refusal.empty()) return refusal;
  if (a.bias != nullptr && a.bias->dtype == GRAFT_DTYPE_F64) return refuse_f64(*a.bias);
  return refuse_factors(*a.x, *a.w, *a.y);
}

void run(core::Context& context, const ops::LinearForward& a) {
  core::Scratch scratch(context.arena);
  run(context,
      Product{*a.x, a.w, false, nullptr, nullptr, *a.y, a.accumulate, vector_as(context, scratch, a.bias, a.y->dtype)});
}

std::string refuse(const ops::LinearBackward& a) {
  const std::string refusal = refuse_here();
  if (!refusal.empty()) return refusal;
  if (a.dx == nullptr) return "dx is not wanted";
  if (a.dw != nullptr) return "dw is wanted too";
  return refuse_factors(*a.dy, *a.w, *a.dx);
}

void run(core::Context& context, const ops::LinearBackward& a) {
  run(context, Product{*a.dy, a.w, true, nullptr, nullptr, *a.dx, a.accumulate, nullptr});
  if (a.dbias != nullptr) column_sums(context, *a.dy, data<float>(a.dbias));
}

}  // namespace graft::cuda::sm90
