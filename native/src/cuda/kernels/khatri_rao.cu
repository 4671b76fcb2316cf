// khatri_rao: y[i·Q + j] = u[i] ⊙ v[j]; du[i] += Σ_j dy[i·Q + j] ⊙ v[j], dv[j] += Σ_i dy[i·Q + j] ⊙ u[i], of rows or of
// columns. A thread has one element of the result, in the order of memory, and adds in the order of the formula. Bytes,
// for C common elements: forward P·Q·C of y's; backward 4·P·Q·C of dy for each output, and once more for u or v through
// the L1.
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/khatri_rao.h"

namespace graft::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    khatri_rao_forward(Thin u, Thin v, bool columns, std::int64_t q, std::int64_t rows, std::int64_t width, Rows<T> y) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, row = at / width, column = at % width;
  if (row >= rows) return;
  const std::int64_t pair = columns ? column : row, common = columns ? row : column;
  const std::int64_t i = pair / q, j = GRAFT_BUG(khatri_rao_order) ? pair / q : pair % q;
  const float value = columns ? u.at(common, static_cast<int>(i)) * v.at(common, static_cast<int>(j))
                              : u.at(i, static_cast<int>(common)) * v.at(j, static_cast<int>(common));
  y[row][column] = from_float<T>(value);
}

/** to [rows, width] += Σ_s dy ⊙ other[s], `count` terms whose pairs with `own` are own·own_step + s·step. */
struct Sum {
  std::int64_t own_step, step, count;
};

__global__ void __launch_bounds__(kThreads) khatri_rao_backward(Rows<const float> dy, Thin other, bool columns, Sum sum,
                                                                std::int64_t rows, std::int64_t width, Rows<float> to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, row = at / width, column = at % width;
  if (row >= rows) return;
  const std::int64_t first = (columns ? column : row) * sum.own_step;
  float total = 0;
  for (std::int64_t s = 0; s < sum.count; ++s) {
    const std::int64_t pair = first + s * (GRAFT_BUG(khatri_rao_step) ? 1 : sum.step);
    total += columns ? dy[row][pair] * other.at(row, static_cast<int>(s))
                     : dy[pair][column] * other.at(s, static_cast<int>(column));
  }
  to[row][column] += total;
}

}  // namespace

std::string refuse(const ops::KhatriRaoForward& a) { return refuse_f64(*a.u, *a.y); }

void run(core::Context& context, const ops::KhatriRaoForward& a) {
  const std::int64_t rows = a.y->shape[0], width = a.y->shape[1];
  visit(a.y->dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "khatri_rao_forward", rows * width), khatri_rao_forward<T>, thin(a.u, false), thin(a.v, false),
           a.columns, a.q(), rows, width, graft::cuda::rows<T>(a.y));
  });
}

std::string refuse(const ops::KhatriRaoBackward& a) { return refuse_f64(*a.u); }

void run(core::Context& context, const ops::KhatriRaoBackward& a) {
  const auto add = [&](const graft_tensor* to, const graft_tensor* other, const Sum& sum) {
    if (to == nullptr) return;
    const std::int64_t rows = to->shape[0], width = to->shape[1];
    launch(over(context, "khatri_rao_backward", rows * width), khatri_rao_backward,
           graft::cuda::rows<const float>(a.dy), thin(other, false), a.columns, sum, rows, width,
           graft::cuda::rows<float>(to));
  };
  add(a.du, a.v, {a.q(), 1, a.q()});
  add(a.dv, a.u, {1, a.q(), a.p()});
}

}  // namespace graft::cuda
