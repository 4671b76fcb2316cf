// Each task makes the transpose of its rows of out, which is how dy lies best for vectors, and then adds it. FLOPs:
// 2·T·N·r. Bytes: dy once, s once for each task.
#include "cpu/fast/narrow_gradient.h"

#include <algorithm>

#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kRows = 256;  // of a chunk that is paired

}  // namespace

Narrow narrow(core::Context& context, core::Scratch& scratch, const graft_tensor& s, graft_dtype dtype) {
  const Matrix from = matrix_of(s);
  const std::int64_t rows = from.rows, rank = from.columns;
  const bool pairs = dtype == GRAFT_DTYPE_BF16 && has_bf16_pairs();
  auto* paired = pairs ? scratch.take<std::uint32_t>(pair_words(rows, rank)) : nullptr;
  auto* values = pairs ? nullptr : scratch.take<float>(rows * rank);
  core::parallel_for(context, chunks_of(rows, kRows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRows, count = std::min(kRows, rows - first);
    const Matrix part = from.part(first, 0, count, rank);
    if (pairs) {
      pair_rows_bf16(part, paired + pair_words(first, rank));
    } else {
      convert(part, 1, row_major(values + first * rank, GRAFT_DTYPE_F32, count, rank, rank));
    }
  });
  return {values, paired, rank};
}

void add_narrow(const Matrix& dy, const Narrow& s, float factor, float* sums, const Matrix& out) {
  std::fill_n(sums, s.rank * kNarrowColumns, 0.0f);
  outer_sum(s, dy, {}, factor, sums, kNarrowColumns);
  for (std::int64_t i = 0; i < dy.columns; ++i) {
    float* row = static_cast<float*>(out.data) + i * out.row_stride;
    for (std::int64_t j = 0; j < s.rank; ++j) row[j] += sums[j * kNarrowColumns + i];
  }
}

NarrowGradient::NarrowGradient(core::Context& context, core::Scratch& scratch, const Matrix& dy, const graft_tensor& s,
                               double factor, const graft_tensor& out)
    : dy_(dy),
      out_(matrix_of(out)),
      s_(narrow(context, scratch, s, dy.dtype)),
      factor_(static_cast<float>(factor)),
      parts_(scratch.take<float>(context.pool.threads() * s_.rank * kNarrowColumns)) {}

std::int64_t NarrowGradient::tasks() const { return s_.rank == 0 ? 0 : chunks_of(out_.rows, kNarrowColumns); }

void NarrowGradient::run(std::int64_t task, int worker) const {
  const std::int64_t column = task * kNarrowColumns, columns = std::min(kNarrowColumns, out_.rows - column);
  add_narrow(dy_.part(0, column, dy_.rows, columns), s_, factor_, parts_ + worker * s_.rank * kNarrowColumns,
             out_.part(column, 0, columns, s_.rank));
}

}  // namespace graft::cpu::fast
