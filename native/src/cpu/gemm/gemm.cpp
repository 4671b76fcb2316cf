#include "cpu/gemm/gemm.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "core/float_types.h"
#include "core/tensor_check.h"
#include "cpu/gemm/gemv.h"
#include "cpu/gemm/matmul.h"

namespace graft::cpu {
namespace {

// why two: each panel packs, or converts, its columns of B anew. Next to products of 16-bit types in vectors that costs
// little, and short panels share out better: layer_benchmark --shape bf16,1024,512,1408,16, frozen, took 7 % less with
// 256 rows. In fp32, layer_benchmark --shape f32,1024,512,512,16 took 6 % more.
constexpr std::int64_t kPanelRows = 1024, kShortPanelRows = 256;
constexpr std::int64_t kWideColumns = 512;
constexpr std::int64_t kSkinny = 64;  // products this narrow are cut by rows only
constexpr std::int64_t kSkinnyRows = 64;
// why: each worker reads its packed operand in a stream, and the processor fetches ahead past its end: out of the lines
// that the next worker is writing, if its memory follows at once. LoRA's forward
// at T = 1024, 512 by 512, r = 16, in bf16 took 10 % longer without it (layer_benchmark --shape).
constexpr std::int64_t kWorkerGap = 65536;

struct Cut {
  std::int64_t rows, columns;
};

// why: the library copies an fp32 B whose rows run along memory into a better order only for wide products. Rows a
// multiple of 4 KiB apart, which fall into the same sets of the cache, need that order; others gain where there are
// enough columns for several threads. layer_benchmark shows it: with panels of 256 columns the frozen fp32 layer, and
// on a processor with AMX the bordered one too, was slower than the library's own calls, with 512 it is level.
bool wants_wide(const Matrix& b, std::int64_t n) {
  return b.dtype == GRAFT_DTYPE_F32 && b.column_stride == 1 && (b.row_stride % 1024 == 0 || n >= 4 * kWideColumns);
}

Cut cut_of(const Matrix& b, std::int64_t m, std::int64_t n) {
  if (n <= kSkinny) return {std::min(m, kSkinnyRows), n};
  if (m <= kGemvRows && b.row_stride == 1 && !matmul_refuse(b.dtype, b.dtype).empty()) return {m, kSkinny};
  const std::int64_t rows = matmul_in_short_vectors(b.dtype) ? kShortPanelRows : kPanelRows;
  return {std::min(m, rows), std::min(n, wants_wide(b, n) ? kWideColumns : kPanelColumns)};
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// A matrix like m without gaps, of another type.
Matrix packed(const Matrix& m, graft_dtype dtype) {
  const bool rows_run = m.column_stride == 1;
  return {nullptr, dtype, m.rows, m.columns, rows_run ? m.columns : 1, rows_run ? 1 : m.rows};
}

// to = from, converted.
void copy(const Matrix& from, const Matrix& to) {
  if (from.column_stride != 1) return copy(from.transposed(), to.transposed());
  core::visit_float(from.dtype, [&](auto from_tag) {
    core::visit_float(to.dtype, [&](auto to_tag) {
      using From = decltype(from_tag);
      using To = decltype(to_tag);
      for (std::int64_t i = 0; i < from.rows; ++i) {
        const From* source = static_cast<const From*>(from.data) + i * from.row_stride;
        To* target = static_cast<To*>(to.data) + i * to.row_stride;
        if constexpr (std::is_same_v<From, To>) {
          std::copy_n(source, from.columns, target);
        } else {
          for (std::int64_t j = 0; j < from.columns; ++j) target[j] = To(static_cast<float>(source[j]));
        }
      }
    });
  });
}

// Without products to add, C is its bias and what it was.
void no_products(const Matrix& c, float beta, const float* bias) {
  core::visit_float(c.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t i = 0; i < c.rows; ++i)
      for (std::int64_t j = 0; j < c.columns; ++j) {
        T& element = static_cast<T*>(c.data)[i * c.row_stride + j];
        const float before = beta == 0 ? 0.0f : static_cast<float>(element);
        element = T(before + (bias == nullptr ? 0.0f : bias[j]));
      }
  });
}

}  // namespace

Matrix Matrix::part(std::int64_t row, std::int64_t column, std::int64_t row_count, std::int64_t column_count) const {
  char* start = static_cast<char*>(data) + (row * row_stride + column * column_stride) * graft_dtype_bytes(dtype);
  return {start,
          dtype,
          row_count,
          column_count,
          row_stride,
          column_stride,
          ends_in_zeros && column + column_count == columns};
}

