#include "ops/paca.h"

#include "core/error.h"
#include "core/float_types.h"
#include "core/tensor_check.h"
#include "graft/ops/paca.h"
#include "ops/dispatch.h"
#include "ops/linear.h"

namespace graft::ops {
using namespace core;

namespace {

void check_indices(const graft_tensor& indices, std::int64_t k) {
  check_id("indices", indices);
  check_shape("indices", indices, {-1});
  check_ids("indices", indices, k);
}

void check_kept_forward(const graft_tensor* x, const graft_weight* w, const graft_tensor* indices,
                        const graft_tensor* bias, const graft_tensor* y, const graft_tensor* x_i) {
  check_tensor("indices", indices);
  check_optional("x_i", x_i);
  check_layer_forward(x, w, bias, y);
  check_same_dtype("y", *y, "x", *x);
  check_indices(*indices, w->k);
  check_no_overlap("y", y, "indices", indices);
  if (x_i == nullptr) return;
  check_shape("x_i", *x_i, {x->shape[0], indices->shape[0]});
  check_same_dtype("x_i", *x_i, "x", *x);
  check_no_overlap("x_i", x_i, "x", x);
  check_no_overlap("x_i", x_i, "y", y);
  check_no_overlap("x_i", x_i, "w", &w->storage);
  check_no_overlap("x_i", x_i, "bias", bias);
  check_no_overlap("x_i", x_i, "indices", indices);
}

void check_kept_backward(const graft_tensor* dy, const graft_tensor* x_i, const graft_weight* w, double scale,
                         const graft_tensor* dx, const graft_tensor* dd, const graft_tensor* dbias) {
  check_optional("x_i", x_i);
  check_layer_backward(dy, nullptr, w, dx, dbias, "dd", nullptr);
  check_optional("dd", dd);
  check_finite("scale", scale);
  if (x_i != nullptr) {
    check_shape("x_i", *x_i, {dy->shape[0], -1});
    check_same_dtype("x_i", *x_i, "dy", *dy);
    check_no_overlap("dx", dx, "x_i", x_i);
    check_no_overlap("dbias", dbias, "x_i", x_i);
  }
  if (dd == nullptr) return;
  if (x_i == nullptr) fail(GRAFT_INVALID_ARGUMENT, "x_i is NULL, but dd is wanted");
  check_shape("dd", *dd, {w->n, x_i->shape[1]});
  check_dtype("dd", *dd, accumulator_dtype(dy->dtype));
  check_no_overlap("dd", dd, "dy", dy);
  check_no_overlap("dd", dd, "x_i", x_i);
  check_no_overlap("dd", dd, "w", &w->storage);
  check_no_overlap("dd", dd, "dx", dx);
  check_no_overlap("dd", dd, "dbias", dbias);
}

void check_slab(const graft_tensor* d, const graft_weight* w, const graft_tensor* indices) {
  check_tensor("d", d);
  check_float("d", *d);
  check_shape("d", *d, {w->n, indices->shape[0]});
}

}  // namespace

void PacaForward::check() const {
  check_kept_forward(x, w, indices, bias, y, x_i);
  check_dense("w", w);
}

void PacaBackward::check() const {
  check_kept_backward(dy, x_i, w, scale, dx, dd, dbias);
  check_dense("w", w);
}

void PacaSlabForward::check() const {
  check_kept_forward(x, w, indices, bias, y, x_i);
  check_slab(d, w, indices);
  check_finite("scale", scale);
  check_no_overlap("y", y, "d", d);
  check_no_overlap("x_i", x_i, "d", d);
}

void PacaSlabBackward::check() const {
  check_tensor("indices", indices);
  check_kept_backward(dy, x_i, w, scale, dx, dd, dbias);
  check_indices(*indices, w->k);
  check_slab(d, w, indices);
  if (x_i != nullptr) check_shape("x_i", *x_i, {dy->shape[0], indices->shape[0]});
  check_no_overlap("dx", dx, "d", d);
  check_no_overlap("dx", dx, "indices", indices);
  check_no_overlap("dd", dd, "d", d);
  check_no_overlap("dd", dd, "indices", indices);
  check_no_overlap("dbias", dbias, "d", d);
}

void PacaRead::check() const {
  check_dense("w", w);
  check_tensor("indices", indices);
  check_tensor("columns", columns);
  check_indices(*indices, w->k);
  check_shape("columns", *columns, {w->n, indices->shape[0]});
  check_same_dtype("columns", *columns, "w", w->storage);
  check_no_overlap("columns", columns, "w", &w->storage);
  check_no_overlap("columns", columns, "indices", indices);
}

void PacaWrite::check() const {
  check_dense("w", w);
  check_tensor("indices", indices);
  check_tensor("original", original);
  check_optional("d", d);
  check_indices(*indices, w->k);
  check_different("indices", *indices);
  check_finite("scale", scale);
  check_shape("original", *original, {w->n, indices->shape[0]});
  check_same_dtype("original", *original, "w", w->storage);
  check_no_overlap("w", &w->storage, "original", original);
  check_no_overlap("w", &w->storage, "indices", indices);
  if (d == nullptr) return;
  check_float("d", *d);
  check_shape("d", *d, {w->n, indices->shape[0]});
  check_no_overlap("w", &w->storage, "d", d);
}

void PacaColumnNorms::check() const {
  check_dense("w", w);
  check_tensor("norms", norms);
  check_shape("norms", *norms, {w->k});
  check_dtype("norms", *norms, accumulator_dtype(w->storage.dtype));
  check_no_overlap("norms", norms, "w", &w->storage);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_paca_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                const graft_tensor* indices, const graft_tensor* bias, int32_t accumulate,
                                graft_tensor* y, graft_tensor* x_i) {
  return core::guard("graft_paca_forward", [&] {
    dispatch(context, ops::PacaForward{x, w, indices, bias, accumulate != 0, y, x_i});
  });
}

graft_status graft_paca_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x_i,
                                 const graft_weight* w, double scale, int32_t accumulate, graft_tensor* dx,
                                 graft_tensor* dd, graft_tensor* dbias) {
  return core::guard("graft_paca_backward", [&] {
    dispatch(context, ops::PacaBackward{dy, x_i, w, scale, accumulate != 0, dx, dd, dbias});
  });
}

