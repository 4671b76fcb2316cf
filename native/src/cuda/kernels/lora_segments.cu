// lora_segments: y = x Wᵀ + bias and dx = dy W of all rows are linear's; then the rows of each segment get the low-rank
// part of their adapter, as lora's accumulating path adds it, with the counter of dropout at the segment's first row.
// The table of segments is the host's, so that a segment is three or four launches and no kernel looks for its adapter;
// segments go in order, and two of one adapter add to its gradients one after the other. Bytes and FLOPs: of lora, with
// each row's own rank.
#include <optional>

#include "core/tensor_check.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/lora.h"
#include "cuda/kernels/tensor.h"
#include "ops/lora_segments.h"

namespace graft::cuda {
namespace {

std::string refuse_adapters(const ops::Adapters& adapters) {
  return adapters.a->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*adapters.a) : refuse_f64(*adapters.b);
}

/** Neighbouring rows of one adapter, and its part of a and b. */
struct Segment {
  std::int64_t begin, rows, first, rank;

  graft_tensor of(const graft_tensor& m) const { return part(m, begin, 0, rows, m.shape[1]); }
  std::optional<graft_tensor> of(const graft_tensor* m) const {
    return m == nullptr ? std::optional<graft_tensor>() : of(*m);
  }
  std::optional<graft_tensor> kept(const graft_tensor* s) const {
    return s == nullptr ? std::optional<graft_tensor>() : part(*s, begin, 0, rows, rank);
  }
  std::optional<graft_tensor> down(const graft_tensor* a) const {
    return a == nullptr ? std::optional<graft_tensor>() : part(*a, first, 0, rank, a->shape[1]);
  }
  std::optional<graft_tensor> up(const graft_tensor* b) const {
    return b == nullptr ? std::optional<graft_tensor>() : part(*b, 0, first, b->shape[0], rank);
  }
};

graft_tensor* pointer(std::optional<graft_tensor>& tensor) { return tensor ? &*tensor : nullptr; }

/** Calls body(segment, its low-rank part) for each segment that has one. */
template <class Body>
void for_segments(const ops::Adapters& adapters, const ops::Dropout& dropout, Body&& body) {
  for (std::int64_t g = 0; g < adapters.segment_count(); ++g) {
    const std::int64_t e = adapters.adapter(g), begin = adapters.begin(g), rows = adapters.end(g) - begin;
    if (e < 0 || rows == 0 || adapters.rank(e) == 0) continue;
    const Segment segment{begin, rows, adapters.first(e), adapters.rank(e)};
    const graft_tensor a = *segment.down(adapters.a), b = *segment.up(adapters.b);
    ops::Dropout here = dropout;
    if (!GRAFT_BUG(lora_segments_offset)) here.offset += static_cast<std::uint64_t>(begin * adapters.a->shape[1]);
    body(segment, Low{&a, &b, adapters.scale(e), here});
  }
}

}  // namespace

std::string refuse(const ops::LoraSegmentsForward& a) {
  const std::string refusal = refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  return refusal.empty() ? refuse_adapters(a.adapters) : refusal;
}

void run(core::Context& context, const ops::LoraSegmentsForward& a) {
  run(context, ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  for_segments(a.adapters, a.dropout, [&](const Segment& segment, const Low& low) {
    auto s = segment.kept(a.s);
    add_low_forward(context, low, segment.of(*a.x), segment.of(*a.y), pointer(s));
  });
}

std::string refuse(const ops::LoraSegmentsBackward& a) {
  const std::string refusal = refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  return refusal.empty() ? refuse_adapters(a.adapters) : refusal;
}

void run(core::Context& context, const ops::LoraSegmentsBackward& a) {
  run(context, ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, a.dbias});
  for_segments(a.adapters, a.dropout, [&](const Segment& segment, const Low& low) {
    const graft_tensor dy = segment.of(*a.dy);
    auto x = segment.of(a.x), s = segment.kept(a.s), dx = segment.of(a.dx);
    auto da = segment.down(a.da), db = segment.up(a.db);
    add_low_backward(context, low, {&dy, pointer(x), pointer(s), pointer(dx), pointer(da), pointer(db)});
  });
}

}  // namespace graft::cuda
