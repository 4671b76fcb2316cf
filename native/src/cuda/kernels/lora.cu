// lora: S = drop(x) Aᵀ and y = x Wᵀ + bias + scale·S Bᵀ; with dS = scale·dy B
//   dx = dy W + drop'(dS A),   dA += dSᵀ drop(x),   dB += scale·dyᵀ S.
//
// S, dS with dB, and dA are skinny passes. "bordered": S stands behind x and sB behind W, so that y is one product of
// the library over K+r; and with dS behind dy and A below W, dx is one over N+r. "accumulating": a second product over
// r adds to the first one's result. With dropout the low part of dx is masked element by element: rank_update adds it.
// Bytes beside the products': x and dy once for each skinny pass, dx twice with dropout; y (dx) twice when
// accumulating.
#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/rank_update.h"
#include "cuda/kernels/skinny.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

graft_tensor scratch_matrix(core::Scratch& scratch, graft_dtype dtype, std::int64_t rows, std::int64_t columns) {
  void* memory = scratch.take<char>(rows * columns * graft_dtype_bytes(dtype));
  return {memory, dtype, GRAFT_DEVICE_CUDA, 2, 0, {rows, columns}, {columns, 1}};
}

/** scale · m in another type. */
graft_tensor converted(core::Context& context, core::Scratch& scratch, const graft_tensor& m, double scale,
                       graft_dtype dtype) {
  const std::int64_t rows = m.shape[0], columns = m.shape[1];
  const graft_tensor to = scratch_matrix(scratch, dtype, rows, columns);
  run(context, Convert{m.data, m.dtype, rows, columns, m.stride[0], to.data, dtype, rows, columns, columns, scale});
  return to;
}

std::string refuse_border(const graft_weight& w, std::int64_t rank, const char* name, const graft_tensor& activation) {
  if (rank == 0) return "the rank is 0";
  if (w.border < rank) return "the weight's border is " + std::to_string(w.border) + ", below the rank";
  const std::int64_t needed = activation.shape[1] + w.border;
  if (activation.shape[0] > 0 && activation.stride[0] < needed)
    return std::string(name) + " has a pitch of " + std::to_string(activation.stride[0]) + ", below " +
           std::to_string(needed);
  return {};
}

std::string refuse_factors(const graft_tensor& a, const graft_tensor& b) {
  return a.dtype == GRAFT_DTYPE_F64 ? refuse_f64(a) : refuse_f64(b);
}

std::string refuse_types(const ops::LoraForward& a) {
  const std::string refusal = refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  return refusal.empty() ? refuse_factors(*a.a, *a.b) : refusal;
}

std::string refuse_types(const ops::LoraBackward& a) {
  const std::string refusal = refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  return refusal.empty() ? refuse_factors(*a.a, *a.b) : refusal;
}

/** All of backward but dx: dS in fp32 into scratch, in dy's type into `low` unless NULL; then dA, dB and dbias. */
graft_tensor narrow_gradients(core::Context& context, core::Scratch& scratch, const ops::LoraBackward& a,
                              graft_tensor* low) {
  graft_tensor ds = scratch_matrix(scratch, GRAFT_DTYPE_F32, a.dy->shape[0], a.a->shape[0]);
  if (a.dx != nullptr || a.da != nullptr || a.db != nullptr)
    run(context, SkinnyBackward{a.dy, a.b, a.s, a.scale, &ds, low, a.db});
  if (a.da != nullptr) run(context, SkinnyGradient{&ds, a.x, a.dropout, a.da});
  if (a.dbias != nullptr) column_sums(context, *a.dy, data<float>(a.dbias));
  return ds;
}

}  // namespace

std::string refuse(const ops::LoraPack& a) {
  return a.w->storage.dtype == GRAFT_DTYPE_F64 ? refuse_f64(a.w->storage) : refuse_factors(*a.a, *a.b);
}

void run(core::Context& context, const ops::LoraPack& a) {
  const std::int64_t n = a.w->n, k = a.w->k, border = a.w->border, rank = a.a->shape[0];
  const graft_tensor right = part(a.w->storage, 0, k, n, border), below = part(a.w->storage, n, 0, border, k + border);
  run(context, Convert{a.b->data, a.b->dtype, n, rank, a.b->stride[0], right.data, right.dtype, n, border,
                       right.stride[0], a.scale});
  run(context, Convert{a.a->data, a.a->dtype, rank, k, a.a->stride[0], below.data, below.dtype, border, k + border,
                       below.stride[0]});
}

