#include "ops/fourier.h"

#include <cinttypes>

#include "core/float_types.h"
#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_spectrum(const graft_tensor* c, const graft_tensor* places, double scale, std::int64_t n, std::int64_t k) {
  check_tensor("c", c);
  check_float("c", *c);
  check_shape("c", *c, {-1});
  check_tensor("places", places);
  check_id("places", *places);
  check_shape("places", *places, {2, c->shape[0]});
  check_finite("scale", scale);
  for (int row = 0; row < 2 && values_known; ++row) {
    const std::int64_t size = row == 0 ? n : k;
    for (std::int64_t l = 0; l < c->shape[0]; ++l) {
      const std::int64_t place = fourier_place(*places, row, l);
      if (place < 0 || place >= size)
        fail(GRAFT_INVALID_ARGUMENT, "places[%d, %" PRId64 "] is %" PRId64 ", must be in 0..%" PRId64, row, l, place,
             size - 1);
    }
  }
}

void check_activation(const char* name, const graft_tensor* tensor, std::int64_t rows, std::int64_t columns) {
  check_tensor(name, tensor);
  check_float(name, *tensor);
  check_shape(name, *tensor, {rows, columns});
  if (tensor->shape[1] < 1) fail(GRAFT_SHAPE_MISMATCH, "%s has no columns", describe(name, tensor).c_str());
}

}  // namespace

std::int64_t fourier_place(const graft_tensor& places, int row, std::int64_t l) {
  const std::int64_t at = row * places.stride[0] + l;
  return places.dtype == GRAFT_DTYPE_I32 ? static_cast<const std::int32_t*>(places.data)[at]
                                         : static_cast<const std::int64_t*>(places.data)[at];
}

void FourierForward::check() const {
  check_activation("x", x, -1, -1);
  check_activation("y", y, x->shape[0], -1);
  check_same_dtype("y", *y, "x", *x);
  check_spectrum(c, places, scale, y->shape[1], x->shape[1]);
  check_no_overlap("y", y, "x", x);
  check_no_overlap("y", y, "c", c);
  check_no_overlap("y", y, "places", places);
}

void FourierBackward::check() const {
  check_activation("dy", dy, -1, -1);
  if (inputs < 1) fail(GRAFT_INVALID_ARGUMENT, "inputs is %" PRId64 ", must be at least 1", inputs);
  check_spectrum(c, places, scale, dy->shape[1], inputs);
  check_optional("x", x);
  check_optional("dx", dx);
  check_optional("dc", dc);
  if (x != nullptr) {
    check_activation("x", x, dy->shape[0], inputs);
    check_same_dtype("x", *x, "dy", *dy);
  } else if (dc != nullptr) {
    fail(GRAFT_INVALID_ARGUMENT, "x is NULL, but dc is wanted");
  }
  if (dx != nullptr) {
    check_activation("dx", dx, dy->shape[0], inputs);
    check_same_dtype("dx", *dx, "dy", *dy);
  }
  if (dc != nullptr) {
    check_same_shape("dc", *dc, "c", *c);
    check_dtype("dc", *dc, accumulator_dtype(dy->dtype));
  }
  check_no_overlap("dc", dc, "dx", dx);
  for (const auto& [name, tensor] : {std::pair{"dx", dx}, std::pair{"dc", dc}}) {
    check_no_overlap(name, tensor, "dy", dy);
    check_no_overlap(name, tensor, "x", x);
    check_no_overlap(name, tensor, "c", c);
    check_no_overlap(name, tensor, "places", places);
  }
}

void FourierMerge::check() const {
  check_merged("w", w, merged);
  check_spectrum(c, places, scale, w->n, w->k);
  check_no_overlap("merged", merged, "c", c);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_fourier_forward(graft_context* context, const graft_tensor* x, const graft_tensor* c,
                                   const graft_tensor* places, double scale, int32_t accumulate, graft_tensor* y) {
  return core::guard("graft_fourier_forward", [&] {
    dispatch(context, ops::FourierForward{x, c, places, scale, accumulate != 0, y});
  });
}

graft_status graft_fourier_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                    const graft_tensor* c, const graft_tensor* places, double scale, int64_t inputs,
                                    int32_t accumulate, graft_tensor* dx, graft_tensor* dc) {
  return core::guard("graft_fourier_backward", [&] {
    dispatch(context, ops::FourierBackward{dy, x, c, places, scale, inputs, accumulate != 0, dx, dc});
  });
}

graft_status graft_fourier_merge(graft_context* context, const graft_weight* w, const graft_tensor* c,
                                 const graft_tensor* places, double scale, graft_tensor* merged) {
  return core::guard("graft_fourier_merge", [&] { dispatch(context, ops::FourierMerge{w, c, places, scale, merged}); });
}
}
