// dora around lora: v by lora's GEMM into what is kept, y = g ⊙ v + bias from each panel of it in cache; backward first
// dv = g ⊙ dy with Σ_t dy ⊙ v in the same pass, then lora's backward on dv, which always has room for the border. The
// norms come from W Aᵀ [N, r] and A Aᵀ [r, r]. Bytes beside lora's: 2·T·N forward, 3·T·N backward. No buffer of N×K.
#include "ops/dora.h"

#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/visit.h"

namespace graft::cpu {
namespace bordered {
std::string refuse(const ops::LoraForward&);
}

namespace fast {

std::string refuse(const ops::LoraMerge&);
void run(core::Context&, const ops::LoraMerge&);

namespace {

std::string refuse_layer(const graft_tensor& x, const graft_tensor& a, const graft_tensor& b, const graft_tensor* bias,
                         const graft_tensor& m, const graft_tensor& norm) {
  for (const graft_tensor* t : {&m, &norm})
    if (t->dtype == GRAFT_DTYPE_F64) return "the magnitude is fp64";
  return refuse_types(x, a, b, bias);
}

// 1 / norm, or with m the gain g = m / norm: 0 where the norm is.
float* gains(core::Scratch& scratch, const graft_tensor* m, const graft_tensor& norm) {
  const std::int64_t n = norm.shape[0];
  float* gain = scratch.take<float>(n);
  const float *length = bias_of(scratch, &norm), *magnitude = bias_of(scratch, m);
  for (std::int64_t i = 0; i < n; ++i)
    gain[i] = length[i] == 0 ? 0 : (magnitude == nullptr ? 1.0f : magnitude[i]) / length[i];
  return gain;
}

}  // namespace

std::string refuse(const ops::DoraSquaredNorms& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::DoraSquaredNorms& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  float* squared = static_cast<float*>(a.squared->data);
  visit_small_float(w.dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(a.w->n), [&](std::int64_t chunk, int) {
      const std::int64_t last = std::min(a.w->n, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t n = chunk * kRowsPerChunk; n < last; ++n) {
        const T* values = row<const T>(w, n);
        double sum = 0;
        for (std::int64_t i = 0; i < a.w->k; ++i) {
          const double value = static_cast<float>(values[i]);
          sum += value * value;
        }
        squared[n] = static_cast<float>(sum);
      }
    });
  });
}

std::string refuse(const ops::DoraNorms& a) {
  return a.squared->dtype == GRAFT_DTYPE_F64 ? "squared is fp64" : refuse_types(a.w->storage, *a.a, *a.b, nullptr);
}

void run(core::Context& context, const ops::DoraNorms& a) {
  const std::int64_t n = a.w->n, rank = a.a->shape[0];
  core::Scratch scratch(context.arena);
  const Matrix w = matrix_of(core::dense_matrix(*a.w)), down = converted(context, scratch, *a.a, 1, w.dtype);
  const Matrix up = converted(context, scratch, *a.b, a.scale, GRAFT_DTYPE_F32);
  const auto floats = [&](std::int64_t rows) {
    return row_major(scratch.take<float>(rows * rank), GRAFT_DTYPE_F32, rows, rank, rank);
  };
  const Matrix cross = floats(n), gram = floats(rank), quadratic = floats(n);
  const float* squared = bias_of(scratch, a.squared);
  float* norm = static_cast<float*>(a.norm->data);
  project(context, w, down, {}, cross, nullptr);
  gemm(context, down, down.transposed(), gram, 0);
  gemm(context, up, gram, quadratic, 0);
  core::parallel_for(context, chunks_of(n), [&](std::int64_t chunk, int) {
    const std::int64_t last = std::min(n, (chunk + 1) * kRowsPerChunk);
    for (std::int64_t i = chunk * kRowsPerChunk; i < last; ++i) {
      const auto at = [&](const Matrix& m, std::int64_t j) { return static_cast<const float*>(m.data)[i * rank + j]; };
      float sum = squared[i];
      for (std::int64_t j = 0; j < rank; ++j) sum += (2 * at(cross, j) + at(quadratic, j)) * at(up, j);
      norm[i] = std::sqrt(std::max(sum, 0.0f));
    }
  });
}

