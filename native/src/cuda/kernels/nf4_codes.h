// An NF4 weight as kernels read it: an element is level[code] · absmax of its block of 64; double quantised, absmax is
// map[code of the block] · nested_absmax of 256 blocks + nested_offset. Levels and map travel in the kernel's argument,
// and are read from shared memory: 16 floats lie in 16 banks, so that no lane waits for another.
#pragma once

#include "core/dynamic_map.h"
#include "core/nf4.h"
#include "cuda/device.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {

inline constexpr int kNf4LevelCount = 16, kNf4MapSize = 256;

struct Nf4Codes {
  const std::uint8_t *codes, *scale_codes;  // scale_codes NULL: absmax as it is
  const float *absmax, *offset;
  std::int64_t n, k;
  float levels[kNf4LevelCount], map[kNf4MapSize];

  /** By at least 256 threads of a block, before a barrier. */
  GRAFT_DEVICE void stage(float* shared_levels, float* shared_map) const {
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < kNf4LevelCount) shared_levels[thread] = levels[thread];
    if (thread < kNf4MapSize) shared_map[thread] = map[thread];
  }

  /** Of the block of element `index`. */
  GRAFT_DEVICE float scale(std::int64_t index, const float* shared_map) const {
    const std::int64_t block = index / core::kNf4Block;
    if (scale_codes == nullptr) return absmax[block];
    return shared_map[scale_codes[block]] * absmax[block / core::kNestedBlock] + *offset;
  }
};

/** Code i of the eight in four bytes. */
GRAFT_DEVICE int nf4_code(std::uint32_t word, int i) { return static_cast<int>(word >> (4 * (i ^ 1)) & 15); }

inline Nf4Codes nf4_codes(const graft_weight& w) {
  const bool nested = w.absmax.dtype != GRAFT_DTYPE_F32;
  Nf4Codes codes{data<const std::uint8_t>(&w.storage),
                 nested ? data<const std::uint8_t>(&w.absmax) : nullptr,
                 data<const float>(nested ? &w.nested_absmax : &w.absmax),
                 nested ? data<const float>(&w.nested_offset) : nullptr,
                 w.n,
                 w.k,
                 {},
                 {}};
  for (std::size_t i = 0; i < kNf4LevelCount; ++i) codes.levels[i] = core::kNf4Levels[i];
  for (std::size_t i = 0; i < kNf4MapSize; ++i) codes.map[i] = core::signed_dynamic_map().values[i];
  return codes;
}

}  // namespace graft::cuda
