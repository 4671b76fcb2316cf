// dora: y = g ⊙ v + bias (+ y) with v by lora and g = m / norm, 0 where the norm is; backward dv = g ⊙ dy into lora's,
// with dm += Σ_t dy ⊙ v / norm over the same read of dy. The norms of W + s·B A without that matrix:
//   ‖w + s·b A‖² = ‖w‖² + 2s·(W Aᵀ)·b + s²·b (A Aᵀ) bᵀ,
// W Aᵀ and A Aᵀ by the library, the rest by a warp for each row.
//
// A block of a sum has 32 pieces of columns and a group of rows (row_groups.h), one of a scaling 256 pieces of a row.
// Bytes beside lora's: forward 2·T·N·size, backward 3·T·N·size; norms W once, 8·N·r and, from the L1, 4·N·r²; squared
// norms W once, summed in double. No buffer of N·K.
#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/lora.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/dora.h"

namespace graft::cuda {
namespace {

/** m / norm, or 1 / norm without m; 0 where the norm is. */
struct Gain {
  Vector m, norm;
  GRAFT_DEVICE float at(std::int64_t i) const {
    const float length = norm.at(i);
    return length == 0 ? 0.0f : m.at(i) / length;
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads) dora_squares(Rows<const T> w, std::int64_t columns, float* squared) {
  const std::int64_t n = blockIdx.x;
  double sum = 0;
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads) {
    const double value = to_float(w[n][k]);
    sum += value * value;
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) squared[n] = static_cast<float>(sum);
}

/** cross [N, r] = W Aᵀ, gram [r, r] = A Aᵀ. */
__global__ void __launch_bounds__(kThreads)
    dora_lengths(Vector squared, const float* cross, const float* gram, Thin b, float scale, float* norm) {
  const std::int64_t n = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / 32;
  if (GRAFT_BUG(dora_guard) ? n > b.size : n >= b.size) return;
  float sum = 0;
  for (int j = static_cast<int>(threadIdx.x % 32); j < b.rank; j += 32) {
    float quadratic = 0;
    for (int i = 0; i < b.rank; ++i) quadratic += gram[j * b.rank + i] * b.at(n, i);
    sum += (2 * cross[n * b.rank + j] + scale * quadratic) * b.at(n, j);
  }
  sum = squared.at(n) + scale * warp_sum(sum);
  // why: not fmaxf, which makes a NaN 0.
  if (threadIdx.x % 32 == 0) norm[n] = sqrtf(sum < 0 ? 0.0f : sum);
}

/** y = g ⊙ v + bias (+ y); bias may be NULL. */
template <class T, int Width>
__global__ void __launch_bounds__(kThreads)
    dora_scale(Rows<const T> v, Gain gain, Vector bias, std::int64_t columns, bool accumulate, Rows<T> y) {
  const std::int64_t t = blockIdx.x, j = (std::int64_t{blockIdx.y} * kThreads + threadIdx.x) * Width;
  if (j >= columns) return;
  const auto piece = load_piece<Width>(v[t] + j);
  Piece<T, Width> made{};
  if (accumulate) made = load_piece<Width>(y[t] + j);
  GRAFT_UNROLL
  for (int i = 0; i < Width; ++i) {
    float value = gain.at(j + i) * to_float(piece.at[i]);
    if (bias.data != nullptr) value += bias.at(j + i);
    made.at[i] = from_float<T>(accumulate ? to_float(made.at[i]) + value : value);
  }
  store_piece(y[t] + j, made);
}

/** dv = g ⊙ dy unless NULL, and parts of Σ_t dy ⊙ v / norm. */
template <class T, int Width>
__global__ void __launch_bounds__(kColumnThreads)
    dora_outputs(Rows<const T> dy, Rows<const T> v, Gain gain, RowGroups groups, std::int64_t columns, Rows<T> dv,
                 float* parts) {
  const Gain inverse{{nullptr, GRAFT_DTYPE_F32}, gain.norm};
  const std::int64_t column = sum_column<Width>();
  float gains[Width] = {}, inverses[Width] = {};
  GRAFT_UNROLL
  for (int i = 0; i < Width; ++i)
    if (column < columns) gains[i] = gain.at(column + i), inverses[i] = inverse.at(column + i);
  sum_group<Width>(groups, columns, parts, [&](std::int64_t t, std::int64_t j) {
    const auto d = load_piece<Width>(dy[t] + j), values = load_piece<Width>(v[t] + j);
    Piece<T, Width> scaled;
    Piece<float, Width> terms;
    GRAFT_UNROLL
    for (int i = 0; i < Width; ++i) {
      scaled.at[i] = from_float<T>(gains[i] * to_float(d.at[i]));
      terms.at[i] = to_float(d.at[i]) * to_float(values.at[i]) * inverses[i];
    }
    if (dv.data != nullptr) store_piece(dv[t] + j, scaled);
    return terms;
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads) dora_scale_rows(Gain gain, std::int64_t columns, Rows<T> merged) {
  const std::int64_t n = blockIdx.x;
  const float factor = gain.at(n);
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads)
    merged[n][k] = from_float<T>(factor * to_float(merged[n][k]));
}

void scale(core::Context& context, const graft_tensor& v, const Gain& gain, const graft_tensor* bias, bool accumulate,
           const graft_tensor& y) {
  const std::int64_t columns = y.shape[1];
  visit(y.dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({&v, &y}), [&](auto width) {
      const dim3 grid(static_cast<unsigned>(y.shape[0]),
                      static_cast<unsigned>(ceil_div<std::int64_t>(columns, std::int64_t{kThreads} * width)));
      launch({"dora_scale", grid, kThreads, 0, stream(context)}, dora_scale<T, width>, rows<const T>(&v), gain,
             vector(bias), columns, accumulate, rows<T>(&y));
    });
  });
}

}  // namespace

