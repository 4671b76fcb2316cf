// activation in plain loops: y = max(x, 0), tanh(x) or 1/(1 + e⁻ˣ); dx = dy·[y > 0], dy·(1 − y²) or dy·y·(1 − y).
#include "ops/activation.h"

#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

namespace {

template <class C>
C value_of(std::int32_t kind, C x) {
  if (kind == GRAFT_ACTIVATION_TANH) return std::tanh(x);
  if (kind == GRAFT_ACTIVATION_SIGMOID) return 1 / (1 + std::exp(-x));
  return x < 0 ? C{0} : x;
}

template <class C>
C slope_of(std::int32_t kind, C y) {
  if (kind == GRAFT_ACTIVATION_TANH) return (1 - y) * (1 + y);
  if (kind == GRAFT_ACTIVATION_SIGMOID) return y * (1 - y);
  return C(y > 0);
}

}  // namespace

void run(core::Context&, const ops::ActivationForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t j = 0; j < x.size(1); ++j) y.set(value_of(a.kind, x(t, j)), t, j);
  });
}

void run(core::Context&, const ops::ActivationBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), y(*a.y), dx(*a.dx);
    for (std::int64_t t = 0; t < dy.size(0); ++t)
      for (std::int64_t j = 0; j < dy.size(1); ++j) dx.set(dy(t, j) * slope_of(a.kind, y(t, j)), t, j);
  });
}

}  // namespace graft::cpu::reference
