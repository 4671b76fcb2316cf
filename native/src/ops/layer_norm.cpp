#include "ops/layer_norm.h"

#include "core/tensor_check.h"
#include "graft/ops/layer_norm.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

void check_stats(const graft_tensor& stats, const graft_tensor& x) {
  check_shape("stats", stats, {x.shape[0], 2});
  check_dtype("stats", stats, accumulator_dtype(x.dtype));
}

void check_gradient(const char* name, const graft_tensor* gradient, const graft_tensor& x, const graft_tensor* dx) {
  if (gradient == nullptr) return;
  check_shape(name, *gradient, {x.shape[1]});
  check_dtype(name, *gradient, accumulator_dtype(x.dtype));
  check_no_overlap(name, gradient, "dx", dx);
}

}  // namespace

void LayerNormForward::check() const {
  check_tensor("x", x);
  check_tensor("w", w);
  check_optional("b", b);
  check_tensor("y", y);
  check_optional("stats", stats);
  check_float("x", *x);
  check_float("w", *w);
  check_shape("x", *x, {-1, -1});
  check_shape("w", *w, {x->shape[1]});
  check_same_shape("y", *y, "x", *x);
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x, true);
  check_no_overlap("y", y, "w", w);
  if (b != nullptr) {
    check_float("b", *b);
    check_shape("b", *b, {x->shape[1]});
    check_no_overlap("y", y, "b", b);
  }
  if (!(eps > 0)) fail(GRAFT_INVALID_ARGUMENT, "eps is %g, must be > 0", eps);
  if (stats != nullptr) {
    check_stats(*stats, *x);
    check_no_overlap("stats", stats, "y", y);
    check_no_overlap("stats", stats, "x", x);
  }
}

void LayerNormBackward::check() const {
  check_tensor("dy", dy);
  check_tensor("x", x);
  check_tensor("w", w);
  check_tensor("stats", stats);
  check_optional("dx", dx);
  check_optional("dw", dw);
  check_optional("db", db);
  check_float("x", *x);
  check_float("w", *w);
  check_shape("x", *x, {-1, -1});
  check_same_shape("dy", *dy, "x", *x);
  check_same_dtype("dy", *dy, "x", *x);
  check_shape("w", *w, {x->shape[1]});
  check_stats(*stats, *x);
  if (dx != nullptr) {
    check_same_shape("dx", *dx, "x", *x);
    check_same_dtype("dx", *dx, "x", *x);
    check_no_overlap("dx", dx, "dy", dy, !accumulate);
    check_no_overlap("dx", dx, "x", x);
    check_no_overlap("dx", dx, "w", w);
  }
  for (const auto& [name, gradient] : {std::pair{"dw", dw}, {"db", db}}) {
    check_gradient(name, gradient, *x, dx);
    for (const auto& [input_name, input] : {std::pair{"dy", dy}, {"x", x}, {"w", w}, {"stats", stats}})
      check_no_overlap(name, gradient, input_name, input);
  }
  check_no_overlap("db", db, "dw", dw);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_layer_norm_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w,
                                      const graft_tensor* b, double eps, graft_tensor* y, graft_tensor* stats) {
  return core::guard("graft_layer_norm_forward", [&] {
    dispatch(context, ops::LayerNormForward{x, w, b, eps, y, stats});
  });
}

graft_status graft_layer_norm_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                       const graft_tensor* w, const graft_tensor* stats, int32_t accumulate,
                                       graft_tensor* dx, graft_tensor* dw, graft_tensor* db) {
  return core::guard("graft_layer_norm_backward", [&] {
    dispatch(context, ops::LayerNormBackward{dy, x, w, stats, accumulate != 0, dx, dw, db});
  });
}
}
