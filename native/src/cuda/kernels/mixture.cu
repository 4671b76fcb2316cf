// mixture. route: a warp has a row, its lanes every 32nd expert; backward with a balance first makes each row's
// probabilities and its choice, whose columns column_sums adds. blocks, vectors and combine: a thread has an element of
// an activation, a warp the product of two rows' blocks for a gate, a block of column sums a piece of dv and a group of
// rows. dx may be dy, so it is made last. Bytes: each activation once, but dy for each expert of combine and, of
// vectors, dy and x for each expert; logits and gates from the L1.
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/mixture.h"

namespace graft::cuda {
namespace {

/** A row's largest logit, the first of equal ones, and the sum of the exponentials beside it: alike in all lanes. */
struct Softmax {
  float largest, sum;
  std::int64_t choice;
};

template <class T>
GRAFT_DEVICE Softmax softmax_of(const T* logits, std::int64_t experts) {
  Softmax s{to_float(logits[0]), 0, 0};
  for (std::int64_t e = 1; e < experts; ++e)
    if (to_float(logits[e]) > s.largest) s.largest = to_float(logits[e]), s.choice = e;
  for (std::int64_t e = 0; e < experts; ++e) s.sum += expf(to_float(logits[e]) - s.largest);
  return s;
}

/** parts [T, E]: scratch, since gates may be the logits. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    mixture_route(Rows<const T> logits, std::int64_t rows, std::int64_t experts, std::int64_t top_k, bool among_all,
                  float* parts, Rows<T> gates) {
  const std::int64_t t = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / 32;
  if (t >= rows) return;
  const T* const row = logits[t];
  const Softmax all = softmax_of(row, experts);
  float sum = 0;
  for (std::int64_t e = threadIdx.x % 32; e < experts; e += 32) {
    const float logit = to_float(row[e]), part = expf(logit - all.largest);
    std::int64_t before = 0;
    for (std::int64_t i = 0; i < experts; ++i) {
      const float other = to_float(row[i]);
      before += other > logit || (other == logit && (GRAFT_BUG(mixture_ties) ? i > e : i < e)) ? 1 : 0;
    }
    parts[t * experts + e] = before < top_k ? part : 0;
    sum += before < top_k ? part : 0;
  }
  sum = among_all ? all.sum : warp_sum(sum);
  __syncwarp();
  for (std::int64_t e = threadIdx.x % 32; e < experts; e += 32)
    gates[t][e] = from_float<T>(parts[t * experts + e] / sum);
}

/** Whether rows count in the balance: of each `length` only the first lengths[b]. */
struct Counts {
  const std::int32_t* lengths;
  std::int64_t length;
  GRAFT_DEVICE bool operator()(std::int64_t t) const { return lengths == nullptr || t % length < lengths[t / length]; }
};

/** shares [T, 2E + 1]: a row's probabilities, its choice, and whether it counts; zeros where it does not. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    mixture_shares(Rows<const T> logits, std::int64_t rows, std::int64_t experts, Counts counts, float* shares) {
  const std::int64_t t = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / 32;
  if (t >= rows) return;
  const Softmax all = softmax_of(logits[t], experts);
  const float count = counts(t) ? 1.0f : 0.0f;
  float* const to = shares + t * (2 * experts + 1);
  for (std::int64_t e = threadIdx.x % 32; e < experts; e += 32) {
    to[e] = count * expf(to_float(logits[t][e]) - all.largest) / all.sum;
    to[experts + e] = e == all.choice ? count : 0.0f;
  }
  if (threadIdx.x % 32 == 0) to[2 * experts] = count;
}

/** sums [2E + 1] of the shares over all rows; NULL: no balance. why 4 blocks: for six ptxas spills a few registers. */
template <class T>
__global__ void __launch_bounds__(kThreads, 4)
    mixture_route_backward(Rows<const T> logits, Rows<const T> gates, Rows<const T> dgates, std::int64_t rows,
                           std::int64_t experts, bool among_all, float balance, const float* sums, Counts counts,
                           Rows<T> dlogits) {
  const std::int64_t t = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / 32;
  if (t >= rows) return;
  const Softmax all = softmax_of(logits[t], experts);
  const float count = sums == nullptr || !counts(t) ? 0.0f : sums[2 * experts];
  float inner = 0, shares = 0;
  for (std::int64_t e = threadIdx.x % 32; e < experts; e += 32) {
    if (dgates.data != nullptr) inner += to_float(gates[t][e]) * to_float(dgates[t][e]);
    if (count > 0) shares += sums[experts + e] / count * (expf(to_float(logits[t][e]) - all.largest) / all.sum);
  }
  inner = warp_sum(inner), shares = warp_sum(shares);
  for (std::int64_t e = threadIdx.x % 32; e < experts; e += 32) {
    const float p = expf(to_float(logits[t][e]) - all.largest) / all.sum, gate = to_float(gates[t][e]);
    float value = dgates.data == nullptr ? 0.0f : gate * to_float(dgates[t][e]) - (among_all ? p : gate) * inner;
    if (count > 0) {
      const float centred = sums[experts + e] / count - (GRAFT_BUG(mixture_balance) ? 0.0f : shares);
      value += balance * static_cast<float>(experts) / count * p * centred;
    }
    dlogits[t][e] = from_float<T>(value);
  }
}

/** loss += balance · E · Σ_e f_e p_e. */
__global__ void mixture_loss(const float* sums, std::int64_t experts, float balance, float* loss) {
  const float count = sums[2 * experts];
  float sum = 0;
  for (std::int64_t e = 0; e < experts; ++e) sum += sums[experts + e] / count * sums[e];
  if (count > 0) *loss += balance * static_cast<float>(experts) / count * sum;
}

/** to [T, E·width] = scale · gates by blocks ⊙ from (+ to); from [T, E·width], or [T, width], the same for each block.
 */
template <class T>
__global__ void __launch_bounds__(kThreads)
    mixture_scale(Rows<const T> from, Rows<const T> gates, std::int64_t rows, std::int64_t columns, std::int64_t width,
                  bool same, float scale, bool accumulate, Rows<T> to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, t = at / columns, j = at % columns;
  if (t >= rows) return;
  const float gate = to_float(gates[t][j / (GRAFT_BUG(mixture_gate) ? columns : width)]);
  const float value = scale * gate * to_float(from[t][same ? j % width : j]);
  to[t][j] = from_float<T>(accumulate ? to_float(to[t][j]) + value : value);
}

/** dgates [T, E] = scale · Σ_j dy · x · v over `width` columns: of block e where a step is not 0; v [E, width] or none.
 */
template <class T>
__global__ void __launch_bounds__(kThreads)
    mixture_dot(Rows<const T> dy, std::int64_t dy_step, Rows<const T> x, std::int64_t x_step, Thin v, std::int64_t rows,
                std::int64_t experts, std::int64_t width, float scale, Rows<T> dgates) {
  const std::int64_t at = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / 32, t = at / experts, e = at % experts;
  if (t >= rows) return;
  float sum = 0;
  for (std::int64_t j = threadIdx.x % 32; j < width; j += 32) {
    const float term =
        to_float(dy[t][(GRAFT_BUG(mixture_block) ? 0 : e) * dy_step + j]) * to_float(x[t][e * x_step + j]);
    sum += v.data == nullptr ? term : term * v.at(e, static_cast<int>(j));
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) dgates[t][e] = from_float<T>(scale * sum);
}

/** to = from ⊙ (gates v) (+ to). */
template <class T>
__global__ void __launch_bounds__(kThreads)
    mixture_vectors(Rows<const T> from, Rows<const T> gates, Thin v, std::int64_t rows, std::int64_t columns,
                    bool accumulate, Rows<T> to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, t = at / columns, j = at % columns;
  if (t >= rows) return;
  float factor = 0;
  for (std::int64_t e = 0; e < (GRAFT_BUG(mixture_last_vector) ? v.size - 1 : v.size); ++e)
    factor += to_float(gates[t][e]) * v.at(e, static_cast<int>(j));
  const float value = factor * to_float(from[t][j]);
  to[t][j] = from_float<T>(accumulate ? to_float(to[t][j]) + value : value);
}

/** parts of Σ_t gates[t, e] · dy ⊙ x. */
template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    mixture_dv(Rows<const T> dy, Rows<const T> x, Rows<const T> gates, std::int64_t e, RowGroups groups,
               std::int64_t columns, float* parts) {
  sum_group<1>(groups, columns, parts, [&](std::int64_t t, std::int64_t j) {
    return Piece<float, 1>{
        {to_float(gates[t][e - (GRAFT_BUG(mixture_dv_gate) ? e : 0)]) * to_float(dy[t][j]) * to_float(x[t][j])}};
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads) mixture_combine(Rows<const T> x, Rows<const T> gates, std::int64_t rows,
                                                            std::int64_t columns, std::int64_t experts, Rows<T> y) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, t = at / columns, j = at % columns;
  if (t >= rows) return;
  float sum = 0;
  for (std::int64_t e = 0; e < experts; ++e)
    sum += to_float(gates[t][e]) * to_float(x[t][(GRAFT_BUG(mixture_combine_block) ? 0 : e) * columns + j]);
  y[t][j] = from_float<T>(sum);
}

template <class T>
void scale(core::Context& context, const graft_tensor& from, const graft_tensor& gates, std::int64_t width,
           double factor, bool accumulate, const graft_tensor& to) {
  const std::int64_t columns = to.shape[1];
  launch(over(context, "mixture_scale", to.shape[0] * columns), mixture_scale<T>, rows<const T>(&from),
         rows<const T>(&gates), to.shape[0], columns, width, from.shape[1] == width, static_cast<float>(factor),
         accumulate, rows<T>(&to));
}

template <class T>
void dot(core::Context& context, const graft_tensor& dy, std::int64_t dy_step, const graft_tensor& x,
         std::int64_t x_step, const graft_tensor* v, std::int64_t width, double factor, const graft_tensor& dgates) {
  const std::int64_t count = dgates.shape[0], experts = dgates.shape[1];
  launch(over(context, "mixture_dot", count * experts * 32), mixture_dot<T>, rows<const T>(&dy), dy_step,
         rows<const T>(&x), x_step, thin(v, false), count, experts, width, static_cast<float>(factor),
         rows<T>(&dgates));
}

}  // namespace

std::string refuse(const ops::MixtureRouteForward& a) { return refuse_f64(*a.logits); }

void run(core::Context& context, const ops::MixtureRouteForward& a) {
  const std::int64_t count = a.logits->shape[0], experts = a.logits->shape[1];
  core::Scratch scratch(context.arena);
  auto* const parts = scratch.take<float>(count * experts);
  visit(a.logits->dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "mixture_route", count * 32), mixture_route<T>, rows<const T>(a.logits), count, experts,
           a.top_k, a.among_all, parts, rows<T>(a.gates));
  });
}