std::string refuse(const ops::LoraMerge& a) {
  return a.merged->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.merged) : refuse_factors(*a.a, *a.b);
}

void run(core::Context& context, const ops::LoraMerge& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  run(context, RankUpdate{a.b, a.a, a.scale, {}, &w, a.merged});
}

namespace bordered {

std::string refuse(const ops::LoraForward& a) {
  const std::string refusal = refuse_types(a);
  return refusal.empty() ? refuse_border(*a.w, a.a->shape[0], "x", *a.x) : refusal;
}

void run(core::Context& context, const ops::LoraForward& a) {
  const std::int64_t rows = a.x->shape[0], n = a.w->n, k = a.w->k, rank = a.a->shape[0];
  const graft_tensor down = part(a.w->storage, n, 0, rank, k);
  graft_tensor tail = part(*a.x, 0, k, rows, rank);
  graft::cuda::run(context, SkinnyForward{a.x, &down, a.dropout, a.s, &tail});
  core::Scratch scratch(context.arena);
  const graft_tensor wide = part(*a.x, 0, 0, rows, k + rank), w = part(a.w->storage, 0, 0, n, k + rank);
  graft::cuda::run(context, Gemm{factor(wide), factor(w).t(), a.x->dtype, a.y->data, a.y->stride[0], a.y->dtype, 1,
                                 a.accumulate ? 1.0f : 0.0f, vector_as(context, scratch, a.bias, a.y->dtype)});
}

std::string refuse(const ops::LoraBackward& a) {
  if (a.dropout.active()) return "with dropout the low part of dx is masked";
  const std::string refusal = refuse_types(a);
  return refusal.empty() ? refuse_border(*a.w, a.a->shape[0], "dy", *a.dy) : refusal;
}

void run(core::Context& context, const ops::LoraBackward& a) {
  const std::int64_t rows = a.dy->shape[0], n = a.w->n, k = a.w->k, rank = a.a->shape[0];
  core::Scratch scratch(context.arena);
  graft_tensor tail = part(*a.dy, 0, n, rows, rank);
  narrow_gradients(context, scratch, a, a.dx == nullptr || GRAFT_BUG(lora_no_tail) ? nullptr : &tail);
  if (a.dx == nullptr) return;
  const graft_tensor wide = part(*a.dy, 0, 0, rows, n + rank), w = part(a.w->storage, 0, 0, n + rank, k);
  graft::cuda::run(context, Gemm{factor(wide), factor(w), a.dy->dtype, a.dx->data, a.dx->stride[0], a.dx->dtype, 1,
                                 a.accumulate ? 1.0f : 0.0f});
}

}  // namespace bordered

namespace accumulating {

std::string refuse(const ops::LoraForward& a) { return refuse_types(a); }

void run(core::Context& context, const ops::LoraForward& a) {
  const std::int64_t rows = a.x->shape[0], rank = a.a->shape[0];
  graft::cuda::run(context, ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  core::Scratch scratch(context.arena);
  graft_tensor s = scratch_matrix(scratch, a.x->dtype, rows, rank);
  const graft_tensor up = converted(context, scratch, *a.b, a.scale, a.x->dtype);
  graft::cuda::run(context, SkinnyForward{a.x, a.a, a.dropout, a.s, &s});
  if (rank > 0)
    graft::cuda::run(context, Gemm{factor(s), factor(up).t(), a.x->dtype, a.y->data, a.y->stride[0], a.y->dtype, 1, 1});
}

std::string refuse(const ops::LoraBackward& a) { return refuse_types(a); }

void run(core::Context& context, const ops::LoraBackward& a) {
  const std::int64_t rows = a.dy->shape[0], rank = a.a->shape[0];
  const bool masked = a.dropout.active();
  if (a.dx != nullptr)
    graft::cuda::run(context, ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, nullptr});
  core::Scratch scratch(context.arena);
  graft_tensor low = scratch_matrix(scratch, a.dy->dtype, rows, rank);
  const graft_tensor down = converted(context, scratch, *a.a, 1, a.dy->dtype);
  const graft_tensor ds = narrow_gradients(context, scratch, a, a.dx == nullptr || masked ? nullptr : &low);
  if (a.dx == nullptr || rank == 0) return;
  if (masked) return graft::cuda::run(context, RankUpdate{&ds, a.a, 1, a.dropout, a.dx, a.dx});
  graft::cuda::run(context,
                   Gemm{factor(low), factor(down), a.dy->dtype, a.dx->data, a.dx->stride[0], a.dx->dtype, 1, 1});
}

}  // namespace accumulating
}  // namespace graft::cuda
