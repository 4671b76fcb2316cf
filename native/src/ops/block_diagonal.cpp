#include "ops/block_diagonal.h"

#include <cinttypes>
#include <vector>

#include "core/float_types.h"
#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

// why a memory of its own: checks come before an op has scratch; it grows once.
void check_order(const graft_tensor* columns, std::int64_t count) {
  check_optional("columns", columns);
  if (columns == nullptr) return;
  check_id("columns", *columns);
  check_shape("columns", *columns, {count});
  if (!values_known) return;
  check_ids("columns", *columns, count);
  thread_local std::vector<bool> seen;
  seen.assign(static_cast<std::size_t>(count), false);
  visit_id(columns->dtype, [&](auto tag) {
    const auto* ids = static_cast<const decltype(tag)*>(columns->data);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto column = static_cast<std::size_t>(ids[i]);
      if (seen[column]) fail(GRAFT_INVALID_ARGUMENT, "columns[%" PRId64 "] is %zu, which was there before", i, column);
      seen[column] = true;
    }
  });
}

void check_blocks(const graft_tensor* r, const char* name, const graft_tensor* x, const graft_tensor* columns) {
  check_tensor("r", r);
  check_float("r", *r);
  check_shape("r", *r, {-1, -1, -1});
  check_shape("r", *r, {-1, r->shape[1], r->shape[1]});
  check_contiguous("r", *r);
  check_tensor(name, x);
  check_float(name, *x);
  check_shape(name, *x, {-1, -1});
  const std::int64_t n = r->shape[1], k = x->shape[1];
  if (r->shape[0] < 1 || n < 1 || k % n != 0 || (r->shape[0] != 1 && r->shape[0] * n != k))
    fail(GRAFT_SHAPE_MISMATCH, "%s does not cover the %" PRId64 " columns of %s", describe("r", r).c_str(), k,
         describe(name, x).c_str());
  check_order(columns, k);
}

}  // namespace

void BlockDiagonalForward::check() const {
  check_blocks(r, "x", x, columns);
  check_tensor("y", y);
  check_same_shape("y", *y, "x", *x);
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x);
  check_no_overlap("y", y, "r", r);
  check_no_overlap("y", y, "columns", columns);
}

void BlockDiagonalBackward::check() const {
  check_blocks(r, "dy", dy, columns);
  for (const auto& [name, tensor] : {std::pair{"x", x}, std::pair{"dx", static_cast<const graft_tensor*>(dx)}}) {
    check_optional(name, tensor);
    if (tensor == nullptr) continue;
    check_same_shape(name, *tensor, "dy", *dy);
    check_same_dtype(name, *tensor, "dy", *dy);
  }
  check_optional("dr", dr);
  if (dr != nullptr) {
    if (x == nullptr) fail(GRAFT_INVALID_ARGUMENT, "x is NULL, but dr is wanted");
    check_same_shape("dr", *dr, "r", *r);
    check_dtype("dr", *dr, accumulator_dtype(dy->dtype));
    check_contiguous("dr", *dr);
  }
  check_no_overlap("dr", dr, "dx", dx);
  const struct {
    const char* name;
    const graft_tensor* tensor;
  } outputs[] = {{"dx", dx}, {"dr", dr}};
  for (const auto& [name, tensor] : outputs) {
    check_no_overlap(name, tensor, "dy", dy);
    check_no_overlap(name, tensor, "x", x);
    check_no_overlap(name, tensor, "r", r);
    check_no_overlap(name, tensor, "columns", columns);
  }
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_block_diagonal_forward(graft_context* context, const graft_tensor* x, const graft_tensor* r,
                                          const graft_tensor* columns, graft_tensor* y) {
  return core::guard("graft_block_diagonal_forward", [&] {
    dispatch(context, ops::BlockDiagonalForward{x, r, columns, y});
  });
}

graft_status graft_block_diagonal_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                           const graft_tensor* r, const graft_tensor* columns, int32_t accumulate,
                                           graft_tensor* dx, graft_tensor* dr) {
  return core::guard("graft_block_diagonal_backward", [&] {
    dispatch(context, ops::BlockDiagonalBackward{dy, x, r, columns, accumulate != 0, dx, dr});
  });
}
}
