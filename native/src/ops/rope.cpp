#include "ops/rope.h"

#include "core/error.h"
#include "core/tensor_check.h"
#include "graft/ops/rope.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

void check_positive(const char* name, double value) {
  check_finite(name, value);
  if (!(value > 0)) fail(GRAFT_INVALID_ARGUMENT, "%s is %g, must be > 0", name, value);
}

void check_rotation(const char* in_name, const graft_tensor* in, const graft_tensor* positions,
                    const graft_tensor* inv_freq, double magnitude, const char* out_name, const graft_tensor* out) {
  check_tensor(in_name, in);
  check_tensor("positions", positions);
  check_tensor("inv_freq", inv_freq);
  check_tensor(out_name, out);
  check_float(in_name, *in);
  check_shape(in_name, *in, {-1, -1, -1, -1});
  check_dtype("positions", *positions, GRAFT_DTYPE_I32);
  check_shape("positions", *positions, {in->shape[0], in->shape[1]});
  check_shape("inv_freq", *inv_freq, {-1});
  if (inv_freq->dtype != GRAFT_DTYPE_F64) check_dtype("inv_freq", *inv_freq, GRAFT_DTYPE_F32);
  if (2 * inv_freq->shape[0] > in->shape[3])
    fail(GRAFT_SHAPE_MISMATCH, "%s turns %lld of each head, but %s has heads of %lld",
         describe("inv_freq", inv_freq).c_str(), static_cast<long long>(2 * inv_freq->shape[0]),
         describe(in_name, in).c_str(), static_cast<long long>(in->shape[3]));
  check_positive("magnitude", magnitude);
  check_same_shape(out_name, *out, in_name, *in);
  check_same_dtype(out_name, *out, in_name, *in);
  check_no_overlap(out_name, out, in_name, in, true);
  check_no_overlap(out_name, out, "positions", positions);
  check_no_overlap(out_name, out, "inv_freq", inv_freq);
}

}  // namespace

void RopeFrequencies::check() const {
  check_tensor("inv_freq", inv_freq);
  check_dtype("inv_freq", *inv_freq, GRAFT_DTYPE_F32);
  check_shape("inv_freq", *inv_freq, {-1});
  check_positive("theta", theta);
  if (scaling < GRAFT_ROPE_NONE || scaling > GRAFT_ROPE_YARN)
    fail(GRAFT_INVALID_ARGUMENT, "scaling is %d, must be 0 (none), 1 (linear), 2 (llama3) or 3 (yarn)", scaling);
  if (scaling == GRAFT_ROPE_NONE) return;
  check_positive("factor", factor);
  if (scaling == GRAFT_ROPE_LINEAR) return;
  check_positive("low", low);
  check_finite("high", high);
  if (!(high > low)) fail(GRAFT_INVALID_ARGUMENT, "high is %g, must be > low, which is %g", high, low);
  check_positive("original", original);
}

void RopeForward::check() const { check_rotation("x", x, positions, inv_freq, magnitude, "y", y); }

void RopeBackward::check() const { check_rotation("dy", dy, positions, inv_freq, magnitude, "dx", dx); }

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_rope_frequencies(graft_context* context, double theta, int32_t scaling, double factor, double low,
                                    double high, double original, graft_tensor* inv_freq) {
  return core::guard("graft_rope_frequencies", [&] {
    dispatch(context, ops::RopeFrequencies{theta, scaling, factor, low, high, original, inv_freq});
  });
}

graft_status graft_rope_forward(graft_context* context, const graft_tensor* x, const graft_tensor* positions,
                                const graft_tensor* inv_freq, int32_t interleaved, double magnitude, graft_tensor* y) {
  return core::guard("graft_rope_forward", [&] {
    dispatch(context, ops::RopeForward{x, positions, inv_freq, interleaved != 0, magnitude, y});
  });
}

graft_status graft_rope_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* positions,
                                 const graft_tensor* inv_freq, int32_t interleaved, double magnitude,
                                 graft_tensor* dx) {
  return core::guard("graft_rope_backward", [&] {
    dispatch(context, ops::RopeBackward{dy, positions, inv_freq, interleaved != 0, magnitude, dx});
  });
}
}
