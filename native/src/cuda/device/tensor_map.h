// A matrix and the shape of its boxes, for bulk copies (bulk.h); made by the host.
#pragma once

#include <cstdint>

namespace graft::cuda {

/** As the hardware takes it (CUtensorMap): a `const GRAFT_GRID_CONSTANT` parameter of the kernel. */
struct alignas(64) TensorMap {
  std::uint64_t words[16];
};

/** What a map is made of. Elements of 1 or 2 bytes; data and the rows' pitch are multiples of 16 bytes; a box has at
 * most 256 rows and columns, and rows of a multiple of 16 bytes; swizzled, of 128. */
struct Boxes {
  const void* data;
  std::int64_t rows, columns, pitch;  // in elements
  int element_bytes, box_rows, box_columns;
  bool swizzled;
};

/** By the driver (runtime/tensor_map.cpp), or by the emulator; throws DEVICE_UNAVAILABLE where the driver has no such
 * function. */
TensorMap tensor_map(const Boxes& boxes);

}  // namespace graft::cuda
