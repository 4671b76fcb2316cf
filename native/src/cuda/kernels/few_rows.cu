// few_rows: y = x Wᵀ + bias (+ y) for at most 16 rows of x, straight from the codes of W: each is read once, becomes a
// number in a register, and goes to the tensor cores.
//
// A block has 16 rows of W and a part of the columns, of which its 8 warps take 128 in turn. Lane (g, q) = (l/4, l%4)
// holds 32 codes of rows g and g + 8: as a 16x16 tile of W they are its share of the left factor, and the same columns
// of row g of x are its share of the right one. Which columns make a tile does not matter, as long as both sides agree;
// so a lane's codes are neighbours in memory. Sums are made in fp32 in the order of the steps, then of the warps, then
// of the parts (scratch and a second kernel, where N alone gives too few blocks).
//
// NF4: levels lie in shared memory in 16 banks. Sketch: so do the tables of the 16 rows, in x's type, as the product
// has them; four rows share the 32 banks (eight, of 8 entries). Bytes: the codes and scales (tables) once, x for each
// 16 rows of W from the L2. One lookup, and for NF4 one multiplication, for each element of W; the tensor cores do 16·8
// FMA for each, whatever T is.
#include <algorithm>
#include <type_traits>

#include "core/tensor_check.h"
#include "cuda/kernels/coded_weight.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/nf4_codes.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/sketch_codes.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

constexpr int kFewWarps = kThreads / 32, kBlockRows = 16, kPiece = 32, kRuns = 4;
constexpr std::int64_t kFewRows = 16, kWantedBlocks = 256, kMostShared = 32 << 10;

/** Both kinds give: how many blocks a multiprocessor holds at least, short of registers that spill; pieces of 32
 * columns of a row as four runs of eight, and pairs of their elements in T. */
template <class T>
struct Nf4Rows {
  static constexpr int kBlocksPerMultiprocessor = 3;
  Nf4Codes w;

  struct Piece {
    Pack<std::uint32_t> words;
    float scale;
  };
  std::size_t shared_bytes() const { return (kNf4LevelCount + kNf4MapSize) * sizeof(float); }
  std::int64_t pieces() const { return w.k / kPiece; }
  GRAFT_DEVICE void stage(void* shared, std::int64_t) const {
    w.stage(static_cast<float*>(shared), static_cast<float*>(shared) + kNf4LevelCount);
  }
  /** The first column of a run; K for none. */
  GRAFT_DEVICE std::int64_t column(std::int64_t piece, int run) const { return piece * kPiece + run * 8; }
  GRAFT_DEVICE Piece load(const void* shared, std::int64_t row0, int r, std::int64_t piece) const {
    if (row0 + r >= w.n || piece * kPiece >= w.k) return {};
    const std::int64_t first = (row0 + r) * w.k + piece * kPiece;
    return {load_pack(reinterpret_cast<const std::uint32_t*>(w.codes + first / 2)),
            w.scale(first, static_cast<const float*>(shared) + kNf4LevelCount)};
  }
  GRAFT_DEVICE std::uint32_t pair(const void* shared, const Piece& piece, int run, int i) const {
    const auto* const levels = static_cast<const float*>(shared);
    const std::uint32_t word = piece.words.at[run];
    return pair_of<T>(levels[nf4_code(word, i)] * piece.scale, levels[nf4_code(word, i + 1)] * piece.scale);
  }
};

template <class T>
struct SketchRows {
  static constexpr int kBlocksPerMultiprocessor = 1;
  SketchCodes w;

