// hira by panels and tiles that are made where they are used. A panel of W' is W's, copied or decoded, times 1 + b a,
// four rows at a time beside two vectors of a: r multiply-adds for an element. Then the GEMM library multiplies it. For
// the gradients a tile of dyᵀ x, in fp32, is multiplied by W's and then by a, and by b, while it is in cache; a task
// owns some rows of W, and so of db, and its sums of da are added in the tasks' order. FLOPs beside the layer's own
// 2·T·N·K: 2·r·N·K a direction, and for the gradients 2·T·N·K and 4·r·N·K.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/hira.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/hira.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** m's columns i.. of J rows *= 1 + b a, in V vectors, or in n lanes of one. b [rows, rank]. */
template <int J, int V, class T>
HWY_INLINE void scale_block(const float* b, std::int64_t rank, const float* a, std::int64_t a_pitch, T* m,
                            std::int64_t m_pitch, std::int64_t i, std::int64_t n) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF factor[J][V];
  for (int j = 0; j < J; ++j)
    for (int v = 0; v < V; ++v) factor[j][v] = hn::Set(d, 1);
  for (std::int64_t r = 0; r < rank; ++r) {
    VF value[V];
    for (int v = 0; v < V; ++v)
      value[v] = V == 1 ? at(d, a + r * a_pitch + i, n) : load(d, a + r * a_pitch + i + v * lanes);
    for (int j = 0; j < J; ++j) {
      const VF scale = hn::Set(d, b[j * rank + r]);
      for (int v = 0; v < V; ++v) factor[j][v] = hn::MulAdd(scale, value[v], factor[j][v]);
    }
  }
  for (int j = 0; j < J; ++j)
    for (int v = 0; v < V; ++v) {
      T* to = m + j * m_pitch + i + v * lanes;
      const std::int64_t count = V == 1 ? n : lanes;
      put(d, hn::Mul(factor[j][v], at(d, to, count)), to, count);
    }
}

template <int J, class T>
HWY_INLINE void scale_rows(const float* b, std::int64_t rank, const float* a, std::int64_t a_pitch, const Matrix& m,
                           T* data) {
  const F d;
  const std::int64_t two = 2 * static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + two <= m.columns; i += two) scale_block<J, 2>(b, rank, a, a_pitch, data, m.row_stride, i, two);
  for_lanes(d, m.columns - i, [&](std::int64_t at_lane, std::int64_t n) {
    scale_block<J, 1>(b, rank, a, a_pitch, data, m.row_stride, i + at_lane, n);
  });
}

/** m *= 1 + b a. */
void hira_scale(const float* b, std::int64_t rank, const float* a, std::int64_t a_pitch, const Matrix& m) {
  visit_small_float(m.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* data = static_cast<T*>(m.data);
    std::int64_t j = 0;
    for (; j + 4 <= m.rows; j += 4) scale_rows<4>(b + j * rank, rank, a, a_pitch, m, data + j * m.row_stride);
    for (; j < m.rows; ++j) scale_rows<1>(b + j * rank, rank, a, a_pitch, m, data + j * m.row_stride);
  });
}

