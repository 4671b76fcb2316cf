// Some columns of some rows, in sequence, given their codes: that of the entry nearest to a weight and to what the
// columns before it have left.
#pragma once

#include <cstdint>

namespace graft::cpu::fast {

struct SketchTile {
  static constexpr std::int64_t kRows = 64, kColumns = 128;

  std::int64_t rows, columns, pitch;   // of goal, left and codes
  const std::int32_t *order, *groups;  // [columns]: of W, and of its tables
  const float* tables;                 // [groups, entries, kRows]
  int entries;
  const float* r;  // [columns, columns], or NULL
  std::int64_t r_pitch;
  const float* goal;    // [rows, columns]: W
  const float* added;   // [rows, kColumns]: what the columns before the tile, times r, add; not read without r
  float* left;          // [rows, columns]: D
  std::uint8_t* codes;  // [rows, K]
  double* loss;         // [rows]: added to
};

void code_tile(const SketchTile& tile);

}  // namespace graft::cpu::fast
