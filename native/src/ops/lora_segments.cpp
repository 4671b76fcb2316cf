#include "ops/lora_segments.h"

#include <algorithm>

#include "core/tensor_check.h"
#include "graft/ops/lora_segments.h"
#include "ops/dispatch.h"
#include "ops/linear.h"

namespace graft::ops {
using namespace core;

namespace {

/** The table of segments is in host memory, whatever the context's device. */
void check_host_tensor(const char* name, const graft_tensor* tensor) {
  if (tensor == nullptr || current_device() == GRAFT_DEVICE_CPU) return check_tensor(name, tensor);
  if (tensor->device != GRAFT_DEVICE_CPU)
    fail(GRAFT_INVALID_ARGUMENT, "%s is on device %d, must be on the CPU", name, tensor->device);
  graft_tensor as_of_context = *tensor;
  as_of_context.device = current_device();
  check_tensor(name, &as_of_context);
}

}  // namespace

std::int64_t Adapters::first(std::int64_t adapter) const {
  std::int64_t sum = 0;
  for (std::int64_t e = 0; e < adapter; ++e) sum += rank(e);
  return sum;
}

std::int64_t Adapters::largest_rank() const {
  std::int64_t largest = 0;
  for (std::int64_t e = 0; e < count(); ++e) largest = std::max(largest, rank(e));
  return largest;
}

void Adapters::check(const graft_weight* w, std::int64_t rows) const {
  check_host_tensor("ranks", ranks);
  check_dtype("ranks", *ranks, GRAFT_DTYPE_I32);
  check_shape("ranks", *ranks, {-1});
  check_host_tensor("scales", scales);
  check_dtype("scales", *scales, GRAFT_DTYPE_F64);
  check_same_shape("scales", *scales, "ranks", *ranks);
  check_adapter(w, a, b, 1);
  for (std::int64_t e = 0; e < count(); ++e) {
    if (rank(e) < 0)
      fail(GRAFT_INVALID_ARGUMENT, "ranks[%lld] is %lld, must be >= 0", static_cast<long long>(e),
           static_cast<long long>(rank(e)));
    check_finite("scales", scale(e));
  }
  if (first(count()) != a->shape[0])
    fail(GRAFT_SHAPE_MISMATCH, "the ranks add up to %lld, but %s", static_cast<long long>(first(count())),
         describe("a", a).c_str());

  check_host_tensor("segments", segments);
  check_dtype("segments", *segments, GRAFT_DTYPE_I32);
  check_shape("segments", *segments, {-1, 2});
  for (std::int64_t g = 0; g < segment_count(); ++g) {
    if (end(g) < begin(g) || end(g) > rows)
      fail(GRAFT_INVALID_ARGUMENT, "segment %lld ends at row %lld, must be in %lld..%lld", static_cast<long long>(g),
           static_cast<long long>(end(g)), static_cast<long long>(begin(g)), static_cast<long long>(rows));
    if (adapter(g) < -1 || adapter(g) >= count())
      fail(GRAFT_INVALID_ARGUMENT, "segment %lld names adapter %lld, must be in -1..%lld", static_cast<long long>(g),
           static_cast<long long>(adapter(g)), static_cast<long long>(count() - 1));
  }
  const std::int64_t last = segment_count() == 0 ? 0 : end(segment_count() - 1);
  if (last != rows)
    fail(GRAFT_INVALID_ARGUMENT, "the segments end at row %lld, but there are %lld rows", static_cast<long long>(last),
         static_cast<long long>(rows));
}

void Adapters::check_apart(const char* name, const graft_tensor* output) const {
  check_no_overlap(name, output, "segments", segments);
  check_no_overlap(name, output, "ranks", ranks);
  check_no_overlap(name, output, "scales", scales);
}

void LoraSegmentsForward::check() const {
  check_layer_forward(x, w, bias, y);
  check_same_dtype("y", *y, "x", *x);
  check_dropout(dropout);
  adapters.check(w, x->shape[0]);
  check_low_output("y", y, w, adapters.a, adapters.b);
  adapters.check_apart("y", y);
  check_optional("s", s);
  if (s == nullptr) return;
  check_shape("s", *s, {x->shape[0], adapters.largest_rank()});
  check_same_dtype("s", *s, "x", *x);
  check_no_overlap("s", s, "x", x);
  check_no_overlap("s", s, "y", y);
  check_low_output("s", s, w, adapters.a, adapters.b);
  adapters.check_apart("s", s);
}

void LoraSegmentsBackward::check() const {
  check_tensor("dy", dy);
  check_dropout(dropout);
  check_shape("dy", *dy, {-1, -1});
  adapters.check(w, dy->shape[0]);
  check_low_gradients(dy, x, s, w, adapters.a, adapters.b, adapters.largest_rank(), dx, da, db, dbias);
  adapters.check_apart("dx", dx);
  adapters.check_apart("da", da);
  adapters.check_apart("db", db);
  adapters.check_apart("dbias", dbias);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_lora_segments_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                         const graft_tensor* segments, const graft_tensor* ranks,
                                         const graft_tensor* scales, const graft_tensor* a, const graft_tensor* b,
                                         const graft_tensor* bias, double dropout, uint64_t seed, uint64_t offset,
                                         int32_t accumulate, graft_tensor* y, graft_tensor* s) {
  return core::guard("graft_lora_segments_forward", [&] {
    dispatch(context, ops::LoraSegmentsForward{
                          x, w, {segments, ranks, scales, a, b}, bias, {dropout, seed, offset}, accumulate != 0, y, s});
  });
}

graft_status graft_lora_segments_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                          const graft_tensor* s, const graft_weight* w, const graft_tensor* segments,
                                          const graft_tensor* ranks, const graft_tensor* scales, const graft_tensor* a,
                                          const graft_tensor* b, double dropout, uint64_t seed, uint64_t offset,
                                          int32_t accumulate, graft_tensor* dx, graft_tensor* da, graft_tensor* db,
                                          graft_tensor* dbias) {
  return core::guard("graft_lora_segments_backward", [&] {
    dispatch(
        context,
        ops::LoraSegmentsBackward{
            dy, x, s, w, {segments, ranks, scales, a, b}, {dropout, seed, offset}, accumulate != 0, dx, da, db, dbias});
  });
}
}
