// row_scale: y = diag(s) x; dx += diag(s) dy, ds[r] += Σ_c dy ⊙ x, dy and dx in fp32. A block has one row, a thread
// every 256th element of it; their sums meet in order. x is read before y is written, so that y may be x. Bytes, R rows
// of C: forward 2·R·C·size; backward R·C·(4 + size) for ds and 12·R·C for dx, over one read of dy.
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/row_scale.h"

namespace graft::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    row_scale_forward(Rows<const T> x, Vector s, std::int64_t columns, Rows<T> y) {
  const std::int64_t r = blockIdx.x;
  const float factor = s.at(GRAFT_BUG(row_scale_row) ? r + 1 : r);
  for (std::int64_t c = threadIdx.x; c < columns; c += kThreads) y[r][c] = from_float<T>(factor * to_float(x[r][c]));
}

template <class T>
__global__ void __launch_bounds__(kThreads) row_scale_backward(Rows<const float> dy, Rows<const T> x, Vector s,
                                                               std::int64_t columns, Rows<float> dx, float* ds) {
  const std::int64_t r = blockIdx.x;
  const float factor = s.at(r);
  float sum = 0;
  for (std::int64_t c = threadIdx.x; c < columns; c += kThreads) {
    const float d = dy[r][c];
    if (ds != nullptr) sum += d * to_float(x[r][c]);
    if (dx.data != nullptr) dx[r][c] += factor * d;
  }
  if (ds == nullptr) return;
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) ds[r] += sum;
}

}  // namespace

std::string refuse(const ops::RowScaleForward& a) { return refuse_f64(*a.s, *a.x); }

void run(core::Context& context, const ops::RowScaleForward& a) {
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"row_scale_forward", static_cast<unsigned>(a.x->shape[0]), kThreads, 0, stream(context)},
           row_scale_forward<T>, rows<const T>(a.x), vector(a.s), a.x->shape[1], rows<T>(a.y));
  });
}

std::string refuse(const ops::RowScaleBackward& a) { return refuse_f64(*a.s, *a.x); }

void run(core::Context& context, const ops::RowScaleBackward& a) {
  if (a.dx == nullptr && a.ds == nullptr) return;
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"row_scale_backward", static_cast<unsigned>(a.x->shape[0]), kThreads, 0, stream(context)},
           row_scale_backward<T>, rows<const float>(a.dy), rows<const T>(a.x), vector(a.s), a.x->shape[1],
           rows<float>(a.dx), data<float>(a.ds));
  });
}

}  // namespace graft::cuda
