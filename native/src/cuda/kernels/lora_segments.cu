// lora_segments: y = x Wᵀ + bias and dx = dy W of all rows are linear's; then each segment's rows get the low-rank part
// of their adapter, with the counter of dropout at the segment's first row. S, dA and dB have lora's bits; y and dx may
// differ in their last ones, for a library multiplies all rows at once. Each 64 segments go together, their table in
// the kernels' argument: the skinny passes and rank_update run over tiles of all of them, and the kernels here add the
// parts of sums up. A thread has one place of a segment's rows, or of an adapter's columns: two segments of one adapter
// add to its gradients one after the other, the later one's thread does nothing. Bytes and FLOPs: of lora, with each
// row's own rank. Scratch: S or dS, parts of sums, and a factor of all adapters in x's type: R·N forward, R·K backward.
#include "core/tensor_check.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/dropout.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/rank_update.h"
#include "cuda/kernels/segment_table.h"
#include "cuda/kernels/skinny.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/lora_segments.h"

namespace graft::cuda {
namespace {

/** The places of the rank that a pass has: those of a segment from `first` on, `most` at the most. */
struct Slice {
  int first, most;
  GRAFT_DEVICE int of(const Segment& s) const { return s.rank - first < most ? s.rank - first : most; }
};

/** Whether no segment before this one has its adapter. */
GRAFT_DEVICE bool is_first(const SegmentTable& table, int g) {
  for (int earlier = 0; earlier < g; ++earlier)
    if (table.of[earlier].first == table.of[g].first) return GRAFT_BUG(lora_segments_twice);
  return true;
}

/** parts [groups, size], added in order. */
GRAFT_DEVICE float sum_of(const float* parts, std::int64_t groups, std::int64_t size, std::int64_t at) {
  float sum = 0;
  for (std::int64_t group = 0; group < groups; ++group) sum += parts[group * size + at];
  return sum;
}

/** Row sums of all segments, times factor or each one's scale, into to and copy [T, r]; each may be NULL. */
template <class Out, class Copy>
__global__ void __launch_bounds__(kThreads)
    segments_rows(SegmentTable table, Slice slice, const float* parts, std::int64_t groups, bool scaled, float factor,
                  Rows<Out> to, Rows<Copy> copy) {
  const Segment& s = table.of[blockIdx.y];
  const int rank = slice.of(s);
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, size = std::int64_t{s.rows} * rank;
  if (rank <= 0 || at >= size) return;
  const float sum = sum_of(parts + groups * s.begin * slice.most, groups, size, at) * (scaled ? s.scale : factor);
  const std::int64_t row = s.begin + at / rank, j = slice.first + at % rank;
  if (to.data != nullptr) to[row][j] = from_float<Out>(sum);
  if (copy.data != nullptr) copy[row][j] = from_float<Copy>(sum);
}

/** Column sums of all segments, times factor or each one's scale, added to `to`: element (c, j) of all places at
 * c·stride_c + j·stride_j. */
__global__ void __launch_bounds__(kThreads)
    segments_columns(SegmentTable table, Slice slice, const float* parts, std::int64_t columns, bool scaled,
                     float factor, float* to, std::int64_t stride_c, std::int64_t stride_j) {
  const int g = static_cast<int>(blockIdx.y), rank = slice.of(table.of[g]);
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, size = columns * rank;
  if (rank <= 0 || at >= size || !is_first(table, g)) return;
  float* const place = to + at / rank * stride_c + (table.of[g].first + slice.first + at % rank) * stride_j;
  float value = *place;
  for (int h = g; h < table.count; ++h) {
    if (table.of[h].first != table.of[g].first) continue;
    const int counted = GRAFT_BUG(lora_segments_part) ? g : h;
    const int before = table.groups[counted], groups = table.groups[h + 1] - table.groups[h];
    const float sum = sum_of(parts + before * columns * slice.most, groups, size, at);
    value += sum * (scaled ? table.of[h].scale : factor);
  }
  *place = value;
}

/** to [R, N] without gaps = scale · bᵀ of the adapters in use. */
template <class T>
__global__ void __launch_bounds__(kThreads) segments_scale(SegmentTable table, Thin b, T* to) {
  const Segment& s = table.of[blockIdx.y];
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, n = at % b.size, j = s.first + at / b.size;
  if (j >= s.first + s.rank || !is_first(table, static_cast<int>(blockIdx.y))) return;
  const float scale = GRAFT_BUG(lora_segments_scale) ? 1 : s.scale;
  to[j * b.size + n] = from_float<T>(scale * b.at(n, static_cast<int>(j)));
}

dim3 grid(std::int64_t threads, const SegmentTable& table) {
  return dim3(blocks_for(threads), static_cast<unsigned>(table.count));
}

/** Calls body(table) for up to 64 segments at a time that have a low-rank part. */
template <class Body>
void for_tables(const ops::Adapters& adapters, Body&& body) {
  SegmentTable table;
  for (std::int64_t g = 0; g < adapters.segment_count(); ++g) {
    const std::int64_t e = adapters.adapter(g), begin = adapters.begin(g), rows = adapters.end(g) - begin;
    if (e < 0 || rows == 0 || adapters.rank(e) == 0) continue;
    table.add({static_cast<std::int32_t>(begin), static_cast<std::int32_t>(rows),
               static_cast<std::int32_t>(adapters.first(e)), static_cast<std::int32_t>(adapters.rank(e)),
               static_cast<float>(adapters.scale(e))});
    if (!table.full()) continue;
    body(table);
    table = {};
  }
  if (table.count > 0) body(table);
}

template <class Body>
void for_slices(const SegmentTable& table, Body&& body) {
  for (int first = 0; first < table.largest_rank; first += kSkinnySlice) {
    const int left = table.largest_rank - first;
    body(Slice{first, left < kSkinnySlice ? left : kSkinnySlice});
  }
}

/** Sums along the rows of m with the segments' places of right, into to and copy [T, r]; where left is, also down the
 * columns with those of left, added to `sums` by its strides. */
struct Passes {
  const graft_tensor* m;
  ops::Dropout dropout;
  const graft_tensor* right;
  bool transposed;
  const graft_tensor* left;
  bool scaled;
  graft_tensor *to, *copy, *sums;
  bool sums_transposed;
};

template <class Out>
void run(core::Context& context, const SegmentTable& table, const Passes& p) {
  const std::int64_t rows = p.m->shape[0], columns = p.m->shape[1];
  const std::int64_t groups = row_part_groups(*p.m, p.sums != nullptr);
  const auto factor = static_cast<float>(mask_factor(p.dropout));
  for_slices(table, [&](const Slice& slice) {
    core::Scratch scratch(context.arena);
    float* const row_parts = p.right == nullptr ? nullptr : scratch.take<float>(groups * rows * slice.most);
    float* const column_parts =
        p.sums == nullptr ? nullptr : scratch.take<float>(table.groups[table.count] * columns * slice.most);
    run(context, SkinnyParts{p.m, p.dropout, p.right, p.transposed, p.left, &table, slice.first, slice.most, row_parts,
                             column_parts});
    if (row_parts != nullptr)
      visit(p.m->dtype, [&](auto type) {
        using T = decltype(type);
        launch({"segments_rows", grid(std::int64_t{table.most_rows} * slice.most, table), kThreads, 0, stream(context)},
               segments_rows<Out, T>, table, slice, row_parts, groups, p.scaled, factor, graft::cuda::rows<Out>(p.to),
               graft::cuda::rows<T>(p.copy));
      });
    if (column_parts != nullptr)
      launch({"segments_columns", grid(columns * slice.most, table), kThreads, 0, stream(context)}, segments_columns,
             table, slice, column_parts, columns, p.scaled, factor, data<float>(p.sums),
             p.sums_transposed ? 1 : p.sums->stride[0], p.sums_transposed ? p.sums->stride[0] : 1);
  });
}

std::string refuse_adapters(const ops::Adapters& adapters) { return refuse_f64(*adapters.a, *adapters.b); }

}  // namespace

std::string refuse(const ops::LoraSegmentsForward& a) {
  const std::string refusal = refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  return refusal.empty() ? refuse_adapters(a.adapters) : refusal;
}

void run(core::Context& context, const ops::LoraSegmentsForward& a) {
  run(context, ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  const graft_tensor& b = *a.adapters.b;
  for_tables(a.adapters, [&](const SegmentTable& table) {
    core::Scratch scratch(context.arena);
    graft_tensor s = scratch_matrix(scratch, a.x->dtype, a.x->shape[0], table.largest_rank);
    const graft_tensor up = scratch_matrix(scratch, a.x->dtype, b.shape[1], b.shape[0]);
    visit(a.x->dtype, [&](auto type) {
      using T = decltype(type);
      launch({"segments_scale", grid(b.shape[0] * table.largest_rank, table), kThreads, 0, stream(context)},
             segments_scale<T>, table, thin(&b, false), data<T>(&up));
      run<T>(context, table, {a.x, a.dropout, a.adapters.a, true, nullptr, false, &s, a.s, nullptr, false});
    });
    run(context, RankUpdate{&s, &up, 1, {}, a.y, a.y, &table});
  });
}

std::string refuse(const ops::LoraSegmentsBackward& a) {
  const std::string refusal = refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  return refusal.empty() ? refuse_adapters(a.adapters) : refusal;
}

void run(core::Context& context, const ops::LoraSegmentsBackward& a) {
  run(context, ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  if (a.dx == nullptr && a.da == nullptr && a.db == nullptr) return;
  const graft_tensor& down = *a.adapters.a;
  const std::int64_t rows = a.dy->shape[0], ranks = down.shape[0], columns = down.shape[1];
  const bool masked = a.dropout.active(), product = a.dx != nullptr && !masked;
  for_tables(a.adapters, [&](const SegmentTable& table) {
    core::Scratch scratch(context.arena);
    graft_tensor ds = scratch_matrix(scratch, GRAFT_DTYPE_F32, rows, table.largest_rank);
    graft_tensor low = scratch_matrix(scratch, a.dy->dtype, rows, table.largest_rank);
    run<float>(context, table,
               {a.dy,
                {},
                a.adapters.b,
                false,
                a.db == nullptr ? nullptr : a.s,
                true,
                &ds,
                product ? &low : nullptr,
                a.db,
                false});
    if (a.da != nullptr)
      run<float>(context, table, {a.x, a.dropout, nullptr, false, &ds, false, nullptr, nullptr, a.da, true});
    if (a.dx == nullptr) return;
    if (masked) return run(context, RankUpdate{&ds, &down, 1, a.dropout, a.dx, a.dx, &table});
    const graft_tensor factors = scratch_matrix(scratch, a.dy->dtype, ranks, columns);
    run(context, Convert{down.data, down.dtype, ranks, columns, down.stride[0], factors.data, factors.dtype, ranks,
                         columns, columns});
    run(context, RankUpdate{&low, &factors, 1, {}, a.dx, a.dx, &table});
  });
}

}  // namespace graft::cuda
