#include "ops/kronecker.h"

#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_factor(const char* name, const graft_tensor* factor, std::int64_t sums) {
  check_tensor(name, factor);
  check_float(name, *factor);
  check_shape(name, *factor, {sums, -1, -1});
  for (int i = 0; i < 3; ++i)
    if (factor->shape[i] < 1) fail(GRAFT_SHAPE_MISMATCH, "%s, no size may be 0", describe(name, factor).c_str());
  if (factor->stride[1] != factor->shape[2])
    fail(GRAFT_INVALID_ARGUMENT, "%s has gaps between its rows", describe(name, factor).c_str());
}

void check_apart(const char* name, const graft_tensor* output, const KroneckerFactors& d) {
  check_no_overlap(name, output, "w1", d.w1);
  check_no_overlap(name, output, "b", d.b);
  check_no_overlap(name, output, "a", d.a);
}

void check_activation(const char* name, const graft_tensor* tensor, std::int64_t rows, std::int64_t columns) {
  check_tensor(name, tensor);
  check_float(name, *tensor);
  check_shape(name, *tensor, {rows, columns});
}

void check_gradient(const char* name, const graft_tensor* gradient, const graft_tensor& like, graft_dtype dtype) {
  if (gradient == nullptr) return;
  check_same_shape(name, *gradient, "its factor", like);
  check_dtype(name, *gradient, dtype);
  check_contiguous(name, *gradient);
}

}  // namespace

void KroneckerFactors::check() const {
  check_factor("w1", w1, -1);
  check_factor("b", b, w1->shape[0]);
  if (a != nullptr) {
    check_factor("a", a, w1->shape[0]);
    check_shape("a", *a, {w1->shape[0], b->shape[2], -1});
  }
  check_finite("scale", scale);
}

void KroneckerForward::check() const {
  d.check();
  check_activation("x", x, -1, d.k());
  check_activation("y", y, x->shape[0], d.n());
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x);
  check_apart("y", y, d);
}

void KroneckerBackward::check() const {
  d.check();
  check_activation("dy", dy, -1, d.n());
  check_optional("x", x);
  if (x != nullptr) {
    check_activation("x", x, dy->shape[0], d.k());
    check_same_dtype("x", *x, "dy", *dy);
  } else if (dw1 != nullptr || db != nullptr || da != nullptr) {
    fail(GRAFT_INVALID_ARGUMENT, "x is NULL, but the gradient of a factor is wanted");
  }
  check_optional("dx", dx);
  if (dx != nullptr) {
    check_activation("dx", dx, dy->shape[0], d.k());
    check_same_dtype("dx", *dx, "dy", *dy);
  }
  if (d.a == nullptr && da != nullptr) fail(GRAFT_INVALID_ARGUMENT, "da is wanted, but a is NULL");
  const struct {
    const char* name;
    const graft_tensor* tensor;
    const graft_tensor* like;
  } outputs[] = {{"dx", dx, nullptr}, {"dw1", dw1, d.w1}, {"db", db, d.b}, {"da", da, d.a}};
  for (int i = 0; i < 4; ++i) {
    const auto& [name, tensor, like] = outputs[i];
    check_optional(name, tensor);
    if (tensor == nullptr) continue;
    if (like != nullptr) check_gradient(name, tensor, *like, accumulator_dtype(dy->dtype));
    check_no_overlap(name, tensor, "dy", dy);
    check_no_overlap(name, tensor, "x", x);
    check_apart(name, tensor, d);
    for (int j = 0; j < i; ++j) check_no_overlap(name, tensor, outputs[j].name, outputs[j].tensor);
  }
}

void KroneckerMerge::check() const {
  d.check();
  check_dense("w", w);
  if (w->n != d.n() || w->k != d.k())
    fail(GRAFT_SHAPE_MISMATCH, "w is [%lld, %lld], but the product is [%lld, %lld]", static_cast<long long>(w->n),
         static_cast<long long>(w->k), static_cast<long long>(d.n()), static_cast<long long>(d.k()));
  check_merged("w", w, merged);
  check_apart("merged", merged, d);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_kronecker_forward(graft_context* context, const graft_tensor* x, const graft_tensor* w1,
                                     const graft_tensor* b, const graft_tensor* a, double scale, int32_t accumulate,
                                     graft_tensor* y) {
  return core::guard("graft_kronecker_forward", [&] {
    dispatch(context, ops::KroneckerForward{x, {w1, b, a, scale}, accumulate != 0, y});
  });
}

graft_status graft_kronecker_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                      const graft_tensor* w1, const graft_tensor* b, const graft_tensor* a,
                                      double scale, int32_t accumulate, graft_tensor* dx, graft_tensor* dw1,
                                      graft_tensor* db, graft_tensor* da) {
  return core::guard("graft_kronecker_backward", [&] {
    dispatch(context, ops::KroneckerBackward{dy, x, {w1, b, a, scale}, accumulate != 0, dx, dw1, db, da});
  });
}

graft_status graft_kronecker_merge(graft_context* context, const graft_weight* w, const graft_tensor* w1,
                                   const graft_tensor* b, const graft_tensor* a, double scale, graft_tensor* merged) {
  return core::guard("graft_kronecker_merge", [&] {
    dispatch(context, ops::KroneckerMerge{w, {w1, b, a, scale}, merged});
  });
}
}
