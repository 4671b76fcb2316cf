// embedding: y[t] = scale · table[ids[t]]; dtable[ids[t]] += scale · dy[t], repeated ids in order of t.
//
// An id outside of the table cannot be answered by the call, as ids are in device memory: a first kernel writes the
// first such position into the context's fault, which graft_context_synchronize reports, and its row is zero or
// nothing. Backward: the first position of each id walks the chain of those with the same id; a thread has one column,
// so that sums are made in the contract's order. Bytes, T rows of H: forward 2·T·H·size; backward T·H·(size + 8).
#include "cuda/device.h"
#include "cuda/kernels/chains.h"
#include "cuda/kernels/fault.h"
#include "cuda/kernels/tensor.h"
#include "ops/embedding.h"

namespace graft::cuda {
namespace {

template <class T, class Id>
__global__ void __launch_bounds__(kThreads) embedding_forward(Rows<const T> table, const Id* ids, std::int64_t limit,
                                                              std::int64_t columns, float scale, Rows<T> y) {
  const std::int64_t t = blockIdx.x, id = ids[t];
  const bool bad = GRAFT_BUG(embedding_no_guard) ? false : id < 0 || id >= limit;
  for (std::int64_t j = threadIdx.x; j < columns; j += kThreads)
    y[t][j] = from_float<T>(bad ? 0.0f : scale * to_float(table[id][j]));
}

template <class T, class Id>
__global__ void __launch_bounds__(kThreads)
    embedding_backward(const Id* ids, std::int64_t count, Chains chains, Rows<const T> dy, std::int64_t limit,
                       std::int64_t columns, float scale, Rows<float> dtable) {
  const std::int64_t first = blockIdx.x, id = ids[first], j = std::int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (chains.is_first[first] == 0 || j >= columns || id < 0 || id >= limit) return;
  float sum = dtable[id][j];
  for (std::int64_t t = first; t < count; t = chains.next[t]) sum += scale * to_float(dy[t][j]);
  dtable[id][j] = sum;
}

/** Calls body(Id{}) with the type of ids, after a look for bad ones. */
template <class Body>
void with_ids(core::Context& context, const char* op, const graft_tensor& ids, std::int64_t limit, Body&& body) {
  find_outside(context, op, "ids", ids, limit);
  ids.dtype == GRAFT_DTYPE_I64 ? body(std::int64_t{}) : body(std::int32_t{});
}

}  // namespace

std::string refuse(const ops::EmbeddingForward& a) { return refuse_f64(*a.table); }

void run(core::Context& context, const ops::EmbeddingForward& a) {
  const std::int64_t count = a.ids->shape[0], limit = a.table->shape[0], columns = a.table->shape[1];
  with_ids(context, "graft_embedding_forward", *a.ids, limit, [&](auto id) {
    using Id = decltype(id);
    visit(a.table->dtype, [&](auto type) {
      using T = decltype(type);
      launch({"embedding_forward", static_cast<unsigned>(count), kThreads, 0, stream(context)},
             embedding_forward<T, Id>, rows<const T>(a.table), data<const Id>(a.ids), limit, columns,
             static_cast<float>(a.scale), rows<T>(a.y));
    });
  });
}

std::string refuse(const ops::EmbeddingBackward& a) {
  if (a.dy->shape[1] > std::int64_t{kThreads} * 65535) return "more columns than a grid has";
  return refuse_f64(*a.dy);
}

void run(core::Context& context, const ops::EmbeddingBackward& a) {
  const std::int64_t count = a.ids->shape[0], limit = a.dtable->shape[0], columns = a.dtable->shape[1];
  if (count == 0 || columns == 0) return;
  core::Scratch scratch(context.arena);
  const Chains chains = find_chains(context, scratch, *a.ids);
  with_ids(context, "graft_embedding_backward", *a.ids, limit, [&](auto id) {
    using Id = decltype(id);
    visit(a.dy->dtype, [&](auto type) {
      using T = decltype(type);
      const dim3 grid(static_cast<unsigned>(count), blocks_for(columns));
      launch({"embedding_backward", grid, kThreads, 0, stream(context)}, embedding_backward<T, Id>,
             data<const Id>(a.ids), count, chains, rows<const T>(a.dy), limit, columns, static_cast<float>(a.scale),
             rows<float>(a.dtable));
    });
  });
}

}  // namespace graft::cuda
