#include "ops/linear.h"

#include "core/tensor_check.h"
#include "graft/ops/linear.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

void check_layer_forward(const graft_tensor* x, const graft_weight* w, const graft_tensor* bias,
                         const graft_tensor* y) {
  check_tensor("x", x);
  check_weight("w", w);
  check_optional("bias", bias);
  check_tensor("y", y);
  check_shape("x", *x, {-1, w->k});
  check_served_dtype("x", *x, "w", *w);
  check_shape("y", *y, {x->shape[0], w->n});
  check_no_overlap("y", y, "x", x);
  check_no_overlap("y", y, "w", w);
  if (bias == nullptr) return;
  check_float("bias", *bias);
  check_shape("bias", *bias, {w->n});
  check_no_overlap("y", y, "bias", bias);
}

void check_layer_backward(const graft_tensor* dy, const graft_tensor* x, const graft_weight* w, const graft_tensor* dx,
                          const graft_tensor* dbias, const char* name, const graft_tensor* wanted) {
  check_tensor("dy", dy);
  check_optional("x", x);
  check_weight("w", w);
  check_optional("dx", dx);
  check_optional("dbias", dbias);
  check_optional(name, wanted);
  check_shape("dy", *dy, {-1, w->n});
  check_served_dtype("dy", *dy, "w", *w);
  if (x != nullptr) {
    check_shape("x", *x, {dy->shape[0], w->k});
    check_same_dtype("x", *x, "dy", *dy);
  } else if (wanted != nullptr) {
    fail(GRAFT_INVALID_ARGUMENT, "x is NULL, but %s is wanted", name);
  }
  if (dx != nullptr) {
    check_shape("dx", *dx, {dy->shape[0], w->k});
    check_same_dtype("dx", *dx, "dy", *dy);
    check_no_overlap("dx", dx, "dy", dy);
    check_no_overlap("dx", dx, "x", x);
    check_no_overlap("dx", dx, "w", w);
  }
  if (dbias != nullptr) {
    check_shape("dbias", *dbias, {w->n});
    check_dtype("dbias", *dbias, accumulator_dtype(dy->dtype));
    check_no_overlap("dbias", dbias, "dy", dy);
    check_no_overlap("dbias", dbias, "dx", dx);
  }
}

void LinearForward::check() const {
  check_layer_forward(x, w, bias, y);
  const bool wider = y->dtype == GRAFT_DTYPE_F32 && (x->dtype == GRAFT_DTYPE_BF16 || x->dtype == GRAFT_DTYPE_F16);
  if (!wider) check_same_dtype("y", *y, "x", *x);
}

void LinearBackward::check() const {
  check_layer_backward(dy, x, w, dx, dbias, "dw", dw);
  if (dw == nullptr) return;
  if (w->kind == GRAFT_WEIGHT_SKETCH)
    fail(GRAFT_UNSUPPORTED, "dw is wanted, but w is a sketch: graft_sketch_table_gradient gives its table's gradient");
  if (w->kind != GRAFT_WEIGHT_DENSE)
    fail(GRAFT_UNSUPPORTED, "dw is wanted, but w is %s, whose codes have no gradient", kind_name(w->kind));
  check_shape("dw", *dw, {w->n, w->k});
  check_dtype("dw", *dw, accumulator_dtype(dy->dtype));
  check_no_overlap("dw", dw, "dy", dy);
  check_no_overlap("dw", dw, "x", x);
  check_no_overlap("dw", dw, "w", w);
  check_no_overlap("dw", dw, "dx", dx);
  check_no_overlap("dbias", dbias, "dw", dw);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_linear_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                  const graft_tensor* bias, int32_t accumulate, graft_tensor* y) {
  return core::guard("graft_linear_forward", [&] {
    dispatch(context, ops::LinearForward{x, w, bias, accumulate != 0, y});
  });
}

graft_status graft_linear_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                   const graft_weight* w, int32_t accumulate, graft_tensor* dx, graft_tensor* dw,
                                   graft_tensor* dbias) {
  return core::guard("graft_linear_backward", [&] {
    dispatch(context, ops::LinearBackward{dy, x, w, accumulate != 0, dx, dw, dbias});
  });
}
}
