// lora in plain loops: S = drop(x) Aᵀ, y = x Wᵀ + bias + scale·S Bᵀ; with dS = scale·dy B:
//   dx = dy W + drop'(dS A),  da += dSᵀ drop(x),  db += scale·dyᵀ S,  dbias += Σ_t dy.
#include "ops/lora.h"

#include "core/context.h"
#include "cpu/reference/kept.h"
#include "cpu/reference/weight_view.h"

namespace graft::cpu::reference {
void run(core::Context&, const ops::LoraPack& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> down(*a.a), up(*a.b), storage(a.w->storage);
    const std::int64_t n = a.w->n, k = a.w->k, rank = down.size(0), border = a.w->border;
    const C scale = static_cast<C>(a.scale);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < border; ++j) storage.set(j < rank ? scale * up(i, j) : C{0}, i, k + j);
    for (std::int64_t j = 0; j < border; ++j)
      for (std::int64_t i = 0; i < k + border; ++i) storage.set(j < rank && i < k ? down(j, i) : C{0}, n + j, i);
  });
}

void run(core::Context& context, const ops::LoraForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), down(*a.a), up(*a.b), y(*a.y);
    const WeightView<C> w(*a.w, a.x->dtype);
    const std::int64_t rows = x.size(0), n = a.w->n, k = a.w->k, rank = down.size(0);
    const C scale = static_cast<C>(a.scale);
    core::Scratch scratch(context.arena);
    C* s = scratch.take<C>(rows * rank);
    core::parallel_for(context, rows, [&](std::int64_t t, int) {
      for (std::int64_t j = 0; j < rank; ++j) {
        C sum = 0;
        for (std::int64_t i = 0; i < k; ++i) sum += kept<C>(a.dropout, t, i, k) * x(t, i) * down(j, i);
        s[t * rank + j] = sum;
        if (a.s != nullptr) View<C>(*a.s).set(sum, t, j);
      }
      for (std::int64_t o = 0; o < n; ++o) {
        C sum = a.bias == nullptr ? C{0} : View<C>(*a.bias)(o);
        for (std::int64_t i = 0; i < k; ++i) sum += x(t, i) * w(o, i);
        C low = 0;
        for (std::int64_t j = 0; j < rank; ++j) low += s[t * rank + j] * up(o, j);
        sum += scale * low;
        y.set(a.accumulate ? y(t, o) + sum : sum, t, o);
      }
    });
  });
}

void run(core::Context& context, const ops::LoraBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), down(*a.a), up(*a.b);
    const WeightView<C> w(*a.w, a.dy->dtype);
    const std::int64_t rows = dy.size(0), n = a.w->n, k = a.w->k, rank = down.size(0);
    const C scale = static_cast<C>(a.scale);
    core::Scratch scratch(context.arena);
    C* ds = scratch.take<C>(rows * rank);
    core::parallel_for(context, rows, [&](std::int64_t t, int) {
      for (std::int64_t j = 0; j < rank; ++j) {
        C sum = 0;
        for (std::int64_t o = 0; o < n; ++o) sum += dy(t, o) * up(o, j);
        ds[t * rank + j] = scale * sum;
      }
      if (a.dx == nullptr) return;
      const View<C> dx(*a.dx);
      for (std::int64_t i = 0; i < k; ++i) {
        C sum = 0, low = 0;
        for (std::int64_t o = 0; o < n; ++o) sum += dy(t, o) * w(o, i);
        for (std::int64_t j = 0; j < rank; ++j) low += ds[t * rank + j] * down(j, i);
        sum += kept<C>(a.dropout, t, i, k) * low;
        dx.set(a.accumulate ? dx(t, i) + sum : sum, t, i);
      }
    });
    if (a.da != nullptr) {
      const View<C> x(*a.x), da(*a.da);
      core::parallel_for(context, k, [&](std::int64_t i, int) {
        for (std::int64_t j = 0; j < rank; ++j) {
          C sum = 0;
          for (std::int64_t t = 0; t < rows; ++t) sum += ds[t * rank + j] * kept<C>(a.dropout, t, i, k) * x(t, i);
          da.add(sum, j, i);
        }
      });
    }
    core::parallel_for(context, n, [&](std::int64_t o, int) {
      for (std::int64_t j = 0; a.db != nullptr && j < rank; ++j) {
        C sum = 0;
        for (std::int64_t t = 0; t < rows; ++t) sum += dy(t, o) * View<C>(*a.s)(t, j);
        View<C>(*a.db).add(scale * sum, o, j);
      }
      if (a.dbias != nullptr) {
        C sum = 0;
        for (std::int64_t t = 0; t < rows; ++t) sum += dy(t, o);
        View<C>(*a.dbias).add(sum, o);
      }
    });
  });
}

void run(core::Context& context, const ops::LoraMerge& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), down(*a.a), up(*a.b), merged(*a.merged);
    core::parallel_for(context, a.w->n, [&](std::int64_t o, int) {
      for (std::int64_t i = 0; i < a.w->k; ++i) {
        C low = 0;
        for (std::int64_t j = 0; j < down.size(0); ++j) low += up(o, j) * down(j, i);
        merged.set(w(o, i) + static_cast<C>(a.scale) * low, o, i);
      }
    });
  });
}

}  // namespace graft::cpu::reference
