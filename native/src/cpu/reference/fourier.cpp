// fourier in plain loops over D[n, k] = scale / (N·K) · Σ_l c[l] cos(2π (u[l]·n / N + v[l]·k / K)): y = x Dᵀ, dx = dy
// D, and dc[l] sums dyᵀ x times the cosines of place l.
#include "ops/fourier.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "cpu/reference/made_matrix.h"

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
  std::vector<C> operator()(std::int64_t n) const {
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
    multiply_made(context, x, d, a.accumulate, y);
  });
}

void run(core::Context& context, const ops::FourierBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const Spectrum<C> d(*a.c, *a.places, a.scale, dy.size(1), a.inputs);
    if (a.dx != nullptr) multiply_made_back(context, dy, d, a.accumulate, View<C>(*a.dx));
    for (std::int64_t n = 0; a.dc != nullptr && n < dy.size(1); ++n) {
      const std::vector<C> products = gradient_row(dy, View<C>(*a.x), n);
      for (std::int64_t k = 0; k < a.inputs; ++k)
        for (std::int64_t l = 0; l < d.size(); ++l)
          View<C>(*a.dc).add(products[static_cast<std::size_t>(k)] * d.wave(l, n, k), l);
    }
  });
}

void run(core::Context& context, const ops::FourierMerge& a) {
  visit_compute(a.merged->dtype, [&](auto compute) {
    using C = decltype(compute);
    add_made(context, *a.w, Spectrum<C>(*a.c, *a.places, a.scale, a.w->n, a.w->k), View<C>(*a.merged));
  });
}

}  // namespace graft::cpu::reference
