// hira in plain loops: W' = W ⊙ (1 + b a), y = x W'ᵀ, dx = dy W'; H = (dyᵀ x) ⊙ W, da += bᵀ H, db += H aᵀ.
#include "ops/hira.h"

#include "core/context.h"
#include "cpu/reference/weight_view.h"

namespace graft::cpu::reference {
namespace {

/** 1 + b a. */
template <class C>
class Factor {
 public:
  Factor(const graft_tensor& a, const graft_tensor& b) : a_(a), b_(b) {}
  C operator()(std::int64_t n, std::int64_t k) const {
    C sum = 1;
    for (std::int64_t r = 0; r < a_.size(0); ++r) sum += b_(n, r) * a_(r, k);
    return sum;
  }

 private:
  View<C> a_, b_;
};

}  // namespace

void run(core::Context& context, const ops::HiraForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    const WeightView<C> w(*a.w, a.x->dtype);
    const Factor<C> factor(*a.a, *a.b);
    core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
      for (std::int64_t t = 0; t < x.size(0); ++t) {
        C sum = 0;
        for (std::int64_t k = 0; k < a.w->k; ++k) sum += x(t, k) * w(n, k) * factor(n, k);
        y.set(a.accumulate ? y(t, n) + sum : sum, t, n);
      }
    });
  });
}

void run(core::Context& context, const ops::HiraBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const WeightView<C> w(*a.w, a.dy->dtype);
    const Factor<C> factor(*a.a, *a.b);
    const std::int64_t rows = dy.size(0);
    if (a.dx != nullptr) {
      const View<C> dx(*a.dx);
      core::parallel_for(context, a.w->k, [&](std::int64_t k, int) {
        for (std::int64_t t = 0; t < rows; ++t) {
          C sum = 0;
          for (std::int64_t n = 0; n < a.w->n; ++n) sum += dy(t, n) * w(n, k) * factor(n, k);
          dx.set(a.accumulate ? dx(t, k) + sum : sum, t, k);
        }
      });
    }
    for (std::int64_t n = 0; (a.da != nullptr || a.db != nullptr) && n < a.w->n; ++n)
      for (std::int64_t k = 0; k < a.w->k; ++k) {
        C h = 0;
        for (std::int64_t t = 0; t < rows; ++t) h += dy(t, n) * View<C>(*a.x)(t, k);
        h *= w(n, k);
        for (std::int64_t r = 0; r < a.a->shape[0]; ++r) {
          if (a.da != nullptr) View<C>(*a.da).add(View<C>(*a.b)(n, r) * h, r, k);
          if (a.db != nullptr) View<C>(*a.db).add(h * View<C>(*a.a)(r, k), n, r);
        }
      }
  });
}

void run(core::Context& context, const ops::HiraMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), merged(*a.merged);
    const Factor<C> factor(*a.a, *a.b);
    core::parallel_for(context, w.size(0), [&](std::int64_t n, int) {
      for (std::int64_t k = 0; k < w.size(1); ++k) merged.set(w(n, k) * factor(n, k), n, k);
    });
  });
}

}  // namespace graft::cpu::reference
