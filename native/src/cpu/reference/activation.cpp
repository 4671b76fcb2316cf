// activation in plain loops: y = max(x, 0) or tanh(x); dx = dy·[y > 0] or dy·(1 − y²).
#include "ops/activation.h"

#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::ActivationForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t j = 0; j < x.size(1); ++j) {
        const C v = x(t, j);
        y.set(a.kind == GRAFT_ACTIVATION_TANH ? std::tanh(v) : v < 0 ? C{0} : v, t, j);
      }
  });
}

void run(core::Context&, const ops::ActivationBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), y(*a.y), dx(*a.dx);
    for (std::int64_t t = 0; t < dy.size(0); ++t)
      for (std::int64_t j = 0; j < dy.size(1); ++j) {
        const C v = y(t, j), slope = a.kind == GRAFT_ACTIVATION_TANH ? (1 - v) * (1 + v) : C(v > 0);
        dx.set(dy(t, j) * slope, t, j);
      }
  });
}

}  // namespace graft::cpu::reference
