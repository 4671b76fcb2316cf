#include "ops/activation.h"

#include "core/error.h"
#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

void check_kind(std::int32_t kind) {
  if (kind < GRAFT_ACTIVATION_RELU || kind > GRAFT_ACTIVATION_SIGMOID)
    fail(GRAFT_INVALID_ARGUMENT, "kind is %d, must be 0 (relu), 1 (tanh) or 2 (sigmoid)", kind);
}

/** `tensor` is as `other` is, and shares no memory with it but all of it. */
void check_like(const char* name, const graft_tensor& tensor, const char* other_name, const graft_tensor& other) {
  check_same_shape(name, tensor, other_name, other);
  check_same_dtype(name, tensor, other_name, other);
  check_no_overlap(name, &tensor, other_name, &other, true);
}

}  // namespace

void ActivationForward::check() const {
  check_tensor("x", x);
  check_tensor("y", y);
  check_kind(kind);
  check_float("x", *x);
  check_shape("x", *x, {-1, -1});
  check_like("y", *y, "x", *x);
}

void ActivationBackward::check() const {
  check_tensor("dy", dy);
  check_tensor("y", y);
  check_tensor("dx", dx);
  check_kind(kind);
  check_float("dy", *dy);
  check_shape("dy", *dy, {-1, -1});
  check_same_shape("y", *y, "dy", *dy);
  check_same_dtype("y", *y, "dy", *dy);
  check_like("dx", *dx, "dy", *dy);
  check_like("dx", *dx, "y", *y);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_activation_forward(graft_context* context, int32_t kind, const graft_tensor* x, graft_tensor* y) {
  return core::guard("graft_activation_forward", [&] { dispatch(context, ops::ActivationForward{kind, x, y}); });
}

graft_status graft_activation_backward(graft_context* context, int32_t kind, const graft_tensor* dy,
                                       const graft_tensor* y, graft_tensor* dx) {
  return core::guard("graft_activation_backward", [&] { dispatch(context, ops::ActivationBackward{kind, dy, y, dx}); });
}
}
