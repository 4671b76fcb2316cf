#include "core/overlap.h"

#include <cstdint>
#include <utility>

namespace graft::core {
namespace {

/** First and one-past-last byte that a tensor touches. */
std::pair<std::uintptr_t, std::uintptr_t> extent(const graft_tensor& t) {
  const auto first = reinterpret_cast<std::uintptr_t>(t.data);
  std::int64_t last = 0;
  for (int i = 0; i < t.rank; ++i) {
    if (t.shape[i] == 0) return {first, first};
    last += (t.shape[i] - 1) * t.stride[i];
  }
  return {first, first + static_cast<std::uintptr_t>((last + 1) * graft_dtype_bytes(t.dtype))};
}

/** Width of the band of columns that a tensor occupies in rows of this pitch; 0 when it does not lie in such rows. */
std::int64_t band(const graft_tensor& t, std::int64_t pitch) {
  std::int64_t width = 1;
  for (int i = 0; i < t.rank; ++i) {
    if (t.shape[i] <= 1) continue;
    if (t.stride[i] < pitch) {
      width += (t.shape[i] - 1) * t.stride[i];
    } else if (t.stride[i] % pitch != 0) {
      return 0;
    }
  }
  return width <= pitch ? width : 0;
}

/** Slices of one buffer whose rows hold both side by side (a matrix and its border; q, k and v) share no element
 * although their extents overlap. */
bool columns_apart(const graft_tensor& a, const graft_tensor& b) {
  const std::int64_t bytes = graft_dtype_bytes(a.dtype);
  const std::int64_t distance =
      static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(b.data) - reinterpret_cast<std::intptr_t>(a.data));
  if (a.dtype != b.dtype || distance % bytes != 0) return false;
  for (const graft_tensor* t : {&a, &b}) {
    for (int i = 0; i < t->rank; ++i) {
      const std::int64_t pitch = t->stride[i];
      if (t->shape[i] <= 1 || pitch == 0) continue;
      const std::int64_t width = band(a, pitch), other = band(b, pitch);
      const std::int64_t offset = (distance / bytes % pitch + pitch) % pitch;
      if (width > 0 && other > 0 && offset >= width && offset + other <= pitch) return true;
    }
  }
  return false;
}

}  // namespace

bool share_memory(const graft_tensor& a, const graft_tensor& b) {
  const auto [a_first, a_last] = extent(a);
  const auto [b_first, b_last] = extent(b);
  if (a_first >= b_last || b_first >= a_last || a_first == a_last || b_first == b_last) return false;
  return !columns_apart(a, b);
}

}  // namespace graft::core
