// block_diagonal in plain loops over the columns in the blocks' order: y[d] = x[d] + x[d] r[d], dx[d] = dy[d] + dy[d]
// r[d]ᵀ, dr[d] += Σ_t x[d]ᵀ dy[d].
#include "ops/block_diagonal.h"

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

/** Where a place in the blocks' order lies. */
class Order {
 public:
  explicit Order(const graft_tensor* columns) : columns_(columns) {}
  std::int64_t operator()(std::int64_t place) const { return columns_ == nullptr ? place : id_at(*columns_, place); }

 private:
  const graft_tensor* columns_;
};

}  // namespace

void run(core::Context& context, const ops::BlockDiagonalForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), r(*a.r), y(*a.y);
    const Order at(a.columns);
    const std::int64_t n = r.size(1);
    core::parallel_for(context, x.size(0), [&](std::int64_t t, int) {
      for (std::int64_t i = 0; i < x.size(1); ++i) {
        const std::int64_t d = r.size(0) == 1 ? 0 : i / n;
        C sum = x(t, at(i));
        for (std::int64_t k = 0; k < n; ++k) sum += x(t, at(i / n * n + k)) * r(d, k, i % n);
        y.set(sum, t, at(i));
      }
    });
  });
}

void run(core::Context& context, const ops::BlockDiagonalBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), r(*a.r);
    const Order at(a.columns);
    const std::int64_t n = r.size(1), columns = dy.size(1);
    if (a.dx != nullptr) {
      const View<C> dx(*a.dx);
      core::parallel_for(context, dy.size(0), [&](std::int64_t t, int) {
        for (std::int64_t i = 0; i < columns; ++i) {
          const std::int64_t d = r.size(0) == 1 ? 0 : i / n;
          C sum = dy(t, at(i));
          for (std::int64_t c = 0; c < n; ++c) sum += dy(t, at(i / n * n + c)) * r(d, i % n, c);
          dx.set(a.accumulate ? dx(t, at(i)) + sum : sum, t, at(i));
        }
      });
    }
    if (a.dr == nullptr) return;
    const View<C> x(*a.x), dr(*a.dr);
    for (std::int64_t i = 0; i < columns; ++i)
      for (std::int64_t c = 0; c < n; ++c) {
        C sum = 0;
        for (std::int64_t t = 0; t < dy.size(0); ++t) sum += x(t, at(i)) * dy(t, at(i / n * n + c));
        dr.add(sum, r.size(0) == 1 ? 0 : i / n, i % n, c);
      }
  });
}

}  // namespace graft::cpu::reference
