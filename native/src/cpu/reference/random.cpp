// random_uniform and random_normal in plain loops. Element i of the stream takes Philox word i as u; a normal pair
// (2k, 2k+1) comes from words u, v by Box-Muller: √(−2 ln(u + 2⁻³²))·cos 2πv and the same with sin.
#include "ops/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/context.h"
#include "core/narrow.h"
#include "core/philox.h"
#include "cpu/reference/walk.h"

namespace graft::cpu::reference {

using core::Philox;

void run(core::Context&, const ops::RandomUniform& a) {
  const ops::Bounds bounds = a.bounds();
  core::visit_float(a.y->dtype, [&](auto tag) {
    using T = decltype(tag);
    std::uint64_t i = a.offset;
    for_each_index(*a.y, [&](auto... index) {
      const double value = a.low + (a.high - a.low) * Philox::uniform(a.seed, i++);
      element<T>(*a.y, index...) = core::narrow<T>(std::clamp(value, bounds.smallest, bounds.largest));
    });
  });
}

void run(core::Context&, const ops::RandomNormal& a) {
  core::visit_float(a.y->dtype, [&](auto tag) {
    using T = decltype(tag);
    std::uint64_t i = a.offset;
    for_each_index(*a.y, [&](auto... index) {
      const double u = Philox::uniform(a.seed, i & ~std::uint64_t{1}), v = Philox::uniform(a.seed, i | 1);
      const double radius = std::sqrt(-2 * std::log(u + 0x1p-32)), angle = 2 * std::numbers::pi * v;
      const double value = a.mean + a.deviation * radius * (i & 1 ? std::sin(angle) : std::cos(angle));
      element<T>(*a.y, index...) = core::narrow<T>(value);
      ++i;
    });
  });
}

}  // namespace graft::cpu::reference
