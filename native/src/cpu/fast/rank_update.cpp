#include "cpu/fast/rank_update.h"

#include <algorithm>

#include "core/float_types.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kRows = 256;  // of a chunk that is paired

}  // namespace

WideFactor::WideFactor(core::Context& context, core::Scratch& scratch, const Matrix& a, graft_dtype dtype)
    : values(static_cast<const float*>(a.data)), rank(a.rows), columns(a.columns) {
  if (dtype != GRAFT_DTYPE_BF16 || !has_bf16_pairs()) return;
  auto* made = scratch.take<std::uint32_t>((rank + 1) / 2 * columns);
  core::parallel_for(context, (rank + 1) / 2, [&](std::int64_t j, int) {
    for (std::int64_t i = 0; i < columns; ++i) {
      const std::uint32_t second = 2 * j + 1 < rank ? core::bf16(values[(2 * j + 1) * columns + i]).bits : 0;
      made[j * columns + i] = core::bf16(values[2 * j * columns + i]).bits | second << 16;
    }
  });
  pairs = made;
}

RankUpdate::RankUpdate(core::Context& context, core::Scratch& scratch, const float* s, std::int64_t rows,
                       const WideFactor& a)
    : s_(s), a_(a) {
  if (a.pairs == nullptr) return;
  const std::int64_t half = (a.rank + 1) / 2;
  auto* made = scratch.take<std::uint32_t>(rows * half);
  core::parallel_for(context, chunks_of(rows, kRows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRows;
    interleave_bf16(s + first * a.rank, std::min(kRows, rows - first), a.rank, made + first * half);
  });
  pairs_ = made;
}

void RankUpdate::run(std::int64_t row, std::int64_t column, Keep keep, float factor, const Matrix& out) const {
  if (pairs_ == nullptr)
    return rank_update(s_ + row * a_.rank, a_.rank, a_.values + column, a_.columns, keep, factor, out, out);
  const std::int64_t half = (a_.rank + 1) / 2;
  rank_update_bf16(pairs_ + row * half, half, a_.pairs + column, a_.columns, keep, factor, out);
}

}  // namespace graft::cpu::fast
