// Segments of rows as kernels take them, in their argument: each with its part of thin matrices that lie side by side.
#pragma once

#include <cstdint>

#include "cuda/device.h"

namespace graft::cuda {

inline constexpr int kTileRows = 64;  // of those that ops over segments cut their rows into

/** Rows begin … begin + rows - 1, and places first … first + rank - 1 of the thin matrices. */
struct Segment {
  std::int32_t begin, rows, first, rank;
  float scale;
};

struct SegmentTable {
  static constexpr int kMost = 64, kGroupTiles = 16;

  int count = 0, most_rows = 0, largest_rank = 0;
  Segment of[kMost] = {};
  std::int32_t tiles[kMost + 1] = {}, groups[kMost + 1] = {};  // of the segments before: of 64 rows, of 16 tiles

  bool full() const { return count == kMost; }

  void add(const Segment& segment) {
    of[count] = segment;
    const std::int32_t own = ceil_div<std::int32_t>(segment.rows, kTileRows);
    tiles[count + 1] = tiles[count] + own;
    groups[count + 1] = groups[count] + ceil_div<std::int32_t>(own, kGroupTiles);
    most_rows = segment.rows > most_rows ? segment.rows : most_rows;
    largest_rank = segment.rank > largest_rank ? segment.rank : largest_rank;
    ++count;
  }

  /** Whose tile, or group, `place` is; before: `tiles` or `groups`. */
  GRAFT_DEVICE int find(const std::int32_t* before, std::int64_t place) const {
    int g = 0;
    while (before[g + 1] <= place) ++g;
    return g;
  }
};

}  // namespace graft::cuda
