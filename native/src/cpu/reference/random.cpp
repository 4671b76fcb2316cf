// random in plain loops. Element i of the stream takes Philox word i as u; a normal pair
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

namespace {

double normal(std::uint64_t seed, std::uint64_t i) {
  const double u = Philox::uniform(seed, i & ~std::uint64_t{1}), v = Philox::uniform(seed, i | 1);
  const double radius = std::sqrt(-2 * std::log(u + 0x1p-32)), angle = 2 * std::numbers::pi * v;
  return radius * (i & 1 ? std::sin(angle) : std::cos(angle));
}

/** Each element of y = number(its place in the stream, its old value). */
template <class Number>
void replace(const graft_tensor& y, std::uint64_t offset, const Number& number) {
  core::visit_float(y.dtype, [&](auto tag) {
    using T = decltype(tag);
    std::uint64_t i = offset;
    for_each_index(y, [&](auto... index) {
      T& to = element<T>(y, index...);
      to = core::narrow<T>(number(i++, core::narrow<double>(to)));
    });
  });
}

}  // namespace

void run(core::Context&, const ops::RandomNormal& a) {
  replace(*a.y, a.offset, [&](std::uint64_t i, double) { return a.mean + a.deviation * normal(a.seed, i); });
}

void run(core::Context&, const ops::RandomAddNormal& a) {
  replace(*a.y, a.offset, [&](std::uint64_t i, double old) { return old + a.factor * normal(a.seed, i); });
}

void run(core::Context&, const ops::RandomKeep& a) {
  replace(*a.y, a.offset,
          [&](std::uint64_t i, double old) { return Philox::uniform(a.seed, i) < a.keep ? old / a.keep : 0; });
}

}  // namespace graft::cpu::reference
