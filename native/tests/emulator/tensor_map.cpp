// Maps of boxes as the emulator has them; what the driver would refuse ends the process.
#include "cuda/device/tensor_map.h"

#include <cstring>

#include "cuda/device/bulk.h"

namespace graft::cuda {

TensorMap tensor_map(const Boxes& b) {
  const std::int64_t row_bytes = b.columns * b.element_bytes, pitch_bytes = b.pitch * b.element_bytes;
  const std::int64_t box_bytes = std::int64_t{b.box_columns} * b.element_bytes;
  if (b.element_bytes != 1 && b.element_bytes != 2)
    emulator::die("tensor_map of elements of %d bytes", b.element_bytes);
  emulator::require_aligned(b.data, 16, "tensor_map");
  if (b.rows < 1 || b.columns < 1 || b.rows > std::int64_t{1} << 31 || b.columns > std::int64_t{1} << 31)
    emulator::die("tensor_map of %lld rows of %lld columns", static_cast<long long>(b.rows),
                  static_cast<long long>(b.columns));
  if (pitch_bytes % 16 != 0 || pitch_bytes < row_bytes || pitch_bytes >= std::int64_t{1} << 40)
    emulator::die("tensor_map of rows %lld bytes apart", static_cast<long long>(pitch_bytes));
  if (b.box_rows < 1 || b.box_rows > 256 || b.box_columns < 1 || b.box_columns > 256 || box_bytes % 16 != 0)
    emulator::die("tensor_map of boxes of %d rows of %d columns", b.box_rows, b.box_columns);
  if (b.swizzled && box_bytes != 128)
    emulator::die("tensor_map of swizzled rows of %lld bytes", static_cast<long long>(box_bytes));
  EmulatedMap map{static_cast<const unsigned char*>(b.data),
                  b.rows,
                  row_bytes,
                  pitch_bytes,
                  b.box_rows,
                  static_cast<std::int32_t>(box_bytes),
                  b.element_bytes,
                  b.swizzled ? 1u : 0u,
                  EmulatedMap::kMagic};
  TensorMap made{};
  std::memcpy(made.words, &map, sizeof map);
  return made;
}

}  // namespace graft::cuda
