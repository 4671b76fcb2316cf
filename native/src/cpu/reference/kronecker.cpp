// kronecker in plain loops, with D and its gradient as matrices: D = scale · Σ_m w1[m] ⊗ w2[m], y = x Dᵀ, dx = dy D,
// dD = dyᵀ x, and from it the gradients of w1 and w2 = b a.
#include "ops/kronecker.h"

#include <vector>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

template <class C>
class Factors {
 public:
  explicit Factors(const ops::KroneckerFactors& d) : d_(d), w1_(*d.w1), b_(*d.b) {}

  C w1(std::int64_t m, std::int64_t p, std::int64_t q) const { return w1_(m, p, q); }

  /** Row j of w2[m]. */
  std::vector<C> w2(std::int64_t m, std::int64_t j) const {
    std::vector<C> row(static_cast<std::size_t>(d_.wide()));
    for (std::int64_t k = 0; k < d_.wide(); ++k) {
      C sum = d_.a == nullptr ? b_(m, j, k) : C{0};
      for (std::int64_t r = 0; d_.a != nullptr && r < d_.inner(); ++r) sum += b_(m, j, r) * View<C>(*d_.a)(m, r, k);
      row[static_cast<std::size_t>(k)] = sum;
    }
    return row;
  }

  /** Row n of D. */
  std::vector<C> row(std::int64_t n) const {
    std::vector<C> row(static_cast<std::size_t>(d_.k()), C{0});
    for (std::int64_t m = 0; m < d_.sums(); ++m) {
      const std::vector<C> second = w2(m, n % d_.high());
      for (std::int64_t k = 0; k < d_.k(); ++k)
        row[static_cast<std::size_t>(k)] += static_cast<C>(d_.scale) * w1(m, n / d_.high(), k / d_.wide()) *
                                            second[static_cast<std::size_t>(k % d_.wide())];
    }
    return row;
  }

 private:
  const ops::KroneckerFactors& d_;
  const View<C> w1_, b_;
};

/** Adds to the gradients of the factors what row n of dD comes to. */
template <class C>
void add_row(const ops::KroneckerBackward& a, const Factors<C>& factors, std::int64_t n, const std::vector<C>& dd) {
  const ops::KroneckerFactors& d = a.d;
  const std::int64_t p = n / d.high(), j = n % d.high();
  for (std::int64_t m = 0; m < d.sums(); ++m) {
    const std::vector<C> second = factors.w2(m, j);
    for (std::int64_t at = 0; at < d.k(); ++at) {
      const std::int64_t q = at / d.wide(), k = at % d.wide();
      const C g = static_cast<C>(d.scale) * dd[static_cast<std::size_t>(at)];
      if (a.dw1 != nullptr) View<C>(*a.dw1).add(g * second[static_cast<std::size_t>(k)], m, p, q);
      const C dw2 = g * factors.w1(m, p, q);
      if (d.a == nullptr) {
        if (a.db != nullptr) View<C>(*a.db).add(dw2, m, j, k);
        continue;
      }
      for (std::int64_t r = 0; r < d.inner(); ++r) {
        if (a.db != nullptr) View<C>(*a.db).add(dw2 * View<C>(*d.a)(m, r, k), m, j, r);
        if (a.da != nullptr) View<C>(*a.da).add(dw2 * View<C>(*d.b)(m, j, r), m, r, k);
      }
    }
  }
}

}  // namespace

void run(core::Context&, const ops::KroneckerForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    const Factors<C> factors(a.d);
    for (std::int64_t n = 0; n < y.size(1); ++n) {
      const std::vector<C> row = factors.row(n);
      for (std::int64_t t = 0; t < x.size(0); ++t) {
        C sum = 0;
        for (std::int64_t k = 0; k < x.size(1); ++k) sum += x(t, k) * row[static_cast<std::size_t>(k)];
        y.set(a.accumulate ? y(t, n) + sum : sum, t, n);
      }
    }
  });
}

void run(core::Context&, const ops::KroneckerBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const Factors<C> factors(a.d);
    const std::int64_t rows = dy.size(0), columns = a.d.k();
    std::vector<C> sums(static_cast<std::size_t>(a.dx == nullptr ? 0 : rows * columns), C{0});
    for (std::int64_t n = 0; n < dy.size(1); ++n) {
      if (a.dx != nullptr) {
        const std::vector<C> row = factors.row(n);
        for (std::int64_t i = 0; i < rows * columns; ++i)
          sums[static_cast<std::size_t>(i)] += dy(i / columns, n) * row[static_cast<std::size_t>(i % columns)];
      }
      if (a.dw1 == nullptr && a.db == nullptr && a.da == nullptr) continue;
      std::vector<C> dd(static_cast<std::size_t>(columns), C{0});
      for (std::int64_t i = 0; i < rows * columns; ++i)
        dd[static_cast<std::size_t>(i % columns)] += dy(i / columns, n) * View<C>(*a.x)(i / columns, i % columns);
      add_row(a, factors, n, dd);
    }
    for (std::int64_t i = 0; a.dx != nullptr && i < rows * columns; ++i) {
      const View<C> dx(*a.dx);
      const C sum = sums[static_cast<std::size_t>(i)];
      dx.set(a.accumulate ? dx(i / columns, i % columns) + sum : sum, i / columns, i % columns);
    }
  });
}

void run(core::Context& context, const ops::KroneckerMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), merged(*a.merged);
    const Factors<C> factors(a.d);
    core::parallel_for(context, w.size(0), [&](std::int64_t n, int) {
      const std::vector<C> row = factors.row(n);
      for (std::int64_t k = 0; k < w.size(1); ++k) merged.set(w(n, k) + row[static_cast<std::size_t>(k)], n, k);
    });
  });
}

}  // namespace graft::cpu::reference
