// The gradient of a sketch's tables. A tile of dyᵀ x, in fp32, goes through the GEMM library into memory of its worker,
// and is summed by code while it is in cache: for each of the L codes a vector of sums, to which the lanes with that
// code are added. A task owns the tables of some groups of some rows, so that it adds in place, in a fixed order. FLOPs
// 2·T·N·K, and N·K·L masked additions; scratch: a tile and what the library packs, for each thread.
#include "ops/sketch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/sketch_gradient.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/sketch-inl.h"
#include "cpu/fast/sketch.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// Sums for four codes with the same high bits, times this, fit the registers.
constexpr std::size_t kHighAtOnce = kLanes == 16 ? 4 : 2;

// sums[4·h + l] += value in the lanes whose code has the low bits l and the high bits first + h.
template <std::size_t highs>
HWY_INLINE void add_lanes(VF value, VU code, std::size_t first, VF* sums) {
  const F d;
  const U32 du;
  // why in two steps: four comparisons for the low bits and one for each of the high ones, not one for each code.
  const VU low = hn::And(code, hn::Set(du, 3)), high = hn::AndNot(hn::Set(du, 3), code);
  hn::Mask<F> same[4];
  for (std::uint32_t l = 0; l < 4; ++l) same[l] = hn::RebindMask(d, hn::Eq(low, hn::Set(du, l)));
  for (std::size_t h = 0; h < highs; ++h) {
    const auto here = hn::RebindMask(d, hn::Eq(high, hn::Set(du, static_cast<std::uint32_t>(4 * (first + h)))));
    const VF kept = hn::IfThenElseZero(here, value);
    for (std::size_t l = 0; l < 4; ++l) {
      VF& sum = sums[4 * h + l];
      sum = hn::IfThenElse(same[l], hn::Add(sum, kept), sum);
    }
  }
}

// to [4] += the lanes of each of four vectors, all at once where there are at least four lanes.
HWY_INLINE void add_sums(const VF* sums, float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) to[i] += hn::GetLane(sums[i]);
#else
  const F d;
  const hn::Repartition<double, F> d64;
  const VF lower = hn::Add(hn::InterleaveLower(d, sums[0], sums[1]), hn::InterleaveUpper(d, sums[0], sums[1]));
  const VF upper = hn::Add(hn::InterleaveLower(d, sums[2], sums[3]), hn::InterleaveUpper(d, sums[2], sums[3]));
  const auto a = hn::BitCast(d64, lower), b = hn::BitCast(d64, upper);
  float lanes[kLanes], total[4] = {};
  hn::StoreU(hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, a, b)), hn::BitCast(d, hn::InterleaveUpper(d64, a, b))), d,
             lanes);
  for (std::size_t first = 0; first < kLanes; first += 4)
    for (std::size_t i = 0; i < 4; ++i) total[i] += lanes[first + i];
  for (std::size_t i = 0; i < 4; ++i) to[i] += total[i];
#endif
}

// dtable [L] += values [count] by code; the codes of value 0 begin a block.
template <int bits>
void add_by_code(const float* values, std::int64_t count, const std::uint8_t* bytes, float* dtable) {
  constexpr std::size_t all = (std::size_t{1} << bits) / 4, highs = std::min(all, kHighAtOnce);
  const F d;
  for (std::size_t first = 0; first < all; first += highs) {
    VF sums[4 * highs];
    for (VF& sum : sums) sum = hn::Zero(d);
    for (std::int64_t j = 0; j < count; j += core::kSketchBlock) {
      const float* from = values + j;
      float whole[core::kSketchBlock];
      if (count - j < core::kSketchBlock) {
        std::fill_n(std::copy_n(from, count - j, whole), core::kSketchBlock - (count - j), 0.0f);
        from = whole;
      }
      VU codes[kVectors];
      block_codes<bits>(bytes + j / core::kSketchBlock * 8 * bits, codes);
      // why not unrolled: the compiler would then move the sums between registers.
      HWY_UNROLL(1)
      for (std::size_t q = 0; q < kVectors; ++q)
        add_lanes<highs>(hn::LoadU(d, from + q * kLanes), codes[q], first, sums);
    }
    for (std::size_t h = 0; h < highs; ++h) add_sums(sums + 4 * h, dtable + 4 * (first + h));
  }
}