std::string refuse(const ops::MixtureRouteBackward& a) { return refuse_f64(*a.logits); }

void run(core::Context& context, const ops::MixtureRouteBackward& a) {
  const std::int64_t count = a.logits->shape[0], experts = a.logits->shape[1], width = 2 * experts + 1;
  if (count == 0 || experts == 0) return;
  const Counts counts{data<const std::int32_t>(a.lengths), a.lengths == nullptr ? 1 : count / a.lengths->shape[0]};
  const auto balance = static_cast<float>(a.balance);
  core::Scratch scratch(context.arena);
  float* sums = nullptr;
  visit(a.logits->dtype, [&](auto type) {
    using T = decltype(type);
    if (a.balance > 0) {
      const graft_tensor shares = scratch_matrix(scratch, GRAFT_DTYPE_F32, count, width);
      sums = scratch.take<float>(width);
      launch(over(context, "mixture_shares", count * 32), mixture_shares<T>, rows<const T>(a.logits), count, experts,
             counts, data<float>(&shares));
      run(context, Convert{nullptr, GRAFT_DTYPE_F32, 0, 0, 0, sums, GRAFT_DTYPE_F32, 1, width, width});
      column_sums(context, shares, sums);
      if (a.loss != nullptr)
        launch({"mixture_loss", 1, 1, 0, stream(context)}, mixture_loss, sums, experts, balance, data<float>(a.loss));
    }
    launch(over(context, "mixture_route_backward", count * 32), mixture_route_backward<T>, rows<const T>(a.logits),
           rows<const T>(a.gates), rows<const T>(a.dgates), count, experts, a.among_all, balance, sums, counts,
           rows<T>(a.dlogits));
  });
}

