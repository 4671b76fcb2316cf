#include "ops/swiglu.h"

#include "core/tensor_check.h"
#include "graft/ops/swiglu.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

void check_kind(std::int32_t kind) {
  if (kind < GRAFT_GLU_SILU || kind > GRAFT_GLU_GELU_TANH)
    fail(GRAFT_INVALID_ARGUMENT, "kind is %d, must be 0 (silu) or 1 (gelu)", kind);
}

void check_like(const char* name, const graft_tensor& tensor, const char* other_name, const graft_tensor& other) {
  check_same_shape(name, tensor, other_name, other);
  check_same_dtype(name, tensor, other_name, other);
}

}  // namespace

void SwigluForward::check() const {
  check_tensor("gate", gate);
  check_tensor("up", up);
  check_tensor("y", y);
  check_kind(kind);
  check_float("gate", *gate);
  check_shape("gate", *gate, {-1, -1});
  check_like("up", *up, "gate", *gate);
  check_like("y", *y, "gate", *gate);
  check_no_overlap("y", y, "gate", gate, true);
  check_no_overlap("y", y, "up", up, true);
}

void SwigluBackward::check() const {
  check_tensor("dy", dy);
  check_tensor("gate", gate);
  check_tensor("up", up);
  check_optional("dgate", dgate);
  check_optional("dup", dup);
  check_kind(kind);
  check_float("gate", *gate);
  check_shape("gate", *gate, {-1, -1});
  check_like("up", *up, "gate", *gate);
  check_like("dy", *dy, "gate", *gate);
  if (dgate != nullptr) {
    check_like("dgate", *dgate, "gate", *gate);
    check_no_overlap("dgate", dgate, "dy", dy);
    check_no_overlap("dgate", dgate, "gate", gate, true);
    check_no_overlap("dgate", dgate, "up", up);
  }
  if (dup != nullptr) {
    check_like("dup", *dup, "gate", *gate);
    check_no_overlap("dup", dup, "dy", dy);
    check_no_overlap("dup", dup, "gate", gate);
    check_no_overlap("dup", dup, "up", up, true);
    check_no_overlap("dup", dup, "dgate", dgate);
  }
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_swiglu_forward(graft_context* context, int32_t kind, const graft_tensor* gate,
                                  const graft_tensor* up, graft_tensor* y) {
  return core::guard("graft_swiglu_forward", [&] { dispatch(context, ops::SwigluForward{kind, gate, up, y}); });
}

graft_status graft_swiglu_backward(graft_context* context, int32_t kind, const graft_tensor* dy,
                                   const graft_tensor* gate, const graft_tensor* up, graft_tensor* dgate,
                                   graft_tensor* dup) {
  return core::guard("graft_swiglu_backward", [&] {
    dispatch(context, ops::SwigluBackward{kind, dy, gate, up, dgate, dup});
  });
}
}
