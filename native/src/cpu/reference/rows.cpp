// rows in plain loops: dd += dy[:, I]ᵀ x; rows = W[I, :]; W[I, :] = original + d.
#include "ops/rows.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::RowsGradient& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), dd(*a.dd);
    for (std::int64_t j = 0; j < dd.size(0); ++j)
      for (std::int64_t k = 0; k < dd.size(1); ++k) {
        C sum = 0;
        for (std::int64_t t = 0; t < dy.size(0); ++t) sum += dy(t, id_at(*a.indices, j)) * x(t, k);
        dd.add(sum, j, k);
      }
  });
}

void run(core::Context&, const ops::RowsRead& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), rows(*a.rows);
    for (std::int64_t j = 0; j < rows.size(0); ++j)
      for (std::int64_t k = 0; k < rows.size(1); ++k) rows.set(w(id_at(*a.indices, j), k), j, k);
  });
}

void run(core::Context&, const ops::RowsWrite& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), original(*a.original);
    for (std::int64_t j = 0; j < original.size(0); ++j)
      for (std::int64_t k = 0; k < original.size(1); ++k) {
        const C delta = a.d == nullptr ? C{0} : View<C>(*a.d)(j, k);
        w.set(original(j, k) + delta, id_at(*a.indices, j), k);
      }
  });
}

}  // namespace graft::cpu::reference
