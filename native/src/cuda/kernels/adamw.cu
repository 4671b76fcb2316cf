// adamw: the squared norm of all gradients, and one step. With the factors of AdamWFactors (bias corrections folded
// in):
//   g ← clip·g;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  p ← keep·p − rate·m / (root·√v + eps).
//
// Norm: blocks of 4096 elements, in double, each block's sum into scratch; one block adds these in order and adds the
// total to `sum`. Step: a thread for each element; the clipping factor is made on the device from the norm, which never
// comes back to the host. Bytes for each element: norm 4, step 28 and p_out's size.
#include <algorithm>

#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/adamw_factors.h"
#include "cuda/kernels/clip.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/stochastic.h"
#include "cuda/kernels/tensor.h"
#include "ops/adamw.h"

namespace graft::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kPerBlock = 4096;

/** Element i of a tensor without gaps, or of a matrix with a pitch. */
struct Elements {
  std::int64_t columns;
  GRAFT_DEVICE std::int64_t at(std::int64_t i, std::int64_t pitch) const { return i / columns * pitch + i % columns; }
};

__global__ void __launch_bounds__(kThreads)
    squares_of_block(const float* g, std::int64_t pitch, Elements shape, std::int64_t count, double* parts) {
  const std::int64_t first = blockIdx.x * kPerBlock;
  const std::int64_t end = first + kPerBlock < count ? first + kPerBlock : count;
  double sum = 0;
  for (std::int64_t i = first + threadIdx.x; i < end; i += kThreads) {
    const double value = g[shape.at(i, pitch)];
    sum += value * value;
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) add_to_norm(const double* parts, std::int64_t count, double* to) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) sum += parts[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *to += sum;
}

/** One thread: the factors of a step that is known on the device alone; see AdamWFactors. */
__global__ void adamw_factors(ops::AdamWFactors<float> given, double lr, double beta1, double beta2,
                              double weight_decay, core::StepValues values, ops::AdamWFactors<float>* to) {
  const double rate = lr * *values.lr, step = fmax(static_cast<double>(values.counters[0]), 1.0);
  given.keep = static_cast<float>(1 - rate * weight_decay);
  given.rate = static_cast<float>(rate / (1 - pow(beta1, step)));
  given.root = static_cast<float>(1 / sqrt(1 - pow(beta2, step)));
  *to = given;
}

/** The five matrices of one shape; p or p_out may be NULL. */
template <class Out>
struct Parameter {
  const float* g;
  float *p, *m, *v;
  Out* p_out;
  std::int64_t g_pitch, p_pitch, m_pitch, v_pitch, out_pitch;
};

template <class Out>
__global__ void __launch_bounds__(kThreads) adamw_step(Parameter<Out> of, Elements shape, std::int64_t count,
                                                       StepFactors factors, Clip clip, std::uint64_t seed) {
  const ops::AdamWFactors<float> f = factors.get();
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (GRAFT_BUG(adamw_guard) ? i > count : i >= count) return;
  const float gradient = clip.factor() * of.g[shape.at(i, of.g_pitch)];
  float& m_at = of.m[shape.at(i, of.m_pitch)];
  float& v_at = of.v[shape.at(i, of.v_pitch)];
  const Moved<Out> at{of.p == nullptr ? nullptr : of.p + shape.at(i, of.p_pitch),
                      of.p_out == nullptr ? nullptr : of.p_out + shape.at(i, of.out_pitch)};
  const float m = f.beta1 * m_at + f.rest1 * gradient;
  const float v = f.beta2 * v_at + f.rest2 * gradient * gradient;
  m_at = m, v_at = v;
  at.set(f.keep * at.value() - f.rate * m / (f.root * sqrtf(v) + f.eps), seed, i);
}

bool is_matrix(const graft_tensor* t) { return t == nullptr || t->rank == 2 || core::is_contiguous(*t); }

Elements shape_of(const graft_tensor& t) {
  return {t.rank == 2 ? std::max<std::int64_t>(t.shape[1], 1) : std::max<std::int64_t>(core::elements(t), 1)};
}

std::int64_t pitch(const graft_tensor* t) { return t != nullptr && t->rank == 2 ? t->stride[0] : 0; }

}  // namespace

StepFactors step_factors(core::Context& context, core::Scratch& scratch, const ops::AdamWStep& a) {
  ops::AdamWStep unclipped = a;
  unclipped.squared_norm = nullptr;  // why: the norm is on the device, which makes the factor of it
  StepFactors factors{ops::AdamWFactors<float>(unclipped), nullptr};
  if (a.values.lr == nullptr) return factors;
  auto* made = scratch.take<ops::AdamWFactors<float>>(1);
  launch({"adamw_factors", 1, 1, 0, stream(context)}, adamw_factors, factors.given, a.lr, a.beta1, a.beta2,
         a.weight_decay, a.values, made);
  factors.made = made;
  return factors;
}

std::string refuse(const ops::AdamWSquaredNorm& a) {
  return is_matrix(a.g) ? refuse_f64(*a.g) : "gaps in a tensor that is no matrix";
}

void run(core::Context& context, const ops::AdamWSquaredNorm& a) {
  const std::int64_t count = core::elements(*a.g), blocks = ceil_div(count, kPerBlock);
  if (count == 0) return;
  core::Scratch scratch(context.arena);
  auto* parts = scratch.take<double>(blocks);
  launch({"squares_of_block", static_cast<unsigned>(blocks), kThreads, 0, stream(context)}, squares_of_block,
         data<const float>(a.g), pitch(a.g), shape_of(*a.g), count, parts);
  launch({"add_to_norm", 1, kThreads, 0, stream(context)}, add_to_norm, parts, blocks, data<double>(a.sum));
}

std::string refuse(const ops::AdamWStep& a) {
  for (const graft_tensor* t : {a.g, const_cast<const graft_tensor*>(a.p), const_cast<const graft_tensor*>(a.m),
                                const_cast<const graft_tensor*>(a.v), const_cast<const graft_tensor*>(a.p_out)})
    if (!is_matrix(t)) return "gaps in a tensor that is no matrix";
  if (a.p_out != nullptr && a.p_out->dtype == GRAFT_DTYPE_F64) return refuse_f64(*a.p_out);
  return refuse_f64(*a.p);
}

void run(core::Context& context, const ops::AdamWStep& a) {
  const std::int64_t count = core::elements(*a.p);
  core::Scratch scratch(context.arena);
  const StepFactors factors = step_factors(context, scratch, a);
  const Clip clip = clip_of(a);
  const graft_tensor *master = a.rounds_at_random() ? nullptr : a.p, *copy = a.rounds_at_random() ? a.p : a.p_out;
  visit(copy == nullptr ? GRAFT_DTYPE_F32 : copy->dtype, [&](auto type) {
    using Out = decltype(type);
    const Parameter<Out> of{
        data<const float>(a.g), data<float>(master), data<float>(a.m), data<float>(a.v), data<Out>(copy), pitch(a.g),
        pitch(master),          pitch(a.m),          pitch(a.v),       pitch(copy)};
    launch({"adamw_step", static_cast<unsigned>(ceil_div<std::int64_t>(count, kThreads)), kThreads, 0, stream(context)},
           adamw_step<Out>, of, shape_of(*a.p), count, factors, clip, a.seed);
  });
}

}  // namespace graft::cuda
