// adamw: the squared norm of gradients, and steps. With the factors of AdamWFactors (bias corrections folded in):
//   g ← clip·g;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  p ← keep·p − rate·m / (root·√v + eps).
//
// Norm: blocks of 4096 elements of one gradient, in double, each block's sum into scratch; a block for each gradient
// adds these in order, and a thread the gradients' sums to `sum`. Step: a thread for each element of a table's
// parameters; the clipping factor is made on the device from the norm, which never comes back to the host. Bytes for
// each element: norm 4, step 28 and p_out's size; PaCA's columns 32 read and written, and original.
#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/adamw_table.h"
#include "cuda/kernels/clip.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "ops/adamw.h"

namespace graft::cuda {
namespace {

constexpr int kMostGradients = 800;
constexpr std::int64_t kPerBlock = 4096;

struct Gradient {
  const float* g;
  std::int64_t pitch;
  Shape shape;
  std::int32_t first_block;
};

template <int Capacity>
__global__ void __launch_bounds__(kThreads)
    squares_of_block(GRAFT_CONSTANT(Table<Gradient, Capacity>) table, double* parts) {
  const Gradient& of = table.entries[table.find()];
  const std::int64_t first = (blockIdx.x - of.first_block) * kPerBlock;
  const std::int64_t end = first + kPerBlock < of.shape.count ? first + kPerBlock : of.shape.count;
  double sum = 0;
  for (std::int64_t i = first + threadIdx.x; i < end; i += kThreads) {
    const double value = of.g[of.shape.at(i, of.pitch)];
    sum += value * value;
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/** A block for each entry: sums[entry] (+)= the sum of its parts. */
template <int Capacity>
__global__ void __launch_bounds__(kThreads)
    sum_parts(GRAFT_CONSTANT(Table<Gradient, Capacity>) table, const double* parts, bool add, double* sums) {
  const int entry = static_cast<int>(blockIdx.x);
  const std::int32_t end = entry + 1 < table.count ? table.entries[entry + 1].first_block : table.blocks;
  double sum = 0;
  for (std::int32_t i = table.entries[entry].first_block + static_cast<std::int32_t>(threadIdx.x); i < end;
       i += kThreads)
    sum += parts[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) sums[entry] = add ? sums[entry] + sum : sum;
}

/** One thread, in order. */
__global__ void add_to_norm(const double* sums, std::int64_t count, double* to) {
  double sum = *to;
  for (std::int64_t i = GRAFT_BUG(adamw_skips_a_gradient) ? 1 : 0; i < count; ++i) sum += sums[i];
  *to = sum;
}

/** A thread for each parameter: the factors of a step that is known on the device alone; see AdamWFactors. */
__global__ void adamw_factors(ops::AdamWFactors<float> given, GRAFT_CONSTANT(Rates) rates, double beta1, double beta2,
                              core::StepValues values, ops::AdamWFactors<float>* to) {
  const int i = static_cast<int>(threadIdx.x);
  const double rate = rates.lr[i] * *values.lr, step = fmax(static_cast<double>(values.counters[0]), 1.0);
  given.keep = static_cast<float>(1 - rate * rates.weight_decay[i]);
  given.rate = static_cast<float>(rate / (1 - pow(beta1, step)));
  given.root = static_cast<float>(1 / sqrt(1 - pow(beta2, step)));
  to[i] = given;
}

template <class Out, int Capacity>
__global__ void __launch_bounds__(kThreads)
    adamw_step(GRAFT_CONSTANT(Table<Entry<WideMoments, Out>, Capacity>) table, StepFactors factors, Clip clip) {
  const int at = table.find();
  const Entry<WideMoments, Out>& of = table.entries[at];
  const std::int64_t i = of.element();
  if (GRAFT_BUG(adamw_guard) ? i > of.shape.count : i >= of.shape.count) return;
  float& m = of.moments.m[of.shape.at(i, of.moments.m_pitch)];
  float& v = of.moments.v[of.shape.at(i, of.moments.v_pitch)];
  float mean = m, square = v;
  of.move(factors.get(at, of.keep, of.rate), clip.factor(), i, mean, square);
  m = mean, v = square;
}

template <class Out, int Capacity>
void move(core::Context& context, const ops::AdamWStep& a, const Table<Entry<WideMoments, Out>, Capacity>& table,
          const Rates& rates) {
  static_assert(sizeof table + sizeof(StepFactors) + sizeof(Clip) <= kParameterBytes);
  core::Scratch scratch(context.arena);
  const StepFactors factors = step_factors(context, scratch, a, rates);
  launch({"adamw_step", static_cast<unsigned>(table.blocks), kThreads, 0, stream(context)}, adamw_step<Out, Capacity>,
         table, factors, clip_of(a));
}

WideMoments wide_moments_of(const ops::AdamWStep& a) {
  return {data<float>(a.m), data<float>(a.v), pitch(a.m), pitch(a.v)};
}

template <int Capacity>
void sum_squares(core::Context& context, const Table<Gradient, Capacity>& table, bool add, double* sums) {
  static_assert(sizeof table + 3 * sizeof sums <= kParameterBytes);
  core::Scratch scratch(context.arena);
  auto* parts = scratch.take<double>(table.blocks);
  launch({"squares_of_block", static_cast<unsigned>(table.blocks), kThreads, 0, stream(context)},
         squares_of_block<Capacity>, table, parts);
  launch({"sum_parts", static_cast<unsigned>(table.count), kThreads, 0, stream(context)}, sum_parts<Capacity>, table,
         parts, add, sums);
}

/** Appends a gradient that is not empty. */
template <int Capacity>
void add(Table<Gradient, Capacity>& table, const graft_tensor& g) {
  const Shape shape = shape_of(g);
  if (shape.count > 0) table.add({data<const float>(&g), pitch(&g), shape, 0}, ceil_div(shape.count, kPerBlock));
}

bool is_matrix(const graft_tensor* t) { return t == nullptr || t->rank == 2 || core::is_contiguous(*t); }

std::string refuse_gradient(const graft_tensor& g) {
  return is_matrix(&g) ? refuse_f64(g) : "gaps in a tensor that is no matrix";
}

}  // namespace

ops::AdamWFactors<float> unclipped_factors(const ops::AdamWStep& a) {
  ops::AdamWStep unclipped = a;
  unclipped.squared_norm = nullptr;  // why: the norm is on the device, which makes the factor of it
  return ops::AdamWFactors<float>(unclipped);
}

StepFactors step_factors(core::Context& context, core::Scratch& scratch, const ops::AdamWStep& a, const Rates& rates) {
  StepFactors factors{unclipped_factors(a), nullptr};
  if (a.values.lr == nullptr) return factors;
  auto* made = scratch.take<ops::AdamWFactors<float>>(rates.count);
  launch({"adamw_factors", 1, static_cast<unsigned>(rates.count), 0, stream(context)}, adamw_factors, factors.given,
         rates, a.beta1, a.beta2, a.values, made);
  factors.made = made;
  return factors;
}

std::string refuse(const ops::AdamWSquaredNorm& a) { return refuse_gradient(*a.g); }

void run(core::Context& context, const ops::AdamWSquaredNorm& a) {
  Table<Gradient, 1> table{};
  add(table, *a.g);
  sum_squares(context, table, true, data<double>(a.sum));
}

std::string refuse(const ops::AdamWSquaredNorms& a) {
  std::string refusal;
  for (std::int64_t i = 0; i < a.count && refusal.empty(); ++i) refusal = refuse_gradient(*a.parameters[i].g);
  return refusal;
}

void run(core::Context& context, const ops::AdamWSquaredNorms& a) {
  core::Scratch scratch(context.arena);
  auto* sums = scratch.take<double>(a.count);
  std::int64_t count = 0;
  Table<Gradient, kMostGradients> table{};
  const auto flush = [&] {
    sum_squares(context, table, false, sums + (GRAFT_BUG(adamw_sums_start) ? 0 : count));
    count += table.count;
    table.count = table.blocks = 0;
  };
  for (std::int64_t i = 0; i < a.count; ++i) {
    add(table, *a.parameters[i].g);
    if (table.full()) flush();
  }
  flush();
  launch({"add_to_norm", count > 0 ? 1u : 0u, 1, 0, stream(context)}, add_to_norm, sums, count, data<double>(a.sum));
}

std::string refuse(const ops::AdamWStep& a) {
  for (const graft_tensor* t : {a.g, const_cast<const graft_tensor*>(a.p), const_cast<const graft_tensor*>(a.m),
                                const_cast<const graft_tensor*>(a.v), const_cast<const graft_tensor*>(a.p_out)})
    if (!is_matrix(t)) return "gaps in a tensor that is no matrix";
  if (a.p_out != nullptr && a.p_out->dtype == GRAFT_DTYPE_F64) return refuse_f64(*a.p_out);
  return refuse_f64(*a.p);
}

void run(core::Context& context, const ops::AdamWStep& a) {
  visit(copied_dtype(a, nullptr), [&](auto type) {
    using Out = decltype(type);
    Table<Entry<WideMoments, Out>, 1> table{};
    Rates rates{};
    rates.add(a);
    table.add(entry_of<Out>(a, wide_moments_of(a), nullptr), ceil_div<std::int64_t>(core::elements(*a.p), kThreads));
    move(context, a, table, rates);
  });
}

std::string refuse(const ops::AdamWSteps& a) {
  std::string refusal;
  for (std::int64_t i = 0; i < a.count && refusal.empty(); ++i) {
    a.visit(i, [&](const auto& step) { refusal = refuse(step); });
    if (refusal.empty() && a.parameters[i].w != nullptr) refusal = refuse_f64(*a.parameters[i].original);
  }
  return refusal;
}

void run(core::Context& context, const ops::AdamWSteps& a) {
  for_tables<ops::AdamWStep, kMostParameters>(a, kThreads, wide_moments_of, [&](const auto& table, const Rates& rates) {
    move(context, a.shared(), table, rates);
  });
  run_8bit(context, a);
}

}  // namespace graft::cuda
