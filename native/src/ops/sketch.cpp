#include "ops/sketch.h"

#include "core/sketch.h"
#include "core/tensor_check.h"
#include "graft/ops/sketch.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

SketchLayout check_sketch(const graft_weight* w) {
  check_weight("w", w);
  if (w->kind != GRAFT_WEIGHT_SKETCH) fail(GRAFT_INVALID_ARGUMENT, "w is %s, must be a sketch", kind_name(w->kind));
  return SketchLayout(*w);
}

void check_codes(const graft_tensor* codes, const graft_weight* w, const SketchLayout& layout) {
  check_tensor("codes", codes);
  check_dtype("codes", *codes, GRAFT_DTYPE_U8);
  if (codes->rank == 3) {
    if (layout.columns % 2 != 0)
      fail(GRAFT_SHAPE_MISMATCH, "codes has nibbles, but w's groups have %lld columns, must be even",
           static_cast<long long>(layout.columns));
    check_shape("codes", *codes, {w->n, layout.groups, layout.columns / 2});
  } else {
    check_shape("codes", *codes, {w->n, w->k});
  }
  check_contiguous("codes", *codes);
  check_no_overlap("codes", codes, "w", w);
}

}  // namespace

void SketchPack::check() const {
  const SketchLayout layout = check_sketch(w);
  check_codes(codes, w, layout);
  const std::int64_t bytes = values_known ? elements(*codes) : 0;  // on CUDA the host does not see them
  for (std::int64_t i = 0; i < bytes; ++i) {
    const int byte = static_cast<const std::uint8_t*>(codes->data)[i];
    const int code = codes->rank == 2 ? byte : byte >> 4 > (byte & 15) ? byte >> 4 : byte & 15;
    if (code >= layout.entries)
      fail(GRAFT_INVALID_ARGUMENT, "%s has the code %d, must be in 0..%d", describe("codes", codes).c_str(), code,
           layout.entries - 1);
  }
}

void SketchUnpack::check() const { check_codes(codes, w, check_sketch(w)); }

void SketchDecode::check() const {
  check_sketch(w);
  check_tensor("matrix", matrix);
  check_float("matrix", *matrix);
  check_shape("matrix", *matrix, {w->n, w->k});
  check_no_overlap("matrix", matrix, "w", w);
}

void SketchTableGradient::check() const {
  const SketchLayout layout = check_sketch(w);
  check_tensor("dy", dy);
  check_tensor("x", x);
  check_tensor("dtable", dtable);
  check_float("dy", *dy);
  check_shape("dy", *dy, {-1, w->n});
  check_same_dtype("x", *x, "dy", *dy);
  check_shape("x", *x, {dy->shape[0], w->k});
  check_dtype("dtable", *dtable, accumulator_dtype(dy->dtype));
  check_shape("dtable", *dtable, {w->n, layout.groups, layout.entries});
  check_contiguous("dtable", *dtable);
  check_no_overlap("dtable", dtable, "dy", dy);
  check_no_overlap("dtable", dtable, "x", x);
  check_no_overlap("dtable", dtable, "w", w);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_sketch_pack(graft_context* context, const graft_tensor* codes, graft_weight* w) {
  return core::guard("graft_sketch_pack", [&] { dispatch(context, ops::SketchPack{codes, w}); });
}

graft_status graft_sketch_unpack(graft_context* context, const graft_weight* w, graft_tensor* codes) {
  return core::guard("graft_sketch_unpack", [&] { dispatch(context, ops::SketchUnpack{w, codes}); });
}

graft_status graft_sketch_decode(graft_context* context, const graft_weight* w, graft_tensor* matrix) {
  return core::guard("graft_sketch_decode", [&] { dispatch(context, ops::SketchDecode{w, matrix}); });
}

graft_status graft_sketch_table_gradient(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                         const graft_weight* w, graft_tensor* dtable) {
  return core::guard("graft_sketch_table_gradient", [&] {
    dispatch(context, ops::SketchTableGradient{dy, x, w, dtable});
  });
}
}
