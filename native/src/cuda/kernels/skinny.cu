// skinny: sums along the rows and the columns of a large matrix x [T, C] with thin ones,
//   rows     out[t, j] = Σ_c drop(x)[t, c] · right[c, j]       (S = drop(X)Aᵀ, dS = dY B)
//   columns  out[c, j] = Σ_t drop(x)[t, c] · left[t, j]        (dB = dYᵀS, dA = dSᵀdrop(X))
// and both over one read of x. A block of 4 warps goes through tiles of 64 rows and 256 bytes of columns, two stages in
// shared memory: to the right with its rows fixed when only row sums are wanted, else downwards with its columns fixed.
// bf16 and f16 go through the tensor cores (thin operands are rounded to x's type, sums are fp32), f32 through FMA:
// there a thread has one row, or column, and half of j.
//
// Split sums (over 8 tiles of columns, 16 of rows) go into scratch and are added in order. Dropout: the thread that
// copied 16 bytes masks them before the barrier; no mask is stored, and 1/(1-p) is a factor of the sums. Bytes: x once,
// and 8·r for each row (column) and split. Tensor cores: 2·T·C·r FLOP for each of the sums.
#include <type_traits>

#include "cuda/device.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/skinny.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

constexpr int kThreads = 128, kTileRows = 64, kColumnTilesPerBlock = 8, kRowTilesPerBlock = 16;

enum class Sums { kRows, kColumns, kBoth };

/** A thin matrix [size, rank] of any float type: element (i, j) at i·stride_i + j·stride_j. */
struct Thin {
  const void* data;
  graft_dtype dtype;
  std::int64_t size, stride_i, stride_j;
  int rank;
  GRAFT_DEVICE float at(std::int64_t i, int j) const {
    if (i >= size || j >= rank) return 0;
    const std::int64_t index = i * stride_i + j * stride_j;
    if (dtype == GRAFT_DTYPE_BF16) return to_float(static_cast<const bf16*>(data)[index]);
    if (dtype == GRAFT_DTYPE_F16) return to_float(static_cast<const f16*>(data)[index]);
    return static_cast<const float*>(data)[index];
  }
};

struct Mask {
  bool active;
  std::uint64_t seed, offset;
  std::uint32_t bound;
};

/** The sizes of tiles in shared memory for elements T and a rank of up to 8·RankTiles. */
template <class T, int RankTiles>
struct Tile {
  static constexpr int kColumns = 256 / sizeof(T), kRank = 8 * RankTiles;
  static constexpr int kPitch = kColumns + 16 / sizeof(T), kThinPitch = kRank + 16 / sizeof(T);
  static constexpr int kX = kTileRows * kPitch, kRight = kColumns * kThinPitch, kLeft = kTileRows * kThinPitch;
  static constexpr std::size_t kBytes = 2 * (kX + kRight + kLeft) * sizeof(T);
};

template <class T>
struct Large {
  const T* data;
  std::int64_t pitch, rows, columns;
  bool packs;  // every row begins at a multiple of 16 bytes
};

/** Element `first` of a dropout stream and the following of one pack: zeroed where they are dropped. */
template <class T>
GRAFT_DEVICE void drop(Pack<T>& pack, const Mask& mask, std::uint64_t first) {
  using core::Philox;
  if (first % Pack<T>::kSize == 0) {
    const auto words = Philox::block(mask.seed, first >> 3, Philox::kDropoutRounds);
    const bool upper = first & 4;  // of a pack of four: the second half of the block
    for (int i = 0; i < Pack<T>::kSize; ++i) {
      const std::uint32_t word = Pack<T>::kSize == 4 && upper ? words[2 + i / 2 % 2] : words[i / 2];
      if ((word >> (16 * (i % 2)) & 0xffff) < mask.bound) pack.at[i] = T{};
    }
  } else {
    for (int i = 0; i < Pack<T>::kSize; ++i)
      if (Philox::half(mask.seed, first + i) < mask.bound) pack.at[i] = T{};
  }
}

/** Starts a tile of x on its way into shared memory; what lies outside of the matrix becomes zero. */
template <class T, int RankTiles>
GRAFT_DEVICE void fetch(const Large<T>& x, std::int64_t row0, std::int64_t column0, T* to) {
  using Shape = Tile<T, RankTiles>;
  constexpr int width = Pack<T>::kSize, packs = Shape::kColumns / width;
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * packs; i += kThreads) {
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

/** Drops elements of what this thread itself has fetched. */
template <class T, int RankTiles>
GRAFT_DEVICE void drop_tile(const Large<T>& x, const Mask& mask, std::int64_t row0, std::int64_t column0, T* tile) {
  using Shape = Tile<T, RankTiles>;
  constexpr int width = Pack<T>::kSize, packs = Shape::kColumns / width;
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * packs; i += kThreads) {
    const int r = i / packs, c = i % packs * width;
    T* const at = tile + r * Shape::kPitch + c;
    Pack<T> pack = load_pack(at);
    drop(pack, mask, mask.offset + static_cast<std::uint64_t>((row0 + r) * x.columns + column0 + c));
    store_pack(at, pack);
  }
}