std::string refuse(const ops::MixtureBlocksForward& a) { return refuse_f64(*a.x); }

void run(core::Context& context, const ops::MixtureBlocksForward& a) {
  visit(a.x->dtype, [&](auto type) {
    scale<decltype(type)>(context, *a.x, *a.gates, a.x->shape[1] / a.gates->shape[1], a.scale, false, *a.y);
  });
}

std::string refuse(const ops::MixtureBlocksBackward& a) { return refuse_f64(*a.x); }

void run(core::Context& context, const ops::MixtureBlocksBackward& a) {
  const std::int64_t width = a.x->shape[1] / a.gates->shape[1];
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    if (a.dgates != nullptr) dot<T>(context, *a.dy, width, *a.x, width, nullptr, width, a.scale, *a.dgates);
    if (a.dx != nullptr) scale<T>(context, *a.dy, *a.gates, width, a.scale, false, *a.dx);
  });
}

std::string refuse(const ops::MixtureVectorsForward& a) { return refuse_f64(*a.v, *a.x); }

void run(core::Context& context, const ops::MixtureVectorsForward& a) {
  const std::int64_t count = a.x->shape[0], columns = a.x->shape[1];
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "mixture_vectors", count * columns), mixture_vectors<T>, rows<const T>(a.x),
           rows<const T>(a.gates), thin(a.v, false), count, columns, a.accumulate, rows<T>(a.y));
  });
}

