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
#include "cuda/kernels/lora.h"
#include "cuda/kernels/rank_update.h"
#include "cuda/kernels/skinny.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

/** scale · m in another type. */
graft_tensor converted(core::Context& context, core::Scratch& scratch, const graft_tensor& m, double scale,
                       graft_dtype dtype) {
  const std::int64_t rows = m.shape[0], columns = m.shape[1];
  const graft_tensor to = scratch_matrix(scratch, dtype, rows, columns);
  run(context, Convert{m.data, m.dtype, rows, columns, m.stride[0], to.data, dtype, rows, columns, columns, scale});
  return to;
}

std::string refuse_types(const ops::LoraForward& a) {
  const std::string refusal = refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  return refusal.empty() ? refuse_f64(*a.a, *a.b) : refusal;
}

std::string refuse_types(const ops::LoraBackward& a) {
  const std::string refusal = refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  return refusal.empty() ? refuse_f64(*a.a, *a.b) : refusal;
}

/** dS in fp32 into scratch, in dy's type into `low` unless NULL; then dA and dB. */
graft_tensor narrow_gradients(core::Context& context, core::Scratch& scratch, const Low& l, const LowGradients& g,
                              graft_tensor* low) {
  graft_tensor ds = scratch_matrix(scratch, GRAFT_DTYPE_F32, g.dy->shape[0], l.a->shape[0]);
  if (g.dx != nullptr || g.da != nullptr || g.db != nullptr)
    run(context, SkinnyBackward{g.dy, l.b, g.s, l.scale, &ds, low, g.db});
  if (g.da != nullptr) run(context, SkinnyGradient{&ds, g.x, l.dropout, 1, g.da, true});
  return ds;
}

}  // namespace

void add_low_forward(core::Context& context, const Low& l, const graft_tensor& x, const graft_tensor& y,
                     graft_tensor* kept) {
  const std::int64_t rank = l.a->shape[0];
  core::Scratch scratch(context.arena);
  graft_tensor s = scratch_matrix(scratch, x.dtype, x.shape[0], rank);
  const graft_tensor up = converted(context, scratch, *l.b, l.scale, x.dtype);
  run(context, SkinnyForward{&x, l.a, l.dropout, kept, &s});
  if (rank > 0) run(context, Gemm{factor(s), factor(up).t(), x.dtype, y.data, y.stride[0], y.dtype, 1, 1});
}

void add_low_backward(core::Context& context, const Low& l, const LowGradients& g) {
  const std::int64_t rows = g.dy->shape[0], rank = l.a->shape[0];
  const graft_dtype dtype = g.dy->dtype;
  const bool masked = l.dropout.active();
  core::Scratch scratch(context.arena);
  graft_tensor low = scratch_matrix(scratch, dtype, rows, rank);
  const graft_tensor down = converted(context, scratch, *l.a, 1, dtype);
  const graft_tensor ds = narrow_gradients(context, scratch, l, g, g.dx == nullptr || masked ? nullptr : &low);
  if (g.dx == nullptr || rank == 0) return;
  if (masked) return run(context, RankUpdate{&ds, l.a, 1, l.dropout, g.dx, g.dx});
  run(context, Gemm{factor(low), factor(down), dtype, g.dx->data, g.dx->stride[0], g.dx->dtype, 1, 1});
}

std::string refuse(const ops::LoraPack& a) {
  return a.w->storage.dtype == GRAFT_DTYPE_F64 ? refuse_f64(a.w->storage) : refuse_f64(*a.a, *a.b);
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
  return a.merged->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.merged) : refuse_f64(*a.a, *a.b);
}

void run(core::Context& context, const ops::LoraMerge& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  run(context, RankUpdate{a.b, a.a, a.scale, {}, &w, a.merged});
}

namespace bordered {

std::string refuse(const ops::LoraForward& a) {
  const std::string refusal = refuse_types(a);
  return refusal.empty() ? ops::refuse_border(a) : refusal;
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
  return refusal.empty() ? ops::refuse_border(a) : refusal;
}

void run(core::Context& context, const ops::LoraBackward& a) {
  const std::int64_t rows = a.dy->shape[0], n = a.w->n, k = a.w->k, rank = a.a->shape[0];
  core::Scratch scratch(context.arena);
  graft_tensor tail = part(*a.dy, 0, n, rows, rank);
  narrow_gradients(context, scratch, {a.a, a.b, a.scale, a.dropout}, {a.dy, a.x, a.s, a.dx, a.da, a.db},
                   a.dx == nullptr || GRAFT_BUG(lora_no_tail) ? nullptr : &tail);
  if (a.dbias != nullptr) column_sums(context, *a.dy, data<float>(a.dbias));
  if (a.dx == nullptr) return;
  const graft_tensor wide = part(*a.dy, 0, 0, rows, n + rank), w = part(a.w->storage, 0, 0, n + rank, k);
  graft::cuda::run(context, Gemm{factor(wide), factor(w), a.dy->dtype, a.dx->data, a.dx->stride[0], a.dx->dtype, 1,
                                 a.accumulate ? 1.0f : 0.0f});
}

}  // namespace bordered

namespace accumulating {

std::string refuse(const ops::LoraForward& a) { return refuse_types(a); }

void run(core::Context& context, const ops::LoraForward& a) {
  graft::cuda::run(context, ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  add_low_forward(context, {a.a, a.b, a.scale, a.dropout}, *a.x, *a.y, a.s);
}

std::string refuse(const ops::LoraBackward& a) { return refuse_types(a); }

void run(core::Context& context, const ops::LoraBackward& a) {
  if (a.dx != nullptr)
    graft::cuda::run(context, ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, nullptr});
  if (a.dbias != nullptr) column_sums(context, *a.dy, data<float>(a.dbias));
  add_low_backward(context, {a.a, a.b, a.scale, a.dropout}, {a.dy, a.x, a.s, a.dx, a.da, a.db});
}

}  // namespace accumulating

std::string refuse(const ops::LoraForward& a) { return accumulating::refuse(a); }

void run(core::Context& context, const ops::LoraForward& a) {
  bordered::refuse(a).empty() ? bordered::run(context, a) : accumulating::run(context, a);
}

std::string refuse(const ops::LoraBackward& a) { return accumulating::refuse(a); }

void run(core::Context& context, const ops::LoraBackward& a) {
  bordered::refuse(a).empty() ? bordered::run(context, a) : accumulating::run(context, a);
}

}  // namespace graft::cuda
