// Codes of the 8-bit dynamic map (core/dynamic_map.h) in kernels, from bounds in shared memory.
#pragma once

#include <cstdint>

#include "cuda/device.h"

namespace graft::cuda {

inline constexpr int kDynamicMapSize = 256;

/** How many of the map's bounds lie below x, found by halving; none below NaN. */
GRAFT_DEVICE std::uint8_t dynamic_code(const float* bounds, float x) {
  int code = 0;
  for (int step = kDynamicMapSize / 2; step > 0; step /= 2)
    if (bounds[code + step - 1] < x) code += step;
  return static_cast<std::uint8_t>(code);
}

}  // namespace graft::cuda