std::string refuse(const ops::DoraForward& a) {
  return refuse_layer(*a.lora.x, *a.lora.a, *a.lora.b, a.lora.bias, *a.m, *a.norm);
}

void run(core::Context& context, const ops::DoraForward& a) {
  const std::int64_t rows = a.lora.x->shape[0], n = a.lora.w->n, rank = a.lora.a->shape[0];
  const graft_dtype dtype = a.lora.x->dtype;
  core::Scratch scratch(context.arena);
  const float *gain = gains(scratch, a.m, *a.norm), *bias = bias_of(scratch, a.lora.bias);
  graft_tensor v, s{};
  ops::LoraForward lora = a.lora;
  if (a.kept != nullptr) {
    v = ops::columns_of(*a.kept, 0, n), s = ops::columns_of(*a.kept, n, rank), lora.s = &s;
  } else {
    v = ops::matrix_tensor(scratch.take<char>(rows * n * graft_dtype_bytes(dtype)), dtype, rows, n, n);
  }
  lora.bias = nullptr, lora.accumulate = false, lora.y = &v;
  const Scaling epilogue{
      .from = matrix_of(v), .across = gain, .shift = bias, .to = matrix_of(*a.lora.y), .accumulate = a.lora.accumulate};
  // why both: S behind x may overwrite neither v nor y.
  const bool bordered = bordered::refuse(lora).empty() && bordered::refuse(a.lora).empty();
  lora_forward(context, lora, bordered, &epilogue);
}

std::string refuse(const ops::DoraBackward& a) {
  return refuse_layer(*a.lora.dy, *a.lora.a, *a.lora.b, nullptr, *a.m, *a.norm);
}

void run(core::Context& context, const ops::DoraBackward& a) {
  const std::int64_t rows = a.lora.dy->shape[0], n = a.lora.w->n, rank = a.lora.a->shape[0];
  const graft_dtype dtype = a.lora.dy->dtype;
  core::Scratch scratch(context.arena);
  const bool bordered = rank > 0 && a.lora.w->border >= rank;
  const bool layer = a.lora.dx != nullptr || a.lora.da != nullptr || a.lora.db != nullptr;
  graft_tensor dv{}, s{};
  Scaling pass{.from = matrix_of(*a.lora.dy), .across = gains(scratch, a.m, *a.norm)};
  if (layer) {
    const std::int64_t pitch = bordered ? a.lora.w->storage.stride[0] - a.lora.w->k + n : n;
    dv = ops::matrix_tensor(scratch.take<char>(rows * pitch * graft_dtype_bytes(dtype)), dtype, rows, n, pitch);
    pass.to = matrix_of(dv);
  }
  if (a.dm != nullptr) {
    pass.other = matrix_of(ops::columns_of(*a.kept, 0, n));
    pass.sums = scratch.take<float>(n);
    std::fill_n(pass.sums, n, 0.0f);
  }
  const float* inverse = gains(scratch, nullptr, *a.norm);
  if (layer || a.dm != nullptr) scale_columns(context, pass);
  for (std::int64_t i = 0; a.dm != nullptr && i < n; ++i)
    static_cast<float*>(a.dm->data)[i] += pass.sums[i] * inverse[i];
  if (a.lora.dbias != nullptr) column_sums(context, pass.from, static_cast<float*>(a.lora.dbias->data));
  if (!layer) return;
  ops::LoraBackward lora = a.lora;
  lora.dy = &dv, lora.dbias = nullptr;
  if (a.kept != nullptr) s = ops::columns_of(*a.kept, n, rank), lora.s = &s;
  lora_backward(context, lora, bordered);
}

std::string refuse(const ops::DoraMerge& a) {
  return a.m->dtype == GRAFT_DTYPE_F64 || a.norm->dtype == GRAFT_DTYPE_F64 ? "the magnitude is fp64" : refuse(a.lora);
}

void run(core::Context& context, const ops::DoraMerge& a) {
  run(context, a.lora);
  core::Scratch scratch(context.arena);
  const Matrix merged = matrix_of(*a.lora.merged);
  scale_columns(context, {.from = merged, .down = gains(scratch, a.m, *a.norm), .to = merged});
}

}  // namespace fast
}  // namespace graft::cpu
