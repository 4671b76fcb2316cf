// Each task makes the transpose of its rows of out, which is how dy lies best for vectors, and then adds it. FLOPs:
// 2·T·N·r. Bytes: dy once, s once for each task.
#include "cpu/fast/narrow_gradient.h"

#include <algorithm>

#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kColumns = kPanelColumns;
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

NarrowGradient::NarrowGradient(core::Context& context, core::Scratch& scratch, const Matrix& dy, const graft_tensor& s,
                               double factor, const graft_tensor& out)
    : dy_(dy),
      out_(matrix_of(out)),
      s_(narrow(context, scratch, s, dy.dtype)),
      factor_(static_cast<float>(factor)),
      parts_(scratch.take<float>(context.pool.threads() * s_.rank * kColumns)) {}

std::int64_t NarrowGradient::tasks() const { return s_.rank == 0 ? 0 : chunks_of(out_.rows, kColumns); }

void NarrowGradient::run(std::int64_t task, int worker) const {
  const std::int64_t column = task * kColumns, columns = std::min(kColumns, out_.rows - column), rank = s_.rank;
  float* part = parts_ + worker * rank * kColumns;
  std::fill_n(part, rank * kColumns, 0.0f);
  outer_sum(s_, dy_.part(0, column, dy_.rows, columns), {}, factor_, part, kColumns);
  for (std::int64_t i = 0; i < columns; ++i) {
    float* row = static_cast<float*>(out_.data) + (column + i) * out_.row_stride;
    for (std::int64_t j = 0; j < rank; ++j) row[j] += part[j * kColumns + i];
  }
}

}  // namespace graft::cpu::fast
