// rope in plain loops. A pair (a, b) at angle φ = position · inv_freq becomes (a·cos φ − b·sin φ, b·cos φ + a·sin φ);
// the angle is computed in double, since positions of 10⁵ leave float no digits behind the point.
#include "ops/rope.h"

#include <cmath>
#include <numbers>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

template <class C>
void rotate(const graft_tensor& in, const graft_tensor& positions, const graft_tensor& frequencies, bool interleaved,
            double direction, const graft_tensor& out) {
  const View<C> x(in), y(out);
  const View<double> inv_freq(frequencies);
  const std::int64_t half = inv_freq.size(0);
  for (std::int64_t b = 0; b < x.size(0); ++b) {
    for (std::int64_t t = 0; t < x.size(1); ++t) {
      const double position =
          static_cast<const std::int32_t*>(positions.data)[b * positions.stride[0] + t * positions.stride[1]];
      for (std::int64_t h = 0; h < x.size(2); ++h) {
        for (std::int64_t i = 0; i < half; ++i) {
          const double angle = direction * position * inv_freq(i);
          const C cosine = static_cast<C>(std::cos(angle)), sine = static_cast<C>(std::sin(angle));
          const std::int64_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
          const C p = x(b, t, h, first), q = x(b, t, h, second);
          y.set(p * cosine - q * sine, b, t, h, first);
          y.set(q * cosine + p * sine, b, t, h, second);
        }
        for (std::int64_t i = 2 * half; i < x.size(3); ++i) y.set(x(b, t, h, i), b, t, h, i);
      }
    }
  }
}

double scaled(double frequency, const ops::RopeFrequencies& a) {
  if (a.factor == 0) return frequency;
  const double turns = a.original * frequency / (2 * std::numbers::pi);  // original / wavelength
  if (turns < a.low) return frequency / a.factor;
  if (turns > a.high) return frequency;
  const double keep = (turns - a.low) / (a.high - a.low);
  return (1 - keep) * frequency / a.factor + keep * frequency;
}

}  // namespace

void run(core::Context&, const ops::RopeFrequencies& a) {
  const View<double> inv_freq(*a.inv_freq);
  const double half = static_cast<double>(inv_freq.size(0));
  for (std::int64_t i = 0; i < inv_freq.size(0); ++i)
    inv_freq.set(scaled(std::pow(a.theta, -static_cast<double>(i) / half), a), i);
}

void run(core::Context&, const ops::RopeForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    rotate<decltype(compute)>(*a.x, *a.positions, *a.inv_freq, a.interleaved, 1, *a.y);
  });
}

void run(core::Context&, const ops::RopeBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    rotate<decltype(compute)>(*a.dy, *a.positions, *a.inv_freq, a.interleaved, -1, *a.dx);
  });
}

}  // namespace graft::cpu::reference
