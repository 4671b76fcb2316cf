#include "ops/sketch_compress.h"

#include <cmath>

#include "core/float_types.h"
#include "core/tensor_check.h"
#include "graft/ops/sketch_compress.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_wide(const char* name, const graft_tensor& tensor) {
  if (tensor.dtype != GRAFT_DTYPE_F64) check_dtype(name, tensor, GRAFT_DTYPE_F32);
}

void check_order(const graft_tensor* order, std::int64_t k) {
  check_tensor("order", order);
  check_dtype("order", *order, GRAFT_DTYPE_I32);
  check_shape("order", *order, {k});
}

// Calls body(value, row, column) for each element, where the host sees them.
template <class Body>
void for_values(const graft_tensor& matrix, Body&& body) {
  if (!values_known) return;
  visit_float(matrix.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t i = 0; i < matrix.shape[0]; ++i)
      for (std::int64_t j = 0; j < matrix.shape[1]; ++j)
        body(static_cast<double>(static_cast<const T*>(matrix.data)[i * matrix.stride[0] + j]), i, j);
  });
}

}  // namespace

void SketchCompressFactor::check() const {
  check_tensor("h", h);
  check_tensor("r", r);
  check_wide("h", *h);
  check_shape("h", *h, {-1, -1});
  const std::int64_t k = h->shape[0];
  check_shape("h", *h, {k, k});
  check_same_dtype("r", *r, "h", *h);
  check_shape("r", *r, {k, k});
  check_order(order, k);
  check_finite("damping", damping);
  if (damping < 0) fail(GRAFT_INVALID_ARGUMENT, "damping is %g, must not be negative", damping);
  check_no_overlap("r", r, "h", h);
  check_no_overlap("order", order, "h", h);
  check_no_overlap("order", order, "r", r);
  graft_tensor diagonal = *h;
  diagonal.shape[1] = 1, diagonal.stride[0] += 1;
  if (k > 0)
    for_values(diagonal, [](double value, std::int64_t i, std::int64_t) {
      if (!(value >= 0 && std::isfinite(value)))
        fail(GRAFT_INVALID_ARGUMENT, "h has %g at [%lld, %lld], must not be negative", value, static_cast<long long>(i),
             static_cast<long long>(i));
    });
}

void SketchCompressMatrix::check() const {
  check_weight("w", w);
  if (w->kind != GRAFT_WEIGHT_SKETCH) fail(GRAFT_INVALID_ARGUMENT, "w is %s, must be a sketch", kind_name(w->kind));
  check_wide("w's table", w->table);
  check_tensor("matrix", matrix);
  check_float("matrix", *matrix);
  check_shape("matrix", *matrix, {w->n, w->k});
  check_no_overlap("matrix", matrix, "w", w);
  check_optional("order", order);
  check_optional("r", r);
  check_optional("loss", loss);
  if ((order == nullptr) != (r == nullptr))
    fail(GRAFT_INVALID_ARGUMENT, "%s, but %s: give both or neither", describe("order", order).c_str(),
         describe("r", r).c_str());
  if (r != nullptr) {
    check_wide("r", *r);
    check_shape("r", *r, {w->k, w->k});
    if (w->table.dtype == GRAFT_DTYPE_F64) check_dtype("r", *r, GRAFT_DTYPE_F64);
    check_order(order, w->k);
    check_ids("order", *order, w->k);
    check_different("order", *order);
    check_no_overlap("r", r, "w", w);
    check_no_overlap("order", order, "w", w);
  }
  if (!(exponent >= 0 && exponent <= 16)) fail(GRAFT_INVALID_ARGUMENT, "exponent is %g, must be in 0..16", exponent);
  if (loss != nullptr) {
    check_dtype("loss", *loss, GRAFT_DTYPE_F32);
    check_shape("loss", *loss, {w->n});
    check_no_overlap("loss", loss, "matrix", matrix);
    check_no_overlap("loss", loss, "r", r);
    check_no_overlap("loss", loss, "order", order);
    check_no_overlap("loss", loss, "w", w);
  }
  for_values(*matrix, [](double value, std::int64_t i, std::int64_t j) {
    if (!std::isfinite(value))
      fail(GRAFT_INVALID_ARGUMENT, "matrix has %g at [%lld, %lld], must be finite", value, static_cast<long long>(i),
           static_cast<long long>(j));
  });
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_sketch_compress_factor(graft_context* context, const graft_tensor* h, double damping,
                                          int32_t by_diagonal, graft_tensor* order, graft_tensor* r) {
  return core::guard("graft_sketch_compress_factor", [&] {
    dispatch(context, ops::SketchCompressFactor{h, damping, by_diagonal != 0, order, r});
  });
}

graft_status graft_sketch_compress_matrix(graft_context* context, const graft_tensor* matrix, const graft_tensor* order,
                                          const graft_tensor* r, double exponent, graft_weight* w, graft_tensor* loss) {
  return core::guard("graft_sketch_compress_matrix", [&] {
    dispatch(context, ops::SketchCompressMatrix{matrix, order, r, exponent, w, loss});
  });
}
}
