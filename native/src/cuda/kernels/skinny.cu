// skinny: sums along the rows and the columns of a large matrix x [T, C] with thin ones,
//   rows     out[t, j] = Σ_c drop(x)[t, c] · right[c, j]       (S = drop(X)Aᵀ, dS = dY B)
//   columns  out[c, j] = Σ_t drop(x)[t, c] · left[t, j]        (dB = dYᵀS, dA = dSᵀdrop(X))
// and both over one read of x. A block of 4 warps goes through tiles of 64 rows and 256 bytes of columns, two stages in
// shared memory: to the right with its rows fixed when only row sums are wanted, else downwards with its columns fixed.
// bf16 and f16 go through the tensor cores (thin operands are rounded to x's type, sums are fp32), f32 through FMA:
// there a thread has one row, or column, and half of j.
//
// Split sums (over 8 tiles of columns, 16 of rows) go into scratch and are added in order. Dropout: the thread that
// copied 16 bytes masks them before the barrier; no mask is stored, and 1/(1-p) is a factor of the sums. Ranks over 64
// go in slices. A table of segments makes x several matrices, one below the other, each with its own part of the thin
// ones: a block then looks up whose tile, or group of tiles, it has. Bytes: x once for each slice, and 8·r for each row
// (column) and split. Tensor cores: 2·T·C·r FLOP for each of the sums.
#include <optional>
#include <type_traits>

#include "cuda/device.h"
#include "cuda/kernels/skinny.h"
#include "cuda/kernels/skinny_tile.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

using namespace skinny;

constexpr int kColumnTilesPerBlock = 8, kRowTilesPerBlock = SegmentTable::kGroupTiles;
constexpr std::int64_t kSliceRank = kSkinnySlice;

enum class Sums { kRows, kColumns, kBoth };

/** Starts a tile of x on its way into shared memory; what lies outside of the matrix becomes zero. */
template <class T, int RankTiles>
GRAFT_DEVICE void fetch(const Large<T>& x, std::int64_t row0, std::int64_t column0, T* to) {
  using Shape = Tile<T, RankTiles>;
  constexpr int width = Pack<T>::kSize, packs = Shape::kColumns / width;
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * packs; i += kTileThreads) {
    const int r = i / packs, c = i % packs * width;
    const std::int64_t row = row0 + r, left = x.columns - column0 - c;
    const int count = (GRAFT_BUG(skinny_row_guard) ? row <= x.rows : row < x.rows) && left > 0
                          ? (left < width ? static_cast<int>(left) : width)
                          : 0;
    const T* from = count > 0 ? x.data + row * x.pitch + column0 + c : x.data;
    if (x.packs) {
      cp_async16(to + r * Shape::kPitch + c, from, count * static_cast<int>(sizeof(T)));
    } else {
      for (int k = 0; k < width; ++k) to[r * Shape::kPitch + c + k] = k < count ? from[k] : T{};
    }
  }
  cp_async_commit();
}

/** What a block sums, and which tile, or group of tiles, of the rows it has. */
template <class T>
struct Work {
  Large<T> x;
  Mask mask;
  Thin right, left;
  int rank;
  float *row_parts, *column_parts;
  std::int64_t place;
};

/** All rows are one matrix. */
struct Whole {
  template <class T>
  GRAFT_DEVICE Work<T> of(const Work<T>& all, bool, std::int64_t) const {
    return all;
  }
};

/** Each segment has its own part, of the rank from `slice` on; parts of sums lie in the order of rows, `most` to a row.
 */
