// linear in plain loops: y = x Wᵀ + bias; dx = dy W, dw += dyᵀ x, dbias += Σ_t dy.
#include "ops/linear.h"

#include "core/context.h"
#include "cpu/reference/weight_view.h"

namespace graft::cpu::reference {

void run(core::Context& context, const ops::LinearForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    const WeightView<C> w(*a.w, a.x->dtype);
    core::parallel_for(context, x.size(0), [&](std::int64_t t, int) {
      for (std::int64_t n = 0; n < a.w->n; ++n) {
        C sum = a.bias == nullptr ? C{0} : View<C>(*a.bias)(n);
        for (std::int64_t k = 0; k < a.w->k; ++k) sum += x(t, k) * w(n, k);
        y.set(a.accumulate ? y(t, n) + sum : sum, t, n);
      }
    });
  });
}

void run(core::Context& context, const ops::LinearBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const WeightView<C> w(*a.w, a.dy->dtype);
    const std::int64_t rows = dy.size(0);
    if (a.dx != nullptr) {
      const View<C> dx(*a.dx);
      core::parallel_for(context, rows, [&](std::int64_t t, int) {
        for (std::int64_t k = 0; k < a.w->k; ++k) {
          C sum = 0;
          for (std::int64_t n = 0; n < a.w->n; ++n) sum += dy(t, n) * w(n, k);
          dx.set(a.accumulate ? dx(t, k) + sum : sum, t, k);
        }
      });
    }
    core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
      if (a.dw != nullptr) {
        const View<C> x(*a.x), dw(*a.dw);
        for (std::int64_t k = 0; k < a.w->k; ++k) {
          C sum = 0;
          for (std::int64_t t = 0; t < rows; ++t) sum += dy(t, n) * x(t, k);
          dw.add(sum, n, k);
        }
      }
      if (a.dbias != nullptr) {
        C sum = 0;
        for (std::int64_t t = 0; t < rows; ++t) sum += dy(t, n);
        View<C>(*a.dbias).add(sum, n);
      }
    });
  });
}

}  // namespace graft::cpu::reference
