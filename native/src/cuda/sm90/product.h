// A product of two pairs of factors in one sum, by TMA and wgmma (compute capability 9.0).
#pragma once

#include <string>

#include "core/context.h"
#include "graft/weight.h"

namespace graft::cuda::sm90 {

/** y [T, N] = x Wᵀ + low·upᵀ + bias (+ y), W [N, K] and up [N, r]; or, across, with rows of W as steps of the sum:
 * y [T, K] = x W + low·up + bias (+ y), up [r, K]. Factors of bf16, y of bf16 or f32. */
struct Product {
  graft_tensor x;
  const graft_weight* w;
  bool across;
  const graft_tensor *low, *up;  // both NULL: there is no second pair
  graft_tensor y;
  bool accumulate;
  const void* bias;  // of y's type, or NULL
};

/** Why products of the main loops here are not made: GRAFT_SM90 is not 1 in the environment, or the device of the
 * context that has been entered has another compute capability. */
std::string refuse_here();

/** Why these factors are not served; low and up are the caller's, who makes them so. */
std::string refuse_factors(const graft_tensor& x, const graft_weight& w, const graft_tensor& y);

void run(core::Context& context, const Product& p);

/** The same of a weight of codes (coded_product.cu). */
std::string refuse_codes(const graft_weight& w);
void run_coded(core::Context& context, const Product& p);

}  // namespace graft::cuda::sm90
