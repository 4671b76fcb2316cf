// layer_norm: y = n·w + b with n = (x − mean)·r and r = 1/sqrt(mean((x − mean)²) + eps), and with d = dy·w:
//   dx = r·(d − mean(d) − n·mean(d·n)),   dw[j] += Σ_t dy[t,j]·n[t,j],   db[j] += Σ_t dy[t,j].
//
// Forward: a block of 256 threads for each row, thread i has columns i, i + 256, …; the row is read three times, from
// the second on from the cache. Backward: a block for each group of rows, at most 512, adds its part of dw in scratch,
// each thread its own columns; column_sums adds these in order, and makes db. Cutting by shape alone, and sums in fixed
// order: the same bits on every device of one kind. w and b are read in fp32, which the norms of models are in; another
// type is converted first. Bytes, T rows of H: forward 2·T·H·size, backward 3·T·H·size (4 when
// it accumulates), once more T·H·size for db, and 8·H for each row and 8·H for each group for dw, from the cache.
#include <algorithm>

#include "cuda/device.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "ops/layer_norm.h"

namespace graft::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    layer_norm_forward(Rows<const T> x, const float* w, const float* b, std::int64_t columns, float eps, Rows<T> y,
                       Rows<float> stats) {
  const std::int64_t t = blockIdx.x;
  const T* const from = x[t];
  const auto count = static_cast<float>(columns);
  float sum = 0, squares = 0;
  for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) sum += to_float(from[j]);
  const float mean = block_sum<kThreads>(sum) / count;
  for (std::int64_t j = threadIdx.x; j < columns; j += kThreads)
    squares += (to_float(from[j]) - mean) * (to_float(from[j]) - mean);
  const float r = 1 / sqrtf(block_sum<kThreads>(squares) / count + eps);
  for (std::int64_t j = threadIdx.x; GRAFT_BUG(layer_norm_guard) ? j <= columns : j < columns; j += kThreads) {
    const float scaled = (to_float(from[j]) - mean) * r * w[j];
    y[t][j] = from_float<T>(b == nullptr ? scaled : scaled + b[j]);
  }
  if (stats.data != nullptr && threadIdx.x == 0) stats[t][0] = mean, stats[t][1] = r;
}

/** dw_parts [groups, H], or NULL. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    layer_norm_backward(Rows<const T> dy, Rows<const T> x, const float* w, Rows<const float> stats, std::int64_t rows,
                        std::int64_t columns, std::int64_t rows_per_group, bool accumulate, Rows<T> dx,
                        float* dw_parts) {
  float* const part = dw_parts == nullptr ? nullptr : dw_parts + blockIdx.x * columns;
  const std::int64_t first = blockIdx.x * rows_per_group;
  const std::int64_t end = first + rows_per_group < rows ? first + rows_per_group : rows;
  const auto count = static_cast<float>(columns);
  for (std::int64_t t = first; t < end; ++t) {
    const float mean = stats[t][0], r = stats[t][1];
    float sum = 0, dot = 0;
    for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) {
      const float gradient = to_float(dy[t][j]), normed = (to_float(x[t][j]) - mean) * r;
      sum += gradient * w[j];
      dot += gradient * w[j] * normed;
      if (part != nullptr) part[j] = (t == first ? 0 : part[j]) + gradient * normed;
    }
    if (dx.data == nullptr) continue;
    const float mean_d = block_sum<kThreads>(sum) / count, pull = block_sum<kThreads>(dot) / count;
    for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) {
      const float normed = (to_float(x[t][j]) - mean) * r;
      const float gradient = r * (to_float(dy[t][j]) * w[j] - mean_d - normed * pull);
      dx[t][j] = from_float<T>(accumulate ? to_float(dx[t][j]) + gradient : gradient);
    }
  }
}

std::string refuse_types(const graft_tensor& x, const graft_tensor& w, const graft_tensor* b) {
  for (const graft_tensor* t : {&x, &w, b})
    if (t != nullptr && t->dtype == GRAFT_DTYPE_F64) return refuse_f64(*t);
  return {};
}

}  // namespace

std::string refuse(const ops::LayerNormForward& a) { return refuse_types(*a.x, *a.w, a.b); }

void run(core::Context& context, const ops::LayerNormForward& a) {
  const std::int64_t count = a.x->shape[0], columns = a.x->shape[1];
  if (columns == 0) return;
  core::Scratch scratch(context.arena);
  const auto* w = static_cast<const float*>(vector_as(context, scratch, a.w, GRAFT_DTYPE_F32));
  const auto* b = static_cast<const float*>(vector_as(context, scratch, a.b, GRAFT_DTYPE_F32));
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"layer_norm_forward", static_cast<unsigned>(count), kThreads, 0, stream(context)}, layer_norm_forward<T>,
           rows<const T>(a.x), w, b, columns, static_cast<float>(a.eps), rows<T>(a.y), rows<float>(a.stats));
  });
}

std::string refuse(const ops::LayerNormBackward& a) { return refuse_types(*a.x, *a.w, nullptr); }

void run(core::Context& context, const ops::LayerNormBackward& a) {
  const std::int64_t count = a.x->shape[0], columns = a.x->shape[1];
  if (count == 0 || columns == 0) return;
  // why first: dx may be dy's memory.
  if (a.db != nullptr) column_sums(context, *a.dy, data<float>(a.db));
  const std::int64_t rows_per_group = ceil_div(count, std::min(count, kMostGroups));
  const std::int64_t groups = ceil_div(count, rows_per_group);
  core::Scratch scratch(context.arena);
  const auto* w = static_cast<const float*>(vector_as(context, scratch, a.w, GRAFT_DTYPE_F32));
  float* parts = a.dw == nullptr ? nullptr : scratch.take<float>(groups * columns);
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"layer_norm_backward", static_cast<unsigned>(groups), kThreads, 0, stream(context)}, layer_norm_backward<T>,
           rows<const T>(a.dy), rows<const T>(a.x), w, rows<const float>(a.stats), count, columns, rows_per_group,
           a.accumulate, rows<T>(a.dx), parts);
  });
  if (parts != nullptr) add_parts(context, parts, groups, columns, data<float>(a.dw));
}

}  // namespace graft::cuda
