// group_sum: y[t, j] = scale · Σ_i x[t, j·g + i], dx[t, j·g + i] = scale · dy[t, j] (+ dx).
//
// Forward: a warp has one group at a time, whose elements its lanes add in order and then meet; short groups, of at
// most 8, are added by a thread each. Backward: a thread has one element of dx. Bytes: forward T·G·(g + 1)·size,
// backward the same, and dx once more with accumulate.
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "ops/group_sum.h"

namespace graft::cuda {
namespace {

constexpr std::int64_t kShort = 8;

/** Lanes threads for each sum of y. */
template <class T, int Lanes>
__global__ void __launch_bounds__(kThreads) group_sum_forward(Rows<const T> x, std::int64_t rows, std::int64_t groups,
                                                              std::int64_t size, float scale, Rows<T> y) {
  const std::int64_t at = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / Lanes, t = at / groups, j = at % groups;
  if (GRAFT_BUG(group_sum_guard) ? t > rows : t >= rows) return;
  float sum = 0;
  for (std::int64_t i = threadIdx.x % Lanes; i < size; i += Lanes) sum += to_float(x[t][j * size + i]);
  if constexpr (Lanes == 32) sum = warp_sum(sum);
  if (threadIdx.x % Lanes == 0) y[t][j] = from_float<T>(scale * sum);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    group_sum_backward(Rows<const T> dy, std::int64_t rows, std::int64_t columns, std::int64_t size, float scale,
                       bool accumulate, Rows<T> dx) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, t = at / columns, k = at % columns;
  if (t >= rows) return;
  const float value = scale * to_float(dy[t][k / size]);
  dx[t][k] = from_float<T>(accumulate ? to_float(dx[t][k]) + value : value);
}

}  // namespace

std::string refuse(const ops::GroupSumForward& a) { return refuse_f64(*a.x); }

void run(core::Context& context, const ops::GroupSumForward& a) {
  const std::int64_t rows = a.y->shape[0], groups = a.y->shape[1];
  if (rows == 0 || groups == 0) return;
  const std::int64_t size = a.x->shape[1] / groups;
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    const auto with = [&](auto kernel, std::int64_t lanes) {
      launch(over(context, "group_sum_forward", rows * groups * lanes), kernel, graft::cuda::rows<const T>(a.x), rows,
             groups, size, static_cast<float>(a.scale), graft::cuda::rows<T>(a.y));
    };
    size <= kShort ? with(group_sum_forward<T, 1>, 1) : with(group_sum_forward<T, 32>, 32);
  });
}

std::string refuse(const ops::GroupSumBackward& a) { return refuse_f64(*a.dx); }

void run(core::Context& context, const ops::GroupSumBackward& a) {
  const std::int64_t rows = a.dx->shape[0], columns = a.dx->shape[1];
  if (rows == 0 || columns == 0) return;
  visit(a.dx->dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "group_sum_backward", rows * columns), group_sum_backward<T>, graft::cuda::rows<const T>(a.dy),
           rows, columns, columns / a.dy->shape[1], static_cast<float>(a.scale), a.accumulate,
           graft::cuda::rows<T>(a.dx));
  });
}

}  // namespace graft::cuda