struct InSegments {
  SegmentTable table;
  int slice, most;
  template <class T>
  GRAFT_DEVICE Work<T> of(const Work<T>& all, bool by_tiles, std::int64_t column_groups) const {
    const std::int32_t* const before = by_tiles ? table.tiles : table.groups;
    const int g = table.find(before, all.place), left_over = table.of[g].rank - slice;
    const Segment& s = table.of[g];
    Work<T> own = all;
    own.rank = left_over < most ? left_over : most;
    own.place -= before[g];
    own.x.data += s.begin * all.x.pitch;
    own.x.rows = s.rows;
    own.mask.offset += static_cast<std::uint64_t>(s.begin * all.x.columns);
    own.right = all.right.from(0, s.first + slice, all.right.size, own.rank);
    own.left = all.left.from(s.begin, slice, s.rows, own.rank);
    if (own.row_parts != nullptr) own.row_parts += column_groups * s.begin * most;
    if (own.column_parts != nullptr) own.column_parts += table.groups[g] * all.x.columns * most;
    return own;
  }
};

/** Parts of the row sums [groups of columns, T, rank] and of the column sums [groups of rows, C, rank]. */
template <class T, int RankTiles, Sums Wanted, class Place>
__global__ void __launch_bounds__(kTileThreads)
    skinny_sums(Large<T> all_x, Mask all_mask, Thin all_right, Thin all_left, int most, float* all_row_parts,
                float* all_column_parts, Place where) {
  using Shape = Tile<T, RankTiles>;
  constexpr bool to_the_right = Wanted == Sums::kRows, rows = Wanted != Sums::kColumns, columns = !to_the_right;
  GRAFT_DYNAMIC_SHARED(T, shared);
  T* const tiles = shared;
  T* const rights = tiles + 2 * Shape::kX;
  T* const lefts = rights + 2 * Shape::kRight;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t place = to_the_right ? blockIdx.x : blockIdx.y, along = to_the_right ? blockIdx.y : blockIdx.x;
  const Work<T> own =
      where.of(Work<T>{all_x, all_mask, all_right, all_left, most, all_row_parts, all_column_parts, place},
               to_the_right, to_the_right ? gridDim.y : gridDim.x);
  const Large<T>& x = own.x;
  const Thin &right = own.right, &left = own.left;
  const int rank = own.rank;
  if (rank <= 0) return;  // all threads of the block

  constexpr int per_block = to_the_right ? kColumnTilesPerBlock : kRowTilesPerBlock;
  const std::int64_t all =
      to_the_right ? ceil_div<std::int64_t>(x.columns, Shape::kColumns) : ceil_div<std::int64_t>(x.rows, kTileRows);
  const std::int64_t first = (to_the_right ? along : own.place) * per_block;
  const int count = static_cast<int>(all - first < per_block ? all - first : per_block);
  const auto row_of = [&](int i) { return (to_the_right ? own.place : first + i) * kTileRows; };
  const auto column_of = [&](int i) { return (to_the_right ? first + i : along) * Shape::kColumns; };
  const auto start = [&](int i) {
    const int stage = i % 2;
    fetch<T, RankTiles>(x, row_of(i), column_of(i), tiles + stage * Shape::kX);
    if (to_the_right || (rows && i == 0))
      fetch_thin<T, RankTiles>(right, column_of(i), Shape::kColumns,
                               rights + (to_the_right ? stage : 0) * Shape::kRight);
    if (columns) fetch_thin<T, RankTiles>(left, row_of(i), kTileRows, lefts + stage * Shape::kLeft);
  };
  const auto store_rows = [&](int i, const float(&sums)[RankTiles][4]) {
    const std::int64_t row0 = row_of(i);
    for_sums<T, RankTiles>(sums, warp * 16, [&](int r, int j, float value) {
      if (row0 + r < x.rows && j < rank) own.row_parts[(along * x.rows + row0 + r) * rank + j] = value;
    });
  };

  float of_rows[RankTiles][4] = {}, of_columns[2][RankTiles][4] = {};
  start(0);
  for (int i = 0; i < count; ++i) {
    const int stage = GRAFT_BUG(skinny_wrong_stage) ? 0 : i % 2;
    if (i + 1 < count) {
      start(i + 1);
      if (!GRAFT_BUG(skinny_no_wait)) cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    T* const tile = tiles + stage * Shape::kX;
    if constexpr (Wanted != Sums::kBoth) {  // dY, which has both, is not dropped
      if (own.mask.active) drop_tile<T, RankTiles>(x, own.mask, row_of(i), column_of(i), tile);
    }
    if (!GRAFT_BUG(skinny_no_barrier_before)) __syncthreads();
    if constexpr (rows) add_rows<T, RankTiles>(tile, rights + (to_the_right ? stage : 0) * Shape::kRight, of_rows);
    if constexpr (columns) add_columns<T, RankTiles>(tile, lefts + stage * Shape::kLeft, of_columns);
    if constexpr (Wanted == Sums::kBoth) {
      store_rows(i, of_rows);
      for (auto& tile_sums : of_rows)
        for (float& sum : tile_sums) sum = 0;
    }
    if (!GRAFT_BUG(skinny_no_barrier_behind)) __syncthreads();  // the next fetch overwrites what was read
  }
  if constexpr (Wanted == Sums::kRows) store_rows(0, of_rows);
  if constexpr (columns) {
    const std::int64_t column0 = column_of(0);
    for (int m = 0; m < (std::is_same_v<T, float> ? 1 : 2); ++m) {
      for_sums<T, RankTiles>(of_columns[m], warp * 32 + m * 16, [&](int c, int j, float value) {
        if (column0 + c < x.columns && j < rank)
          own.column_parts[(own.place * x.columns + column0 + c) * rank + j] = value;
      });
    }
  }
}

/** Element (i, j) of a result at i·stride_i + j·stride_j; data may be NULL. */
template <class T>
struct Result {
  T* data;
  std::int64_t stride_i, stride_j;
};

template <class T>
Result<T> result(const graft_tensor* m, bool transposed = false) {
  if (m == nullptr) return {nullptr, 0, 0};
  return {data<T>(m), transposed ? 1 : m->stride[0], transposed ? m->stride[0] : 1};
}

/** to(i, j) = or += factor · Σ_g parts[g, i, j], in order of g; the same into `copy`. */
template <class Out, class Copy>
__global__ void __launch_bounds__(kThreads)
    skinny_finish(const float* parts, std::int64_t groups, std::int64_t size, int rank, float factor, bool accumulate,
                  Result<Out> to, Result<Copy> copy) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= size * rank) return;
  float sum = 0;
  for (std::int64_t g = 0; g < groups; ++g) sum += parts[g * size * rank + at];
  sum *= factor;
  const std::int64_t i = at / rank, j = at % rank;
  if (copy.data != nullptr) copy.data[i * copy.stride_i + j * copy.stride_j] = from_float<Copy>(sum);
  if (to.data == nullptr) return;
  Out& result = to.data[i * to.stride_i + j * to.stride_j];
  result = from_float<Out>(accumulate ? to_float(result) + sum : sum);
}