std::string refuse(const ops::DoraSquaredNorms& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::DoraSquaredNorms& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"dora_squares", static_cast<unsigned>(a.w->n), kThreads, 0, stream(context)}, dora_squares<T>,
           rows<const T>(&w), a.w->k, data<float>(a.squared));
  });
}

std::string refuse(const ops::DoraNorms& a) {
  if (a.squared->dtype == GRAFT_DTYPE_F64) return refuse_f64(*a.squared);
  if (a.a->dtype == GRAFT_DTYPE_F64 || a.b->dtype == GRAFT_DTYPE_F64) return "f64 is for references";
  return refuse_gemm(a.w->storage.dtype, GRAFT_DTYPE_F32);
}

void run(core::Context& context, const ops::DoraNorms& a) {
  const std::int64_t n = a.w->n, k = a.w->k, rank = a.a->shape[0];
  const graft_tensor w = core::dense_matrix(*a.w);
  core::Scratch scratch(context.arena);
  const graft_tensor down = scratch_matrix(scratch, w.dtype, rank, k);
  const graft_tensor cross = scratch_matrix(scratch, GRAFT_DTYPE_F32, n, rank);
  const graft_tensor gram = scratch_matrix(scratch, GRAFT_DTYPE_F32, rank, rank);
  if (rank > 0 && k > 0) {
    run(context, Convert{a.a->data, a.a->dtype, rank, k, a.a->stride[0], down.data, down.dtype, rank, k, k});
    run(context, Gemm{factor(w), factor(down).t(), w.dtype, cross.data, rank, GRAFT_DTYPE_F32});
    run(context, Gemm{factor(down), factor(down).t(), w.dtype, gram.data, rank, GRAFT_DTYPE_F32});
  }
  Thin b = thin(a.b, false);
  if (k == 0) b.rank = 0;  // nothing was made to be added
  launch(over(context, "dora_lengths", n * 32), dora_lengths, vector(a.squared), data<const float>(&cross),
         data<const float>(&gram), b, static_cast<float>(a.scale), data<float>(a.norm));
}

std::string refuse(const ops::DoraForward& a) {
  const std::string refusal = refuse(a.lora);
  return refusal.empty() ? refuse_f64(*a.m, *a.norm) : refusal;
}

