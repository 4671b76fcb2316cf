// Arguments of attention; the contract is graft/ops/attention.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct AttentionForward {
  const graft_tensor* q;
  const graft_tensor* k;
  const graft_tensor* v;
  const graft_tensor* lengths;  // may be NULL
  const graft_tensor* starts;   // may be NULL
  double scale;
  double softcap;  // 0: none
  std::int64_t past;
  std::int64_t window;
  graft_tensor* o;
  graft_tensor* lse;                    // may be NULL
  const graft_tensor* pages = nullptr;  // of the paged op: k and v are pages, and past is each row's own
  void check() const;

  /** Keys that a row may have. */
  std::int64_t keys() const { return pages == nullptr ? k->shape[1] : pages->shape[1] * k->shape[1]; }
};

/** The paged op: what serves the plain one serves this, or says why not. */
struct AttentionPagedForward : AttentionForward {
  void check() const;
};

struct AttentionBackward {
  const graft_tensor* dout;
  const graft_tensor* q;
  const graft_tensor* k;
  const graft_tensor* v;
  const graft_tensor* o;
  const graft_tensor* lse;
  const graft_tensor* lengths;  // may be NULL
  const graft_tensor* starts;   // may be NULL
  double scale;
  double softcap;  // 0: none
  std::int64_t past;
  std::int64_t window;
  graft_tensor* dq;
  graft_tensor* dk;
  graft_tensor* dv;
  static constexpr const graft_tensor* pages = nullptr;
  void check() const;

  std::int64_t keys() const { return k->shape[1]; }
};

/** Where a run of keys lies in memory: in one page, or in the tensor. */
struct KeyRun {
  std::int64_t block;  // which page, or which batch row
  std::int64_t first;  // the run's first key there
  std::int64_t count;  // keys up to the end of the page
};

/** Key `key` of batch row `batch`, and those behind it in one piece. */
template <class Args>
KeyRun key_run(const Args& a, std::int64_t batch, std::int64_t key) {
  const std::int64_t size = a.k->shape[1];
  if (a.pages == nullptr) return {batch, key, size - key};
  const graft_tensor& pages = *a.pages;
  const std::int64_t page =
      static_cast<const std::int32_t*>(pages.data)[batch * pages.stride[0] + key / size * pages.stride[1]];
  return {page, key % size, size - key % size};
}

/** Why tiles of so many keys do not serve: "" where no tile lies in two pages. */
inline std::string refuse_pages(const AttentionForward& a, std::int64_t tile) {
  if (a.pages == nullptr || a.pages->shape[1] <= 1 || a.k->shape[1] % tile == 0) return {};
  return "pages of " + std::to_string(a.k->shape[1]) + " keys: tiles want multiples of " + std::to_string(tile);
}

/** Keys [first, last) that a query sees. */
struct KeyRange {
  std::int64_t first;
  std::int64_t last;
};

/** Who sees whom in one batch row: the mask as arithmetic. */
struct AttentionMask {
  std::int64_t window;         // 0: none
  std::int64_t length;         // keys that exist
  std::int64_t past;           // < 0: the first queries see none
  const std::int32_t* starts;  // of this batch row, or NULL
  std::int64_t starts_stride;

  template <class Args>
  AttentionMask(const Args& a, std::int64_t batch)
      : window(a.window),
        length(a.lengths == nullptr ? a.keys()
                                    : static_cast<const std::int32_t*>(a.lengths->data)[batch * a.lengths->stride[0]]),
        past(a.pages == nullptr ? a.past : length - a.q->shape[1]),
        starts(a.starts == nullptr ? nullptr
                                   : static_cast<const std::int32_t*>(a.starts->data) + batch * a.starts->stride[0]),
        starts_stride(a.starts == nullptr ? 0 : a.starts->stride[1]) {}

  /** Both ends never fall from one query to the next. */
  KeyRange keys(std::int64_t query) const {
    std::int64_t first = window > 0 ? std::max<std::int64_t>(0, past + query - window + 1) : 0;
    if (starts != nullptr) first = std::max<std::int64_t>(first, starts[query * starts_stride]);
    return {std::min(first, length), std::max(std::min(first, length), std::min(past + query + 1, length))};
  }
};

}  // namespace graft::ops
