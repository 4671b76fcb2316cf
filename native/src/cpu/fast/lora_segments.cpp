// The adapters' parts of a mixed batch. Per segment and 64 rows, S = drop(x) A_eᵀ or dS = scale_e·dy B_e; then panels
// of y or dx, each made by the frozen layer's GEMM over all rows and, while it is in cache, updated by S B_eᵀ or dS A_e
// in the rows of each segment. da and db run through the segments in order, by columns: two segments of an adapter add
// to the same sums. FLOPs: of lora, with each row's own rank. Extra bytes of backward: dy twice, x once.
#include "ops/lora_segments.h"

#include <algorithm>
#include <new>

#include "core/context.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/dropout.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/narrow_gradient.h"
#include "cpu/fast/rank_update.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kMaskRows = 256;

// Rows and columns of a matrix as a tensor of their own.
graft_tensor part_of(const graft_tensor& m, std::int64_t row, std::int64_t column, std::int64_t rows,
                     std::int64_t columns) {
  graft_tensor part = m;
  part.data = static_cast<char*>(m.data) + (row * m.stride[0] + column) * graft_dtype_bytes(m.dtype);
  part.shape[0] = rows;
  part.shape[1] = columns;
  return part;
}

// Neighbouring rows that share an adapter of some rank; no others are looked at.
struct Rows {
  std::int64_t begin, count, adapter, rank, first;  // first of the adapter's rows of a
};

struct Chunk {
  std::int64_t segment, first, count;  // first counts from the segment's own first row
};

// The segments that have work, and their pieces of at most kSkinnyRows rows.
class Segments {
 public:
  Segments(core::Scratch& scratch, const ops::Adapters& adapters)
      : adapters_(adapters), rows_(scratch.take<Rows>(adapters.segment_count())) {
    std::int64_t pieces = 0;
    for (std::int64_t g = 0; g < adapters.segment_count(); ++g) {
      const std::int64_t e = adapters.adapter(g), begin = adapters.begin(g), count = adapters.end(g) - begin;
      if (e < 0 || count == 0 || adapters.rank(e) == 0) continue;
      Rows* last = count_ == 0 ? nullptr : rows_ + count_ - 1;
      if (last != nullptr && last->adapter == e && last->begin + last->count == begin) {
        last->count += count;
      } else {
        rows_[count_++] = {begin, count, e, adapters.rank(e), adapters.first(e)};
      }
    }
    for (std::int64_t g = 0; g < count_; ++g) pieces += chunks_of(rows_[g].count, kSkinnyRows);
    chunks_ = scratch.take<Chunk>(pieces);
    for (std::int64_t g = 0; g < count_; ++g)
      for (std::int64_t first = 0; first < rows_[g].count; first += kSkinnyRows)
        chunks_[chunk_count_++] = {g, first, std::min(kSkinnyRows, rows_[g].count - first)};
  }

  std::int64_t count() const { return count_; }
  const Rows& operator[](std::int64_t segment) const { return rows_[segment]; }
  std::int64_t chunks() const { return chunk_count_; }
  const Chunk& chunk(std::int64_t i) const { return chunks_[i]; }
  graft_tensor down(std::int64_t g) const {
    return part_of(*adapters_.a, rows_[g].first, 0, rows_[g].rank, adapters_.a->shape[1]);
  }
  graft_tensor up(std::int64_t g) const {
    return part_of(*adapters_.b, 0, rows_[g].first, adapters_.b->shape[0], rows_[g].rank);
  }
  double scale(std::int64_t g) const { return adapters_.scale(rows_[g].adapter); }

  // An array with a value for each segment, which those of one adapter share.
  template <class T, class Make>
  T* per_adapter(core::Scratch& scratch, Make&& make) const {
    T* made = scratch.take<T>(count_);
    for (std::int64_t g = 0; g < count_; ++g) {
      std::int64_t same = 0;
      while (rows_[same].adapter != rows_[g].adapter) ++same;
      new (made + g) T(same < g ? made[same] : make(g));
    }
    return made;
  }

 private:
  const ops::Adapters& adapters_;
  Rows* rows_;
  Chunk* chunks_ = nullptr;
  std::int64_t count_ = 0, chunk_count_ = 0;
};