std::string refuse(const ops::MixtureVectorsBackward& a) { return refuse_f64(*a.v, *a.x); }

void run(core::Context& context, const ops::MixtureVectorsBackward& a) {
  const std::int64_t count = a.x->shape[0], columns = a.x->shape[1], experts = a.gates->shape[1];
  core::Scratch scratch(context.arena);
  const RowGroups groups(count);
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    if (a.dgates != nullptr) dot<T>(context, *a.dy, 0, *a.x, 0, a.v, columns, 1, *a.dgates);
    if (a.dv != nullptr && count > 0) {
      auto* const parts = scratch.take<float>(groups.count * columns);
      for (std::int64_t e = 0; e < experts; ++e) {
        launch({"mixture_dv", groups.grid(columns, 1), kColumnThreads, 0, stream(context)}, mixture_dv<T>,
               rows<const T>(a.dy), rows<const T>(a.x), rows<const T>(a.gates), e, groups, columns, parts);
        add_parts(context, parts, groups.count, columns, data<float>(a.dv) + e * a.dv->stride[0]);
      }
    }
    if (a.dx != nullptr)
      launch(over(context, "mixture_vectors", count * columns), mixture_vectors<T>, rows<const T>(a.dy),
             rows<const T>(a.gates), thin(a.v, false), count, columns, false, rows<T>(a.dx));
  });
}

std::string refuse(const ops::MixtureCombineForward& a) { return refuse_f64(*a.x); }

void run(core::Context& context, const ops::MixtureCombineForward& a) {
  const std::int64_t count = a.y->shape[0], columns = a.y->shape[1];
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "mixture_combine", count * columns), mixture_combine<T>, rows<const T>(a.x),
           rows<const T>(a.gates), count, columns, a.gates->shape[1], rows<T>(a.y));
  });
}

std::string refuse(const ops::MixtureCombineBackward& a) { return refuse_f64(*a.dy); }

void run(core::Context& context, const ops::MixtureCombineBackward& a) {
  const std::int64_t columns = a.dy->shape[1];
  visit(a.dy->dtype, [&](auto type) {
    using T = decltype(type);
    if (a.dgates != nullptr) dot<T>(context, *a.dy, 0, *a.x, columns, nullptr, columns, 1, *a.dgates);
    if (a.dx != nullptr) scale<T>(context, *a.dy, *a.gates, columns, 1, a.accumulate, *a.dx);
  });
}

}  // namespace graft::cuda
