#include "ops/adamw.h"

#include <array>
#include <cmath>
#include <initializer_list>

#include "core/error.h"
#include "core/tensor_check.h"
#include "graft/ops/adamw.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

struct Named {
  const char* name;
  const graft_tensor* tensor;
};

void check_master(const char* name, const graft_tensor& tensor) {
  if (tensor.dtype != GRAFT_DTYPE_F32 && tensor.dtype != GRAFT_DTYPE_F64)
    fail(GRAFT_INVALID_ARGUMENT, "%s must be f32 or f64", describe(name, &tensor).c_str());
}

void check_not_negative(const char* name, double value) {
  check_finite(name, value);
  if (value < 0) fail(GRAFT_INVALID_ARGUMENT, "%s is %g, must be >= 0", name, value);
}

void check_decay(const char* name, double value) {
  if (!(value >= 0 && value < 1)) fail(GRAFT_INVALID_ARGUMENT, "%s is %g, must be in [0, 1)", name, value);
}

double clip_factor(const AdamWStep& a) {
  if (a.squared_norm == nullptr || !(a.max_norm > 0)) return 1;
  const double norm = std::sqrt(*static_cast<const double*>(a.squared_norm->data));
  const double factor = a.max_norm / (norm + 1e-6);
  return factor >= 1 ? 1 : factor;  // why not std::min: a norm of NaN must not pass as 1
}

// What all parameters have in common.
void check_numbers(double beta1, double beta2, double eps, std::int64_t step, double max_norm,
                   const graft_tensor* squared_norm) {
  check_optional("squared_norm", squared_norm);
  if (squared_norm != nullptr) {
    check_dtype("squared_norm", *squared_norm, GRAFT_DTYPE_F64);
    check_shape("squared_norm", *squared_norm, {1});
  }
  check_decay("beta1", beta1);
  check_decay("beta2", beta2);
  check_not_negative("eps", eps);
  if (step < 1) fail(GRAFT_INVALID_ARGUMENT, "step is %lld, must be >= 1", static_cast<long long>(step));
  if (std::isnan(max_norm)) fail(GRAFT_INVALID_ARGUMENT, "max_norm is NaN");
}

// What both forms of the step have: all but the types of m and v.
void check_step(const AdamWStep& a, std::initializer_list<Named> moments) {
  check_tensor("g", a.g);
  check_optional("squared_norm", a.squared_norm);
  check_tensor("p", a.p);
  for (const Named& moment : moments) check_tensor(moment.name, moment.tensor);
  check_optional("p_out", a.p_out);
  check_master("g", *a.g);
  check_same_shape("p", *a.p, "g", *a.g);
  if (a.rounds_at_random()) {
    check_dtype("g", *a.g, GRAFT_DTYPE_F32);
    check_contiguous("p", *a.p);
    if (a.p_out != nullptr) fail(GRAFT_INVALID_ARGUMENT, "p_out is given, but p is bf16, which has no other copy");
  } else {
    check_same_dtype("p", *a.p, "g", *a.g);
  }
  std::array<Named, 6> written{{{"p", a.p}}};
  std::size_t count = 1;
  for (const Named& moment : moments) written[count++] = moment;
  if (a.p_out != nullptr) {
    check_float("p_out", *a.p_out);
    check_same_shape("p_out", *a.p_out, "p", *a.p);
    written[count++] = {"p_out", a.p_out};
  }
  for (std::size_t i = 0; i < count; ++i) {
    check_no_overlap(written[i].name, written[i].tensor, "g", a.g);
    check_no_overlap(written[i].name, written[i].tensor, "squared_norm", a.squared_norm);
    for (std::size_t j = 0; j < i; ++j)
      check_no_overlap(written[i].name, written[i].tensor, written[j].name, written[j].tensor);
  }
  check_not_negative("lr", a.lr);
  check_not_negative("weight_decay", a.weight_decay);
  check_numbers(a.beta1, a.beta2, a.eps, a.step, a.max_norm, a.squared_norm);
}