Matrix row_major(const void* data, graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch) {
  return {const_cast<void*>(data), dtype, rows, columns, pitch, 1};
}

Matrix matrix_of(const graft_tensor& t) { return row_major(t.data, t.dtype, t.shape[0], t.shape[1], t.stride[0]); }

std::string gemm_refuse(graft_dtype input, graft_dtype output) {
  for (graft_dtype dtype : {input, output})
    if (dtype != GRAFT_DTYPE_F32 && dtype != GRAFT_DTYPE_BF16 && dtype != GRAFT_DTYPE_F16)
      return std::string("the GEMM library has no matmul of ") + core::dtype_name(dtype);
  return {};
}

GemmPanels::GemmPanels(const Matrix& a, const Matrix& c, const float* bias, std::int64_t panel_rows,
                       std::int64_t panel_columns)
    : a_(a),
      c_(c),
      bias_(bias),
      panel_rows_(panel_rows),
      panel_columns_(panel_columns),
      down_(panel_rows == 0 ? 0 : ceil_div(c.rows, panel_rows)),
      across_(panel_columns == 0 ? 0 : ceil_div(c.columns, panel_columns)) {}

GemmPanels::GemmPanels(core::Context& context, core::Scratch& scratch, const Matrix& a, const Matrix& b,
                       const Matrix& c, float beta, const float* bias, const GemmPanels* like) {
  const Cut cut = like == nullptr ? cut_of(b, c.rows, c.columns) : Cut{like->panel_rows_, like->panel_columns_};
  *this = GemmPanels(a, c, bias, cut.rows, cut.columns);
  b_ = b;
  shape_panels(context, scratch, beta);
}

GemmPanels::GemmPanels(core::Context& context, core::Scratch& scratch, const Matrix& a, MadeColumns b, const Matrix& c,
                       float beta, const float* bias)
    : GemmPanels(a, c, bias, std::min(c.rows, kPanelRows), std::min(c.columns, kPanelColumns)) {
  if (count() == 0) return;
  make_ = std::move(b.make);
  b_ = b.like;
  const bool rows_run = b_.column_stride == 1;
  (rows_run ? b_.row_stride : b_.column_stride) = rows_run ? panel_columns_ : b_.rows;
  const std::int64_t bytes = b_.rows * panel_columns_ * graft_dtype_bytes(b_.dtype);
  made_pitch_ = ceil_div(bytes, 64) * 64 + kWorkerGap;
  b_.data = scratch.take<char>(made_pitch_ * context.pool.threads());
  shape_panels(context, scratch, beta);
}

void GemmPanels::shape_panels(core::Context& context, core::Scratch& scratch, float beta) {
  if (count() == 0) return;
  const std::int64_t last_rows = c_.rows - (down_ - 1) * panel_rows_;
  const std::int64_t last_columns = c_.columns - (across_ - 1) * panel_columns_;
  const auto panel = [&](std::int64_t rows, std::int64_t columns) {
    return GemmPanel(a_.part(0, 0, rows, a_.columns), b_.part(0, 0, b_.rows, columns), c_.part(0, 0, rows, columns),
                     beta, bias_ != nullptr);
  };
  inner_ = panel(panel_rows_, panel_columns_);
  right_ = last_columns == panel_columns_ ? inner_ : panel(panel_rows_, last_columns);
  bottom_ = last_rows == panel_rows_ ? inner_ : panel(last_rows, panel_columns_);
  corner_ = last_rows == panel_rows_         ? right_
            : last_columns == panel_columns_ ? bottom_
                                             : panel(last_rows, last_columns);
  GemmPanel::take_scratch(context, scratch, {&inner_, &right_, &bottom_, &corner_});
}

// why: panels below each other share columns of B, which is the operand that the library packs, so they are neighbours.
GemmPanels::Place GemmPanels::place(std::int64_t panel) const {
  const std::int64_t row = panel % down_ * panel_rows_, column = panel / down_ * panel_columns_;
  return {row, column, std::min(panel_rows_, c_.rows - row), std::min(panel_columns_, c_.columns - column)};
}

void GemmPanels::run(std::int64_t panel, int worker) const {
  const Place p = place(panel);
  const bool last_row = panel % down_ + 1 == down_, last_column = panel / down_ + 1 == across_;
  const GemmPanel& shape = last_row ? (last_column ? corner_ : bottom_) : (last_column ? right_ : inner_);
  Matrix b = b_.part(0, make_ == nullptr ? p.column : 0, b_.rows, p.columns);
  if (make_ != nullptr) {
    b.data = static_cast<char*>(b.data) + worker * made_pitch_;
    make_(p.column, b);
  }
  shape.run(worker, a_.part(p.row, 0, 0, 0).data, b.data, c_.part(p.row, p.column, 0, 0).data,
            bias_ == nullptr ? nullptr : bias_ + p.column);
}

