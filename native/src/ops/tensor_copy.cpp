#include "ops/tensor_copy.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/error.h"
#include "core/tensor_check.h"
#include "graft/ops/tensor_copy.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

/** An output with two elements in one place (a stride of 0, say) has no value that could be right. */
void check_apart(const char* name, const graft_tensor& tensor) {
  bool used[GRAFT_MAX_RANK] = {};
  std::int64_t reach = 0;  // offset of the last element in the dimensions seen so far, smallest stride first
  for (int round = 0; round < tensor.rank; ++round) {
    int next = -1;
    for (int i = 0; i < tensor.rank; ++i)
      if (!used[i] && (next < 0 || tensor.stride[i] < tensor.stride[next])) next = i;
    used[next] = true;
    if (tensor.shape[next] == 0) return;
    if (tensor.shape[next] == 1) continue;
    if (tensor.stride[next] <= reach)
      fail(GRAFT_INVALID_ARGUMENT, "%s has stride %lld in dimension %d: its elements overlap in memory",
           describe(name, &tensor).c_str(), static_cast<long long>(tensor.stride[next]), next);
    reach += (tensor.shape[next] - 1) * tensor.stride[next];
  }
}

struct Range {
  std::int64_t low, high;
};

Range integer_range(graft_dtype dtype) {
  if (dtype == GRAFT_DTYPE_U8) return {0, 255};
  if (dtype == GRAFT_DTYPE_I32)
    return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
  return {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
}

std::int64_t integer_at(const graft_tensor& tensor, std::int64_t row_major_index) {
  std::int64_t offset = 0;
  for (int i = tensor.rank - 1; i >= 0; --i) {
    offset += row_major_index % tensor.shape[i] * tensor.stride[i];
    row_major_index /= tensor.shape[i];
  }
  if (tensor.dtype == GRAFT_DTYPE_I64) return static_cast<const std::int64_t*>(tensor.data)[offset];
  if (tensor.dtype == GRAFT_DTYPE_I32) return static_cast<const std::int32_t*>(tensor.data)[offset];
  return static_cast<const std::uint8_t*>(tensor.data)[offset];
}

}  // namespace

void TensorCopy::check() const {
  check_tensor("x", x);
  check_tensor("y", y);
  check_same_shape("y", *y, "x", *x);
  if (is_float(x->dtype) != is_float(y->dtype))
    fail(GRAFT_INVALID_ARGUMENT, "%s but %s: floats go to floats and integers to integers", describe("y", y).c_str(),
         describe("x", x).c_str());
  check_no_overlap("y", y, "x", x);
  check_apart("y", *y);
}

void TensorFill::check() const {
  check_tensor("y", y);
  check_apart("y", *y);
  if (is_float(y->dtype)) return;
  const Range range = integer_range(y->dtype);
  // why < 2⁶³: as a double the largest i64 is 2⁶³ itself.
  const bool fits = value == std::floor(value) && value >= static_cast<double>(range.low) &&
                    value <= static_cast<double>(range.high) && value < 0x1p63;
  if (!fits) fail(GRAFT_INVALID_ARGUMENT, "value is %g, which %s cannot hold", value, describe("y", y).c_str());
}

void TensorAdd::check() const {
  check_tensor("x", x);
  check_tensor("y", y);
  check_float("x", *x);
  check_float("y", *y);
  check_same_shape("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x);
  check_apart("y", *y);
}

void check_integers_fit(const TensorCopy& copy) {
  if (is_float(copy.x->dtype)) return;
  const Range from = integer_range(copy.x->dtype), to = integer_range(copy.y->dtype);
  if (from.low >= to.low && from.high <= to.high) return;
  for (std::int64_t i = 0; i < elements(*copy.x); ++i) {
    const std::int64_t value = integer_at(*copy.x, i);
    if (value < to.low || value > to.high)
      fail(GRAFT_INVALID_ARGUMENT, "element %lld of %s is %lld, which %s cannot hold", static_cast<long long>(i),
           describe("x", copy.x).c_str(), static_cast<long long>(value), describe("y", copy.y).c_str());
  }
}

void TensorTranspose::check() const {
  check_tensor("x", x);
  check_float("x", *x);
  check_shape("x", *x, {-1, -1});
  check_tensor("y", y);
  check_shape("y", *y, {x->shape[1], x->shape[0]});
  check_same_dtype("y", *y, "x", *x);
  check_no_overlap("y", y, "x", x);
  if (elements(*y) > 0) check_apart("y", *y);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_tensor_copy(graft_context* context, const graft_tensor* x, graft_tensor* y) {
  return core::guard("graft_tensor_copy", [&] { dispatch(context, ops::TensorCopy{x, y}); });
}

graft_status graft_tensor_fill(graft_context* context, double value, graft_tensor* y) {
  return core::guard("graft_tensor_fill", [&] { dispatch(context, ops::TensorFill{value, y}); });
}

graft_status graft_tensor_add(graft_context* context, const graft_tensor* x, graft_tensor* y) {
  return core::guard("graft_tensor_add", [&] { dispatch(context, ops::TensorAdd{x, y}); });
}

graft_status graft_tensor_transpose(graft_context* context, const graft_tensor* x, graft_tensor* y) {
  return core::guard("graft_tensor_transpose", [&] { dispatch(context, ops::TensorTranspose{x, y}); });
}
}