  struct Piece {
    std::uint64_t runs[kRuns];
    const T* table;
  };
  std::size_t shared_bytes() const { return static_cast<std::size_t>(w.groups * kBlockRows * w.entries) * sizeof(T); }
  std::int64_t pieces() const { return w.groups * w.blocks * 2; }
  GRAFT_DEVICE void stage(void* shared, std::int64_t row0) const {
    auto* const tables = static_cast<T*>(shared);  // [groups, rows, entries]
    const int count = static_cast<int>(w.groups) * kBlockRows * w.entries;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      const int entry = i % w.entries, r = i / w.entries % kBlockRows, group = i / w.entries / kBlockRows;
      if (row0 + r < w.n) tables[i] = from_float<T>(w.entry(w.table_of(row0 + r, group) + entry));
    }
  }
  /** Which eighth of its block a run is: those of a piece share bytes. */
  GRAFT_DEVICE int eighth(std::int64_t piece, int run) const {
    const int half = static_cast<int>(piece % 2);
    return w.bits == 4 ? run / 2 * 4 + half * 2 + run % 2 : run * 2 + half;
  }
  /** The group of a piece, and its block there. why 32 bits: a division of 64 takes as long as a run. */
  GRAFT_DEVICE unsigned group(std::int64_t piece) const {
    return static_cast<unsigned>(piece) / 2 / static_cast<unsigned>(w.blocks);
  }
  GRAFT_DEVICE unsigned block(std::int64_t piece) const {
    return static_cast<unsigned>(piece) / 2 % static_cast<unsigned>(w.blocks);
  }
  GRAFT_DEVICE std::int64_t column(std::int64_t piece, int run) const {
    const std::int64_t column = block(piece) * core::kSketchBlock + eighth(piece, run) * 8;
    return column < w.columns ? group(piece) * w.columns + column : w.k;
  }
  GRAFT_DEVICE Piece load(const void* shared, std::int64_t row0, int r, std::int64_t piece) const {
    const auto* const tables = static_cast<const T*>(shared);
    if (row0 + r >= w.n || group(piece) >= w.groups) return {{}, tables};
    Piece loaded{{},
                 tables + (group(piece) * kBlockRows + static_cast<unsigned>(r)) * static_cast<unsigned>(w.entries)};
    GRAFT_UNROLL
    for (int run = 0; run < kRuns; ++run)
      loaded.runs[run] = w.eight(row0 + r, group(piece), block(piece) * 8 + eighth(piece, run));
    return loaded;
  }
  GRAFT_DEVICE std::uint32_t pair(const void*, const Piece& piece, int run, int i) const {
    const std::uint32_t low = piece.table[byte_of(piece.runs[run], i)].bits;
    return low | static_cast<std::uint32_t>(piece.table[byte_of(piece.runs[run], i + 1)].bits) << 16;
  }
};

/** y [T, N] of T, or of f32, and what is added to a sum. */
template <class T>
struct FewRows {
  void* y;
  std::int64_t pitch, rows, n;
  bool wide, accumulate;
  const void* bias;  // of y's type, or NULL

  template <class Y>
  GRAFT_DEVICE void store_as(std::int64_t t, std::int64_t i, float sum) const {
    Y& to = static_cast<Y*>(y)[t * pitch + i];
    if (bias != nullptr) sum += to_float(static_cast<const Y*>(bias)[i]);
    to = from_float<Y>(accumulate ? to_float(to) + sum : sum);
  }
  GRAFT_DEVICE void store(std::int64_t t, std::int64_t i, float sum) const {
    wide ? store_as<float>(t, i, sum) : store_as<T>(t, i, sum);
  }
};

/** Into parts [parts, T, N], or, where they are NULL, into y. */
template <class T, class Weight, int Tiles>
__global__ void __launch_bounds__(kThreads, Weight::kBlocksPerMultiprocessor)
    few_rows_sums(Weight w, Rows<const T> x, std::int64_t columns, std::int64_t steps, std::int64_t steps_of_part,
                  FewRows<T> y, float* parts) {
  constexpr int kColumns = 8 * Tiles;  // rows of x
  GRAFT_DYNAMIC_SHARED(char, shared);
  GRAFT_SHARED(float, of_warp, kFewWarps* kBlockRows* kColumns);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, g = thread % 32 / 4, q = thread % 4;
  const std::int64_t row0 = std::int64_t{blockIdx.x} * kBlockRows, first = blockIdx.y * steps_of_part;
  const std::int64_t end = first + steps_of_part < steps ? first + steps_of_part : steps;
  w.stage(shared, row0);
  if (!GRAFT_BUG(few_rows_no_barrier)) __syncthreads();

  float sums[Tiles][4] = {};
  for (std::int64_t step = first + warp; step < end; step += kFewWarps) {
    const std::int64_t at = step * 4 + q;
    const auto upper = w.load(shared, row0, g, at), lower = w.load(shared, row0, g + 8, at);
    GRAFT_UNROLL
    for (int run = 0; run < kRuns; ++run) {
      const std::int64_t column = w.column(at, run);
      std::uint32_t right[Tiles][4] = {};
      GRAFT_UNROLL
      for (int tile = 0; tile < Tiles; ++tile) {
        const std::int64_t t = tile * 8 + g;
        if (t >= y.rows || column >= columns) continue;
        const auto pack = load_pack(reinterpret_cast<const std::uint32_t*>(x[t] + column));
        for (int i = 0; i < 4; ++i) right[tile][i] = pack.at[i];
      }
      GRAFT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const std::uint32_t left[4] = {w.pair(shared, upper, run, 4 * half), w.pair(shared, lower, run, 4 * half),
                                       w.pair(shared, upper, run, 4 * half + 2),
                                       w.pair(shared, lower, run, 4 * half + 2)};
        for (int tile = 0; tile < Tiles; ++tile)
          mma_m16n8k16(T{}, sums[tile], left, {right[tile][2 * half], right[tile][2 * half + 1]});
      }
    }
  }

  GRAFT_UNROLL
  for (int tile = 0; tile < Tiles; ++tile)
    for (int i = 0; i < 4; ++i)
      of_warp[(warp * kColumns + tile * 8 + 2 * q + i % 2) * kBlockRows + g + i / 2 * 8] = sums[tile][i];
  if (!GRAFT_BUG(few_rows_no_barrier_behind)) __syncthreads();
  const std::int64_t t = thread / kBlockRows, i = row0 + thread % kBlockRows;
  if (t >= y.rows || i >= y.n) return;
  float sum = 0;
  for (int k = 0; k < kFewWarps; ++k) sum += of_warp[k * kColumns * kBlockRows + thread];
  if (parts != nullptr) {
    parts[(blockIdx.y * y.rows + t) * y.n + i] = sum;
  } else {
    y.store(t, i, sum);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) few_rows_add(const float* parts, std::int64_t count, FewRows<T> y) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= y.rows * y.n) return;
  float sum = 0;
  for (std::int64_t part = 0; part < count; ++part) sum += parts[part * y.rows * y.n + at];
  y.store(at / y.n, at % y.n, sum);
}