/** to *= m, row by row. */
void hira_multiply(const Matrix& m, const Matrix& to) {
  const F d;
  for (std::int64_t j = 0; j < to.rows; ++j) {
    const float* from = static_cast<const float*>(m.data) + j * m.row_stride;
    float* out = static_cast<float*>(to.data) + j * to.row_stride;
    for_lanes(d, to.columns, [&](std::int64_t i, std::int64_t n) {
      put(d, hn::Mul(at(d, from + i, n), at(d, out + i, n)), out + i, n);
    });
  }
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(hira_scale);
HWY_EXPORT(hira_multiply);
namespace {

constexpr std::int64_t kTileRows = 128;
constexpr std::int64_t kTileColumns = 512;
constexpr std::int64_t kGradientTasks = 16;  // so many partial sums of da at most

/** W and the factors in fp32. */
class Scaled {
 public:
  Scaled(core::Context& context, core::Scratch& scratch, const graft_weight& w, const graft_tensor& a,
         const graft_tensor& b)
      : w_(w),
        a_(converted(context, scratch, a, 1, GRAFT_DTYPE_F32)),
        b_(converted(context, scratch, b, 1, GRAFT_DTYPE_F32)) {}

  /** tile = W[n.., k..]. */
  void read(std::int64_t n, std::int64_t k, const Matrix& tile) const {
    if (w_.kind != GRAFT_WEIGHT_DENSE) return decode(w_, n, k, tile);
    convert(matrix_of(core::dense_matrix(w_)).part(n, k, tile.rows, tile.columns), 1, tile);
  }
  /** tile = W'[n.., k..]. */
  void make(std::int64_t n, std::int64_t k, const Matrix& tile) const {
    read(n, k, tile);
    scale(n, k, tile);
  }
  void scale(std::int64_t n, std::int64_t k, const Matrix& tile) const {
    HWY_DYNAMIC_DISPATCH(hira_scale)
    (floats(b_.part(n, 0, 1, 1)), a_.rows, floats(a_.part(0, k, 1, 1)), a_.columns, tile);
  }
  const Matrix& a() const { return a_; }
  const Matrix& b() const { return b_; }
  std::int64_t n() const { return w_.n; }
  std::int64_t k() const { return w_.k; }

 private:
  static const float* floats(const Matrix& m) { return static_cast<const float*>(m.data); }
  const graft_weight& w_;
  const Matrix a_, b_;
};

/** da and db from tiles of dyᵀ x. */
class Gradient {
 public:
  Gradient(core::Context& context, core::Scratch& scratch, const ops::HiraBackward& a, const Scaled& scaled)
      : a_(a), scaled_(scaled), dy_(matrix_of(*a.dy).transposed()), x_(matrix_of(*a.x)), rank_(scaled.a().rows) {
    const std::int64_t threads = context.pool.threads();
    rows_ = std::min(scaled.n(), kTileRows), columns_ = std::min(scaled.k(), kTileColumns);
    tiles_ = scratch.take<float>(threads * 2 * rows_ * columns_);
    const std::int64_t last_rows = (scaled.n() - 1) % rows_ + 1, last_columns = (scaled.k() - 1) % columns_ + 1;
    for (int i = 0; i < 4; ++i)
      shapes_[i] = Shape(context, scratch, *this, i < 2 ? rows_ : last_rows, i % 2 == 0 ? columns_ : last_columns);
  }

  std::int64_t tile_rows() const { return chunks_of(scaled_.n(), rows_); }

  /** Adds what rows first.. of tiles come to for db, and for da to `sums` [r, K]. */
  void run(std::int64_t first, int worker, float* sums) const {
    const std::int64_t n = first * rows_, rows = std::min(rows_, scaled_.n() - n);
    float *h = tiles_ + worker * 2 * rows_ * columns_, *w = h + rows_ * columns_;
    for (std::int64_t k = 0; k < scaled_.k(); k += columns_) {
      const std::int64_t columns = std::min(columns_, scaled_.k() - k);
      const Shape& shape = shapes_[(rows == rows_ ? 0 : 2) + (columns == columns_ ? 0 : 1)];
      const Matrix tile = row_major(h, GRAFT_DTYPE_F32, rows, columns, columns);
      const Matrix weights = row_major(w, GRAFT_DTYPE_F32, rows, columns, columns);
      shape.product.run(worker, dy_.part(n, 0, 1, 1).data, x_.part(0, k, 1, 1).data, h);
      scaled_.read(n, k, weights);
      HWY_DYNAMIC_DISPATCH(hira_multiply)(weights, tile);
      if (a_.db != nullptr)
        shape.db.run(worker, h, scaled_.a().part(0, k, 1, 1).data, static_cast<float*>(a_.db->data) + n * rank_);
      if (a_.da != nullptr) shape.da.run(worker, scaled_.b().part(n, 0, 1, 1).data, h, sums + k);
    }
  }

 private:
  /** The products of tiles of so many rows and columns. */
  struct Shape {
    Shape() = default;
    Shape(core::Context& context, core::Scratch& scratch, const Gradient& g, std::int64_t rows, std::int64_t columns) {
      const Matrix tile = row_major(g.tiles_, GRAFT_DTYPE_F32, rows, columns, columns);
      product = GemmPanel(context, scratch, g.dy_.part(0, 0, rows, g.dy_.columns), g.x_.part(0, 0, g.x_.rows, columns),
                          tile, 0);
      db = GemmPanel(context, scratch, tile, g.scaled_.a().part(0, 0, g.rank_, columns).transposed(),
                     row_major(nullptr, GRAFT_DTYPE_F32, rows, g.rank_, g.rank_), 1);
      da = GemmPanel(context, scratch, g.scaled_.b().part(0, 0, rows, g.rank_).transposed(), tile,
                     row_major(nullptr, GRAFT_DTYPE_F32, g.rank_, columns, g.scaled_.k()), 1);
    }
    GemmPanel product, db, da;
  };

  const ops::HiraBackward& a_;
  const Scaled& scaled_;
  const Matrix dy_, x_;
  const std::int64_t rank_;
  std::int64_t rows_ = 0, columns_ = 0;
  float* tiles_ = nullptr;
  Shape shapes_[4];  // whole, right, bottom, corner
};

void gradients(core::Context& context, const ops::HiraBackward& a, const Scaled& scaled) {
  core::Scratch scratch(context.arena);
  const Gradient gradient(context, scratch, a, scaled);
  const std::int64_t rows = chunks_of(gradient.tile_rows(), kGradientTasks);  // of tiles, in a task
  const std::int64_t tasks = chunks_of(gradient.tile_rows(), rows), count = a.da == nullptr ? 0 : core::elements(*a.a);
  float* sums = scratch.take<float>(tasks * count);
  core::parallel_for(context, tasks, [&](std::int64_t task, int worker) {
    std::fill_n(sums + task * count, count, 0.0f);
    const std::int64_t last = std::min(gradient.tile_rows(), (task + 1) * rows);
    for (std::int64_t tile = task * rows; tile < last; ++tile) gradient.run(tile, worker, sums + task * count);
  });
  for (std::int64_t task = 0; task < tasks && count > 0; ++task)
    for (std::int64_t i = 0; i < count; ++i) static_cast<float*>(a.da->data)[i] += sums[task * count + i];
}

}  // namespace

std::string refuse(const ops::HiraForward& a) { return refuse_types(*a.x, *a.a, *a.b, nullptr); }
std::string refuse(const ops::HiraBackward& a) { return refuse_types(*a.dy, *a.a, *a.b, nullptr); }
std::string refuse(const ops::HiraMerge& a) { return refuse_f64(*a.merged) + refuse_f64(*a.a) + refuse_f64(*a.b); }

void run(core::Context& context, const ops::HiraForward& a) {
  core::Scratch scratch(context.arena);
  const Scaled scaled(context, scratch, *a.w, *a.a, *a.b);
  const auto make = [&scaled](std::int64_t n, const Matrix& panel) { scaled.make(n, 0, panel.transposed()); };
  const Matrix like = row_major(nullptr, a.x->dtype, scaled.n(), scaled.k(), scaled.k()).transposed();
  run_panels(context,
             GemmPanels(context, scratch, matrix_of(*a.x), {like, make}, matrix_of(*a.y), a.accumulate ? 1.0f : 0.0f));
}

void run(core::Context& context, const ops::HiraBackward& a) {
  core::Scratch scratch(context.arena);
  const Scaled scaled(context, scratch, *a.w, *a.a, *a.b);
  if (a.dx != nullptr) {
    core::Scratch panels(context.arena);
    const auto make = [&scaled](std::int64_t k, const Matrix& panel) { scaled.make(0, k, panel); };
    const Matrix like = row_major(nullptr, a.dy->dtype, scaled.n(), scaled.k(), scaled.k());
    run_panels(context, GemmPanels(context, panels, matrix_of(*a.dy), {like, make}, matrix_of(*a.dx),
                                   a.accumulate ? 1.0f : 0.0f));
  }
  const bool empty = a.dy->shape[0] == 0 || scaled.n() == 0 || scaled.k() == 0;
  if ((a.da != nullptr || a.db != nullptr) && !empty) gradients(context, a, scaled);
}

void run(core::Context& context, const ops::HiraMerge& a) {
  core::Scratch scratch(context.arena);
  const Scaled scaled(context, scratch, *a.w, *a.a, *a.b);
  const std::int64_t n = scaled.n(), k = scaled.k();
  float* rows = scratch.take<float>(context.pool.threads() * kRowsPerChunk * k);
  core::parallel_for(context, chunks_of(n), [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk * kRowsPerChunk, count = std::min(kRowsPerChunk, n - first);
    const Matrix wide = row_major(rows + worker * kRowsPerChunk * k, GRAFT_DTYPE_F32, count, k, k);
    scaled.make(first, 0, wide);
    convert(wide, 1, matrix_of(*a.merged).part(first, 0, count, k));
  });
}

}  // namespace graft::cpu::fast
#endif
