// paca by the GEMM library. x_i is copied, and dd summed, by tasks beside the panels of y and dx; a column of W is
// touched once in write. Extra bytes: forward one cache line per kept element, backward dy once; FLOPs 2·T·N·r.
#include "cpu/fast/paca.h"

#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/narrow_gradient.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {

namespace {

constexpr std::int64_t kRows = kGatheredRows;
constexpr std::int64_t kColumns = 64;

// to[t, j] = from[t, indices[j]]
template <class T, class Id>
void gather(const T* from, std::int64_t from_pitch, const Id* indices, std::int64_t rows, std::int64_t columns, T* to,
            std::int64_t to_pitch) {
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t j = 0; j < columns; ++j) to[t * to_pitch + j] = from[t * from_pitch + indices[j]];
}

}  // namespace

void gather_rows(const Matrix& from, const graft_tensor& indices, std::int64_t first, const Matrix& to) {
  const std::int64_t count = std::min(kRows, to.rows - first);
  visit_small_float(from.dtype, [&](auto tag) {
    using T = decltype(tag);
    core::visit_id(indices.dtype, [&](auto id) {
      using Id = decltype(id);
      gather(static_cast<const T*>(from.data) + first * from.row_stride, from.row_stride,
             static_cast<const Id*>(indices.data), count, to.columns, static_cast<T*>(to.data) + first * to.row_stride,
             to.row_stride);
    });
  });
}

void write_columns(const ops::PacaWrite& a, std::int64_t first, std::int64_t count) {
  if (count == 0) return;
  const Matrix w = matrix_of(core::dense_matrix(*a.w)), original = matrix_of(*a.original);
  const float scale = static_cast<float>(a.scale);
  visit_small_float(w.dtype, [&](auto tag) {
    using T = decltype(tag);
    core::visit_id(a.indices->dtype, [&](auto id) {
      const auto* indices = static_cast<const decltype(id)*>(a.indices->data);
      const std::int64_t last = first + count, rank = original.columns;
      for (std::int64_t n = first / rank; n * rank < last; ++n) {
        T* to = static_cast<T*>(w.data) + n * w.row_stride;
        const T* from = static_cast<const T*>(original.data) + n * original.row_stride;
        const float* d = a.d == nullptr ? nullptr : row<const float>(*a.d, n);
        for (std::int64_t j = std::max(first - n * rank, std::int64_t{0}); j < std::min(rank, last - n * rank); ++j)
          to[indices[j]] = d == nullptr ? from[j] : T(static_cast<float>(from[j]) + scale * d[j]);
      }
    });
  });
}

std::string refuse(const ops::PacaForward& a) {
  return refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
}

void run(core::Context& context, const ops::PacaForward& a) {
  core::Scratch scratch(context.arena);
  const Matrix x = matrix_of(*a.x);
  const GemmPanels y(context, scratch, x, matrix_of(core::dense_matrix(*a.w)).transposed(), matrix_of(*a.y),
                     a.accumulate ? 1.0f : 0.0f, bias_of(scratch, a.bias));
  const std::int64_t panels = y.count(), gathers = a.x_i == nullptr ? 0 : chunks_of(x.rows, kRows);
  core::parallel_for(context, panels + gathers, [&](std::int64_t task, int worker) {
    if (task < panels) return y.run(task, worker);
    gather_rows(x, *a.indices, (task - panels) * kRows, matrix_of(*a.x_i));
  });
}

std::string refuse(const ops::PacaBackward& a) {
  return refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
}

void run(core::Context& context, const ops::PacaBackward& a) {
  core::Scratch scratch(context.arena);
  const Matrix dy = matrix_of(*a.dy);
  GemmPanels dx;
  NarrowGradient dd;
  if (a.dx != nullptr)
    dx = GemmPanels(context, scratch, dy, matrix_of(core::dense_matrix(*a.w)), matrix_of(*a.dx),
                    a.accumulate ? 1.0f : 0.0f);
  if (a.dd != nullptr) dd = NarrowGradient(context, scratch, dy, *a.x_i, a.scale, *a.dd);
  const std::int64_t panels = dx.count();
  core::parallel_for(context, panels + dd.tasks(), [&](std::int64_t task, int worker) {
    task < panels ? dx.run(task, worker) : dd.run(task - panels, worker);
  });
  if (a.dbias != nullptr) column_sums(context, dy, static_cast<float*>(a.dbias->data));
}

std::string refuse(const ops::PacaRead& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::PacaRead& a) {
  const Matrix w = matrix_of(core::dense_matrix(*a.w)), columns = matrix_of(*a.columns);
  core::parallel_for(context, chunks_of(w.rows, kRows),
                     [&](std::int64_t chunk, int) { gather_rows(w, *a.indices, chunk * kRows, columns); });
}

std::string refuse(const ops::PacaWrite& a) {
  if (a.d != nullptr && a.d->dtype != GRAFT_DTYPE_F32) return "d is not fp32";
  return refuse_f64(a.w->storage);
}

void run(core::Context& context, const ops::PacaWrite& a) {
  const std::int64_t rows = a.w->n, rank = a.original->shape[1];
  core::parallel_for(context, chunks_of(rows, kRows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRows;
    write_columns(a, first * rank, (std::min(rows, first + kRows) - first) * rank);
  });
}

std::string refuse(const ops::PacaColumnNorms& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::PacaColumnNorms& a) {
  const Matrix w = matrix_of(core::dense_matrix(*a.w));
  float* norms = static_cast<float*>(a.norms->data);
  core::parallel_for(context, chunks_of(w.columns, kColumns), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kColumns, count = std::min(kColumns, w.columns - first);
    float sums[kColumns] = {};
    visit_small_float(w.dtype, [&](auto tag) {
      using T = decltype(tag);
      for (std::int64_t n = 0; n < w.rows; ++n) {
        const T* from = static_cast<const T*>(w.data) + n * w.row_stride + first;
        for (std::int64_t i = 0; i < count; ++i) sums[i] += static_cast<float>(from[i]) * static_cast<float>(from[i]);
      }
    });
    for (std::int64_t i = 0; i < count; ++i) norms[first + i] = std::sqrt(sums[i]);
  });
}

}  // namespace graft::cpu::fast
