#include "ops/rms_norm.h"

#include "core/tensor_check.h"
#include "graft/ops/rms_norm.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

void RmsNormForward::check() const {
  check_tensor("x", x);
  check_tensor("w", w);
  check_tensor("y", y);
  check_optional("rstd", rstd);
  check_float("x", *x);
  check_float("w", *w);
  check_shape("x", *x, {-1, -1});
  check_shape("w", *w, {x->shape[1]});
  check_same_shape("y", *y, "x", *x);
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x, true);
  check_no_overlap("y", y, "w", w);
  if (!(eps > 0)) fail(GRAFT_INVALID_ARGUMENT, "eps is %g, must be > 0", eps);
  if (rstd != nullptr) {
    check_shape("rstd", *rstd, {x->shape[0]});
    check_dtype("rstd", *rstd, accumulator_dtype(x->dtype));
    check_no_overlap("rstd", rstd, "y", y);
  }
}

void RmsNormBackward::check() const {
  check_tensor("dy", dy);
  check_tensor("x", x);
  check_tensor("w", w);
  check_tensor("rstd", rstd);
  check_optional("dx", dx);
  check_optional("dw", dw);
  check_float("x", *x);
  check_float("w", *w);
  check_shape("x", *x, {-1, -1});
  check_same_shape("dy", *dy, "x", *x);
  check_same_dtype("dy", *dy, "x", *x);
  check_shape("w", *w, {x->shape[1]});
  check_shape("rstd", *rstd, {x->shape[0]});
  check_dtype("rstd", *rstd, accumulator_dtype(x->dtype));
  if (dx != nullptr) {
    check_same_shape("dx", *dx, "x", *x);
    check_same_dtype("dx", *dx, "x", *x);
    check_no_overlap("dx", dx, "dy", dy, !accumulate);
    check_no_overlap("dx", dx, "x", x);
    check_no_overlap("dx", dx, "w", w);
  }
  if (dw != nullptr) {
    check_shape("dw", *dw, {x->shape[1]});
    check_dtype("dw", *dw, accumulator_dtype(x->dtype));
    for (const auto& [name, other] :
         {std::pair{"dx", static_cast<const graft_tensor*>(dx)}, {"dy", dy}, {"x", x}, {"w", w}, {"rstd", rstd}})
      check_no_overlap("dw", dw, name, other);
  }
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_rms_norm_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w, double eps,
                                    graft_tensor* y, graft_tensor* rstd) {
  return core::guard("graft_rms_norm_forward", [&] { dispatch(context, ops::RmsNormForward{x, w, eps, y, rstd}); });
}

graft_status graft_rms_norm_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                     const graft_tensor* w, const graft_tensor* rstd, int32_t accumulate,
                                     graft_tensor* dx, graft_tensor* dw) {
  return core::guard("graft_rms_norm_backward", [&] {
    dispatch(context, ops::RmsNormBackward{dy, x, w, rstd, accumulate != 0, dx, dw});
  });
}
}