// The narrow product of each segment, x A_eᵀ or dy (scale·B_e), in fp32 and without gaps, and its update of panels.
class NarrowProducts {
 public:
  NarrowProducts(core::Context& context, core::Scratch& scratch, const Segments& segments, const Matrix& x)
      : context_(context),
        scratch_(scratch),
        segments_(segments),
        x_(x),
        pairs_(x.dtype == GRAFT_DTYPE_BF16 && has_bf16_pairs()),
        values_(scratch.take<float*>(segments.count())) {
    for (std::int64_t g = 0; g < segments.count(); ++g)
      values_[g] = scratch.take<float>(segments[g].count * segments[g].rank);
  }

  graft_dtype factor_dtype() const { return pairs_ ? GRAFT_DTYPE_BF16 : GRAFT_DTYPE_F32; }

  // factors: for each segment [r, columns of x] of factor_dtype(). done(chunk, product) sees each piece.
  template <class Done>
  void make(const PackedRows* factors, const ops::Dropout& dropout, Done&& done) {
    const std::int64_t columns = x_.columns, pitch = mask_bytes(columns);
    const float scale = dropout.active() ? static_cast<float>(dropout.scale()) : 1.0f;
    std::uint8_t* all_bits =
        dropout.active() ? scratch_.take<std::uint8_t>(context_.pool.threads() * kSkinnyRows * pitch) : nullptr;
    core::parallel_for(context_, segments_.chunks(), [&](std::int64_t i, int worker) {
      const Chunk& chunk = segments_.chunk(i);
      const Rows& rows = segments_[chunk.segment];
      const std::int64_t first = rows.begin + chunk.first;
      const Matrix part = x_.part(first, 0, chunk.count, columns);
      const Keep keep = all_bits == nullptr
                            ? Keep{}
                            : keep_part(dropout, part, first, 0, columns, all_bits + worker * kSkinnyRows * pitch);
      float* out = values_[chunk.segment] + chunk.first * rows.rank;
      row_products(part, keep, factors[chunk.segment], scale, out);
      done(chunk, row_major(out, GRAFT_DTYPE_F32, chunk.count, rows.rank, rows.rank));
    });
  }

  const float* operator[](std::int64_t segment) const { return values_[segment]; }

  // The updates of a matrix of x's dtype by the products, once they are made, and wide factors.
  const RankUpdate* updates(const WideFactor* wide) const {
    auto* made = scratch_.take<RankUpdate>(segments_.count());
    for (std::int64_t g = 0; g < segments_.count(); ++g)
      new (made + g) RankUpdate(context_, scratch_, values_[g], segments_[g].count, wide[g]);
    return made;
  }

 private:
  core::Context& context_;
  core::Scratch& scratch_;
  const Segments& segments_;
  const Matrix x_;
  const bool pairs_;
  float** values_;
};

// Calls body(segment, first row within it, first row of the matrix, count) for the rows of a panel that lie in
// segments.
template <class Body>
void within(const Segments& segments, std::int64_t row, std::int64_t rows, Body&& body) {
  for (std::int64_t g = 0; g < segments.count(); ++g) {
    const std::int64_t first = std::max(row, segments[g].begin);
    const std::int64_t end = std::min(row + rows, segments[g].begin + segments[g].count);
    if (first < end) body(g, first - segments[g].begin, first, end - first);
  }
}

class Backward {
 public:
  Backward(core::Context& context, const ops::LoraSegmentsBackward& a)
      : context_(context),
        a_(a),
        scratch_(context.arena),
        segments_(scratch_, a.adapters),
        dy_(matrix_of(*a.dy)),
        k_(a.w->k),
        n_(a.w->n) {}

