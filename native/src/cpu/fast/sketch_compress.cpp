// sketch_compress by tiles of the GEMM library, in fp32. The factor: H is factored from its last column on, a block of
// 128 columns after the other; what the blocks behind take from a tile is one chain of products. A matrix: 64 rows at
// a time, whose D stays with the worker; a block of columns takes what the columns before have left as products, and
// then goes through its own columns one by one. FLOPs: K³/3 and N·K², about 20·N·K trials to find the clusters.
#include "ops/sketch_compress.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "core/context.h"
#include "core/sketch.h"
#include "core/sketch_compress.h"
#include "cpu/fast/sketch_clusters.h"
#include "cpu/fast/sketch_codes.h"
#include "cpu/fast/visit.h"
#include "cpu/gemm/gemm.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kTile = SketchTile::kColumns;
constexpr std::int64_t kRows = SketchTile::kRows;

// Blocks of columns from the end on: only the first one may be narrow, and it has no products to give.
struct Blocks {
  explicit Blocks(std::int64_t k) : k(k), count(chunks_of(k, kTile)) {}
  std::int64_t first(std::int64_t block) const { return std::max<std::int64_t>(0, k - (count - block) * kTile); }
  std::int64_t size(std::int64_t block) const { return k - (count - block - 1) * kTile - first(block); }
  std::int64_t k, count;
};

// r's rows = h's, in the sequence, on and above the diagonal; without inputs 0. diagonal [K] is h's, in the sequence.
void permute(core::Context& context, const ops::SketchCompressFactor& a, const float* diagonal, double added) {
  const std::int64_t k = a.h->shape[0];
  const auto* order = static_cast<const std::int32_t*>(a.order->data);
  core::parallel_for(context, chunks_of(k), [&](std::int64_t chunk, int) {
    for (std::int64_t i = chunk * kRowsPerChunk; i < std::min(k, (chunk + 1) * kRowsPerChunk); ++i) {
      const float* from = row<const float>(*a.h, order[i]);
      float* to = row<float>(*a.r, i);
      std::fill_n(to, i, 0.0f);
      for (std::int64_t j = i; j < k; ++j) to[j] = diagonal[i] == 0 || diagonal[j] == 0 ? 0 : from[order[j]];
      to[i] = static_cast<float>(core::used_diagonal(static_cast<double>(diagonal[i])) + added);
    }
  });
}

// The factor of a tile on the diagonal, in double, whose transpose goes to `columns`.
void factor_tile(const ops::SketchCompressFactor& a, std::int64_t first, std::int64_t size, double* tile,
                 float* columns) {
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = i; j < size; ++j)
      tile[i * kTile + j] = static_cast<double>(row<float>(*a.r, first + i)[first + j]);
  for (std::int64_t j = size - 1; j >= 0; --j) {
    const double pivot = tile[j * kTile + j];
    if (!(pivot > 0))
      core::fail(GRAFT_INVALID_ARGUMENT, "h with damping %g is not positive definite: column %d leaves %g", a.damping,
                 static_cast<const std::int32_t*>(a.order->data)[first + j], pivot);
    const double diagonal = std::sqrt(pivot);
    for (std::int64_t i = 0; i < j; ++i) tile[i * kTile + j] /= diagonal;
    tile[j * kTile + j] = diagonal;
    for (std::int64_t i = 0; i < j; ++i)
      for (std::int64_t m = i; m < j; ++m) tile[i * kTile + m] -= tile[i * kTile + j] * tile[m * kTile + j];
  }
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = i; j < size; ++j) {
      const float value = static_cast<float>(tile[i * kTile + j]);
      row<float>(*a.r, first + i)[first + j] = columns[j * kTile + i] = value;
    }
}

// x = x · tile^-ᵀ, in place: its elements from the last on, each of which then leaves the ones before.
void solve_row(float* x, std::int64_t size, const float* columns) {
  for (std::int64_t j = size - 1; j >= 0; --j) {
    const float value = x[j] /= columns[j * kTile + j];
    for (std::int64_t i = 0; i < j; ++i) x[i] -= value * columns[j * kTile + i];
  }
}

}  // namespace

std::string refuse(const ops::SketchCompressFactor& a) {
  const std::string refusal = refuse_f64(*a.h);
  return refusal.empty() ? gemm_refuse(GRAFT_DTYPE_F32, GRAFT_DTYPE_F32) : refusal;
}

