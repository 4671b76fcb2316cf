// Arguments of attention; the contract is graft/ops/attention.h.
#pragma once

#include <algorithm>
#include <cstdint>

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
  graft_tensor* lse;  // may be NULL
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
  void check() const;
};

/** Keys [first, last) that a query sees. */
struct KeyRange {
  std::int64_t first;
  std::int64_t last;
};

/** Who sees whom in one batch row: the mask as arithmetic. */
struct AttentionMask {
  std::int64_t past;
  std::int64_t window;         // 0: none
  std::int64_t length;         // keys that exist
  const std::int32_t* starts;  // of this batch row, or NULL
  std::int64_t starts_stride;

  template <class Args>
  AttentionMask(const Args& a, std::int64_t batch)
      : past(a.past),
        window(a.window),
        length(a.lengths == nullptr ? a.k->shape[1]
                                    : static_cast<const std::int32_t*>(a.lengths->data)[batch * a.lengths->stride[0]]),
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
