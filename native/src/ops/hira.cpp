#include "ops/hira.h"

#include "core/tensor_check.h"
#include "ops/dispatch.h"
#include "ops/linear.h"
#include "ops/lora.h"

namespace graft::ops {
using namespace core;

namespace {

void check_factors(const graft_weight* w, const graft_tensor* a, const graft_tensor* b) {
  check_adapter(w, a, b, 1);
  if (a->shape[0] < 1) fail(GRAFT_SHAPE_MISMATCH, "%s, the rank may not be 0", describe("a", a).c_str());
}

void check_apart(const char* name, const graft_tensor* output, const graft_weight* w, const graft_tensor* a,
                 const graft_tensor* b) {
  check_no_overlap(name, output, "w", w);
  check_no_overlap(name, output, "a", a);
  check_no_overlap(name, output, "b", b);
}

}  // namespace

void HiraForward::check() const {
  check_factors(w, a, b);
  check_layer_forward(x, w, nullptr, y);
  check_same_dtype("y", *y, "x", *x);
  check_apart("y", y, w, a, b);
}

void HiraBackward::check() const {
  check_factors(w, a, b);
  check_layer_backward(dy, x, w, dx, nullptr, "da", da);
  check_layer_backward(dy, x, w, dx, nullptr, "db", db);
  const struct {
    const char* name;
    const graft_tensor* tensor;
    const graft_tensor* like;
  } outputs[] = {{"dx", dx, nullptr}, {"da", da, a}, {"db", db, b}};
  for (int i = 0; i < 3; ++i) {
    const auto& [name, tensor, like] = outputs[i];
    if (tensor == nullptr) continue;
    if (like != nullptr) {
      check_same_shape(name, *tensor, "its factor", *like);
      check_dtype(name, *tensor, accumulator_dtype(dy->dtype));
      check_contiguous(name, *tensor);
    }
    check_no_overlap(name, tensor, "dy", dy);
    check_no_overlap(name, tensor, "x", x);
    check_apart(name, tensor, w, a, b);
    for (int j = 0; j < i; ++j) check_no_overlap(name, tensor, outputs[j].name, outputs[j].tensor);
  }
}

void HiraMerge::check() const {
  check_factors(w, a, b);
  check_merged("w", w, merged);
  check_no_overlap("merged", merged, "a", a);
  check_no_overlap("merged", merged, "b", b);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_hira_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                const graft_tensor* a, const graft_tensor* b, int32_t accumulate, graft_tensor* y) {
  return core::guard("graft_hira_forward", [&] {
    dispatch(context, ops::HiraForward{x, w, a, b, accumulate != 0, y});
  });
}

graft_status graft_hira_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                 const graft_weight* w, const graft_tensor* a, const graft_tensor* b,
                                 int32_t accumulate, graft_tensor* dx, graft_tensor* da, graft_tensor* db) {
  return core::guard("graft_hira_backward", [&] {
    dispatch(context, ops::HiraBackward{dy, x, w, a, b, accumulate != 0, dx, da, db});
  });
}

graft_status graft_hira_merge(graft_context* context, const graft_weight* w, const graft_tensor* a,
                              const graft_tensor* b, graft_tensor* merged) {
  return core::guard("graft_hira_merge", [&] { dispatch(context, ops::HiraMerge{w, a, b, merged}); });
}
}
