// Bulk copies (TMA, sm_90): one thread starts a copy of a whole tile, or of a run of bytes, from global into shared
// memory; the bytes are counted by a Barrier, whose phase must expect them. PTX ISA, "cp.async.bulk.tensor".
//
// A tile is a box of a matrix. What lies outside of the matrix is zero, and counted all the same. It lies row by row
// without gaps; swizzled, a row has 128 bytes, and its 16-byte pieces are permuted as wgmma wants them: bits 4..6 of an
// address are xored with bits 7..9, so that the tile begins at a multiple of 1024.
#pragma once

#include <cstdint>

#include "cuda/device/barrier.h"
#include "cuda/device/tensor_map.h"

namespace graft::cuda {

#if defined(__CUDACC__)
#define GRAFT_GRID_CONSTANT __grid_constant__
#else
#define GRAFT_GRID_CONSTANT

/** The emulator's map. */
struct EmulatedMap {
  const unsigned char* data;
  std::int64_t rows, row_bytes, pitch_bytes;
  std::int32_t box_rows, box_bytes, element_bytes;
  std::uint32_t swizzled, magic;
  static constexpr std::uint32_t kMagic = 0x7a9e0c11;
};
static_assert(sizeof(EmulatedMap) <= sizeof(TensorMap));

struct TileCopy {
  EmulatedMap from;
  unsigned char* to;
  std::int64_t row, byte;
};

struct RunCopy {
  const unsigned char* from;
  unsigned char* to;
  std::int64_t count;
};

// Where the sanitizers look, and in the async proxy's view of the same byte.
inline void land_byte(std::uintptr_t to, std::uintptr_t view, unsigned char value) {
  *reinterpret_cast<volatile unsigned char*>(to) = value;
  *reinterpret_cast<volatile unsigned char*>(to + view) = value;
}

inline void land_tile(const void* what) {
  const auto& copy = *static_cast<const TileCopy*>(what);
  const EmulatedMap& m = copy.from;
  const std::uintptr_t view = emulator::async_view();
  for (std::int64_t r = 0; r < m.box_rows; ++r) {
    for (std::int64_t c = 0; c < m.box_bytes; ++c) {
      const std::int64_t row = copy.row + r, byte = copy.byte + c;
      const bool inside = row >= 0 && row < m.rows && byte >= 0 && byte < m.row_bytes;
      const unsigned char value =
          inside ? static_cast<const volatile unsigned char*>(m.data)[row * m.pitch_bytes + byte] : 0;
      std::uintptr_t at = reinterpret_cast<std::uintptr_t>(copy.to) + static_cast<std::uintptr_t>(r * m.box_bytes + c);
      if (m.swizzled != 0) at ^= (at >> 7 & 7) << 4;
      land_byte(at, view, value);
    }
  }
}

inline void land_run(const void* what) {
  const auto& copy = *static_cast<const RunCopy*>(what);
  const std::uintptr_t view = emulator::async_view();
  for (std::int64_t i = 0; i < copy.count; ++i)
    land_byte(reinterpret_cast<std::uintptr_t>(copy.to + i), view,
              static_cast<const volatile unsigned char*>(copy.from)[i]);
}
#endif

/** Starts the copy of the box whose first element is (row, column) of the matrix. The map is a kernel's parameter. */
GRAFT_DEVICE void load_box(void* shared, const TensorMap& map, std::int64_t row, std::int64_t column,
                           Barrier* b GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
          shared_address(shared)),
      "l"(&map), "r"(static_cast<int>(column)), "r"(static_cast<int>(row)), "r"(shared_address(b))
      : "memory");
#else
  TileCopy copy{};
  std::memcpy(&copy.from, map.words, sizeof copy.from);
  const EmulatedMap& m = copy.from;
  if (m.magic != EmulatedMap::kMagic) emulator::die("load_box: the map was not made by tensor_map");
  emulator::require_aligned(shared, m.swizzled != 0 ? 1024 : 128, "load_box to");
  copy.to = static_cast<unsigned char*>(shared), copy.row = row, copy.byte = column * m.element_bytes;
  touch(b);
  emulator::start_copy(land_tile, &copy, sizeof copy, shared, m.box_rows * m.box_bytes, b, b->word, where);
#endif
}

/** Starts the copy of so many bytes, a multiple of 16, between multiples of 16 bytes. */
GRAFT_DEVICE void load_run(void* shared, const void* global, unsigned bytes, Barrier* b GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(shared)),
               "l"(global), "r"(bytes), "r"(shared_address(b))
               : "memory");
#else
  emulator::require_aligned(shared, 16, "load_run to");
  emulator::require_aligned(global, 16, "load_run from");
  if (bytes == 0 || bytes % 16 != 0) emulator::die("load_run of %u bytes, must be a multiple of 16", bytes);
  const RunCopy copy{static_cast<const unsigned char*>(global), static_cast<unsigned char*>(shared), bytes};
  touch(b);
  emulator::start_copy(land_run, &copy, sizeof copy, shared, bytes, b, b->word, where);
#endif
}

}  // namespace graft::cuda
