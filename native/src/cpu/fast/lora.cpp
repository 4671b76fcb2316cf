#include "cpu/fast/lora.h"

#include <algorithm>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/amx.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

namespace graft::cpu {
namespace fast {
namespace {

constexpr std::int64_t kConvertedRows = 256;
// why: in tiles, products over a sum as long as this are faster when it ends with a whole tile, over shorter ones when
// it does not: layer_benchmark with --shape bf16,1024,512,1408,16 and bf16,512,2048,2048,16.
constexpr std::int64_t kLongSum = 2048;

std::int64_t whole_tiles(std::int64_t columns) { return (columns + kTileColumns - 1) / kTileColumns * kTileColumns; }

bool multiplies_in_tiles(graft_dtype dtype) { return has_bf16_tiles() && graft_dtype_bytes(dtype) == 2; }

}  // namespace

std::string refuse_types(const graft_tensor& x, const graft_tensor& a, const graft_tensor& b,
                         const graft_tensor* bias) {
  for (const graft_tensor* t : {&x, &a, &b, bias})
    if (t != nullptr && t->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  const std::string refusal = gemm_refuse(x.dtype, x.dtype);
  return refusal.empty() ? gemm_refuse(x.dtype, GRAFT_DTYPE_F32) : refusal;
}

Matrix converted(core::Context& context, core::Scratch& scratch, const Matrix& from, double scale, graft_dtype dtype) {
  const std::int64_t rows = from.rows, columns = from.columns;
  const Matrix to =
      row_major(scratch.take<char>(rows * columns * graft_dtype_bytes(dtype)), dtype, rows, columns, columns);
  core::parallel_for(context, chunks_of(rows, kConvertedRows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kConvertedRows, count = std::min(kConvertedRows, rows - first);
    convert(from.part(first, 0, count, columns), static_cast<float>(scale), to.part(first, 0, count, columns));
  });
  return to;
}

Matrix up_rows(core::Context& context, core::Scratch& scratch, const graft_tensor& b, double scale, graft_dtype dtype) {
  const std::int64_t n = b.shape[0], rank = b.shape[1];
  const Matrix to = row_major(scratch.take<char>(rank * n * graft_dtype_bytes(dtype)), dtype, rank, n, n);
  const Matrix from = converted(context, scratch, b, scale, GRAFT_DTYPE_F32);
  const float* values = static_cast<const float*>(from.data);
  visit_small_float(dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(n, kConvertedRows), [&](std::int64_t chunk, int) {
      const std::int64_t first = chunk * kConvertedRows, last = std::min(n, first + kConvertedRows);
      for (std::int64_t j = 0; j < rank; ++j)
        for (std::int64_t i = first; i < last; ++i) static_cast<T*>(to.data)[j * n + i] = T(values[i * rank + j]);
    });
  });
  return to;
}

PackedRows packed_up_rows(core::Context& context, core::Scratch& scratch, const graft_tensor& b, double scale,
                          graft_dtype dtype) {
  if (dtype != GRAFT_DTYPE_BF16) return packed_rows(scratch, up_rows(context, scratch, b, scale, dtype));
  const std::int64_t n = b.shape[0], rank = b.shape[1];
  const Matrix from = matrix_of(b);
  const Matrix down = row_major(scratch.take<core::bf16>(n * rank), dtype, n, rank, rank);
  auto* tiles = scratch.take<std::uint32_t>(tile_words(rank, n));
  core::parallel_for(context, chunks_of(n, kConvertedRows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kConvertedRows, rows = std::min(kConvertedRows, n - first);
    const Matrix part = down.part(first, 0, rows, rank);
    convert(from.part(first, 0, rows, rank), static_cast<float>(scale), part);
    pack_tiles_transposed(part, tiles + tile_words(rank, first));
  });
  return {row_major(nullptr, dtype, rank, n, n), tiles};
}

void convert_and_fill(const Matrix& from, float scale, const Matrix& to) {
  convert(from, scale, to.part(0, 0, from.rows, from.columns));
  const std::int64_t bytes = graft_dtype_bytes(to.dtype), rest = to.columns - from.columns;
  for (std::int64_t t = 0; rest > 0 && t < from.rows; ++t)
    std::fill_n(static_cast<char*>(to.part(t, from.columns, 1, rest).data), rest * bytes, char{0});
}

Bordered with_border(const graft_tensor& x, const graft_weight& w, std::int64_t rank) {
  const std::int64_t rows = x.shape[0], columns = x.shape[1], whole = whole_tiles(columns + rank) - columns;
  const bool zeros = multiplies_in_tiles(x.dtype) && whole <= w.border;
  Matrix wide = row_major(x.data, x.dtype, rows, columns + (zeros && columns >= kLongSum ? whole : rank), x.stride[0]);
  wide.ends_in_zeros = zeros;
  const std::int64_t filled = zeros ? whole : rank;
  return {wide, row_major(x.data, x.dtype, rows, columns + filled, x.stride[0]).part(0, columns, rows, filled)};
}

Bordered alone(core::Scratch& scratch, std::int64_t rows, std::int64_t rank, graft_dtype dtype) {
  const std::int64_t pitch = multiplies_in_tiles(dtype) ? whole_tiles(rank) : rank;
  const Matrix tail = row_major(scratch.take<char>(rows * pitch * graft_dtype_bytes(dtype)), dtype, rows, pitch, pitch);
  Matrix s = tail.part(0, 0, rows, rank);
  s.ends_in_zeros = true;
  return {s, tail};
}

std::string refuse(const ops::LoraPack& a) { return refuse_types(a.w->storage, *a.a, *a.b, nullptr); }

void run(core::Context& context, const ops::LoraPack& a) {
  const std::int64_t n = a.w->n, k = a.w->k, border = a.w->border, rank = a.a->shape[0];
  const Matrix storage = matrix_of(a.w->storage), down = matrix_of(*a.a), up = matrix_of(*a.b);
  const auto zero = [&](const Matrix& m) {
    const std::int64_t bytes = graft_dtype_bytes(m.dtype);
    for (std::int64_t i = 0; i < m.rows; ++i)
      std::fill_n(static_cast<char*>(m.data) + i * m.row_stride * bytes, m.columns * bytes, char{0});
  };
  const std::int64_t chunks = chunks_of(n, kConvertedRows);
  core::parallel_for(context, chunks + 1, [&](std::int64_t chunk, int) {
    if (chunk < chunks) {
      const std::int64_t first = chunk * kConvertedRows, rows = std::min(kConvertedRows, n - first);
      // why: each row's border is a line of its own, too far from the last one for the processor to fetch ahead.
      for (std::int64_t i = first; i < first + rows; ++i) __builtin_prefetch(storage.part(i, k, 1, 1).data, 1);
      convert(up.part(first, 0, rows, rank), static_cast<float>(a.scale), storage.part(first, k, rows, rank));
      zero(storage.part(first, k + rank, rows, border - rank));
    } else {
      convert(down, 1, storage.part(n, 0, rank, k));
      zero(storage.part(n, k, rank, border));
      zero(storage.part(n + rank, 0, border - rank, k + border));
    }
  });
}

std::string refuse(const ops::LoraMerge& a) {
  for (const graft_tensor* t : {static_cast<const graft_tensor*>(a.merged), a.a, a.b})
    if (t->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  return {};
}

void run(core::Context& context, const ops::LoraMerge& a) {
  core::Scratch scratch(context.arena);
  const Matrix down = converted(context, scratch, *a.a, 1, GRAFT_DTYPE_F32);
  const Matrix up = converted(context, scratch, *a.b, 1, GRAFT_DTYPE_F32);
  const Matrix w = matrix_of(core::dense_matrix(*a.w)), merged = matrix_of(*a.merged);
  core::parallel_for(context, chunks_of(w.rows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRowsPerChunk, rows = std::min(kRowsPerChunk, w.rows - first);
    rank_update(static_cast<const float*>(up.part(first, 0, 0, 0).data), up.columns,
                static_cast<const float*>(down.data), down.columns, {}, static_cast<float>(a.scale),
                w.part(first, 0, rows, w.columns), merged.part(first, 0, rows, w.columns));
  });
}

}  // namespace fast

namespace bordered {

std::string refuse(const ops::LoraForward& a) {
  const std::string types = fast::refuse_types(*a.x, *a.a, *a.b, a.bias);
  return types.empty() ? ops::refuse_border(a) : types;
}
std::string refuse(const ops::LoraBackward& a) {
  const std::string types = fast::refuse_types(*a.dy, *a.a, *a.b, nullptr);
  return types.empty() ? ops::refuse_border(a) : types;
}
void run(core::Context& context, const ops::LoraForward& a) { fast::lora_forward(context, a, true); }
void run(core::Context& context, const ops::LoraBackward& a) { fast::lora_backward(context, a, true); }

}  // namespace bordered

namespace accumulating {

std::string refuse(const ops::LoraForward& a) { return fast::refuse_types(*a.x, *a.a, *a.b, a.bias); }
std::string refuse(const ops::LoraBackward& a) { return fast::refuse_types(*a.dy, *a.a, *a.b, nullptr); }
void run(core::Context& context, const ops::LoraForward& a) { fast::lora_forward(context, a, false); }
void run(core::Context& context, const ops::LoraBackward& a) { fast::lora_backward(context, a, false); }

}  // namespace accumulating
}  // namespace graft::cpu
