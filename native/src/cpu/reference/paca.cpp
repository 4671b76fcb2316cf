// paca in plain loops: y = x Wᵀ + bias, x_i = x[:, I]; dx = dy W, dd += scale·dyᵀ x_i; W[:, I] = original + scale·d.
#include "ops/paca.h"

#include <cmath>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"
#include "ops/linear.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::LinearForward&);
void run(core::Context&, const ops::LinearBackward&);

void run(core::Context& context, const ops::PacaForward& a) {
  run(context, ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  if (a.x_i == nullptr) return;
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), x_i(*a.x_i);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t j = 0; j < x_i.size(1); ++j) x_i.set(x(t, id_at(*a.indices, j)), t, j);
  });
}

void run(core::Context& context, const ops::PacaBackward& a) {
  run(context, ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  if (a.dd == nullptr) return;
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x_i(*a.x_i), dd(*a.dd);
    for (std::int64_t n = 0; n < a.w->n; ++n)
      for (std::int64_t j = 0; j < dd.size(1); ++j) {
        C sum = 0;
        for (std::int64_t t = 0; t < dy.size(0); ++t) sum += dy(t, n) * x_i(t, j);
        dd.add(static_cast<C>(a.scale) * sum, n, j);
      }
  });
}

void run(core::Context& context, const ops::PacaSlabForward& a) {
  run(context, ops::PacaForward{a.x, a.w, a.indices, a.bias, a.accumulate, a.y, a.x_i});
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), d(*a.d), y(*a.y);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t n = 0; n < a.w->n; ++n) {
        C sum = 0;
        for (std::int64_t j = 0; j < d.size(1); ++j) sum += x(t, id_at(*a.indices, j)) * d(n, j);
        y.set(y(t, n) + static_cast<C>(a.scale) * sum, t, n);
      }
  });
}

void run(core::Context& context, const ops::PacaSlabBackward& a) {
  run(context, ops::PacaBackward{a.dy, a.x_i, a.w, a.scale, a.accumulate, a.dx, a.dd, a.dbias});
  if (a.dx == nullptr) return;
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), d(*a.d), dx(*a.dx);
    for (std::int64_t t = 0; t < dy.size(0); ++t)
      for (std::int64_t j = 0; j < d.size(1); ++j) {
        C sum = 0;
        for (std::int64_t n = 0; n < a.w->n; ++n) sum += dy(t, n) * d(n, j);
        const std::int64_t k = id_at(*a.indices, j);
        dx.set(dx(t, k) + static_cast<C>(a.scale) * sum, t, k);
      }
  });
}

void run(core::Context&, const ops::PacaRead& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), columns(*a.columns);
    for (std::int64_t n = 0; n < a.w->n; ++n)
      for (std::int64_t j = 0; j < columns.size(1); ++j) columns.set(w(n, id_at(*a.indices, j)), n, j);
  });
}

void run(core::Context&, const ops::PacaWrite& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), original(*a.original);
    for (std::int64_t n = 0; n < a.w->n; ++n)
      for (std::int64_t j = 0; j < original.size(1); ++j) {
        const C delta = a.d == nullptr ? C{0} : static_cast<C>(a.scale) * View<C>(*a.d)(n, j);
        w.set(original(n, j) + delta, n, id_at(*a.indices, j));
      }
  });
}

void run(core::Context&, const ops::PacaColumnNorms& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), norms(*a.norms);
    for (std::int64_t k = 0; k < a.w->k; ++k) {
      C sum = 0;
      for (std::int64_t n = 0; n < a.w->n; ++n) sum += w(n, k) * w(n, k);
      norms.set(std::sqrt(sum), k);
    }
  });
}

}  // namespace graft::cpu::reference
