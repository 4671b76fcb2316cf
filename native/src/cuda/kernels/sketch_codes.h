// A sketch weight as kernels read it (graft/weight.h): the codes of eight neighbouring columns at a time, and the table
// of a row's group.
#pragma once

#include "core/sketch.h"
#include "cuda/device.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {

struct SketchCodes {
  const std::uint8_t* codes;
  const void* table;
  graft_dtype dtype;                           // of the table
  std::int64_t n, k, groups, columns, blocks;  // columns of a group, blocks of a row's group
  int bits, entries;

  /** The codes of columns 8·eighth … 8·eighth + 7 of a row's group, a byte each. */
  GRAFT_DEVICE std::uint64_t eight(std::int64_t row, std::int64_t group, std::int64_t eighth) const {
    const std::uint8_t* const block = codes + ((row * groups + group) * blocks + eighth / 8) * 8 * bits;
    const int e = static_cast<int>(eighth % 8);
    const auto* const words = reinterpret_cast<const std::uint64_t*>(block);
    if (bits == 4) return words[e % 4] >> (4 * (e / 4)) & 0x0f0f0f0f0f0f0f0full;
    const std::uint64_t low = words[e % 2] >> (2 * (e / 2)) & 0x0303030303030303ull;
    if (bits == 2) return low;
    // Bit i of this byte to byte i; what is not zero there then carries into bit 7.
    const std::uint64_t spread = (block[16 + e] * 0x0101010101010101ull) & 0x8040201008040201ull;
    return low | ((spread + 0x7f7f7f7f7f7f7f7full) & 0x8080808080808080ull) >> 5;
  }

  GRAFT_DEVICE std::int64_t table_of(std::int64_t row, std::int64_t group) const {
    return (row * groups + group) * entries;
  }

  GRAFT_DEVICE float entry(std::int64_t index) const {
    if (dtype == GRAFT_DTYPE_BF16) return to_float(static_cast<const bf16*>(table)[index]);
    if (dtype == GRAFT_DTYPE_F16) return to_float(static_cast<const f16*>(table)[index]);
    return static_cast<const float*>(table)[index];
  }
};

GRAFT_DEVICE int byte_of(std::uint64_t bytes, int i) { return static_cast<int>(bytes >> (8 * i) & 255); }

inline SketchCodes sketch_codes(const graft_weight& w) {
  const core::SketchLayout layout(w);
  return {layout.codes,  w.table.data,   w.table.dtype, w.n,         w.k,
          layout.groups, layout.columns, layout.blocks, layout.bits, layout.entries};
}

/** Why a sketch weight is not served. */
inline std::string refuse_sketch(const graft_weight& w) {
  if (reinterpret_cast<std::uintptr_t>(w.storage.data) % 8 != 0) return "codes that begin between multiples of 8 bytes";
  return refuse_f64(w.table);
}

}  // namespace graft::cuda
