// lora_segments in plain loops: row t has adapter e, or none; S = drop(x) A_eᵀ, y = x Wᵀ + bias + scale_e·S B_eᵀ; with
// dS = scale_e·dy B_e:  dx = dy W + drop'(dS A_e),  da_e += dSᵀ drop(x),  db_e += scale_e·dyᵀ S,  dbias += Σ_t dy.
#include "ops/lora_segments.h"

#include "core/context.h"
#include "cpu/reference/kept.h"
#include "cpu/reference/weight_view.h"

namespace graft::cpu::reference {
namespace {

// The adapter of a row: where its rows of a and columns of b start, and how many there are; none where it has none.
template <class C>
struct RowAdapter {
  std::int64_t first = 0, rank = 0;
  C scale = 0;

  RowAdapter(const ops::Adapters& adapters, std::int64_t t) {
    std::int64_t segment = 0;
    while (adapters.end(segment) <= t) ++segment;
    const std::int64_t e = adapters.adapter(segment);
    if (e < 0) return;
    first = adapters.first(e);
    rank = adapters.rank(e);
    scale = static_cast<C>(adapters.scale(e));
  }
};

}  // namespace

void run(core::Context& context, const ops::LoraSegmentsForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), down(*a.adapters.a), up(*a.adapters.b), y(*a.y);
    const WeightView<C> w(*a.w, a.x->dtype);
    const std::int64_t rows = x.size(0), n = a.w->n, k = a.w->k, kept_columns = a.adapters.largest_rank();
    core::Scratch scratch(context.arena);
    C* all = scratch.take<C>(rows * kept_columns);
    core::parallel_for(context, rows, [&](std::int64_t t, int) {
      const RowAdapter<C> adapter(a.adapters, t);
      C* s = all + t * kept_columns;
      for (std::int64_t j = 0; j < adapter.rank; ++j) {
        s[j] = 0;
        for (std::int64_t i = 0; i < k; ++i) s[j] += kept<C>(a.dropout, t, i, k) * x(t, i) * down(adapter.first + j, i);
        if (a.s != nullptr) View<C>(*a.s).set(s[j], t, j);
      }
      for (std::int64_t o = 0; o < n; ++o) {
        C sum = a.bias == nullptr ? C{0} : View<C>(*a.bias)(o);
        for (std::int64_t i = 0; i < k; ++i) sum += x(t, i) * w(o, i);
        C low = 0;
        for (std::int64_t j = 0; j < adapter.rank; ++j) low += s[j] * up(o, adapter.first + j);
        sum += adapter.scale * low;
        y.set(a.accumulate ? y(t, o) + sum : sum, t, o);
      }
    });
  });
}

void run(core::Context& context, const ops::LoraSegmentsBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), down(*a.adapters.a), up(*a.adapters.b);
    const WeightView<C> w(*a.w, a.dy->dtype);
    const std::int64_t rows = dy.size(0), n = a.w->n, k = a.w->k, kept_columns = a.adapters.largest_rank();
    core::Scratch scratch(context.arena);
    C* all = scratch.take<C>(rows * kept_columns);
    core::parallel_for(context, rows, [&](std::int64_t t, int) {
      const RowAdapter<C> adapter(a.adapters, t);
      C* ds = all + t * kept_columns;
      for (std::int64_t j = 0; j < adapter.rank; ++j) {
        C sum = 0;
        for (std::int64_t o = 0; o < n; ++o) sum += dy(t, o) * up(o, adapter.first + j);
        ds[j] = adapter.scale * sum;
      }
      if (a.dx == nullptr) return;
      const View<C> dx(*a.dx);
      for (std::int64_t i = 0; i < k; ++i) {
        C sum = 0, low = 0;
        for (std::int64_t o = 0; o < n; ++o) sum += dy(t, o) * w(o, i);
        for (std::int64_t j = 0; j < adapter.rank; ++j) low += ds[j] * down(adapter.first + j, i);
        sum += kept<C>(a.dropout, t, i, k) * low;
        dx.set(a.accumulate ? dx(t, i) + sum : sum, t, i);
      }
    });
    // Each adds row by row what its adapter gets, so that the sums have one order.
    if (a.da != nullptr) {
      const View<C> x(*a.x), da(*a.da);
      core::parallel_for(context, k, [&](std::int64_t i, int) {
        for (std::int64_t t = 0; t < rows; ++t) {
          const RowAdapter<C> adapter(a.adapters, t);
          const C value = kept<C>(a.dropout, t, i, k) * x(t, i);
          for (std::int64_t j = 0; j < adapter.rank; ++j)
            da.add(all[t * kept_columns + j] * value, adapter.first + j, i);
        }
      });
    }
    core::parallel_for(context, n, [&](std::int64_t o, int) {
      for (std::int64_t t = 0; t < rows; ++t) {
        const RowAdapter<C> adapter(a.adapters, t);
        for (std::int64_t j = 0; a.db != nullptr && j < adapter.rank; ++j)
          View<C>(*a.db).add(adapter.scale * dy(t, o) * View<C>(*a.s)(t, j), o, adapter.first + j);
        if (a.dbias != nullptr) View<C>(*a.dbias).add(dy(t, o), o);
      }
    });
  });
}

}  // namespace graft::cpu::reference
