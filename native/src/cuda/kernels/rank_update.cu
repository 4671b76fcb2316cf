// rank_update: to[t, c] = from[t, c] + factor · keep(t, c) · Σ_j left[t, j] · right[j, c].
//
// A block has a tile of 64 rows and 128 columns, thread (x, y) of 16 by 16 rows 4y … 4y+3 and columns 8x … 8x+7. The
// thin factors come in slices of 32 of the rank through shared memory, in fp32. The eight columns of a row are one
// block of Philox where they lie on its border, else two. Bytes: 2·T·C·size; the thin factors once for each row
// (column) of tiles. FMAs: T·C·r, in fp32, as masters are.
#include "cuda/kernels/dropout.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/rank_update.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"

namespace graft::cuda {
namespace {

constexpr int kThreads = 256, kTileRows = 64, kTileColumns = 128, kSlice = 32, kRows = 4, kColumns = 8;

template <class T, int Width>
__global__ void __launch_bounds__(kThreads)
    rank_update(Thin left, Thin right, float factor, Mask mask, Rows<const T> from, std::int64_t rows,
                std::int64_t columns, Rows<T> to) {
  GRAFT_SHARED(float, lefts, kTileRows* kSlice);
  GRAFT_SHARED(float, rights, kSlice* kTileColumns);
  const int thread = static_cast<int>(threadIdx.x), x = thread % 16, y = thread / 16;
  const std::int64_t row0 = std::int64_t{blockIdx.x} * kTileRows, column0 = std::int64_t{blockIdx.y} * kTileColumns;
  float sums[kRows][kColumns] = {};
  for (int first = 0; first < right.rank; first += kSlice) {
    for (int i = thread; i < kTileRows * kSlice; i += kThreads)
      lefts[i] = left.at(row0 + i / kSlice, first + i % kSlice);
    for (int i = thread; i < kSlice * kTileColumns; i += kThreads)
      rights[i] = right.at(column0 + i % kTileColumns, first + i / kTileColumns);
    __syncthreads();
    for (int j = 0; j < kSlice; ++j) {
      for (int r = 0; r < kRows; ++r) {
        const float value = lefts[(y * kRows + r) * kSlice + j];
        for (int c = 0; c < kColumns; ++c) sums[r][c] += value * rights[j * kTileColumns + x * kColumns + c];
      }
    }
    if (!GRAFT_BUG(rank_update_no_barrier)) __syncthreads();  // the next slice overwrites this one
  }
  const Mask settled = mask.settled();
  for (int r = 0; r < kRows; ++r) {
    const std::int64_t t = row0 + y * kRows + r, column = column0 + x * kColumns;
    if (t >= rows) return;
    const unsigned keep = settled.active ? settled.keeps<kColumns>(t * columns + column) : 0xffu;
    for (int c = 0; c < kColumns; c += Width) {
      if (column + c >= columns) break;
      auto piece = load_piece<Width>(from[t] + column + c);
      for (int i = 0; i < Width; ++i)
        if (keep >> (c + i) & 1) piece.at[i] = from_float<T>(to_float(piece.at[i]) + factor * sums[r][c + i]);
      store_piece(to[t] + column + c, piece);
    }
  }
}

}  // namespace

void run(core::Context& context, const RankUpdate& u) {
  const std::int64_t rows = u.from->shape[0], columns = u.from->shape[1];
  if (rows == 0 || columns == 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(rows, kTileRows)),
                  static_cast<unsigned>(ceil_div<std::int64_t>(columns, kTileColumns)));
  const auto factor = static_cast<float>(u.factor * mask_factor(u.dropout));
  visit(u.from->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({u.from, u.to}), [&](auto width) {
      launch({"rank_update", grid, kThreads, 0, stream(context)}, rank_update<T, width>, thin(u.left, false),
             thin(u.right, true), factor, mask_of(u.dropout), graft::cuda::rows<const T>(u.from), rows, columns,
             graft::cuda::rows<T>(u.to));
    });
  });
}

}  // namespace graft::cuda
