// S = drop(x) Aᵀ in chunks of rows, in fp32, then stored in x's type; then y over K+r columns of [x│S]·[W│sB]ᵀ, or
// panel by panel y = x Wᵀ and y += S (sB)ᵀ. FLOPs: 2·T·N·K + 2·T·r·(K+N). Extra bytes: x once.
#include <algorithm>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/dropout.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

// S into `tail`, and into the caller's s where wanted.
void project(core::Context& context, const Matrix& x, const Matrix& down, const ops::Dropout& dropout,
             const Matrix& tail, const graft_tensor* s) {
  core::Scratch scratch(context.arena);
  const std::int64_t rows = x.rows, columns = x.columns, rank = down.rows, threads = context.pool.threads();
  const std::int64_t bytes = graft_dtype_bytes(x.dtype);
  const bool drops = dropout.active();
  float* sums = scratch.take<float>(threads * kSkinnyRows * rank);
  char* masked = drops ? scratch.take<char>(threads * kSkinnyRows * columns * bytes) : nullptr;
  std::uint8_t* bits = drops ? scratch.take<std::uint8_t>(threads * mask_bytes(columns)) : nullptr;
  const auto panel = [&](std::int64_t count) {
    const Matrix from = drops ? row_major(masked, x.dtype, count, columns, columns) : x.part(0, 0, count, columns);
    return GemmPanel(context, scratch, from, down.transposed(), row_major(sums, GRAFT_DTYPE_F32, count, rank, rank), 0);
  };
  const std::int64_t chunks = chunks_of(rows, kSkinnyRows), last = rows - (chunks - 1) * kSkinnyRows;
  const GemmPanel inner = panel(std::min(rows, kSkinnyRows)), end = last == kSkinnyRows ? inner : panel(last);
  const float scale = drops ? static_cast<float>(dropout.scale()) : 1.0f;
  core::parallel_for(context, chunks, [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk * kSkinnyRows, count = std::min(kSkinnyRows, rows - first);
    const void* from = x.part(first, 0, 0, 0).data;
    if (drops) {
      std::uint8_t* row_bits = bits + worker * mask_bytes(columns);
      char* rows_kept = masked + worker * kSkinnyRows * columns * bytes;
      for (std::int64_t t = 0; t < count; ++t) {
        keep_bits(dropout, (first + t) * columns, columns, row_bits);
        masked_copy(x.dtype, x.part(first + t, 0, 0, 0).data, row_bits, columns, rows_kept + t * columns * bytes);
      }
      from = rows_kept;
    }
    float* out = sums + worker * kSkinnyRows * rank;
    (count == kSkinnyRows ? inner : end).run(worker, from, down.data, out);
    const Matrix made = row_major(out, GRAFT_DTYPE_F32, count, rank, rank);
    convert(made, scale, tail.part(first, 0, count, rank));
    if (s != nullptr) convert(made, scale, matrix_of(*s).part(first, 0, count, rank));
  });
}

}  // namespace

void lora_forward(core::Context& context, const ops::LoraForward& a, bool bordered) {
  const std::int64_t rows = a.x->shape[0], n = a.w->n, k = a.w->k, rank = a.a->shape[0];
  if (rows == 0) return;
  const graft_dtype dtype = a.x->dtype;
  core::Scratch scratch(context.arena);
  const Matrix storage = matrix_of(a.w->storage), y = matrix_of(*a.y);
  const Matrix x = matrix_of(*a.x), wide_x = row_major(a.x->data, dtype, rows, k + rank, a.x->stride[0]);
  const float beta = a.accumulate ? 1.0f : 0.0f;
  float* bias = nullptr;
  if (a.bias != nullptr) {
    bias = scratch.take<float>(n);
    convert(row_major(a.bias->data, a.bias->dtype, 1, n, n), 1, row_major(bias, GRAFT_DTYPE_F32, 1, n, n));
  }
  if (bordered) {
    project(context, x, storage.part(n, 0, rank, k), a.dropout, wide_x.part(0, k, rows, rank), a.s);
    gemm(context, wide_x, storage.part(0, 0, n, k + rank).transposed(), y, beta, bias);
    return;
  }
  const Matrix down = converted(context, scratch, *a.a, 1, dtype);
  const Matrix up = converted(context, scratch, *a.b, a.scale, dtype);
  const Matrix s = row_major(scratch.take<char>(rows * rank * graft_dtype_bytes(dtype)), dtype, rows, rank, rank);
  project(context, x, down, a.dropout, s, a.s);
  const GemmPanels frozen(context, scratch, x, storage.part(0, 0, n, k).transposed(), y, beta, bias);
  const GemmPanels low(context, scratch, s, up.transposed(), y, 1);
  core::parallel_for(context, frozen.count(), [&](std::int64_t panel, int worker) {
    frozen.run(panel, worker);
    low.run(panel, worker);
  });
}

}  // namespace graft::cpu::fast
