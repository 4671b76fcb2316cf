#include "ops/linear_cross_entropy.h"

#include "core/tensor_check.h"
#include "graft/ops/linear_cross_entropy.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

void LinearCrossEntropyForward::check() const {
  check_tensor("h", h);
  check_dense("w", w);
  check_tensor("labels", labels);
  check_tensor("loss", loss);
  check_optional("count", count);
  check_optional("dh", dh);
  check_optional("dw", dw);
  const graft_tensor matrix = dense_matrix(*w);
  check_float("h", *h);
  check_shape("h", *h, {-1, w->k});
  check_same_dtype("w", matrix, "h", *h);
  check_id("labels", *labels);
  check_shape("labels", *labels, {h->shape[0]});
  check_shape("loss", *loss, {1});
  check_dtype("loss", *loss, accumulator_dtype(h->dtype));
  check_finite("softcap", softcap);
  if (softcap < 0) fail(GRAFT_INVALID_ARGUMENT, "softcap is %g, must be >= 0", softcap);
  check_finite("normalizer", normalizer);
  if (normalizer < 0) fail(GRAFT_INVALID_ARGUMENT, "normalizer is %g, must be >= 0", normalizer);
  check_finite("gradient_scale", gradient_scale);
  for (std::int64_t row = 0; values_known && row < h->shape[0]; ++row)
    if (counts(row) && (label(row) < 0 || label(row) >= w->n))
      fail(GRAFT_INVALID_ARGUMENT, "labels[%lld] is %lld, must be in 0..%lld or %lld to be ignored",
           static_cast<long long>(row), static_cast<long long>(label(row)), static_cast<long long>(w->n - 1),
           static_cast<long long>(ignore_index));
  if (count != nullptr) {
    check_shape("count", *count, {1});
    check_dtype("count", *count, GRAFT_DTYPE_I64);
  }
  if (dh != nullptr) {
    check_same_shape("dh", *dh, "h", *h);
    check_same_dtype("dh", *dh, "h", *h);
  }
  if (dw != nullptr) {
    check_shape("dw", *dw, {w->n, w->k});
    check_dtype("dw", *dw, accumulator_dtype(h->dtype));
  }
  const graft_tensor* const outputs[] = {loss, count, dh, dw};
  const char* const names[] = {"loss", "count", "dh", "dw"};
  for (int n = 0; n < 4; ++n) {
    check_no_overlap(names[n], outputs[n], "h", h);
    check_no_overlap(names[n], outputs[n], "w", &matrix);
    check_no_overlap(names[n], outputs[n], "labels", labels);
    for (int m = 0; m < n; ++m) check_no_overlap(names[n], outputs[n], names[m], outputs[m]);
  }
}

std::int64_t LinearCrossEntropyForward::counted_rows() const {
  std::int64_t rows = 0;
  for (std::int64_t row = 0; row < h->shape[0]; ++row) rows += counts(row) ? 1 : 0;
  return rows;
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_linear_cross_entropy_forward(graft_context* context, const graft_tensor* h, const graft_weight* w,
                                                const graft_tensor* labels, int64_t ignore_index, double softcap,
                                                double normalizer, double gradient_scale, graft_tensor* loss,
                                                graft_tensor* count, graft_tensor* dh, graft_tensor* dw) {
  return core::guard("graft_linear_cross_entropy_forward", [&] {
    dispatch(context, ops::LinearCrossEntropyForward{h, w, labels, ignore_index, softcap, normalizer, gradient_scale,
                                                     loss, count, dh, dw});
  });
}
}
