// sparse: a thread has one chosen entry of W, to read or to write it, W[i, j] = original + d. dd[p] += Σ_t dy[t,
// i]·x[t, j]: entries lie so far apart that each would read its own sectors of dy and x for every t, so the library
// makes panels of dyᵀ x, of 2 Mi elements in fp32, and the entries that lie in a panel take theirs while it is in the
// L2; the dense gradient never exists. An index outside of W becomes the context's fault, and its entry is zero or
// nothing. FLOPs: 2·T·N·K of the products. Bytes: read 32 and the element for each entry; write 64; dd 4·N·K through
// the L2, and for each panel 8 for each entry.
#include <algorithm>

#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/indices.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/sparse.h"

namespace graft::cuda {
namespace {

GRAFT_DEVICE std::int64_t this_thread() { return std::int64_t{blockIdx.x} * kThreads + threadIdx.x; }

template <class T>
__global__ void __launch_bounds__(kThreads) sparse_read(Rows<const T> w, Indices rows, Indices columns, T* entries) {
  const std::int64_t p = this_thread();
  if (GRAFT_BUG(sparse_guard) ? p > rows.count : p >= rows.count) return;
  const std::int64_t i = rows.at(p), j = columns.at(p);
  entries[p] = i < 0 || j < 0 ? from_float<T>(0) : w[i][j];
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sparse_write(const T* original, Vector d, Indices rows, Indices columns, Rows<T> w) {
  const std::int64_t p = this_thread();
  if (p >= rows.count) return;
  const std::int64_t i = rows.at(p), j = columns.at(p);
  if (i < 0 || j < 0) return;
  w[i][j] = d.data == nullptr ? original[p] : from_float<T>(to_float(original[p]) + d.at(p));
}

/** Of the entries whose row lies in dw, the part [count, K] of dyᵀ x from `first` on. */
__global__ void __launch_bounds__(kThreads)
    sparse_take(const float* dw, std::int64_t first, std::int64_t count, Indices rows, Indices columns, float* dd) {
  const std::int64_t p = this_thread();
  if (p >= rows.count) return;
  const std::int64_t i = rows.at(p) - first, j = columns.at(p);
  if (i >= 0 && (GRAFT_BUG(sparse_panel_guard) || i < count) && j >= 0) dd[p] += dw[i * columns.limit + j];
}

__global__ void __launch_bounds__(kThreads)
    sparse_add_squares(Rows<const float> g, std::int64_t columns, Rows<float> sums) {
  const std::int64_t n = blockIdx.x;
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads) sums[n][k] += g[n][k] * g[n][k];
}

struct Entries {
  Indices rows, columns;
};

Entries entries_of(core::Context& context, const char* op, const graft_tensor& indices, std::int64_t n,
                   std::int64_t k) {
  const std::int64_t count = indices.shape[1];
  graft_tensor rows = indices, columns = indices;
  rows.rank = columns.rank = 1, rows.shape[0] = columns.shape[0] = count;
  columns.data =
      static_cast<char*>(indices.data) + (count == 0 ? 0 : indices.stride[0]) * graft_dtype_bytes(indices.dtype);
  return {indices_of(context, op, rows, n, "indices[0]"), indices_of(context, op, columns, k, "indices[1]")};
}

}  // namespace

std::string refuse(const ops::SparseGradient& a) { return refuse_gemm(a.dy->dtype, GRAFT_DTYPE_F32); }

void run(core::Context& context, const ops::SparseGradient& a) {
  const std::int64_t n = a.dy->shape[1], k = a.x->shape[1], count = a.indices->shape[1];
  const Entries entries = entries_of(context, "graft_sparse_gradient", *a.indices, n, k);
  if (a.dy->shape[0] == 0 || count == 0 || n == 0 || k == 0) return;
  const std::int64_t size = panel_size(n, k, kGradientElements);
  core::Scratch scratch(context.arena);
  auto* const dw = scratch.take<float>(size * k);
  for (std::int64_t first = 0; first < n; first += size) {
    const std::int64_t rows = std::min(size, n - first);
    const graft_tensor dy = part(*a.dy, 0, first, a.dy->shape[0], rows);
    run(context, Gemm{factor(dy).t(), factor(*a.x), a.dy->dtype, dw, k, GRAFT_DTYPE_F32});
    launch(over(context, "sparse_take", count), sparse_take, dw, first, rows, entries.rows, entries.columns,
           data<float>(a.dd));
  }
}

std::string refuse(const ops::SparseRead& a) { return refuse_f64(*a.entries); }

void run(core::Context& context, const ops::SparseRead& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  const Entries entries = entries_of(context, "graft_sparse_read", *a.indices, a.w->n, a.w->k);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "sparse_read", entries.rows.count), sparse_read<T>, rows<const T>(&w), entries.rows,
           entries.columns, data<T>(a.entries));
  });
}

std::string refuse(const ops::SparseWrite& a) {
  return a.d != nullptr ? refuse_f64(*a.d, *a.original) : refuse_f64(*a.original);
}

void run(core::Context& context, const ops::SparseWrite& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  const Entries entries = entries_of(context, "graft_sparse_write", *a.indices, a.w->n, a.w->k);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "sparse_write", entries.rows.count), sparse_write<T>, data<const T>(a.original), vector(a.d),
           entries.rows, entries.columns, rows<T>(&w));
  });
}

std::string refuse(const ops::SparseAddSquares& a) { return refuse_f64(*a.g); }

void run(core::Context& context, const ops::SparseAddSquares& a) {
  launch({"sparse_add_squares", static_cast<unsigned>(a.g->shape[0]), kThreads, 0, stream(context)}, sparse_add_squares,
         rows<const float>(a.g), a.g->shape[1], rows<float>(a.sums));
}

}  // namespace graft::cuda
