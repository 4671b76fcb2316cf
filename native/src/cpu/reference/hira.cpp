// hira in plain loops: W' = W ⊙ (1 + b a), y = x W'ᵀ, dx = dy W'; H = (dyᵀ x) ⊙ W, da += bᵀ H, db += H aᵀ.
#include "ops/hira.h"

#include "cpu/reference/made_matrix.h"
#include "cpu/reference/weight_view.h"

namespace graft::cpu::reference {
namespace {

/** W ⊙ (1 + b a). */
template <class C>
class Product {
 public:
  Product(const WeightView<C>& w, const graft_tensor& a, const graft_tensor& b) : w_(w), a_(a), b_(b) {}
  std::vector<C> operator()(std::int64_t n) const {
    std::vector<C> row(static_cast<std::size_t>(a_.size(1)), C{1});
    for (std::int64_t k = 0; k < a_.size(1); ++k) {
      C& factor = row[static_cast<std::size_t>(k)];
      for (std::int64_t r = 0; r < a_.size(0); ++r) factor += b_(n, r) * a_(r, k);
      factor *= w_(n, k);
    }
    return row;
  }

 private:
  const WeightView<C>& w_;
  const View<C> a_, b_;
};

}  // namespace

void run(core::Context& context, const ops::HiraForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const WeightView<C> w(*a.w, a.x->dtype);
    multiply_made(context, View<C>(*a.x), Product<C>(w, *a.a, *a.b), a.accumulate, View<C>(*a.y));
  });
}

void run(core::Context& context, const ops::HiraBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), down(*a.a), up(*a.b);
    const WeightView<C> w(*a.w, a.dy->dtype);
    if (a.dx != nullptr) multiply_made_back(context, dy, Product<C>(w, *a.a, *a.b), a.accumulate, View<C>(*a.dx));
    for (std::int64_t n = 0; (a.da != nullptr || a.db != nullptr) && n < a.w->n; ++n) {
      const std::vector<C> sums = gradient_row(dy, View<C>(*a.x), n);
      for (std::int64_t k = 0; k < a.w->k; ++k) {
        const C h = sums[static_cast<std::size_t>(k)] * w(n, k);
        for (std::int64_t r = 0; r < down.size(0); ++r) {
          if (a.da != nullptr) View<C>(*a.da).add(up(n, r) * h, r, k);
          if (a.db != nullptr) View<C>(*a.db).add(h * down(r, k), n, r);
        }
      }
    }
  });
}

void run(core::Context& context, const ops::HiraMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> merged(*a.merged);
    const WeightView<C> w(*a.w, a.merged->dtype);
    const Product<C> product(w, *a.a, *a.b);
    core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
      const std::vector<C> row = product(n);
      for (std::int64_t k = 0; k < a.w->k; ++k) merged.set(row[static_cast<std::size_t>(k)], n, k);
    });
  });
}

}  // namespace graft::cpu::reference