template <class Out, class Copy>
void finish(core::Context& context, const float* parts, std::int64_t groups, std::int64_t size, int rank, double factor,
            bool accumulate, const Result<Out>& to, const Result<Copy>& copy) {
  launch(over(context, "skinny_finish", size * rank), skinny_finish<Out, Copy>, parts, groups, size, rank,
         static_cast<float>(factor), accumulate, to, copy);
}

/** What a pass sums: parts are NULL where they are not wanted. */
struct Pass {
  const graft_tensor* x;
  Mask mask;
  Thin right, left;
  int rank;
  float *row_parts, *column_parts;
  const SegmentTable* segments = nullptr;  // NULL: all rows are one
  int slice = 0;
};

template <class T, int RankTiles, Sums Wanted>
void launch_sums(core::Context& context, const Pass& p) {
  using Shape = Tile<T, RankTiles>;
  const SegmentTable* const table = p.segments;
  const std::int64_t row_tiles =
      table == nullptr ? ceil_div<std::int64_t>(p.x->shape[0], kTileRows) : table->tiles[table->count];
  const std::int64_t row_groups =
      table == nullptr ? ceil_div<std::int64_t>(row_tiles, kRowTilesPerBlock) : table->groups[table->count];
  const std::int64_t column_tiles = ceil_div<std::int64_t>(p.x->shape[1], Shape::kColumns);
  const dim3 grid = Wanted == Sums::kRows
                        ? dim3(static_cast<unsigned>(row_tiles),
                               static_cast<unsigned>(ceil_div<std::int64_t>(column_tiles, kColumnTilesPerBlock)))
                        : dim3(static_cast<unsigned>(column_tiles), static_cast<unsigned>(row_groups));
  const std::size_t bytes =
      GRAFT_BUG(skinny_short_shared) ? Shape::kBytes - Shape::kLeft * sizeof(T) - 64 : Shape::kBytes;
  const Launch where{"skinny_sums", grid, kTileThreads, bytes, stream(context)};
  const bool packs = p.x->stride[0] % Pack<T>::kSize == 0 && reinterpret_cast<std::uintptr_t>(p.x->data) % 16 == 0;
  const Large<T> x{data<const T>(p.x), p.x->stride[0], p.x->shape[0], p.x->shape[1], packs};
  const auto with = [&](auto place) {
    launch(where, skinny_sums<T, RankTiles, Wanted, decltype(place)>, x, p.mask, p.right, p.left, p.rank, p.row_parts,
           p.column_parts, place);
  };
  table == nullptr ? with(Whole{}) : with(InSegments{*table, p.slice, p.rank});
}

