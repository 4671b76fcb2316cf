// hard_concrete by threads, a row at a time; each row's sums are added in the order of the rows. Bytes: write reads d,
// a and original and writes W; backward reads d and a and changes g and da. A gate costs a logarithm or two and an
// exponential.
#include "ops/hard_concrete.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/visit.h"
#include "cpu/gemm/gemm.h"

namespace graft::cpu::fast {

std::string refuse(const ops::HardConcreteWrite& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::HardConcreteWrite& a) {
  const Matrix w = matrix_of(core::dense_matrix(*a.w)), original = matrix_of(*a.original);
  core::parallel_for(context, w.rows, [&](std::int64_t n, int) {
    core::PhiloxWords words(a.gates.seed, a.offset + static_cast<std::uint64_t>(n * w.columns));
    const float *d = row<const float>(*a.d, n), *logits = row<const float>(*a.a, n);
    visit_small_float(w.dtype, [&](auto tag) {
      using T = decltype(tag);
      T* to = static_cast<T*>(w.data) + n * w.row_stride;
      const T* from = static_cast<const T*>(original.data) + n * original.row_stride;
      for (std::int64_t k = 0; k < w.columns; ++k) {
        const double z = a.gates.gate(words.next(), logits[k]).z;
        to[k] = T(static_cast<float>(from[k]) + static_cast<float>(a.factor * z) * d[k]);
      }
    });
  });
}

std::string refuse(const ops::HardConcreteBackward& a) { return refuse_f64(*a.d); }

void run(core::Context& context, const ops::HardConcreteBackward& a) {
  const std::int64_t rows = a.d->shape[0], columns = a.d->shape[1];
  core::Scratch scratch(context.arena);
  double* parts = scratch.take<double>(2 * rows);
  core::parallel_for(context, rows, [&](std::int64_t n, int) {
    core::PhiloxWords words(a.gates.seed, a.offset + static_cast<std::uint64_t>(n * columns));
    const float *d = row<const float>(*a.d, n), *logits = row<const float>(*a.a, n);
    float *g = row<float>(*a.g, n), *da = row<float>(*a.da, n);
    double open = 0, along = 0;
    for (std::int64_t k = 0; k < columns; ++k) {
      const core::HardConcrete::Gate gate = a.gates.gate(words.next(), logits[k]);
      const double p = a.gates.open(logits[k]), dw = g[k];
      open += p;
      along += dw * d[k] * gate.z;
      g[k] = static_cast<float>(a.factor * gate.z * dw);
      if (a.gates.mode != GRAFT_GATE_FIXED)
        da[k] = static_cast<float>(da[k] + (a.factor * dw * d[k] * gate.slope + a.penalty * p * (1 - p)));
    }
    parts[2 * n] = open;
    parts[2 * n + 1] = along;
  });
  double* sums = static_cast<double*>(a.sums->data);
  double open = 0, along = 0;
  for (std::int64_t n = 0; n < rows; ++n) open += parts[2 * n], along += parts[2 * n + 1];
  sums[0] += open;
  sums[1] += along;
}

}  // namespace graft::cpu::fast
