// S = drop(x) Aᵀ in chunks of rows, in fp32, then stored in x's type; then y over K+r columns of [x│S]·[W│sB]ᵀ, or
// panel by panel y = x Wᵀ and y += S (sB)ᵀ. FLOPs: 2·T·N·K + 2·T·r·(K+N). Extra bytes: x once.
#include <algorithm>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/dropout.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

// S of some rows of x: by pairs of bf16 where the processor has them, which can drop elements as they are loaded, else
// by the library, which needs a masked copy.
class Projection {
 public:
  Projection(core::Context& context, core::Scratch& scratch, const Matrix& x, const Matrix& down,
             const ops::Dropout& dropout)
      : x_(x), down_(down), dropout_(dropout), pairs_(x.dtype == GRAFT_DTYPE_BF16 && has_bf16_pairs()) {
    const std::int64_t threads = context.pool.threads(), rows = x.rows, columns = x.columns;
    if (dropout.active()) bits_ = scratch.take<std::uint8_t>(threads * bits_size());
    if (pairs_) packed_ = packed_rows(scratch, down);
    if (pairs_) return;
    if (dropout.active()) kept_ = scratch.take<char>(threads * kept_size());
    const auto panel = [&](std::int64_t count) {
      const Matrix from =
          kept_ == nullptr ? x.part(0, 0, count, columns) : row_major(kept_, x.dtype, count, columns, columns);
      const Matrix to = row_major(nullptr, GRAFT_DTYPE_F32, count, down.rows, down.rows);
      return GemmPanel(context, scratch, from, down.transposed(), to, 0);
    };
    const std::int64_t last = rows - (chunks_of(rows, kSkinnyRows) - 1) * kSkinnyRows;
    inner_ = panel(std::min(rows, kSkinnyRows));
    end_ = last == kSkinnyRows ? inner_ : panel(last);
  }

  void run(std::int64_t first, std::int64_t count, int worker, float* out) const {
    const Matrix rows = x_.part(first, 0, count, x_.columns);
    const std::int64_t bytes = graft_dtype_bytes(x_.dtype), pitch = mask_bytes(x_.columns);
    std::uint8_t* bits = bits_ == nullptr ? nullptr : bits_ + worker * bits_size();
    for (std::int64_t t = 0; bits != nullptr && t < count; ++t)
      keep_bits(dropout_, (first + t) * x_.columns, x_.columns, bits + t * pitch);
    if (pairs_) return row_products_bf16(rows, {bits, pitch}, packed_, 1, out);
    const void* from = rows.data;
    if (bits != nullptr) {
      char* kept = kept_ + worker * kept_size();
      for (std::int64_t t = 0; t < count; ++t)
        masked_copy(x_.dtype, rows.part(t, 0, 0, 0).data, bits + t * pitch, x_.columns, kept + t * x_.columns * bytes);
      from = kept;
    }
    (count == kSkinnyRows ? inner_ : end_).run(worker, from, down_.data, out);
  }

 private:
  std::int64_t bits_size() const { return kSkinnyRows * mask_bytes(x_.columns); }
  std::int64_t kept_size() const { return kSkinnyRows * x_.columns * graft_dtype_bytes(x_.dtype); }

  const Matrix x_, down_;
  const ops::Dropout dropout_;
  const bool pairs_;
  PackedRows packed_{};
  std::uint8_t* bits_ = nullptr;
  char* kept_ = nullptr;
  GemmPanel inner_, end_;
};

}  // namespace

void project(core::Context& context, const Matrix& x, const Matrix& down, const ops::Dropout& dropout,
             const Matrix& tail, const graft_tensor* s) {
  core::Scratch scratch(context.arena);
  const std::int64_t rows = x.rows, rank = down.rows;
  const Projection projection(context, scratch, x, down, dropout);
  float* sums = scratch.take<float>(context.pool.threads() * kSkinnyRows * rank);
  const float scale = dropout.active() ? static_cast<float>(dropout.scale()) : 1.0f;
  core::parallel_for(context, chunks_of(rows, kSkinnyRows), [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk * kSkinnyRows, count = std::min(kSkinnyRows, rows - first);
    float* out = sums + worker * kSkinnyRows * rank;
    projection.run(first, count, worker, out);
    const Matrix made = row_major(out, GRAFT_DTYPE_F32, count, rank, rank);
    convert_and_fill(made, scale, tail.part(first, 0, count, tail.columns));
    if (s != nullptr) convert(made, scale, matrix_of(*s).part(first, 0, count, rank));
  });
}

void lora_forward(core::Context& context, const ops::LoraForward& a, bool bordered, const Scaling* epilogue) {
  const std::int64_t rows = a.x->shape[0], n = a.w->n, k = a.w->k, rank = a.a->shape[0];
  if (rows == 0) return;
  const graft_dtype dtype = a.x->dtype;
  core::Scratch scratch(context.arena);
  const Matrix y = matrix_of(*a.y);
  const Matrix x = matrix_of(*a.x);
  const float beta = a.accumulate ? 1.0f : 0.0f;
  const float* bias = bias_of(scratch, a.bias);
  const auto run = [&](const GemmPanels& first, const GemmPanels* second) {
    core::parallel_for(context, first.count(), [&](std::int64_t panel, int worker) {
      first.run(panel, worker);
      if (second != nullptr) second->run(panel, worker);
      if (epilogue == nullptr) return;
      const GemmPanels::Place place = first.place(panel);
      scale(epilogue->part(place.row, place.column, place.rows, place.columns, nullptr));
    });
  };
  if (bordered) {
    const Matrix storage = matrix_of(a.w->storage);
    const auto [wide, tail] = with_border(*a.x, *a.w, rank);
    project(context, x, storage.part(n, 0, rank, k), a.dropout, tail, a.s);
    run(GemmPanels(context, scratch, wide, storage.part(0, 0, n, wide.columns).transposed(), y, beta, bias), nullptr);
    return;
  }
  const Matrix down = converted(context, scratch, *a.a, 1, dtype);
  const Matrix up = converted(context, scratch, *a.b, a.scale, dtype);
  const auto [s, tail] = alone(scratch, rows, rank, dtype);
  project(context, x, down, a.dropout, tail, a.s);
  if (epilogue == nullptr && refuse_few_rows(*a.w, rows).empty()) {
    few_rows_forward(context, x, *a.w, y, beta, bias);
    gemm(context, s, up.transposed(), y, 1);
    return;
  }
  const GemmPanels frozen = forward_panels(context, scratch, x, *a.w, y, beta, bias);
  const GemmPanels low(context, scratch, s, up.transposed(), y, 1, nullptr, &frozen);
  run(frozen, &low);
}

}  // namespace graft::cpu::fast
