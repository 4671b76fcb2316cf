// What the ops on top of a linear layer share with it: the layer, its products, and its weight in panels.
#pragma once

#include <string>

#include "core/context.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/tensor.h"
#include "ops/linear.h"

namespace graft::cuda {

std::string refuse(const ops::LinearForward& a);
void run(core::Context& context, const ops::LinearForward& a);
std::string refuse(const ops::LinearBackward& a);
void run(core::Context& context, const ops::LinearBackward& a);

/** At most so many elements of a panel of W, and of a gradient in fp32, that the library's product reads, or has made,
 * while it is in the L2. */
inline constexpr std::int64_t kPanelElements = std::int64_t{4} << 20, kGradientElements = std::int64_t{2} << 20;

/** c = a·b, or c += with accumulate, + bias [N] of c's dtype; zeros, or the bias, where the sum is empty. */
void product(core::Context& context, const Factor& a, const Factor& b, graft_dtype factors, bool accumulate,
             const graft_tensor& c, const void* bias = nullptr);

/** Why parameters that are converted for a product with x are not served. */
inline std::string refuse_beside(const graft_tensor& x, const graft_tensor& parameters) {
  return parameters.dtype == GRAFT_DTYPE_F64 ? refuse_f64(parameters) : refuse_gemm(x.dtype, x.dtype);
}

/** How many of `count` rows of so many elements make a panel of at most `most` elements, 64 rows at least. */
std::int64_t panel_size(std::int64_t count, std::int64_t elements, std::int64_t most);

/** rows x columns of W from (row, column) on: a part of a dense one, or decoded into `memory` as `dtype`. */
graft_tensor weight_panel(core::Context& context, const graft_weight& w, graft_dtype dtype, std::int64_t row,
                          std::int64_t column, std::int64_t rows, std::int64_t columns, void* memory);

}  // namespace graft::cuda
