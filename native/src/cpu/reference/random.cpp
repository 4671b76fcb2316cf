// random_uniform and random_normal in plain loops. Element i of the stream takes Philox word i as u; a normal pair
// (2k, 2k+1) comes from words u, v by Box-Muller: √(−2 ln(u + 2⁻³²))·cos 2πv and the same with sin.
#include "ops/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/context.h"
#include "core/philox.h"
#include "cpu/reference/element.h"
#include "cpu/reference/walk.h"

namespace graft::cpu::reference {

using core::Philox;

void run(core::Context&, const ops::RandomUniform& a) {
  const View<double> y(*a.y);
  const ops::Bounds bounds = a.bounds();
  std::uint64_t i = a.offset;
  for_each_index(*a.y, [&](auto... index) {
    const double value = a.low + (a.high - a.low) * Philox::uniform(a.seed, i++);
    y.set(std::clamp(value, bounds.smallest, bounds.largest), index...);
  });
}

void run(core::Context&, const ops::RandomNormal& a) {
  const View<double> y(*a.y);
  std::uint64_t i = a.offset;
  for_each_index(*a.y, [&](auto... index) {
    const double u = Philox::uniform(a.seed, i & ~std::uint64_t{1}), v = Philox::uniform(a.seed, i | 1);
    const double radius = std::sqrt(-2 * std::log(u + 0x1p-32)), angle = 2 * std::numbers::pi * v;
    y.set(a.mean + a.deviation * radius * (i & 1 ? std::sin(angle) : std::cos(angle)), index...);
    ++i;
  });
}

}  // namespace graft::cpu::reference
