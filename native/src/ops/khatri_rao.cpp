#include "ops/khatri_rao.h"

#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_factors(const graft_tensor* u, const graft_tensor* v, bool columns) {
  check_tensor("u", u);
  check_float("u", *u);
  check_shape("u", *u, {-1, -1});
  check_tensor("v", v);
  check_same_dtype("v", *v, "u", *u);
  if (columns) {
    check_shape("v", *v, {u->shape[0], -1});
  } else {
    check_shape("v", *v, {-1, u->shape[1]});
  }
}

void check_product(const char* name, const graft_tensor* product, const graft_tensor* u, const graft_tensor* v,
                   bool columns) {
  check_tensor(name, product);
  check_float(name, *product);
  if (columns) {
    check_shape(name, *product, {u->shape[0], u->shape[1] * v->shape[1]});
  } else {
    check_shape(name, *product, {u->shape[0] * v->shape[0], u->shape[1]});
  }
}

}  // namespace

void KhatriRaoForward::check() const {
  check_factors(u, v, columns);
  check_product("y", y, u, v, columns);
  check_no_overlap("y", y, "u", u);
  check_no_overlap("y", y, "v", v);
}

void KhatriRaoBackward::check() const {
  check_factors(u, v, columns);
  check_product("dy", dy, u, v, columns);
  check_dtype("dy", *dy, accumulator_dtype(u->dtype));
  check_no_overlap("du", du, "dv", dv);
  const struct {
    const char* name;
    const graft_tensor* tensor;
    const graft_tensor* like;
  } outputs[] = {{"du", du, u}, {"dv", dv, v}};
  for (const auto& [name, tensor, like] : outputs) {
    check_optional(name, tensor);
    if (tensor == nullptr) continue;
    check_same_shape(name, *tensor, "its factor", *like);
    check_same_dtype(name, *tensor, "dy", *dy);
    check_no_overlap(name, tensor, "dy", dy);
    check_no_overlap(name, tensor, "u", u);
    check_no_overlap(name, tensor, "v", v);
  }
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_khatri_rao_forward(graft_context* context, const graft_tensor* u, const graft_tensor* v,
                                      int32_t columns, graft_tensor* y) {
  return core::guard("graft_khatri_rao_forward", [&] {
    dispatch(context, ops::KhatriRaoForward{u, v, columns != 0, y});
  });
}

graft_status graft_khatri_rao_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* u,
                                       const graft_tensor* v, int32_t columns, graft_tensor* du, graft_tensor* dv) {
  return core::guard("graft_khatri_rao_backward", [&] {
    dispatch(context, ops::KhatriRaoBackward{dy, u, v, columns != 0, du, dv});
  });
}
}
