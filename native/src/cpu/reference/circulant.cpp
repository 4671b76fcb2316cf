// circulant in plain loops over D[m·B + i, n·B + j] = scale · w[m, n, (j - i) mod B]: y = x Dᵀ, dx = dy D, and dw sums
// dyᵀ x over the places of each number.
#include "ops/circulant.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

template <class C>
class Blocks {
 public:
  Blocks(const graft_tensor& w, double scale) : w_(w), scale_(static_cast<C>(scale)) {}
  C operator()(std::int64_t row, std::int64_t column) const {
    const std::int64_t b = w_.size(2);
    return scale_ * w_(row / b, column / b, place(row, column));
  }
  std::int64_t place(std::int64_t row, std::int64_t column) const {
    const std::int64_t b = w_.size(2);
    return (column % b - row % b + b) % b;
  }
  std::int64_t size() const { return w_.size(2); }

 private:
  View<C> w_;
  C scale_;
};

}  // namespace

void run(core::Context& context, const ops::CirculantForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    const Blocks<C> d(*a.w, a.scale);
    core::parallel_for(context, y.size(1), [&](std::int64_t n, int) {
      for (std::int64_t t = 0; t < x.size(0); ++t) {
        C sum = 0;
        for (std::int64_t k = 0; k < x.size(1); ++k) sum += x(t, k) * d(n, k);
        y.set(a.accumulate ? y(t, n) + sum : sum, t, n);
      }
    });
  });
}

void run(core::Context& context, const ops::CirculantBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const Blocks<C> d(*a.w, a.scale);
    const std::int64_t rows = dy.size(0), inputs = a.w->shape[1] * d.size();
    if (a.dx != nullptr) {
      const View<C> dx(*a.dx);
      core::parallel_for(context, inputs, [&](std::int64_t k, int) {
        for (std::int64_t t = 0; t < rows; ++t) {
          C sum = 0;
          for (std::int64_t n = 0; n < dy.size(1); ++n) sum += dy(t, n) * d(n, k);
          dx.set(a.accumulate ? dx(t, k) + sum : sum, t, k);
        }
      });
    }
    if (a.dw == nullptr) return;
    const View<C> x(*a.x), dw(*a.dw);
    core::parallel_for(context, a.w->shape[0], [&](std::int64_t m, int) {
      for (std::int64_t n = m * d.size(); n < (m + 1) * d.size(); ++n)
        for (std::int64_t k = 0; k < inputs; ++k) {
          C sum = 0;
          for (std::int64_t t = 0; t < rows; ++t) sum += dy(t, n) * x(t, k);
          dw.add(static_cast<C>(a.scale) * sum, m, k / d.size(), d.place(n, k));
        }
    });
  });
}

void run(core::Context& context, const ops::CirculantMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.weight)), merged(*a.merged);
    const Blocks<C> d(*a.w, a.scale);
    core::parallel_for(context, w.size(0), [&](std::int64_t n, int) {
      for (std::int64_t k = 0; k < w.size(1); ++k) merged.set(w(n, k) + d(n, k), n, k);
    });
  });
}

}  // namespace graft::cpu::reference
