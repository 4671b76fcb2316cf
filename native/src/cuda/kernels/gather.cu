// gather: a thread has one element of the gathered matrix. Bytes: 32, a sector, and the element's size for each.
#include "cuda/kernels/gather.h"
#include "cuda/kernels/indices.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    gather_elements(Rows<const T> from, std::int64_t rows, Indices columns, Rows<T> to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t t = at / columns.count, j = at % columns.count;
  if (GRAFT_BUG(gather_guard) ? t > rows : t >= rows) return;
  const std::int64_t k = columns.at(j);
  to[t][j] = k < 0 ? from_float<T>(0) : from[t][k];
}

}  // namespace

void gather_columns(core::Context& context, const char* op, const graft_tensor& indices, const graft_tensor& from,
                    const graft_tensor& to) {
  const Indices columns = indices_of(context, op, indices, from.shape[1]);
  const std::int64_t count = from.shape[0] * columns.count;
  visit(from.dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "gather_elements", count), gather_elements<T>, rows<const T>(&from), from.shape[0], columns,
           rows<T>(&to));
  });
}

}  // namespace graft::cuda
