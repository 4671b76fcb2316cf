// Where attention's heads lie in memory, and what a tile of queries × keys shows of the mask.
#pragma once

#include <algorithm>
#include <cstdint>

#include "graft/tensor.h"
#include "ops/attention.h"

namespace graft::cpu::fast {

/** Row (b, i) of head h of a tensor [B, T, H, D]; rows of one head are stride[1] apart. */
template <class T>
T* head_row(const graft_tensor& t, std::int64_t b, std::int64_t i, std::int64_t h) {
  return static_cast<T*>(t.data) + b * t.stride[0] + i * t.stride[1] + h * t.stride[2];
}

/** A tile: queries from `query` on, keys [key, key + keys). */
struct Tile {
  ops::AttentionMask mask;
  std::int64_t query;
  std::int64_t key;
  std::int64_t keys;

  /** Keys that row r sees, counted from the tile's first. */
  ops::KeyRange seen(std::int64_t r) const {
    const auto [first, last] = mask.keys(query + r);
    const std::int64_t from = std::clamp<std::int64_t>(first - key, 0, keys);
    return {from, std::clamp<std::int64_t>(last - key, from, keys)};
  }

  /** Rows of [0, rows) that see any key of [first, last), counted from the tile's first key: one range, since a query
   * sees one range of keys whose ends never fall from a query to the next. */
  ops::KeyRange rows_seeing(std::int64_t first, std::int64_t last, std::int64_t rows) const {
    last = std::min(last, mask.length - key);
    if (first >= last) return {0, 0};
    const std::int64_t here = key - mask.past - query;  // the row at the position of the tile's first key
    const std::int64_t from = std::clamp<std::int64_t>(here + first, 0, rows);
    std::int64_t to = mask.window > 0 ? std::max(from, std::min(rows, here + last - 1 + mask.window)) : rows;
    if (mask.starts == nullptr) return {from, to};
    for (std::int64_t low = from; low < to;) {  // the first row whose segment starts behind these keys
      const std::int64_t row = (low + to) / 2;
      if (mask.starts[(query + row) * mask.starts_stride] >= key + last)
        to = row;
      else
        low = row + 1;
    }
    return {from, to};
  }
};

}  // namespace graft::cpu::fast
