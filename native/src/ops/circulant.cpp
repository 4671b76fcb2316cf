#include "ops/circulant.h"

#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_kernel(const graft_tensor* w, double scale) {
  check_tensor("w", w);
  check_float("w", *w);
  check_shape("w", *w, {-1, -1, -1});
  for (int i = 0; i < 3; ++i)
    if (w->shape[i] < 1) fail(GRAFT_SHAPE_MISMATCH, "%s, no size may be 0", describe("w", w).c_str());
  check_contiguous("w", *w);
  check_finite("scale", scale);
}

void check_activation(const char* name, const graft_tensor* tensor, std::int64_t rows, std::int64_t columns) {
  check_tensor(name, tensor);
  check_float(name, *tensor);
  check_shape(name, *tensor, {rows, columns});
}

std::int64_t outputs(const graft_tensor& w) { return w.shape[0] * w.shape[2]; }
std::int64_t inputs(const graft_tensor& w) { return w.shape[1] * w.shape[2]; }

}  // namespace

void CirculantForward::check() const {
  check_kernel(w, scale);
  check_activation("x", x, -1, inputs(*w));
  check_activation("y", y, x->shape[0], outputs(*w));
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x);
  check_no_overlap("y", y, "w", w);
}

void CirculantBackward::check() const {
  check_kernel(w, scale);
  check_activation("dy", dy, -1, outputs(*w));
  check_optional("x", x);
  check_optional("dx", dx);
  check_optional("dw", dw);
  if (x != nullptr) {
    check_activation("x", x, dy->shape[0], inputs(*w));
    check_same_dtype("x", *x, "dy", *dy);
  } else if (dw != nullptr) {
    fail(GRAFT_INVALID_ARGUMENT, "x is NULL, but dw is wanted");
  }
  if (dx != nullptr) {
    check_activation("dx", dx, dy->shape[0], inputs(*w));
    check_same_dtype("dx", *dx, "dy", *dy);
  }
  if (dw != nullptr) {
    check_same_shape("dw", *dw, "w", *w);
    check_dtype("dw", *dw, accumulator_dtype(dy->dtype));
    check_contiguous("dw", *dw);
  }
  check_no_overlap("dw", dw, "dx", dx);
  for (const auto& [name, tensor] : {std::pair{"dx", dx}, std::pair{"dw", dw}}) {
    check_no_overlap(name, tensor, "dy", dy);
    check_no_overlap(name, tensor, "x", x);
    check_no_overlap(name, tensor, "w", w);
  }
}

void CirculantMerge::check() const {
  check_kernel(w, scale);
  check_dense("weight", weight);
  if (weight->n != outputs(*w) || weight->k != inputs(*w))
    fail(GRAFT_SHAPE_MISMATCH, "weight is [%lld, %lld], but %s makes [%lld, %lld]", static_cast<long long>(weight->n),
         static_cast<long long>(weight->k), describe("w", w).c_str(), static_cast<long long>(outputs(*w)),
         static_cast<long long>(inputs(*w)));
  check_merged("weight", weight, merged);
  check_no_overlap("merged", merged, "w", w);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_circulant_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w, double scale,
                                     int32_t accumulate, graft_tensor* y) {
  return core::guard("graft_circulant_forward", [&] {
    dispatch(context, ops::CirculantForward{x, w, scale, accumulate != 0, y});
  });
}

graft_status graft_circulant_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                      const graft_tensor* w, double scale, int32_t accumulate, graft_tensor* dx,
                                      graft_tensor* dw) {
  return core::guard("graft_circulant_backward", [&] {
    dispatch(context, ops::CirculantBackward{dy, x, w, scale, accumulate != 0, dx, dw});
  });
}

graft_status graft_circulant_merge(graft_context* context, const graft_weight* weight, const graft_tensor* w,
                                   double scale, graft_tensor* merged) {
  return core::guard("graft_circulant_merge", [&] {
    dispatch(context, ops::CirculantMerge{weight, w, scale, merged});
  });
}
}
