#include "ops/hard_concrete.h"

#include "core/error.h"
#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_gates(const graft_tensor* d, const graft_tensor* a, const HardConcrete& gates, double factor) {
  check_tensor("d", d);
  check_tensor("a", a);
  check_shape("d", *d, {-1, -1});
  check_dtype("d", *d, accumulator_dtype(d->dtype));
  check_same_shape("a", *a, "d", *d);
  check_same_dtype("a", *a, "d", *d);
  if (gates.mode < GRAFT_GATE_SAMPLED || gates.mode > GRAFT_GATE_FIXED)
    fail(GRAFT_INVALID_ARGUMENT, "mode is %d, must be in 0..2", static_cast<int>(gates.mode));
  check_finite("lower", gates.lower);
  check_finite("upper", gates.upper);
  if (!(gates.lower < 0)) fail(GRAFT_INVALID_ARGUMENT, "lower is %g, must be < 0", gates.lower);
  if (!(gates.upper > 1)) fail(GRAFT_INVALID_ARGUMENT, "upper is %g, must be > 1", gates.upper);
  check_finite("factor", factor);
}

}  // namespace

void HardConcreteWrite::check() const {
  check_dense("w", w);
  check_tensor("original", original);
  check_gates(d, a, gates, factor);
  check_shape("d", *d, {w->n, w->k});
  check_dtype("d", *d, accumulator_dtype(w->storage.dtype));
  check_shape("original", *original, {w->n, w->k});
  check_same_dtype("original", *original, "w", w->storage);
  check_no_overlap("w", &w->storage, "original", original);
  check_no_overlap("w", &w->storage, "d", d);
  check_no_overlap("w", &w->storage, "a", a);
}

void HardConcreteBackward::check() const {
  check_gates(d, a, gates, factor);
  check_tensor("g", g);
  check_tensor("da", da);
  check_tensor("sums", sums);
  check_finite("penalty", penalty);
  check_same_shape("g", *g, "d", *d);
  check_same_dtype("g", *g, "d", *d);
  check_same_shape("da", *da, "d", *d);
  check_same_dtype("da", *da, "d", *d);
  check_shape("sums", *sums, {2});
  check_dtype("sums", *sums, GRAFT_DTYPE_F64);
  for (const auto& [name, output] : {std::pair{"g", g}, {"da", da}, {"sums", sums}}) {
    check_no_overlap(name, output, "d", d);
    check_no_overlap(name, output, "a", a);
  }
  check_no_overlap("g", g, "da", da);
  check_no_overlap("sums", sums, "g", g);
  check_no_overlap("sums", sums, "da", da);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_hard_concrete_write(graft_context* context, const graft_tensor* d, const graft_tensor* a,
                                       const graft_tensor* original, graft_gate_mode mode, uint64_t seed,
                                       uint64_t offset, double lower, double upper, double factor, graft_weight* w) {
  return core::guard("graft_hard_concrete_write", [&] {
    dispatch(context, ops::HardConcreteWrite{d, a, original, {mode, seed, lower, upper}, offset, factor, w});
  });
}

graft_status graft_hard_concrete_backward(graft_context* context, const graft_tensor* d, const graft_tensor* a,
                                          graft_gate_mode mode, uint64_t seed, uint64_t offset, double lower,
                                          double upper, double factor, double penalty, graft_tensor* g,
                                          graft_tensor* da, graft_tensor* sums) {
  return core::guard("graft_hard_concrete_backward", [&] {
    dispatch(context,
             ops::HardConcreteBackward{d, a, {mode, seed, lower, upper}, offset, factor, penalty, g, da, sums});
  });
}
}