void run(core::Context& context, const ops::DoraForward& a) {
  const std::int64_t t = a.lora.x->shape[0], n = a.lora.w->n, rank = a.lora.a->shape[0];
  core::Scratch scratch(context.arena);
  graft_tensor v, s{};
  ops::LoraForward lora = a.lora;
  if (a.kept != nullptr) {
    v = part(*a.kept, 0, 0, t, n), s = part(*a.kept, 0, n, t, rank), lora.s = &s;
  } else {
    v = scratch_matrix(scratch, a.lora.x->dtype, t, n);
  }
  lora.bias = nullptr, lora.accumulate = false, lora.y = &v;
  // why: without a border S is not kept behind x, where it would overwrite y.
  graft_weight plain = *a.lora.w;
  if (!ops::refuse_border(a.lora).empty()) plain.border = 0, lora.w = &plain;
  run(context, lora);
  scale(context, v, {vector(a.m), vector(a.norm)}, a.lora.bias, a.lora.accumulate, *a.lora.y);
}

std::string refuse(const ops::DoraBackward& a) {
  const std::string refusal = refuse(a.lora);
  return refusal.empty() ? refuse_f64(*a.m, *a.norm) : refusal;
}

void run(core::Context& context, const ops::DoraBackward& a) {
  const graft_weight& w = *a.lora.w;
  const std::int64_t t = a.lora.dy->shape[0], n = w.n, rank = a.lora.a->shape[0];
  const bool layer = a.lora.dx != nullptr || a.lora.da != nullptr || a.lora.db != nullptr;
  if (a.lora.dbias != nullptr) column_sums(context, *a.lora.dy, data<float>(a.lora.dbias));
  core::Scratch scratch(context.arena);
  // Room behind dv for the border, and rows that begin at multiples of 16 bytes.
  graft_tensor dv =
      scratch_matrix(scratch, a.lora.dy->dtype, layer ? t : 0, ceil_div<std::int64_t>(n + w.border, 8) * 8);
  dv.shape[1] = n;
  const Gain gain{vector(a.m), vector(a.norm)};
  if (a.dm != nullptr && t > 0 && n > 0) {
    const RowGroups groups(t);
    auto* const parts = scratch.take<float>(groups.count * n);
    const graft_tensor v = part(*a.kept, 0, 0, t, n);
    visit(dv.dtype, [&](auto type) {
      using T = decltype(type);
      with_width<T>(in_packs({a.lora.dy, &v, layer ? &dv : nullptr}), [&](auto width) {
        launch({"dora_outputs", groups.grid(n, width), kColumnThreads, 0, stream(context)}, dora_outputs<T, width>,
               rows<const T>(a.lora.dy), rows<const T>(&v), gain, groups, n, layer ? rows<T>(&dv) : Rows<T>{nullptr, 0},
               parts);
      });
    });
    add_parts(context, parts, groups.count, n, data<float>(a.dm));
  } else if (layer) {
    scale(context, *a.lora.dy, gain, nullptr, false, dv);
  }
  if (!layer) return;
  ops::LoraBackward lora = a.lora;
  graft_tensor s{};
  lora.dy = &dv, lora.dbias = nullptr;
  if (a.kept != nullptr) s = part(*a.kept, 0, n, t, rank), lora.s = &s;
  run(context, lora);
}

std::string refuse(const ops::DoraMerge& a) {
  const std::string refusal = refuse(a.lora);
  return refusal.empty() ? refuse_f64(*a.m, *a.norm) : refusal;
}

void run(core::Context& context, const ops::DoraMerge& a) {
  run(context, a.lora);
  const graft_tensor& merged = *a.lora.merged;
  visit(merged.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"dora_scale_rows", static_cast<unsigned>(merged.shape[0]), kThreads, 0, stream(context)},
           dora_scale_rows<T>, Gain{vector(a.m), vector(a.norm)}, merged.shape[1], rows<T>(&merged));
  });
}

}  // namespace graft::cuda
