// A lane is a row. Columns of a tile go one after the other, and eight of them at once to the columns behind.
// Operations of a weight: 5·L for the nearest entry, and with r a multiply-add for each column of the tile behind it.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/sketch_codes.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "cpu/fast/simd-inl.h"
#include "cpu/fast/sketch_codes.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(F()));
constexpr std::int64_t kStep = 8;  // columns that go to the ones behind at once
static_assert(SketchTile::kRows % kLanes == 0);

// As many rows as there are lanes, from `first` on.
class TileRows {
 public:
  TileRows(const SketchTile& tile, std::int64_t first)
      : tile_(tile), first_(first), count_(std::min(kLanes, tile.rows - first)) {}

  void run() {
    load(tile_.goal + first_ * tile_.pitch, tile_.pitch, goal_);
    if (tile_.r != nullptr) load(tile_.added + first_ * SketchTile::kColumns, SketchTile::kColumns, added_);
    for (std::int64_t step = 0; step < tile_.columns; step += kStep) {
      const std::int64_t behind = std::min(tile_.columns, step + kStep);
      for (std::int64_t j = step; j < behind; ++j) code(step, j);
      if (tile_.r != nullptr)
        for (std::int64_t j = behind; j < tile_.columns; ++j) hn::Store(add<kStep>(step, j), F(), added_ + j * kLanes);
    }
    for (std::int64_t lane = 0; lane < count_; ++lane) {
      for (std::int64_t j = 0; j < tile_.columns; ++j)
        tile_.left[(first_ + lane) * tile_.pitch + j] = left_[j * kLanes + lane];
      tile_.loss[first_ + lane] += loss_[lane] / 2;
    }
  }

 private:
  void load(const float* rows, std::int64_t pitch, float* columns) const {
    for (std::int64_t lane = 0; lane < count_; ++lane)
      for (std::int64_t j = 0; j < tile_.columns; ++j) columns[j * kLanes + lane] = rows[lane * pitch + j];
    for (std::int64_t lane = count_; lane < kLanes; ++lane)
      for (std::int64_t j = 0; j < tile_.columns; ++j) columns[j * kLanes + lane] = 0;
  }

  // What is added to column j, with that of the `count` columns from `step` on.
  template <std::int64_t count>
  HWY_INLINE VF add(std::int64_t step, std::int64_t j) const {
    const F d;
    VF sum = hn::Load(d, added_ + j * kLanes);
    for (std::int64_t i = step; i < (count > 0 ? step + count : j); ++i)
      sum = hn::MulAdd(hn::Load(d, left_ + i * kLanes), hn::Set(d, tile_.r[i * tile_.r_pitch + j]), sum);
    return sum;
  }

  void code(std::int64_t step, std::int64_t j) {
    const F d;
    const hn::RebindToSigned<F> d32;
    const VF goal = hn::Load(d, goal_ + j * kLanes);
    VF value = goal, scale = hn::Set(d, 1.0f);
    if (tile_.r != nullptr) {
      scale = hn::Set(d, tile_.r[j * tile_.r_pitch + j]);
      value = hn::Add(goal, hn::Div(add<0>(step, j), scale));
    }
    const float* entries = tile_.tables + tile_.groups[j] * tile_.entries * SketchTile::kRows + first_;
    VF nearest = hn::LoadU(d, entries), least = hn::Abs(hn::Sub(value, nearest));
    auto code = hn::Zero(d32);
    for (int l = 1; l < tile_.entries; ++l) {
      const VF entry = hn::LoadU(d, entries + l * SketchTile::kRows), distance = hn::Abs(hn::Sub(value, entry));
      const auto nearer = hn::Lt(distance, least);
      nearest = hn::IfThenElse(nearer, entry, nearest);
      least = hn::IfThenElse(nearer, distance, least);
      code = hn::IfThenElse(hn::RebindMask(d32, nearer), hn::Set(d32, l), code);
    }
    hn::Store(hn::Sub(goal, nearest), d, left_ + j * kLanes);
    HWY_ALIGN float errors[kLanes];
    HWY_ALIGN std::int32_t codes[kLanes];
    hn::Store(hn::Mul(hn::Sub(value, nearest), scale), d, errors);
    hn::Store(code, d32, codes);
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      loss_[lane] += static_cast<double>(errors[lane]) * static_cast<double>(errors[lane]);
    std::uint8_t* to = tile_.codes + first_ * tile_.pitch + tile_.order[j];
    for (std::int64_t lane = 0; lane < count_; ++lane) to[lane * tile_.pitch] = static_cast<std::uint8_t>(codes[lane]);
  }

  const SketchTile& tile_;
  const std::int64_t first_, count_;
  HWY_ALIGN float goal_[SketchTile::kColumns * kLanes], added_[SketchTile::kColumns * kLanes];
  HWY_ALIGN float left_[SketchTile::kColumns * kLanes];
  double loss_[kLanes] = {};
};

void code_tile(const SketchTile& tile) {
  for (std::int64_t row = 0; row < tile.rows; row += kLanes) TileRows(tile, row).run();
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(code_tile);

void code_tile(const SketchTile& tile) { HWY_DYNAMIC_DISPATCH(code_tile)(tile); }
}  // namespace graft::cpu::fast
#endif
