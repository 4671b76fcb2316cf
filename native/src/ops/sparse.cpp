#include "ops/sparse.h"

#include <cinttypes>
#include <limits>

#include "core/error.h"
#include "core/float_types.h"
#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

// why in two passes: the first has no exit, so that it costs next to nothing beside a layer.
void check_entries(const graft_tensor* indices, std::int64_t n, std::int64_t k) {
  check_tensor("indices", indices);
  check_id("indices", *indices);
  check_shape("indices", *indices, {2, -1});
  const std::int64_t count = indices->shape[1];
  if (count == 0 || !values_known) return;
  visit_id(indices->dtype, [&](auto tag) {
    using Id = decltype(tag);
    const Id* i = static_cast<const Id*>(indices->data);
    const Id* j = i + indices->stride[0];
    const auto outside = [&](std::int64_t p) { return (i[p] < 0) | (i[p] >= n) | (j[p] < 0) | (j[p] >= k); };
    const auto falls = [&](std::int64_t p) { return (i[p] < i[p - 1]) | ((i[p] == i[p - 1]) & (j[p] <= j[p - 1])); };
    int wrong = 0;
    for (std::int64_t p = 0; p < count; ++p) wrong |= outside(p);
    for (std::int64_t p = 1; p < count; ++p) wrong |= falls(p);
    for (std::int64_t p = 0; wrong != 0 && p < count; ++p) {
      const auto row = static_cast<std::int64_t>(i[p]), column = static_cast<std::int64_t>(j[p]);
      if (outside(p))
        fail(GRAFT_INVALID_ARGUMENT,
             "indices[:, %" PRId64 "] is (%" PRId64 ", %" PRId64 "), must be in (0..%" PRId64 ", 0..%" PRId64 ")", p,
             row, column, n - 1, k - 1);
      if (p > 0 && falls(p))
        fail(GRAFT_INVALID_ARGUMENT,
             "indices[:, %" PRId64 "] is (%" PRId64 ", %" PRId64 ") behind (%" PRId64 ", %" PRId64 "), must ascend", p,
             row, column, static_cast<std::int64_t>(i[p - 1]), static_cast<std::int64_t>(j[p - 1]));
    }
  });
}

void check_matrix(const char* name, const graft_tensor* matrix) {
  check_tensor(name, matrix);
  check_float(name, *matrix);
  check_shape(name, *matrix, {-1, -1});
}

}  // namespace

void SparseGradient::check() const {
  check_matrix("dy", dy);
  check_matrix("x", x);
  check_tensor("dd", dd);
  check_shape("x", *x, {dy->shape[0], -1});
  check_same_dtype("x", *x, "dy", *dy);
  check_entries(indices, dy->shape[1], x->shape[1]);
  check_shape("dd", *dd, {indices->shape[1]});
  check_dtype("dd", *dd, accumulator_dtype(dy->dtype));
  check_no_overlap("dd", dd, "dy", dy);
  check_no_overlap("dd", dd, "x", x);
  check_no_overlap("dd", dd, "indices", indices);
}

void SparseRead::check() const {
  check_dense("w", w);
  check_tensor("entries", entries);
  check_entries(indices, w->n, w->k);
  check_shape("entries", *entries, {indices->shape[1]});
  check_same_dtype("entries", *entries, "w", w->storage);
  check_no_overlap("entries", entries, "w", &w->storage);
  check_no_overlap("entries", entries, "indices", indices);
}

void SparseWrite::check() const {
  check_dense("w", w);
  check_tensor("original", original);
  check_optional("d", d);
  check_entries(indices, w->n, w->k);
  check_shape("original", *original, {indices->shape[1]});
  check_same_dtype("original", *original, "w", w->storage);
  check_no_overlap("w", &w->storage, "original", original);
  check_no_overlap("w", &w->storage, "indices", indices);
  if (d == nullptr) return;
  check_float("d", *d);
  check_shape("d", *d, {indices->shape[1]});
  check_no_overlap("w", &w->storage, "d", d);
}

void SparseAddSquares::check() const {
  check_matrix("g", g);
  check_tensor("sums", sums);
  check_dtype("g", *g, accumulator_dtype(g->dtype));
  check_same_shape("sums", *sums, "g", *g);
  check_same_dtype("sums", *sums, "g", *g);
  check_no_overlap("sums", sums, "g", g);
}

void SparseSelect::check() const {
  if (score < GRAFT_SPARSE_ABSOLUTE || score > GRAFT_SPARSE_DIFFERENCE)
    fail(GRAFT_INVALID_ARGUMENT, "score is %d, must be in 0..2", static_cast<int>(score));
  check_matrix("a", a);
  check_tensor("indices", indices);
  check_id("indices", *indices);
  check_shape("indices", *indices, {2, -1});
  check_no_overlap("indices", indices, "a", a);
  if (score == GRAFT_SPARSE_ABSOLUTE) {
    if (b != nullptr) fail(GRAFT_INVALID_ARGUMENT, "b is not NULL, but the score is |a|");
  } else {
    check_matrix("b", b);
    check_same_shape("b", *b, "a", *a);
    check_no_overlap("indices", indices, "b", b);
  }
  const std::int64_t n = a->shape[0], k = a->shape[1], count = indices->shape[1];
  if (count > n * k)
    fail(GRAFT_SHAPE_MISMATCH, "%s, but a has only %" PRId64 " entries", describe("indices", indices).c_str(), n * k);
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (indices->dtype == GRAFT_DTYPE_I32 && (n > kMost || k > kMost))
    fail(GRAFT_INVALID_ARGUMENT, "%s cannot name the entries of %s", describe("indices", indices).c_str(),
         describe("a", a).c_str());
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_sparse_gradient(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                   const graft_tensor* indices, graft_tensor* dd) {
  return core::guard("graft_sparse_gradient", [&] { dispatch(context, ops::SparseGradient{dy, x, indices, dd}); });
}

graft_status graft_sparse_read(graft_context* context, const graft_weight* w, const graft_tensor* indices,
                               graft_tensor* entries) {
  return core::guard("graft_sparse_read", [&] { dispatch(context, ops::SparseRead{w, indices, entries}); });
}

graft_status graft_sparse_write(graft_context* context, const graft_tensor* d, const graft_tensor* original,
                                const graft_tensor* indices, graft_weight* w) {
  return core::guard("graft_sparse_write", [&] { dispatch(context, ops::SparseWrite{d, original, indices, w}); });
}

graft_status graft_sparse_add_squares(graft_context* context, const graft_tensor* g, graft_tensor* sums) {
  return core::guard("graft_sparse_add_squares", [&] { dispatch(context, ops::SparseAddSquares{g, sums}); });
}

graft_status graft_sparse_select(graft_context* context, graft_sparse_score score, const graft_tensor* a,
                                 const graft_tensor* b, int32_t largest, graft_tensor* indices) {
  return core::guard("graft_sparse_select", [&] {
    dispatch(context, ops::SparseSelect{score, a, b, largest != 0, indices});
  });
}
}
