// Products with a matrix D [N, K] that exists a row at a time, row(n) being a std::vector of row n; a result is added
// to with `accumulate`.
#pragma once

#include <vector>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

/** y = x Dᵀ. */
template <class C, class Row>
void multiply_made(core::Context& context, const View<C>& x, Row&& row, bool accumulate, const View<C>& y) {
  core::parallel_for(context, y.size(1), [&](std::int64_t n, int) {
    const std::vector<C> d = row(n);
    for (std::int64_t t = 0; t < x.size(0); ++t) {
      C sum = 0;
      for (std::int64_t k = 0; k < x.size(1); ++k) sum += x(t, k) * d[static_cast<std::size_t>(k)];
      y.set(accumulate ? y(t, n) + sum : sum, t, n);
    }
  });
}

/** dx = dy D. */
template <class C, class Row>
void multiply_made_back(core::Context& context, const View<C>& dy, Row&& row, bool accumulate, const View<C>& dx) {
  const std::int64_t rows = dx.size(0), k = dx.size(1);
  std::vector<C> sums(static_cast<std::size_t>(rows * k), C{0});
  for (std::int64_t n = 0; n < dy.size(1); ++n) {
    const std::vector<C> d = row(n);
    core::parallel_for(context, rows, [&](std::int64_t t, int) {
      for (std::int64_t j = 0; j < k; ++j)
        sums[static_cast<std::size_t>(t * k + j)] += dy(t, n) * d[static_cast<std::size_t>(j)];
    });
  }
  for (std::int64_t at = 0; at < rows * k; ++at) {
    const C sum = sums[static_cast<std::size_t>(at)];
    dx.set(accumulate ? dx(at / k, at % k) + sum : sum, at / k, at % k);
  }
}

/** Row n of dD = dyᵀ x. */
template <class C>
std::vector<C> gradient_row(const View<C>& dy, const View<C>& x, std::int64_t n) {
  std::vector<C> sums(static_cast<std::size_t>(x.size(1)), C{0});
  for (std::int64_t t = 0; t < dy.size(0); ++t)
    for (std::int64_t k = 0; k < x.size(1); ++k) sums[static_cast<std::size_t>(k)] += dy(t, n) * x(t, k);
  return sums;
}

/** merged = W + D of a dense W. */
template <class C, class Row>
void add_made(core::Context& context, const graft_weight& weight, Row&& row, const View<C>& merged) {
  const View<C> w(core::dense_matrix(weight));
  core::parallel_for(context, w.size(0), [&](std::int64_t n, int) {
    const std::vector<C> d = row(n);
    for (std::int64_t k = 0; k < w.size(1); ++k) merged.set(w(n, k) + d[static_cast<std::size_t>(k)], n, k);
  });
}

}  // namespace graft::cpu::reference