void check_sum(const graft_tensor* sum) {
  check_tensor("sum", sum);
  check_dtype("sum", *sum, GRAFT_DTYPE_F64);
  check_shape("sum", *sum, {1});
}

}  // namespace

void AdamWSquaredNorm::check() const {
  check_tensor("g", g);
  check_master("g", *g);
  check_sum(sum);
  check_no_overlap("sum", sum, "g", g);
}

void AdamWStep::check() const {
  const std::initializer_list<Named> moments{{"m", m}, {"v", v}};
  check_step(*this, moments);
  for (const Named& moment : moments) {
    check_same_shape(moment.name, *moment.tensor, "g", *g);
    check_same_dtype(moment.name, *moment.tensor, "g", *g);
  }
}

void AdamWStep::follow(const StepValues& from, bool readable) {
  if (!readable) {
    values = from;
    return;
  }
  lr *= *from.lr;
  step = from.counters[0];
}

void AdamWStep8Bit::check() const {
  check_step(*this, {{"m", m}, {"m_scale", m_scale}, {"v", v}, {"v_scale", v_scale}});
  const std::int64_t count = elements(*p), blocks = count / GRAFT_ADAMW_BLOCK + (count % GRAFT_ADAMW_BLOCK != 0);
  for (const Named& codes : {Named{"m", m}, {"v", v}}) {
    check_dtype(codes.name, *codes.tensor, GRAFT_DTYPE_U8);
    check_same_shape(codes.name, *codes.tensor, "g", *g);
  }
  for (const Named& scales : {Named{"m_scale", m_scale}, {"v_scale", v_scale}}) {
    check_dtype(scales.name, *scales.tensor, GRAFT_DTYPE_F32);
    check_shape(scales.name, *scales.tensor, {blocks});
  }
  for (const Named& whole : {Named{"g", g}, {"p", p}, {"m", m}, {"v", v}, {"p_out", p_out}})
    if (whole.tensor != nullptr) check_contiguous(whole.name, *whole.tensor);
}

namespace {

void check_table(const graft_adamw_parameter* parameters, std::int64_t count) {
  if (count < 0) fail(GRAFT_INVALID_ARGUMENT, "count is %lld, must be >= 0", static_cast<long long>(count));
  if (parameters == nullptr && count > 0) fail(GRAFT_INVALID_ARGUMENT, "parameters is NULL");
}

// The columns that a parameter goes into, whose step is checked.
void check_columns(const graft_adamw_parameter& of, const PacaWrite& write) {
  if (of.p->dtype == GRAFT_DTYPE_BF16)
    fail(GRAFT_INVALID_ARGUMENT, "%s must be f32 or f64, for it goes into columns of w", describe("p", of.p).c_str());
  if (of.p_out != nullptr) fail(GRAFT_INVALID_ARGUMENT, "p_out is given, but p goes into columns of w");
  write.check();
  check_no_overlap("w", &of.w->storage, "g", of.g);
  for (const Named& moved :
       {Named{"p", of.p}, {"m", of.m}, {"m_scale", of.m_scale}, {"v", of.v}, {"v_scale", of.v_scale}}) {
    check_no_overlap("w", &of.w->storage, moved.name, moved.tensor);
    check_no_overlap(moved.name, moved.tensor, "original", of.original);
    check_no_overlap(moved.name, moved.tensor, "indices", of.indices);
  }
}

/** The arguments with a table of their own. */
template <class Args>
Args with_copy(Args args) {
  args.copy = std::make_shared<const std::vector<graft_adamw_parameter>>(args.parameters, args.parameters + args.count);
  args.parameters = args.copy->data();
  return args;
}

}  // namespace

void AdamWSquaredNorms::check() const {
  check_table(parameters, count);
  check_sum(sum);
  for (std::int64_t i = 0; i < count; ++i) {
    const ElementOf table("parameters", i);
    of(i).check();
  }
}

AdamWSquaredNorms AdamWSquaredNorms::kept() const { return with_copy(*this); }

