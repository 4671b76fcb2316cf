// kronecker in plain loops, with D and its gradient as matrices: D = scale · Σ_m w1[m] ⊗ w2[m], y = x Dᵀ, dx = dy D,
// dD = dyᵀ x, and from it the gradients of w1 and w2 = b a.
#include "ops/kronecker.h"

#include <vector>

#include "cpu/reference/made_matrix.h"

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
  std::vector<C> operator()(std::int64_t n) const {
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

void run(core::Context& context, const ops::KroneckerForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    multiply_made(context, View<C>(*a.x), Factors<C>(a.d), a.accumulate, View<C>(*a.y));
  });
}

void run(core::Context& context, const ops::KroneckerBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const Factors<C> factors(a.d);
    if (a.dx != nullptr) multiply_made_back(context, dy, factors, a.accumulate, View<C>(*a.dx));
    if (a.dw1 == nullptr && a.db == nullptr && a.da == nullptr) return;
    for (std::int64_t n = 0; n < dy.size(1); ++n) add_row(a, factors, n, gradient_row(dy, View<C>(*a.x), n));
  });
}

void run(core::Context& context, const ops::KroneckerMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    add_made(context, *a.w, Factors<C>(a.d), View<C>(*a.merged));
  });
}

}  // namespace graft::cpu::reference
