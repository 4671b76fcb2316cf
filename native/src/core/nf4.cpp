#include "core/nf4.h"

#include <algorithm>
#include <cmath>

namespace graft::core {

const std::array<float, 256>& dynamic_map() {
  static const std::array<float, 256> map = [] {
    std::array<float, 256> values{};
    std::size_t filled = 0;
    constexpr float powers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
    for (int i = 0; i < 7; ++i) {
      const int parts = 1 << i;
      const auto edge = [&](int j) { return static_cast<float>(0.1 + 0.9 * j / parts); };
      for (int j = 0; j < parts; ++j) {
        const float middle = (edge(j) + edge(j + 1)) / 2 * powers[i];
        values[filled++] = middle;
        values[filled++] = -middle;
      }
    }
    values[filled++] = 0;
    values[filled++] = 1;
    std::sort(values.begin(), values.end());
    return values;
  }();
  return map;
}

Nf4Scales::Nf4Scales(const graft_weight& w) : map_(dynamic_map().data()) {
  if (w.absmax.dtype == GRAFT_DTYPE_F32) {
    absmax_ = static_cast<const float*>(w.absmax.data);
    return;
  }
  codes_ = static_cast<const std::uint8_t*>(w.absmax.data);
  absmax_ = static_cast<const float*>(w.nested_absmax.data);
  offset_ = *static_cast<const float*>(w.nested_offset.data);
}

void nest_scales(const float* absmax, std::int64_t count, const graft_weight& w) {
  const std::array<float, 256>& map = dynamic_map();
  std::array<float, 255> bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = (map[i] + map[i + 1]) / 2;
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += absmax[i];
  const float offset = count == 0 ? 0 : static_cast<float>(sum / static_cast<double>(count));
  *static_cast<float*>(w.nested_offset.data) = offset;
  auto* codes = static_cast<std::uint8_t*>(w.absmax.data);
  for (std::int64_t first = 0; first < count; first += kNestedBlock) {
    const std::int64_t last = std::min(count, first + kNestedBlock);
    float largest = 0;
    for (std::int64_t i = first; i < last; ++i) largest = std::max(largest, std::fabs(absmax[i] - offset));
    static_cast<float*>(w.nested_absmax.data)[first / kNestedBlock] = largest;
    const float inverse = largest > 0 ? 1 / largest : 0;
    for (std::int64_t i = first; i < last; ++i) {
      const float value = (absmax[i] - offset) * inverse;
      codes[i] = static_cast<std::uint8_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
    }
  }
}

}  // namespace graft::core
