#include "ops/cayley.h"

#include "core/tensor_check.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

constexpr int kMostTerms = 16;

void check_blocks(const char* name, const graft_tensor* r, const graft_tensor* q, int terms) {
  check_tensor("q", q);
  check_float("q", *q);
  const bool square = q->rank == 3;
  square ? check_shape("q", *q, {-1, -1, -1}) : check_shape("q", *q, {-1, -1});
  check_tensor(name, r);
  check_float(name, *r);
  check_shape(name, *r, {q->shape[0], -1, -1});
  const std::int64_t n = r->shape[1];
  check_shape(name, *r, {q->shape[0], n, n});
  check_contiguous(name, *r);
  square ? check_shape("q", *q, {r->shape[0], n, n}) : check_shape("q", *q, {r->shape[0], n * (n - 1) / 2});
  if (terms < 0 || terms > kMostTerms) fail(GRAFT_INVALID_ARGUMENT, "terms is %d, must be in 0..%d", terms, kMostTerms);
}

}  // namespace

void CayleyForward::check() const {
  check_blocks("r", r, q, terms);
  check_no_overlap("r", r, "q", q);
}

void CayleyBackward::check() const {
  check_blocks("dr", dr, q, terms);
  check_dtype("dr", *dr, accumulator_dtype(q->dtype));
  check_tensor("dq", dq);
  check_same_shape("dq", *dq, "q", *q);
  check_same_dtype("dq", *dq, "dr", *dr);
  check_no_overlap("dq", dq, "q", q);
  check_no_overlap("dq", dq, "dr", dr);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_cayley_forward(graft_context* context, const graft_tensor* q, int32_t terms, graft_tensor* r) {
  return core::guard("graft_cayley_forward", [&] { dispatch(context, ops::CayleyForward{q, terms, r}); });
}

graft_status graft_cayley_backward(graft_context* context, const graft_tensor* dr, const graft_tensor* q, int32_t terms,
                                   graft_tensor* dq) {
  return core::guard("graft_cayley_backward", [&] { dispatch(context, ops::CayleyBackward{dr, q, terms, dq}); });
}
}
