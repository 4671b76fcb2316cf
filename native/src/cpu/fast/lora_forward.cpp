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

// S of some rows of x: by pairs of bf16 where the processor has them; else by the library, or, where elements are
// dropped as they are loaded, by vectors.
class Projection {
 public:
  Projection(core::Context& context, core::Scratch& scratch, const Matrix& x, const Matrix& down,
             const ops::Dropout& dropout)
      : x_(x), down_(down), dropout_(dropout), pairs_(x.dtype == GRAFT_DTYPE_BF16 && has_bf16_pairs()) {
    if (dropout.active()) bits_ = scratch.take<std::uint8_t>(context.pool.threads() * bits_size());
    if (pairs_) {
      packed_ = packed_rows(scratch, down);
    } else if (dropout.active()) {
      packed_ = packed_rows(scratch, converted(context, scratch, down, 1, GRAFT_DTYPE_F32));
    } else {
      const auto panel = [&](std::int64_t count) {
        const Matrix to = row_major(nullptr, GRAFT_DTYPE_F32, count, down.rows, down.rows);
        return GemmPanel(context, scratch, x.part(0, 0, count, x.columns), down.transposed(), to, 0);
      };
      const std::int64_t last = x.rows - (chunks_of(x.rows, kSkinnyRows) - 1) * kSkinnyRows;
      inner_ = panel(std::min(x.rows, kSkinnyRows));
      end_ = last == kSkinnyRows ? inner_ : panel(last);
    }
  }

  void run(std::int64_t first, std::int64_t count, int worker, float* out) const {
    const Matrix rows = x_.part(first, 0, count, x_.columns);
    if (!pairs_ && bits_ == nullptr)
      return (count == kSkinnyRows ? inner_ : end_).run(worker, rows.data, down_.data, out);
    const Keep keep =
        bits_ == nullptr ? Keep{} : keep_part(dropout_, rows, first, 0, x_.columns, bits_ + worker * bits_size());
    row_products(rows, keep, packed_, 1, out);
  }

 private:
  std::int64_t bits_size() const { return kSkinnyRows * mask_bytes(x_.columns); }

  const Matrix x_, down_;
  const ops::Dropout dropout_;
  const bool pairs_;
  PackedRows packed_{};
  std::uint8_t* bits_ = nullptr;
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
