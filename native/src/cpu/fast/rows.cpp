// rows by the GEMM library: the chosen columns of dy are gathered into scratch [T, r], from which dd is one product
// with x. Extra bytes: one cache line of dy per gathered element; FLOPs 2·T·r·K.
#include "ops/rows.h"

#include <algorithm>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/paca.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {

std::string refuse(const ops::RowsGradient& a) {
  if (a.dy->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  return gemm_refuse(a.dy->dtype, GRAFT_DTYPE_F32);
}

void run(core::Context& context, const ops::RowsGradient& a) {
  const Matrix dy = matrix_of(*a.dy);
  const std::int64_t r = a.indices->shape[0];
  core::Scratch scratch(context.arena);
  const std::int64_t bytes = graft_dtype_bytes(dy.dtype);
  const Matrix chosen = row_major(scratch.take<char>(dy.rows * r * bytes), dy.dtype, dy.rows, r, r);
  core::parallel_for(context, chunks_of(dy.rows, kGatheredRows),
                     [&](std::int64_t chunk, int) { gather_rows(dy, *a.indices, chunk * kGatheredRows, chosen); });
  gemm(context, chosen.transposed(), matrix_of(*a.x), matrix_of(*a.dd), 1);
}

std::string refuse(const ops::RowsRead& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::RowsRead& a) {
  const Matrix w = matrix_of(core::dense_matrix(*a.w)), rows = matrix_of(*a.rows);
  core::parallel_for(context, rows.rows, [&](std::int64_t j, int) {
    visit_small_float(w.dtype, [&](auto tag) {
      using T = decltype(tag);
      core::visit_id(a.indices->dtype, [&](auto id) {
        const T* from =
            static_cast<const T*>(w.data) + static_cast<const decltype(id)*>(a.indices->data)[j] * w.row_stride;
        std::copy_n(from, w.columns, static_cast<T*>(rows.data) + j * rows.row_stride);
      });
    });
  });
}

std::string refuse(const ops::RowsWrite& a) {
  if (a.d != nullptr && a.d->dtype != GRAFT_DTYPE_F32) return "d is not fp32";
  return refuse_f64(a.w->storage);
}

void run(core::Context& context, const ops::RowsWrite& a) {
  const Matrix w = matrix_of(core::dense_matrix(*a.w)), original = matrix_of(*a.original);
  core::parallel_for(context, original.rows, [&](std::int64_t j, int) {
    visit_small_float(w.dtype, [&](auto tag) {
      using T = decltype(tag);
      core::visit_id(a.indices->dtype, [&](auto id) {
        T* to = static_cast<T*>(w.data) + static_cast<const decltype(id)*>(a.indices->data)[j] * w.row_stride;
        const T* from = static_cast<const T*>(original.data) + j * original.row_stride;
        if (a.d == nullptr) {
          std::copy_n(from, w.columns, to);
          return;
        }
        const float* d = row<const float>(*a.d, j);
        for (std::int64_t k = 0; k < w.columns; ++k) to[k] = T(static_cast<float>(from[k]) + d[k]);
      });
    });
  });
}

}  // namespace graft::cpu::fast
