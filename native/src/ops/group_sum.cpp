#include "ops/group_sum.h"

#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_groups(const char* wide_name, const graft_tensor* wide, const char* name, const graft_tensor* narrow,
                  double scale) {
  check_tensor(wide_name, wide);
  check_float(wide_name, *wide);
  check_shape(wide_name, *wide, {-1, -1});
  check_tensor(name, narrow);
  check_shape(name, *narrow, {wide->shape[0], -1});
  check_same_dtype(name, *narrow, wide_name, *wide);
  if (narrow->shape[1] < 1 || wide->shape[1] % narrow->shape[1] != 0)
    fail(GRAFT_SHAPE_MISMATCH, "%s does not divide the columns of %s", describe(name, narrow).c_str(),
         describe(wide_name, wide).c_str());
  check_finite("scale", scale);
}

}  // namespace

void GroupSumForward::check() const {
  check_groups("x", x, "y", y, scale);
  check_no_overlap("y", y, "x", x);
}

void GroupSumBackward::check() const {
  check_groups("dx", dx, "dy", dy, scale);
  check_no_overlap("dx", dx, "dy", dy);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_group_sum_forward(graft_context* context, const graft_tensor* x, double scale, graft_tensor* y) {
  return core::guard("graft_group_sum_forward", [&] { dispatch(context, ops::GroupSumForward{x, scale, y}); });
}

graft_status graft_group_sum_backward(graft_context* context, const graft_tensor* dy, double scale, int32_t accumulate,
                                      graft_tensor* dx) {
  return core::guard("graft_group_sum_backward", [&] {
    dispatch(context, ops::GroupSumBackward{dy, scale, accumulate != 0, dx});
  });
}
}
