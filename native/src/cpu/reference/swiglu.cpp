// swiglu in plain loops. With z = gate, or by GELU z = √(8/π) (gate + 0.044715 gate³), and s = 1/(1 + e^-z): y =
// gate·s·up,
//   dup = dy·gate·s,   dgate = dy·up·s·(1 + gate·(1 − s)·z'),   1 − s being the sigmoid of −z, which does not cancel.
#include "ops/swiglu.h"

#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

constexpr double kScale = 1.5957691216057308;  // √(8/π)
constexpr double kCubic = 0.044715;

/** why clamped: beyond, the sigmoid is 0 or 1 in every dtype, and the powers of x would be infinite times zero. */
template <class C>
C near_zero(C x) {
  return std::clamp<C>(x, -40, 40);
}

template <class C>
C sigmoid(std::int32_t kind, C x) {
  const C n = near_zero(x);
  const C z = kind == GRAFT_GLU_SILU ? x : static_cast<C>(kScale) * (n + static_cast<C>(kCubic) * n * n * n);
  return 1 / (1 + std::exp(-z));
}

/** z'. */
template <class C>
C slope(std::int32_t kind, C x) {
  const C n = near_zero(x);
  return kind == GRAFT_GLU_SILU ? 1 : static_cast<C>(kScale) * (1 + 3 * static_cast<C>(kCubic) * n * n);
}

}  // namespace

void run(core::Context&, const ops::SwigluForward& a) {
  visit_compute(a.gate->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> gate(*a.gate), up(*a.up), y(*a.y);
    for (std::int64_t t = 0; t < gate.size(0); ++t) {
      for (std::int64_t j = 0; j < gate.size(1); ++j) {
        const C g = gate(t, j);
        y.set(g * sigmoid<C>(a.kind, g) * up(t, j), t, j);
      }
    }
  });
}

void run(core::Context&, const ops::SwigluBackward& a) {
  visit_compute(a.gate->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), gate(*a.gate), up(*a.up);
    for (std::int64_t t = 0; t < gate.size(0); ++t) {
      for (std::int64_t j = 0; j < gate.size(1); ++j) {
        const C d = dy(t, j), g = gate(t, j), u = up(t, j);
        const C s = sigmoid<C>(a.kind, g), rest = sigmoid<C>(a.kind, -g);
        if (a.dgate != nullptr) View<C>(*a.dgate).set(d * u * (s + g * s * rest * slope<C>(a.kind, g)), t, j);
        if (a.dup != nullptr) View<C>(*a.dup).set(d * g * s, t, j);
      }
    }
  });
}

}  // namespace graft::cpu::reference
