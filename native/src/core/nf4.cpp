#include "core/nf4.h"

#include <algorithm>
#include <cmath>

#include "core/dynamic_map.h"

namespace graft::core {

Nf4Scales::Nf4Scales(const graft_weight& w) : map_(signed_dynamic_map().values.data()) {
  if (w.absmax.dtype == GRAFT_DTYPE_F32) {
    absmax_ = static_cast<const float*>(w.absmax.data);
    return;
  }
  codes_ = static_cast<const std::uint8_t*>(w.absmax.data);
  absmax_ = static_cast<const float*>(w.nested_absmax.data);
  offset_ = *static_cast<const float*>(w.nested_offset.data);
}

void Nf4Scales::decode(std::int64_t first, std::int64_t count, float* to) const {
  if (codes_ == nullptr) {
    std::copy_n(absmax_ + first, count, to);
    return;
  }
  for (const std::int64_t last = first + count; first < last;) {
    const std::int64_t end = std::min(last, (first / kNestedBlock + 1) * kNestedBlock);
    const float scale = absmax_[first / kNestedBlock];
    for (; first < end; ++first) *to++ = map_[codes_[first]] * scale + offset_;
  }
}

void nest_mean(const float* absmax, std::int64_t count, const graft_weight& w) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += absmax[i];
  *static_cast<float*>(w.nested_offset.data) = count == 0 ? 0 : static_cast<float>(sum / static_cast<double>(count));
}

void nest_block(const float* absmax, std::int64_t count, std::int64_t block, const graft_weight& w) {
  const float offset = *static_cast<const float*>(w.nested_offset.data);
  const std::int64_t first = block * kNestedBlock, last = std::min(count, first + kNestedBlock);
  float largest = 0;
  for (std::int64_t i = first; i < last; ++i) largest = std::max(largest, std::fabs(absmax[i] - offset));
  static_cast<float*>(w.nested_absmax.data)[block] = largest;
  const float inverse = largest > 0 ? 1 / largest : 0;
  auto* codes = static_cast<std::uint8_t*>(w.absmax.data);
  const DynamicMap& map = signed_dynamic_map();
  for (std::int64_t i = first; i < last; ++i) codes[i] = map.code((absmax[i] - offset) * inverse);
}

}  // namespace graft::core
