// hard_concrete: W = original + factor·z∘d; backward g = factor·z∘dW, da += factor·dW∘d∘dz/da + penalty·dp/da, and the
// sums of p and of dW∘d∘z. A block has one row, a thread every 256th entry of it; u is made again from the entry's
// number. Gates and sums are double, as the contract's are; the sums of rows meet in order. Bytes of an entry: write 8
// and twice W's; backward 24.
#include "core/philox.h"
#include "core/tensor_check.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "ops/hard_concrete.h"

namespace graft::cuda {
namespace {

GRAFT_DEVICE double sigmoid(double x) { return 1 / (1 + exp(-x)); }

struct Gates {
  core::HardConcrete of;
  std::uint64_t offset;
  double log_ratio;  // log(-lower / upper)

  struct Gate {
    double z, slope;  // slope = dz/da
  };

  GRAFT_DEVICE Gate at(std::uint64_t entry, double a) const {
    if (of.mode == GRAFT_GATE_FIXED) return {a > 0 ? 1.0 : 0.0, 0};
    double logit = a;
    if (of.mode == GRAFT_GATE_SAMPLED) {
      const double u =
          core::Philox::uniform(of.seed, (GRAFT_BUG(hard_concrete_offset) ? 0 : offset) + entry) * (1 - 0x1p-23) +
          0x1p-24;
      logit += log(u) - log1p(-u);
    }
    const double s = sigmoid(logit), stretched = s * (of.upper - of.lower) + of.lower;
    const bool inside = stretched > 0 && stretched < 1;
    return {fmin(fmax(stretched, 0.0), 1.0), inside ? s * (1 - s) * (of.upper - of.lower) : 0};
  }

  GRAFT_DEVICE double open(double a) const {
    return of.mode == GRAFT_GATE_FIXED ? (a > 0 ? 1.0 : 0.0) : sigmoid(a - log_ratio);
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    hard_concrete_write(Rows<const float> d, Rows<const float> a, Rows<const T> original, Gates gates, double factor,
                        std::int64_t columns, Rows<T> w) {
  const std::int64_t n = blockIdx.x;
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads) {
    const double z = gates.at(static_cast<std::uint64_t>(n * columns + k), static_cast<double>(a[n][k])).z;
    w[n][k] = from_float<T>(to_float(original[n][k]) + static_cast<float>(factor * z) * d[n][k]);
  }
}

/** sums [N, 2]: of each row. */
__global__ void __launch_bounds__(kThreads)
    hard_concrete_backward(Rows<const float> d, Rows<const float> a, Gates gates, double factor, double penalty,
                           std::int64_t columns, Rows<float> g, Rows<float> da, double* sums) {
  const std::int64_t n = blockIdx.x;
  double open = 0, along = 0;
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads) {
    const double logit = static_cast<double>(a[n][k]), change = static_cast<double>(d[n][k]);
    const Gates::Gate gate = gates.at(static_cast<std::uint64_t>(n * columns + k), logit);
    const double p = gates.open(logit), dw = static_cast<double>(g[n][k]);
    open += p;
    along += dw * change * gate.z;
    g[n][k] = static_cast<float>(factor * gate.z * dw);
    if (gates.of.mode != GRAFT_GATE_FIXED)
      da[n][k] =
          static_cast<float>(static_cast<double>(da[n][k]) + factor * dw * change * gate.slope + penalty * p * (1 - p));
  }
  open = block_sum<kThreads>(open);
  along = block_sum<kThreads>(along);
  if (threadIdx.x == 0) sums[2 * n] = open, sums[2 * n + 1] = along;
}

/** sums [2] += those of the rows. */
__global__ void __launch_bounds__(kThreads) hard_concrete_sums(const double* of_rows, std::int64_t rows, double* sums) {
  for (int which = 0; which < 2; ++which) {
    double sum = 0;
    for (std::int64_t n = threadIdx.x; n < rows; n += kThreads)
      sum += of_rows[2 * n + (GRAFT_BUG(hard_concrete_sum) ? 0 : which)];
    sum = block_sum<kThreads>(sum);
    if (threadIdx.x == 0) sums[which] += sum;
  }
}

Gates gates_of(const core::HardConcrete& gates, std::uint64_t offset) {
  return {gates, offset, std::log(-gates.lower / gates.upper)};
}

}  // namespace

std::string refuse(const ops::HardConcreteWrite& a) { return refuse_f64(*a.original); }

void run(core::Context& context, const ops::HardConcreteWrite& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"hard_concrete_write", static_cast<unsigned>(a.w->n), kThreads, 0, stream(context)}, hard_concrete_write<T>,
           rows<const float>(a.d), rows<const float>(a.a), rows<const T>(a.original), gates_of(a.gates, a.offset),
           a.factor, a.w->k, rows<T>(&w));
  });
}

std::string refuse(const ops::HardConcreteBackward& a) { return refuse_f64(*a.d); }

void run(core::Context& context, const ops::HardConcreteBackward& a) {
  const std::int64_t n = a.d->shape[0], k = a.d->shape[1];
  core::Scratch scratch(context.arena);
  auto* const of_rows = scratch.take<double>(2 * n);
  launch({"hard_concrete_backward", static_cast<unsigned>(n), kThreads, 0, stream(context)}, hard_concrete_backward,
         rows<const float>(a.d), rows<const float>(a.a), gates_of(a.gates, a.offset), a.factor, a.penalty, k,
         rows<float>(a.g), rows<float>(a.da), of_rows);
  launch({"hard_concrete_sums", 1, kThreads, 0, stream(context)}, hard_concrete_sums, of_rows, n, data<double>(a.sums));
}

}  // namespace graft::cuda