  void run() {
    NarrowProducts products(context_, scratch_, segments_, dy_);
    if (a_.dx != nullptr || a_.da != nullptr) low_gradient(products);
    if (a_.db != nullptr) narrow_s();
    if (a_.dx == nullptr) {
      tasks(nullptr, nullptr);
    } else {
      const WideFactor* down = segments_.per_adapter<WideFactor>(scratch_, [&](std::int64_t g) {
        return WideFactor(context_, scratch_, converted(context_, scratch_, segments_.down(g), 1, GRAFT_DTYPE_F32),
                          dy_.dtype);
      });
      const GemmPanels dx =
          backward_panels(context_, scratch_, dy_, *a_.w, matrix_of(*a_.dx), a_.accumulate ? 1.0f : 0.0f);
      tasks(&dx, products.updates(down));
    }
    if (a_.dbias != nullptr) column_sums(context_, dy_, static_cast<float*>(a_.dbias->data));
  }

 private:
  // dS, for da in pairs of rows where outer_sum wants them.
  void low_gradient(NarrowProducts& products) {
    const PackedRows* up = segments_.per_adapter<PackedRows>(scratch_, [&](std::int64_t g) {
      return packed_up_rows(context_, scratch_, segments_.up(g), segments_.scale(g), products.factor_dtype());
    });
    const bool pairs = products.factor_dtype() == GRAFT_DTYPE_BF16;
    ds_ = scratch_.take<Narrow>(segments_.count());
    auto** all = scratch_.take<std::uint32_t*>(segments_.count());
    for (std::int64_t g = 0; g < segments_.count(); ++g) {
      const Rows& rows = segments_[g];
      all[g] = pairs ? scratch_.take<std::uint32_t>(pair_words(rows.count, rows.rank)) : nullptr;
      new (ds_ + g) Narrow{products[g], all[g], rows.rank};
    }
    products.make(up, {}, [&](const Chunk& chunk, const Matrix& made) {
      if (pairs) pair_rows_bf16(made, all[chunk.segment] + pair_words(chunk.first, made.columns));
    });
  }

  void narrow_s() {
    s_ = scratch_.take<Narrow>(segments_.count());
    for (std::int64_t g = 0; g < segments_.count(); ++g) {
      const Rows& rows = segments_[g];
      new (s_ + g) Narrow(narrow(context_, scratch_, part_of(*a_.s, rows.begin, 0, rows.count, rows.rank), dy_.dtype));
    }
  }

  // Tasks of one panel's columns of dx and da, and tasks of columns of dy for db.
  void tasks(const GemmPanels* dx, const RankUpdate* updates) {
    const std::int64_t width = dx != nullptr && dx->columns() > 0 ? dx->columns() : kPanelColumns;
    const std::int64_t inputs = dx != nullptr || a_.da != nullptr ? chunks_of(k_, width) : 0;
    const std::int64_t outputs = a_.db == nullptr ? 0 : chunks_of(n_, kNarrowColumns);
    const std::int64_t pitch = mask_bytes(width), workers = context_.pool.threads();
    std::uint8_t* bits = a_.dropout.active() ? scratch_.take<std::uint8_t>(workers * kMaskRows * pitch) : nullptr;
    const std::int64_t sums_size = a_.adapters.largest_rank() * kNarrowColumns;
    float* sums = scratch_.take<float>(workers * sums_size);
    core::parallel_for(context_, inputs + outputs, [&](std::int64_t task, int worker) {
      if (task >= inputs) return outputs_of((task - inputs) * kNarrowColumns, sums + worker * sums_size);
      for (std::int64_t panel = 0; dx != nullptr && panel < dx->down(); ++panel)
        dx->run(task * dx->down() + panel, worker);
      inputs_of(task * width, std::min(width, k_ - task * width), updates,
                bits == nullptr ? nullptr : bits + worker * kMaskRows * pitch);
    });
  }

  void inputs_of(std::int64_t column, std::int64_t columns, const RankUpdate* updates, std::uint8_t* bits) const {
    const float scale = bits == nullptr ? 1.0f : static_cast<float>(a_.dropout.scale());
    for (std::int64_t g = 0; g < segments_.count(); ++g) {
      const Rows& rows = segments_[g];
      for (std::int64_t first = 0; first < rows.count; first += kMaskRows) {
        const std::int64_t count = std::min(kMaskRows, rows.count - first), row = rows.begin + first;
        const Matrix part = matrix_of(a_.da != nullptr ? *a_.x : *a_.dx).part(row, column, count, columns);
        const Keep keep = bits == nullptr ? Keep{} : keep_part(a_.dropout, part, row, column, k_, bits);
        if (a_.da != nullptr)
          outer_sum(ds_[g].from(first), part, keep, scale,
                    static_cast<float*>(a_.da->data) + rows.first * a_.da->stride[0] + column, a_.da->stride[0]);
        if (updates != nullptr)
          updates[g].run(first, column, keep, scale, matrix_of(*a_.dx).part(row, column, count, columns));
      }
    }
  }

