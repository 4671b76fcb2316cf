// group_sum in plain loops: y[t, j] = scale · Σ_i x[t, j·g + i], dx[t, j·g + i] = scale · dy[t, j].
#include "ops/group_sum.h"

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context& context, const ops::GroupSumForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    const std::int64_t group = x.size(1) / y.size(1);
    core::parallel_for(context, y.size(0), [&](std::int64_t t, int) {
      for (std::int64_t j = 0; j < y.size(1); ++j) {
        C sum = 0;
        for (std::int64_t i = 0; i < group; ++i) sum += x(t, j * group + i);
        y.set(static_cast<C>(a.scale) * sum, t, j);
      }
    });
  });
}

void run(core::Context& context, const ops::GroupSumBackward& a) {
  visit_compute(a.dx->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dx(*a.dx), dy(*a.dy);
    const std::int64_t group = dx.size(1) / dy.size(1);
    core::parallel_for(context, dx.size(0), [&](std::int64_t t, int) {
      for (std::int64_t k = 0; k < dx.size(1); ++k) {
        const C value = static_cast<C>(a.scale) * dy(t, k / group);
        dx.set(a.accumulate ? dx(t, k) + value : value, t, k);
      }
    });
  });
}

}  // namespace graft::cpu::reference
