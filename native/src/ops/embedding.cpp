#include "ops/embedding.h"

#include "core/error.h"
#include "core/float_types.h"
#include "core/tensor_check.h"
#include "graft/ops/embedding.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

void EmbeddingForward::check() const {
  check_tensor("table", table);
  check_tensor("ids", ids);
  check_tensor("y", y);
  check_finite("scale", scale);
  check_float("table", *table);
  check_shape("table", *table, {-1, -1});
  check_id("ids", *ids);
  check_shape("ids", *ids, {-1});
  check_shape("y", *y, {ids->shape[0], table->shape[1]});
  check_same_dtype("y", *y, "table", *table);
  check_no_overlap("y", y, "table", table);
  check_no_overlap("y", y, "ids", ids);
}

void EmbeddingBackward::check() const {
  check_tensor("ids", ids);
  check_tensor("dy", dy);
  check_tensor("dtable", dtable);
  check_finite("scale", scale);
  check_id("ids", *ids);
  check_shape("ids", *ids, {-1});
  check_float("dy", *dy);
  check_shape("dy", *dy, {ids->shape[0], -1});
  check_shape("dtable", *dtable, {-1, dy->shape[1]});
  check_dtype("dtable", *dtable, accumulator_dtype(dy->dtype));
  check_no_overlap("dtable", dtable, "dy", dy);
  check_no_overlap("dtable", dtable, "ids", ids);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_embedding_forward(graft_context* context, const graft_tensor* table, const graft_tensor* ids,
                                     double scale, graft_tensor* y) {
  return core::guard("graft_embedding_forward", [&] {
    dispatch(context, ops::EmbeddingForward{table, ids, scale, y});
  });
}

graft_status graft_embedding_backward(graft_context* context, const graft_tensor* ids, const graft_tensor* dy,
                                      double scale, graft_tensor* dtable) {
  return core::guard("graft_embedding_backward", [&] {
    dispatch(context, ops::EmbeddingBackward{ids, dy, scale, dtable});
  });
}
}
