#include "cpu/gemm/gemm.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/float_types.h"
#include "core/tensor_check.h"
#include "cpu/gemm/matmul.h"

namespace graft::cpu {
namespace {

// Measured: wide enough for the library's blocking, narrow enough for several threads.
constexpr std::int64_t kPanelRows = 1024;
constexpr std::int64_t kPanelColumns = 256;
constexpr std::int64_t kSkinny = 64;  // products this narrow are cut by rows only
constexpr std::int64_t kSkinnyRows = 64;

struct Cut {
  std::int64_t rows, columns;
};

Cut cut_of(std::int64_t m, std::int64_t n) {
  const std::int64_t rows = n <= kSkinny ? kSkinnyRows : kPanelRows;
  return {std::min(m, rows), std::min(n, n <= kSkinny ? n : kPanelColumns)};
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Without products to add, C is its bias, or what it was.
void no_products(const Matrix& c, float beta, const float* bias) {
  if (beta != 0) {
    if (bias != nullptr) core::fail(GRAFT_INTERNAL, "gemm: bias with beta 1 and k = 0");
    return;
  }
  for (std::int64_t i = 0; i < c.rows; ++i)
    for (std::int64_t j = 0; j < c.columns; ++j)
      core::visit_float(c.dtype, [&](auto tag) {
        using T = decltype(tag);
        static_cast<T*>(c.data)[i * c.row_stride + j] = T(bias == nullptr ? 0.0f : bias[j]);
      });
}

}  // namespace

Matrix Matrix::part(std::int64_t row, std::int64_t column, std::int64_t row_count, std::int64_t column_count) const {
  char* start = static_cast<char*>(data) + (row * row_stride + column * column_stride) * graft_dtype_bytes(dtype);
  return {start, dtype, row_count, column_count, row_stride, column_stride};
}

Matrix row_major(const void* data, graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch) {
  return {const_cast<void*>(data), dtype, rows, columns, pitch, 1};
}

Matrix matrix_of(const graft_tensor& t) { return row_major(t.data, t.dtype, t.shape[0], t.shape[1], t.stride[0]); }

std::string gemm_refuse(graft_dtype input, graft_dtype output) {
  if (input != GRAFT_DTYPE_F32 && input != GRAFT_DTYPE_BF16 && input != GRAFT_DTYPE_F16)
    return std::string("oneDNN has no matmul of ") + core::dtype_name(input);
  return matmul_refuse(input, output);
}

void gemm(core::Context& context, const Matrix& a, const Matrix& b, const Matrix& c, float beta, const float* bias) {
  if (c.rows == 0 || c.columns == 0) return;
  if (a.columns == 0) return no_products(c, beta, bias);
  const Cut cut = cut_of(c.rows, c.columns);
  const std::int64_t down = ceil_div(c.rows, cut.rows), across = ceil_div(c.columns, cut.columns);
  const std::int64_t last_rows = c.rows - (down - 1) * cut.rows, last_columns = c.columns - (across - 1) * cut.columns;
  core::Scratch scratch(context.arena);
  const auto panel = [&](std::int64_t rows, std::int64_t columns) {
    return GemmPanel(context, scratch, a.part(0, 0, rows, a.columns), b.part(0, 0, b.rows, columns),
                     c.part(0, 0, rows, columns), beta, bias != nullptr);
  };
  const GemmPanel inner = panel(cut.rows, cut.columns), right = panel(cut.rows, last_columns);
  const GemmPanel bottom = panel(last_rows, cut.columns), corner = panel(last_rows, last_columns);
  core::parallel_for(context, down * across, [&](std::int64_t chunk, int worker) {
    // why: panels below each other share columns of B, which is the operand that the library packs.
    const std::int64_t i = chunk % down, j = chunk / down;
    const GemmPanel& shape = i + 1 < down ? (j + 1 < across ? inner : right) : (j + 1 < across ? bottom : corner);
    shape.run(worker, a.part(i * cut.rows, 0, 0, 0).data, b.part(0, j * cut.columns, 0, 0).data,
              c.part(i * cut.rows, j * cut.columns, 0, 0).data, bias == nullptr ? nullptr : bias + j * cut.columns);
  });
}

GemmPanel::GemmPanel(core::Context& context, core::Scratch& scratch, const Matrix& a, const Matrix& b, const Matrix& c,
                     float beta, bool with_bias)
    : c_(c), beta_(beta) {
  if (c.rows == 0 || c.columns == 0 || a.columns == 0) return;
  matmul_ = matmul_for(a, b, c, beta, with_bias);
  const std::int64_t bytes = matmul_scratch(*matmul_);
  if (bytes > 0) scratch_ = scratch.take<char>(bytes * context.pool.threads());
}

void GemmPanel::run(int worker, const void* a, const void* b, void* c, const float* bias) const {
  if (matmul_ == nullptr) {
    Matrix empty = c_;
    empty.data = c;
    return no_products(empty, beta_, bias);
  }
  matmul_run(*matmul_, a, b, c, bias, scratch_ == nullptr ? nullptr : scratch_ + worker * matmul_scratch(*matmul_));
}

}  // namespace graft::cpu
