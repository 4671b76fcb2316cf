// hard_concrete in plain loops: W = original + factor·z∘d; g = factor·z∘dW, da += factor·dW∘d∘dz/da + penalty·dp/da.
#include "ops/hard_concrete.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

using core::Philox;

void run(core::Context&, const ops::HardConcreteWrite& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), original(*a.original), d(*a.d);
    const View<double> logits(*a.a);
    std::uint64_t i = a.offset;
    for (std::int64_t n = 0; n < a.w->n; ++n)
      for (std::int64_t k = 0; k < a.w->k; ++k) {
        const double z = a.gates.gate(Philox::word(a.gates.seed, i++), logits(n, k)).z;
        w.set(original(n, k) + static_cast<C>(a.factor * z) * d(n, k), n, k);
      }
  });
}

void run(core::Context&, const ops::HardConcreteBackward& a) {
  const View<double> d(*a.d), logits(*a.a), g(*a.g), da(*a.da);
  double open = 0, along = 0;
  std::uint64_t i = a.offset;
  for (std::int64_t n = 0; n < d.size(0); ++n) {
    double row_open = 0, row_along = 0;
    for (std::int64_t k = 0; k < d.size(1); ++k) {
      const core::HardConcrete::Gate gate = a.gates.gate(Philox::word(a.gates.seed, i++), logits(n, k));
      const double p = a.gates.open(logits(n, k)), dw = g(n, k);
      row_open += p;
      row_along += dw * d(n, k) * gate.z;
      g.set(a.factor * gate.z * dw, n, k);
      if (a.gates.mode != GRAFT_GATE_FIXED)
        da.add(a.factor * dw * d(n, k) * gate.slope + a.penalty * p * (1 - p), n, k);
    }
    open += row_open;
    along += row_along;
  }
  double* sums = static_cast<double*>(a.sums->data);
  sums[0] += open;
  sums[1] += along;
}

}  // namespace graft::cpu::reference
