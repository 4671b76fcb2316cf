// column_sums: sums[c] += Σ_t x[t, c]. A block has 32 pieces of 16 bytes of columns and a group of rows, of which
// thread (lane, warp) takes every eighth of one piece; the eight are added in shared memory in order of the warp, and
// the groups, at most 512, in order by a second kernel. Bytes: T·C·size, and 8·C for each group.
#include <algorithm>

#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr std::int64_t kRowsPerGroup = 256, kMostGroups = 512;

template <class T, int Width>
__global__ void __launch_bounds__(kThreads)
    sum_columns(Rows<const T> x, std::int64_t rows, std::int64_t columns, std::int64_t rows_per_group, float* parts) {
  GRAFT_SHARED(float, of_warp, kThreads* Width);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t column = (std::int64_t{blockIdx.x} * 32 + lane) * Width;
  const std::int64_t first = blockIdx.y * rows_per_group;
  const std::int64_t end = first + rows_per_group < rows ? first + rows_per_group : rows;
  float sums[Width] = {};
  if (column < columns) {
    for (std::int64_t t = first + warp; t < end; t += kWarps) {
      const auto piece = load_piece<Width>(x[t] + column);
      GRAFT_UNROLL
      for (int i = 0; i < Width; ++i) sums[i] += to_float(piece.at[i]);
    }
  }
  GRAFT_UNROLL
  for (int i = 0; i < Width; ++i) of_warp[(warp * Width + i) * 32 + lane] = sums[i];
  if (!GRAFT_BUG(column_sums_no_barrier)) __syncthreads();
  if (warp != 0 || column >= columns) return;
  for (int i = 0; i < Width; ++i) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += of_warp[(w * Width + i) * 32 + lane];
    parts[blockIdx.y * columns + column + i] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    add_to_columns(const float* parts, std::int64_t groups, std::int64_t columns, float* to) {
  const std::int64_t j = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (GRAFT_BUG(add_parts_guard) ? j > columns : j >= columns) return;
  float sum = 0;
  for (std::int64_t g = 0; g < groups; ++g) sum += parts[g * columns + j];
  to[j] += sum;
}

}  // namespace

void add_parts(core::Context& context, const float* parts, std::int64_t groups, std::int64_t columns, float* to) {
  launch({"add_to_columns", static_cast<unsigned>(ceil_div<std::int64_t>(columns, kThreads)), kThreads, 0,
          stream(context)},
         add_to_columns, parts, groups, columns, to);
}

void column_sums(core::Context& context, const graft_tensor& x, float* sums) {
  const std::int64_t rows = x.shape[0], columns = x.shape[1];
  if (rows == 0 || columns == 0) return;
  const std::int64_t rows_per_group = std::max(kRowsPerGroup, ceil_div(rows, kMostGroups));
  const std::int64_t groups = ceil_div(rows, rows_per_group);
  core::Scratch scratch(context.arena);
  auto* parts = scratch.take<float>(groups * columns);
  visit(x.dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({&x}), [&](auto width) {
      const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(columns, 32 * width)),
                      static_cast<unsigned>(groups));
      launch({"sum_columns", grid, kThreads, 0, stream(context)}, sum_columns<T, width>, graft::cuda::rows<const T>(&x),
             rows, columns, rows_per_group, parts);
    });
  });
  add_parts(context, parts, groups, columns, sums);
}

}  // namespace graft::cuda
