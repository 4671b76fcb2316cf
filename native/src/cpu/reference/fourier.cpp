// fourier in plain loops over D[n, k] = scale / (N·K) · Σ_l c[l] cos(2π (u[l]·n / N + v[l]·k / K)): y = x Dᵀ, dx = dy
// D, and dc[l] sums dyᵀ x times the cosines of place l.
#include "ops/fourier.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

template <class C>
class Spectrum {
 public:
  Spectrum(const graft_tensor& c, const graft_tensor& places, double scale, std::int64_t n, std::int64_t k)
      : c_(c), places_(places), scale_(scale / static_cast<double>(n * k)), n_(n), k_(k) {}

  std::int64_t size() const { return c_.size(0); }
  /** What place l adds to D[n, k] for a c[l] of one. */
  C wave(std::int64_t l, std::int64_t n, std::int64_t k) const {
    const double turns =
        part(ops::fourier_place(places_, 0, l) * n, n_) + part(ops::fourier_place(places_, 1, l) * k, k_);
    return static_cast<C>(scale_ * std::cos(2 * std::numbers::pi * turns));
  }
  /** Row n of D. */
  std::vector<C> row(std::int64_t n) const {
    std::vector<C> row(static_cast<std::size_t>(k_), C{0});
    for (std::int64_t l = 0; l < size(); ++l)
      for (std::int64_t k = 0; k < k_; ++k) row[static_cast<std::size_t>(k)] += c_(l) * wave(l, n, k);
    return row;
  }

 private:
  /** The fraction of a turn: the whole turns would cost digits. */
  static double part(std::int64_t steps, std::int64_t size) {
    return static_cast<double>(steps % size) / static_cast<double>(size);
  }
  View<C> c_;
  const graft_tensor& places_;
  double scale_;
  std::int64_t n_, k_;
};

}  // namespace

void run(core::Context& context, const ops::FourierForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    const Spectrum<C> d(*a.c, *a.places, a.scale, y.size(1), x.size(1));
    core::parallel_for(context, y.size(1), [&](std::int64_t n, int) {
      const std::vector<C> row = d.row(n);
      for (std::int64_t t = 0; t < x.size(0); ++t) {
        C sum = 0;
        for (std::int64_t k = 0; k < x.size(1); ++k) sum += x(t, k) * row[static_cast<std::size_t>(k)];
        y.set(a.accumulate ? y(t, n) + sum : sum, t, n);
      }
    });
  });
}

void run(core::Context&, const ops::FourierBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const std::int64_t rows = dy.size(0), n = dy.size(1), k = a.inputs;
    const Spectrum<C> d(*a.c, *a.places, a.scale, n, k);
    std::vector<C> sums(static_cast<std::size_t>(a.dx == nullptr ? 0 : rows * k), C{0});
    for (std::int64_t i = 0; a.dx != nullptr && i < n; ++i) {
      const std::vector<C> row = d.row(i);
      for (std::int64_t at = 0; at < rows * k; ++at)
        sums[static_cast<std::size_t>(at)] += dy(at / k, i) * row[static_cast<std::size_t>(at % k)];
    }
    for (std::int64_t at = 0; a.dx != nullptr && at < rows * k; ++at) {
      const View<C> dx(*a.dx);
      const C sum = sums[static_cast<std::size_t>(at)];
      dx.set(a.accumulate ? dx(at / k, at % k) + sum : sum, at / k, at % k);
    }
    for (std::int64_t i = 0; a.dc != nullptr && i < n; ++i)
      for (std::int64_t j = 0; j < k; ++j) {
        C product = 0;
        for (std::int64_t t = 0; t < rows; ++t) product += dy(t, i) * View<C>(*a.x)(t, j);
        for (std::int64_t l = 0; l < d.size(); ++l) View<C>(*a.dc).add(product * d.wave(l, i, j), l);
      }
  });
}

void run(core::Context& context, const ops::FourierMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), merged(*a.merged);
    const Spectrum<C> d(*a.c, *a.places, a.scale, w.size(0), w.size(1));
    core::parallel_for(context, w.size(0), [&](std::int64_t n, int) {
      const std::vector<C> row = d.row(n);
      for (std::int64_t k = 0; k < w.size(1); ++k) merged.set(w(n, k) + row[static_cast<std::size_t>(k)], n, k);
    });
  });
}

}  // namespace graft::cpu::reference