template <Sums Wanted>
void launch_sums(core::Context& context, const Pass& p) {
  visit(p.x->dtype, [&](auto type) {
    using T = decltype(type);
    // why two sizes: these passes wait for memory, not for the tensor cores, and each size is 27 kernels to compile.
    p.rank <= 16 ? launch_sums<T, 2, Wanted>(context, p) : launch_sums<T, 8, Wanted>(context, p);
  });
}

std::int64_t row_groups(const graft_tensor& x) {
  return ceil_div<std::int64_t>(x.shape[0], kTileRows * kRowTilesPerBlock);
}

/** Groups of columns in the row sums: of so many tiles. */
std::int64_t column_groups(const graft_tensor& x, int tiles) {
  return ceil_div<std::int64_t>(x.shape[1], 256 / graft_dtype_bytes(x.dtype) * tiles);
}

Mask planted_mask(const ops::Dropout& d) {
  Mask mask = mask_of(d);
  if (GRAFT_BUG(skinny_wrong_mask)) mask.bound /= 2;
  if (GRAFT_BUG(skinny_without_base)) mask.base = nullptr;
  return mask;
}

/** Calls body(first, rank) for slices of the rank that the kernels hold. */
template <class Body>
void for_slices(std::int64_t rank, Body&& body) {
  for (std::int64_t first = 0; first < rank; first += kSliceRank)
    body(first, static_cast<int>(rank - first < kSliceRank ? rank - first : kSliceRank));
}

/** Columns [first, first + count) of a matrix; none of NULL. */
std::optional<graft_tensor> columns_of(const graft_tensor* m, std::int64_t first, int count) {
  if (m == nullptr) return {};
  return part(*m, 0, first, m->shape[0], count);
}

const graft_tensor* pointer(const std::optional<graft_tensor>& part) { return part ? &*part : nullptr; }

}  // namespace

std::string refuse(const SkinnyForward& a) { return refuse_f64(*a.a, *a.x); }

