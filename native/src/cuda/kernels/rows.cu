// rows: rows = W[I, :]; W[I, :] = original + d, in place; dd += dy[:, I]ᵀ x, a product of the columns of dy that are
// gathered first, by the library where there are more than a skinny pass holds. Read and write: a block has one row, a
// thread every 256th element; an index outside of W becomes the context's fault, and its row is zero or nothing. Bytes:
// 2·r·K·size for read, r·K·(2·size + 4) for write; x and, by sectors, 32·T·r of dy for dd.
#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/gather.h"
#include "cuda/kernels/indices.h"
#include "cuda/kernels/skinny.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/rows.h"

namespace graft::cuda {
namespace {

constexpr std::int64_t kSkinny = 64;

template <class T>
__global__ void __launch_bounds__(kThreads)
    rows_read(Rows<const T> w, Indices indices, std::int64_t columns, Rows<T> to) {
  const std::int64_t j = blockIdx.x, n = indices.at(j);
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads) to[j][k] = n < 0 ? from_float<T>(0) : w[n][k];
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    rows_write(Rows<const T> original, Thin d, Indices indices, std::int64_t columns, Rows<T> w) {
  const std::int64_t j = blockIdx.x, n = indices.at(j);
  if (!GRAFT_BUG(rows_guard) && n < 0) return;
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads) {
    const T before = original[j][k];
    w[n][k] = d.data == nullptr ? before : from_float<T>(to_float(before) + d.at(j, static_cast<int>(k)));
  }
}

}  // namespace

std::string refuse(const ops::RowsGradient& a) { return refuse_gemm(a.dy->dtype, GRAFT_DTYPE_F32); }

void run(core::Context& context, const ops::RowsGradient& a) {
  const std::int64_t rows = a.dy->shape[0], count = a.indices->shape[0];
  if (rows == 0 || count == 0) return;
  core::Scratch scratch(context.arena);
  const graft_tensor chosen = scratch_matrix(scratch, a.dy->dtype, rows, count);
  gather_columns(context, "graft_rows_gradient", *a.indices, *a.dy, chosen);
  if (count <= kSkinny) return run(context, SkinnyGradient{&chosen, a.x, {}, 1, a.dd, true});
  run(context, Gemm{factor(chosen).t(), factor(*a.x), a.dy->dtype, a.dd->data, a.dd->stride[0], GRAFT_DTYPE_F32, 1, 1});
}

std::string refuse(const ops::RowsRead& a) { return refuse_f64(*a.rows); }

void run(core::Context& context, const ops::RowsRead& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  const Indices indices = indices_of(context, "graft_rows_read", *a.indices, a.w->n);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"rows_read", static_cast<unsigned>(indices.count), kThreads, 0, stream(context)}, rows_read<T>,
           rows<const T>(&w), indices, a.w->k, rows<T>(a.rows));
  });
}

std::string refuse(const ops::RowsWrite& a) {
  return a.d != nullptr ? refuse_f64(*a.d, *a.original) : refuse_f64(*a.original);
}

void run(core::Context& context, const ops::RowsWrite& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  const Indices indices = indices_of(context, "graft_rows_write", *a.indices, a.w->n);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"rows_write", static_cast<unsigned>(indices.count), kThreads, 0, stream(context)}, rows_write<T>,
           rows<const T>(a.original), thin(a.d, false), indices, a.w->k, rows<T>(&w));
  });
}

}  // namespace graft::cuda
