// row_scale in plain loops: y = diag(s) x; dx += diag(s) dy, ds += Σ_c dy ⊙ x.
#include "ops/row_scale.h"

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::RowScaleForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), s(*a.s), y(*a.y);
    for (std::int64_t r = 0; r < x.size(0); ++r)
      for (std::int64_t c = 0; c < x.size(1); ++c) y.set(s(r) * x(r, c), r, c);
  });
}

void run(core::Context&, const ops::RowScaleBackward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), s(*a.s);
    for (std::int64_t r = 0; r < x.size(0); ++r) {
      C sum = 0;
      for (std::int64_t c = 0; c < x.size(1); ++c) {
        sum += dy(r, c) * x(r, c);
        if (a.dx != nullptr) View<C>(*a.dx).add(s(r) * dy(r, c), r, c);
      }
      if (a.ds != nullptr) View<C>(*a.ds).add(sum, r);
    }
  });
}

}  // namespace graft::cpu::reference
