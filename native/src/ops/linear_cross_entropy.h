// Arguments of linear_cross_entropy; the contract is graft/ops/linear_cross_entropy.h.
#pragma once

#include <cstdint>

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct LinearCrossEntropyForward {
  const graft_tensor* h;
  const graft_weight* w;
  const graft_tensor* labels;
  std::int64_t ignore_index;
  double softcap;  // 0: none
  double normalizer;
  double gradient_scale;
  graft_tensor* loss;
  graft_tensor* count;  // may be NULL
  graft_tensor* dh;     // may be NULL
  graft_tensor* dw;     // may be NULL
  void check() const;
  const char* frozen() const { return normalizer == 0 ? nullptr : "normalizer"; }

  std::int64_t label(std::int64_t row) const {
    const std::int64_t at = row * labels->stride[0];
    return labels->dtype == GRAFT_DTYPE_I32 ? static_cast<const std::int32_t*>(labels->data)[at]
                                            : static_cast<const std::int64_t*>(labels->data)[at];
  }
  bool counts(std::int64_t row) const { return label(row) != ignore_index; }
  std::int64_t counted_rows() const;
};

}  // namespace graft::ops
