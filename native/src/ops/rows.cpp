#include "ops/rows.h"

#include "core/error.h"
#include "core/tensor_check.h"
#include "graft/ops/rows.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

void check_indices(const graft_tensor* indices, std::int64_t n) {
  check_tensor("indices", indices);
  check_id("indices", *indices);
  check_shape("indices", *indices, {-1});
  check_ids("indices", *indices, n);
}

void check_matrix(const char* name, const graft_tensor* matrix) {
  check_tensor(name, matrix);
  check_float(name, *matrix);
  check_shape(name, *matrix, {-1, -1});
}

}  // namespace

void RowsGradient::check() const {
  check_matrix("dy", dy);
  check_matrix("x", x);
  check_tensor("dd", dd);
  check_shape("x", *x, {dy->shape[0], -1});
  check_same_dtype("x", *x, "dy", *dy);
  check_indices(indices, dy->shape[1]);
  check_shape("dd", *dd, {indices->shape[0], x->shape[1]});
  check_dtype("dd", *dd, accumulator_dtype(dy->dtype));
  check_no_overlap("dd", dd, "dy", dy);
  check_no_overlap("dd", dd, "x", x);
  check_no_overlap("dd", dd, "indices", indices);
}

void RowsRead::check() const {
  check_dense("w", w);
  check_tensor("rows", rows);
  check_indices(indices, w->n);
  check_shape("rows", *rows, {indices->shape[0], w->k});
  check_same_dtype("rows", *rows, "w", w->storage);
  check_no_overlap("rows", rows, "w", &w->storage);
  check_no_overlap("rows", rows, "indices", indices);
}

void RowsWrite::check() const {
  check_dense("w", w);
  check_tensor("original", original);
  check_optional("d", d);
  check_indices(indices, w->n);
  check_different("indices", *indices);
  check_shape("original", *original, {indices->shape[0], w->k});
  check_same_dtype("original", *original, "w", w->storage);
  check_no_overlap("w", &w->storage, "original", original);
  check_no_overlap("w", &w->storage, "indices", indices);
  if (d == nullptr) return;
  check_float("d", *d);
  check_shape("d", *d, {indices->shape[0], w->k});
  check_no_overlap("w", &w->storage, "d", d);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_rows_gradient(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                 const graft_tensor* indices, graft_tensor* dd) {
  return core::guard("graft_rows_gradient", [&] { dispatch(context, ops::RowsGradient{dy, x, indices, dd}); });
}

graft_status graft_rows_read(graft_context* context, const graft_weight* w, const graft_tensor* indices,
                             graft_tensor* rows) {
  return core::guard("graft_rows_read", [&] { dispatch(context, ops::RowsRead{w, indices, rows}); });
}

graft_status graft_rows_write(graft_context* context, const graft_tensor* d, const graft_tensor* original,
                              const graft_tensor* indices, graft_weight* w) {
  return core::guard("graft_rows_write", [&] { dispatch(context, ops::RowsWrite{d, original, indices, w}); });
}
}
