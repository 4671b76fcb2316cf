#include "ops/adamw.h"

#include <cmath>

#include "core/error.h"
#include "core/tensor_check.h"
#include "graft/ops/adamw.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

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

}  // namespace

void AdamWSquaredNorm::check() const {
  check_tensor("g", g);
  check_tensor("sum", sum);
  check_master("g", *g);
  check_dtype("sum", *sum, GRAFT_DTYPE_F64);
  check_shape("sum", *sum, {1});
  check_no_overlap("sum", sum, "g", g);
}

void AdamWStep::check() const {
  check_tensor("g", g);
  check_optional("squared_norm", squared_norm);
  check_tensor("p", p);
  check_tensor("m", m);
  check_tensor("v", v);
  check_optional("p_out", p_out);
  check_master("g", *g);
  const struct {
    const char* name;
    const graft_tensor* tensor;
  } states[] = {{"p", p}, {"m", m}, {"v", v}};
  for (const auto& state : states) {
    check_same_shape(state.name, *state.tensor, "g", *g);
    check_same_dtype(state.name, *state.tensor, "g", *g);
    check_no_overlap(state.name, state.tensor, "g", g);
    check_no_overlap(state.name, state.tensor, "squared_norm", squared_norm);
  }
  check_no_overlap("m", m, "p", p);
  check_no_overlap("v", v, "p", p);
  check_no_overlap("v", v, "m", m);
  if (p_out != nullptr) {
    check_float("p_out", *p_out);
    check_same_shape("p_out", *p_out, "p", *p);
    check_no_overlap("p_out", p_out, "g", g);
    check_no_overlap("p_out", p_out, "squared_norm", squared_norm);
    for (const auto& state : states) check_no_overlap("p_out", p_out, state.name, state.tensor);
  }
  if (squared_norm != nullptr) {
    check_dtype("squared_norm", *squared_norm, GRAFT_DTYPE_F64);
    check_shape("squared_norm", *squared_norm, {1});
  }
  check_not_negative("lr", lr);
  check_decay("beta1", beta1);
  check_decay("beta2", beta2);
  check_not_negative("eps", eps);
  check_not_negative("weight_decay", weight_decay);
  if (step < 1) fail(GRAFT_INVALID_ARGUMENT, "step is %lld, must be >= 1", static_cast<long long>(step));
  if (std::isnan(max_norm)) fail(GRAFT_INVALID_ARGUMENT, "max_norm is NaN");
}

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
                              const graft_tensor* squared_norm, graft_tensor* p, graft_tensor* m, graft_tensor* v,
                              graft_tensor* p_out) {
  return core::guard("graft_adamw_step", [&] {
    dispatch(context,
             ops::AdamWStep{g, lr, beta1, beta2, eps, weight_decay, step, max_norm, squared_norm, p, m, v, p_out});
  });
}
}