template <class T, int RankTiles>
GRAFT_DEVICE void fetch_thin(const Thin& thin, std::int64_t first, int count, T* to) {
  using Shape = Tile<T, RankTiles>;
  for (int i = static_cast<int>(threadIdx.x); i < count * Shape::kRank; i += kThreads)
    to[i / Shape::kRank * Shape::kThinPitch + i % Shape::kRank] =
        from_float<T>(thin.at(first + i / Shape::kRank, i % Shape::kRank));
}

/** sums [16 rows of the warp, rank] += x · right. */
template <class T, int RankTiles>
GRAFT_DEVICE void add_rows(const T* x, const T* right, float (&sums)[RankTiles][4]) {
  using Shape = Tile<T, RankTiles>;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  if constexpr (std::is_same_v<T, float>) {
    const int row = thread / 2, half = thread % 2 * Shape::kRank / 2;
    for (int c = 0; c < Shape::kColumns; ++c) {
      const float value = x[row * Shape::kPitch + c];
      for (int j = 0; j < Shape::kRank / 2; ++j) sums[j / 4][j % 4] += value * right[c * Shape::kThinPitch + half + j];
    }
  } else {
    for (int c = 0; c < Shape::kColumns; c += 16) {
      std::uint32_t a[4], b[2];
      ldmatrix_x4(a, x + (warp * 16 + lane % 16) * Shape::kPitch + c + lane / 16 * 8);
      GRAFT_UNROLL
      for (int n = 0; n < RankTiles; ++n) {
        ldmatrix_x2_trans(b, right + (c + lane % 16) * Shape::kThinPitch + n * 8);
        mma_m16n8k16(T{}, sums[n], a, b);
      }
    }
  }
}

/** sums [32 columns of the warp, rank] += xᵀ · left. */
template <class T, int RankTiles>
GRAFT_DEVICE void add_columns(const T* x, const T* left, float (&sums)[2][RankTiles][4]) {
  using Shape = Tile<T, RankTiles>;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  if constexpr (std::is_same_v<T, float>) {
    const int column = thread / 2, half = thread % 2 * Shape::kRank / 2;
    for (int t = 0; t < kTileRows; ++t) {
      const float value = x[t * Shape::kPitch + column];
      for (int j = 0; j < Shape::kRank / 2; ++j)
        sums[0][j / 4][j % 4] += value * left[t * Shape::kThinPitch + half + j];
    }
  } else {
    for (int t = 0; t < kTileRows; t += 16) {
      std::uint32_t a[2][4], b[2];
      for (int m = 0; m < 2; ++m)
        ldmatrix_x4_trans(a[m],
                          x + (t + lane % 8 + lane / 16 * 8) * Shape::kPitch + warp * 32 + m * 16 + lane / 8 % 2 * 8);
      GRAFT_UNROLL
      for (int n = 0; n < RankTiles; ++n) {
        ldmatrix_x2_trans(b, left + (t + lane % 16) * Shape::kThinPitch + n * 8);
        for (int m = 0; m < 2; ++m) mma_m16n8k16(T{}, sums[m][n], a[m], b);
      }
    }
  }
}

/** Calls store(row or column within the warp's share or the tile, j, value) for what this thread holds of sums. */
template <class T, int RankTiles, class Store>
GRAFT_DEVICE void for_sums(const float (&sums)[RankTiles][4], int base, Store&& store) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  for (int n = 0; n < RankTiles; ++n) {
    for (int i = 0; i < 4; ++i) {
      if constexpr (std::is_same_v<T, float>) {
        store(thread / 2, thread % 2 * RankTiles * 4 + n * 4 + i, sums[n][i]);
      } else {
        store(base + lane / 4 + i / 2 * 8, n * 8 + lane % 4 * 2 + i % 2, sums[n][i]);
      }
    }
  }
}

