// rank_update: to[t, c] = from[t, c] + factor · keep(t, c) · Σ_j left[t, j] · right[j, c].
//
// A block has a tile of 64 rows and 128 columns, thread (x, y) of 16 by 16 rows 4y … 4y+3 and columns 8x … 8x+7. The
// thin factors come in slices of 32 of the rank through shared memory, in fp32. The eight columns of a row are one
// block of Philox where they lie on its border, else two. With a table of segments a tile has rows of one of them.
// Bytes: 2·T·C·size; the thin factors once for each row (column) of tiles. FMAs: T·C·r, in fp32, as masters are.
#include "cuda/kernels/dropout.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/rank_update.h"
#include "cuda/kernels/segment_table.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"

namespace graft::cuda {
namespace {

constexpr int kTileColumns = 128, kSlice = 32, kThreadRows = 4, kThreadColumns = 8;

/** Which rows a block has, and of which matrices. */
struct TilePlace {
  Thin left, right;
  Mask mask;
  std::int64_t begin, rows, row0;  // of the matrices in all rows, and in these
};

struct WholeTiles {
  GRAFT_DEVICE TilePlace of(const TilePlace& all, std::int64_t) const { return all; }
};

struct SegmentTiles {
  SegmentTable table;
  GRAFT_DEVICE TilePlace of(const TilePlace& all, std::int64_t columns) const {
    const int g = table.find(table.tiles, all.row0 / kTileRows);
    const Segment& s = table.of[g];
    Mask mask = all.mask;
    mask.offset += static_cast<std::uint64_t>(s.begin * columns);
    return {all.left.from(s.begin, 0, s.rows, s.rank),
            all.right.from(0, s.first, all.right.size, s.rank),
            mask,
            s.begin,
            s.rows,
            all.row0 - std::int64_t{table.tiles[g]} * kTileRows};
  }
};

// why 2 blocks: for a third ptxas spills three registers on sm_90a.
template <class T, int Width, class Where>
__global__ void __launch_bounds__(kThreads, 2)
    rank_update(Thin all_left, Thin all_right, float factor, Mask all_mask, Rows<const T> all_from,
                std::int64_t all_rows, std::int64_t columns, Rows<T> all_to, Where where) {
  GRAFT_SHARED(float, lefts, kTileRows* kSlice);
  GRAFT_SHARED(float, rights, kSlice* kTileColumns);
  const int thread = static_cast<int>(threadIdx.x), x = thread % 16, y = thread / 16;
  const TilePlace place =
      where.of({all_left, all_right, all_mask, 0, all_rows, std::int64_t{blockIdx.x} * kTileRows}, columns);
  const Thin &left = place.left, &right = place.right;
  const Rows<const T> from{all_from[place.begin], all_from.pitch};
  const Rows<T> to{all_to[place.begin], all_to.pitch};
  const std::int64_t row0 = place.row0, rows = place.rows, column0 = std::int64_t{blockIdx.y} * kTileColumns;
  float sums[kThreadRows][kThreadColumns] = {};
  for (int first = 0; first < right.rank; first += kSlice) {
    for (int i = thread; i < kTileRows * kSlice; i += kThreads)
      lefts[i] = left.at(row0 + i / kSlice, first + i % kSlice);
    for (int i = thread; i < kSlice * kTileColumns; i += kThreads)
      rights[i] = right.at(column0 + i % kTileColumns, first + i / kTileColumns);
    __syncthreads();
    for (int j = 0; j < kSlice; ++j) {
      for (int r = 0; r < kThreadRows; ++r) {
        const float value = lefts[(y * kThreadRows + r) * kSlice + j];
        for (int c = 0; c < kThreadColumns; ++c)
          sums[r][c] += value * rights[j * kTileColumns + x * kThreadColumns + c];
      }
    }
    if (!GRAFT_BUG(rank_update_no_barrier)) __syncthreads();  // the next slice overwrites this one
  }
  const Mask settled = place.mask.settled();
  for (int r = 0; r < kThreadRows; ++r) {
    const std::int64_t t = row0 + y * kThreadRows + r, column = column0 + x * kThreadColumns;
    if (t >= rows) return;
    const unsigned keep = settled.active ? settled.keeps<kThreadColumns>(t * columns + column) : 0xffu;
    for (int c = 0; c < kThreadColumns; c += Width) {
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
  const SegmentTable* const table = u.segments;
  const std::int64_t tiles = table == nullptr ? ceil_div<std::int64_t>(rows, kTileRows) : table->tiles[table->count];
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(ceil_div<std::int64_t>(columns, kTileColumns)));
  const auto factor = static_cast<float>(u.factor * mask_factor(u.dropout));
  visit(u.from->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({u.from, u.to}), [&](auto width) {
      const auto with = [&](auto where) {
        launch({"rank_update", grid, kThreads, 0, stream(context)}, rank_update<T, width, decltype(where)>,
               thin(u.left, false), thin(u.right, true), factor, mask_of(u.dropout), graft::cuda::rows<const T>(u.from),
               rows, columns, graft::cuda::rows<T>(u.to), where);
      };
      table == nullptr ? with(WholeTiles{}) : with(SegmentTiles{*table});
    });
  });
}

}  // namespace graft::cuda