void gemm(core::Context& context, const Matrix& a, const Matrix& b, const Matrix& c, float beta, const float* bias) {
  core::Scratch scratch(context.arena);
  const GemmPanels panels(context, scratch, a, b, c, beta, bias);
  core::parallel_for(context, panels.count(), [&](std::int64_t panel, int worker) { panels.run(panel, worker); });
}

GemmPanel::GemmPanel(const Matrix& a, const Matrix& b, const Matrix& c, float beta, bool with_bias)
    : a_{a, a}, b_{b, b}, c_{c, c}, beta_(beta) {
  if (c.rows == 0 || c.columns == 0 || a.columns == 0) return;
  const bool library = matmul_refuse(a.dtype, c.dtype).empty();
  in_place_ = !library && gemv_serves(a, b);
  if (in_place_) return;
  if (!library)
    for (Operand* operand : {&a_, &b_, &c_}) operand->library = packed(operand->caller, GRAFT_DTYPE_F32);
  matmul_ = matmul_for(a_.library, b_.library, c_.library, beta, with_bias);
  if (!matmul_reads_past_rows(*matmul_) || a.ends_in_zeros) return;
  a_.library.row_stride = ceil_div(a.columns, kTileColumns) * kTileColumns;
  matmul_ = matmul_for(a_.library, b_.library, c_.library, beta, with_bias);
}

GemmPanel::GemmPanel(core::Context& context, core::Scratch& scratch, const Matrix& a, const Matrix& b, const Matrix& c,
                     float beta, bool with_bias)
    : GemmPanel(a, b, c, beta, with_bias) {
  take_scratch(context, scratch, {this});
}

void GemmPanel::take_scratch(core::Context& context, core::Scratch& scratch, std::initializer_list<GemmPanel*> panels) {
  std::int64_t bytes = 0;
  for (const GemmPanel* panel : panels)
    if (panel->matmul_ != nullptr)
      bytes = std::max(bytes, matmul_scratch(*panel->matmul_) + panel->a_.copy_bytes() + panel->b_.copy_bytes() +
                                  panel->c_.copy_bytes());
  if (bytes == 0) return;
  const std::int64_t pitch = bytes + kWorkerGap;
  char* memory = scratch.take<char>(pitch * context.pool.threads());
  for (GemmPanel* panel : panels) panel->scratch_ = memory, panel->scratch_pitch_ = pitch;
}

std::int64_t GemmPanel::Operand::copy_bytes() const {
  if (library.dtype == caller.dtype && library.row_stride == caller.row_stride &&
      library.column_stride == caller.column_stride)
    return 0;
  const std::int64_t elements = library.rows * std::max(library.columns, library.row_stride);
  return ceil_div(elements * graft_dtype_bytes(library.dtype), 64) * 64;
}

void* GemmPanel::Operand::place(const void* data, bool filled, char*& free) const {
  const std::int64_t bytes = copy_bytes();
  if (bytes == 0) return const_cast<void*>(data);
  Matrix from = caller, to = library;
  from.data = const_cast<void*>(data), to.data = free;
  free += bytes;
  if (filled) copy(from, to);
  const std::int64_t gap = to.column_stride == 1 ? to.row_stride - to.columns : 0;
  for (std::int64_t i = 0; gap > 0 && i < to.rows; ++i)
    std::fill_n(static_cast<char*>(to.part(i, to.columns, 0, 0).data), gap * graft_dtype_bytes(to.dtype), char{0});
  return to.data;
}

void GemmPanel::run(int worker, const void* a, const void* b, void* c, const float* bias) const {
  Matrix result = c_.caller, made = c_.library;
  result.data = c;
  if (in_place_) {
    Matrix from = a_.caller, with = b_.caller;
    from.data = const_cast<void*>(a), with.data = const_cast<void*>(b);
    return gemv(from, with, result, beta_, bias);
  }
  if (matmul_ == nullptr) return no_products(result, beta_, bias);
  char* scratch = scratch_ == nullptr ? nullptr : scratch_ + worker * scratch_pitch_;
  char* free = scratch + matmul_scratch(*matmul_);
  const void* left = a_.place(a, true, free);
  const void* right = b_.place(b, true, free);
  made.data = c_.place(c, beta_ != 0, free);
  matmul_run(*matmul_, left, right, made.data, bias, scratch);
  if (made.data != c) copy(made, result);
}

}  // namespace graft::cpu
