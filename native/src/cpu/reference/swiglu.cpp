// swiglu in plain loops. With s = 1/(1 + e^-gate): y = gate·s·up and
//   dup = dy·gate·s,   dgate = dy·up·s·(1 + gate·(1 − s)).
#include "ops/swiglu.h"

#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::SwigluForward& a) {
  visit_compute(a.gate->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> gate(*a.gate), up(*a.up), y(*a.y);
    for (std::int64_t t = 0; t < gate.size(0); ++t) {
      for (std::int64_t j = 0; j < gate.size(1); ++j) {
        const C g = gate(t, j);
        y.set(g / (1 + std::exp(-g)) * up(t, j), t, j);
      }
    }
  });
}

void run(core::Context&, const ops::SwigluBackward& a) {
  visit_compute(a.gate->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), gate(*a.gate), up(*a.up);
    for (std::int64_t t = 0; t < gate.size(0); ++t) {
      for (std::int64_t j = 0; j < gate.size(1); ++j) {
        const C d = dy(t, j), g = gate(t, j), u = up(t, j);
        const C s = 1 / (1 + std::exp(-g));
        if (a.dgate != nullptr) View<C>(*a.dgate).set(d * u * s * (1 + g * (1 - s)), t, j);
        if (a.dup != nullptr) View<C>(*a.dup).set(d * g * s, t, j);
      }
    }
  });
}

}  // namespace graft::cpu::reference