template <class T, class Weight>
void run_rows(core::Context& context, const ops::LinearForward& a, const Weight& w) {
  const std::int64_t rows = a.x->shape[0], n = a.w->n, steps = ceil_div<std::int64_t>(w.pieces(), 4);
  const std::int64_t blocks = ceil_div<std::int64_t>(n, kBlockRows);
  const std::int64_t wanted = std::min(ceil_div(kWantedBlocks, blocks), ceil_div<std::int64_t>(steps, kFewWarps));
  const std::int64_t steps_of_part = ceil_div(steps, wanted), count = ceil_div(steps, steps_of_part);
  core::Scratch scratch(context.arena);
  const FewRows<T> y{a.y->data,
                     a.y->stride[0],
                     rows,
                     n,
                     a.y->dtype == GRAFT_DTYPE_F32,
                     a.accumulate,
                     vector_as(context, scratch, a.bias, a.y->dtype)};
  auto* parts = count == 1 ? nullptr : scratch.take<float>(count * rows * n);
  const Launch where{"few_rows_sums", dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(count)), kThreads,
                     w.shared_bytes(), stream(context)};
  const auto with = [&](auto kernel) {
    launch(where, kernel, w, graft::cuda::rows<const T>(a.x), a.w->k, steps, steps_of_part, y, parts);
  };
  rows <= 8 ? with(few_rows_sums<T, Weight, 1>) : with(few_rows_sums<T, Weight, 2>);
  if (count == 1) return;
  launch(over(context, "few_rows_add", rows * n), few_rows_add<T>, parts, count, y);
}

}  // namespace

std::string refuse_few_rows(const ops::LinearForward& a) {
  const graft_weight& w = *a.w;
  const std::int64_t rows = a.x->shape[0];
  if (rows == 0 || rows > kFewRows || w.n == 0 || w.k == 0) return "no rows, or more than 16";
  if (a.x->dtype != GRAFT_DTYPE_BF16 && a.x->dtype != GRAFT_DTYPE_F16) return "the tensor cores take bf16 and f16";
  if (!in_packs({a.x})) return "rows of x that are no multiples of 16 bytes";
  if (w.kind == GRAFT_WEIGHT_NF4) {
    const bool packs = w.k % kPiece == 0 && reinterpret_cast<std::uintptr_t>(w.storage.data) % 16 == 0;
    return packs ? "" : "rows of codes that are no multiples of 16 bytes";
  }
  if (w.kind != GRAFT_WEIGHT_SKETCH) return "w is dense";
  const core::SketchLayout layout(w);
  if (layout.columns % 8 != 0) return "groups of columns that are no multiples of 8";
  const std::int64_t bytes = layout.groups * kBlockRows * layout.entries * 2;
  return bytes > kMostShared ? "more groups than shared memory has tables" : refuse_sketch(w);
}

void few_rows(core::Context& context, const ops::LinearForward& a) {
  const auto with = [&](auto type) {
    using T = decltype(type);
    if (a.w->kind == GRAFT_WEIGHT_NF4) return run_rows<T>(context, a, Nf4Rows<T>{nf4_codes(*a.w)});
    run_rows<T>(context, a, SketchRows<T>{sketch_codes(*a.w)});
  };
  a.x->dtype == GRAFT_DTYPE_BF16 ? with(bf16{}) : with(f16{});
}

}  // namespace graft::cuda
