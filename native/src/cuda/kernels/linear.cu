// linear: y = x Wᵀ + bias, dx = dy W, dW += dyᵀ x, each one product of the library, which adds the bias to its tiles;
// dbias by column_sums. An empty sum, of which the library knows nothing, is made by convert: a matrix of zeros or of
// the bias. FLOPs: 2·T·N·K for each product.
#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

std::string refuse_weight(const graft_weight& w) {
  return w.kind == GRAFT_WEIGHT_DENSE ? "" : std::string("w is ") + core::kind_name(w.kind) + ", this has dense ones";
}

/** c = a·b [+ c]; zeros where the sum is empty. */
void product(core::Context& context, const Factor& a, const Factor& b, graft_dtype factors, bool accumulate,
             const graft_tensor& c, const void* bias = nullptr) {
  if (a.width() > 0)
    return run(context, Gemm{a, b, factors, c.data, c.stride[0], c.dtype, 1,
                             accumulate && !GRAFT_BUG(linear_overwrites) ? 1.0f : 0.0f, bias});
  if (accumulate && bias == nullptr) return;
  const std::int64_t rows = c.shape[0], columns = c.shape[1], added = bias == nullptr ? 0 : rows;
  run(context, Convert{bias, c.dtype, added, columns, 0, c.data, c.dtype, rows, columns, c.stride[0], 1, accumulate});
}

}  // namespace

const void* bias_as(core::Context& context, core::Scratch& scratch, const graft_tensor* bias, graft_dtype dtype) {
  if (bias == nullptr || bias->dtype == dtype) return data<const void>(bias);
  const std::int64_t n = bias->shape[0];
  void* const made = scratch.take<char>(n * graft_dtype_bytes(dtype));
  run(context, Convert{bias->data, bias->dtype, 1, n, n, made, dtype, 1, n, n});
  return made;
}

std::string refuse(const ops::LinearForward& a) {
  if (a.bias != nullptr && a.bias->dtype == GRAFT_DTYPE_F64) return refuse_f64(*a.bias);
  const std::string refusal = refuse_gemm(a.x->dtype, a.y->dtype);
  return refusal.empty() ? refuse_weight(*a.w) : refusal;
}

void run(core::Context& context, const ops::LinearForward& a) {
  core::Scratch scratch(context.arena);
  const void* bias = bias_as(context, scratch, a.bias, a.y->dtype);
  product(context, factor(*a.x), factor(core::dense_matrix(*a.w)).t(), a.x->dtype, a.accumulate, *a.y, bias);
}

std::string refuse(const ops::LinearBackward& a) {
  const std::string refusal = refuse_gemm(a.dy->dtype, a.dy->dtype);
  return refusal.empty() && a.dx != nullptr ? refuse_weight(*a.w) : refusal;
}

void run(core::Context& context, const ops::LinearBackward& a) {
  const graft_dtype dtype = a.dy->dtype;
  if (a.dx != nullptr) product(context, factor(*a.dy), factor(core::dense_matrix(*a.w)), dtype, a.accumulate, *a.dx);
  if (a.dw != nullptr) product(context, factor(*a.dy).t(), factor(*a.x), dtype, true, *a.dw);
  if (a.dbias != nullptr) column_sums(context, *a.dy, data<float>(a.dbias));
}

}  // namespace graft::cuda