void AdamWSteps::check() const {
  check_table(parameters, count);
  check_numbers(beta1, beta2, eps, step, max_norm, squared_norm);
  for (std::int64_t i = 0; i < count; ++i) {
    const ElementOf table("parameters", i);
    visit(i, [](const auto& one) { one.check(); });
    if (parameters[i].w == nullptr) continue;
    check_columns(parameters[i], columns(i));
    check_no_overlap("w", &parameters[i].w->storage, "squared_norm", squared_norm);
  }
}

void AdamWSteps::follow(const StepValues& from, bool readable) {
  if (!readable) {
    values = from;
    return;
  }
  lr_factor *= *from.lr;
  step = from.counters[0];
}

const char* AdamWSteps::frozen() const {
  const char* first = count == 0 ? nullptr : values.lr == nullptr ? "lr and step" : nullptr;
  for (std::int64_t i = 0; i < count && first == nullptr; ++i) visit(i, [&](const auto& one) { first = one.frozen(); });
  return first;
}

AdamWSteps AdamWSteps::kept() const { return with_copy(*this); }

template <class C>
AdamWFactors<C>::AdamWFactors(const AdamWStep& a)
    : clip(static_cast<C>(clip_factor(a))),
      beta1(static_cast<C>(a.beta1)),
      beta2(static_cast<C>(a.beta2)),
      rest1(static_cast<C>(1 - a.beta1)),
      rest2(static_cast<C>(1 - a.beta2)),
      keep(static_cast<C>(1 - a.lr * a.weight_decay)),
      rate(static_cast<C>(a.lr / (1 - std::pow(a.beta1, static_cast<double>(a.step))))),
      root(static_cast<C>(1 / std::sqrt(1 - std::pow(a.beta2, static_cast<double>(a.step))))),
      eps(static_cast<C>(a.eps)) {}

template struct AdamWFactors<float>;
template struct AdamWFactors<double>;

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_adamw_squared_norm(graft_context* context, const graft_tensor* g, graft_tensor* sum) {
  return core::guard("graft_adamw_squared_norm", [&] { dispatch(context, ops::AdamWSquaredNorm{g, sum}); });
}

graft_status graft_adamw_step(graft_context* context, const graft_tensor* g, double lr, double beta1, double beta2,
                              double eps, double weight_decay, int64_t step, double max_norm,
                              const graft_tensor* squared_norm, uint64_t seed, graft_tensor* p, graft_tensor* m,
                              graft_tensor* v, graft_tensor* p_out) {
  return core::guard("graft_adamw_step", [&] {
    dispatch(context, ops::AdamWStep{g, lr, beta1, beta2, eps, weight_decay, step, max_norm, squared_norm, seed, p, m,
                                     v, p_out});
  });
}

graft_status graft_adamw_step_8bit(graft_context* context, const graft_tensor* g, double lr, double beta1, double beta2,
                                   double eps, double weight_decay, int64_t step, double max_norm,
                                   const graft_tensor* squared_norm, uint64_t seed, graft_tensor* p, graft_tensor* m,
                                   graft_tensor* m_scale, graft_tensor* v, graft_tensor* v_scale, graft_tensor* p_out) {
  return core::guard("graft_adamw_step_8bit", [&] {
    const ops::AdamWStep plain{g,    lr, beta1, beta2, eps,  weight_decay, step, max_norm, squared_norm,
                               seed, p,  m,     v,     p_out};
    dispatch(context, ops::AdamWStep8Bit{plain, m_scale, v_scale});
  });
}

graft_status graft_adamw_squared_norms(graft_context* context, const graft_adamw_parameter* parameters, int64_t count,
                                       graft_tensor* sum) {
  return core::guard("graft_adamw_squared_norms", [&] {
    dispatch(context, ops::AdamWSquaredNorms{parameters, count, sum});
  });
}

graft_status graft_adamw_steps(graft_context* context, const graft_adamw_parameter* parameters, int64_t count,
                               double beta1, double beta2, double eps, int64_t step, double max_norm,
                               const graft_tensor* squared_norm) {
  return core::guard("graft_adamw_steps", [&] {
    dispatch(context, ops::AdamWSteps{parameters, count, beta1, beta2, eps, step, max_norm, squared_norm});
  });
}
}
