// dora by its definition: norm = the length of each row of W + scale·B A, g = m / norm; y = g ⊙ v + bias with v the
// output of lora; dv = g ⊙ dy into the backward of lora, dm += Σ_t dy ⊙ v / norm, dbias += Σ_t dy.
#include "ops/dora.h"

#include <cmath>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::LoraForward&);
void run(core::Context&, const ops::LoraBackward&);

namespace {

template <class C>
graft_tensor scratch_matrix(core::Scratch& scratch, std::int64_t rows, std::int64_t columns) {
  const graft_dtype dtype = sizeof(C) == sizeof(double) ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32;
  return ops::matrix_tensor(scratch.take<C>(rows * columns), dtype, rows, columns, columns);
}

template <class C>
C inverse(const View<C>& norm, std::int64_t row) {
  return norm(row) == 0 ? C{0} : 1 / norm(row);
}

}  // namespace

void run(core::Context&, const ops::DoraSquaredNorms& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), squared(*a.squared);
    for (std::int64_t n = 0; n < a.w->n; ++n) {
      C sum = 0;
      for (std::int64_t i = 0; i < a.w->k; ++i) sum += w(n, i) * w(n, i);
      squared.set(sum, n);
    }
  });
}

void run(core::Context& context, const ops::DoraNorms& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), down(*a.a), up(*a.b), norm(*a.norm);
    core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
      C sum = 0;
      for (std::int64_t i = 0; i < a.w->k; ++i) {
        C low = 0;
        for (std::int64_t j = 0; j < down.size(0); ++j) low += up(n, j) * down(j, i);
        const C element = w(n, i) + static_cast<C>(a.scale) * low;
        sum += element * element;
      }
      norm.set(std::sqrt(sum), n);
    });
  });
}

void run(core::Context& context, const ops::DoraForward& a) {
  visit_compute(a.lora.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const std::int64_t rows = a.lora.x->shape[0], n = a.lora.w->n, rank = a.lora.a->shape[0];
    core::Scratch scratch(context.arena);
    graft_tensor v = scratch_matrix<C>(scratch, rows, n), s = scratch_matrix<C>(scratch, rows, rank);
    ops::LoraForward lora = a.lora;
    lora.bias = nullptr, lora.accumulate = false, lora.y = &v, lora.s = &s;
    run(context, lora);
    const View<C> made(v), low(s), y(*a.lora.y), m(*a.m), norm(*a.norm);
    for (std::int64_t t = 0; t < rows; ++t) {
      for (std::int64_t o = 0; o < n; ++o) {
        C value = m(o) * inverse(norm, o) * made(t, o);
        if (a.lora.bias != nullptr) value += View<C>(*a.lora.bias)(o);
        y.set(a.lora.accumulate ? y(t, o) + value : value, t, o);
        if (a.kept != nullptr) View<C>(*a.kept).set(made(t, o), t, o);
      }
      for (std::int64_t j = 0; a.kept != nullptr && j < rank; ++j) View<C>(*a.kept).set(low(t, j), t, n + j);
    }
  });
}

void run(core::Context& context, const ops::DoraBackward& a) {
  visit_compute(a.lora.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const std::int64_t rows = a.lora.dy->shape[0], n = a.lora.w->n;
    core::Scratch scratch(context.arena);
    graft_tensor dv = scratch_matrix<C>(scratch, rows, n);
    const View<C> dy(*a.lora.dy), scaled(dv), m(*a.m), norm(*a.norm);
    for (std::int64_t o = 0; o < n; ++o) {
      C dm = 0, dbias = 0;
      for (std::int64_t t = 0; t < rows; ++t) {
        scaled.set(m(o) * inverse(norm, o) * dy(t, o), t, o);
        if (a.dm != nullptr) dm += dy(t, o) * View<C>(*a.kept)(t, o);
        dbias += dy(t, o);
      }
      if (a.dm != nullptr) View<C>(*a.dm).add(dm * inverse(norm, o), o);
      if (a.lora.dbias != nullptr) View<C>(*a.lora.dbias).add(dbias, o);
    }
    graft_tensor s{};
    ops::LoraBackward lora = a.lora;
    lora.dy = &dv, lora.dbias = nullptr;
    if (a.kept != nullptr) s = ops::columns_of(*a.kept, n, a.lora.a->shape[0]), lora.s = &s;
    run(context, lora);
  });
}

void run(core::Context& context, const ops::DoraMerge& a) {
  visit_compute(a.lora.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.lora.w)), down(*a.lora.a), up(*a.lora.b), merged(*a.lora.merged);
    const View<C> m(*a.m), norm(*a.norm);
    core::parallel_for(context, a.lora.w->n, [&](std::int64_t o, int) {
      for (std::int64_t i = 0; i < a.lora.w->k; ++i) {
        C low = 0;
        for (std::int64_t j = 0; j < down.size(0); ++j) low += up(o, j) * down(j, i);
        merged.set(m(o) * inverse(norm, o) * (w(o, i) + static_cast<C>(a.lora.scale) * low), o, i);
      }
    });
  });
}

}  // namespace graft::cpu::reference
