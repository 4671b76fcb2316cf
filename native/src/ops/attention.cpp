#include "ops/attention.h"

#include "core/tensor_check.h"
#include "graft/ops/attention.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

constexpr std::int64_t kLargestPosition = std::int64_t{1} << 48;

void check_starts(const graft_tensor& starts, const graft_tensor& q, std::int64_t past) {
  check_shape("starts", starts, {q.shape[0], q.shape[1]});
  check_dtype("starts", starts, GRAFT_DTYPE_I32);
  if (!values_known) return;
  for (std::int64_t b = 0; b < starts.shape[0]; ++b) {
    std::int32_t before = 0;
    for (std::int64_t i = 0; i < starts.shape[1]; ++i) {
      const std::int32_t start =
          static_cast<const std::int32_t*>(starts.data)[b * starts.stride[0] + i * starts.stride[1]];
      if (start < before || start > past + i)
        fail(GRAFT_INVALID_ARGUMENT, "starts[%lld, %lld] is %d, must be in %d..%lld", static_cast<long long>(b),
             static_cast<long long>(i), start, before, static_cast<long long>(past + i));
      before = start;
    }
  }
}

/** blocks: the size of k's first dimension, -1 for any. */
void check_heads(const graft_tensor* q, const graft_tensor* k, const graft_tensor* v, std::int64_t blocks) {
  check_float("q", *q);
  check_shape("k", *k, {blocks, -1, -1, q->shape[3]});
  check_same_shape("v", *v, "k", *k);
  check_same_dtype("k", *k, "q", *q);
  check_same_dtype("v", *v, "q", *q);
  const std::int64_t query_heads = q->shape[2], key_heads = k->shape[2];
  if (key_heads == 0 ? query_heads != 0 : query_heads % key_heads != 0)
    fail(GRAFT_SHAPE_MISMATCH, "%s has %lld heads, which is no multiple of the %lld heads of %s",
         describe("q", q).c_str(), static_cast<long long>(query_heads), static_cast<long long>(key_heads),
         describe("k", k).c_str());
}

void check_scores(double scale, double softcap, std::int64_t window) {
  check_finite("scale", scale);
  check_finite("softcap", softcap);
  if (softcap < 0) fail(GRAFT_INVALID_ARGUMENT, "softcap is %g, must be >= 0", softcap);
  if (window < 0 || window > kLargestPosition)
    fail(GRAFT_INVALID_ARGUMENT, "window is %lld, must be in 0..2^48", static_cast<long long>(window));
}

void check_lengths(const graft_tensor& lengths, const graft_tensor& q, std::int64_t keys) {
  check_shape("lengths", lengths, {q.shape[0]});
  check_dtype("lengths", lengths, GRAFT_DTYPE_I32);
  if (!values_known) return;
  for (std::int64_t b = 0; b < lengths.shape[0]; ++b) {
    const std::int32_t length = static_cast<const std::int32_t*>(lengths.data)[b * lengths.stride[0]];
    if (length < 0 || length > keys)
      fail(GRAFT_INVALID_ARGUMENT, "lengths[%lld] is %d, must be in 0..%lld", static_cast<long long>(b), length,
           static_cast<long long>(keys));
  }
}

void check_pages(const graft_tensor& pages, const graft_tensor& q, const graft_tensor& k) {
  check_shape("pages", pages, {q.shape[0], -1});
  check_dtype("pages", pages, GRAFT_DTYPE_I32);
  check_contiguous("pages", pages);
  if (k.shape[1] < 1) fail(GRAFT_SHAPE_MISMATCH, "%s has pages of no keys", describe("k", &k).c_str());
  if (!values_known) return;
  for (std::int64_t i = 0; i < elements(pages); ++i) {
    const std::int32_t page = static_cast<const std::int32_t*>(pages.data)[i];
    if (page < 0 || page >= k.shape[0])
      fail(GRAFT_INVALID_ARGUMENT, "pages[%lld, %lld] is %d, must be in 0..%lld",
           static_cast<long long>(i / pages.shape[1]), static_cast<long long>(i % pages.shape[1]), page,
           static_cast<long long>(k.shape[0] - 1));
  }
}

void check_inputs(const graft_tensor* q, const graft_tensor* k, const graft_tensor* v, const graft_tensor* lengths,
                  const graft_tensor* starts, double scale, double softcap, std::int64_t past, std::int64_t window) {
  check_tensor("q", q);
  check_tensor("k", k);
  check_tensor("v", v);
  check_optional("lengths", lengths);
  check_optional("starts", starts);
  check_shape("q", *q, {-1, -1, -1, -1});
  check_heads(q, k, v, q->shape[0]);
  check_scores(scale, softcap, window);
  if (past < 0 || past > kLargestPosition)
    fail(GRAFT_INVALID_ARGUMENT, "past is %lld, must be in 0..2^48", static_cast<long long>(past));
  if (starts != nullptr) check_starts(*starts, *q, past);
  if (lengths != nullptr) check_lengths(*lengths, *q, k->shape[1]);
}

