// adamw in plain loops: the formula of the contract, one element after the other; the norm's sum in double.
#include "ops/adamw.h"

#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"
#include "cpu/reference/walk.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::AdamWSquaredNorm& a) {
  const View<double> g(*a.g);
  double sum = 0;
  for_each_index(*a.g, [&](auto... index) { sum += g(index...) * g(index...); });
  *static_cast<double*>(a.sum->data) += sum;
}

void run(core::Context&, const ops::AdamWStep& a) {
  visit_compute(a.p->dtype, [&](auto compute) {
    using C = decltype(compute);
    const ops::AdamWFactors<C> f(a);
    const View<C> g(*a.g), p(*a.p), m(*a.m), v(*a.v);
    std::uint64_t element = 0;
    for_each_index(*a.p, [&](auto... index) {
      const C gradient = f.clip * g(index...);
      m.set(f.beta1 * m(index...) + f.rest1 * gradient, index...);
      v.set(f.beta2 * v(index...) + f.rest2 * gradient * gradient, index...);
      const C moved = f.keep * p(index...) - f.rate * m(index...) / (f.root * std::sqrt(v(index...)) + f.eps);
      p.set(a.rounds_at_random() ? rounded_at_random<C>(moved, a.seed, element++) : moved, index...);
      if (a.p_out != nullptr) View<C>(*a.p_out).set(p(index...), index...);
    });
  });
}

void run(core::Context&, const ops::AdamWStep8Bit&);
void run(core::Context&, const ops::PacaWrite&);

void run(core::Context& context, const ops::AdamWSteps& a) {
  for (std::int64_t i = 0; i < a.count; ++i) {
    a.visit(i, [&](const auto& step) { run(context, step); });
    if (a.parameters[i].w != nullptr) run(context, a.columns(i));
  }
}

void run(core::Context& context, const ops::AdamWSquaredNorms& a) {
  for (std::int64_t i = 0; i < a.count; ++i) run(context, a.of(i));
}

}  // namespace graft::cpu::reference
