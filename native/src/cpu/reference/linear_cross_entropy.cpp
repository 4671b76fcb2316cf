// linear_cross_entropy in plain loops, one row of logits z = W h in scratch at a time:
//   loss += lse(z) − z[label];   dz = (softmax(z) − [label]) · gradient_scale / n;   dh = dz W,  dw += dzᵀ h.
// With a cap c, z = c tanh(W h / c), and dz gets 1 − (z/c)² as a factor.
#include "ops/linear_cross_entropy.h"

#include <cmath>
#include <limits>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context& context, const ops::LinearCrossEntropyForward& a) {
  visit_compute(a.h->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> h(*a.h), w(core::dense_matrix(*a.w));
    const std::int64_t rows = h.size(0), columns = h.size(1), vocabulary = a.w->n, counted = a.counted_rows();
    const C cap = static_cast<C>(a.softcap);
    const double n = a.normalizer != 0 ? a.normalizer : static_cast<double>(counted);
    core::Scratch scratch(context.arena);
    C* z = scratch.take<C>(vocabulary);
    double loss = 0;
    for (std::int64_t t = 0; t < rows; ++t) {
      if (!a.counts(t)) {
        for (std::int64_t j = 0; a.dh != nullptr && j < columns; ++j) View<C>(*a.dh).set(0, t, j);
        continue;
      }
      C largest = -std::numeric_limits<C>::infinity();
      for (std::int64_t v = 0; v < vocabulary; ++v) {
        z[v] = 0;
        for (std::int64_t j = 0; j < columns; ++j) z[v] += h(t, j) * w(v, j);
        if (cap > 0) z[v] = cap * std::tanh(z[v] / cap);
        largest = std::max(largest, z[v]);
      }
      double sum = 0;
      for (std::int64_t v = 0; v < vocabulary; ++v) sum += std::exp(static_cast<double>(z[v] - largest));
      const double lse = static_cast<double>(largest) + std::log(sum);
      loss += lse - static_cast<double>(z[a.label(t)]);
      if (a.dh == nullptr && a.dw == nullptr) continue;
      for (std::int64_t v = 0; v < vocabulary; ++v) {
        const double p = std::exp(static_cast<double>(z[v]) - lse) - (v == a.label(t) ? 1 : 0);
        const C slope = cap > 0 ? 1 - z[v] / cap * (z[v] / cap) : C{1};
        z[v] = static_cast<C>(p * a.gradient_scale / n) * slope;
      }
      for (std::int64_t j = 0; a.dh != nullptr && j < columns; ++j) {
        C sum_of_row = 0;
        for (std::int64_t v = 0; v < vocabulary; ++v) sum_of_row += z[v] * w(v, j);
        View<C>(*a.dh).set(sum_of_row, t, j);
      }
      if (a.dw == nullptr) continue;
      const View<C> dw(*a.dw);
      for (std::int64_t v = 0; v < vocabulary; ++v)
        for (std::int64_t j = 0; j < columns; ++j) dw.add(z[v] * h(t, j), v, j);
    }
    View<C>(*a.loss).set(static_cast<C>(counted == 0 ? 0 : loss / n), 0);
    if (a.count != nullptr) *static_cast<std::int64_t*>(a.count->data) = counted;
  });
}

}  // namespace graft::cpu::reference
