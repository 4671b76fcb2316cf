// Finite differences: the proof that a backward is the derivative of its forward. In fp64, on the reference.
#pragma once

#include <functional>
#include <string>

#include "tensors.h"

namespace graft::test {

/** Compares `gradient` (what backward says) with central differences of `objective` over each element of the f64 tensor
 * `input`: step 1e-6, |difference| <= 1e-5 + 1e-3·|gradient|. At most `samples` elements, spread evenly. */
void expect_gradient(Tensor& input, const std::vector<double>& gradient, const std::function<double()>& objective,
                     const std::string& what, std::int64_t samples = 64);

/** Σ coefficients·values: a scalar objective out of a tensor. */
double dot(const std::vector<double>& coefficients, const std::vector<double>& values);

}  // namespace graft::test