void run(core::Context& context, const ops::SketchCompressFactor& a) {
  const Matrix r = matrix_of(*a.r);
  const Blocks blocks(r.rows);
  if (blocks.count == 0) return;
  core::Scratch scratch(context.arena);
  const auto h = [&](std::int64_t i) { return row<const float>(*a.h, i)[i]; };
  const double added =
      core::start_factor(*a.order, a.damping, a.by_diagonal, [&](std::int64_t i) { return static_cast<double>(h(i)); });
  float* diagonal = scratch.take<float>(blocks.k);
  for (std::int64_t j = 0; j < blocks.k; ++j) diagonal[j] = h(static_cast<const std::int32_t*>(a.order->data)[j]);
  permute(context, a, diagonal, added);
  double* tile = scratch.take<double>(kTile * kTile);
  float* columns = scratch.take<float>(kTile * kTile);
  // The rows of one block, negated: products then subtract.
  const Matrix taken = row_major(scratch.take<float>(kTile * blocks.k), GRAFT_DTYPE_F32, kTile, blocks.k, blocks.k);
  const auto product = [&](std::int64_t rows, std::int64_t out) {
    return GemmPanel(context, scratch, r.part(0, 0, rows, kTile), taken.part(0, 0, out, kTile).transposed(),
                     r.part(0, 0, rows, out), 1);
  };
  const std::int64_t narrow = blocks.size(0);
  GemmPanel whole, above, corner;
  if (blocks.count > 1) whole = product(kTile, kTile), above = product(narrow, kTile), corner = product(narrow, narrow);
  for (std::int64_t block = blocks.count - 1; block >= 0; --block) {
    const std::int64_t first = blocks.first(block), size = blocks.size(block), behind = first + size;
    for (std::int64_t i = 0; i < size; ++i)
      for (std::int64_t j = behind; j < blocks.k; ++j)
        static_cast<float*>(taken.data)[i * blocks.k + j] = -row<float>(*a.r, first + i)[j];
    core::parallel_for(context, block + 1, [&](std::int64_t upper, int worker) {
      const GemmPanel& panel = upper > 0 ? whole : block > 0 ? above : corner;
      for (std::int64_t j = behind; j < blocks.k; j += kTile)
        panel.run(worker, r.part(blocks.first(upper), j, 1, 1).data, taken.part(0, j, 1, 1).data,
                  r.part(blocks.first(upper), first, 1, 1).data);
    });
    factor_tile(a, first, size, tile, columns);
    core::parallel_for(context, block, [&](std::int64_t upper, int) {
      for (std::int64_t i = 0; i < blocks.size(upper); ++i)
        solve_row(row<float>(*a.r, blocks.first(upper) + i) + first, size, columns);
    });
    for (std::int64_t i = 0; i < size; ++i) std::fill_n(row<float>(*a.r, first + i) + first, i, 0.0f);
  }
  for (std::int64_t j = 0; j < blocks.k; ++j)
    if (diagonal[j] == 0) row<float>(*a.r, j)[j] *= -1;
}

namespace {

// One worker's memory for some rows of W.
struct Rows {
  Rows(core::Scratch& scratch, std::int64_t k, const core::SketchLayout& layout)
      : clusters(scratch, layout.columns, layout.entries),
        w(scratch.take<float>(k)),
        tables(scratch.take<float>(layout.groups * layout.entries * kRows)),
        goal(scratch.take<float>(kRows * k)),
        left(scratch.take<float>(kRows * k)),
        added(scratch.take<float>(kRows * kTile)),
        codes(scratch.take<std::uint8_t>(kRows * k)) {}

  SketchClusters clusters;
  float* w;             // a row by column
  float* tables;        // [groups, entries, kRows]
  float *goal, *left;   // in sequence: W, and D
  float* added;         // what the columns before a tile add to it
  std::uint8_t* codes;  // by column
};

// What tasks share.
struct Sweep {
  const ops::SketchCompressMatrix& a;
  const core::SketchLayout layout;
  const std::int32_t *order, *groups;  // [K]: a column's place in W, and the group of that
  const double* weights;

  double diagonal(std::int64_t j) const {
    return a.r == nullptr ? 1 : static_cast<double>(row<const float>(*a.r, j)[j]);
  }

  // Row i of a task: W in sequence, and its tables.
  void start(std::int64_t n, std::int64_t i, Rows& rows) const {
    core::visit_float(a.matrix->dtype, [&](auto tag) {
      const auto* from = row<const decltype(tag)>(*a.matrix, n);
      for (std::int64_t j = 0; j < a.w->k; ++j)
        rows.w[order[j]] = diagonal(j) < 0 ? 0 : static_cast<float>(from[order[j]]);
    });
    for (std::int64_t j = 0; j < a.w->k; ++j) rows.goal[i * a.w->k + j] = rows.w[order[j]];
    for (std::int64_t group = 0; group < layout.groups; ++group) {
      double best[core::kSketchEntries];
      const std::int64_t first = group * layout.columns, entries = group * layout.entries;
      rows.clusters.find(rows.w + first, weights + first, best);
      float* table = static_cast<float*>(a.w->table.data) + n * layout.groups * layout.entries + entries;
      for (int l = 0; l < layout.entries; ++l)
        rows.tables[(entries + l) * kRows + i] = table[l] = static_cast<float>(best[l]);
    }
  }

