// layer_norm in plain loops. With m = mean(x), r = 1/sqrt(mean((x−m)²) + eps) and n = (x−m)·r: y = n·w + b and
//   dx = r·(g − mean(g) − n·mean(g·n)),  g = dy·w;   dw += Σ_t dy·n;   db += Σ_t dy.
#include "ops/layer_norm.h"

#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::LayerNormForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), w(*a.w), y(*a.y);
    const std::int64_t rows = x.size(0), columns = x.size(1);
    const C count = static_cast<C>(columns);
    for (std::int64_t t = 0; t < rows; ++t) {
      C sum = 0, squares = 0;
      for (std::int64_t j = 0; j < columns; ++j) sum += x(t, j);
      const C mean = sum / count;
      for (std::int64_t j = 0; j < columns; ++j) squares += (x(t, j) - mean) * (x(t, j) - mean);
      const C r = 1 / std::sqrt(squares / count + static_cast<C>(a.eps));
      for (std::int64_t j = 0; j < columns; ++j) {
        const C scaled = (x(t, j) - mean) * r * w(j);
        y.set(a.b == nullptr ? scaled : scaled + View<C>(*a.b)(j), t, j);
      }
      if (a.stats == nullptr) continue;
      View<C>(*a.stats).set(mean, t, 0);
      View<C>(*a.stats).set(r, t, 1);
    }
  });
}

void run(core::Context&, const ops::LayerNormBackward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), w(*a.w), stats(*a.stats);
    const std::int64_t rows = x.size(0), columns = x.size(1);
    const auto normed = [&](std::int64_t t, std::int64_t j) { return (x(t, j) - stats(t, 0)) * stats(t, 1); };
    for (std::int64_t j = 0; j < columns; ++j) {
      C products = 0, sum = 0;
      for (std::int64_t t = 0; t < rows; ++t) {
        products += dy(t, j) * normed(t, j);
        sum += dy(t, j);
      }
      if (a.dw != nullptr) View<C>(*a.dw).add(products, j);
      if (a.db != nullptr) View<C>(*a.db).add(sum, j);
    }
    if (a.dx == nullptr) return;
    const View<C> dx(*a.dx);
    for (std::int64_t t = 0; t < rows; ++t) {
      C sum = 0, dot = 0;
      for (std::int64_t j = 0; j < columns; ++j) {
        sum += dy(t, j) * w(j);
        dot += dy(t, j) * w(j) * normed(t, j);
      }
      const C mean = sum / static_cast<C>(columns), pull = dot / static_cast<C>(columns);
      for (std::int64_t j = 0; j < columns; ++j) {
        const C gradient = stats(t, 1) * (dy(t, j) * w(j) - mean - normed(t, j) * pull);
        dx.set(a.accumulate ? dx(t, j) + gradient : gradient, t, j);
      }
    }
  });
}

}  // namespace graft::cpu::reference
