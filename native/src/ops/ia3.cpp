#include "ops/ia3.h"

#include "core/error.h"
#include "core/tensor_check.h"
#include "graft/ops/ia3.h"
#include "ops/dispatch.h"
#include "ops/linear.h"

namespace graft::ops {
using namespace core;

namespace {

/** An optional vector of `count` scales. */
void check_scales(const char* name, const graft_tensor* l, std::int64_t count) {
  check_optional(name, l);
  if (l == nullptr) return;
  check_float(name, *l);
  check_shape(name, *l, {count});
}

void check_gradient(const char* name, const graft_tensor* dl, const char* scales_name, const graft_tensor* l,
                    const char* kept_name, const graft_tensor* kept, const graft_tensor& dy) {
  check_optional(name, dl);
  if (dl == nullptr) return;
  if (l == nullptr) fail(GRAFT_INVALID_ARGUMENT, "%s is NULL, but %s is wanted", scales_name, name);
  if (kept == nullptr) fail(GRAFT_INVALID_ARGUMENT, "%s is NULL, but %s is wanted", kept_name, name);
  check_shape(name, *dl, {l->shape[0]});
  check_dtype(name, *dl, accumulator_dtype(dy.dtype));
}

}  // namespace

void Ia3Forward::check() const {
  check_optional("z", z);
  check_layer_forward(x, w, bias, y);
  check_dense("w", w);
  check_same_dtype("y", *y, "x", *x);
  check_scales("l_in", l_in, w->k);
  check_scales("l_out", l_out, w->n);
  check_no_overlap("y", y, "l_in", l_in);
  check_no_overlap("y", y, "l_out", l_out);
  if (z == nullptr) return;
  check_same_shape("z", *z, "y", *y);
  check_same_dtype("z", *z, "x", *x);
  check_no_overlap("z", z, "x", x);
  check_no_overlap("z", z, "y", y);
  check_no_overlap("z", z, "w", &w->storage);
  for (const graft_tensor* vector : {l_in, l_out, bias}) check_no_overlap("z", z, "a vector", vector);
}

void Ia3Backward::check() const {
  check_optional("z", z);
  check_layer_backward(dy, x, w, dx, dbias, "dl_in", dl_in);
  check_dense("w", w);
  check_scales("l_in", l_in, w->k);
  check_scales("l_out", l_out, w->n);
  if (z != nullptr) {
    check_same_shape("z", *z, "dy", *dy);
    check_same_dtype("z", *z, "dy", *dy);
  }
  check_gradient("dl_in", dl_in, "l_in", l_in, "x", x, *dy);
  check_gradient("dl_out", dl_out, "l_out", l_out, "z", z, *dy);
  const struct {
    const char* name;
    const graft_tensor* tensor;
  } outputs[] = {{"dx", dx}, {"dbias", dbias}, {"dl_in", dl_in}, {"dl_out", dl_out}},
    inputs[] = {{"dy", dy}, {"x", x}, {"z", z}, {"w", &w->storage}, {"l_in", l_in}, {"l_out", l_out}};
  for (const auto& output : outputs) {
    for (const auto& input : inputs) check_no_overlap(output.name, output.tensor, input.name, input.tensor);
    for (const auto* other = outputs; other != &output; ++other)
      check_no_overlap(output.name, output.tensor, other->name, other->tensor);
  }
}

void Ia3Merge::check() const {
  check_merged("w", w, merged);
  check_scales("l_in", l_in, w->k);
  check_scales("l_out", l_out, w->n);
  check_no_overlap("merged", merged, "l_in", l_in);
  check_no_overlap("merged", merged, "l_out", l_out);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_ia3_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                               const graft_tensor* l_in, const graft_tensor* l_out, const graft_tensor* bias,
                               int32_t accumulate, graft_tensor* y, graft_tensor* z) {
  return core::guard("graft_ia3_forward", [&] {
    dispatch(context, ops::Ia3Forward{x, w, l_in, l_out, bias, accumulate != 0, y, z});
  });
}

graft_status graft_ia3_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                const graft_tensor* z, const graft_weight* w, const graft_tensor* l_in,
                                const graft_tensor* l_out, int32_t accumulate, graft_tensor* dx, graft_tensor* dl_in,
                                graft_tensor* dl_out, graft_tensor* dbias) {
  return core::guard("graft_ia3_backward", [&] {
    dispatch(context, ops::Ia3Backward{dy, x, z, w, l_in, l_out, accumulate != 0, dx, dl_in, dl_out, dbias});
  });
}

graft_status graft_ia3_merge(graft_context* context, const graft_weight* w, const graft_tensor* l_in,
                             const graft_tensor* l_out, graft_tensor* merged) {
  return core::guard("graft_ia3_merge", [&] { dispatch(context, ops::Ia3Merge{w, l_in, l_out, merged}); });
}
}
