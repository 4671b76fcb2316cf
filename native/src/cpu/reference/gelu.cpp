// gelu in plain loops. Since (1 + tanh u)/2 = sigmoid(2u): with z = √(8/π) (x + 0.044715 x³) and s = 1/(1 + e^-z)
//   y = x·s,   dx = dy·(s + x·s·(1 − s)·z'),   z' = √(8/π) (1 + 3 · 0.044715 x²),
// where 1 − s is the sigmoid of −z, which does not cancel. By erf: with Φ = erfc(−x/√2)/2, which does not cancel
// either,
//   y = x·Φ,   dx = dy·(Φ + x·φ),   φ = e^(−x²/2)/√(2π).
#include "ops/gelu.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

constexpr double kScale = 1.5957691216057308;  // √(8/π)
constexpr double kCubic = 0.044715;

/** why clamped: beyond, s is 0 or 1 in every dtype, and the powers of x would be infinite times zero. */
template <class C>
C near_zero(C x) {
  return std::clamp<C>(x, -40, 40);
}

template <class C>
C sigmoid(C x) {
  const C v = near_zero(x);
  return 1 / (1 + std::exp(-static_cast<C>(kScale) * (v + static_cast<C>(kCubic) * v * v * v)));
}

template <class C>
C normal_distribution(C x) {
  return std::erfc(-x / std::numbers::sqrt2_v<C>) / 2;
}

template <class C>
C normal_density(C x) {
  return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi_v<C> / std::numbers::sqrt2_v<C>;
}

/** gelu(x) by `kind`. why: −∞ · 0 would be NaN. */
template <class C>
C gelu(std::int32_t kind, C x) {
  if (kind == GRAFT_GELU_TANH) return x * sigmoid(x);
  return x < -40 ? 0 : x * normal_distribution(x);
}

template <class C>
C slope(std::int32_t kind, C x) {
  const C n = near_zero(x);
  if (kind == GRAFT_GELU_ERF) return std::isnan(x) ? x : normal_distribution(n) + n * normal_density(n);
  const C s = sigmoid(x), rest = sigmoid(-x);
  return s + x * s * rest * static_cast<C>(kScale) * (1 + 3 * static_cast<C>(kCubic) * n * n);
}

}  // namespace

void run(core::Context&, const ops::GeluForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t j = 0; j < x.size(1); ++j) y.set(gelu<C>(a.kind, x(t, j)), t, j);
  });
}

void run(core::Context&, const ops::GeluBackward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), dx(*a.dx);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t j = 0; j < x.size(1); ++j) dx.set(dy(t, j) * slope<C>(a.kind, x(t, j)), t, j);
  });
}

}  // namespace graft::cpu::reference
