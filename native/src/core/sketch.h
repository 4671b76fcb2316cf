// The layout of a sketch weight's codes (graft/weight.h), and blocks of them as bytes of one code each.
#pragma once

#include <algorithm>
#include <cstdint>

#include "graft/weight.h"

namespace graft::core {

inline constexpr std::int64_t kSketchBlock = 64;  // columns
inline constexpr int kSketchEntries = 16;         // of a table, at most

/** The sizes of a well-formed sketch weight. */
struct SketchLayout {
  explicit SketchLayout(const graft_weight& w) : SketchLayout(w.table, w.k) {
    codes = static_cast<std::uint8_t*>(w.storage.data);
  }
  SketchLayout(const graft_tensor& table, std::int64_t k)
      : groups(table.shape[1]),
        columns(k / groups),
        blocks((columns + kSketchBlock - 1) / kSketchBlock),
        entries(static_cast<int>(table.shape[2])),
        bits(entries == 16  ? 4
             : entries == 8 ? 3
                            : 2) {}

  int block_bytes() const { return 8 * bits; }
  std::uint8_t* block(std::int64_t row, std::int64_t group, std::int64_t b) const {
    return codes + ((row * groups + group) * blocks + b) * block_bytes();
  }

  std::int64_t groups, columns, blocks;  // columns of a group, blocks of a row's group
  int entries, bits;
  std::uint8_t* codes = nullptr;
};

/** bytes [8·bits] = the codes of 64 columns. */
inline void pack_block(const std::uint8_t* codes, int bits, std::uint8_t* bytes) {
  if (bits == 4) {
    for (int i = 0; i < 32; ++i) bytes[i] = static_cast<std::uint8_t>(codes[i] | codes[32 + i] << 4);
    return;
  }
  for (int i = 0; i < 16; ++i) {
    int fields = 0;
    for (int f = 0; f < 4; ++f) fields |= (codes[16 * f + i] & 3) << 2 * f;
    bytes[i] = static_cast<std::uint8_t>(fields);
  }
  for (int i = 0; bits == 3 && i < 8; ++i) {
    int third = 0;
    for (int j = 0; j < 8; ++j) third |= (codes[8 * i + j] >> 2) << j;
    bytes[16 + i] = static_cast<std::uint8_t>(third);
  }
}

/** The inverse. */
inline void unpack_block(const std::uint8_t* bytes, int bits, std::uint8_t* codes) {
  if (bits == 4) {
    for (int i = 0; i < 32; ++i) {
      codes[i] = bytes[i] & 15;
      codes[32 + i] = static_cast<std::uint8_t>(bytes[i] >> 4);
    }
    return;
  }
  for (int i = 0; i < 64; ++i) codes[i] = bytes[i % 16] >> i / 16 * 2 & 3;
  for (int i = 0; bits == 3 && i < 64; ++i)
    codes[i] = static_cast<std::uint8_t>(codes[i] | (bytes[16 + i / 8] >> i % 8 & 1) << 2);
}

/** Row `row` of w = codes [K], a byte each. */
inline void pack_row(const std::uint8_t* codes, const SketchLayout& layout, std::int64_t row) {
  for (std::int64_t group = 0; group < layout.groups; ++group)
    for (std::int64_t b = 0; b < layout.blocks; ++b) {
      const std::int64_t first = b * kSketchBlock, count = std::min(kSketchBlock, layout.columns - first);
      std::uint8_t block[kSketchBlock] = {};
      std::copy_n(codes + group * layout.columns + first, count, block);
      pack_block(block, layout.bits, layout.block(row, group, b));
    }
}

/** One code of a block. */
inline int code_of(const std::uint8_t* bytes, int bits, std::int64_t column) {
  if (bits == 4) return bytes[column % 32] >> column / 32 * 4 & 15;
  const int low = bytes[column % 16] >> column / 16 * 2 & 3;
  return bits == 2 ? low : low | (bytes[16 + column / 8] >> column % 8 & 1) << 2;
}

}  // namespace graft::core
