#include "ops/random.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/narrow.h"
#include "core/tensor_check.h"
#include "graft/ops/random.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

/** The nearest number of type T below (or, for a direction > 0, above) a finite one. */
template <class T>
double neighbour(double value, int direction) {
  if constexpr (std::is_same_v<T, double> || std::is_same_v<T, float>) {
    return std::nextafter(static_cast<T>(value), direction * std::numeric_limits<T>::infinity());
  } else {
    T half = narrow<T>(value);
    const bool negative = half.bits & 0x8000u;
    if ((half.bits & 0x7fffu) == 0) {
      half.bits = direction > 0 ? 1u : 0x8001u;
    } else {
      half.bits = static_cast<std::uint16_t>(half.bits + ((direction > 0) != negative ? 1 : -1));
    }
    return static_cast<float>(half);
  }
}

}  // namespace

Bounds RandomUniform::bounds() const {
  Bounds bounds{};
  visit_float(y->dtype, [&](auto tag) {
    using T = decltype(tag);
    bounds.smallest = narrow<double>(narrow<T>(low));
    bounds.largest = narrow<double>(narrow<T>(high));
    if (bounds.smallest < low) bounds.smallest = neighbour<T>(bounds.smallest, 1);
    if (bounds.largest >= high) bounds.largest = neighbour<T>(bounds.largest, -1);
  });
  return bounds;
}

void RandomUniform::check() const {
  check_tensor("y", y);
  check_float("y", *y);
  check_finite("low", low);
  check_finite("high", high);
  if (!(low < high)) fail(GRAFT_INVALID_ARGUMENT, "high is %g, must be > low, which is %g", high, low);
  check_finite("high - low", high - low);
  const Bounds b = bounds();
  if (!(b.smallest <= b.largest) || std::isinf(b.smallest) || std::isinf(b.largest))
    fail(GRAFT_INVALID_ARGUMENT, "%s has no numbers in [low, high) = [%g, %g)", describe("y", y).c_str(), low, high);
}

void RandomNormal::check() const {
  check_tensor("y", y);
  check_float("y", *y);
  check_finite("mean", mean);
  check_finite("deviation", deviation);
  if (deviation < 0) fail(GRAFT_INVALID_ARGUMENT, "deviation is %g, must be >= 0", deviation);
}

void RandomAddNormal::check() const {
  check_tensor("y", y);
  check_float("y", *y);
  check_finite("factor", factor);
}

void RandomKeep::check() const {
  check_tensor("y", y);
  check_float("y", *y);
  check_finite("keep", keep);
  if (!(keep > 0 && keep <= 1)) fail(GRAFT_INVALID_ARGUMENT, "keep is %g, must be in (0, 1]", keep);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_random_uniform(graft_context* context, uint64_t seed, uint64_t offset, double low, double high,
                                  graft_tensor* y) {
  return core::guard("graft_random_uniform", [&] {
    dispatch(context, ops::RandomUniform{seed, offset, low, high, y});
  });
}

graft_status graft_random_normal(graft_context* context, uint64_t seed, uint64_t offset, double mean, double deviation,
                                 graft_tensor* y) {
  return core::guard("graft_random_normal", [&] {
    dispatch(context, ops::RandomNormal{seed, offset, mean, deviation, y});
  });
}

graft_status graft_random_add_normal(graft_context* context, uint64_t seed, uint64_t offset, double factor,
                                     graft_tensor* y) {
  return core::guard("graft_random_add_normal", [&] {
    dispatch(context, ops::RandomAddNormal{seed, offset, factor, y});
  });
}

graft_status graft_random_keep(graft_context* context, uint64_t seed, uint64_t offset, double keep, graft_tensor* y) {
  return core::guard("graft_random_keep", [&] { dispatch(context, ops::RandomKeep{seed, offset, keep, y}); });
}
}
