#include "ops/gelu.h"

#include "core/tensor_check.h"
#include "graft/ops/gelu.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

void check_kind(std::int32_t kind) {
  if (kind < GRAFT_GELU_TANH || kind > GRAFT_GELU_ERF)
    fail(GRAFT_INVALID_ARGUMENT, "kind is %d, must be 0 (tanh) or 1 (erf)", kind);
}

}  // namespace

void GeluForward::check() const {
  check_tensor("x", x);
  check_tensor("y", y);
  check_kind(kind);
  check_float("x", *x);
  check_shape("x", *x, {-1, -1});
  check_same_shape("y", *y, "x", *x);
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x, true);
}

void GeluBackward::check() const {
  check_tensor("dy", dy);
  check_tensor("x", x);
  check_tensor("dx", dx);
  check_kind(kind);
  check_float("x", *x);
  check_shape("x", *x, {-1, -1});
  check_same_shape("dy", *dy, "x", *x);
  check_same_dtype("dy", *dy, "x", *x);
  check_same_shape("dx", *dx, "x", *x);
  check_same_dtype("dx", *dx, "x", *x);
  check_no_overlap("dx", dx, "dy", dy, true);
  check_no_overlap("dx", dx, "x", x, true);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_gelu_forward(graft_context* context, int32_t kind, const graft_tensor* x, graft_tensor* y) {
  return core::guard("graft_gelu_forward", [&] { dispatch(context, ops::GeluForward{kind, x, y}); });
}

graft_status graft_gelu_backward(graft_context* context, int32_t kind, const graft_tensor* dy, const graft_tensor* x,
                                 graft_tensor* dx) {
  return core::guard("graft_gelu_backward", [&] { dispatch(context, ops::GeluBackward{kind, dy, x, dx}); });
}
}
