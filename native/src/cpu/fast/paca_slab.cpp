// paca beside the weight: each panel of y = x Wᵀ, of whatever kind W is, takes x_i (scale·d)ᵀ on top; each row of dx =
// dy W gets r sums of dy (scale·d) added. Extra bytes: y and dx a second time in cache, dy once; FLOPs 6·T·N·r.
#include <algorithm>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/narrow_gradient.h"
#include "cpu/fast/paca.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

// to[t, indices[j]] += sums[t, j]
void scatter_add(const Matrix& sums, const graft_tensor& indices, std::int64_t first, const Matrix& to) {
  const std::int64_t last = std::min(to.rows, first + kGatheredRows);
  visit_small_float(to.dtype, [&](auto tag) {
    using T = decltype(tag);
    core::visit_id(indices.dtype, [&](auto id) {
      const auto* columns = static_cast<const decltype(id)*>(indices.data);
      for (std::int64_t t = first; t < last; ++t) {
        T* row = static_cast<T*>(to.data) + t * to.row_stride;
        const float* from = static_cast<const float*>(sums.data) + t * sums.row_stride;
        for (std::int64_t j = 0; j < sums.columns; ++j)
          row[columns[j]] = T(static_cast<float>(row[columns[j]]) + from[j]);
      }
    });
  });
}

}  // namespace

std::string refuse(const ops::PacaSlabForward& a) {
  if (a.d->dtype == GRAFT_DTYPE_F64) return "d is fp64";
  return refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
}

void run(core::Context& context, const ops::PacaSlabForward& a) {
  core::Scratch scratch(context.arena);
  const std::int64_t rows = a.x->shape[0], rank = a.d->shape[1];
  if (rows == 0) return;
  const graft_dtype dtype = a.x->dtype;
  const Matrix x = matrix_of(*a.x), y = matrix_of(*a.y), up = converted(context, scratch, *a.d, a.scale, dtype);
  const Matrix kept =
      a.x_i != nullptr ? matrix_of(*a.x_i)
                       : row_major(scratch.take<char>(rows * rank * graft_dtype_bytes(dtype)), dtype, rows, rank, rank);
  core::parallel_for(context, chunks_of(rows, kGatheredRows),
                     [&](std::int64_t chunk, int) { gather_rows(x, *a.indices, chunk * kGatheredRows, kept); });
  const float beta = a.accumulate ? 1.0f : 0.0f;
  const float* bias = bias_of(scratch, a.bias);
  if (refuse_few_rows(*a.w, rows).empty()) {
    few_rows_forward(context, x, *a.w, y, beta, bias);
    gemm(context, kept, up.transposed(), y, 1);
    return;
  }
  const GemmPanels frozen = forward_panels(context, scratch, x, *a.w, y, beta, bias);
  const GemmPanels slab(context, scratch, kept, up.transposed(), y, 1, nullptr, &frozen);
  core::parallel_for(context, frozen.count(), [&](std::int64_t panel, int worker) {
    frozen.run(panel, worker);
    slab.run(panel, worker);
  });
}

std::string refuse(const ops::PacaSlabBackward& a) {
  if (a.d->dtype == GRAFT_DTYPE_F64) return "d is fp64";
  return refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
}

void run(core::Context& context, const ops::PacaSlabBackward& a) {
  core::Scratch scratch(context.arena);
  const Matrix dy = matrix_of(*a.dy);
  const std::int64_t rows = dy.rows, rank = a.d->shape[1];
  GemmPanels dx;
  NarrowGradient dd;
  Matrix sums{};
  if (a.dx != nullptr) {
    const Matrix up = converted(context, scratch, *a.d, a.scale, dy.dtype);
    sums = row_major(scratch.take<float>(rows * rank), GRAFT_DTYPE_F32, rows, rank, rank);
    gemm(context, dy, up, sums, 0);
    dx = backward_panels(context, scratch, dy, *a.w, matrix_of(*a.dx), a.accumulate ? 1.0f : 0.0f);
  }
  if (a.dd != nullptr) dd = NarrowGradient(context, scratch, dy, *a.x_i, a.scale, *a.dd);
  const std::int64_t panels = dx.count();
  core::parallel_for(context, panels + dd.tasks(), [&](std::int64_t task, int worker) {
    task < panels ? dx.run(task, worker) : dd.run(task - panels, worker);
  });
  if (a.dx != nullptr)
    core::parallel_for(context, chunks_of(rows, kGatheredRows), [&](std::int64_t chunk, int) {
      scatter_add(sums, *a.indices, chunk * kGatheredRows, matrix_of(*a.dx));
    });
  if (a.dbias != nullptr) column_sums(context, dy, static_cast<float*>(a.dbias->data));
}

}  // namespace graft::cpu::fast
