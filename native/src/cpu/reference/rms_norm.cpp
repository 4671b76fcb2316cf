// rms_norm in plain loops. With r = 1/sqrt(mean(x²) + eps): y = x·r·w and
//   dx = r·(g − x·r²·mean(g·x)),  g = dy·w;   dw += Σ_t dy·x·r.
#include "ops/rms_norm.h"

#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::RmsNormForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), w(*a.w), y(*a.y);
    const std::int64_t rows = x.size(0), columns = x.size(1);
    for (std::int64_t t = 0; t < rows; ++t) {
      C sum = 0;
      for (std::int64_t j = 0; j < columns; ++j) sum += x(t, j) * x(t, j);
      const C r = 1 / std::sqrt(sum / static_cast<C>(columns) + static_cast<C>(a.eps));
      for (std::int64_t j = 0; j < columns; ++j) y.set(x(t, j) * r * w(j), t, j);
      if (a.rstd != nullptr) View<C>(*a.rstd).set(r, t);
    }
  });
}

void run(core::Context&, const ops::RmsNormBackward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), w(*a.w), rstd(*a.rstd);
    const std::int64_t rows = x.size(0), columns = x.size(1);
    if (a.dw != nullptr) {
      const View<C> dw(*a.dw);
      for (std::int64_t j = 0; j < columns; ++j) {
        C sum = 0;
        for (std::int64_t t = 0; t < rows; ++t) sum += dy(t, j) * x(t, j) * rstd(t);
        dw.add(sum, j);
      }
    }
    if (a.dx == nullptr) return;
    const View<C> dx(*a.dx);
    for (std::int64_t t = 0; t < rows; ++t) {
      const C r = rstd(t);
      C dot = 0;
      for (std::int64_t j = 0; j < columns; ++j) dot += dy(t, j) * w(j) * x(t, j);
      const C mean = dot / static_cast<C>(columns);
      for (std::int64_t j = 0; j < columns; ++j) {
        const C gradient = r * (dy(t, j) * w(j) - x(t, j) * r * r * mean);
        dx.set(a.accumulate ? dx(t, j) + gradient : gradient, t, j);
      }
    }
  });
}

}  // namespace graft::cpu::reference