graft_status graft_paca_slab_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                     const graft_tensor* indices, const graft_tensor* d, double scale,
                                     const graft_tensor* bias, int32_t accumulate, graft_tensor* y, graft_tensor* x_i) {
  return core::guard("graft_paca_slab_forward", [&] {
    dispatch(context, ops::PacaSlabForward{x, w, indices, d, scale, bias, accumulate != 0, y, x_i});
  });
}

graft_status graft_paca_slab_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x_i,
                                      const graft_weight* w, const graft_tensor* indices, const graft_tensor* d,
                                      double scale, int32_t accumulate, graft_tensor* dx, graft_tensor* dd,
                                      graft_tensor* dbias) {
  return core::guard("graft_paca_slab_backward", [&] {
    dispatch(context, ops::PacaSlabBackward{dy, x_i, w, indices, d, scale, accumulate != 0, dx, dd, dbias});
  });
}

graft_status graft_paca_read(graft_context* context, const graft_weight* w, const graft_tensor* indices,
                             graft_tensor* columns) {
  return core::guard("graft_paca_read", [&] { dispatch(context, ops::PacaRead{w, indices, columns}); });
}

graft_status graft_paca_write(graft_context* context, const graft_tensor* d, const graft_tensor* original,
                              const graft_tensor* indices, double scale, graft_weight* w) {
  return core::guard("graft_paca_write", [&] { dispatch(context, ops::PacaWrite{d, original, indices, scale, w}); });
}

graft_status graft_paca_column_norms(graft_context* context, const graft_weight* w, graft_tensor* norms) {
  return core::guard("graft_paca_column_norms", [&] { dispatch(context, ops::PacaColumnNorms{w, norms}); });
}
}