  void outputs_of(std::int64_t column, float* sums) const {
    const std::int64_t columns = std::min(kNarrowColumns, n_ - column);
    for (std::int64_t g = 0; g < segments_.count(); ++g) {
      const Rows& rows = segments_[g];
      add_narrow(dy_.part(rows.begin, column, rows.count, columns), s_[g], static_cast<float>(segments_.scale(g)), sums,
                 matrix_of(*a_.db).part(column, rows.first, columns, rows.rank));
    }
  }

  core::Context& context_;
  const ops::LoraSegmentsBackward& a_;
  core::Scratch scratch_;
  const Segments segments_;
  const Matrix dy_;
  const std::int64_t k_, n_;
  Narrow *ds_ = nullptr, *s_ = nullptr;  // for each segment
};

}  // namespace

std::string refuse(const ops::LoraSegmentsForward& a) {
  return refuse_types(*a.x, *a.adapters.a, *a.adapters.b, a.bias);
}
std::string refuse(const ops::LoraSegmentsBackward& a) {
  return refuse_types(*a.dy, *a.adapters.a, *a.adapters.b, nullptr);
}

void run(core::Context& context, const ops::LoraSegmentsForward& a) {
  const std::int64_t rows = a.x->shape[0], n = a.w->n;
  if (rows == 0) return;
  core::Scratch scratch(context.arena);
  const Segments segments(scratch, a.adapters);
  const Matrix x = matrix_of(*a.x), y = matrix_of(*a.y);
  NarrowProducts products(context, scratch, segments, x);
  const PackedRows* down = segments.per_adapter<PackedRows>(scratch, [&](std::int64_t g) {
    return packed_rows(scratch, converted(context, scratch, segments.down(g), 1, products.factor_dtype()));
  });
  products.make(down, a.dropout, [&](const Chunk& chunk, const Matrix& made) {
    if (a.s == nullptr) return;
    const std::int64_t first = segments[chunk.segment].begin + chunk.first;
    convert(made, 1, matrix_of(*a.s).part(first, 0, chunk.count, made.columns));
  });
  const WideFactor* up = segments.per_adapter<WideFactor>(scratch, [&](std::int64_t g) {
    const Matrix wide = up_rows(context, scratch, segments.up(g), segments.scale(g), GRAFT_DTYPE_F32);
    return WideFactor(context, scratch, wide, x.dtype);
  });
  const RankUpdate* updates = products.updates(up);
  const auto update = [&](const GemmPanels::Place& place) {
    within(segments, place.row, place.rows,
           [&](std::int64_t g, std::int64_t from, std::int64_t row, std::int64_t count) {
             updates[g].run(from, place.column, {}, 1, y.part(row, place.column, count, place.columns));
           });
  };
  const float beta = a.accumulate ? 1.0f : 0.0f;
  const float* bias = bias_of(scratch, a.bias);
  if (refuse_few_rows(*a.w, rows).empty()) {
    few_rows_forward(context, x, *a.w, y, beta, bias);
    core::parallel_for(context, chunks_of(n, kPanelColumns), [&](std::int64_t task, int) {
      const std::int64_t column = task * kPanelColumns;
      update({0, column, rows, std::min(kPanelColumns, n - column)});
    });
    return;
  }
  const GemmPanels frozen = forward_panels(context, scratch, x, *a.w, y, beta, bias);
  core::parallel_for(context, frozen.count(), [&](std::int64_t panel, int worker) {
    frozen.run(panel, worker);
    update(frozen.place(panel));
  });
}

void run(core::Context& context, const ops::LoraSegmentsBackward& a) {
  if (a.dy->shape[0] > 0) Backward(context, a).run();
}

}  // namespace graft::cpu::fast
