// ia3 by the GEMM library. Scales of an operand (x ⊙ l_in, dy ⊙ l_out) make that operand in scratch, by chunks of rows;
// scales of a product are applied to each panel by the task that made it, while it is in cache. The gradients of the
// scales are summed in these passes, per chunk or panel into scratch and then in order, so that their bits do not
// depend on the threads. Bytes beside the frozen layer's: with l_in 2·T·K forward, T·K backward (x); with l_out T·N
// forward (z), 3·T·N backward.
#include "ops/ia3.h"

#include <algorithm>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/scaling.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"
#include "ops/linear.h"

namespace graft::cpu::fast {

std::string refuse(const ops::LinearForward&);
std::string refuse(const ops::LinearBackward&);

namespace {

std::string refuse_scales(const graft_tensor* l_in, const graft_tensor* l_out) {
  for (const graft_tensor* l : {l_in, l_out})
    if (l != nullptr && l->dtype == GRAFT_DTYPE_F64) return "the scales are fp64";
  return {};
}

/** Scales in fp32; NULL stays NULL. */
const float* scales_of(core::Scratch& scratch, const graft_tensor* l) { return bias_of(scratch, l); }

Matrix scratch_matrix(core::Scratch& scratch, const Matrix& like) {
  return row_major(scratch.take<char>(like.rows * like.columns * graft_dtype_bytes(like.dtype)), like.dtype, like.rows,
                   like.columns, like.columns);
}

/** The product, and the scaling of each of its panels. */
void scale_product(core::Context& context, core::Scratch& scratch, const GemmPanels& product, const Scaling& whole) {
  const std::int64_t columns = whole.from.columns, down = product.down();
  float* sums = whole.sums == nullptr ? nullptr : scratch.take<float>(down * columns);
  if (sums != nullptr) std::fill_n(sums, down * columns, 0.0f);
  core::parallel_for(context, product.count(), [&](std::int64_t panel, int worker) {
    product.run(panel, worker);
    const GemmPanels::Place place = product.place(panel);
    scale(whole.part(place.row, place.column, place.rows, place.columns,
                     sums == nullptr ? nullptr : sums + panel % down * columns + place.column));
  });
  for (std::int64_t i = 0; sums != nullptr && i < down * columns; ++i) whole.sums[i % columns] += sums[i];
}

float* sums_of(const graft_tensor* gradient) {
  return gradient == nullptr ? nullptr : static_cast<float*>(gradient->data);
}

}  // namespace

std::string refuse(const ops::Ia3Forward& a) {
  const std::string scales = refuse_scales(a.l_in, a.l_out);
  return scales.empty() ? refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y}) : scales;
}

void run(core::Context& context, const ops::Ia3Forward& a) {
  core::Scratch scratch(context.arena);
  const Matrix w = matrix_of(core::dense_matrix(*a.w)).transposed(), y = matrix_of(*a.y);
  const float* bias = bias_of(scratch, a.bias);
  const float* l_out = scales_of(scratch, a.l_out);
  Matrix x = matrix_of(*a.x), z = y;
  if (a.l_in != nullptr) {
    const float* l_in = scales_of(scratch, a.l_in);
    const Matrix scaled = scratch_matrix(scratch, x);
    scale_columns(context, {.from = x, .across = l_in, .to = scaled});
    x = scaled;
  }
  if (a.l_out == nullptr && a.z == nullptr) {
    gemm(context, x, w, y, a.accumulate ? 1.0f : 0.0f, bias);
    return;
  }
  if (a.z != nullptr) {
    z = matrix_of(*a.z);
  } else if (a.accumulate) {
    z = scratch_matrix(scratch, y);
  }
  const GemmPanels product(context, scratch, x, w, z, 0, bias);
  scale_product(context, scratch, product, {.from = z, .across = l_out, .to = y, .accumulate = a.accumulate});
}

std::string refuse(const ops::Ia3Backward& a) {
  const std::string scales = refuse_scales(a.l_in, a.l_out);
  return scales.empty() ? refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias})
                        : scales;
}

void run(core::Context& context, const ops::Ia3Backward& a) {
  core::Scratch scratch(context.arena);
  const Matrix w = matrix_of(core::dense_matrix(*a.w));
  const bool wants_product = a.dx != nullptr || a.dl_in != nullptr;
  const float* l_out = scales_of(scratch, a.l_out);
  Matrix dz = matrix_of(*a.dy);
  if (a.dbias != nullptr) {
    float* sums = scratch.take<float>(w.rows);
    std::fill_n(sums, w.rows, 0.0f);
    column_sums(context, dz, sums);
    float* dbias = static_cast<float*>(a.dbias->data);
    for (std::int64_t n = 0; n < w.rows; ++n) dbias[n] += l_out == nullptr ? sums[n] : sums[n] * l_out[n];
  }
  if (a.l_out != nullptr && (wants_product || a.dl_out != nullptr)) {
    const Matrix scaled = wants_product ? scratch_matrix(scratch, dz) : Matrix{};
    const Matrix z = a.dl_out == nullptr ? Matrix{} : matrix_of(*a.z);
    scale_columns(context, {.from = dz, .across = l_out, .to = scaled, .other = z, .sums = sums_of(a.dl_out)});
    dz = scaled;
  }
  if (!wants_product) return;
  if (a.l_in == nullptr) {
    gemm(context, dz, w, matrix_of(*a.dx), a.accumulate ? 1.0f : 0.0f);
    return;
  }
  const float* l_in = scales_of(scratch, a.l_in);
  const Matrix dx = a.dx == nullptr ? Matrix{} : matrix_of(*a.dx);
  const Matrix dxs = a.dx == nullptr || a.accumulate
                         ? scratch_matrix(scratch, {nullptr, dz.dtype, dz.rows, w.columns, w.columns, 1})
                         : dx;
  const Matrix x = a.dl_in == nullptr ? Matrix{} : matrix_of(*a.x);
  const GemmPanels product(context, scratch, dz, w, dxs, 0);
  scale_product(
      context, scratch, product,
      {.from = dxs, .across = l_in, .to = dx, .accumulate = a.accumulate, .other = x, .sums = sums_of(a.dl_in)});
}

std::string refuse(const ops::Ia3Merge& a) {
  const std::string scales = refuse_scales(a.l_in, a.l_out);
  return scales.empty() ? refuse_f64(*a.merged) : scales;
}

void run(core::Context& context, const ops::Ia3Merge& a) {
  core::Scratch scratch(context.arena);
  const float *l_in = scales_of(scratch, a.l_in), *l_out = scales_of(scratch, a.l_out);
  scale_columns(
      context,
      {.from = matrix_of(core::dense_matrix(*a.w)), .down = l_out, .across = l_in, .to = matrix_of(*a.merged)});
}

}  // namespace graft::cpu::fast