void check_output(const graft_tensor* o, const graft_tensor* q, const graft_tensor* k, const graft_tensor* v) {
  check_tensor("o", o);
  check_same_shape("o", *o, "q", *q);
  check_same_dtype("o", *o, "q", *q);
  check_no_overlap("o", o, "q", q);
  check_no_overlap("o", o, "k", k);
  check_no_overlap("o", o, "v", v);
}

}  // namespace

void AttentionForward::check() const {
  check_inputs(q, k, v, lengths, starts, scale, softcap, past, window);
  check_optional("lse", lse);
  check_output(o, q, k, v);
  if (lse == nullptr) return;
  check_shape("lse", *lse, {q->shape[0], q->shape[2], q->shape[1]});
  check_dtype("lse", *lse, accumulator_dtype(q->dtype));
  check_no_overlap("lse", lse, "q", q);
  check_no_overlap("lse", lse, "k", k);
  check_no_overlap("lse", lse, "v", v);
  check_no_overlap("lse", lse, "o", o);
}

void AttentionPagedForward::check() const {
  check_tensor("q", q);
  check_tensor("k", k);
  check_tensor("v", v);
  check_tensor("pages", pages);
  check_tensor("lengths", lengths);
  check_shape("q", *q, {-1, -1, -1, -1});
  check_heads(q, k, v, -1);
  check_scores(scale, softcap, window);
  check_pages(*pages, *q, *k);
  check_lengths(*lengths, *q, keys());
  check_output(o, q, k, v);
}

void AttentionBackward::check() const {
  check_inputs(q, k, v, lengths, starts, scale, softcap, past, window);
  const graft_tensor* const same_as_q[] = {dout, o, dq};
  const char* const same_as_q_names[] = {"dout", "o", "dq"};
  for (int n = 0; n < 3; ++n) {
    check_tensor(same_as_q_names[n], same_as_q[n]);
    check_same_shape(same_as_q_names[n], *same_as_q[n], "q", *q);
    check_same_dtype(same_as_q_names[n], *same_as_q[n], "q", *q);
  }
  check_tensor("lse", lse);
  check_shape("lse", *lse, {q->shape[0], q->shape[2], q->shape[1]});
  check_dtype("lse", *lse, accumulator_dtype(q->dtype));
  check_tensor("dk", dk);
  check_tensor("dv", dv);
  check_same_shape("dk", *dk, "k", *k);
  check_same_dtype("dk", *dk, "k", *k);
  check_same_shape("dv", *dv, "v", *v);
  check_same_dtype("dv", *dv, "v", *v);
  const graft_tensor* const outputs[] = {dq, dk, dv};
  const char* const output_names[] = {"dq", "dk", "dv"};
  const graft_tensor* const inputs[] = {dout, q, k, v, o, lse, lengths, starts};
  const char* const input_names[] = {"dout", "q", "k", "v", "o", "lse", "lengths", "starts"};
  for (int n = 0; n < 3; ++n) {
    for (int m = 0; m < 8; ++m) check_no_overlap(output_names[n], outputs[n], input_names[m], inputs[m]);
    for (int m = 0; m < n; ++m) check_no_overlap(output_names[n], outputs[n], output_names[m], outputs[m]);
  }
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_attention_forward(graft_context* context, const graft_tensor* q, const graft_tensor* k,
                                     const graft_tensor* v, const graft_tensor* lengths, const graft_tensor* starts,
                                     double scale, double softcap, int64_t past, int64_t window, graft_tensor* o,
                                     graft_tensor* lse) {
  return core::guard("graft_attention_forward", [&] {
    dispatch(context, ops::AttentionForward{q, k, v, lengths, starts, scale, softcap, past, window, o, lse});
  });
}

graft_status graft_attention_paged_forward(graft_context* context, const graft_tensor* q, const graft_tensor* k,
                                           const graft_tensor* v, const graft_tensor* pages,
                                           const graft_tensor* lengths, double scale, double softcap, int64_t window,
                                           graft_tensor* o) {
  return core::guard("graft_attention_paged_forward", [&] {
    dispatch(context,
             ops::AttentionPagedForward{{q, k, v, lengths, nullptr, scale, softcap, 0, window, o, nullptr, pages}});
  });
}

graft_status graft_attention_backward(graft_context* context, const graft_tensor* dout, const graft_tensor* q,
                                      const graft_tensor* k, const graft_tensor* v, const graft_tensor* o,
                                      const graft_tensor* lse, const graft_tensor* lengths, const graft_tensor* starts,
                                      double scale, double softcap, int64_t past, int64_t window, graft_tensor* dq,
                                      graft_tensor* dk, graft_tensor* dv) {
  return core::guard("graft_attention_backward", [&] {
    dispatch(context,
             ops::AttentionBackward{dout, q, k, v, o, lse, lengths, starts, scale, softcap, past, window, dq, dk, dv});
  });
}
}