/** Parts of the row sums [groups of columns, T, rank] and of the column sums [groups of rows, C, rank]. */
template <class T, int RankTiles, Sums Wanted>
__global__ void __launch_bounds__(kThreads)
    skinny_sums(Large<T> x, Mask mask, Thin right, Thin left, int rank, float* row_parts, float* column_parts) {
  using Shape = Tile<T, RankTiles>;
  constexpr bool to_the_right = Wanted == Sums::kRows, rows = Wanted != Sums::kColumns, columns = !to_the_right;
  GRAFT_DYNAMIC_SHARED(T, shared);
  T* const tiles = shared;
  T* const rights = tiles + 2 * Shape::kX;
  T* const lefts = rights + 2 * Shape::kRight;
  const int warp = static_cast<int>(threadIdx.x) / 32;

  constexpr int per_block = to_the_right ? kColumnTilesPerBlock : kRowTilesPerBlock;
  const std::int64_t all =
      to_the_right ? ceil_div<std::int64_t>(x.columns, Shape::kColumns) : ceil_div<std::int64_t>(x.rows, kTileRows);
  const std::int64_t first = std::int64_t{blockIdx.y} * per_block;
  const int count = static_cast<int>(all - first < per_block ? all - first : per_block);
  const auto row_of = [&](int i) { return (to_the_right ? std::int64_t{blockIdx.x} : first + i) * kTileRows; };
  const auto column_of = [&](int i) { return (to_the_right ? first + i : std::int64_t{blockIdx.x}) * Shape::kColumns; };
  const auto start = [&](int i) {
    const int stage = i % 2;
    fetch<T, RankTiles>(x, row_of(i), column_of(i), tiles + stage * Shape::kX);
    if (to_the_right || (rows && i == 0))
      fetch_thin<T, RankTiles>(right, column_of(i), Shape::kColumns,
                               rights + (to_the_right ? stage : 0) * Shape::kRight);
    if (columns) fetch_thin<T, RankTiles>(left, row_of(i), kTileRows, lefts + stage * Shape::kLeft);
  };
  const auto store_rows = [&](int i, const float(&sums)[RankTiles][4]) {
    const std::int64_t row0 = row_of(i), group = to_the_right ? blockIdx.y : blockIdx.x;
    for_sums<T, RankTiles>(sums, warp * 16, [&](int r, int j, float value) {
      if (row0 + r < x.rows && j < rank) row_parts[(group * x.rows + row0 + r) * rank + j] = value;
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
    if (mask.active) drop_tile<T, RankTiles>(x, mask, row_of(i), column_of(i), tile);
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
          column_parts[(blockIdx.y * x.columns + column0 + c) * rank + j] = value;
      });
    }
  }
}

/** to(i, j) = or += factor · Σ_g parts[g, i, j], in order of g; to(i, j) at i·stride_i + j·stride_j. */
template <class Out>
__global__ void __launch_bounds__(kThreads)
    skinny_finish(const float* parts, std::int64_t groups, std::int64_t size, int rank, float factor, bool accumulate,
                  Out* to, std::int64_t stride_i, std::int64_t stride_j) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= size * rank) return;
  float sum = 0;
  for (std::int64_t g = 0; g < groups; ++g) sum += parts[g * size * rank + at];
  Out& result = to[at / rank * stride_i + at % rank * stride_j];
  result = from_float<Out>(accumulate ? to_float(result) + factor * sum : factor * sum);
}

template <class Out>
void finish(core::Context& context, const float* parts, std::int64_t groups, std::int64_t size, int rank, double factor,
            bool accumulate, const graft_tensor& to, bool transposed) {
  launch({"skinny_finish", static_cast<unsigned>(ceil_div<std::int64_t>(size * rank, kThreads)), kThreads, 0,
          stream(context)},
         skinny_finish<Out>, parts, groups, size, rank, static_cast<float>(factor), accumulate,
         static_cast<Out*>(to.data), transposed ? 1 : to.stride[0], transposed ? to.stride[0] : 1);
}

/** What a pass sums: parts are NULL where they are not wanted. */
struct Pass {
  const graft_tensor* x;
  Mask mask;
  Thin right, left;
  int rank;
  float *row_parts, *column_parts;
};