void run(core::Context& context, const SkinnyForward& a) {
  const std::int64_t rows = a.x->shape[0], groups = column_groups(*a.x, kColumnTilesPerBlock);
  if (rows == 0) return;
  for_slices(a.a->shape[0], [&](std::int64_t first, int rank) {
    const graft_tensor down = part(*a.a, first, 0, rank, a.a->shape[1]);
    const auto s = columns_of(a.s, first, rank), tail = columns_of(a.tail, first, rank);
    core::Scratch scratch(context.arena);
    auto* parts = scratch.take<float>(groups * rows * rank);
    launch_sums<Sums::kRows>(context, {a.x, planted_mask(a.dropout), thin(&down, true), {}, rank, parts, nullptr});
    visit(a.x->dtype, [&](auto type) {
      using T = decltype(type);
      finish(context, parts, groups, rows, rank, mask_factor(a.dropout), false, result<T>(pointer(s)),
             result<T>(pointer(tail)));
    });
  });
}

std::string refuse(const SkinnyBackward& a) { return refuse_f64(*a.b, *a.dy); }

void run(core::Context& context, const SkinnyBackward& a) {
  const std::int64_t rows = a.dy->shape[0], columns = a.dy->shape[1];
  const bool both = a.db != nullptr;
  const std::int64_t down = row_groups(*a.dy), right = column_groups(*a.dy, both ? 1 : kColumnTilesPerBlock);
  if (rows == 0) return;
  for_slices(a.b->shape[1], [&](std::int64_t first, int rank) {
    const auto b = columns_of(a.b, first, rank), s = columns_of(a.s, first, rank), ds = columns_of(a.ds, first, rank);
    const auto tail = columns_of(a.tail, first, rank), db = columns_of(a.db, first, rank);
    core::Scratch scratch(context.arena);
    auto* row_parts = scratch.take<float>(right * rows * rank);
    auto* column_parts = both ? scratch.take<float>(down * columns * rank) : nullptr;
    const Pass pass{a.dy, {}, thin(pointer(b), false), thin(pointer(s), false), rank, row_parts, column_parts};
    both ? launch_sums<Sums::kBoth>(context, pass) : launch_sums<Sums::kRows>(context, pass);
    visit(a.dy->dtype, [&](auto type) {
      finish(context, row_parts, right, rows, rank, a.scale, false, result<float>(pointer(ds)),
             result<decltype(type)>(pointer(tail)));
    });
    if (both)
      finish(context, column_parts, down, columns, rank, a.scale, true, result<float>(pointer(db)), Result<float>{});
  });
}

std::string refuse(const SkinnyGradient& a) { return refuse_f64(*a.left, *a.x); }

void run(core::Context& context, const SkinnyGradient& a) {
  const std::int64_t columns = a.x->shape[1], groups = row_groups(*a.x);
  if (a.x->shape[0] == 0 || columns == 0) return;
  for_slices(a.left->shape[1], [&](std::int64_t first, int rank) {
    const graft_tensor left = part(*a.left, 0, first, a.x->shape[0], rank);
    const graft_tensor to = a.transposed ? part(*a.to, first, 0, rank, columns) : part(*a.to, 0, first, columns, rank);
    core::Scratch scratch(context.arena);
    auto* parts = scratch.take<float>(groups * columns * rank);
    launch_sums<Sums::kColumns>(context, {a.x, planted_mask(a.dropout), {}, thin(&left, false), rank, nullptr, parts});
    finish(context, parts, groups, columns, rank, a.scale * mask_factor(a.dropout), true,
           result<float>(&to, a.transposed), Result<float>{});
  });
}

std::int64_t row_part_groups(const graft_tensor& x, bool beside_columns) {
  return column_groups(x, beside_columns ? 1 : kColumnTilesPerBlock);
}

void run(core::Context& context, const SkinnyParts& a) {
  const Pass pass{a.x,
                  planted_mask(a.dropout),
                  thin(a.right, a.transposed),
                  thin(a.left, false),
                  a.most,
                  a.rows,
                  a.columns,
                  a.table,
                  a.slice};
  if (a.columns == nullptr) return launch_sums<Sums::kRows>(context, pass);
  a.rows == nullptr ? launch_sums<Sums::kColumns>(context, pass) : launch_sums<Sums::kBoth>(context, pass);
}

}  // namespace graft::cuda
