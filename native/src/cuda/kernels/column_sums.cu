// column_sums: sums[c] += Σ_t x[t, c], or x[t, c]². A block has 32 pieces of 16 bytes of columns and a group of rows;
// the groups, at most 512, are added in order by a second kernel. Bytes: T·C·size, and 8·C for each group.
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"

namespace graft::cuda {
namespace {

template <class T, int Width, Terms Of>
__global__ void __launch_bounds__(kColumnThreads)
    sum_columns(Rows<const T> x, RowGroups groups, std::int64_t columns, float* parts) {
  sum_group<Width>(groups, columns, parts, [&](std::int64_t t, std::int64_t column) {
    const auto piece = load_piece<Width>(x[t] + column);
    Piece<float, Width> terms;
    GRAFT_UNROLL
    for (int i = 0; i < Width; ++i) {
      const float value = to_float(piece.at[i]);
      terms.at[i] = Of == Terms::kSquares ? value * value : value;
    }
    return terms;
  });
}

__global__ void __launch_bounds__(kThreads)
    add_to_columns(const float* parts, std::int64_t groups, std::int64_t columns, Vector factor, float* to) {
  const std::int64_t j = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (GRAFT_BUG(add_parts_guard) ? j > columns : j >= columns) return;
  float sum = 0;
  for (std::int64_t g = 0; g < groups; ++g) sum += parts[g * columns + j];
  to[j] += factor.at(j) * sum;
}

}  // namespace

void add_parts(core::Context& context, const float* parts, std::int64_t groups, std::int64_t columns, float* to,
               const graft_tensor* factor) {
  launch(over(context, "add_to_columns", columns), add_to_columns, parts, groups, columns, vector(factor), to);
}

void column_sums(core::Context& context, const graft_tensor& x, float* sums, Terms of, const graft_tensor* factor) {
  const std::int64_t columns = x.shape[1];
  if (x.shape[0] == 0 || columns == 0) return;
  const RowGroups groups(x.shape[0]);
  core::Scratch scratch(context.arena);
  auto* parts = scratch.take<float>(groups.count * columns);
  visit(x.dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({&x}), [&](auto width) {
      const auto with = [&](auto kernel) {
        launch({"sum_columns", groups.grid(columns, width), kColumnThreads, 0, stream(context)}, kernel,
               rows<const T>(&x), groups, columns, parts);
      };
      of == Terms::kValues ? with(sum_columns<T, width, Terms::kValues>) : with(sum_columns<T, width, Terms::kSquares>);
    });
  });
  add_parts(context, parts, groups.count, columns, sums, factor);
}

}  // namespace graft::cuda
