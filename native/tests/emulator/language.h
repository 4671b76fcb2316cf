// CUDA's own words for a C++ compiler: what nvcc knows without a header, kernels also find here.
#pragma once

#include <bit>
#include <cstring>

#include "emulator/emulator.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

using dim3 = graft::emulator::Dim3;

#define threadIdx (graft::emulator::here->thread)
#define blockIdx (graft::emulator::here->block)
#define blockDim (graft::emulator::here->block_size)
#define gridDim (graft::emulator::here->grid_size)

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  graft::emulator::sync_block(where);
}

inline void __syncwarp(unsigned mask = ~0u, std::source_location where = std::source_location::current()) {
  graft::emulator::sync_warp(mask, where);
}

namespace graft::emulator {

/** value of lane `source` of the same meeting. */
template <class T>
T shuffle(unsigned mask, const char* what, T value, int source, std::source_location where) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  constexpr int words = sizeof(T) / 4;
  std::uint32_t mine[words], all[32 * words];
  std::memcpy(mine, &value, sizeof value);
  gather(mask, what, mine, words, all, where);
  if ((mask >> source & 1) == 0) die("%s reads lane %d, which is not in its mask %08x", what, source, mask);
  std::memcpy(&value, all + source * words, sizeof value);
  return value;
}

inline void check_width(const char* what, int width) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0)
    die("%s has width %d, must be a power of two up to 32", what, width);
}

}  // namespace graft::emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              std::source_location where = std::source_location::current()) {
  graft::emulator::check_width("__shfl_sync", width);
  const int lane = graft::emulator::here->lane;
  return graft::emulator::shuffle(mask, "__shfl_sync", value, (lane & ~(width - 1)) | (source & (width - 1)), where);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  std::source_location where = std::source_location::current()) {
  graft::emulator::check_width("__shfl_xor_sync", width);
  // As PTX has it: a lane behind the segment's end is not read, one before its start is.
  const int lane = graft::emulator::here->lane, source = lane ^ bits;
  return graft::emulator::shuffle(mask, "__shfl_xor_sync", value, source > (lane | (width - 1)) ? lane : source, where);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, int delta, int width = 32,
                   std::source_location where = std::source_location::current()) {
  graft::emulator::check_width("__shfl_down_sync", width);
  const int lane = graft::emulator::here->lane, source = lane + delta;
  return graft::emulator::shuffle(mask, "__shfl_down_sync", value, source > (lane | (width - 1)) ? lane : source,
                                  where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location where = std::source_location::current()) {
  const std::uint32_t mine = predicate != 0;
  std::uint32_t all[32], bits = 0;
  graft::emulator::gather(mask, "__ballot_sync", &mine, 1, all, where);
  for (int lane = 0; lane < 32; ++lane) bits |= (mask >> lane & 1) & all[lane] ? 1u << lane : 0u;
  return bits;
}

/** Returns the value before. */
inline float atomicAdd(float* address, float value) {
  static_assert(sizeof(float) == sizeof(std::uint32_t));
  auto* word = reinterpret_cast<std::uint32_t*>(address);
  std::uint32_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(word, &before, std::bit_cast<std::uint32_t>(std::bit_cast<float>(before) + value),
                                      true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return std::bit_cast<float>(before);
}