  SketchTile tile(std::int64_t first, std::int64_t columns, std::int64_t count, const Rows& rows, double* loss) const {
    const bool calibrated = a.r != nullptr;
    return {.rows = count,
            .columns = columns,
            .pitch = a.w->k,
            .order = order + first,
            .groups = groups + first,
            .tables = rows.tables,
            .entries = layout.entries,
            .r = calibrated ? row<const float>(*a.r, first) + first : nullptr,
            .r_pitch = calibrated ? a.r->stride[0] : 0,
            .goal = rows.goal + first,
            .added = rows.added,
            .left = rows.left + first,
            .codes = rows.codes,
            .loss = loss};
  }
};

// [K]: the columns' order, if only their own, and the groups.
std::int32_t* columns_of(core::Scratch& scratch, const graft_tensor* order, std::int64_t k, std::int64_t width) {
  auto* columns = scratch.take<std::int32_t>(2 * k);
  for (std::int64_t j = 0; j < k; ++j) {
    columns[j] = order == nullptr ? static_cast<std::int32_t>(j) : static_cast<const std::int32_t*>(order->data)[j];
    columns[k + j] = static_cast<std::int32_t>(columns[j] / width);
  }
  return columns;
}

}  // namespace

std::string refuse(const ops::SketchCompressMatrix& a) {
  std::string refusal = refuse_f64(*a.matrix);
  if (refusal.empty()) refusal = refuse_f64(a.w->table);
  if (refusal.empty() && a.r != nullptr) refusal = refuse_f64(*a.r);
  return refusal.empty() ? gemm_refuse(GRAFT_DTYPE_F32, GRAFT_DTYPE_F32) : refusal;
}

void run(core::Context& context, const ops::SketchCompressMatrix& a) {
  const std::int64_t n = a.w->n, k = a.w->k, threads = context.pool.threads();
  core::Scratch scratch(context.arena);
  double* weights = scratch.take<double>(k);
  const core::SketchLayout layout(*a.w);
  const std::int32_t* columns = columns_of(scratch, a.order, k, layout.columns);
  const Sweep sweep{a, layout, columns, columns + k, weights};
  core::cluster_weights(
      a.order, k, a.exponent, [&](std::int64_t j) { return sweep.diagonal(j); }, weights);
  auto* workers = scratch.take<Rows>(threads);
  for (std::int64_t i = 0; i < threads; ++i) new (workers + i) Rows(scratch, k, layout);
  const std::int64_t narrow = k % kTile;
  GemmPanel whole, last;
  const auto product = [&](std::int64_t columns) {
    return GemmPanel(context, scratch, row_major(workers[0].left, GRAFT_DTYPE_F32, kRows, kTile, k),
                     matrix_of(*a.r).part(0, 0, kTile, columns),
                     row_major(workers[0].added, GRAFT_DTYPE_F32, kRows, columns, kTile), 1);
  };
  if (a.r != nullptr && k >= 2 * kTile) whole = product(kTile);
  if (a.r != nullptr && k > kTile && narrow > 0) last = product(narrow);
  core::parallel_for(context, chunks_of(n, kRows), [&](std::int64_t chunk, int worker) {
    Rows& rows = workers[worker];
    const std::int64_t first_row = chunk * kRows, count = std::min(kRows, n - first_row);
    double loss[kRows] = {};
    if (a.r != nullptr) std::fill_n(rows.left, kRows * k, 0.0f);
    rows.clusters.forget();
    for (std::int64_t i = 0; i < count; ++i) sweep.start(first_row + i, i, rows);
    for (std::int64_t first = 0; first < k; first += kTile) {
      const std::int64_t size = std::min(k - first, kTile);
      std::fill_n(rows.added, kRows * kTile, 0.0f);
      for (std::int64_t before = 0; a.r != nullptr && before < first; before += kTile)
        (size == kTile ? whole : last).run(worker, rows.left + before, row<float>(*a.r, before) + first, rows.added);
      code_tile(sweep.tile(first, size, count, rows, loss));
    }
    for (std::int64_t i = 0; i < count; ++i) {
      core::pack_row(rows.codes + i * k, layout, first_row + i);
      if (a.loss != nullptr) static_cast<float*>(a.loss->data)[first_row + i] = static_cast<float>(loss[i]);
    }
  });
}

}  // namespace graft::cpu::fast