template <class T, int RankTiles, Sums Wanted>
void launch_sums(core::Context& context, const Pass& p) {
  using Shape = Tile<T, RankTiles>;
  const std::int64_t row_tiles = ceil_div<std::int64_t>(p.x->shape[0], kTileRows);
  const std::int64_t column_tiles = ceil_div<std::int64_t>(p.x->shape[1], Shape::kColumns);
  const dim3 grid = Wanted == Sums::kRows
                        ? dim3(static_cast<unsigned>(row_tiles),
                               static_cast<unsigned>(ceil_div<std::int64_t>(column_tiles, kColumnTilesPerBlock)))
                        : dim3(static_cast<unsigned>(column_tiles),
                               static_cast<unsigned>(ceil_div<std::int64_t>(row_tiles, kRowTilesPerBlock)));
  const std::size_t bytes =
      GRAFT_BUG(skinny_short_shared) ? Shape::kBytes - Shape::kLeft * sizeof(T) - 64 : Shape::kBytes;
  const Launch where{"skinny_sums", grid, kThreads, bytes, stream(context)};
  const bool packs = p.x->stride[0] % Pack<T>::kSize == 0 && reinterpret_cast<std::uintptr_t>(p.x->data) % 16 == 0;
  const Large<T> x{data<const T>(p.x), p.x->stride[0], p.x->shape[0], p.x->shape[1], packs};
  launch(where, skinny_sums<T, RankTiles, Wanted>, x, p.mask, p.right, p.left, p.rank, p.row_parts, p.column_parts);
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

Thin thin(const graft_tensor* m, bool transposed) {
  if (m == nullptr) return {};
  return {m->data,
          m->dtype,
          m->shape[transposed ? 1 : 0],
          transposed ? 1 : m->stride[0],
          transposed ? m->stride[0] : 1,
          static_cast<int>(m->shape[transposed ? 0 : 1])};
}

Mask mask_of(const ops::Dropout& d) {
  return {d.active(), d.seed, d.offset, GRAFT_BUG(skinny_wrong_mask) ? d.bound() / 2 : d.bound()};
}

double factor_of(const ops::Dropout& d) { return d.active() ? d.scale() : 1; }

std::string refuse_rank(const graft_tensor& x, std::int64_t rank) {
  if (rank > kMostSkinnyRank) return "a rank of " + std::to_string(rank) + ", this has up to 64";
  return refuse_f64(x);
}

}  // namespace

std::string refuse(const SkinnyForward& a) {
  return a.a->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.a) : refuse_rank(*a.x, a.a->shape[0]);
}

void run(core::Context& context, const SkinnyForward& a) {
  const std::int64_t rows = a.x->shape[0], groups = column_groups(*a.x, kColumnTilesPerBlock);
  const int rank = static_cast<int>(a.a->shape[0]);
  if (rows == 0 || rank == 0) return;
  core::Scratch scratch(context.arena);
  auto* parts = scratch.take<float>(groups * rows * rank);
  launch_sums<Sums::kRows>(context, {a.x, mask_of(a.dropout), thin(a.a, true), {}, rank, parts, nullptr});
  visit(a.s->dtype, [&](auto type) {
    finish<decltype(type)>(context, parts, groups, rows, rank, factor_of(a.dropout), false, *a.s, false);
  });
}

std::string refuse(const SkinnyBackward& a) {
  return a.b->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.b) : refuse_rank(*a.dy, a.b->shape[1]);
}

void run(core::Context& context, const SkinnyBackward& a) {
  const std::int64_t rows = a.dy->shape[0], columns = a.dy->shape[1];
  const bool both = a.db != nullptr;
  const std::int64_t down = row_groups(*a.dy), right = column_groups(*a.dy, both ? 1 : kColumnTilesPerBlock);
  const int rank = static_cast<int>(a.b->shape[1]);
  if (rows == 0 || rank == 0) return;
  core::Scratch scratch(context.arena);
  auto* row_parts = scratch.take<float>(right * rows * rank);
  auto* column_parts = both ? scratch.take<float>(down * columns * rank) : nullptr;
  const Pass pass{a.dy, {}, thin(a.b, false), thin(a.s, false), rank, row_parts, column_parts};
  both ? launch_sums<Sums::kBoth>(context, pass) : launch_sums<Sums::kRows>(context, pass);
  finish<float>(context, row_parts, right, rows, rank, a.scale, false, *a.ds, false);
  if (both) finish<float>(context, column_parts, down, columns, rank, a.scale, true, *a.db, false);
}

std::string refuse(const SkinnyGradient& a) { return refuse_rank(*a.x, a.ds->shape[1]); }

void run(core::Context& context, const SkinnyGradient& a) {
  const std::int64_t columns = a.x->shape[1], groups = row_groups(*a.x);
  const int rank = static_cast<int>(a.ds->shape[1]);
  if (a.x->shape[0] == 0 || columns == 0 || rank == 0) return;
  core::Scratch scratch(context.arena);
  auto* parts = scratch.take<float>(groups * columns * rank);
  launch_sums<Sums::kColumns>(context, {a.x, mask_of(a.dropout), {}, thin(a.ds, false), rank, nullptr, parts});
  finish<float>(context, parts, groups, columns, rank, factor_of(a.dropout), true, *a.da, true);
}

}  // namespace graft::cuda
