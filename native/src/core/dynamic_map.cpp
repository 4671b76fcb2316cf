#include "core/dynamic_map.h"

#include <algorithm>
#include <cmath>

namespace graft::core {
namespace {

DynamicMap make(bool with_sign) {
  DynamicMap map{};
  std::size_t filled = 0;
  constexpr float powers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
  for (int i = 0; i < 7; ++i) {
    const int parts = with_sign ? 1 << i : 2 << i;
    const auto edge = [&](int j) { return static_cast<float>(0.1 + 0.9 * j / parts); };
    for (int j = 0; j < parts; ++j) {
      const float middle = (edge(j) + edge(j + 1)) / 2 * powers[i];
      map.values[filled++] = middle;
      if (with_sign) map.values[filled++] = -middle;
    }
  }
  map.values[filled++] = 0;
  map.values[filled++] = 1;
  std::sort(map.values.begin(), map.values.end());
  for (std::size_t i = 0; i < map.bounds.size(); ++i) map.bounds[i] = (map.values[i] + map.values[i + 1]) / 2;
  if (!with_sign) map.bounds[0] = 0;
  map.zero = map.furthest_below = with_sign ? 127 : 0;
  int first = 1;
  for (int i = 0; i < 7; ++i) {
    const int parts = with_sign ? 1 << i : 2 << i;
    const float slope = static_cast<float>(parts / 0.9 * std::pow(10, 6 - i));
    map.decades[static_cast<std::size_t>(i)] = {map.bounds[static_cast<std::size_t>(map.zero + first - 1)], slope,
                                                static_cast<float>(first - parts / 9.0),
                                                static_cast<float>(first + parts - 1)};
    first += parts;
  }
  map.decades[7] = {map.bounds[254], 0, static_cast<float>(first), static_cast<float>(first)};
  return map;
}

}  // namespace

std::uint8_t DynamicMap::code(float x) const {
  // why not std::lower_bound: its branches are guessed wrong, these steps are none.
  std::size_t below = 0;
  for (std::size_t step = 128; step > 0; step /= 2)
    below += static_cast<std::size_t>(bounds[below + step - 1] < x) * step;
  return static_cast<std::uint8_t>(below);
}

const DynamicMap& signed_dynamic_map() {
  static const DynamicMap map = make(true);
  return map;
}

const DynamicMap& unsigned_dynamic_map() {
  static const DynamicMap map = make(false);
  return map;
}

}  // namespace graft::core
