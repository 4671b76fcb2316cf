// circulant in plain loops over D[m·B + i, n·B + j] = scale · w[m, n, (j - i) mod B]: y = x Dᵀ, dx = dy D, and dw sums
// dyᵀ x over the places of each number.
#include "ops/circulant.h"

#include "cpu/reference/made_matrix.h"

namespace graft::cpu::reference {
namespace {

template <class C>
class Blocks {
 public:
  Blocks(const graft_tensor& w, double scale) : w_(w), scale_(static_cast<C>(scale)) {}
  /** Row n of D. */
  std::vector<C> operator()(std::int64_t n) const {
    std::vector<C> row(static_cast<std::size_t>(columns()));
    for (std::int64_t k = 0; k < columns(); ++k)
      row[static_cast<std::size_t>(k)] = scale_ * w_(n / size(), k / size(), place(n, k));
    return row;
  }
  std::int64_t place(std::int64_t row, std::int64_t column) const {
    return (column % size() - row % size() + size()) % size();
  }
  std::int64_t size() const { return w_.size(2); }
  std::int64_t columns() const { return w_.size(1) * size(); }

 private:
  View<C> w_;
  C scale_;
};

}  // namespace

void run(core::Context& context, const ops::CirculantForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    multiply_made(context, View<C>(*a.x), Blocks<C>(*a.w, a.scale), a.accumulate, View<C>(*a.y));
  });
}

void run(core::Context& context, const ops::CirculantBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const Blocks<C> d(*a.w, a.scale);
    if (a.dx != nullptr) multiply_made_back(context, dy, d, a.accumulate, View<C>(*a.dx));
    if (a.dw == nullptr) return;
    core::parallel_for(context, a.w->shape[0], [&](std::int64_t m, int) {
      for (std::int64_t n = m * d.size(); n < (m + 1) * d.size(); ++n) {
        const std::vector<C> sums = gradient_row(dy, View<C>(*a.x), n);
        for (std::int64_t k = 0; k < d.columns(); ++k)
          View<C>(*a.dw).add(static_cast<C>(a.scale) * sums[static_cast<std::size_t>(k)], m, k / d.size(),
                             d.place(n, k));
      }
    });
  });
}

void run(core::Context& context, const ops::CirculantMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    add_made(context, *a.weight, Blocks<C>(*a.w, a.scale), View<C>(*a.merged));
  });
}

}  // namespace graft::cpu::reference
