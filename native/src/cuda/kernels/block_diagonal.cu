// block_diagonal: y[d] = x[d] + x[d] r[d], dx[d] = dy[d] + dy[d] r[d]ᵀ, dr[d] += Σ_t x[d]ᵀ dy[d], over the columns in
// the blocks' order.
//
// Products of tiles of 32 x 32 in shared memory, in fp32: a span of whole blocks, one or as many as 32 columns hold, is
// a matrix of its own, zero outside of its blocks; a warp has four rows of a tile, a lane one column. dr is made for
// groups of rows, whose parts are added in order. FLOPs: 2·T·K·max(n, 32) a product. Bytes: x (dy) once for each 32
// columns of a block, y and dx once, r for each 32 rows from the L2.
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/indices.h"
#include "cuda/kernels/pieces.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "ops/block_diagonal.h"

namespace graft::cuda {
namespace {

constexpr int kDiagonalTile = 32, kDiagonalRows = kDiagonalTile * kDiagonalTile / kThreads,
              kDiagonalPitch = kDiagonalTile + 1;

/** Blocks of n columns in spans, in the order of `columns`. */
struct Blocks {
  std::int64_t n, count, span;  // of a span: so many columns
  bool shared;                  // one r for all blocks
  Indices columns;
  /** Where the position of a span is, or -1. */
  GRAFT_DEVICE std::int64_t at(std::int64_t span_index, std::int64_t i) const {
    const std::int64_t position = span_index * span + i;
    if (i >= span || position >= count * n) return -1;
    return columns.data == nullptr ? position : columns.at(position);
  }
  /** r's element between two positions of a span, zero between blocks. */
  GRAFT_DEVICE float between(const float* r, std::int64_t span_index, std::int64_t k, std::int64_t c) const {
    const std::int64_t block = span_index * (span / n) + k / n;
    if (k >= span || c >= span || k / n != c / n || block >= count) return 0;
    return r[((shared ? 0 : block) * n + k % n) * n + c % n];
  }
  std::int64_t spans() const { return ceil_div(count, span / n); }
  std::int64_t tiles() const { return ceil_div<std::int64_t>(span, kDiagonalTile); }
};

/** sums[i] = Σ_k left(4·warp + i, k) · right(k, lane) for k in first..end-1. Lanes read along k of left and along the
 * columns of right; along the rows of left if `turned`. A whole block calls. */
template <bool Turned, class Left, class Right>
GRAFT_DEVICE void multiply_tiles(std::int64_t first, std::int64_t end, Left&& left, Right&& right,
                                 float (&sums)[kDiagonalRows]) {
  GRAFT_SHARED(float, of_left, kDiagonalTile* kDiagonalPitch);
  GRAFT_SHARED(float, of_right, kDiagonalTile* kDiagonalPitch);
  const int lane = static_cast<int>(threadIdx.x) % kDiagonalTile, warp = static_cast<int>(threadIdx.x) / kDiagonalTile;
  for (std::int64_t k = first; k < end; k += kDiagonalTile) {
    for (int i = warp; i < kDiagonalTile; i += kThreads / kDiagonalTile) {
      const int row = Turned ? lane : i, at = Turned ? i : lane;
      of_left[row * kDiagonalPitch + at] = k + at < end ? left(row, k + at) : 0.0f;
      of_right[i * kDiagonalPitch + lane] = k + i < end ? right(k + i, lane) : 0.0f;
    }
    if (!GRAFT_BUG(block_diagonal_no_barrier)) __syncthreads();
    for (int at = 0; at < kDiagonalTile; ++at) {
      const float value = of_right[at * kDiagonalPitch + lane];
      GRAFT_UNROLL
      for (int i = 0; i < kDiagonalRows; ++i)
        sums[i] += of_left[(warp * kDiagonalRows + i) * kDiagonalPitch + at] * value;
    }
    if (!GRAFT_BUG(block_diagonal_overwrites)) __syncthreads();
  }
}

/** y = x (I + R), or x (I + Rᵀ) with Turned; y += with accumulate. */
template <class T, bool Turned>
__global__ void __launch_bounds__(kThreads)
    block_diagonal_rows(Rows<const T> x, const float* r, Blocks blocks, std::int64_t rows, bool accumulate, Rows<T> y) {
  const int lane = static_cast<int>(threadIdx.x) % kDiagonalTile, warp = static_cast<int>(threadIdx.x) / kDiagonalTile;
  const std::int64_t tiles = ceil_div<std::int64_t>(blocks.span, kDiagonalTile),
                     column0 = blockIdx.x % tiles * kDiagonalTile;
  const std::int64_t span = blockIdx.x / tiles, row0 = std::int64_t{blockIdx.y} * kDiagonalTile;
  float sums[kDiagonalRows] = {};
  multiply_tiles<false>(
      0, blocks.span,
      [&](int row, std::int64_t k) {
        const std::int64_t column = blocks.at(span, k);
        return column < 0 || row0 + row >= rows ? 0.0f : to_float(x[row0 + row][column]);
      },
      [&](std::int64_t k, int c) {
        return Turned ? blocks.between(r, span, column0 + c, k) : blocks.between(r, span, k, column0 + c);
      },
      sums);
  const std::int64_t column = blocks.at(span, column0 + lane);
  if (column < 0) return;
  GRAFT_UNROLL
  for (int i = 0; i < kDiagonalRows; ++i) {
    const std::int64_t t = row0 + warp * kDiagonalRows + i;
    if (t >= rows) continue;
    const float value = to_float(x[t][column]) + sums[i];
    y[t][column] = from_float<T>(accumulate ? to_float(y[t][column]) + value : value);
  }
}

/** parts[group, block, k, c] = Σ over the group's rows of x[t, k] · dy[t, c]. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    block_diagonal_gradient(Rows<const T> x, Rows<const T> dy, Blocks blocks, RowGroups groups, float* parts) {
  const int lane = static_cast<int>(threadIdx.x) % kDiagonalTile, warp = static_cast<int>(threadIdx.x) / kDiagonalTile;
  const std::int64_t tiles = ceil_div<std::int64_t>(blocks.span, kDiagonalTile),
                     column0 = blockIdx.x % tiles * kDiagonalTile;
  const std::int64_t row0 = blockIdx.x / tiles % tiles * kDiagonalTile, span = blockIdx.x / tiles / tiles;
  const std::int64_t first = blockIdx.y * groups.size;
  const std::int64_t end = first + groups.size < groups.rows ? first + groups.size : groups.rows;
  // A lane reads one column of x and one of dy in all rows.
  const std::int64_t of_x = blocks.at(span, row0 + lane), of_dy = blocks.at(span, column0 + lane);
  float sums[kDiagonalRows] = {};
  multiply_tiles<true>(
      first, end, [&](int, std::int64_t t) { return of_x < 0 ? 0.0f : to_float(x[t][of_x]); },
      [&](std::int64_t t, int) { return of_dy < 0 ? 0.0f : to_float(dy[t][of_dy]); }, sums);
  const std::int64_t c = column0 + lane, n = blocks.n;
  GRAFT_UNROLL
  for (int i = 0; i < kDiagonalRows; ++i) {
    const std::int64_t k = row0 + warp * kDiagonalRows + i, block = span * (blocks.span / n) + k / n;
    if (k < blocks.span && c < blocks.span && k / n == c / n && block < blocks.count)
      parts[((blockIdx.y * blocks.count + block) * n + k % n) * n + c % n] = sums[i];
  }
}

Blocks blocks_of(core::Context& context, const char* op, const graft_tensor& r, const graft_tensor* columns,
                 std::int64_t k) {
  const std::int64_t n = r.shape[1], count = k / n;
  return {n, count, n > kDiagonalTile ? n : kDiagonalTile / n * n, r.shape[0] == 1,
          columns == nullptr ? Indices{nullptr, false, 0, 0} : indices_of(context, op, *columns, k, "columns")};
}

template <bool Turned>
void multiply(core::Context& context, const graft_tensor& x, const graft_tensor& r, const Blocks& blocks,
              bool accumulate, const graft_tensor& y) {
  const std::int64_t rows = x.shape[0];
  const dim3 grid(static_cast<unsigned>(blocks.spans() * blocks.tiles()),
                  static_cast<unsigned>(ceil_div<std::int64_t>(rows, kDiagonalTile)));
  visit(x.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"block_diagonal_rows", grid, kThreads, 0, stream(context)}, block_diagonal_rows<T, Turned>,
           graft::cuda::rows<const T>(&x), data<const float>(&r), blocks, rows, accumulate, graft::cuda::rows<T>(&y));
  });
}

std::string refuse_rows(const graft_tensor& x, const graft_tensor& r) {
  if (x.shape[0] > std::int64_t{kDiagonalTile} * 65535) return "more rows than a grid has";
  return refuse_f64(r, x);
}

}  // namespace

std::string refuse(const ops::BlockDiagonalForward& a) { return refuse_rows(*a.x, *a.r); }

void run(core::Context& context, const ops::BlockDiagonalForward& a) {
  core::Scratch scratch(context.arena);
  const Blocks blocks = blocks_of(context, "graft_block_diagonal_forward", *a.r, a.columns, a.x->shape[1]);
  multiply<false>(context, *a.x, as_floats(context, scratch, flat(*a.r)), blocks, false, *a.y);
}

std::string refuse(const ops::BlockDiagonalBackward& a) { return refuse_rows(*a.dy, *a.r); }

void run(core::Context& context, const ops::BlockDiagonalBackward& a) {
  const std::int64_t rows = a.dy->shape[0], n = a.r->shape[1];
  core::Scratch scratch(context.arena);
  const Blocks blocks = blocks_of(context, "graft_block_diagonal_backward", *a.r, a.columns, a.dy->shape[1]);
  if (a.dx != nullptr)
    multiply<true>(context, *a.dy, as_floats(context, scratch, flat(*a.r)), blocks, a.accumulate, *a.dx);
  if (a.dr == nullptr || rows == 0) return;
  const RowGroups groups(rows);
  auto* const parts = scratch.take<float>(groups.count * blocks.count * n * n);
  visit(a.dy->dtype, [&](auto type) {
    using T = decltype(type);
    const dim3 grid(static_cast<unsigned>(blocks.spans() * blocks.tiles() * blocks.tiles()),
                    static_cast<unsigned>(groups.count));
    launch({"block_diagonal_gradient", grid, kThreads, 0, stream(context)}, block_diagonal_gradient<T>,
           graft::cuda::rows<const T>(a.x), graft::cuda::rows<const T>(a.dy), blocks, groups, parts);
  });
  const std::int64_t sums = blocks.shared ? groups.count * blocks.count : groups.count;
  add_parts(context, parts, sums, groups.count * blocks.count * n * n / sums, data<float>(a.dr));
}

}  // namespace graft::cuda
