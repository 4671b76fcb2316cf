// rms_norm: y = x·r·w with r = 1/sqrt(mean(x²) + eps), and with d = dy·w:
//   dx = r·(d − x·r²·mean(d·x)),   dw[j] += Σ_t dy[t,j]·x[t,j]·r[t].
//
// Forward: a block of 256 threads for each row, thread i has columns i, i+256, …; the row is read twice, the second
// time from the cache. Backward: a block for each group of rows; it sums its part of dw in shared memory (or, for rows
// of more than 12288, in scratch), each thread its own columns; a second kernel adds the parts in order. Cutting by
// shape alone, and sums in fixed order: the same bits on every device of one kind.
//
// w is read in fp32, which the norms of models are in; another type is converted first.
// Bytes, T rows of H: forward 2·T·H·size, backward 3·T·H·size (4 when it accumulates) + 8·H·groups.
#include <algorithm>

#include "cuda/device.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "ops/rms_norm.h"

namespace graft::cuda {
namespace {

constexpr std::int64_t kSharedColumns = 12288;

template <class T>
__global__ void __launch_bounds__(kThreads)
    rms_norm_forward(Rows<const T> x, const float* w, std::int64_t columns, float eps, Rows<T> y, float* rstd) {
  const std::int64_t t = blockIdx.x;
  const T* from = x[t];
  float squares = 0;
  for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) squares += to_float(from[j]) * to_float(from[j]);
  const float r = 1 / sqrtf(block_sum<kThreads>(squares) / static_cast<float>(columns) + eps);
  for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) y[t][j] = from_float<T>(to_float(from[j]) * r * w[j]);
  if (rstd != nullptr && threadIdx.x == 0) rstd[t] = r;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    rms_norm_backward(Rows<const T> dy, Rows<const T> x, const float* w, const float* rstd, std::int64_t count,
                      std::int64_t columns, std::int64_t rows_per_group, bool accumulate, Rows<T> dx, float* parts) {
  GRAFT_DYNAMIC_SHARED(float, shared);
  const bool in_shared = columns <= kSharedColumns;
  float* const part = parts == nullptr ? nullptr : parts + blockIdx.x * columns;
  float* const sums = in_shared ? shared : part;
  if (part != nullptr)
    for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) sums[j] = 0;
  const std::int64_t first = blockIdx.x * rows_per_group;
  const std::int64_t end = first + rows_per_group < count ? first + rows_per_group : count;
  for (std::int64_t t = first; t < end; ++t) {
    const float r = rstd[t];
    float dot = 0;
    for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) {
      const float dyx = to_float(dy[t][j]) * to_float(x[t][j]);
      dot += dyx * w[j];
      if (part != nullptr) sums[j] += dyx * r;
    }
    if (dx.data == nullptr) continue;
    const float mean = block_sum<kThreads>(dot) / static_cast<float>(columns);
    for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) {
      const float gradient = r * (to_float(dy[t][j]) * w[j] - to_float(x[t][j]) * r * r * mean);
      dx[t][j] = from_float<T>(accumulate ? to_float(dx[t][j]) + gradient : gradient);
    }
  }
  if (part != nullptr && in_shared)
    for (std::int64_t j = threadIdx.x; j < columns; j += kThreads) part[j] = sums[j];
}

}  // namespace

std::string refuse(const ops::RmsNormForward& a) { return refuse_f64(*a.x, *a.w); }

void run(core::Context& context, const ops::RmsNormForward& a) {
  const std::int64_t count = a.x->shape[0], columns = a.x->shape[1];
  if (columns == 0) return;
  core::Scratch scratch(context.arena);
  const auto* w = static_cast<const float*>(vector_as(context, scratch, a.w, GRAFT_DTYPE_F32));
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"rms_norm_forward", static_cast<unsigned>(count), kThreads, 0, stream(context)}, rms_norm_forward<T>,
           rows<const T>(a.x), w, columns, static_cast<float>(a.eps), rows<T>(a.y), data<float>(a.rstd));
  });
}

std::string refuse(const ops::RmsNormBackward& a) { return refuse_f64(*a.x, *a.w); }

void run(core::Context& context, const ops::RmsNormBackward& a) {
  const std::int64_t count = a.x->shape[0], columns = a.x->shape[1];
  if (count == 0 || columns == 0) return;
  const std::int64_t rows_per_group = ceil_div(count, std::min(count, kMostGroups));
  const std::int64_t groups = ceil_div(count, rows_per_group);
  core::Scratch scratch(context.arena);
  const auto* w = static_cast<const float*>(vector_as(context, scratch, a.w, GRAFT_DTYPE_F32));
  float* parts = a.dw == nullptr ? nullptr : scratch.take<float>(groups * columns);
  const std::size_t shared = parts != nullptr && columns <= kSharedColumns ? static_cast<std::size_t>(columns) * 4 : 0;
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"rms_norm_backward", static_cast<unsigned>(groups), kThreads,
            GRAFT_BUG(rms_norm_short_shared) ? shared - shared / 4 : shared, stream(context)},
           rms_norm_backward<T>, rows<const T>(a.dy), rows<const T>(a.x), w, data<const float>(a.rstd), count, columns,
           rows_per_group, a.accumulate, rows<T>(a.dx), parts);
  });
  if (parts != nullptr) add_parts(context, parts, groups, columns, data<float>(a.dw));
}

}  // namespace graft::cuda
