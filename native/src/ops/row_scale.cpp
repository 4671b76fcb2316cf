#include "ops/row_scale.h"

#include "core/tensor_check.h"
#include "graft/ops/row_scale.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_scaled(const char* name, const graft_tensor* matrix, const graft_tensor* s) {
  check_tensor(name, matrix);
  check_float(name, *matrix);
  check_shape(name, *matrix, {-1, -1});
  check_tensor("s", s);
  check_float("s", *s);
  check_shape("s", *s, {matrix->shape[0]});
}

}  // namespace

void RowScaleForward::check() const {
  check_scaled("x", x, s);
  check_tensor("y", y);
  check_same_shape("y", *y, "x", *x);
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x, true);
  check_no_overlap("y", y, "s", s);
}

void RowScaleBackward::check() const {
  check_scaled("x", x, s);
  check_tensor("dy", dy);
  check_same_shape("dy", *dy, "x", *x);
  check_dtype("dy", *dy, accumulator_dtype(x->dtype));
  check_optional("dx", dx);
  check_optional("ds", ds);
  if (dx != nullptr) {
    check_same_shape("dx", *dx, "x", *x);
    check_same_dtype("dx", *dx, "dy", *dy);
    check_no_overlap("dx", dx, "dy", dy);
    check_no_overlap("dx", dx, "x", x);
    check_no_overlap("dx", dx, "s", s);
  }
  if (ds == nullptr) return;
  check_shape("ds", *ds, {x->shape[0]});
  check_same_dtype("ds", *ds, "dy", *dy);
  check_no_overlap("ds", ds, "dy", dy);
  check_no_overlap("ds", ds, "x", x);
  check_no_overlap("ds", ds, "s", s);
  check_no_overlap("ds", ds, "dx", dx);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_row_scale_forward(graft_context* context, const graft_tensor* x, const graft_tensor* s,
                                     graft_tensor* y) {
  return core::guard("graft_row_scale_forward", [&] { dispatch(context, ops::RowScaleForward{x, s, y}); });
}

graft_status graft_row_scale_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                      const graft_tensor* s, graft_tensor* dx, graft_tensor* ds) {
  return core::guard("graft_row_scale_backward", [&] { dispatch(context, ops::RowScaleBackward{dy, x, s, dx, ds}); });
}
}
