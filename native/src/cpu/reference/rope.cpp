// rope in plain loops. A pair (a, b) at angle φ = position · inv_freq becomes m·(a·cos φ − b·sin φ, b·cos φ + a·sin φ);
// the angle is computed in double, since positions of 10⁵ leave float no digits behind the point.
#include "ops/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

template <class C>
void rotate(const graft_tensor& in, const graft_tensor& positions, const graft_tensor& frequencies, bool interleaved,
            double direction, double magnitude, const graft_tensor& out) {
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
          const C cosine = static_cast<C>(magnitude * std::cos(angle)),
                  sine = static_cast<C>(magnitude * std::sin(angle));
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

/** How much of frequency number i of `half` is kept, the rest being divided by the factor. */
double kept(double frequency, std::int64_t i, std::int64_t half, const ops::RopeFrequencies& a) {
  if (a.scaling == GRAFT_ROPE_NONE) return 1;
  if (a.scaling == GRAFT_ROPE_LINEAR) return 0;
  if (a.scaling == GRAFT_ROPE_LLAMA3) {
    const double turns = a.original * frequency / (2 * std::numbers::pi);
    return std::clamp((turns - a.low) / (a.high - a.low), 0.0, 1.0);
  }
  const auto place = [&](double turns) {
    return static_cast<double>(half) * std::log(a.original / (turns * 2 * std::numbers::pi)) / std::log(a.theta);
  };
  const double first = std::max(std::floor(place(a.high)), 0.0);
  double last = std::min(std::ceil(place(a.low)), static_cast<double>(2 * half - 1));
  if (last == first) last += 0.001;
  return 1 - std::clamp((static_cast<double>(i) - first) / (last - first), 0.0, 1.0);
}

}  // namespace

void run(core::Context&, const ops::RopeFrequencies& a) {
  const View<double> inv_freq(*a.inv_freq);
  const std::int64_t half = inv_freq.size(0);
  for (std::int64_t i = 0; i < half; ++i) {
    const double frequency = std::pow(a.theta, -static_cast<double>(i) / static_cast<double>(half));
    const double keep = kept(frequency, i, half, a);
    inv_freq.set((1 - keep) * frequency / a.factor_or_one() + keep * frequency, i);
  }
}

void run(core::Context&, const ops::RopeForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    rotate<decltype(compute)>(*a.x, *a.positions, *a.inv_freq, a.interleaved, 1, a.magnitude, *a.y);
  });
}

void run(core::Context&, const ops::RopeBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    rotate<decltype(compute)>(*a.dy, *a.positions, *a.inv_freq, a.interleaved, -1, a.magnitude, *a.dx);
  });
}

}  // namespace graft::cpu::reference
