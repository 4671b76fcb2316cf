#include "ops/nf4.h"

#include "core/tensor_check.h"
#include "graft/ops/nf4.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_pair(const graft_weight* w, const graft_tensor* matrix) {
  check_weight("w", w);
  if (w->kind != GRAFT_WEIGHT_NF4) fail(GRAFT_INVALID_ARGUMENT, "w is %s, must be NF4", kind_name(w->kind));
  check_tensor("matrix", matrix);
  check_float("matrix", *matrix);
  check_shape("matrix", *matrix, {w->n, w->k});
  check_no_overlap("matrix", matrix, "w", w);
}

}  // namespace

void Nf4Quantize::check() const { check_pair(w, matrix); }
void Nf4Dequantize::check() const { check_pair(w, matrix); }

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_nf4_quantize(graft_context* context, const graft_tensor* matrix, graft_weight* w) {
  return core::guard("graft_nf4_quantize", [&] { dispatch(context, ops::Nf4Quantize{matrix, w}); });
}

graft_status graft_nf4_dequantize(graft_context* context, const graft_weight* w, graft_tensor* matrix) {
  return core::guard("graft_nf4_dequantize", [&] { dispatch(context, ops::Nf4Dequantize{w, matrix}); });
}
}
