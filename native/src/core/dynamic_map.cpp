#include "core/dynamic_map.h"

#include <algorithm>
#include <limits>

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
  for (std::size_t i = 0; i < 255; ++i) map.bounds[i] = (map.values[i] + map.values[i + 1]) / 2;
  map.bounds[255] = std::numeric_limits<float>::infinity();
  if (!with_sign) map.bounds[0] = 0;
  return map;
}

}  // namespace

std::uint8_t DynamicMap::code(float x) const {
  return static_cast<std::uint8_t>(std::lower_bound(bounds.begin(), bounds.end() - 1, x) - bounds.begin());
}

const DynamicMap& signed_dynamic_map() {
  static const DynamicMap map = make(true);
  return map;
}

const DynamicMap& unsigned_dynamic_map() {
  static const DynamicMap map = make(false);
  return map;
}

DynamicCodes::DynamicCodes(const DynamicMap& map) : bounds_(map.bounds) {
  for (std::uint32_t place = 0; place < kCells; ++place) {
    const std::uint32_t key = place == 0 ? 0 : kFirst + place;
    const float nearest = std::bit_cast<float>(key << kShift);
    const float furthest = std::bit_cast<float>(((kFirst + place + 1) << kShift) - 1);
    lowest_[place] = map.code(nearest);
    lowest_[kCells + place] = map.code(-furthest);
  }
}

}  // namespace graft::core
