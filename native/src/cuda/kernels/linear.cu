// linear: y = x Wᵀ + bias, dx = dy W, dW += dyᵀ x, each one product of the library, which adds the bias to its tiles;
// dbias by column_sums. NF4 and sketch weights are decoded in panels of 4 Mi elements, of rows for y and of columns for
// dx, each just before its product; y of few rows is made from the codes themselves. An empty sum, of which the library
// knows nothing, is made by convert: a matrix of zeros or of the bias. FLOPs: 2·T·N·K for each product.
#include <algorithm>

#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/coded_weight.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/sketch_codes.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

// Elements of a weight that are decoded at a time: what stays in the L2 until the product has read it.
constexpr std::int64_t kFewest = 64;

std::string refuse_weight(const graft_weight& w) { return w.kind == GRAFT_WEIGHT_SKETCH ? refuse_sketch(w) : ""; }

/** Calls body(first, size, factor) for W, or for panels of its rows (or columns), decoded. */
template <class Body>
void for_panels(core::Context& context, const graft_weight& w, graft_dtype dtype, bool rows, Body&& body) {
  const std::int64_t all = rows ? w.n : w.k, other = rows ? w.k : w.n;
  if (w.kind == GRAFT_WEIGHT_DENSE) return body(0, all, factor(core::dense_matrix(w)));
  const std::int64_t size = panel_size(all, other, kPanelElements);
  core::Scratch scratch(context.arena);
  void* const memory = scratch.take<char>(size * other * graft_dtype_bytes(dtype));
  for (std::int64_t first = 0; first < all; first += size) {
    const std::int64_t count = std::min(size, all - first);
    const graft_tensor panel = rows ? weight_panel(context, w, dtype, first, 0, count, w.k, memory)
                                    : weight_panel(context, w, dtype, 0, first, w.n, count, memory);
    body(first, count, factor(panel));
  }
}

}  // namespace

std::int64_t panel_size(std::int64_t count, std::int64_t elements, std::int64_t most) {
  const std::int64_t fitting = most / std::max<std::int64_t>(elements, 1) / kFewest * kFewest;
  return std::min(count, std::max(fitting, kFewest));
}

graft_tensor weight_panel(core::Context& context, const graft_weight& w, graft_dtype dtype, std::int64_t row,
                          std::int64_t column, std::int64_t rows, std::int64_t columns, void* memory) {
  if (w.kind == GRAFT_WEIGHT_DENSE) return part(core::dense_matrix(w), row, column, rows, columns);
  const graft_tensor panel{memory, dtype, GRAFT_DEVICE_CUDA, 2, 0, {rows, columns}, {columns, 1}};
  const Decode decode{&w, row, column, panel};
  w.kind == GRAFT_WEIGHT_NF4 ? decode_nf4(context, decode) : decode_sketch(context, decode);
  return panel;
}

void product(core::Context& context, const Factor& a, const Factor& b, graft_dtype factors, bool accumulate,
             const graft_tensor& c, const void* bias) {
  if (a.width() > 0)
    return run(context, Gemm{a, b, factors, c.data, c.stride[0], c.dtype, 1,
                             accumulate && !GRAFT_BUG(linear_overwrites) ? 1.0f : 0.0f, bias});
  if (accumulate && bias == nullptr) return;
  const std::int64_t rows = c.shape[0], columns = c.shape[1], added = bias == nullptr ? 0 : rows;
  run(context, Convert{bias, c.dtype, added, columns, 0, c.data, c.dtype, rows, columns, c.stride[0], 1, accumulate});
}

std::string refuse(const ops::LinearForward& a) {
  if (a.bias != nullptr && a.bias->dtype == GRAFT_DTYPE_F64) return refuse_f64(*a.bias);
  const std::string refusal = refuse_gemm(a.x->dtype, a.y->dtype);
  return refusal.empty() ? refuse_weight(*a.w) : refusal;
}

void run(core::Context& context, const ops::LinearForward& a) {
  if (refuse_few_rows(a).empty()) return few_rows(context, a);
  core::Scratch scratch(context.arena);
  const auto* bias = static_cast<const char*>(vector_as(context, scratch, a.bias, a.y->dtype));
  for_panels(context, *a.w, a.x->dtype, true, [&](std::int64_t first, std::int64_t size, const Factor& w) {
    const graft_tensor y = part(*a.y, 0, first, a.y->shape[0], size);
    product(context, factor(*a.x), w.t(), a.x->dtype, a.accumulate, y,
            bias == nullptr ? nullptr : bias + first * graft_dtype_bytes(y.dtype));
  });
}

std::string refuse(const ops::LinearBackward& a) {
  const std::string refusal = refuse_gemm(a.dy->dtype, a.dy->dtype);
  return refusal.empty() && a.dx != nullptr ? refuse_weight(*a.w) : refusal;
}

void run(core::Context& context, const ops::LinearBackward& a) {
  const graft_dtype dtype = a.dy->dtype;
  if (a.dx != nullptr) {
    // Panels of columns: each element of dx is one sum, and is rounded once.
    for_panels(context, *a.w, dtype, false, [&](std::int64_t first, std::int64_t size, const Factor& w) {
      product(context, factor(*a.dy), w, dtype, a.accumulate, part(*a.dx, 0, first, a.dx->shape[0], size));
    });
  }
  if (a.dw != nullptr) product(context, factor(*a.dy).t(), factor(*a.x), dtype, true, *a.dw);
  if (a.dbias != nullptr) column_sums(context, *a.dy, data<float>(a.dbias));
}

}  // namespace graft::cuda