// The same for `rows` rows from n on: columns first.. of the group.
void add_rows(const core::SketchLayout& layout, std::int64_t n, std::int64_t rows, std::int64_t group,
              std::int64_t first, std::int64_t count, const float* values, std::int64_t pitch, float* dtable) {
  const auto add = layout.bits == 4 ? add_by_code<4> : layout.bits == 3 ? add_by_code<3> : add_by_code<2>;
  for (std::int64_t i = n; i < n + rows; ++i)
    add(values + (i - n) * pitch, count, layout.block(i, group, first / core::kSketchBlock),
        dtable + (i * layout.groups + group) * layout.entries);
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(add_rows);

namespace {

// why this wide: the library copies operands for each tile, and it sums by code in longer runs; why not larger: a tile
// stays in the second cache.
constexpr std::int64_t kTileRows = 128;
constexpr std::int64_t kTileColumns = 1024;  // whole blocks, so that a tile begins with one

}  // namespace

std::string refuse(const ops::SketchTableGradient& a) {
  if (a.dy->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  return gemm_refuse(a.dy->dtype, GRAFT_DTYPE_F32);
}

void run(core::Context& context, const ops::SketchTableGradient& a) {
  const core::SketchLayout layout(*a.w);
  const std::int64_t n = a.w->n, k = a.w->k;
  if (n == 0 || k == 0) return;
  const Matrix dy = matrix_of(*a.dy).transposed(), x = matrix_of(*a.x);
  auto* dtable = static_cast<float*>(a.dtable->data);
  // A task has some whole groups in one tile, or one group in several.
  const std::int64_t task_groups = std::max<std::int64_t>(1, std::min(layout.groups, kTileColumns / layout.columns));
  const std::int64_t task_columns = task_groups * layout.columns, across = chunks_of(layout.groups, task_groups);
  const std::int64_t tile_rows = std::min(n, kTileRows), tile_columns = std::min(task_columns, kTileColumns);
  const std::int64_t last_rows = (n - 1) % tile_rows + 1;
  const std::int64_t last_columns =
      task_columns > kTileColumns ? (task_columns - 1) % kTileColumns + 1 : k - (across - 1) * task_columns;

  core::Scratch scratch(context.arena);
  float* tiles = scratch.take<float>(tile_rows * tile_columns * context.pool.threads());
  const auto product = [&](std::int64_t rows, std::int64_t columns) {
    const Matrix tile = row_major(tiles, GRAFT_DTYPE_F32, rows, columns, tile_columns);
    return GemmPanel(context, scratch, dy.part(0, 0, rows, dy.columns), x.part(0, 0, x.rows, columns), tile, 0);
  };
  const GemmPanel inner = product(tile_rows, tile_columns), right = product(tile_rows, last_columns);
  const GemmPanel bottom = product(last_rows, tile_columns), corner = product(last_rows, last_columns);

  core::parallel_for(context, chunks_of(n, tile_rows) * across, [&](std::int64_t task, int worker) {
    const std::int64_t row = task / across * tile_rows, rows = std::min(tile_rows, n - row);
    const std::int64_t begin = task % across * task_columns, end = std::min(k, begin + task_columns);
    float* tile = tiles + worker * tile_rows * tile_columns;
    for (std::int64_t column = begin; column < end; column += tile_columns) {
      const std::int64_t columns = std::min(tile_columns, end - column);
      const GemmPanel& panel =
          rows == tile_rows ? (columns == tile_columns ? inner : right) : (columns == tile_columns ? bottom : corner);
      panel.run(worker, dy.part(row, 0, 0, 0).data, x.part(0, column, 0, 0).data, tile);
      for (std::int64_t j = column; j < column + columns;) {
        const std::int64_t group = j / layout.columns, first = j % layout.columns;
        const std::int64_t count = std::min(layout.columns - first, column + columns - j);
        const auto add = HWY_DYNAMIC_DISPATCH(add_rows);
        add(layout, row, rows, group, first, count, tile + (j - column), tile_columns, dtable);
        j += count;
      }
    }
  });
}

}  // namespace graft::cpu::fast
#endif
