#include "ops/lora.h"

#include <initializer_list>

#include "core/overlap.h"
#include "core/tensor_check.h"
#include "graft/ops/lora.h"
#include "ops/dispatch.h"
#include "ops/linear.h"

namespace graft::ops {
using namespace core;

void check_adapter(const graft_weight* w, const graft_tensor* a, const graft_tensor* b, double scale) {
  check_weight("w", w);
  check_tensor("a", a);
  check_tensor("b", b);
  check_float("a", *a);
  check_float("b", *b);
  check_shape("a", *a, {-1, w->k});
  check_shape("b", *b, {w->n, a->shape[0]});
  check_finite("scale", scale);
}

void check_dropout(const Dropout& dropout) {
  if (!(dropout.probability >= 0 && dropout.probability < 1))
    fail(GRAFT_INVALID_ARGUMENT, "dropout is %g, must be in [0, 1)", dropout.probability);
}

void check_low_output(const char* name, const graft_tensor* output, const graft_weight* w, const graft_tensor* a,
                      const graft_tensor* b) {
  check_no_overlap(name, output, "w", w);
  check_no_overlap(name, output, "a", a);
  check_no_overlap(name, output, "b", b);
}

namespace {

void check_gradient(const char* name, const graft_tensor* gradient, const graft_tensor& like, graft_dtype dtype) {
  if (gradient == nullptr) return;
  check_same_shape(name, *gradient, "its parameter", like);
  check_dtype(name, *gradient, dtype);
}

}  // namespace

void check_low_gradients(const graft_tensor* dy, const graft_tensor* x, const graft_tensor* s, const graft_weight* w,
                         const graft_tensor* a, const graft_tensor* b, std::int64_t kept, const graft_tensor* dx,
                         const graft_tensor* da, const graft_tensor* db, const graft_tensor* dbias) {
  check_layer_backward(dy, x, w, dx, dbias, "da", da);
  check_optional("s", s);
  check_optional("db", db);
  if (s != nullptr) {
    check_shape("s", *s, {dy->shape[0], kept});
    check_same_dtype("s", *s, "dy", *dy);
  } else if (db != nullptr) {
    fail(GRAFT_INVALID_ARGUMENT, "s is NULL, but db is wanted");
  }
  check_gradient("da", da, *a, accumulator_dtype(dy->dtype));
  check_gradient("db", db, *b, accumulator_dtype(dy->dtype));
  const struct {
    const char* name;
    const graft_tensor* tensor;
  } outputs[] = {{"dx", dx}, {"da", da}, {"db", db}, {"dbias", dbias}};
  for (int i = 0; i < 4; ++i) {
    if (outputs[i].tensor == nullptr) continue;
    check_no_overlap(outputs[i].name, outputs[i].tensor, "dy", dy);
    check_no_overlap(outputs[i].name, outputs[i].tensor, "x", x);
    check_no_overlap(outputs[i].name, outputs[i].tensor, "s", s);
    check_low_output(outputs[i].name, outputs[i].tensor, w, a, b);
    for (int j = 0; j < i; ++j)
      check_no_overlap(outputs[i].name, outputs[i].tensor, outputs[j].name, outputs[j].tensor);
  }
}

namespace {

std::string refuse_border(const graft_weight& w, std::int64_t rank, const char* name, const graft_tensor& activation,
                          std::initializer_list<const graft_tensor*> others) {
  if (rank == 0) return "the rank is 0";
  if (w.border < rank) return "the weight's border is " + std::to_string(w.border) + ", below the rank";
  const std::int64_t columns = activation.shape[1], needed = columns + w.border;
  if (activation.shape[0] > 0 && activation.stride[0] < needed)
    return std::string(name) + " has a pitch of " + std::to_string(activation.stride[0]) + ", below " +
           std::to_string(needed);
  graft_tensor behind = activation;
  behind.data = static_cast<char*>(activation.data) + columns * graft_dtype_bytes(activation.dtype);
  behind.shape[1] = w.border;
  for (const graft_tensor* other : others)
    if (other != nullptr && share_memory(behind, *other))
      return std::string("the columns behind ") + name + " belong to another tensor";
  return {};
}

}  // namespace

std::string refuse_border(const LoraForward& a) {
  return refuse_border(*a.w, a.a->shape[0], "x", *a.x, {a.y, a.s, a.a, a.b, a.bias, &a.w->storage});
}

std::string refuse_border(const LoraBackward& a) {
  return refuse_border(*a.w, a.a->shape[0], "dy", *a.dy,
                       {a.dx, a.x, a.s, a.a, a.b, a.da, a.db, a.dbias, &a.w->storage});
}

void LoraPack::check() const {
  check_adapter(w, a, b, scale);
  check_dense("w", w);
  if (a->shape[0] > w->border)
    fail(GRAFT_SHAPE_MISMATCH, "%s has rank %lld, but the border of w is %d", describe("a", a).c_str(),
         static_cast<long long>(a->shape[0]), w->border);
  check_no_overlap("w", &w->storage, "a", a);
  check_no_overlap("w", &w->storage, "b", b);
}

void LoraForward::check() const {
  check_adapter(w, a, b, scale);
  check_dropout(dropout);
  check_layer_forward(x, w, bias, y);
  check_same_dtype("y", *y, "x", *x);
  check_low_output("y", y, w, a, b);
  check_optional("s", s);
  if (s == nullptr) return;
  check_shape("s", *s, {x->shape[0], a->shape[0]});
  check_same_dtype("s", *s, "x", *x);
  check_no_overlap("s", s, "x", x);
  check_no_overlap("s", s, "y", y);
  check_low_output("s", s, w, a, b);
}

void LoraBackward::check() const {
  check_adapter(w, a, b, scale);
  check_dropout(dropout);
  check_low_gradients(dy, x, s, w, a, b, a->shape[0], dx, da, db, dbias);
}

void LoraMerge::check() const {
  check_adapter(w, a, b, scale);
  check_merged("w", w, merged);
  check_no_overlap("merged", merged, "a", a);
  check_no_overlap("merged", merged, "b", b);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_lora_pack(graft_context* context, const graft_tensor* a, const graft_tensor* b, double scale,
                             graft_weight* w) {
  return core::guard("graft_lora_pack", [&] { dispatch(context, ops::LoraPack{a, b, scale, w}); });
}

graft_status graft_lora_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                const graft_tensor* a, const graft_tensor* b, double scale, const graft_tensor* bias,
                                double dropout, uint64_t seed, uint64_t offset, int32_t accumulate, graft_tensor* y,
                                graft_tensor* s) {
  return core::guard("graft_lora_forward", [&] {
    dispatch(context, ops::LoraForward{x, w, a, b, scale, bias, {dropout, seed, offset}, accumulate != 0, y, s});
  });
}

graft_status graft_lora_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                 const graft_tensor* s, const graft_weight* w, const graft_tensor* a,
                                 const graft_tensor* b, double scale, double dropout, uint64_t seed, uint64_t offset,
                                 int32_t accumulate, graft_tensor* dx, graft_tensor* da, graft_tensor* db,
                                 graft_tensor* dbias) {
  return core::guard("graft_lora_backward", [&] {
    dispatch(context,
             ops::LoraBackward{dy, x, s, w, a, b, scale, {dropout, seed, offset}, accumulate != 0, dx, da, db, dbias});
  });
}

graft_status graft_lora_merge(graft_context* context, const graft_weight* w, const graft_tensor* a,
                              const graft_tensor* b, double scale, graft_tensor* merged) {
  return core::guard("graft_lora_merge", [&] { dispatch(context, ops::LoraMerge{w, a, b, scale, merged}); });
}
}
