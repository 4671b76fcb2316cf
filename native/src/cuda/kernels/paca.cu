// paca: y = x Wᵀ + bias and dx = dy W are linear's; x_i = x[:, I] and W[:, I] are gathered, dd += scale·dyᵀ x_i is a
// skinny pass over dy, W[:, I] = original + scale·d is written in place. Beside W (the slab): y += scale·x_i dᵀ is a
// product over r, and of backward scale·dy d and dd share one read of dy; what belongs to a column of dx, whose indices
// may repeat, is added by one thread, in order.
//
// A thread has one element of a gathered matrix. An index outside of W becomes the context's fault, and its column is
// zero or nothing. Bytes: 32, a sector, for each gathered element; write 32 read and written; dy once for dd.
#include <cmath>

#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/chains.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/gather.h"
#include "cuda/kernels/indices.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/skinny.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/paca.h"

namespace graft::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    paca_write(Rows<const T> original, Thin d, float scale, std::int64_t rows, Indices columns, Rows<T> w) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t n = at / columns.count, j = at % columns.count;
  if (GRAFT_BUG(paca_write_guard) ? n > rows : n >= rows) return;
  const std::int64_t k = columns.at(j);
  if (k < 0) return;
  const T before = original[n][j];
  w[n][k] = d.data == nullptr ? before : from_float<T>(fmaf(scale, d.at(n, static_cast<int>(j)), to_float(before)));
}

/** dx[t, I[j]] += low[t, j]. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    paca_add(const float* low, std::int64_t rows, Indices columns, Chains chains, Rows<T> dx) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t t = at / columns.count, first = at % columns.count;
  if (t >= rows || (!GRAFT_BUG(paca_adds_twice) && chains.is_first[first] == 0)) return;
  const std::int64_t k = columns.at(first);
  if (k < 0) return;
  float sum = 0;
  for (std::int64_t j = first; j < columns.count; j = chains.next[j]) sum += low[t * columns.count + j];
  dx[t][k] = from_float<T>(to_float(dx[t][k]) + sum);
}

__global__ void __launch_bounds__(kThreads) paca_roots(float* values, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) values[i] = sqrtf(values[i]);
}

}  // namespace

std::string refuse(const ops::PacaForward& a) {
  return refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
}

void run(core::Context& context, const ops::PacaForward& a) {
  run(context, ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  if (a.x_i != nullptr) gather_columns(context, "graft_paca_forward", *a.indices, *a.x, *a.x_i);
}

std::string refuse(const ops::PacaBackward& a) {
  return refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
}

void run(core::Context& context, const ops::PacaBackward& a) {
  run(context, ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  if (a.dd != nullptr) run(context, SkinnyGradient{a.x_i, a.dy, {}, a.scale, a.dd, false});
}

std::string refuse(const ops::PacaSlabForward& a) {
  const std::string refusal = refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  return refusal.empty() ? refuse_f64(*a.d) : refusal;
}

void run(core::Context& context, const ops::PacaSlabForward& a) {
  run(context, ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  const std::int64_t rows = a.x->shape[0], n = a.w->n, rank = a.d->shape[1];
  if (rank == 0) return;
  core::Scratch scratch(context.arena);
  const graft_tensor x_i = a.x_i != nullptr ? *a.x_i : scratch_matrix(scratch, a.x->dtype, rows, rank);
  const graft_tensor d = scratch_matrix(scratch, a.x->dtype, n, rank);
  gather_columns(context, "graft_paca_slab_forward", *a.indices, *a.x, x_i);
  run(context, Convert{a.d->data, a.d->dtype, n, rank, a.d->stride[0], d.data, d.dtype, n, rank, rank});
  run(context, Gemm{factor(x_i), factor(d).t(), a.x->dtype, a.y->data, a.y->stride[0], a.y->dtype,
                    static_cast<float>(a.scale), 1});
}

std::string refuse(const ops::PacaSlabBackward& a) {
  const std::string refusal = refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  return refusal.empty() ? refuse_f64(*a.d) : refusal;
}

void run(core::Context& context, const ops::PacaSlabBackward& a) {
  if (a.dx == nullptr)
    return run(context, ops::PacaBackward{a.dy, a.x_i, a.w, a.scale, a.accumulate, nullptr, a.dd, a.dbias});
  run(context, ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  const std::int64_t rows = a.dy->shape[0], rank = a.d->shape[1];
  const Indices columns = indices_of(context, "graft_paca_slab_backward", *a.indices, a.w->k);
  if (rows == 0 || rank == 0) return;
  core::Scratch scratch(context.arena);
  graft_tensor low = scratch_matrix(scratch, GRAFT_DTYPE_F32, rows, rank);
  const Chains chains = find_chains(context, scratch, *a.indices);
  run(context, SkinnyBackward{a.dy, a.d, a.x_i, a.scale, &low, nullptr, a.dd});
  visit(a.dx->dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "paca_add", rows * rank), paca_add<T>, data<const float>(&low), rows, columns, chains,
           graft::cuda::rows<T>(a.dx));
  });
}

std::string refuse(const ops::PacaRead& a) { return refuse_f64(*a.columns); }

void run(core::Context& context, const ops::PacaRead& a) {
  gather_columns(context, "graft_paca_read", *a.indices, core::dense_matrix(*a.w), *a.columns);
}

std::string refuse(const ops::PacaWrite& a) {
  return a.d != nullptr ? refuse_f64(*a.d, *a.original) : refuse_f64(*a.original);
}

void run(core::Context& context, const ops::PacaWrite& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  const Indices columns = indices_of(context, "graft_paca_write", *a.indices, a.w->k);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "paca_write", a.w->n * columns.count), paca_write<T>, rows<const T>(a.original),
           thin(a.d, false), static_cast<float>(a.scale), a.w->n, columns, rows<T>(&w));
  });
}

std::string refuse(const ops::PacaColumnNorms& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::PacaColumnNorms& a) {
  const std::int64_t k = a.w->k;
  if (k == 0) return;
  auto* const norms = data<float>(a.norms);
  run(context, Convert{nullptr, GRAFT_DTYPE_F32, 0, 0, 0, norms, GRAFT_DTYPE_F32, 1, k, k});
  column_sums(context, core::dense_matrix(*a.w), norms, Terms::kSquares);
  launch(over(context, "paca_roots", k), paca_roots, norms, k);
}

}  // namespace graft::cuda
